//! Settings among the data of a pickle that have a program call something by its name.
//!
//! Loading the pickle does nothing with them. Programs that keep a model's settings beside its weights make objects of what they name:
//! Hydra of `_target_`, Lightning's `load_from_checkpoint` of `_instantiator`, the reference code of diffusion models of `target`. They
//! take any name, so texts that are harmless as data are judged here as in a document of settings.

use super::deny::{is_dangerous, is_way_out};
use super::machine::Machine;
use super::value::{Kind, Node, Value};
use crate::document::is_ours;
use crate::finding::Place;
use crate::{rules, text};

/// How many members of a dictionary are looked through for a `target` and its `params`.
const MAX_MEMBERS: usize = 32;

/// What Lightning's command line leaves in its checkpoints.
const INSTANTIATORS: [&str; 2] = [
    "lightning.pytorch.cli.instantiate_module",
    "pytorch_lightning.cli.instantiate_module",
];
/// Packages whose classes are parts of models, besides those that documents may name.
const LIBRARIES: [&str; 10] = [
    "torch",
    "torchvision",
    "torchaudio",
    "torchmetrics",
    "lightning",
    "pytorch_lightning",
    "timm",
    "nemo",
    "ldm",
    "sgm",
];
/// Modules of functions that start weights and combine numbers, which are no classes.
const FUNCTIONS: [&str; 2] = ["torch.nn.init", "torch.nn.functional"];
/// Members that count, whatever becomes of other texts.
const KEYS: [&str; 6] = [
    "_target_",
    "_instantiator",
    "_class_path",
    "class_path",
    "target",
    "params",
];

/// What is known of the value of a member.
#[derive(Debug, Clone, Copy)]
enum Named<'a> {
    /// All of a text.
    Text(&'a str),
    /// Data that was not kept; it may be a text.
    Forgotten,
    /// No text.
    Other,
}

impl Machine {
    /// A dictionary has been given a key and its value.
    pub(super) fn member(&mut self, at: u64, container: Value, pair: &[Value]) {
        let [key, value] = *pair else { return };
        let Some(name) = self.written(key) else { return };
        let named = match (self.written(value), value) {
            (Some(text), _) => Named::Text(text),
            (None, Value::Plain | Value::Mixed) => Named::Forgotten,
            (None, _) if self.heap.is_text(value) => Named::Forgotten,
            _ => Named::Other,
        };
        let both = matches!(name, "target" | "params") && self.has_bad_target(container);
        if both || calls(name, named) {
            let shown = match named {
                Named::Text(value) => format!("`{}`: \"{}\"", text::shown(name), text::shown(value)),
                _ => format!("`{}`", text::shown(name)),
            };
            let message = format_args!("the settings in the data have a program call something: {shown}");
            self.note(&rules::DOC_CODE, Place::at(at), message);
        }
    }

    /// A dictionary is made of a list of pairs.
    pub(super) fn members(&mut self, at: u64, list: Value) {
        let pairs: Vec<Value> = match self.heap.node(list) {
            Some(Node::Items(items)) if items.kind == Kind::List => items.kept.clone(),
            Some(Node::Tuple(tuple)) => tuple.items.to_vec(),
            _ => return,
        };
        for pair in pairs {
            let pair = match self.heap.node(pair) {
                Some(Node::Tuple(tuple)) => tuple.items.first_chunk::<2>().copied(),
                Some(Node::Items(items)) => items.kept.first_chunk::<2>().copied(),
                _ => None,
            };
            if let Some(pair) = pair {
                self.member(at, list, &pair);
            }
        }
    }

    fn written(&self, value: Value) -> Option<&str> {
        std::str::from_utf8(self.heap.str(value)?).ok()
    }

    /// Whether a dictionary has parameters for a dangerous `target`. A target alone may be the name of a file or a column.
    fn has_bad_target(&self, container: Value) -> bool {
        let Some(items) = self.heap.container(container) else {
            return false;
        };
        // Such a dictionary has two or three members.
        let members = items
            .kept
            .chunks_exact(2)
            .take(MAX_MEMBERS)
            .filter_map(|pair| match pair {
                [key, value] => Some((self.written(*key)?, *value)),
                _ => None,
            });
        let (mut bad, mut given) = (false, false);
        for (name, value) in members {
            bad |= name == "target" && self.written(value).is_some_and(leads_out);
            given |= name == "params";
        }
        bad && given
    }
}

/// Whether a program that reads this member calls what nobody expects.
fn calls(key: &str, value: Named<'_>) -> bool {
    match (key, value) {
        (_, Named::Forgotten) => matches!(key, "_target_" | "_instantiator"),
        (_, Named::Other) => false,
        ("_target_", Named::Text(text)) => !text.is_empty() && !is_part_of_a_model(text),
        ("_instantiator", Named::Text(text)) => !INSTANTIATORS.contains(&text),
        ("_class_path" | "class_path", Named::Text(text)) => leads_out(text) || is_call(text),
        (_, Named::Text(text)) => is_call(text),
    }
}

/// Whether the judgement changes if the text is forgotten.
pub fn is_word(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| KEYS.contains(&text) || is_call(text))
}

/// A class of a library that models are made of.
fn is_part_of_a_model(name: &str) -> bool {
    let Some((module, last)) = name.rsplit_once('.') else {
        return false;
    };
    let root = module.split('.').next().unwrap_or_default();
    is_dotted(name)
        && (is_ours(name) || LIBRARIES.contains(&root))
        && (last.starts_with(|first: char| first.is_ascii_uppercase()) || FUNCTIONS.contains(&module))
        && !leads_out(name)
}

/// Whether a dotted name is known to be dangerous.
fn leads_out(name: &str) -> bool {
    let Some((module, last)) = name.rsplit_once('.').filter(|_| is_dotted(name)) else {
        return false;
    };
    // As the classes of these libraries are dangerous to call with any arguments, all of them are on the list.
    let dangerous = !is_ours(name) && is_dangerous(module, last);
    dangerous || name.split('.').any(is_way_out)
}

fn is_dotted(name: &str) -> bool {
    name.split('.').all(|part| {
        !part.is_empty()
            && !part.starts_with(|first: char| first.is_ascii_digit())
            && part
                .chars()
                .all(|character| character.is_alphanumeric() || character == '_')
    })
}

/// Whether a text is the full name of something that runs commands or code. There is no other reason to write it as the value of a
/// setting; names of whole modules are also those of files, such as `test.json`.
fn is_call(text: &str) -> bool {
    let Some((module, name)) = text.rsplit_once('.') else {
        return false;
    };
    let starts = |beginnings: &[&str]| beginnings.iter().any(|beginning| name.starts_with(beginning));
    match module {
        "os" | "posix" | "nt" => {
            starts(&["exec", "spawn", "posix_spawn", "popen"])
                || matches!(
                    name,
                    "system"
                        | "startfile"
                        | "fork"
                        | "forkpty"
                        | "remove"
                        | "unlink"
                        | "rmdir"
                        | "removedirs"
                )
        }
        "subprocess" => starts(&["Popen", "run", "call", "check_", "getoutput", "getstatusoutput"]),
        "commands" => starts(&["getoutput", "getstatusoutput"]),
        "builtins" | "__builtin__" | "__builtins__" => matches!(
            name,
            "eval" | "exec" | "execfile" | "compile" | "open" | "getattr" | "setattr" | "__import__"
        ),
        "importlib" => name == "import_module",
        "runpy" => matches!(name, "run_path" | "run_module"),
        "pty" => name == "spawn",
        "shutil" => name == "rmtree",
        "ctypes" => matches!(name, "CDLL" | "PyDLL" | "WinDLL"),
        "pickle" | "_pickle" | "cPickle" | "dill" | "cloudpickle" | "marshal" => {
            matches!(name, "load" | "loads")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_known_libraries_may_be_made() {
        for name in [
            "torch.nn.Linear",
            "torch.optim.lr_scheduler.CosineAnnealingLR",
            "torch.nn.functional.relu",
            "transformers.models.bert.modeling_bert.BertModel",
            "pytorch_lightning.Trainer",
            "ldm.models.diffusion.ddpm.LatentDiffusion",
        ] {
            assert!(!calls("_target_", Named::Text(name)), "{name}");
        }
        for name in [
            "os.system",
            "eval",
            "torch.load",
            "torch.hub.load",
            "torch.nn.modules.os.system",
            "torch.nn.functional.sys.Exit",
            "transformers.AutoModel.from_pretrained",
            "transformers.utils.subprocess.Popen",
            "mine.models.Net",
            "torch.utils.cpp_extension.CppExtension",
            "torch..Linear",
        ] {
            assert!(calls("_target_", Named::Text(name)), "{name}");
        }
    }

    #[test]
    fn ordinary_settings_name_nothing_that_runs() {
        for (key, value) in [
            ("_instantiator", "lightning.pytorch.cli.instantiate_module"),
            ("class_path", "mine.models.Net"),
            ("class_path", "torch.optim.Adam"),
            ("file", "test.json"),
            ("file", "os.py"),
            ("file", "pickle.pkl"),
            ("backend", "subprocess"),
            ("target", "code.column"),
            ("command", "os.system('true')"),
            ("optimizer", "torch.optim.AdamW"),
            ("separator", "."),
        ] {
            assert!(!calls(key, Named::Text(value)), "{key}: {value}");
        }
        assert!(calls("anything", Named::Text("os.system")));
        assert!(calls("class_path", Named::Text("subprocess.Popen")));
        assert!(calls("_class_path", Named::Text("webbrowser.open")));
        assert!(calls("_instantiator", Named::Text("mine.make")));
        assert!(calls("_target_", Named::Forgotten));
        assert!(!calls("_target_", Named::Other));
    }
}
