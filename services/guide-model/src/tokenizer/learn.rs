//! Learns merges from weighted texts: the most frequent pair joins first, the pair with the smaller tokens among equals.

use std::collections::{BTreeMap, HashMap};

use super::{FIRST_MERGE, Token, Tokenizer, byte_token, words};

/// Learns a tokenizer of at most `size` tokens from texts that count the given number of times.
///
/// Stops early when no pair occurs twice.
pub fn learn(texts: &[(String, u64)], size: usize) -> Tokenizer {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (text, times) in texts {
        for word in words::split(text) {
            *counts.entry(word).or_default() += times;
        }
    }
    let mut pieces: Vec<(Vec<Token>, u64)> = counts
        .into_iter()
        .map(|(word, count)| (word.bytes().map(byte_token).collect(), count))
        .collect();
    let mut merges = Vec::new();
    let first = usize::try_from(FIRST_MERGE).unwrap_or(usize::MAX);
    while first + merges.len() < size {
        let Some(pair) = most_frequent(&pieces) else { break };
        let made = FIRST_MERGE + Token::try_from(merges.len()).unwrap_or(Token::MAX);
        for (word, _) in &mut pieces {
            join(word, pair, made);
        }
        merges.push(pair);
    }
    // INVARIANT: each pair was found among tokens made before it, and a pair that occurs is never one that was joined
    // everywhere already, so the merges are in order; distinct pairs may still spell the same bytes.
    accept(merges)
}

/// Leaves out merges that spell a token which another merge made before, with all that builds on them.
fn accept(mut merges: Vec<(Token, Token)>) -> Tokenizer {
    loop {
        match Tokenizer::new(merges.clone()) {
            Ok(tokenizer) => return tokenizer,
            Err(super::TokenizerError::Twice { index } | super::TokenizerError::Order { index }) => {
                let gone = FIRST_MERGE + Token::try_from(index).unwrap_or(Token::MAX);
                merges.remove(index);
                merges.retain(|&(a, b)| a != gone && b != gone);
                for (a, b) in &mut merges {
                    *a -= Token::from(*a > gone);
                    *b -= Token::from(*b > gone);
                }
            }
        }
    }
}

fn most_frequent(pieces: &[(Vec<Token>, u64)]) -> Option<(Token, Token)> {
    let mut pairs: HashMap<(Token, Token), u64> = HashMap::new();
    for (word, count) in pieces {
        for pair in word.windows(2) {
            *pairs.entry((pair[0], pair[1])).or_default() += count;
        }
    }
    let best = pairs
        .into_iter()
        .max_by(|(a, x), (b, y)| x.cmp(y).then(b.cmp(a)))?;
    (best.1 > 1).then_some(best.0)
}

fn join(word: &mut Vec<Token>, (left, right): (Token, Token), made: Token) {
    let mut at = 0;
    while at + 1 < word.len() {
        if word[at] == left && word[at + 1] == right {
            word[at] = made;
            word.remove(at + 1);
        }
        at += 1;
    }
}
