//! Files of other kinds that are pickles besides are refused, and those that merely begin like one are not.

use holdfast_formats::FileInspector;

/// A program in opcodes that are text: it calls what is on no list of dangerous things.
const PROGRAM: &[u8] = b"cdataclasses\n_create_fn\n(S'f'\n(S'x=1'\nl(S'pass'\nltR.";

fn ids(name: &str, bytes: &[u8]) -> Vec<String> {
    let mut all: Option<Vec<String>> = None;
    for size in [1, 7, bytes.len().max(1)] {
        let mut inspector = FileInspector::new(name);
        for chunk in bytes.chunks(size) {
            inspector.feed(chunk);
        }
        let findings = inspector.finish().findings.into_parts().0;
        let ids: Vec<_> = findings.into_iter().map(|finding| finding.id).collect();
        assert_eq!(all.get_or_insert_with(|| ids.clone()), &ids);
    }
    all.unwrap_or_default()
}

/// A safetensors file whose header is as long as an opcode's number, and ends in opcodes.
fn safetensors(data: &[u8]) -> Vec<u8> {
    let header = |blanks: usize| {
        let blanks = " ".repeat(blanks);
        let size = data.len();
        format!("{{\"w\":{{\"dtype\":\"U8\",\"shape\":[{size}],\"data_offsets\":[{blanks}0,{size}\n]}}}}")
    };
    let header = (0..256)
        .map(header)
        .find(|header| header.len() % 256 == usize::from(b'V'));
    let header = header.unwrap_or_default();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn a_model_that_is_a_pickle_besides_is_refused() {
    assert!(ids("model.bin", &safetensors(PROGRAM)).contains(&"HF-FMT-005".to_owned()));
    // An import is enough where nothing looks like one by accident, also without the end of its line.
    for data in [&b"cdataclasses\nx\n"[..], b"cdataclasses\nxy"] {
        assert!(ids("model.bin", &safetensors(data)).contains(&"HF-FMT-005".to_owned()));
    }
    for data in [
        &b"\0\0\0\0"[..],
        b"c\0\0\n\n",
        b"cnot a name\nx\n",
        b"V\n",
        b"I12 apples\ncdataclasses\nx\n",
    ] {
        let ids = ids("model.bin", &safetensors(data));
        assert!(!ids.contains(&"HF-FMT-005".to_owned()), "{ids:?}");
    }
}

#[test]
fn a_text_that_is_a_pickle_besides_is_refused() {
    let long = [&b"V"[..], &vec![b'a'; 70_000], b"\n", PROGRAM].concat();
    assert!(ids("README", &long).contains(&"HF-FMT-005".to_owned()));
    let legacy = [&b"L119547037146038801333356L\n.I1001\n.}."[..], PROGRAM].concat();
    assert!(ids("README", &legacy).contains(&"HF-FMT-005".to_owned()));
    for text in [
        "Vase\ncat\ndog\nmat\n",
        "cos\nsin\ntan\n",
        "V\nI\nS\n",
        "Install\nconfigure\nmake\n",
        "It is a model.\ncos\nsystem\n(R.",
        "Numbers\n",
        "(c) 2024 The authors\n",
    ] {
        let ids = ids("vocab.txt", text.as_bytes());
        assert!(!ids.contains(&"HF-FMT-005".to_owned()), "{text}: {ids:?}");
    }
}

#[test]
fn a_pickle_without_end_is_none_of_these() {
    let endless = [&b"N0".repeat(600_000)[..], b"\n"].concat();
    assert!(ids("README", &endless).contains(&"HF-FMT-005".to_owned()));
}

#[test]
fn a_model_that_is_hdf5_besides_is_refused() {
    let file = |before: usize| {
        let mut data = vec![0; before];
        data.extend_from_slice(b"\x89HDF\r\n\x1a\n");
        data.resize(4096, 0);
        let header = format!(
            "{:504}",
            format!("{{\"w\":{{\"dtype\":\"U8\",\"shape\":[4096],\"data_offsets\":[0,4096]}}}}")
        );
        [&504_u64.to_le_bytes(), header.as_bytes(), &data].concat()
    };
    for before in [0, 512, 1536] {
        assert!(
            ids("model.h5", &file(before)).contains(&"HF-FMT-005".to_owned()),
            "{before}"
        );
    }
    for before in [8, 1024] {
        assert!(
            !ids("model.h5", &file(before)).contains(&"HF-FMT-005".to_owned()),
            "{before}"
        );
    }
}
