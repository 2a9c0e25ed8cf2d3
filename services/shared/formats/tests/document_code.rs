//! Ways to have a loader import, open or install something, one by one, and what is merely odd.

use holdfast_contract::report::Verdict;
use holdfast_formats::FileInspector;
use holdfast_formats::finding::verdict;

/// The ids and offsets of what is found, and whether it refuses; the same for every cut.
#[track_caller]
fn found(name: &str, text: &[u8]) -> (Vec<(String, Option<u64>)>, bool) {
    let run = |piece: usize| {
        let mut inspector = FileInspector::new(name);
        for piece in text.chunks(piece) {
            inspector.feed(piece);
        }
        let findings = inspector.finish().findings.into_parts().0;
        let refused = verdict(&findings).0 == Verdict::Refuse;
        let listed: Vec<_> = findings
            .into_iter()
            .map(|finding| (finding.id, finding.offset))
            .collect();
        (listed, refused)
    };
    let whole = run(text.len().max(1));
    for piece in [1, 3, 4096] {
        assert_eq!(run(piece), whole, "{piece}");
    }
    whole
}

/// Name, text, id, and where; an empty mark stands for the whole file.
type Case = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const REFUSED: &[Case] = &[
    // Classes that are imported from a module.
    ("c.json", r#"{"model_type": "x", "architectures": ["evil.Model"]}"#, "HF-DOC-003", "\"evil"),
    ("c.json", r#"{"tokenizer_class": "other/repo--tok.Tokenizer"}"#, "HF-DOC-003", "\"other"),
    ("c.json", r#"{"tokenizer_class": "transformers_modules.x.Tok"}"#, "HF-DOC-003", "\"transformers_m"),
    ("c.json", r#"{"peft_type": "LORA", "auto_mapping": {"base_model_class": "X", "parent_library": "evil"}}"#, "HF-DOC-003", "\"evil"),
    ("c.json", r#"{"peft_type": "LORA", "megatron_core": "os", "megatron_config": {}}"#, "HF-DOC-003", "\"os"),
    ("c.json", r#"{"in_features": 1, "activation_function": "os.system"}"#, "HF-DOC-003", "\"os."),
    ("c.json", r#"{"model_type": "x", "sentence_transformers": {"activation_fn": "torch.hub.load"}}"#, "HF-DOC-003", "\"torch."),
    ("c.json", r#"{"model_type": "x", "quantization_config": {"hook": "evil.hooks.Hook"}}"#, "HF-DOC-003", "\"evil."),
    ("c.json", r#"{"model_type": "x", "py/function": "os.system"}"#, "HF-DOC-003", "\"os."),
    ("c.json", r#"{"model_type": "x", "a": [{"__class__": "os.X"}]}"#, "HF-DOC-003", "\"os."),
    ("c.json", r#"{"model_type": "x", "trust_remote_code": "yes"}"#, "HF-DOC-003", "\"yes"),
    ("c.json", r#"{"model_type": "x", "trust_remote_code": 1}"#, "HF-DOC-003", "1}"),
    ("modules.json", r#"[{"idx": 0, "type": "sentence_transformers.models.Pooling"}, {"idx": 1, "type": "custom_st.Layer"}]"#, "HF-DOC-003", "\"custom"),
    // Programs in other repositories that compute a part of the model.
    ("c.json", r#"{"model_type": "x", "attn_implementation": "evil/kernel"}"#, "HF-DOC-003", "\"evil"),
    ("c.json", r#"{"model_type": "x", "_attn_implementation": "evil/kernel@main:f"}"#, "HF-DOC-003", "\"evil"),
    ("c.json", r#"{"model_type": "x", "text_config": {"_attn_implementation_internal": {"a": "evil/kernel"}}}"#, "HF-DOC-003", "\"evil"),
    ("c.json", r#"{"model_type": "x", "kernel_config": {"RMSNorm": "evil/kernel:RMSNorm"}}"#, "HF-DOC-003", "\"evil"),
    // Programs that PyTorch's compiler starts.
    ("generation_config.json", r#"{"eos_token_id": 1, "compile_config": {"options": {"cpp.cxx": [null, "/tmp/cc"]}}}"#, "HF-DOC-003", "\"/tmp"),
    ("c.json", r#"{"model_type": "x", "compile_config": {"backend": "inductor", "options": {"cpp": {"cxx": "cc"}}}}"#, "HF-DOC-003", "\"cc"),
    // Parts of a pipeline, however the document is disguised.
    ("c.json", r#"{"_class_name": "X", "model_type": "a", "unet": ["my_module", "Net"]}"#, "HF-DOC-003", "\"my_"),
    ("c.json", r#"{"_class_name": "X", "a": ["diffusers", "Y"], "unet": ["Net", "Net"]}"#, "HF-DOC-003", "\"Net"),
    ("model_index.json", r#"{"_class_name": "X", "unet": ["Net", "net"]}"#, "HF-DOC-003", "\"Net"),
    ("c.json", r#"{"unet": ["Evil", "net"], "_class_name": ["Evil", "net"]}"#, "HF-DOC-003", "\"Evil\", \"net\"]}"),
    // Templates.
    ("c.json", r#"{"chat_template": {"vocab": "{{ ''.__class__ }}"}}"#, "HF-TPL-002", "\"{{ "),
    ("c.json", r#"{"model_type": "x", "model": {"note": "{{ ''.__class__ }}"}}"#, "HF-TPL-002", "\"{{ "),
    // Files and machines elsewhere.
    ("modules.json", r#"[{"idx": 0, "path": "../../x", "type": "sentence_transformers.models.Transformer"}]"#, "HF-DOC-004", "\"../"),
    ("c.json", r#"{"model_type": "x", "transformers_weights": "https://evil/x"}"#, "HF-DOC-004", "\"https"),
    ("c.json", r#"{"peft_type": "LORA", "base_model_name_or_path": "https://evil/x"}"#, "HF-DOC-004", "\"https"),
    ("c.json", r#"{"peft_type": "LORA", "base_model_name_or_path": "\\\\host\\share"}"#, "HF-DOC-004", "\"\\\\"),
    ("c.json", r#"{"tokenizer_class": "X", "vocab_file": "//host/share"}"#, "HF-DOC-004", "\"//"),
    // Texts.
    ("requirements.txt", "numpy\n--index-url https://evil/simple\n", "HF-DOC-014", "--index"),
    ("requirements-dev.txt", "x @ git+https://evil/x\n", "HF-DOC-014", "x @"),
    ("a.yaml", "a: !!py%74hon/object/apply:os.system [x]\n", "HF-DOC-003", "!!"),
    ("a.yml", "%TAG !p! tag:yaml.org,2002:pyt\n---\na: !p!hon/name:os.system ''\n", "HF-DOC-003", "%TAG"),
    ("a.yaml", "a: !apply:os.system [x]\n", "HF-DOC-003", "!apply"),
    ("a.yaml", "\"_target_\" : os.system\n", "HF-DOC-003", "_target_"),
    ("a.yaml", "a:\n  target: os.system\n", "HF-DOC-003", "  target"),
    ("setup.cfg", "[metadata]\nname = x\n", "HF-FMT-015", ""),
    ("Dockerfile", "FROM x\n", "HF-FMT-015", ""),
    ("c.json", "{\"model_type\": \"x\"} \x0c", "HF-DOC-001", "\x0c"),
    ("notes.md", "\u{feff}Hello\u{1b}[2J", "HF-DOC-007", "\u{1b}"),
];

#[test]
fn what_has_a_loader_reach_out_is_refused() {
    for (name, text, id, mark) in REFUSED {
        let (listed, refused) = found(name, text.as_bytes());
        let at = text.find(mark).map(|at| at as u64).filter(|_| !mark.is_empty());
        assert!(refused, "{text}: {listed:?}");
        assert!(
            listed.contains(&((*id).to_owned(), at)),
            "{text}: {id} at {at:?} is not in {listed:?}"
        );
    }
}

#[rustfmt::skip]
const NOTED: &[Case] = &[
    ("c.json", r#"{"peft_type": "LORA", "base_model_name_or_path": "/home/me/llama"}"#, "HF-DOC-012", "\"/home"),
    ("c.json", r#"{"peft_type": "LORA", "base_model_name_or_path": "../llama"}"#, "HF-DOC-012", "\".."),
    ("c.json", r#"{"tokenizer_class": "X", "tokenizer_file": "C:\\x"}"#, "HF-DOC-012", "\"C:"),
    ("c.json", r#"{"model_type": "x", "a": "b\u200bc"}"#, "HF-DOC-011", "\"b"),
    ("c.json", r#"{"model_type": "x", "a\u200b": "b"}"#, "HF-DOC-011", "\"a"),
    ("README.md", "Hello\u{200b} there\n", "HF-DOC-011", "\u{200b}"),
    ("requirements.txt", "torch>=2\n# from https://example.org\ntransformers\n", "HF-DOC-013", ""),
];

#[test]
fn what_is_odd_is_noted_and_passes() {
    for (name, text, id, mark) in NOTED {
        let (listed, refused) = found(name, text.as_bytes());
        let at = text.find(mark).map(|at| at as u64).filter(|_| !mark.is_empty());
        assert!(!refused, "{text}: {listed:?}");
        assert!(
            listed.contains(&((*id).to_owned(), at)),
            "{text}: {id} at {at:?} is not in {listed:?}"
        );
        assert!(
            listed.contains(&("HF-DOC-009".to_owned(), None)),
            "{text}: {listed:?}"
        );
    }
}

#[test]
fn no_number_of_parts_hides_one() {
    let junk = r#""p": ["Block", "Block"], "#;
    let numbered = (0..400).map(|index| junk.replacen('p', &format!("p{index}"), 1));
    let junk = numbered.collect::<Vec<_>>().concat();
    let text = format!(r#"{{"_class_name": "X", {junk}"unet": ["my_module", "Net"]}}"#);
    assert!(found("c.json", text.as_bytes()).1);
}

#[test]
fn no_text_is_too_long_to_be_seen() {
    for (name, text) in [
        (
            "c.json",
            format!(
                r#"{{"model_type": "x", "a": "{}{{{{ x.__class__ }}}}"}}"#,
                "b".repeat(257 << 10)
            ),
        ),
        (
            "c.json",
            format!(r#"{{"model_type": "x", "{}": 1}}"#, "b".repeat(257 << 10)),
        ),
    ] {
        let (listed, refused) = found(name, text.as_bytes());
        assert!(
            refused && listed.iter().any(|(id, _)| id == "HF-DOC-006"),
            "{listed:?}"
        );
    }
    // The tables of a tokenizer may be long.
    let table = format!(
        r#"{{"added_tokens": [], "normalizer": {{"precompiled_charsmap": "{}"}}}}"#,
        "A".repeat(400 << 10)
    );
    assert!(!found("tokenizer.json", table.as_bytes()).1);
}

#[test]
fn a_byte_that_is_no_text_is_found_where_it_is() {
    for bad in [&b"\xff"[..], b"\xe2\x82A", b"\xe2\x82"] {
        let text = [b"a".repeat(70_000), "\u{202e}".into(), bad.to_vec()].concat();
        let (listed, _) = found("README.md", &text);
        assert!(
            listed.contains(&("HF-DOC-007".to_owned(), Some(70_003))),
            "{listed:?}"
        );
        assert!(
            listed.contains(&("HF-DOC-005".to_owned(), Some(70_000))),
            "{listed:?}"
        );
    }
}

#[test]
fn credentials_are_told_from_what_only_begins_like_one() {
    let body = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v2W3x4Y5z6A1b2C3d4E5f6";
    let upper = "ABCDEFGHIJKLMNOP";
    for (text, expected) in [
        (format!("ASIA{upper}"), true),
        (format!("AKIA{upper}Q"), false),
        (format!("hf_{}", &body[..34]), true),
        (format!("hf_{}", &body[..35]), false),
        (format!("sk-{}", &body[..48]), true),
        (format!("gsk_{}", &body[..52]), true),
        (format!("npm_{}", &body[..36]), true),
        (format!("nvapi-{}", &body[..64]), true),
        (format!("pypi-AgEIcHlwaS5vcmc{}", &body[..50]), true),
        ("-----BEGIN PGP PRIVATE KEY BLOCK-----".to_owned(), true),
        ("-----BEGIN PUBLIC KEY-----".to_owned(), false),
    ] {
        for around in [("", ""), ("key: ", "\n"), ("\"", "\"")] {
            let text = format!("# N\n{}{text}{}", around.0, around.1);
            let at = 4 + around.0.len() as u64;
            let (listed, refused) = found("README.md", text.as_bytes());
            assert!(!refused);
            assert_eq!(
                listed.contains(&("HF-SEC-001".to_owned(), Some(at))),
                expected,
                "{text}"
            );
        }
    }
}
