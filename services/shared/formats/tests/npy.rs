//! NumPy arrays: the header decides how many bytes follow, and objects are pickles.

mod common;

use common::{findings, ids, inspect, inspect_in};
use holdfast_formats::testing::{Assembler, weights};

fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{header}{}\n", " ".repeat(20));
    let length = u32::try_from(header.len()).unwrap_or(0).to_le_bytes();
    let length = if version == 1 { &length[..2] } else { &length[..] };
    [b"\x93NUMPY", &[version, 0][..], length, header.as_bytes(), data].concat()
}

fn plain(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy(
        1,
        &format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"),
        data,
    )
}

#[test]
fn arrays_of_numbers_are_admitted_with_a_note() {
    let array = plain("'<f4'", "(2, 3)", &weights(24));
    assert_eq!(inspect(&array).format.name(), "npy");
    assert_eq!(ids(&array), ["HF-NPY-007"]);
    assert_eq!(inspect(&array).facts.unwrap().parameters, 6);
    assert_eq!(ids(&plain("'<U3'", "(1,)", &[0; 12])), ["HF-NPY-007"]);
    assert_eq!(ids(&plain("'|b1'", "()", &[1])), ["HF-NPY-007"]);
    assert_eq!(
        ids(&plain("[('a', '<f4'), ('b', '|i1', (2,))]", "(2,)", &[0; 12])),
        ["HF-NPY-007"]
    );
    for version in [2, 3] {
        let header = "{'descr': '<i8', 'fortran_order': True, 'shape': (1,), }";
        assert_eq!(ids(&npy(version, header, &[0; 8])), ["HF-NPY-007"]);
    }
}

#[test]
fn bytes_and_header_must_agree() {
    assert_eq!(ids(&plain("'<f4'", "(2, 3)", &[0; 23])), ["HF-NPY-004"]);
    assert_eq!(ids(&plain("'<f4'", "(2, 3)", &[0; 25])), ["HF-NPY-005"]);
    assert_eq!(
        ids(&plain("'<f4'", "(4294967296, 4294967296)", &[])),
        ["HF-NPY-003"]
    );
    assert_eq!(ids(&plain("'<q9'", "(1,)", &[])), ["HF-NPY-002"]);
    assert_eq!(ids(&plain("'<f4'", "(1,)", &[0; 4])[..20]), ["HF-NPY-004"]);
}

#[test]
fn headers_are_strict() {
    for header in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "__import__('os').system('id')",
    ] {
        assert_eq!(ids(&npy(1, header, &[0; 4])), ["HF-NPY-001"], "{header}");
    }
    assert_eq!(ids(&npy(9, "{}", &[])), ["HF-NPY-001"]);
}

#[test]
fn objects_are_inspected_as_the_pickle_they_are() {
    let good = Assembler::protocol(3)
        .raw(b"](")
        .text("a")
        .int(1)
        .raw(b"e")
        .stop();
    assert_eq!(ids(&plain("'|O'", "(2,)", &good)), ["HF-NPY-006", "HF-NPY-007"]);
    let bad = Assembler::protocol(3)
        .global("os", "system")
        .text("id")
        .raw(b"\x85R")
        .stop();
    let found = findings(&plain("[('a', '<f4'), ('b', '|O')]", "(2,)", &bad));
    assert_eq!(found[0].id, "HF-PKL-001");
    assert_eq!(
        ids(&plain("'|O'", "(2,)", &[good, vec![0]].concat())),
        ["HF-PKL-012", "HF-PKL-009", "HF-NPY-006"]
    );
}

#[test]
fn no_cut_changes_the_outcome() {
    let array = plain(
        "'|O'",
        "(1,)",
        &Assembler::protocol(3).global("os", "system").stop(),
    );
    let whole = inspect(&array).findings;
    for size in 1..array.len() {
        assert_eq!(inspect_in(&array, size).findings, whole, "pieces of {size}");
    }
}
