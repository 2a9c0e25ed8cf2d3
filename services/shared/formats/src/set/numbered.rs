//! Names that say which part of how many a file is: `model-00001-of-00003.safetensors`.

/// The longest number. The widest in use has six digits.
const MAX_DIGITS: usize = 6;

/// A numbered name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered<'a> {
    /// What stands before the numbers.
    pub prefix: &'a str,
    /// The part's number, mostly from 1.
    pub number: u64,
    /// How many parts there are.
    pub count: u64,
    /// What stands behind the numbers.
    pub suffix: &'a str,
}

impl<'a> Numbered<'a> {
    /// The numbers in a name, if it has them.
    pub fn of(name: &'a str) -> Option<Self> {
        let (before, after) = name.rsplit_once("-of-")?;
        let (prefix, number) = before.rsplit_once('-')?;
        let digits = after.find(|character: char| !character.is_ascii_digit());
        let (count, suffix) = after.split_at(digits.unwrap_or(after.len()));
        (suffix.is_empty() || suffix.starts_with('.')).then_some(())?;
        Some(Self {
            prefix,
            number: parse(number)?,
            count: parse(count)?,
            suffix,
        })
    }

    /// What all parts of the same whole have in common.
    pub fn whole(&self) -> (&'a str, u64, &'a str) {
        (self.prefix, self.count, self.suffix)
    }
}

fn parse(digits: &str) -> Option<u64> {
    let is_number =
        (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// What is wrong with the numbers of parts of one whole. Where an index is there to list them (`listed`), they may begin with 0.
pub fn flaw(parts: &[Numbered<'_>], listed: bool) -> Option<String> {
    let first = parts.first()?;
    if let Some(other) = parts.iter().find(|part| part.count != first.count) {
        return Some(format!(
            "the names of the parts say that there are {} of them, and {}",
            first.count, other.count
        ));
    }
    let mut numbers: Vec<u64> = parts.iter().map(|part| part.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    if listed && numbers.first() == Some(&0) {
        return from_zero(&numbers, first.count);
    }
    if let Some(odd) = numbers.iter().find(|number| !(1..=first.count).contains(*number)) {
        return Some(format!("a part is number {odd} of {}", first.count));
    }
    let missing = first.count - numbers.len() as u64;
    (missing > 0).then(|| {
        let number = (1..=first.count).find(|number| numbers.binary_search(number).is_err());
        format!(
            "of {} parts {missing} are missing, the first of them number {}",
            first.count,
            number.unwrap_or(0)
        )
    })
}

/// What is wrong with numbers that begin with 0. Some writers count the parts, and some say the number of the last one. Without an index nobody could
/// tell which, and so whether the last part is there.
fn from_zero(numbers: &[u64], count: u64) -> Option<String> {
    let gap = (0..).zip(numbers).find(|(wanted, number)| wanted != *number);
    if let Some((missing, _)) = gap {
        return Some(format!("of the parts from 0 on number {missing} is missing"));
    }
    let parts = numbers.len() as u64;
    let complete = count > 0 && (parts == count || parts == count + 1);
    (!complete).then(|| format!("there are {parts} parts from 0 on, and their names say {count}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts_are_understood() {
        for (name, wanted) in [
            (
                "model-00001-of-00003.safetensors",
                Some(("model", 1, 3, ".safetensors")),
            ),
            (
                "model-00002-of-000163.safetensors",
                Some(("model", 2, 163, ".safetensors")),
            ),
            (
                "model-1-of-61.safetensors",
                Some(("model", 1, 61, ".safetensors")),
            ),
            ("a-b-00001-of-00002.fp16.bin", Some(("a-b", 1, 2, ".fp16.bin"))),
            ("m-00001-of-00002", Some(("m", 1, 2, ""))),
            ("model.safetensors", None),
            ("one-of-many.bin", None),
            ("m-1-of-x.bin", None),
            ("m-1-of-2x.bin", None),
            ("m-1234567-of-1234567.bin", None),
            ("-of-", None),
        ] {
            let found = Numbered::of(name).map(|part| (part.prefix, part.number, part.count, part.suffix));
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn parts_are_all_there_once() {
        let flaw = |names: &[&str]| {
            let parts: Vec<_> = names.iter().filter_map(|name| Numbered::of(name)).collect();
            (flaw(&parts, false), flaw(&parts, true))
        };
        assert_eq!(flaw(&[]), (None, None));
        assert_eq!(flaw(&["m-1-of-2", "m-2-of-2"]), (None, None));
        for wrong in [
            &["m-1-of-2"][..],
            &["m-1-of-2", "m-2-of-3"],
            &["m-1-of-2", "m-1-of-2"],
            &["m-999999-of-999999"],
            &["m-0-of-3", "m-1-of-3"],
            &["m-0-of-2", "m-2-of-2"],
            &["m-0-of-1", "m-1-of-1", "m-2-of-1"],
            &["m-0-of-0"],
        ] {
            let (loose, listed) = flaw(wrong);
            assert!(loose.is_some() && listed.is_some(), "{wrong:?}");
        }
        for with_index in [
            &["m-0-of-2", "m-1-of-2"][..],
            &["m-0-of-2", "m-1-of-2", "m-2-of-2"],
        ] {
            let (loose, listed) = flaw(with_index);
            assert!(loose.is_some() && listed.is_none(), "{with_index:?}");
        }
    }
}
