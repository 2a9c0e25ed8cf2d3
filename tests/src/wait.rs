//! Waiting for something that another process does. There is a deadline, and what was waited for is said when it passes.

use std::time::{Duration, Instant};

/// How often is looked.
const STEP: Duration = Duration::from_millis(5);

/// Looks again and again until `look` gives something.
///
/// # Panics
///
/// When nothing comes within `within`.
#[track_caller]
pub fn until<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> T {
    let found = maybe(within, look);
    assert!(found.is_some(), "not within {within:?}: {what}");
    // INVARIANT: asserted in the line above.
    found.unwrap_or_else(|| unreachable!())
}

/// Looks again and again until `look` gives something or the time is over.
pub fn maybe<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(STEP);
    }
}
