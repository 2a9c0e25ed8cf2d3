//! What comes with models: ordinary configurations and texts, and those that have a loader run or open something.

use holdfast_formats::testing::{Proto, sentencepiece};

use super::Corpus;

#[rustfmt::skip]
const GOOD: &[(&str, &str)] = &[
    ("config.json", r#"{"architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "model_type": "llama", "torch_dtype": "bfloat16"}"#),
    ("qwen/config.json", r#"{"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "model_type": "qwen2", "rope_theta": 1000000.0, "tie_word_embeddings": false}"#),
    ("gemma/config.json", r#"{"model_type": "gemma3_text", "sliding_window": 1024, "layer_types": ["sliding_attention", "full_attention"]}"#),
    ("mamba/config.json", r#"{"model_type": "mamba2", "time_step_limit": [0.0, Infinity]}"#),
    ("generation_config.json", r#"{"bos_token_id": 1, "do_sample": true, "eos_token_id": [2, 3], "temperature": 0.6}"#),
    ("adapter_config.json", r#"{"base_model_name_or_path": "meta/llama", "peft_type": "LORA", "r": 16, "target_modules": ["q_proj"]}"#),
    ("tokenizer_config.json", r#"{"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}", "tokenizer_class": "LlamaTokenizer"}"#),
    ("tokenizer.json", r#"{"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0, "\u202e": 1}, "merges": []}}"#),
    ("model.safetensors.index.json", r#"{"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}"#),
    ("model_index.json", r#"{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.21.0", "unet": ["diffusers", "UNet2DConditionModel"]}"#),
    ("special_tokens_map.json", r#"{"bos_token": "<s>", "eos_token": "</s>"}"#),
    ("vocab.json", r#"{"a": 0, "b": 1}"#),
    ("preprocessor_config.json", r#"{"image_processor_type": "CLIPImageProcessor", "size": 224}"#),
    ("gpt-2/tokenizer.json", r#"{"added_tokens": [], "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"}}}"#),
    ("pattern/adapter_config.json", r#"{"peft_type": "LORA", "target_modules": ".*\\.layers\\.\\d+\\.(q|v)_proj", "layer_replication": [[0, 24], [8, 32]]}"#),
    ("README.md", "# A model\n\nIt was trained.\n"),
    ("LICENSE", "Apache License\n"),
    ("right-to-left/README.md", "# \u{5de}\u{5d5}\u{5d3}\u{5dc} \u{2066}base-7b\u{2069}\n\n```python\nx = 1\n```\n\u{202b}\u{5e9}\u{5dc}\u{5d5}\u{5dd}\u{202c}\n"),
    ("flags/README.md", "Texas \u{1f3f4}\u{e0075}\u{e0073}\u{e0074}\u{e0078}\u{e007f} \u{2764}\u{fe0f}\u{fe0f}\n"),
    ("merges.txt", "#version: 0.2\na b\n"),
    ("control/merges.txt", "#version: 0.2\n\u{7f} \u{80}\n"),
    ("control/vocab.txt", "\u{7f}\n\u{9f}\n"),
    ("control/vocab.json", "{\"\u{7f}\": 0, \"\u{80}\u{9b}\": 1}"),
    (".gitattributes", "*.safetensors filter=lfs\n"),
    ("chat_template.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}"),
    ("model_config.yaml", "hidden_size: 12\n"),
    ("speech.yaml", "pipeline:\n  name: pyannote.audio.pipelines.SpeakerDiarization\n  params: {clustering: x}\n"),
    ("diffusion.yaml", "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n"),
    ("logging.yaml", "version: 1\nhandlers:\n  console:\n    class: logging.StreamHandler\n"),
    ("yolo.yaml", "nc: 80\nactivation: nn.LeakyReLU(0.1)\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n"),
    ("training.yaml", "output_dir: /home/me/out\ndata: test.jsonl\nmonitor: test.loss\nnote: Call eval(input()) never.\n"),
    ("words/tokenizer.json", r#"{"added_tokens": [], "model": {"type": "BPE", "vocab": {"os.system": 0}, "merges": ["os.system ("]}}"#),
    ("labels/config.json", r#"{"model_type": "x", "id2label": {"0": "os.system"}}"#),
    ("router_config.json", r#"{"types": {"query_0": "sentence_transformers.models.StaticEmbedding"}, "structure": {"query": ["query_0"]}, "parameters": {"default_route": "query"}}"#),
    ("modular_model_index.json", r#"{"_class_name": "ModularPipeline", "_diffusers_version": "0.36.0", "unet": ["diffusers", "UNet2DConditionModel", {"repo": "some/repo", "type_hint": ["diffusers", "UNet2DConditionModel"]}]}"#),
    ("LICENSE.Apache-2.0", "Apache License\n"),
    ("README.zh.md", "# A model\n\nfrom here on we import nothing.\n"),
    ("requirements.txt", "torch>=2 # see https://example.org\nnumpy==1.26.4 \\\n    --hash=sha256:aa\n-r requirements-base.txt\n"),
    ("environment.yml", "channels: [conda-forge]\ndependencies:\n- python=3.10\n- pip:\n  - torch==2.1\n"),
    ("pattern/tokenizer_config.json", r#"{"tokenizer_class": "X", "response_schema": {"x-regex": "<think>(?P<thinking>.*?)</think>"}}"#),
    ("mixed/adapter_config.json", r#"{"peft_type": "XLORA", "adapters": {"0": "somebody/adapter", "1": "./adapters/1"}}"#),
];

#[rustfmt::skip]
const BAD: &[(&str, &str, &str)] = &[
    ("auto-map/config.json", r#"{"model_type": "x", "auto_map": {"AutoModel": "modeling.Model"}}"#, "HF-DOC-003"),
    ("auto-map-elsewhere/config.json", r#"{"model_type": "x", "auto_map": {"AutoModel": "other/code--modeling.Model"}}"#, "HF-DOC-003"),
    ("auto-map-escaped/config.json", r#"{"model_type": "x", "\u0061uto_map": {"AutoModel": "modeling.Model"}}"#, "HF-DOC-003"),
    ("auto-map-nested/config.json", r#"{"model_type": "x", "text_config": {"auto_map": {"AutoModel": "modeling.Model"}}}"#, "HF-DOC-003"),
    ("trust/config.json", r#"{"model_type": "x", "trust_remote_code": true}"#, "HF-DOC-003"),
    ("target/config.json", r#"{"model_type": "x", "encoder": {"_target_": "os.system"}}"#, "HF-DOC-003"),
    ("object/config.json", r#"{"model_type": "x", "py/object": "os.system"}"#, "HF-DOC-003"),
    ("pipelines/config.json", r#"{"model_type": "x", "custom_pipelines": {"a": {"impl": "code.Pipeline"}}}"#, "HF-DOC-003"),
    ("kernel/config.json", r#"{"model_type": "x", "attn_implementation": "somebody/kernel"}"#, "HF-DOC-003"),
    ("part/model_index.json", r#"{"_class_name": "P", "_diffusers_version": "1", "unet": ["my_module", "Net"]}"#, "HF-DOC-003"),
    ("class/model_index.json", r#"{"_class_name": ["pipeline", "Mine"], "_diffusers_version": "1"}"#, "HF-DOC-003"),
    ("parent/model.safetensors.index.json", r#"{"weight_map": {"a": "../../other.bin"}}"#, "HF-DOC-004"),
    ("root/model.safetensors.index.json", r#"{"weight_map": {"a": "/etc/passwd"}}"#, "HF-DOC-004"),
    ("address/model.safetensors.index.json", r#"{"weight_map": {"a": "https://example.org/a.bin"}}"#, "HF-DOC-004"),
    ("backslash/model.safetensors.index.json", r#"{"weight_map": {"a": "..\\a.bin"}}"#, "HF-DOC-004"),
    ("template/tokenizer_config.json", r#"{"tokenizer_class": "x", "chat_template": "{{ ''.__class__ }}"}"#, "HF-TPL-002"),
    ("second-template/tokenizer_config.json", r#"{"tokenizer_class": "x", "chat_template": [{"name": "default", "template": "{{ 1 }}"}, {"name": "tool", "template": "{{ self.__init__ }}"}]}"#, "HF-TPL-002"),
    ("unread-template/tokenizer_config.json", r#"{"tokenizer_class": "x", "chat_template": "{{ ''|attr('a')(1) }}"}"#, "HF-DOC-010"),
    ("other-template/tokenizer_config.json", r#"{"tokenizer_class": "x", "greeting": "{{ ''.__class__ }}"}"#, "HF-TPL-002"),
    ("captured/tokenizer_config.json", r#"{"tokenizer_class": "x", "chat_template": "{% macro f(x) %}{% endmacro %}{% set i %}__init__{% endset %}{% set g %}__globals__{% endset %}{% set f = cycler[i][g]['os'] %}{{ f('true') }}"}"#, "HF-TPL-003"),
    ("returned.jinja", "{% macro name() %}__init__{% endmacro %}{{ cycler[name()] }}", "HF-TPL-003"),
    ("escaped.jinja", r"{{ cycler['\N{LOW LINE}_init__'] }}", "HF-TPL-003"),
    ("template.jinja", "{% import 'os' as os %}", "HF-TPL-004"),
    ("pickle/README", "L119547037146038801333356L\n.I1001\n.}.cdataclasses\n_create_fn\n(S'f'\n(S'x=1'\nl(S'pass'\nltR.", "HF-FMT-005"),
    ("pattern/tokenizer.json", r#"{"added_tokens": [], "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(\\w+\\s?)*$"}}}"#, "HF-DOC-015"),
    ("pattern-normalizer/tokenizer.json", r#"{"added_tokens": [], "normalizer": {"type": "Replace", "pattern": {"Reg\u0065x": "(a|a)*x"}, "content": ""}}"#, "HF-DOC-015"),
    ("pattern/adapter_config.json", r#"{"peft_type": "LORA", "target_modules": "(.*)*x"}"#, "HF-DOC-015"),
    ("pattern-list/adapter_config.json", r#"{"peft_type": "LORA", "layers_pattern": ["layers", "(a+)+$"]}"#, "HF-DOC-015"),
    ("pattern-name/adapter_config.json", r#"{"peft_type": "LORA", "rank_pattern": {"(a+)+$": 8}}"#, "HF-DOC-015"),
    ("pattern/config.json", r#"{"model_type": "x", "quantization_config": {"ignore": ["re:(.*)*head"]}}"#, "HF-DOC-015"),
    ("layers/adapter_config.json", r#"{"peft_type": "LORA", "layer_replication": [[0, 32], [0, 1000000000]]}"#, "HF-DOC-016"),
    ("twice/config.json", r#"{"model_type": "x", "model_type": "y"}"#, "HF-DOC-002"),
    ("control/README.md", "A model\u{9b}2J\n", "HF-DOC-007"),
    ("delete/README.md", "A model\u{7f}\n", "HF-DOC-007"),
    ("bell/vocab.txt", "a\u{7}\n", "HF-FMT-001"),
    ("bell/vocab.json", "{\"a\u{7}\": 0}", "HF-FMT-001"),
    ("cut-off/config.json", r#"{"model_type": "x""#, "HF-DOC-001"),
    ("trailing/config.json", r#"{"model_type": "x"}{}"#, "HF-DOC-001"),
    ("bidi/config.json", "{\"model_type\": \"a\u{202e}b\"}", "HF-DOC-005"),
    ("tags/README.md", "Hello\u{e0041}\u{e0042}\n", "HF-DOC-005"),
    ("isolates/README.md", "Hello \u{2066}there\n", "HF-DOC-005"),
    ("isolates-in-code/README.md", "```c\n/* \u{2067}x\u{2069} */\n```\n", "HF-DOC-005"),
    ("overrides/README.md", "Hello \u{202e}there\u{202c}\n", "HF-DOC-005"),
    ("embeddings/chat_template.jinja", "\u{202b}x\u{202c}", "HF-DOC-005"),
    ("flag-of-letters/README.md", "\u{1f3f4}\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}\u{e007f}\n", "HF-DOC-005"),
    ("code/modeling.py", "x = 1\n", "HF-DOC-008"),
    ("code/notes.txt", "import os\nos.system('true')\n", "HF-DOC-008"),
    ("shell/install.sh", "true\n", "HF-DOC-008"),
    ("python.yaml", "a: !!python/object/apply:os.system [\"true\"]\n", "HF-DOC-003"),
    ("hydra.yaml", "a:\n  _target_: os.system\n", "HF-DOC-003"),
    ("speech.yaml", "pipeline:\n  name: subprocess.Popen\n  params:\n    args: [\"true\"]\n", "HF-DOC-003"),
    ("speech-foreign.yaml", "preprocessors:\n  audio:\n    name: no_such_module.Pre\n", "HF-DOC-003"),
    ("class.yaml", "model:\n  class: os.system\n", "HF-DOC-003"),
    ("logging.yaml", "handlers:\n  x:\n    (): subprocess.Popen\n", "HF-DOC-003"),
    ("evaluated.yaml", "activation: exec(\"import os; os.system('true')\")\n", "HF-DOC-003"),
    ("evaluated-list.yaml", "backbone:\n  [[-1, 1, \"os.system('true')\", [64]]]\n", "HF-DOC-003"),
    ("bundle.yaml", "imports:\n- $import os\nrun:\n- $os.system(\"true\")\n", "HF-DOC-003"),
    ("instantiator.yaml", "_instantiator: os.system\n", "HF-DOC-003"),
    ("importer.yaml", "model:\n  target: ldm.util.get_obj_from_str\n  params: {string: no_such_module.x}\n", "HF-DOC-003"),
    ("base.yaml", "_BASE_: \"https://example.org/base.yaml\"\n", "HF-DOC-004"),
    ("call/config.json", r#"{"model_type": "x", "loss": {"type": "subprocess.Popen"}}"#, "HF-DOC-003"),
    ("bundle/config.json", r#"{"model_type": "x", "run": ["$os.system('true')"]}"#, "HF-DOC-003"),
    ("constructor/config.json", r#"{"model_type": "x", "lc": 1, "type": "constructor", "id": ["os", "system"]}"#, "HF-DOC-003"),
    ("model-file/config.json", r#"{"model_type": "llama", "model_file": "../../tmp/model.py"}"#, "HF-DOC-003"),
    ("types/router_config.json", r#"{"types": {"query_0": "no_such_module.Layer"}, "structure": {"query": ["query_0"]}}"#, "HF-DOC-003"),
    ("part/modular_model_index.json", r#"{"_diffusers_version": "0.36.0", "unet": ["my_module", "Net", {"repo": "some/repo"}]}"#, "HF-DOC-003"),
    ("hint/modular_model_index.json", r#"{"_diffusers_version": "0.36.0", "unet": [null, null, {"type_hint": ["my_module", "Net"]}]}"#, "HF-DOC-003"),
    ("processors/config.json", r#"{"model_type": "x", "logits_processors": ["my_module:Processor"]}"#, "HF-DOC-003"),
    ("library/config.json", r#"{"model_type": "x", "model_lib": "model.so"}"#, "HF-DOC-003"),
    ("README.hta", "<script language=\"VBScript\">x = 1</script>\n", "HF-FMT-015"),
    ("LICENSE.service", "[Service]\nExecStart=/bin/true\n", "HF-FMT-015"),
    ("code/commented.txt", "# a note\nimport os\nos.system('true')\n", "HF-DOC-008"),
    ("continued/requirements.txt", "torch\n--extra-index-\\\nurl https\\\n:/\\\n/example.org/simple\n", "HF-DOC-014"),
    ("local/requirements.txt", "./x-1.0-py3-none-any.whl\n", "HF-DOC-014"),
    ("editable/requirements.txt", "-e./x\n", "HF-DOC-014"),
    ("conda.yaml", "dependencies:\n- python=3.10\n- pip:\n  - git+https://example.org/x.git\n", "HF-DOC-014"),
    ("pattern/tokenizer_config.json", r#"{"tokenizer_class": "X", "response_schema": {"properties": {"a": {"x-regex": "(a+)+$"}}}}"#, "HF-DOC-015"),
    ("pattern/tekken.json", r#"{"config": {"pattern": "(a+)+$"}, "vocab": []}"#, "HF-DOC-015"),
    ("share/adapter_config.json", r#"{"peft_type": "MULTITASK_PROMPT_TUNING", "prompt_tuning_init_state_dict_path": "\\\\host\\share\\x.bin"}"#, "HF-DOC-004"),
    ("mixed/adapter_config.json", r#"{"peft_type": "XLORA", "adapters": {"0": "https://example.org/x"}}"#, "HF-DOC-004"),
    ("weights/model.json", r#"{"temperature": 1, "weightsManifest": [{"paths": ["../../x.bin"]}]}"#, "HF-DOC-004"),
    ("notebook.ipynb", r#"{"nbformat": 4, "cells": []}"#, "HF-FMT-015"),
    ("unknown.json", r#"{"name": "x", "scripts": {"install": "two words"}}"#, "HF-FMT-015"),
    ("model.gguf", "Access denied\n", "HF-FMT-015"),
    ("config-as-model.safetensors", r#"{"model_type": "x"}"#, "HF-FMT-015"),
];

pub fn add(corpus: &mut Corpus) {
    for (path, text) in GOOD {
        corpus.accept(&format!("document/{path}"), *text);
    }
    for (path, text, id) in BAD {
        corpus.refuse(&format!("document/{path}"), *text, id);
    }
    tokenizers(corpus);
}

fn tokenizers(corpus: &mut Corpus) {
    let whole = sentencepiece::small();
    corpus.accept("document/tokenizer.model", whole.build());
    corpus.accept("document/marian/source.spm", whole.build());
    let mut table = sentencepiece::charsmap();
    // The first number of the index: what it leads to lies far behind the end.
    table[8..12].copy_from_slice(&(1_u32 << 24).to_le_bytes());
    let pieces = [sentencepiece::piece("<unk>", 0.0, 2)];
    for (name, model, id) in [
        ("extended", whole.clone().text(200, "hidden"), "HF-SPM-002"),
        (
            "endless",
            sentencepiece::model(&[sentencepiece::piece("a", f32::NAN, 1)], &Proto::new()),
            "HF-SPM-004",
        ),
        (
            "beyond",
            sentencepiece::model(&pieces, &sentencepiece::normalizer(&table)),
            "HF-SPM-006",
        ),
        ("broken", whole.raw(b"\x0a"), "HF-SPM-001"),
    ] {
        corpus.refuse(&format!("document/{name}/tokenizer.model"), model.build(), id);
    }
}
