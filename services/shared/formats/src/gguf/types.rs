//! The numbers that GGUF files use for types: of metadata values (GGUF specification) and of tensors (`enum ggml_type`).

/// Type of a metadata value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// 8-bit unsigned.
    U8,
    /// 8-bit signed.
    I8,
    /// 16-bit unsigned.
    U16,
    /// 16-bit signed.
    I16,
    /// 32-bit unsigned.
    U32,
    /// 32-bit signed.
    I32,
    /// 32-bit float.
    F32,
    /// One byte, 0 or 1.
    Bool,
    /// Length and bytes.
    String,
    /// Element type, length and elements.
    Array,
    /// 64-bit unsigned.
    U64,
    /// 64-bit signed.
    I64,
    /// 64-bit float.
    F64,
}

impl ValueType {
    /// The type that `number` stands for.
    pub fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::String,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes that a value takes; `None` where they vary.
    pub fn size(self) -> Option<u8> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }

    /// The whole number that `bytes` hold in this type, if it is one.
    pub fn integer(self, bytes: &[u8]) -> Option<i128> {
        Some(match self {
            Self::U8 => u8::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::I8 => i8::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::U16 => u16::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::I16 => i16::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::U32 => u32::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::I32 => i32::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::U64 => u64::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::I64 => i64::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::F32 | Self::F64 | Self::Bool | Self::String | Self::Array => return None,
        })
    }
}

/// How a tensor's elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorType {
    /// Name as `llama.cpp` writes it, for example `Q4_K`.
    pub name: &'static str,
    /// Elements in a block. Rows are whole blocks.
    pub block: u64,
    /// Bytes of a block.
    pub bytes: u64,
}

/// What a tensor type number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorTypeNumber {
    /// A type in use.
    Known(TensorType),
    /// A type that ggml removed, by the name it had.
    Removed(&'static str),
    /// No type that existed when this was written.
    Unknown,
}

/// Numbers from here on are unknown (`GGML_TYPE_COUNT`).
pub const TYPE_COUNT: u32 = 43;

/// Looks a tensor type number up, as of llama.cpp in autumn 2026 (`ggml.h`, `ggml-common.h`).
pub fn tensor_type(number: u32) -> TensorTypeNumber {
    let (name, block, bytes) = match number {
        0 => ("F32", 1, 4),
        1 => ("F16", 1, 2),
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        9 => ("Q8_1", 32, 36),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        20 => ("IQ4_NL", 32, 18),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        24 => ("I8", 1, 1),
        25 => ("I16", 1, 2),
        26 => ("I32", 1, 4),
        27 => ("I64", 1, 8),
        28 => ("F64", 1, 8),
        29 => ("IQ1_M", 256, 56),
        30 => ("BF16", 1, 2),
        34 => ("TQ1_0", 256, 54),
        35 => ("TQ2_0", 256, 66),
        39 => ("MXFP4", 32, 17),
        40 => ("NVFP4", 64, 36),
        41 => ("Q1_0", 128, 18),
        42 => ("Q2_0", 64, 18),
        4 => return TensorTypeNumber::Removed("Q4_2"),
        5 => return TensorTypeNumber::Removed("Q4_3"),
        31 => return TensorTypeNumber::Removed("Q4_0_4_4"),
        32 => return TensorTypeNumber::Removed("Q4_0_4_8"),
        33 => return TensorTypeNumber::Removed("Q4_0_8_8"),
        36 => return TensorTypeNumber::Removed("IQ4_NL_4_4"),
        37 => return TensorTypeNumber::Removed("IQ4_NL_4_8"),
        38 => return TensorTypeNumber::Removed("IQ4_NL_8_8"),
        _ => return TensorTypeNumber::Unknown,
    };
    TensorTypeNumber::Known(TensorType { name, block, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_count_is_decided_and_none_above() {
        for number in 0..TYPE_COUNT {
            assert_ne!(tensor_type(number), TensorTypeNumber::Unknown, "{number}");
        }
        assert_eq!(tensor_type(TYPE_COUNT), TensorTypeNumber::Unknown);
        assert_eq!(tensor_type(u32::MAX), TensorTypeNumber::Unknown);
    }

    /// Bits per weight as published for the quantisations, which pins block and byte sizes together.
    #[test]
    fn bits_per_weight_are_the_published_ones() {
        let bits: Vec<_> = [2, 8, 10, 11, 12, 13, 14, 16, 19, 23, 29, 34, 35, 39]
            .map(|number| match tensor_type(number) {
                TensorTypeNumber::Known(kind) => (kind.bytes * 8 * 10000) / kind.block,
                other => panic!("{number}: {other:?}"),
            })
            .to_vec();
        assert_eq!(
            bits,
            [
                45_000, 85_000, 26_250, 34_375, 45_000, 55_000, 65_625, 20_625, 15_625, 42_500, 17_500,
                16_875, 20_625, 42_500
            ]
        );
    }

    #[test]
    fn integers_are_read_in_their_width_and_sign() {
        assert_eq!(ValueType::I8.integer(&[0xff]), Some(-1));
        assert_eq!(ValueType::U8.integer(&[0xff]), Some(255));
        assert_eq!(ValueType::U64.integer(&[0xff; 8]), Some(u64::MAX.into()));
        assert_eq!(ValueType::F32.integer(&[0; 4]), None);
        assert_eq!(ValueType::U32.integer(&[0; 3]), None);
    }
}
