//! The inspectors for pictures: the first byte chooses the kind.

#![no_main]

use holdfast_formats::picture::Picture;
use holdfast_formats_fuzz::inspect;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let kind = if kind % 2 == 0 {
        Picture::png
    } else {
        Picture::jpeg
    };
    inspect(bytes, 64 << 10, 1, kind);
});
