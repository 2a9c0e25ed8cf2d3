//! Everything together, as the pipeline runs it: detection, the inspector that follows from it, and the end of the file. The input
//! begins with the file's name, up to the first line feed.

#![no_main]

use holdfast_formats::FileInspector;
use holdfast_formats_fuzz::{cuts, judge, memory, run};
use libfuzzer_sys::fuzz_target;

const BOUND: usize = 64 << 20;

fuzz_target!(init: memory::unwind_when_exhausted(), |input: &[u8]| {
    let at = input.iter().take(256).position(|byte| *byte == b'\n').unwrap_or(0);
    let (name, bytes) = input.split_at(at);
    let name = String::from_utf8_lossy(name);
    let bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
    memory::confined(BOUND, || {
        let (_, (findings, _), facts) = cuts(bytes, |pieces| run(FileInspector::new(&name), pieces));
        judge(&findings, facts.as_ref(), bytes.len() as u64, u64::MAX);
    });
});
