//! How many prompt tokens to compute in one step, so that a long prompt neither delays those who are being answered nor
//! a cancellation.

use std::time::Duration;

/// A step that only reads prompts may take about this long.
const ALONE: Duration = Duration::from_millis(250);
/// A step in which others wait for their next token may take about this long.
const SHARED: Duration = Duration::from_millis(50);
/// Fewer tokens than this are not worth a step.
const LEAST: u32 = 16;
/// Assumed until measured, in tokens a second.
const FIRST_GUESS: f64 = 1_000.0;

/// The speed at which this model reads prompts on this machine, as observed.
#[derive(Debug)]
pub struct Pace {
    most: u32,
    tokens_per_second: f64,
}

impl Pace {
    /// For steps of at most `most` tokens.
    pub fn new(most: u32) -> Self {
        Self {
            most: most.max(1),
            tokens_per_second: FIRST_GUESS,
        }
    }

    /// How many prompt tokens the next step may take; `shared` when others generate in the same step.
    pub fn prompt_tokens(&self, shared: bool) -> u32 {
        let time = if shared { SHARED } else { ALONE };
        let tokens = self.tokens_per_second * time.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, and the result is bounded next"
        )]
        let tokens = tokens as u32;
        tokens.clamp(LEAST.min(self.most), self.most)
    }

    /// Learns from a step that read `tokens` prompt tokens and took `time`.
    pub fn observe(&mut self, tokens: u32, time: Duration) {
        // Small steps are dominated by what every step costs.
        if tokens >= LEAST && time > Duration::ZERO {
            let rate = f64::from(tokens) / time.as_secs_f64();
            self.tokens_per_second = 0.5 * self.tokens_per_second + 0.5 * rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(rate: u32) -> Pace {
        let mut pace = Pace::new(512);
        for _ in 0..40 {
            pace.observe(rate, Duration::from_secs(1));
        }
        pace
    }

    #[test]
    fn a_slow_machine_takes_small_steps_and_smaller_ones_when_others_wait() {
        let pace = paced(400);
        assert_eq!((pace.prompt_tokens(false), pace.prompt_tokens(true)), (100, 20));
    }

    #[test]
    fn a_fast_machine_takes_whole_batches() {
        assert_eq!(paced(1_000_000).prompt_tokens(true), 512);
    }

    #[test]
    fn a_step_is_never_empty() {
        assert_eq!(paced(16).prompt_tokens(true), 16);
        assert_eq!(Pace::new(4).prompt_tokens(true), 4);
        assert_eq!(Pace::new(0).prompt_tokens(false), 1);
    }

    #[test]
    fn tiny_steps_teach_nothing() {
        let mut pace = Pace::new(512);
        let before = pace.prompt_tokens(false);
        pace.observe(1, Duration::from_secs(10));
        assert_eq!(pace.prompt_tokens(false), before);
    }
}
