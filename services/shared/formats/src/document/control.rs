//! Dotted names of what gives whoever calls it control of the machine: `subprocess.Popen`, `importlib.import_module`.
//!
//! A document has no use for them, whatever the member is called. The list is that of pickles, but words of it are also names of
//! splits, metrics, files and hosts, and libraries of it have classes that settings of trainings name.

use crate::pickle;

/// Names of the list that mean something else in documents, or of which ordinary documents name most parts.
#[rustfmt::skip]
const ORDINARY: &[&str] = &[
    "code", "cmd", "commands", "test", "types", "io", "site", "stat", "trace", "platform", "profile", "resource", "signal",
    "select", "selectors", "http", "httplib", "requests", "operator", "glob", "inspect", "gc", "logging", "concurrent", "thread",
    "threading", "pipes", "dl", "nt", "dbm", "imp", "turtle", "sched", "unittest", "doctest", "pip", "keras",
    "tf_keras", "tensorflow", "transformers", "huggingface_hub", "yaml", "django", "flask", "ray", "mlflow", "nltk", "sympy",
    "statsmodels", "networkx", "jinja2", "mako", "pandas", "scipy", "numpy.lib", "torch.jit", "torch.utils", "torch.ops",
    "torch.classes", "torch.distributed", "torch.export", "torch.fx", "torch.onnx", "torch.compile",
];
/// What below them is not ordinary.
#[rustfmt::skip]
const NEVER: &[&str] = &[
    "code.interact", "code.InteractiveConsole", "code.InteractiveInterpreter", "cmd.Cmd", "commands.getoutput",
    "commands.getstatusoutput", "nt.system", "imp.load_source", "imp.load_module", "imp.load_dynamic", "test.support",
    "types.FunctionType", "types.CodeType", "types.MethodType", "io.open", "io.open_code", "io.FileIO", "trace.Trace", "platform.popen",
    "profile.run", "profile.runctx", "profile.Profile", "operator.attrgetter", "operator.methodcaller", "operator.itemgetter",
    "logging.config", "pip.main", "pip._internal", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle",
    "pandas.eval", "keras.models.load_model", "keras.saving.load_model", "tensorflow.load_library", "tensorflow.load_op_library",
    "tensorflow.py_function", "transformers.dynamic_module_utils", "sympy.sympify", "torch.utils.cpp_extension",
    "torch.utils.model_zoo", "torch.ops.load_library", "torch.classes.load_library",
];
/// Modules that other modules import, so that a name leads to them from anywhere.
const MODULES: &[&str] = &[
    "os",
    "sys",
    "subprocess",
    "builtins",
    "importlib",
    "runpy",
    "ctypes",
    "shutil",
    "socket",
    "posix",
];
/// Words of the list that are ordinary in names.
const VERBS: &[&str] = &["eval", "exec", "system", "popen"];
/// Names between two underscores that lead nowhere.
const HARMLESS: &[&str] = &["__init__", "__main__", "__version__"];
/// Last parts of the names of files and hosts: `sys.log` is no function, nor is `pickle.pkl`.
#[rustfmt::skip]
const ENDINGS: &[&str] = &[
    "txt", "json", "jsonl", "csv", "tsv", "log", "yaml", "yml", "md", "pkl", "pickle", "bin", "pt", "pth", "ckpt", "safetensors", "gguf",
    "npz", "npy", "png", "jpg", "jpeg", "wav", "html", "parquet", "arrow", "zip", "gz", "tar", "xml", "py", "h5", "db", "sh", "ipynb",
    "toml", "cfg", "ini", "com", "org",
];

/// Whether the text as a whole is the name of something that gives control.
pub fn names(text: &str) -> bool {
    let Some((module, name)) = text.rsplit_once('.').filter(|_| is_dotted(text)) else {
        return false;
    };
    let root = module.split('.').next().unwrap_or(module);
    let leads = module
        .split('.')
        .skip(1)
        .any(|part| MODULES.contains(&part) || is_dunder(part))
        || leads_on(name);
    // These words say nothing in a module that is not on the list: `prompts.system` and `metrics.eval.loss` are ordinary.
    let is_way_out = |part| VERBS.contains(&part) || MODULES.contains(&part) || is_dunder(part);
    let listed = pickle::is_dangerous(root, "_")
        || (root.trim_matches('_').starts_with("builtin") && pickle::is_dangerous(root, name))
        || (!text.split('.').skip(1).any(is_way_out) && pickle::is_dangerous(module, name));
    leads
        || begins_with_any(text, NEVER)
        || (listed && !(module == root && is_file(text)) && !begins_with_any(text, ORDINARY))
}

fn begins_with_any(text: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| begins_with(text, beginning))
}

/// Whether a dotted name is `beginning` or something in it.
pub fn begins_with(text: &str, beginning: &str) -> bool {
    text.strip_prefix(beginning)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `__globals__` and its like, by which everything can be had from anything.
pub fn leads_on(part: &str) -> bool {
    is_dunder(part) && !HARMLESS.contains(&part)
}

fn is_dunder(part: &str) -> bool {
    part.len() > 4 && part.starts_with("__") && part.ends_with("__")
}

/// Whether a text is the name of something in a module.
pub fn is_dotted(name: &str) -> bool {
    let word = |part: &str| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part
                .chars()
                .all(|character| character.is_alphanumeric() || character == '_')
    };
    name.contains('.') && name.split('.').all(word)
}

/// Whether a dotted name is that of a file or a host by its last part.
pub fn is_file(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_control_is_told_from_ordinary_names() {
        for text in [
            "os.system",
            "subprocess.Popen",
            "importlib.import_module",
            "builtins.eval",
            "runpy.run_path",
            "torch.load",
            "torch.hub.load",
            "torch.utils.cpp_extension.load",
            "numpy.f2py.compile",
            "ldm.util.importlib.import_module",
            "logging.os.system",
            "logging.config.dictConfig",
            "collections.OrderedDict.__init__.__globals__",
            "code.interact",
            "pickle.loads",
            "functools.partial",
        ] {
            assert!(names(text), "{text}");
        }
        for text in [
            "test.loss",
            "test.jsonl",
            "code.json",
            "sys.log",
            "pickle.pkl",
            "prompts.system",
            "data.eval",
            "metrics.eval.loss",
            "model.layers.0.mlp",
            "model.code.embed",
            "logging.StreamHandler",
            "logging.handlers.RotatingFileHandler",
            "torch.nn.modules.activation.Tanh",
            "torch.float16",
            "torch.utils.data.DataLoader",
            "torch.optim.AdamW",
            "transformers.models.llama.modeling_llama",
            "tensorflow.keras.layers",
            "lightning.pytorch.cli.instantiate_module",
            "pyannote.audio.pipelines.SpeakerDiarization",
            "sentence_transformers.models.Transformer",
            "platform.openai.com",
            "subprocess",
            "os",
            "e.g.",
            "3.10",
            "os.system is a function",
        ] {
            assert!(!names(text), "{text}");
        }
    }
}
