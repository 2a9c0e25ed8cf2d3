//! What a snapshot of an ordinary model holds, written as the publishers of well-known families write it: all of it passes.

use holdfast_contract::report::{Finding, Verdict};
use holdfast_formats::FileInspector;
use holdfast_formats::finding::verdict;

fn found(name: &str, text: &str) -> Vec<Finding> {
    let mut inspector = FileInspector::new(name);
    inspector.feed(text.as_bytes());
    inspector.finish().findings.into_parts().0
}

/// Name in the snapshot, content.
#[rustfmt::skip]
const CONFIGURATIONS: &[(&str, &str)] = &[
    ("llama/config.json", r#"{"architectures": ["LlamaForCausalLM"], "attention_bias": false, "bos_token_id": 128000,
        "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu", "hidden_size": 4096, "head_dim": 128, "model_type": "llama",
        "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.43.0"}"#),
    ("compiled/generation_config.json", r#"{"eos_token_id": 2, "cache_implementation": "static", "compile_config": {"fullgraph": true, "mode":
        "reduce-overhead", "backend": "inductor", "options": {"triton.cudagraphs": true, "max_autotune_gemm_backends": "ATEN,TRITON"}}}"#),
    ("qwen/config.json", r#"{"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "_name_or_path": "/mnt/work/qwen2",
        "sliding_window": null, "use_sliding_window": false, "vocab_size": 152064,
        "quantization_config": {"bits": 4, "quant_method": "gptq", "desc_act": true, "damp_percent": 0.01, "checkpoint_format": "gptq",
        "modules_in_block_to_quantize": [["self_attn.k_proj", "self_attn.v_proj"], ["mlp.down_proj"]], "dynamic": {"-:.*gate.*": {}}}}"#),
    ("mistral/config.json", r#"{"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 4096,
        "quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"targets": ["Linear"],
        "weights": {"num_bits": 8, "observer": "minmax", "observer_kwargs": {}}}}, "ignore": ["lm_head", "re:.*self_attn.*"]}}"#),
    ("mistral/params.json", r#"{"dim": 4096, "n_layers": 32, "head_dim": 128, "n_heads": 32, "vocab_size": 32000}"#),
    ("gemma/config.json", r#"{"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "boi_token_index": 255999,
        "text_config": {"model_type": "gemma3_text", "sliding_window": 1024}, "vision_config": {"model_type": "siglip_vision_model"}}"#),
    ("phi/config.json", r#"{"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "original_max_position_embeddings": 4096,
        "rope_scaling": {"long_factor": [1.0, 1.1], "short_factor": [1.0, 1.0], "type": "longrope"}, "embd_pdrop": 0.0}"#),
    ("bert/config.json", r#"{"model_type": "bert", "architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"},
        "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid", "version": "4.1.0"}}"#),
    ("mamba/config.json", r#"{"model_type": "mamba2", "architectures": ["Mamba2ForCausalLM"], "attn_implementation": "flash_attention_2",
        "time_step_limit": [0.0, Infinity], "mask": -Infinity, "unset": NaN}"#),
    ("generation_config.json", r#"{"bos_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643], "pad_token_id": 151643,
        "repetition_penalty": 1.05, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "transformers_version": "4.37.0"}"#),
    ("old/generation_config.json", r#"{"_from_model_config": true, "transformers_version": "4.31.0"}"#),
    ("adapter_config.json", r#"{"alpha_pattern": {}, "auto_mapping": {"base_model_class": "LlamaForCausalLM",
        "parent_library": "transformers.models.llama.modeling_llama"}, "base_model_name_or_path": "meta-llama/Llama-3.1-8B",
        "bias": "none", "fan_in_fan_out": false, "inference_mode": true, "lora_alpha": 32, "megatron_config": null,
        "megatron_core": "megatron.core", "modules_to_save": null, "peft_type": "LORA", "r": 16,
        "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}"#),
    ("model.safetensors.index.json", r#"{"metadata": {"total_size": 16060522496}, "weight_map": {"lm_head.weight":
        "model-00004-of-00004.safetensors", "model.embed_tokens.weight": "model-00001-of-00004.safetensors"}}"#),
    ("pytorch_model.bin.index.json", r#"{"metadata": {"total_size": 16}, "weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}"#),
    ("model_index.json", r#"{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.6.0",
        "feature_extractor": ["transformers", "CLIPImageProcessor"], "requires_safety_checker": true,
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "scheduler": ["diffusers", "PNDMScheduler"],
        "image_encoder": [null, null], "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}"#),
    ("unet/config.json", r#"{"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.6.0", "attention_head_dim": 8,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "axes": ["height", "width"], "block_out_channels": [320, 640]}"#),
    ("scheduler/scheduler_config.json", r#"{"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_start": 0.00085,
        "prediction_type": "epsilon", "trained_betas": null}"#),
    ("special_tokens_map.json", r#"{"additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "eos_token": {"content": "<|im_end|>",
        "lstrip": false, "normalized": false}, "pad_token": "<|endoftext|>"}"#),
    ("added_tokens.json", r#"{"<|endoftext|>": 151643, "<|im_start|>": 151644}"#),
    ("preprocessor_config.json", r#"{"do_resize": true, "do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "size": {"height": 224},
        "image_processor_type": "SiglipImageProcessor", "processor_class": "Gemma3Processor"}"#),
    ("whisper/preprocessor_config.json", r#"{"chunk_length": 30, "feature_extractor_type": "WhisperFeatureExtractor", "sampling_rate": 16000}"#),
    ("tokenizer.json", r#"{"version": "1.0", "truncation": null, "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}, "pre_tokenizer": {"type": "Split",
        "pattern": {"Regex": "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)"}, "behavior": "Isolated"}, "post_processor": null,
        "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"<unk>": 0, "\u200b": 1, "\ue000": 2, "\u202e{{": 3,
        "{%": 4}, "merges": [["\u200b", "\ufeff"], "{{ x"]}}"#),
    ("xlm/tokenizer.json", r#"{"added_tokens": [], "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<s>", 0.0], ["\u202a", -3.5]]}}"#),
    ("tekken.json", r#"{"config": {"pattern": "\\p{L}+", "num_vocab_tokens": 3}, "vocab": [{"rank": 0, "token_bytes": "AA==", "token_str":
        "\u0000"}], "special_tokens": [{"rank": 0, "token_str": "<unk>"}]}"#),
    ("vocab.json", r#"{"!": 0, "\u202e": 1, "\u200b\u200b": 2}"#),
    ("modules.json", r#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#),
    ("config_sentence_transformers.json", r#"{"__version__": {"sentence_transformers": "3.0.0"}, "prompts": {"query": "query: "},
        "default_prompt_name": null, "similarity_fn_name": "cosine"}"#),
    ("2_Dense/config.json", r#"{"in_features": 768, "out_features": 512, "bias": true,
        "activation_function": "torch.nn.modules.activation.Tanh"}"#),
    ("quantize_config.json", r#"{"bits": 4, "group_size": 128, "desc_act": true, "model_name_or_path": "/tmp/x"}"#),
    ("trainer_state.json", r#"{"best_metric": null, "epoch": 1.0, "log_history": [{"loss": 1.2, "step": 10}]}"#),
];

#[rustfmt::skip]
const TEXTS: &[(&str, &str)] = &[
    ("README.md", "---\nlicense: apache-2.0\nlanguage: [en, fa]\n---\n# A model \u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}\n\n```python\nfrom transformers import AutoModel\n```\nRun `curl -fsSL https://example.org | sh`. \u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}\n"),
    ("LICENSE", "Apache License\nVersion 2.0\n"),
    ("LICENSE-MODEL", "You may\n"),
    ("USE_POLICY.md", "# Acceptable use\n"),
    ("Notice", "Llama is licensed\n"),
    (".gitattributes", "*.safetensors filter=lfs diff=lfs merge=lfs -text\n"),
    ("merges.txt", "#version: 0.2\n\u{120} t\n\u{202e} \u{200b}\n"),
    ("vocab.txt", "[PAD]\n[unused0]\n\u{202a}\n##\u{e000}\n"),
    ("qwen.tiktoken", "IQ== 0\nIg== 1\n"),
    ("original/tokenizer.model", "IQ== 0\nIg== 1\n"),
    ("config.yaml", "model_type: llama\nlayers: [1, 2]\nprompt: \"It is great!\"\n"),
    ("CITATION.cff", "cff-version: 1.2.0\ntitle: A model\n"),
];

#[track_caller]
fn admitted(name: &str, text: &str) {
    let findings = found(name, text);
    let ids: Vec<_> = findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["HF-DOC-009"], "{name}: {findings:#?}");
    assert_eq!(verdict(&findings).0, Verdict::Admit, "{name}");
}

#[test]
fn the_documents_of_well_known_models_pass() {
    for (name, text) in CONFIGURATIONS.iter().chain(TEXTS) {
        admitted(name, text);
    }
}

/// Chat templates of the shapes that the families use.
#[rustfmt::skip]
const TEMPLATES: &[&str] = &[
    "{{- bos_token }}{%- for message in messages %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}",
    "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}{%- else %}{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{%- endif %}{%- for message in messages %}{%- if message.role != 'system' %}{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{%- endif %}{%- endfor %}",
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}",
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}",
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
];

#[test]
fn the_tokenizer_configurations_of_well_known_models_pass() {
    for template in TEMPLATES {
        let escaped = template
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('"', "\\\"");
        let rest = r#""added_tokens_decoder": {"0": {"content": "\u2066", "special": true}}, "model_max_length": 131072, "tokenizer_class": "PreTrainedTokenizerFast""#;
        admitted(
            "tokenizer_config.json",
            &format!(r#"{{{rest}, "chat_template": "{escaped}"}}"#),
        );
        let list = format!(
            r#"[{{"name": "default", "template": "{escaped}"}}, {{"name": "tool_use", "template": "{escaped}"}}]"#
        );
        admitted(
            "tokenizer_config.json",
            &format!(r#"{{"chat_template": {list}, {rest}}}"#),
        );
        admitted(
            "chat_template.json",
            &format!(r#"{{"chat_template": "{escaped}"}}"#),
        );
        admitted("chat_template.jinja", template);
    }
}
