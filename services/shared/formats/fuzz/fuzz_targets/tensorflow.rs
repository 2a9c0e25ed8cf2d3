//! The TensorFlow inspectors alone, taking each input for a saved model, for a frozen graph, and for what lies beside a saved model.

#![no_main]

use holdfast_formats::tensorflow::{Fingerprint, KerasMetadata, Tensorflow};
use holdfast_formats_fuzz::{inspect, mutators};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|bytes: &[u8]| {
    // A constant may be written as one element that fills it, so that its bytes do not bound its size.
    inspect(bytes, 4 << 20, u64::MAX, Tensorflow::saved_model);
    inspect(bytes, 4 << 20, u64::MAX, Tensorflow::graph);
    inspect(bytes, 1 << 20, 0, Fingerprint::default);
    inspect(bytes, 1 << 20, 0, KerasMetadata::default);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate_protobuf(data, size, max_size, seed)
});
