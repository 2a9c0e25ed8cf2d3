//! Conversion: what is made of a checkpoint has the size that was announced, and is a safetensors file that is admitted.

#![no_main]

use std::io::{Result, Write};

use holdfast_contract::report::Verdict;
use holdfast_formats::FileInspector;
use holdfast_formats::bytes::in_memory;
use holdfast_formats::finding::verdict;
use holdfast_formats_fuzz::{memory, mutators};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// The inspection, the plan, and the blocks that gathering keeps.
const BOUND: usize = 64 << 20;
/// Larger results are planned and not written: repeated views make a little file a long one.
const MAX_WRITTEN: u64 = 4 << 20;

struct Inspected(FileInspector, u64);

impl Write for Inspected {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.feed(bytes);
        self.1 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fuzz_target!(init: memory::unwind_when_exhausted(), |bytes: &[u8]| {
    let mut peek = in_memory(bytes);
    memory::bounded(BOUND, || {
        let mut inspector = FileInspector::new("x").looking_ahead(bytes.len() as u64, &mut peek);
        inspector.feed(bytes);
        let found = inspector.finish();
        let refused = verdict(&found.findings.into_parts().0).0 == Verdict::Refuse;
        let Some(Ok(plan)) = found.weights.map(|weights| weights.plan()) else { return };
        if plan.bytes() > MAX_WRITTEN {
            return;
        }
        let mut out = Inspected(FileInspector::new("x.safetensors"), 0);
        match plan.write(&mut peek, &mut out) {
            Ok(()) => {
                assert_eq!(out.1, plan.bytes());
                let outcome = out.0.finish();
                let (findings, _) = outcome.findings.into_parts();
                assert_eq!(outcome.format.name(), "safetensors");
                assert_ne!(verdict(&findings).0, Verdict::Refuse, "{findings:?}");
                assert_eq!(outcome.facts.map(|facts| facts.tensors), Some(plan.tensors()));
            }
            Err(error) => assert!(refused, "an admitted file cannot be converted: {error}"),
        }
    });
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutators::mutate(data, size, max_size, seed, mutators::zip)
});
