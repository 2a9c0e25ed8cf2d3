//! What callers are told when the ledger cannot do what they ask.

use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_ledger::entry::EntryError;
use holdfast_ledger::{AppendError, ReadError, Trouble};

/// An entry that the ledger does not take.
pub fn entry(error: &EntryError) -> Problem {
    let kind = match error {
        EntryError::TooLarge { .. } => ProblemKind::TooLarge,
        EntryError::Detail(_) | EntryError::NotAnEntry(_) | EntryError::NotCanonical => ProblemKind::Invalid,
    };
    Problem::new(kind, format!("this cannot be recorded: {error}"))
}

/// An entry that was not appended.
pub fn append(error: AppendError) -> Problem {
    match error {
        AppendError::Busy => busy(),
        AppendError::Trouble(Trouble::NoSpace) => Problem::new(
            ProblemKind::NoSpace,
            "the ledger's file system is full, so nothing can be recorded, and what cannot be recorded is not done",
        )
        .next("Free some space on the file system that holds the state directory; the recorder goes on by itself."),
        AppendError::Trouble(Trouble::Io(_)) => Problem::new(
            ProblemKind::Internal,
            "the ledger's file system failed; the recorder's log has the cause and the recorder tries again",
        ),
        AppendError::Closed => Problem::new(ProblemKind::Unavailable, "the ledger is being closed"),
    }
}

/// A source that asks for more than its share, or too many at once.
pub fn busy() -> Problem {
    Problem::new(ProblemKind::Busy, "too much is being recorded at the moment")
        .next("Try again after a short pause.")
}

/// Something published that cannot be read. The cause is for the log.
pub fn read(error: &ReadError) -> Problem {
    tracing::error!(error = %chain(error), "the ledger cannot be read");
    Problem::new(
        ProblemKind::Internal,
        "a part of the ledger cannot be read; the recorder's log has the cause",
    )
    .next("`holdfast ledger verify` says which part is damaged.")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
