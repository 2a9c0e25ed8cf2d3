//! Whether bytes begin a Python pickle. Not what it does: that is for the inspector.

/// The most opcodes that are followed.
const MAX_OPCODES: usize = 100_000;
/// So many opcodes in a row, with a stack that fits, are no accident.
const ENOUGH_OPCODES: usize = 16;

/// What follows an opcode.
enum Argument {
    Nothing,
    Fixed(usize),
    /// A length of so many bytes, then so many bytes.
    Counted(usize),
    Integer,
    Float,
    Quoted,
    Line,
    Names,
}

/// What an opcode does to the stack.
enum Effect {
    Push,
    Keep,
    Mark,
    /// Takes so many and leaves so many.
    Take(usize, usize),
    /// Takes everything back to the mark and leaves so many.
    ToMark(usize),
    Stop,
}

/// Whether `head` begins a pickle of any protocol.
pub fn looks_like(head: &[u8]) -> bool {
    match head {
        // From protocol 2 on a pickle says so itself.
        [0x80, 2..=5, next, ..] => opcode(*next).is_some(),
        _ => follow(head),
    }
}

/// Follows the opcodes of protocols 0 and 1, whose first byte can be many letters, until they end or contradict themselves.
fn follow(head: &[u8]) -> bool {
    let mut rest = head;
    let mut stack = Stack::default();
    // Opcodes that ordinary text rarely has in the right place; and among them, the import of something.
    let (mut structure, mut import) = (false, false);
    for count in 0..MAX_OPCODES {
        let Some((&code, after)) = rest.split_first() else {
            return (import && count > 1) || (structure && count >= ENOUGH_OPCODES);
        };
        // Broken pickles run up to where they break: an import is enough to call it one.
        let quoted = code == b'S' && matches!(after.first(), Some(b'\'' | b'"'));
        let broken = import && (count > 1 || quoted);
        let Some((argument, effect)) = opcode(code) else {
            return broken;
        };
        rest = match skip(&argument, after) {
            Skipped::To(rest) => rest,
            // The argument goes beyond the probe.
            Skipped::Cut => return broken || (structure && count >= ENOUGH_OPCODES),
            Skipped::Wrong => return broken,
        };
        import |= matches!(code, b'c' | b'i');
        structure |= import
            || matches!(
                code,
                b'(' | b'p' | b'q' | b'r' | b'R' | b'}' | b']' | b')' | 0x93 | 0x94
            );
        match stack.apply(&effect) {
            Some(true) => {}
            Some(false) => return structure,
            None => return broken,
        }
    }
    true
}

/// How deep the stack is, which is all of it that matters here.
#[derive(Default)]
struct Stack {
    depth: usize,
    marks: Vec<usize>,
}

impl Stack {
    /// Whether the pickle goes on; `None` if the effect is impossible.
    fn apply(&mut self, effect: &Effect) -> Option<bool> {
        match effect {
            Effect::Push => self.depth += 1,
            Effect::Keep => {}
            Effect::Mark => self.marks.push(self.depth),
            Effect::Take(needs, leaves) => {
                let floor = self.marks.last().copied().unwrap_or(0);
                let left = self.depth.checked_sub(*needs).filter(|left| *left >= floor)?;
                self.depth = left + leaves;
            }
            Effect::ToMark(leaves) => self.depth = self.marks.pop()? + leaves,
            Effect::Stop => return (self.depth > 0).then_some(false),
        }
        Some(true)
    }
}

enum Skipped<'a> {
    To(&'a [u8]),
    Cut,
    Wrong,
}

fn skip<'a>(argument: &Argument, bytes: &'a [u8]) -> Skipped<'a> {
    match argument {
        Argument::Nothing => Skipped::To(bytes),
        Argument::Fixed(length) => bytes.get(*length..).map_or(Skipped::Cut, Skipped::To),
        Argument::Counted(width) => {
            let Some((count, rest)) = bytes.split_at_checked(*width) else {
                return Skipped::Cut;
            };
            let count = count
                .iter()
                .rev()
                .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            // Nothing of protocol 0 or 1 begins with a text of gigabytes, but ordinary text read as one does.
            match usize::try_from(count) {
                Ok(count) if count < 1 << 28 => rest.get(count..).map_or(Skipped::Cut, Skipped::To),
                _ => Skipped::Wrong,
            }
        }
        Argument::Integer => line(bytes, |text| {
            let digits = text.trim_end_matches('L').trim_start_matches(['-', '+']);
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        }),
        Argument::Float => line(bytes, |text| text.parse::<f64>().is_ok()),
        Argument::Quoted => line(bytes, |text| {
            text.len() >= 2 && text.starts_with(['\'', '"']) && text.ends_with(['\'', '"'])
        }),
        Argument::Line => line(bytes, |_| true),
        Argument::Names => {
            let name = |text: &str| {
                !text.is_empty()
                    && text
                        .chars()
                        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '<' | '>'))
            };
            match line(bytes, name) {
                Skipped::To(rest) => line(rest, name),
                other => other,
            }
        }
    }
}

fn line(bytes: &[u8], fits: impl Fn(&str) -> bool) -> Skipped<'_> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Skipped::Cut;
    };
    let text = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok());
    match (text.is_some_and(fits), bytes.get(end + 1..)) {
        (true, Some(rest)) => Skipped::To(rest),
        _ => Skipped::Wrong,
    }
}

/// Argument and effect of an opcode, as `pickletools` lists them.
fn opcode(code: u8) -> Option<(Argument, Effect)> {
    use Argument::{Counted, Fixed, Float, Integer, Line, Names, Nothing, Quoted};
    use Effect::{Keep, Mark, Push, Stop, Take, ToMark};
    Some(match code {
        b'(' => (Nothing, Mark),
        b'.' => (Nothing, Stop),
        b'0' => (Nothing, Take(1, 0)),
        b'2' => (Nothing, Take(1, 2)),
        b'I' | b'L' | b'g' => (Integer, Push),
        b'p' => (Integer, Keep),
        b'F' => (Float, Push),
        b'S' => (Quoted, Push),
        b'V' | b'P' => (Line, Push),
        b'c' => (Names, Push),
        b'i' => (Names, ToMark(1)),
        b'J' | b'j' | 0x84 => (Fixed(4), Push),
        b'K' | b'h' | 0x82 => (Fixed(1), Push),
        b'M' | 0x83 => (Fixed(2), Push),
        b'G' => (Fixed(8), Push),
        b'q' | 0x80 => (Fixed(1), Keep),
        b'r' => (Fixed(4), Keep),
        b'T' | b'X' | b'B' | 0x8b => (Counted(4), Push),
        b'U' | b'C' | 0x8a | 0x8c => (Counted(1), Push),
        0x8d | 0x8e | 0x96 => (Counted(8), Push),
        b'N' | b'}' | b']' | b')' | 0x88 | 0x89 | 0x8f | 0x97 => (Nothing, Push),
        b'Q' | 0x85 | 0x94 | 0x98 => (Nothing, Take(1, 1)),
        b'R' | b'a' | b'b' | 0x81 | 0x86 | 0x93 => (Nothing, Take(2, 1)),
        b's' | 0x87 | 0x92 => (Nothing, Take(3, 1)),
        b'd' | b'l' | b't' | b'o' | 0x91 => (Nothing, ToMark(1)),
        b'1' | b'e' | b'u' | 0x90 => (Nothing, ToMark(0)),
        0x95 => (Fixed(8), Keep),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::detect;
    use crate::format::Format;

    #[test]
    fn recognises_every_protocol() {
        for pickle in [
            &b"(lp0\nI1\naI2\na."[..],
            b"cos\nsystem\n(S'true'\ntR.",
            b"(S'true'\nios\nsystem\n.",
            b"]q\x00(K\x01K\x02e.",
            b"cbuiltins\neval\nS'print()'\x85R.",
            b"(cpty\nspawn\nS'id'o.",
            b"\x80\x02]q\x00(K\x01K\x02e.",
            b"\x80\x03}q\x00.",
            b"\x80\x04\x95\x08\x00\x00\x00\x00\x00\x00\x00",
            b"\x80\x05\x95\x08\x00\x00\x00\x00\x00\x00\x00",
        ] {
            assert_eq!(detect(pickle), Format::Pickle, "{pickle:x?}");
        }
    }

    #[test]
    fn ordinary_text_is_no_pickle() {
        for text in [
            "I am a text.",
            "(c) 2026 Somebody\nAll rights reserved.",
            "Python is a language.\n.",
            "N.",
            "[1, 2, 3]",
            "cat\ndog\nelephant\n",
            "Sing, O goddess\n",
            "key: value\n",
            "# comment",
        ] {
            assert!(!looks_like(text.as_bytes()), "{text}");
        }
    }
}
