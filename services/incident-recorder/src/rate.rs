//! How much one source may ask for in a second, so that a daemon gone wrong cannot fill the ledger at full speed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most sources that are told apart; beyond that all others share one.
const MOST_SOURCES: usize = 256;
/// The share of the unknown.
const OTHERS: u32 = u32::MAX;

/// A limit for each source, by user id.
#[derive(Debug)]
pub struct Rate {
    per_second: u32,
    /// When each source would have used up nothing.
    sources: Mutex<HashMap<u32, Instant>>,
}

impl Rate {
    /// A limit of `per_second` for each source, of which half may come at once.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second: per_second.max(1),
            sources: Mutex::default(),
        }
    }

    /// Counts one request of `source` at `now`; `false` when it is one too many.
    pub fn admits(&self, source: u32, now: Instant) -> bool {
        let cost = Duration::from_secs(1) / self.per_second;
        let burst = Duration::from_millis(500).max(cost);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if !sources.contains_key(&source) && sources.len() >= MOST_SOURCES {
            // Who has been silent owes nothing and can be forgotten.
            sources.retain(|_, paid| *paid > now);
        }
        let known = sources.contains_key(&source) || sources.len() < MOST_SOURCES;
        let paid = sources.entry(if known { source } else { OTHERS }).or_insert(now);
        let due = (*paid).max(now) + cost;
        let admits = due <= now + burst;
        if admits {
            *paid = due;
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_a_burst_and_then_the_rate() {
        let (rate, start) = (Rate::new(10), Instant::now());
        let at = |millis: u64| start + Duration::from_millis(millis);
        assert_eq!((0..20).filter(|_| rate.admits(1, at(0))).count(), 5);
        assert!(!rate.admits(1, at(99)));
        assert!(rate.admits(1, at(100)));
        assert!(!rate.admits(1, at(100)));
        let later = (1000..3000).filter(|millis| rate.admits(1, at(*millis))).count();
        assert_eq!(later, 5 + 19);
    }

    #[test]
    fn one_source_does_not_use_up_the_share_of_another() {
        let (rate, now) = (Rate::new(1), Instant::now());
        assert!(rate.admits(1, now));
        assert!(!rate.admits(1, now));
        assert!(rate.admits(2, now));
    }

    #[test]
    fn remembers_no_more_sources_than_it_may() {
        let (rate, now) = (Rate::new(1), Instant::now());
        let admitted = (0..10_000).filter(|source| rate.admits(*source, now)).count();
        assert_eq!(admitted, MOST_SOURCES + 1, "all further sources share one");
        assert!(rate.sources.lock().unwrap().len() <= MOST_SOURCES + 1);
        assert!(
            rate.admits(99_999, now + Duration::from_secs(2)),
            "the silent are forgotten"
        );
    }
}
