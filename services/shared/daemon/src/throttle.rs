//! Exponential back-off after failures, in constant memory: one counter for everybody.
//!
//! It is global on purpose. Everyone comes from the loopback address, so there is nobody to tell apart.

use std::time::{Duration, Instant};

/// So many failures cost nothing: people mistype.
const FREE_FAILURES: u32 = 3;
/// The longest wait. Long enough to make guessing hopeless, short enough not to lock the owner out.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Counts failures since the last success and says how long to wait.
#[derive(Debug, Default)]
pub struct Throttle {
    failures: u32,
    not_before: Option<Instant>,
}

impl Throttle {
    /// How long the next attempt has to wait; none if it may be made now.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.not_before?
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    /// Notes a failure and returns the wait that follows from it; none while failures are free.
    pub fn failed(&mut self, now: Instant) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let beyond = self.failures.checked_sub(FREE_FAILURES)?;
        let wait = Duration::from_secs(1_u64 << beyond.min(16)).min(LONGEST_WAIT);
        self.not_before = Some(now + wait);
        Some(wait)
    }

    /// Notes a success: the count begins again.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failures_are_free_then_the_wait_doubles_up_to_its_limit() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        let waits: Vec<_> = (0..12)
            .map(|_| throttle.failed(now).map_or(0, |wait| wait.as_secs()))
            .collect();
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn an_attempt_waits_until_its_time_and_no_longer() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        for _ in 0..4 {
            throttle.failed(now);
        }
        assert_eq!(
            throttle.wait(now + Duration::from_millis(500)),
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(throttle.wait(now + Duration::from_secs(2)), None);
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        for _ in 0..9 {
            throttle.failed(now);
        }
        throttle.succeeded();
        assert_eq!(throttle.wait(now), None);
        assert_eq!(throttle.failed(now), None);
    }

    #[test]
    fn countless_failures_do_not_overflow() {
        let now = Instant::now();
        let mut throttle = Throttle {
            failures: u32::MAX,
            not_before: None,
        };
        assert_eq!(throttle.failed(now), Some(LONGEST_WAIT));
    }
}
