//! `AdamW` with a bound on the gradient's length and a learning rate that rises, then falls along a cosine.

use crate::model::Layout;

/// How the parameters are changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The highest learning rate.
    pub rate: f32,
    /// What is left of it at the end, as a share.
    pub last: f32,
    /// Steps until the highest rate is reached.
    pub warm_up: usize,
    /// Decay of the mean gradient.
    pub mean_decay: f32,
    /// Decay of the mean square of the gradient.
    pub square_decay: f32,
    /// Weights shrink by this share of the learning rate with each step; gains do not.
    pub weight_decay: f32,
    /// The longest gradient that is followed as it is.
    pub longest: f32,
}

/// The state of training: what is remembered about each parameter's gradient.
#[derive(Debug, Clone)]
pub struct Optimizer {
    settings: Settings,
    steps: usize,
    mean: Vec<f32>,
    square: Vec<f32>,
    /// Weight decay applies: one flag for each parameter.
    decays: Vec<bool>,
    done: usize,
    /// What the decays leave of the start, as products of all steps.
    left: (f64, f64),
}

impl Optimizer {
    /// For training that takes `steps` steps.
    pub fn new(settings: Settings, layout: &Layout, steps: usize) -> Self {
        let count = layout.parameters();
        let decays = layout
            .tensors()
            .iter()
            .flat_map(|(_, slot)| slot.range().map(|_| slot.is_matrix()))
            .collect();
        Self {
            settings,
            steps,
            mean: vec![0.0; count],
            square: vec![0.0; count],
            decays,
            done: 0,
            left: (1.0, 1.0),
        }
    }

    /// The learning rate of the next step.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a rate needs no more"
    )]
    pub fn rate(&self) -> f32 {
        let Settings {
            rate, last, warm_up, ..
        } = self.settings;
        if self.done < warm_up {
            return rate * (self.done + 1) as f32 / warm_up as f32;
        }
        let done = (self.done - warm_up) as f64 / self.steps.saturating_sub(warm_up).max(1) as f64;
        let share = 0.5 + 0.5 * libm::cos(std::f64::consts::PI * done.min(1.0)) as f32;
        rate * (last + (1.0 - last) * share)
    }

    /// Makes one step along `gradient`, with `threads` threads; their number does not change the result.
    ///
    /// Returns the gradient's length.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "computed in double precision, used in single"
    )]
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], threads: usize) -> f64 {
        let Settings {
            mean_decay,
            square_decay,
            weight_decay,
            longest,
            ..
        } = self.settings;
        let rate = self.rate();
        self.done += 1;
        self.left.0 *= f64::from(mean_decay);
        self.left.1 *= f64::from(square_decay);
        let length = gradient
            .iter()
            .map(|&g| f64::from(g) * f64::from(g))
            .sum::<f64>()
            .sqrt();
        let clip = (f64::from(longest) / length.max(f64::from(longest))) as f32;
        let mean_scale = (1.0 / (1.0 - self.left.0)) as f32;
        let square_scale = (1.0 / (1.0 - self.left.1)) as f32;
        let part = parameters.len().div_ceil(threads.max(1)).max(1);
        let parts = parameters
            .chunks_mut(part)
            .zip(gradient.chunks(part))
            .zip(self.mean.chunks_mut(part).zip(self.square.chunks_mut(part)))
            .zip(self.decays.chunks(part));
        std::thread::scope(|scope| {
            for (((parameters, gradient), (mean, square)), decays) in parts {
                scope.spawn(move || {
                    let each = parameters
                        .iter_mut()
                        .zip(gradient)
                        .zip(mean.iter_mut().zip(square))
                        .zip(decays);
                    for (((parameter, gradient), (mean, square)), &decays) in each {
                        let gradient = gradient * clip;
                        *mean = mean_decay * *mean + (1.0 - mean_decay) * gradient;
                        *square = square_decay * *square + (1.0 - square_decay) * gradient * gradient;
                        let shrink = if decays { weight_decay * *parameter } else { 0.0 };
                        let towards = *mean * mean_scale / ((*square * square_scale).sqrt() + 1e-8);
                        *parameter -= rate * (towards + shrink);
                    }
                });
            }
        });
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Config;

    const SETTINGS: Settings = Settings {
        rate: 0.1,
        last: 0.1,
        warm_up: 4,
        mean_decay: 0.9,
        square_decay: 0.95,
        weight_decay: 0.0,
        longest: 1.0,
    };

    fn layout() -> Layout {
        Layout::new(&Config {
            vocabulary: 5,
            width: 4,
            blocks: 1,
            heads: 2,
            kv_heads: 1,
            hidden: 4,
            context: 8,
        })
    }

    #[test]
    fn goes_downhill_on_a_bowl_with_any_number_of_threads() {
        let layout = layout();
        let run = |threads| {
            let mut parameters = vec![1.0_f32; layout.parameters()];
            let mut optimizer = Optimizer::new(SETTINGS, &layout, 200);
            for _ in 0..200 {
                let gradient = parameters.clone();
                optimizer.step(&mut parameters, &gradient, threads);
            }
            parameters
        };
        let one = run(1);
        assert!(one.iter().all(|value| value.abs() < 0.05), "{one:?}");
        assert_eq!(one, run(3));
    }

    #[test]
    fn the_rate_rises_then_falls_to_its_last_share() {
        let layout = layout();
        let mut optimizer = Optimizer::new(SETTINGS, &layout, 20);
        let mut rates = Vec::new();
        for _ in 0..20 {
            rates.push(optimizer.rate());
            optimizer.step(
                &mut vec![0.0; layout.parameters()],
                &vec![0.0; layout.parameters()],
                1,
            );
        }
        assert!(
            rates[..4].is_sorted() && rates[4..].is_sorted_by(|a, b| a >= b),
            "{rates:?}"
        );
        assert!((optimizer.rate() - 0.01).abs() < 1e-6);
    }
}
