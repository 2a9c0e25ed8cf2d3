//! Directories as a whole: adapters, pipelines of several models, snapshots of a repository.

use super::{Directory, Judged, Kind, Member, is_plain, quoted};
use crate::format::Format;
use crate::rules;

/// The configuration of an adapter, and what its weights may be called.
const ADAPTER: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// What says which parts a pipeline has.
const PIPELINE: &str = "model_index.json";
/// Extensions of files with a model's numbers.
const WEIGHTS: [&str; 8] = [
    "safetensors",
    "bin",
    "pt",
    "pth",
    "ckpt",
    "onnx",
    "gguf",
    "msgpack",
];
/// Formats of files that make a directory one of a model.
const MODELS: [Format; 10] = [
    Format::Gguf,
    Format::Safetensors,
    Format::Pickle,
    Format::PytorchLegacy,
    Format::PytorchZip,
    Format::Onnx,
    Format::SavedModel,
    Format::TensorflowGraph,
    Format::Npy,
    Format::Npz,
];

/// An adapter: its configuration and its weights.
pub fn adapter(directory: &Directory<'_>) -> Option<Judged> {
    let place = directory.find(ADAPTER)?;
    directory.files.get(place).filter(|file| file.ties.adapter)?;
    let weights: Vec<usize> = ADAPTER_WEIGHTS
        .iter()
        .filter_map(|name| directory.find(name))
        .collect();
    let is_alone = weights.is_empty();
    let mut set = Judged::new(
        Kind::Adapter,
        Some(place),
        std::iter::once(place).chain(weights).collect(),
    );
    set.refuse_with(directory.files, &[]);
    if is_alone {
        let message = "the directory has the configuration of an adapter and not its weights";
        set.add(&rules::SET_ADAPTER, ADAPTER, message);
    }
    Some(set)
}

/// A pipeline. Its members are the files beside its description; those in the directories of its parts are for the caller to add.
pub fn pipeline(directory: &Directory<'_>) -> Option<Judged> {
    let place = directory.find(PIPELINE)?;
    let description = directory.files.get(place)?;
    let mut set = Judged::new(Kind::Diffusers, Some(place), vec![place]);
    set.refuse_with(directory.files, &[]);
    if description.ties.incomplete {
        let message = "the pipeline has more parts than can be compared";
        set.add(&rules::SET_LIMIT, description.name, message);
    }
    for component in &description.ties.components {
        let (folder, class) = (component.folder.as_str(), component.class.as_str());
        // What begins so is a setting, such as the class of the pipeline itself.
        if folder.starts_with('_') {
            continue;
        }
        if !is_plain(folder) {
            let message = format_args!("a part is to be loaded from the directory {}", quoted(folder));
            set.add(&rules::SET_PART, folder, message);
            continue;
        }
        if !is_class(class) {
            let message = format_args!("a part is to be loaded by {}, which is no class", quoted(class));
            set.add(&rules::SET_PART, folder, message);
        }
        let Some(files) = directory.folders.get(folder).filter(|files| !files.is_empty()) else {
            let message = format_args!("the pipeline's part {} is not there", quoted(folder));
            set.add(&rules::SET_MISSING, folder, message);
            continue;
        };
        let has_weights = files.iter().any(|name| {
            name.rsplit_once('.')
                .is_some_and(|(_, extension)| WEIGHTS.contains(&extension))
        });
        if files.iter().any(|name| name == "config.json") && !has_weights {
            let message = format_args!("the pipeline's part {} has no weights", quoted(folder));
            set.add(&rules::SET_MISSING, folder, message);
        }
    }
    Some(set)
}

/// A class as Python and its libraries write one: a name with a large letter first.
fn is_class(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.contains("__")
}

/// A directory with a configuration and a model. `eased` are members that a set of them does not refuse.
pub fn snapshot(directory: &Directory<'_>, eased: &[usize]) -> Option<Judged> {
    let has_model = directory.files.iter().any(|file| MODELS.contains(&file.format));
    let has_configuration = ["config.json", "tokenizer_config.json"]
        .iter()
        .any(|name| directory.find(name).is_some());
    if !has_configuration || !has_model {
        return None;
    }
    let mut set = Judged::new(Kind::Snapshot, None, (0..directory.files.len()).collect());
    for file in directory.files {
        code(directory, file, &mut set);
    }
    set.refuse_with(directory.files, eased);
    Some(set)
}

/// Code that a configuration names and that lies beside it.
fn code(directory: &Directory<'_>, file: &Member<'_>, set: &mut Judged) {
    for module in &file.ties.modules {
        let name = format!("{}.py", module.replace('.', "/"));
        let is_there = directory.find(&name).is_some();
        if is_there {
            let message = format_args!(
                "{} has a loader run {}, which lies beside it",
                quoted(file.name),
                quoted(&name)
            );
            set.add(&rules::SET_CODE, file.name, message);
        }
    }
}
