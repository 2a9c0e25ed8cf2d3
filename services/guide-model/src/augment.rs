//! Says a question in another way, so that the model learns its meaning and not its letters: other words for the same
//! thing, politeness around it, missing words, other case and punctuation, slips of the keyboard.

use crate::corpus::Variations;
use crate::random::Random;

/// How often each kind of change is made.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// The question stays as it is.
    pub verbatim: f32,
    /// A word is replaced by a synonym, per place where one fits.
    pub synonym: f32,
    /// Something is put before or after it.
    pub around: f32,
    /// An optional word is left out, per word.
    pub omit: f32,
    /// Any word is left out, per word, of at least four.
    pub lose: f32,
    /// Two neighbouring words change places.
    pub swap: f32,
    /// The question has slips; then one or two of them.
    pub slips: f32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            verbatim: 0.25,
            synonym: 0.3,
            around: 0.15,
            omit: 0.08,
            lose: 0.04,
            swap: 0.08,
            slips: 0.25,
        }
    }
}

/// `question` in other words.
pub fn vary(question: &str, variations: &Variations, rates: Rates, random: &mut Random) -> String {
    if random.chance(rates.verbatim) {
        return question.to_owned();
    }
    let mut text = synonyms(question, variations, rates.synonym, random);
    text = omit(&text, variations, rates.omit, random);
    text = disturb(&text, rates, random);
    text = around(text, variations, rates.around, random);
    text = punctuation(text, random);
    if random.chance(rates.slips) {
        for _ in 0..=random.below(2) {
            text = slip(&text, random);
        }
    }
    text = case(text, random);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        question.to_owned()
    } else {
        text
    }
}

/// Replaces phrases by another of their group, looking at word boundaries only.
fn synonyms(question: &str, variations: &Variations, rate: f32, random: &mut Random) -> String {
    let mut text = question.to_owned();
    for group in &variations.synonyms {
        let Some((at, length)) = group.iter().find_map(|phrase| find_phrase(&text, phrase)) else {
            continue;
        };
        if random.chance(rate)
            && let Some(other) = random.pick(group)
        {
            let capital = text[at..].chars().next().is_some_and(char::is_uppercase);
            let other = if capital && at == 0 {
                capitalised(other)
            } else {
                other.clone()
            };
            text.replace_range(at..at + length, &other);
        }
    }
    text
}

/// Where `phrase` (in lower case) stands in `text` as whole words.
fn find_phrase(text: &str, phrase: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let bounded = |at: usize| {
        let before = lower[..at].chars().next_back();
        let after = lower[at + phrase.len()..].chars().next();
        !before.is_some_and(word_character) && !after.is_some_and(word_character)
    };
    lower
        .match_indices(phrase)
        .map(|(at, _)| at)
        .find(|&at| bounded(at))
        .map(|at| (at, phrase.len()))
}

fn word_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '/' | '_' | '\'')
}

fn omit(text: &str, variations: &Variations, rate: f32, random: &mut Random) -> String {
    let keep = |word: &&str| {
        !variations
            .optional
            .iter()
            .any(|optional| optional.eq_ignore_ascii_case(word))
            || !random.chance(rate)
    };
    text.split(' ').filter(keep).collect::<Vec<_>>().join(" ")
}

/// Loses a word or two, or puts two in the wrong order.
fn disturb(text: &str, rates: Rates, random: &mut Random) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    if words.len() >= 4 {
        words.retain(|_| !random.chance(rates.lose));
    }
    if words.len() >= 3 && random.chance(rates.swap) {
        let at = random.below(words.len() - 1);
        words.swap(at, at + 1);
    }
    words.join(" ")
}

fn around(mut text: String, variations: &Variations, rate: f32, random: &mut Random) -> String {
    if random.chance(rate)
        && let Some(before) = random.pick(&variations.before)
    {
        let begin = if random.chance(0.5) {
            uncapitalised(&text)
        } else {
            text
        };
        text = format!("{before} {begin}");
    }
    if random.chance(rate)
        && let Some(after) = random.pick(&variations.after)
    {
        text = format!("{text} {after}");
    }
    text
}

fn punctuation(text: String, random: &mut Random) -> String {
    match random.below(8) {
        0..=2 => text.trim_end_matches(['?', '.', '!']).to_owned(),
        3 => text.replace(['?', ',', '\'', '!'], ""),
        4 if text.ends_with('?') => text + ["?", "!", "??"][random.below(3)],
        _ => text,
    }
}

fn case(text: String, random: &mut Random) -> String {
    match random.below(20) {
        0..=7 => text.to_lowercase(),
        8 => text.to_uppercase(),
        9 => capitalised(&text),
        _ => text,
    }
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    rest.next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

fn uncapitalised(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next();
    // "I" and abbreviations stay as they are.
    if rest.clone().next().is_none_or(|second| !second.is_lowercase()) {
        return text.to_owned();
    }
    first.map_or_else(String::new, |first| first.to_lowercase().chain(rest).collect())
}

/// One slip of the keyboard inside a word of at least four letters.
fn slip(text: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let inner: Vec<usize> = (1..letters.len().saturating_sub(1))
        .filter(|&at| letters[at - 1..=at + 1].iter().all(char::is_ascii_alphabetic))
        .collect();
    let Some(&at) = random.pick(&inner) else {
        return text.to_owned();
    };
    match random.below(4) {
        0 => letters.swap(at, at + 1),
        1 => drop(letters.remove(at)),
        2 => letters.insert(at, letters[at]),
        _ => letters[at] = neighbour(letters[at], random),
    }
    letters.into_iter().collect()
}

/// A key next to this one.
fn neighbour(letter: char, random: &mut Random) -> char {
    const ROWS: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];
    let near = |row: &&str| {
        let at = row.find(letter.to_ascii_lowercase())?;
        let near: Vec<char> = row
            .char_indices()
            .filter(|(i, _)| i.abs_diff(at) == 1)
            .map(|(_, c)| c)
            .collect();
        random.pick(&near).copied()
    };
    ROWS.iter().find_map(near).unwrap_or(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Corpus;

    #[test]
    fn a_verbatim_rate_of_one_changes_nothing_and_of_zero_often_does() {
        let variations = Corpus::shipped().unwrap().variations;
        let mut random = Random::new(1, 1);
        let question = "How do I import a model?";
        let rates = Rates {
            verbatim: 1.0,
            ..Rates::default()
        };
        assert_eq!(vary(question, &variations, rates, &mut random), question);
        let rates = Rates {
            verbatim: 0.0,
            ..Rates::default()
        };
        let same = (0..200)
            .filter(|_| vary(question, &variations, rates, &mut random) == question)
            .count();
        assert!(same < 60, "{same} of 200 unchanged");
    }

    #[test]
    fn phrases_are_found_at_word_boundaries_only() {
        assert_eq!(find_phrase("Remove a model", "remove"), Some((0, 6)));
        assert_eq!(find_phrase("removed models", "remove"), None);
        assert_eq!(find_phrase("the --remove-all flag", "remove"), None);
    }

    #[test]
    fn slips_survive_any_text() {
        let mut random = Random::new(3, 3);
        for text in ["", "a", "ab", "é漢🦀", "import", "IMPORT a model"] {
            for _ in 0..50 {
                assert!(
                    slip(text, &mut random)
                        .chars()
                        .count()
                        .abs_diff(text.chars().count())
                        <= 1
                );
            }
        }
    }
}
