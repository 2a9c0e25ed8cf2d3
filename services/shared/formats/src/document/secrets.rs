//! Credentials that somebody left in a document. They are reported by their kind and place, never shown.

use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules;

/// A kind of credential: what it begins with, and how many characters of which alphabet follow.
struct Pattern {
    what: &'static str,
    prefix: &'static [u8],
    length: usize,
    /// Whether exactly so many follow, or at least.
    exact: bool,
    accepts: fn(u8) -> bool,
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn dashed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

const fn exactly(
    what: &'static str,
    prefix: &'static [u8],
    length: usize,
    accepts: fn(u8) -> bool,
) -> Pattern {
    Pattern {
        what,
        prefix,
        length,
        exact: true,
        accepts,
    }
}

const fn least(what: &'static str, prefix: &'static [u8], length: usize, accepts: fn(u8) -> bool) -> Pattern {
    Pattern {
        what,
        prefix,
        length,
        exact: false,
        accepts,
    }
}

#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    exactly("an access key of Amazon Web Services", b"AKIA", 16, upper),
    exactly("an access key of Amazon Web Services", b"ASIA", 16, upper),
    exactly("a token of GitHub", b"ghp_", 36, alphanumeric),
    exactly("a token of GitHub", b"gho_", 36, alphanumeric),
    exactly("a token of GitHub", b"ghu_", 36, alphanumeric),
    exactly("a token of GitHub", b"ghs_", 36, alphanumeric),
    least("a token of GitHub", b"github_pat_", 60, dashed),
    least("a token of GitLab", b"glpat-", 20, dashed),
    exactly("a token of Hugging Face", b"hf_", 34, alphanumeric),
    least("a key of OpenAI", b"sk-proj-", 40, dashed),
    least("a key of OpenAI", b"sk-svcacct-", 40, dashed),
    exactly("a key of OpenAI", b"sk-", 48, alphanumeric),
    least("a key of Anthropic", b"sk-ant-", 40, dashed),
    exactly("a key of Groq", b"gsk_", 52, alphanumeric),
    least("a key of NVIDIA", b"nvapi-", 60, dashed),
    exactly("a token of npm", b"npm_", 36, alphanumeric),
    least("a token of PyPI", b"pypi-AgEIcHlwaS5vcmc", 40, dashed),
    least("a token of Slack", b"xoxb-", 40, dashed),
    least("a token of Slack", b"xoxp-", 40, dashed),
    exactly("a key of Google", b"AIza", 35, dashed),
    least("a private key", b"-----BEGIN PRIVATE KEY-----", 0, dashed),
    least("a private key", b"-----BEGIN RSA PRIVATE KEY-----", 0, dashed),
    least("a private key", b"-----BEGIN EC PRIVATE KEY-----", 0, dashed),
    least("a private key", b"-----BEGIN DSA PRIVATE KEY-----", 0, dashed),
    least("a private key", b"-----BEGIN ENCRYPTED PRIVATE KEY-----", 0, dashed),
    least("a private key", b"-----BEGIN OPENSSH PRIVATE KEY-----", 0, dashed),
    least("a private key", b"-----BEGIN PGP PRIVATE KEY BLOCK-----", 0, dashed),
];
/// The longest of them, with its prefix and what follows it.
const LONGEST: usize = 80;

/// Looks for credentials in text.
#[derive(Debug, Default)]
pub struct Secrets {
    /// The end of what went by, in which one may have begun, and where it begins.
    held: Vec<u8>,
    at: u64,
    findings: Findings,
}

impl Secrets {
    /// Looks at what is held for credentials that begin before `end`.
    fn search(&mut self, end: usize) {
        for (place, byte) in self.held.iter().enumerate().take(end) {
            if !matches!(byte, b'A' | b'g' | b'h' | b'n' | b'p' | b's' | b'x' | b'-') {
                continue;
            }
            let rest = self.held.get(place..).unwrap_or_default();
            let before = place.checked_sub(1).and_then(|before| self.held.get(before));
            for pattern in PATTERNS {
                let found = rest.strip_prefix(pattern.prefix).is_some_and(|rest| {
                    let goes_on = rest
                        .get(pattern.length)
                        .is_some_and(|byte| (pattern.accepts)(*byte));
                    rest.get(..pattern.length)
                        .is_some_and(|body| body.iter().all(|byte| (pattern.accepts)(*byte)))
                        && !(pattern.exact && goes_on)
                });
                // In the middle of a word it is a part of something else.
                if found && !before.is_some_and(u8::is_ascii_alphanumeric) {
                    let message = format_args!("the document holds what looks like {}", pattern.what);
                    self.findings
                        .add(&rules::SEC_CREDENTIAL, Place::at(self.at + place as u64), message);
                }
            }
        }
    }
}

impl Inspector for Secrets {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        // A byte more is kept, so that what stands before a credential is seen.
        for piece in chunk.chunks(64 << 10) {
            self.held.extend_from_slice(piece);
            let end = self.held.len().saturating_sub(LONGEST);
            self.search(end);
            let keep = end.saturating_sub(1);
            self.held.drain(..keep);
            self.at += keep as u64;
            // What was searched already stays as the byte before.
            if end > 0
                && let Some(first) = self.held.first_mut()
            {
                *first = if first.is_ascii_alphanumeric() { b'0' } else { b' ' };
            }
        }
    }

    fn finish(mut self: Box<Self>, _size: u64) -> Found {
        self.search(self.held.len());
        Found {
            findings: self.findings,
            ..Found::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_enough_for_every_pattern() {
        for pattern in PATTERNS {
            assert!(
                pattern.prefix.len() + pattern.length < LONGEST,
                "{}",
                pattern.what
            );
            assert!(b"Aghnpsx-".contains(&pattern.prefix[0]), "{}", pattern.what);
        }
    }
}
