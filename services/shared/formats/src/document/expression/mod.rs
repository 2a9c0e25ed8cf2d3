//! Search patterns (regular expressions) in configurations, which tokenizers and adapters run over what they are given.
//!
//! Python's `re`, Oniguruma and `fancy-regex` go back and try again when a match fails. A pattern that can read the same text in two ways
//! within a loop doubles their tries with every character, so that a line of text keeps them busy for years. Such a pattern is told by its
//! structure: it becomes an automaton, one state for each character that it names, and a state that leads back to itself on two ways that
//! read the same text is the defect. Trust boundary: the pattern. Its length, its nesting and the work spent on it are bounded.

mod automaton;
mod class;
mod parse;

/// What is the matter with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It can take for ever.
    Ambiguous,
    /// It cannot be told whether it does.
    Unclear(&'static str),
}

/// The longest pattern. Those of tokenizers have a few hundred characters, with all marks and letters listed a few thousand.
const MAX_PATTERN_BYTES: usize = 32 << 10;

/// Judges a pattern.
pub fn judge(pattern: &str) -> Option<Flaw> {
    // Without a loop there is nothing to go back to.
    if !pattern.contains(['*', '+', '{']) {
        return None;
    }
    if pattern.len() > MAX_PATTERN_BYTES {
        return Some(Flaw::Unclear("it is longer than such patterns are"));
    }
    // A bracket among characters is one of them to Python, and begins a list within the list to the others.
    let readings = [true, false]
        .map(|nested| parse::parse(pattern, nested).and_then(|parsed| automaton::judge(&parsed)));
    if readings.contains(&Err(Flaw::Ambiguous)) {
        return Some(Flaw::Ambiguous);
    }
    // What a reader does not understand it does not run.
    match readings {
        [Err(flaw), Err(_)] => Some(flaw),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
