//! The inspector of the index of a TensorFlow checkpoint alone.

#![no_main]

use holdfast_formats::tensorflow::CheckpointIndex;
use holdfast_formats_fuzz::{inspect, mutators};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|bytes: &[u8]| {
    inspect(bytes, 1 << 20, u64::MAX, CheckpointIndex::default);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate_table(data, size, max_size, seed)
});
