//! The inspector of SentencePiece tokenizers alone.

#![no_main]

use holdfast_formats::sentencepiece::Sentencepiece;
use holdfast_formats_fuzz::{inspect, mutators};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|bytes: &[u8]| {
    inspect(bytes, 1 << 20, 0, Sentencepiece::default);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate_protobuf(data, size, max_size, seed)
});
