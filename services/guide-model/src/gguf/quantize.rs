//! `Q8_0`: blocks of 32 numbers as one half-precision scale and 32 signed bytes.

/// Numbers in a block.
pub const BLOCK: usize = 32;
/// Bytes of a block.
pub const BLOCK_BYTES: usize = 2 + BLOCK;

/// Appends `values`, a multiple of [`BLOCK`], as blocks.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded values between -127 and 127"
)]
pub fn quantize(values: &[f32], out: &mut Vec<u8>) {
    for block in values.as_chunks::<BLOCK>().0 {
        let most = block.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let scale = most / 127.0;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        out.extend_from_slice(&to_half(scale).to_le_bytes());
        out.extend(
            block
                .iter()
                .map(|value| ((value * inverse).round() as i8).cast_unsigned()),
        );
    }
}

/// The numbers that blocks stand for.
pub fn dequantize(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<BLOCK_BYTES>().0.iter().flat_map(|block| {
        let scale = from_half(u16::from_le_bytes([block[0], block[1]]));
        block[2..]
            .iter()
            .map(move |&byte| scale * f32::from(byte.cast_signed()))
    })
}

/// Half precision, rounded to nearest, ties to even. Only for finite values from 0 to 65 504.
#[expect(clippy::cast_possible_truncation, reason = "the result has 15 bits")]
fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = bits >> 23;
    // Below 2^-14 half precision has a fixed step of 2^-24: the smaller the value, the fewer bits are left.
    let (mantissa, drop) = if exponent >= 113 {
        (bits - (112 << 23), 13)
    } else {
        (
            (bits & 0x7f_ffff) | u32::from(exponent > 0) << 23,
            (126 - exponent).min(31),
        )
    };
    let half = 1 << (drop - 1);
    let odd = (mantissa >> drop) & 1;
    ((mantissa + half - 1 + odd) >> drop) as u16
}

/// The value of a finite half-precision number that is not negative.
fn from_half(bits: u16) -> f32 {
    const STEP: f32 = 1.0 / 16_777_216.0;
    let (exponent, mantissa) = (bits >> 10, bits & 0x3ff);
    if exponent == 0 {
        f32::from(mantissa) * STEP
    } else {
        f32::from_bits((u32::from(exponent) + 112) << 23 | u32::from(mantissa) << 13)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives() {
        for bits in 0..0x7c00 {
            assert_eq!(to_half(from_half(bits)), bits, "{bits:#06x}");
        }
    }

    #[test]
    fn halves_are_rounded_to_nearest_and_ties_to_even() {
        assert_eq!(to_half(1.0), 0x3c00);
        assert_eq!(to_half(1.0 + 1.0 / 2048.0), 0x3c00);
        assert_eq!(to_half(1.0 + 3.0 / 2048.0), 0x3c02);
        assert_eq!(to_half(1.0 + 1.1 / 2048.0), 0x3c01);
        assert_eq!(to_half(2.0_f32.powi(-25)), 0);
        assert_eq!(to_half(2.0_f32.powi(-25) * 1.01), 1);
    }

    #[test]
    fn numbers_come_back_within_half_a_step() {
        let values: Vec<f32> = (0..64_i16).map(|i| f32::from(i * 37 % 64 - 31) * 0.003).collect();
        let mut bytes = Vec::new();
        quantize(&values, &mut bytes);
        assert_eq!(bytes.len(), 2 * BLOCK_BYTES);
        let step = 0.003 * 32.0 / 127.0;
        assert!(
            values
                .iter()
                .zip(dequantize(&bytes))
                .all(|(a, b)| (a - b).abs() <= step * 0.51)
        );
    }
}
