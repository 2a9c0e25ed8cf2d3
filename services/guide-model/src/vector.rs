//! The element-wise functions of the network, written out so that they give the same bits on every machine: no call
//! goes to the system's mathematics library.

/// Lanes of a sum: what is summed is dealt to this many sums, which are then added in a fixed order.
const LANES: usize = 16;

/// Sum of the products of two slices of the same length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (a, b) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (x, y) in a.0.iter().zip(b.0) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    let rest: f32 = a.1.iter().zip(b.1).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// Sum of a slice.
pub fn sum(a: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = a.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// The largest of a slice; negative infinity of an empty one.
pub fn most(a: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = a.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *x);
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// Adds `from` to `to`.
#[inline]
pub fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// `e^x`, with a relative error below 2·10⁻⁷; 0 below −87 and `e^88` above 88.
#[inline]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it leaves the nearest integer in the low bits.
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    // ln 2 in two parts, the first short enough to be multiplied without rounding.
    let r = clamped - power * 0.693_359_4 + power * 2.121_944_4e-4;
    let series = 1.0
        + r * (1.0
            + r * (0.5
                + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r / 5040.0))))));
    // The exponent: the integer's low bits moved to where a float keeps it; both halves of 2^power stay in range.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { series * scale }
}

/// 1 / (1 + e^−x).
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Turns a row of scores into probabilities.
pub fn softmax(row: &mut [f32]) {
    let most = most(row);
    for x in row.iter_mut() {
        *x = exp(*x - most);
    }
    let scale = 1.0 / sum(row);
    for x in row {
        *x *= scale;
    }
}

/// `out = gain · x / rms(x)` for each row; keeps `1 / rms(x)` for [`norm_back`].
pub fn norm(x: &[f32], gain: &[f32], out: &mut [f32], inverse: &mut [f32], epsilon: f32) {
    let width = gain.len();
    for ((x, out), inverse) in x
        .chunks_exact(width)
        .zip(out.chunks_exact_mut(width))
        .zip(inverse)
    {
        *inverse = 1.0 / (dot(x, x) / count(width) + epsilon).sqrt();
        for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
            *out = x * *inverse * gain;
        }
    }
}

/// Takes the gradient of [`norm`]'s output back: adds to that of `x` and to that of `gain`.
pub fn norm_back(
    (x, gain, inverse): (&[f32], &[f32], &[f32]),
    gradient: &[f32],
    x_gradient: &mut [f32],
    gain_gradient: &mut [f32],
) {
    let width = gain.len();
    let mut scaled = vec![0.0; width];
    let rows = x
        .chunks_exact(width)
        .zip(gradient.chunks_exact(width))
        .zip(x_gradient.chunks_exact_mut(width));
    for (((x, gradient), x_gradient), &inverse) in rows.zip(inverse) {
        for (((gain_gradient, scaled), gain), (x, gradient)) in gain_gradient
            .iter_mut()
            .zip(&mut scaled)
            .zip(gain)
            .zip(x.iter().zip(gradient))
        {
            *gain_gradient += gradient * x * inverse;
            *scaled = gradient * gain;
        }
        let pull = dot(&scaled, x) * inverse * inverse / count(width);
        for ((x_gradient, scaled), x) in x_gradient.iter_mut().zip(&scaled).zip(x) {
            *x_gradient += inverse * (scaled - x * pull);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "widths are below 2^24")]
const fn count(width: usize) -> f32 {
    width as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_true_value_over_its_range() {
        for step in -8_700..8_800_i16 {
            let x = f32::from(step) * 0.01;
            let (own, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                ((own - exact) / exact).abs() < 2e-7,
                "exp({x}) = {own}, not {exact}"
            );
        }
        assert!(
            exp(-1000.0).to_bits() == 0 && exp(1000.0).is_finite() && exp(0.0).to_bits() == 1.0_f32.to_bits()
        );
    }

    #[test]
    fn softmax_sums_to_one_also_for_large_scores() {
        let mut row = [1000.0, 999.0, -1000.0];
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6 && row[0] > row[1] && row[2].to_bits() == 0);
    }

    #[test]
    fn dot_sum_and_most_take_every_element() {
        let ones = [1.0; 37];
        assert!((dot(&ones, &ones) - 37.0).abs() < 1e-6 && (sum(&ones) - 37.0).abs() < 1e-6);
        for at in 0..37 {
            let mut values = [-2.0; 37];
            values[at] = -1.0;
            assert!((most(&values) + 1.0).abs() < 1e-6, "at {at}");
        }
    }
}
