//! Mutators: libFuzzer's own changes, then the lengths and checksums that would only tell that something was changed are made right
//! again. One input in four stays as it is, because wrong ones matter too.

mod archives;
mod header;
mod protobuf;
mod sevenzip;
mod table;

use crate::Random;

pub use archives::{gzip, tar, zip};
pub use header::{npy, safetensors};
pub use protobuf::protobuf;
pub use sevenzip::seven_zip;
pub use table::table;

/// What makes an input consistent. It may change the length.
pub type Repair = fn(&mut Vec<u8>, &mut Random);

/// Changes the first `size` bytes of `data` and repairs the result; `max_size` bounds it. Returns the new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32, repair: Repair) -> usize {
    let mut random = Random::new(seed);
    let changed = libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    if random.once_in(4) {
        return changed;
    }
    repaired(data, changed, max_size, |bytes| repair(bytes, &mut random))
}

/// Changes fields of a protocol buffer as a tree, or its bytes.
pub fn mutate_protobuf(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    mutate_whole(data, size, max_size, seed, protobuf)
}

/// Changes entries of a sorted table, or its bytes.
pub fn mutate_table(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    mutate_whole(data, size, max_size, seed, table)
}

/// Changes a part of a 7z archive, or its bytes.
pub fn mutate_seven_zip(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    mutate_whole(data, size, max_size, seed, seven_zip)
}

/// Changes what the bytes stand for, or, one time in four, the bytes.
fn mutate_whole(data: &mut [u8], size: usize, max_size: usize, seed: u32, change: Repair) -> usize {
    let mut random = Random::new(seed);
    if random.once_in(4) {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    repaired(data, size, max_size, |bytes| change(bytes, &mut random))
}

fn repaired(data: &mut [u8], size: usize, max_size: usize, repair: impl FnOnce(&mut Vec<u8>)) -> usize {
    let mut bytes = data.get(..size).unwrap_or_default().to_vec();
    repair(&mut bytes);
    bytes.truncate(max_size);
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
}

/// libFuzzer's change to some bytes that are part of a whole.
fn change(bytes: &mut Vec<u8>) {
    let size = bytes.len();
    let max_size = size + 64;
    bytes.resize(max_size, 0);
    let size = libfuzzer_sys::fuzzer_mutate(bytes, size, max_size);
    bytes.truncate(size);
}
