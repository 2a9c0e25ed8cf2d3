//! The one pass: digests, sizes that change, errors, limits.

#![expect(clippy::panic, reason = "a step that fails is a test that fails")]

use std::io::{Error, ErrorKind, Read};

use holdfast_contract::Digest;
use holdfast_contract::limits::MAX_ARTIFACT_BYTES;
use holdfast_contract::report::{Report, Verdict};
use holdfast_formats::testing::{GgufBuilder, SafetensorsBuilder, weights};
use holdfast_formats::{FileInspector, Findings, Found, Inspector, Place, rules};
use holdfast_inspection::inspect;
use holdfast_inspection::pipeline::{CHUNK_BYTES, inspect_with};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

fn id(report: &Report) -> &str {
    assert_eq!(report.verdict, Verdict::Refuse);
    assert_eq!(
        report.sha256, None,
        "a file that was not read to its end has no digest"
    );
    &report.findings[0].id
}

/// Gives bytes as an uneven reader would: few at a time, sometimes interrupted.
struct Uneven<'a> {
    rest: &'a [u8],
    step: usize,
    calls: usize,
}

impl Read for Uneven<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(7) {
            return Err(Error::from(ErrorKind::Interrupted));
        }
        let take = self.step.min(buffer.len()).min(self.rest.len());
        let (head, rest) = self.rest.split_at(take);
        buffer[..take].copy_from_slice(head);
        self.rest = rest;
        Ok(take)
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(Error::other("the disk is on fire"))
    }
}

struct Untouchable;

impl Read for Untouchable {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        panic!("it was read")
    }
}

#[test]
fn the_digest_is_that_of_every_byte() {
    for length in [
        1,
        100,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        9 * CHUNK_BYTES + 17,
    ] {
        let bytes = weights(length);
        for size in [None, Some(length as u64)] {
            let report = inspect(bytes.as_slice(), size, "x", |_| ());
            assert_eq!(report.sha256, Some(sha256(&bytes)), "{length} {size:?}");
            assert_eq!(report.size_bytes, length as u64);
        }
    }
}

#[test]
fn an_ordinary_model_is_admitted_with_its_facts() {
    let bytes = GgufBuilder::llama().build().bytes;
    let report = inspect(bytes.as_slice(), Some(bytes.len() as u64), "tiny.gguf", |_| ());
    assert_eq!((report.verdict, report.format.as_str()), (Verdict::Admit, "gguf"));
    assert_eq!(report.sha256, Some(sha256(&bytes)));
    assert_eq!(report.model.unwrap().name.as_deref(), Some("Tiny Llama"));
}

#[test]
fn an_empty_file_has_a_digest_and_is_refused() {
    let report = inspect([].as_slice(), Some(0), "x", |_| ());
    assert_eq!(report.sha256, Some(sha256(b"")));
    assert_eq!(
        (report.format.as_str(), report.verdict),
        ("empty", Verdict::Refuse)
    );
}

#[test]
fn uneven_readers_change_nothing() {
    let bytes = [GgufBuilder::llama().build().bytes, weights(3 * CHUNK_BYTES)].concat();
    let whole = inspect(bytes.as_slice(), None, "m", |_| ());
    for step in [1000, 4093, CHUNK_BYTES / 2 + 1] {
        let reader = Uneven {
            rest: &bytes,
            step,
            calls: 0,
        };
        assert_eq!(inspect(reader, Some(bytes.len() as u64), "m", |_| ()), whole);
    }
}

#[test]
fn progress_grows_to_the_size() {
    let bytes = weights(4 * CHUNK_BYTES + 5);
    let mut heard = Vec::new();
    inspect(bytes.as_slice(), None, "x", |done| heard.push(done));
    assert!(heard.is_sorted());
    assert_eq!(heard.last(), Some(&(bytes.len() as u64)));
    assert_eq!(heard.len(), 5);
}

#[test]
fn a_file_of_another_size_than_before_has_changed() {
    for length in [1000, 5 * CHUNK_BYTES] {
        let bytes = weights(length);
        let length = length as u64;
        assert_eq!(
            id(&inspect(bytes.as_slice(), Some(length - 1), "x", |_| ())),
            "HF-IO-003"
        );
        assert_eq!(
            id(&inspect(bytes.as_slice(), Some(length + 1), "x", |_| ())),
            "HF-IO-004"
        );
        assert!(
            inspect(bytes.as_slice(), Some(length), "x", |_| ())
                .sha256
                .is_some()
        );
    }
}

#[test]
fn a_file_that_never_stops_growing_is_left_alone() {
    let endless = std::io::repeat(b'x');
    assert_eq!(
        id(&inspect(endless, Some(CHUNK_BYTES as u64 * 3), "x", |_| ())),
        "HF-IO-003"
    );
}

#[test]
fn a_read_error_is_a_refusal_that_names_the_place() {
    let start = weights(2 * CHUNK_BYTES);
    let report = inspect(start.as_slice().chain(Failing), None, "x", |_| ());
    assert_eq!(id(&report), "HF-IO-002");
    assert!(
        report.findings[0].message.contains("the disk is on fire"),
        "{report:?}"
    );
}

#[test]
fn a_file_above_the_limit_is_not_read() {
    let report = inspect(Untouchable, Some(MAX_ARTIFACT_BYTES + 1), "x", |_| ());
    assert_eq!(id(&report), "HF-IO-001");
    assert_eq!(report.size_bytes, MAX_ARTIFACT_BYTES + 1);
    assert_eq!(report.format, "unknown");
}

/// Counts bytes, and finds something at the end.
#[derive(Default)]
struct Counter {
    next: u64,
}

impl Inspector for Counter {
    fn feed(&mut self, at: u64, chunk: &[u8]) {
        assert_eq!(at, self.next, "chunks are consecutive");
        self.next += chunk.len() as u64;
    }

    fn finish(self: Box<Self>, size: u64) -> Found {
        assert_eq!(size, self.next, "every byte was seen");
        let mut findings = Findings::default();
        findings.add(&rules::FMT_NAME, Place::at(size), "seen");
        Found {
            findings,
            ..Found::default()
        }
    }
}

#[test]
fn further_inspectors_see_the_same_bytes() {
    let bytes = [
        SafetensorsBuilder::small().build().bytes,
        weights(3 * CHUNK_BYTES),
    ]
    .concat();
    let inspector = FileInspector::new("x")
        .with(Box::new(Counter::default()))
        .with(Box::new(Counter::default()));
    let report = inspect_with(bytes.as_slice(), None, inspector, |_| ());
    let seen = report.findings.iter().filter(|finding| finding.message == "seen");
    assert_eq!(seen.count(), 2);
    assert!(report.findings.iter().any(|finding| finding.id == "HF-ST-016"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn any_file_read_in_any_way_gets_its_digest(bytes in prop::collection::vec(any::<u8>(), 0..5000), step in 1..3000_usize) {
        let reader = Uneven { rest: &bytes, step, calls: 0 };
        prop_assert_eq!(inspect(reader, None, "x", |_| ()).sha256, Some(sha256(&bytes)));
    }
}
