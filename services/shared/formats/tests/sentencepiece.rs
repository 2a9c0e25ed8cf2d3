//! SentencePiece tokenizers: what is accepted, and every single way to be wrong with the id it gets.

mod common;

use common::{findings, ids, inspect, inspect_in};
use holdfast_formats::testing::Proto;
use holdfast_formats::testing::sentencepiece::{charsmap, model, normalizer, piece, small};
use holdfast_formats::{FileInspector, Format};

const ADMITTED: [&str; 1] = ["HF-DOC-009"];

fn ids_of(proto: &Proto) -> Vec<String> {
    ids(&proto.build())
}

/// A tokenizer with one piece besides an ordinary one.
fn with(piece: Proto) -> Proto {
    model(&[self::piece("<unk>", 0.0, 2), piece], &normalizer(b""))
}

fn named(name: &str, bytes: &[u8]) -> Vec<String> {
    let mut inspector = FileInspector::new(name);
    inspector.feed(bytes);
    let findings = inspector.finish().findings.into_parts().0;
    findings.into_iter().map(|finding| finding.id).collect()
}

#[test]
fn an_ordinary_tokenizer_is_admitted_as_what_goes_with_a_model() {
    let bytes = small().build();
    assert_eq!(inspect(&bytes).format, Format::Sentencepiece);
    let found = findings(&bytes);
    assert_eq!(ids(&bytes), ADMITTED);
    assert!(found[0].message.contains("no model itself"));
    for name in [
        "tokenizer.model",
        "spiece.model",
        "sentencepiece.bpe.model",
        "source.spm",
    ] {
        assert_eq!(named(name, &bytes), ADMITTED, "{name}");
    }
}

#[test]
fn further_parts_that_the_library_knows_pass() {
    let samples = Proto::new().message(1, &Proto::new().text(1, "a b").text(2, "a b"));
    assert_eq!(ids_of(&small().message(4, &samples)), ADMITTED);
    assert_eq!(ids_of(&small().message(5, &normalizer(b""))), ADMITTED);
    let newer = Proto::new()
        .int(50, 0)
        .raw(b"\x9d\x03\0\0\0\0")
        .int(52, 0)
        .text(53, "")
        .text(54, "");
    let whole = Proto::new()
        .message(1, &piece("a", 0.0, 1))
        .message(2, &newer)
        .message(3, &normalizer(b""));
    assert_eq!(ids_of(&whole), ADMITTED);
}

#[test]
fn under_the_name_of_a_model_it_is_refused() {
    let bytes = small().build();
    for (name, id) in [
        ("model.safetensors", "HF-FMT-015"),
        ("model.gguf", "HF-FMT-015"),
        ("model.onnx", "HF-FMT-017"),
        ("saved_model.pb", "HF-FMT-017"),
    ] {
        assert!(
            named(name, &bytes).iter().any(|found| found == id),
            "{name}: {:?}",
            named(name, &bytes)
        );
    }
}

#[test]
fn what_no_field_is_for_is_refused_wherever_it_is() {
    let unknown = |proto: Proto| [proto.clone().text(200, "x"), proto.text(99, "x")];
    let inner = unknown(piece("a", 0.0, 1)).map(with);
    let specs = unknown(normalizer(b"")).map(|spec| model(&[piece("a", 0.0, 1)], &spec));
    for proto in unknown(small()).into_iter().chain(inner).chain(specs) {
        assert_eq!(ids_of(&proto), ["HF-SPM-002"]);
    }
}

#[test]
fn pieces_are_short_texts_with_a_number() {
    let long = "a".repeat(1025);
    for wrong in [
        piece("", 0.0, 1),
        piece(&long, 0.0, 1),
        piece("a", f32::NAN, 1),
        piece("a", f32::NEG_INFINITY, 1),
        piece("a", 0.0, 0),
        piece("a", 0.0, 7),
        Proto::new().raw(b"\x15\0\0\0\0"),
        Proto::new().bytes(1, b"a\xff").raw(b"\x15\0\0\0\0"),
    ] {
        assert_eq!(ids_of(&with(wrong.clone())), ["HF-SPM-004"], "{wrong:?}");
    }
    assert_eq!(ids_of(&with(Proto::new().text(1, "a"))), ADMITTED);
}

#[test]
fn what_is_there_twice_or_no_text_is_refused() {
    assert_eq!(ids_of(&small().message(3, &normalizer(b""))), ["HF-SPM-003"]);
    assert_eq!(ids_of(&with(piece("a", 0.0, 1).text(1, "b"))), ["HF-SPM-003"]);
    let samples = Proto::new().message(1, &Proto::new().bytes(1, b"\xc3"));
    assert_eq!(ids_of(&small().message(4, &samples)), ["HF-SPM-005"]);
}

#[test]
fn a_table_of_characters_stays_within_itself() {
    let judged = |table: &[u8]| ids_of(&model(&[piece("a", 0.0, 1)], &normalizer(table)));
    assert_eq!(judged(b""), ADMITTED);
    assert_eq!(judged(&charsmap()), ADMITTED);
    let mut beyond = charsmap();
    beyond[8..12].copy_from_slice(&(1_u32 << 20).to_le_bytes());
    let mut leaf = charsmap();
    leaf[8..12].copy_from_slice(&(1_u32 << 31 | 2).to_le_bytes());
    let mut open = charsmap();
    open.extend(b"x");
    for table in [&beyond[..], &leaf, &open, &[0; 3], &[9, 0, 0, 0, 1, 2]] {
        assert_eq!(judged(table), ["HF-SPM-006"]);
        let other = Proto::new().bytes(2, table);
        assert_eq!(ids_of(&small().message(5, &other)), ["HF-SPM-006"]);
    }
}

#[test]
fn what_is_cut_off_or_more_than_a_tokenizer_is_refused() {
    let bytes = small().build();
    let from = bytes.len() - 900;
    for length in [from, bytes.len() - 1] {
        assert_eq!(ids(&bytes[..length]), ["HF-SPM-001"], "{length}");
    }
    assert!(
        findings(&[&bytes[..], b"\0"].concat())
            .iter()
            .any(|finding| finding.id == "HF-SPM-001")
    );
    let wrong_kind = Proto::new().message(1, &piece("a", 0.0, 1)).int(3, 1);
    assert_eq!(ids_of(&wrong_kind), ["HF-SPM-001"]);
}

#[test]
fn very_many_pieces_are_refused() {
    let one = Proto::new().message(1, &Proto::new().text(1, "a")).build();
    let many = [small().build(), one.repeat(1 << 20)].concat();
    assert_eq!(ids(&many), ["HF-SPM-007"]);
}

#[test]
fn no_cut_changes_the_outcome() {
    let mut broken = charsmap();
    broken[700] = 0xff;
    for proto in [
        small(),
        with(piece("a", f32::INFINITY, 9)),
        model(&[piece("a", 0.0, 1)], &normalizer(&broken)),
    ] {
        let bytes = proto.build();
        let whole = findings(&bytes);
        for size in [1, 3, 7] {
            assert_eq!(inspect_in(&bytes, size).findings.into_parts().0, whole);
        }
    }
}
