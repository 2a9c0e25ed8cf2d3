//! The GGUF file (version 3) of a `LLaMA` network as llama.cpp reads it.
//!
//! Matrices are stored as `Q8_0`, gains as `F32`. Query and key weights need no reordering: the network turns
//! neighbouring pairs, as llama.cpp does for this architecture.

mod quantize;
mod read;
mod write;

pub use read::{ReadError, read};
pub use write::write;

/// File magic.
const MAGIC: [u8; 4] = *b"GGUF";
/// Version of the format.
const VERSION: u32 = 3;
/// Tensor data begins, and each tensor begins, at a multiple of this.
const ALIGNMENT: usize = 32;

/// The most bytes a guide model may have.
pub const MAX_BYTES: usize = 4 << 20;

/// Kinds of metadata values that the file uses.
mod kind {
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
}

/// Kinds of tensors that the file uses.
mod tensor {
    pub const F32: u32 = 0;
    pub const Q8_0: u32 = 8;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Config, Layout};
    use crate::random::Random;
    use crate::tokenizer::learn;
    use crate::training::Trained;

    pub fn small() -> Trained {
        let tokenizer = Arc::new(learn(&[("what is holdfast".to_owned(), 5)], 270));
        let config = Config {
            vocabulary: tokenizer.len(),
            width: 64,
            blocks: 2,
            heads: 2,
            kv_heads: 1,
            hidden: 96,
            context: 64,
        };
        let parameters = Layout::new(&config).initial(&mut Random::new(1, 0));
        Trained {
            tokenizer,
            config,
            parameters,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let trained = small();
        let bytes = write(&trained);
        let back = read(&bytes).unwrap();
        assert_eq!(back.config, trained.config);
        assert_eq!(back.tokenizer.merges(), trained.tokenizer.merges());
        for (name, slot) in Layout::new(&trained.config).tensors() {
            let (was, is) = (slot.of(&trained.parameters), slot.of(&back.parameters));
            let most = was.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let bound = if slot.is_matrix() { most / 127.0 } else { 0.0 };
            assert!(was.iter().zip(is).all(|(a, b)| (a - b).abs() <= bound), "{name}");
        }
        assert_eq!(
            write(&back),
            bytes,
            "a file that is read and written stays the same"
        );
    }

    #[test]
    fn refuses_a_file_cut_or_extended_anywhere() {
        let bytes = write(&small());
        for length in (0..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
            assert!(read(&bytes[..length]).is_err(), "cut to {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(read(&longer), Err(ReadError::Trailing { .. })));
    }

    #[test]
    fn refuses_padding_that_is_not_zero() {
        let mut bytes = write(&small());
        let (start, _) = read::padding(&bytes).expect("this file has padding before its tensors");
        bytes[start] = 1;
        assert!(matches!(read(&bytes), Err(ReadError::Padding { .. })));
    }
}
