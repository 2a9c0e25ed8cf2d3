//! Which values in a document a loader imports, calls, or follows to somewhere else.

use super::path::Path;
use super::{calling, control};

/// Members whose texts, however deep, name code that a loader imports or calls.
const CODE: [&str; 16] = [
    "auto_map",
    "custom_pipelines",
    "custom_pipeline",
    "custom_generate",
    "custom_objects",
    "_target_",
    "class_path",
    "__class__",
    "__module__",
    "__reduce__",
    "__reduce_ex__",
    "__setstate__",
    "__globals__",
    "__builtins__",
    "__import__",
    "loader_module",
];
/// Members that name a class of the loading library. With a module in front of it, the class is imported from there.
const CLASSES: [&str; 11] = [
    "architectures",
    "tokenizer_class",
    "processor_class",
    "config_class",
    "image_processor_type",
    "feature_extractor_type",
    "video_processor_type",
    "base_model_class",
    "audio_tokenizer_class",
    "tokenizer_class_fast",
    "_class_name",
];
/// Members that name a file or a model for a loader to open.
const FILES: [&str; 18] = [
    "_BASE_",
    "audio_tokenizer_name_or_path",
    "base_model_name_or_path",
    "class_info_file",
    "index_path",
    "model_lib",
    "model_lib_path",
    "passages_path",
    "pretrained_vocab_file",
    "prompt_tuning_init_state_dict_path",
    "template_path",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "spm_file",
    "special_tokens_map_file",
    "added_tokens_file",
    "transformers_weights",
];
/// How the names of members end that hold paths.
const PATHS: [&str; 7] = ["path", "paths", "file", "files", "dir", "folder", "url"];
/// Members that choose how a part of the model is computed. A choice with an owner in front of it is a repository of programs, which
/// transformers fetches and imports.
const KERNELS: [&str; 6] = [
    "attn_implementation",
    "_attn_implementation",
    "_attn_implementation_internal",
    "experts_implementation",
    "_experts_implementation",
    "_experts_implementation_internal",
];
/// Libraries whose classes models are made of.
const LIBRARIES: [&str; 6] = [
    "transformers",
    "diffusers",
    "peft",
    "tokenizers",
    "sentence_transformers",
    "optimum",
];

/// Members whose texts are for people or for comparing: nothing calls what they say.
const SHOWN: &[&str] = &[
    "id2label",
    "labels",
    "label_names",
    "class_names",
    "names",
    "widget",
    "log_history",
    "stop",
    "stop_strings",
    "bad_words",
    "prompts",
];
/// Members that name a class with its module, and the packages that it comes from in ordinary documents.
const IMPORTED: &[(&str, &[&str])] = &[
    ("_instantiator", &INSTANTIATORS),
    ("characters_class", &["TTS"]),
    (
        "network_class_name",
        &["dynamic_network_architectures", "nnunetv2", "nnunet"],
    ),
    ("worker_cls", &["vllm"]),
    ("worker_extension_cls", &["vllm"]),
    ("logits_processors", &["vllm"]),
    ("tool_class", &[]),
];
const INSTANTIATORS: [&str; 2] = [
    "lightning.pytorch.cli.instantiate_module",
    "pytorch_lightning.cli.instantiate_module",
];
/// Packages whose parts the settings of pipelines for speech name.
const SPEECH: &[&str] = &["pyannote", "speechbrain", "asteroid", "torch", "torchaudio"];
/// Members that name a file with a program, which is run, and how the names of such files end.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("model_file", &[".py"]),
    ("reasoning_parser_plugin", &[".py"]),
    ("tool_parser_plugin", &[".py"]),
    ("model_lib", &[".so", ".dll", ".dylib", ".tar"]),
    ("model_lib_path", &[".so", ".dll", ".dylib", ".tar"]),
];

/// Whether a text names or calls what gives control, under any name that is not for people.
pub fn is_control(names: &[&str], value: &str) -> bool {
    (control::names(value) || calling::found_in(value)) && !names.iter().any(|name| SHOWN.contains(name))
}

/// Whether the member that `names` lead to has a loader import or run what the text names.
pub fn is_imported(names: &[&str], value: &str) -> bool {
    let Some(name) = names.last() else {
        return false;
    };
    let ends = |endings: &[&str]| {
        let value = value.to_ascii_lowercase();
        endings.iter().any(|ending| value.ends_with(ending))
    };
    let is_program = PROGRAMS
        .iter()
        .any(|(member, endings)| member == name && ends(endings));
    // What ONNX Runtime loads into its process.
    let is_library = name.contains("plugin") && name.contains("lib") && names.contains(&"provider_options");
    let dotted = value.replacen(':', ".", 1);
    if !control::is_dotted(&dotted) {
        return is_program || (is_library && !value.is_empty());
    }
    let from = |packages: &[&str]| {
        packages
            .iter()
            .any(|package| control::begins_with(&dotted, package))
    };
    let is_class = IMPORTED
        .iter()
        .any(|(member, packages)| member == name && !from(packages));
    // pyannote imports what these say.
    let is_part = matches!(names, ["pipeline", "name"] | ["preprocessors", _, "name"])
        && !from(SPEECH)
        && !from(&LIBRARIES)
        && !control::is_file(value);
    is_program || is_library || is_class || is_part
}

/// Whether a loader imports or calls what the text at `path` names.
pub fn is_named(path: &Path, value: &str) -> bool {
    if path
        .names()
        .any(|name| CODE.contains(&name) || name.starts_with("py/"))
    {
        return true;
    }
    if value.contains('/')
        && path
            .names()
            .any(|name| KERNELS.contains(&name) || name == "kernel_config")
    {
        return true;
    }
    // What PyTorch's compiler is told: the programs that it starts are among it.
    let is_told = ["compile_config", "options"]
        .iter()
        .all(|wanted| path.names().any(|name| name == *wanted));
    if is_told && !path.names().any(|name| name.ends_with("_backends")) {
        return true;
    }
    let name = path.name().unwrap_or_default();
    let is_qualified = value.contains(['.', '/', ':', '\\']) || value.contains("--");
    match name {
        // What PEFT imports; the second only if a setting beside it is there.
        "parent_library" => !is_ours(value),
        "megatron_core" => value != "megatron.core",
        "trust_remote_code" => !matches!(value, "" | "0" | "false" | "False"),
        _ if CLASSES.contains(&name) => is_qualified && !is_ours(value),
        // What sentence-transformers imports.
        _ if name.ends_with("activation_function") || name.ends_with("activation_fn") => {
            value.contains('.') && !is_ours(value) && !value.starts_with("torch.nn.")
        }
        _ => {
            path.names().any(|name| name == "quantization_config")
                && is_class_path(value)
                && !is_ours(value)
                && !value.starts_with("torch.")
        }
    }
}

/// Whether a name begins with one of the libraries that models are made of.
pub fn is_ours(value: &str) -> bool {
    is_dotted(value) && LIBRARIES.contains(&value.split('.').next().unwrap_or_default())
}

/// `package.module.Class`.
fn is_class_path(value: &str) -> bool {
    let class = value.rsplit_once('.').map(|(_, class)| class);
    is_dotted(value) && class.is_some_and(|class| class.starts_with(char::is_uppercase))
}

fn is_dotted(value: &str) -> bool {
    let letter = |character: char| character.is_alphanumeric() || character == '_';
    value
        .split('.')
        .all(|part| !part.is_empty() && part.chars().all(letter))
}

/// Where a loader is sent by a file's or a model's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// To another machine, or nobody can say where.
    Network,
    /// To another directory of this machine.
    Directory,
}

/// Where the text at `path` sends a loader, if it names something outside of the model's directory.
pub fn leads_away(names: &[&str], value: &str) -> Option<Away> {
    let is_opened = match names {
        // The adapters that one is mixed of.
        ["adapters", _] => true,
        // What timm takes instead of the weights.
        [.., "model_args" | "backbone_kwargs" | "pretrained_cfg", name] if *name == "checkpoint_path" => true,
        [.., name] => FILES.contains(name),
        [] => false,
    };
    if !is_opened {
        // Trainings leave paths of all kinds behind. One on another machine is worth a note, as opening it signs on there.
        let is_share = value.starts_with("\\\\") || value.to_ascii_lowercase().starts_with("file://");
        let is_path = names.last().is_some_and(|name| {
            *name != "_name_or_path"
                && PATHS
                    .iter()
                    .any(|ending| name.to_ascii_lowercase().ends_with(ending))
        });
        return (is_share && is_path).then_some(Away::Directory);
    }
    let mut parts = value.split(['/', '\\']);
    let drive = matches!(value.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if value.contains("://") || value.starts_with("\\\\") || value.starts_with("//") || value.contains('\0') {
        Some(Away::Network)
    } else if value.starts_with(['/', '\\', '~']) || drive || parts.any(|part| part == "..") {
        Some(Away::Directory)
    } else {
        None
    }
}
