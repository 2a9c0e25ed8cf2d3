//! A pickle of very many tensors is followed within the memory that a worker has.
//!
//! A test binary of its own, so that what it takes is what this takes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use holdfast_formats::Inspector;
use holdfast_formats::pickle::{Context, Pickle};
use holdfast_formats::testing::Assembler;

/// What the inspection may take besides what the program itself has.
const MAX_KIBIBYTES: u64 = 48 << 10;

/// The most memory that was resident at a time, in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Feeds a `state_dict` of `count` tensors as PyTorch pickles it, with every text, tuple and tensor in the memo.
fn inspect(count: u32) -> (bool, usize, bool) {
    let mut pickle = Pickle::new(Context::Member);
    let mut at = 0;
    let mut feed = |bytes: &[u8]| {
        pickle.feed(at, bytes);
        at += bytes.len() as u64;
    };
    feed(
        &Assembler::protocol(2)
            .global("collections", "OrderedDict")
            .raw(b"q\x00)Rq\x01(")
            .cut(),
    );
    let mut memo = 2_u32;
    let mut put = || {
        memo += 1;
        [b"r".as_slice(), &(memo - 1).to_le_bytes()].concat()
    };
    for index in 0..count {
        if index > 0 && index.is_multiple_of(1000) {
            feed(b"u(");
        }
        let (layer, expert) = (index / 768, index / 3 % 256);
        let name = format!(
            "model.layers.{layer}.mlp.experts.{expert}.projection.{}.weight",
            index % 3
        );
        let tensor = Assembler::new()
            .text(&name)
            .raw(&put())
            .global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", "BFloat16Storage")
            .text(&index.to_string())
            .raw(&put())
            .text("cpu")
            .int(6)
            .raw(b"t")
            .raw(&put())
            .raw(b"QK\0")
            .raw(b"K\x02K\x03\x86")
            .raw(&put())
            .raw(b"K\x03K\x01\x86")
            .raw(&put())
            .raw(b"\x89h\0)R")
            .raw(&put())
            .raw(b"t")
            .raw(&put())
            .raw(b"R")
            .raw(&put());
        feed(&tensor.cut());
    }
    feed(b"u.");
    let (findings, summary) = pickle.conclude(at);
    (findings.refuse(), summary.tensors.len(), summary.complete)
}

#[test]
fn a_hundred_thousand_tensors_fit_and_a_million_are_refused() {
    let before = peak();
    assert_eq!(inspect(100_000), (false, 100_000, true));
    let (refused, ..) = inspect(1_000_000);
    assert!(refused);
    let Some((before, after)) = before.zip(peak()) else {
        println!(
            "[skipped] a_hundred_thousand_tensors_fit_and_a_million_are_refused: no /proc to read the memory from"
        );
        return;
    };
    println!(
        "[measured] {} KiB for 100 000 tensors and what is refused",
        after - before
    );
    assert!(after - before < MAX_KIBIBYTES, "{} KiB", after - before);
}
