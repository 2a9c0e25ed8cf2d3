//! Credentials that somebody left in a document. They are reported by their kind and place, never shown.

use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules;

/// A kind of credential: what it begins with, and how many characters of which alphabet must follow.
struct Pattern {
    what: &'static str,
    prefix: &'static [u8],
    length: usize,
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

#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    Pattern { what: "an access key of Amazon Web Services", prefix: b"AKIA", length: 16, accepts: upper },
    Pattern { what: "a token of GitHub", prefix: b"ghp_", length: 36, accepts: alphanumeric },
    Pattern { what: "a token of GitHub", prefix: b"gho_", length: 36, accepts: alphanumeric },
    Pattern { what: "a token of GitHub", prefix: b"ghs_", length: 36, accepts: alphanumeric },
    Pattern { what: "a token of GitHub", prefix: b"github_pat_", length: 60, accepts: dashed },
    Pattern { what: "a token of GitLab", prefix: b"glpat-", length: 20, accepts: dashed },
    Pattern { what: "a token of Hugging Face", prefix: b"hf_", length: 34, accepts: alphanumeric },
    Pattern { what: "a key of OpenAI", prefix: b"sk-proj-", length: 40, accepts: dashed },
    Pattern { what: "a key of Anthropic", prefix: b"sk-ant-", length: 40, accepts: dashed },
    Pattern { what: "a token of Slack", prefix: b"xoxb-", length: 40, accepts: dashed },
    Pattern { what: "a key of Google", prefix: b"AIza", length: 35, accepts: dashed },
    Pattern { what: "a private key", prefix: b"-----BEGIN PRIVATE KEY-----", length: 0, accepts: dashed },
    Pattern { what: "a private key", prefix: b"-----BEGIN RSA PRIVATE KEY-----", length: 0, accepts: dashed },
    Pattern { what: "a private key", prefix: b"-----BEGIN EC PRIVATE KEY-----", length: 0, accepts: dashed },
    Pattern { what: "a private key", prefix: b"-----BEGIN OPENSSH PRIVATE KEY-----", length: 0, accepts: dashed },
];
/// The longest of them, with its prefix.
const LONGEST: usize = 72;

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
            if !matches!(byte, b'A' | b'g' | b'h' | b's' | b'x' | b'-') {
                continue;
            }
            let rest = self.held.get(place..).unwrap_or_default();
            let before = place.checked_sub(1).and_then(|before| self.held.get(before));
            for pattern in PATTERNS {
                let found = rest.strip_prefix(pattern.prefix).is_some_and(|rest| {
                    rest.get(..pattern.length)
                        .is_some_and(|body| body.iter().all(|byte| (pattern.accepts)(*byte)))
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
