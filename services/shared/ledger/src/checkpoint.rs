//! C2SP tlog-checkpoints: what the log commits to, in three lines that are signed as a note.
//!
//! The origin is the name of the key, as the specification recommends. Extension lines are refused: this log writes none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::Hash;
use holdfast_signed_note::{self as note, NoteError, Signer, Vkey};

/// More entries than any ledger reaches. A larger size is refused, so that nobody counts towards it.
pub const MAX_SIZE: u64 = 1 << 48;

/// The size and the root of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of entries.
    pub size: u64,
    /// Root of the Merkle tree over them.
    pub root: Hash,
}

/// Why a text is not a checkpoint of the log that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is not accepted.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It is a signed note, but not of a checkpoint.
    #[error("not a checkpoint: {0}")]
    Malformed(&'static str),
}

impl Checkpoint {
    /// Signs it as the log that `signer` is named after.
    pub fn sign(&self, signer: &Signer) -> String {
        let origin = signer.verifier().name();
        signer.sign(&format!(
            "{origin}\n{}\n{}\n",
            self.size,
            STANDARD.encode(self.root)
        ))
    }

    /// Reads a signed checkpoint of the log that `key` belongs to.
    ///
    /// # Errors
    /// [`CheckpointError`] when it is not validly signed by `key`, or says something else.
    pub fn open(note: &str, key: &Vkey) -> Result<Self, CheckpointError> {
        Self::parse(note::open(note, key)?, key.name())
    }

    fn parse(text: &str, origin: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        let [first, size, root] = lines.as_slice() else {
            return Err(malformed("there are not three lines"));
        };
        if *first != origin {
            return Err(malformed("it is of another log"));
        }
        let number: u64 = size.parse().map_err(|_| malformed("the size is not a number"))?;
        if number.to_string() != *size {
            return Err(malformed("the size is not written as it must be"));
        }
        if number > MAX_SIZE {
            return Err(malformed("the size is beyond what a ledger can reach"));
        }
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        Ok(Self {
            size: number,
            root: root.ok_or(malformed("the root is not a SHA-256 value"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        Signer::from_seed("holdfast/ledger", &[7; 32]).unwrap()
    }

    #[test]
    fn reads_what_it_signs_in_the_form_of_the_specification() {
        let checkpoint = Checkpoint {
            size: 20_852_163,
            root: [1; 32],
        };
        let note = checkpoint.sign(&signer());
        let lines: Vec<&str> = note.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "holdfast/ledger",
                "20852163",
                "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
                ""
            ]
        );
        assert!(lines[4].starts_with("\u{2014} holdfast/ledger "));
        assert_eq!(Checkpoint::open(&note, signer().verifier()), Ok(checkpoint));
        let empty = Checkpoint {
            size: 0,
            root: crate::hash::empty(),
        };
        assert_eq!(
            Checkpoint::open(&empty.sign(&signer()), signer().verifier()),
            Ok(empty)
        );
    }

    #[test]
    fn refuses_signed_texts_that_are_not_exactly_a_checkpoint() {
        let root = STANDARD.encode([1; 32]);
        for text in [
            format!("other/log\n1\n{root}\n"),
            format!("holdfast/ledger\n01\n{root}\n"),
            format!("holdfast/ledger\n+1\n{root}\n"),
            format!("holdfast/ledger\n-1\n{root}\n"),
            format!("holdfast/ledger\n18446744073709551616\n{root}\n"),
            format!("holdfast/ledger\n{}\n{root}\n", MAX_SIZE + 1),
            format!("holdfast/ledger\n1\n{}\n", STANDARD.encode([1; 31])),
            // The same bytes with other bits in the last sextet.
            format!("holdfast/ledger\n1\n{}F=\n", &root[..42]),
            format!("holdfast/ledger\n1\n{root}\nextension\n"),
            "holdfast/ledger\n1\n".to_owned(),
        ] {
            let opened = Checkpoint::open(&signer().sign(&text), signer().verifier());
            assert!(
                matches!(opened, Err(CheckpointError::Malformed(_))),
                "{text}: {opened:?}"
            );
        }
    }
}
