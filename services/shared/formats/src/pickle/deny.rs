//! Imports that are known to give a file control. They are refused like everything that is not allowed; the list only
//! decides which findings are critical.

use super::allow::is_script_builder;

/// Packages of which any part is enough.
#[rustfmt::skip]
const PACKAGES: &[&str] = &[
    "_aix_support", "_ctypes", "_io", "_osx_support", "_pickle", "_posixsubprocess", "_pyrepl", "_socket",
    "_thread", "_winapi", "_xxsubinterpreters", "_interpreters", "_testcapi", "_imp", "_frozen_importlib",
    "_frozen_importlib_external", "aiohttp", "asyncio", "bdb", "binascii", "builtin", "cPickle", "cProfile",
    "cffi", "cgi", "cgitb", "cloudpickle", "cmd", "code", "codecs", "codeop", "commands", "compileall",
    "concurrent", "ctypes", "dbm", "dill", "distutils", "dl", "doctest", "dummy_threading", "ensurepip",
    "faulthandler", "fickling", "fileinput", "ftplib", "functools", "gc", "http", "httplib", "httpx",
    "idlelib", "imaplib", "imp", "importlib", "inspect", "io", "lib2to3", "linecache", "logging", "marshal",
    "mmap", "modulefinder", "msvcrt", "multiprocessing", "nntplib", "nt", "operator", "_operator", "os",
    "paramiko", "pdb", "pickle", "pickletools", "pip", "pipes", "pkg_resources", "pkgutil", "platform",
    "poplib", "popen2", "posix", "posixfile", "posixpath", "ntpath", "profile", "pstats", "pty",
    "py_compile", "pyclbr", "pydoc", "pyximport", "readline", "requests", "resource", "rlcompleter",
    "runpy", "sched", "select", "selectors", "setuptools", "shelve", "shlex", "shutil", "signal", "site",
    "sitecustomize", "smtpd", "smtplib", "socket", "socketserver", "SocketServer", "sqlite3", "ssl",
    "subprocess", "sys", "sysconfig", "syslog", "tarfile", "telnetlib", "tempfile", "test", "threading",
    "thread", "timeit", "tkinter", "trace", "tracemalloc", "turtle", "types", "unittest", "urllib",
    "urllib2", "urllib3", "venv", "webbrowser", "winreg", "wsgiref", "xmlrpc", "xmlrpclib", "zipapp",
    "zipfile", "zipimport", "antigravity", "getpass", "glob", "stat", "nturl2path", "copyreg", "copy_reg",
    "weakref", "atexit", "contextlib", "pyautogui", "IPython", "ipykernel",
];

/// Modules and functions below packages that have harmless parts too.
#[rustfmt::skip]
const PARTS: &[&str] = &[
    "numpy.testing", "numpy.f2py", "numpy.distutils", "numpy.load", "numpy.loadtxt", "numpy.genfromtxt",
    "numpy.fromfile", "numpy.memmap", "numpy.save", "numpy.savetxt", "numpy.lib", "numpy.ctypeslib",
    "numpy.core._internal", "numpy.__builtins__", "numpy.vectorize", "numpy.fromiter",
    "numpy.apply_along_axis", "numpy.fromfunction", "numpy.frompyfunc", "torch.load", "torch.save",
    "torch.hub", "torch.jit", "torch.serialization", "torch.storage._load_from_bytes", "torch.utils",
    "torch.ops", "torch.classes", "torch.package", "torch.distributed", "torch.multiprocessing",
    "torch._inductor", "torch._dynamo", "torch._export", "torch.export", "torch.fx", "torch.onnx",
    "torch.testing", "torch._C", "torch.compile", "torch.cuda.jiterator", "torch.library", "torch._appdirs",
    "torch._functorch", "torch.os", "torch.sys", "torch.importlib", "joblib.load",
    "joblib._memmapping_reducer", "joblib.externals", "joblib.memory", "joblib.parallel",
    "pandas.read_pickle", "pandas.io", "pandas.eval", "pandas.core", "sklearn.externals", "keras.models",
    "keras.saving", "keras.layers", "keras.utils", "tensorflow", "tf_keras", "transformers",
    "huggingface_hub", "uuid._get_command_stdout", "uuid._popen", "decimal.sys", "collections.sys",
    "argparse.FileType", "argparse._sys", "argparse._os", "argparse.ArgumentParser", "pathlib.os",
    "pathlib.io", "datetime.sys", "jinja2", "mako", "yaml", "django", "flask", "ray", "mlflow", "nltk",
    "sympy", "statsmodels", "scipy.io", "scipy.weave", "networkx",
];

/// Modules below these that mostly hold classes of models, settings and tensors. What a class of theirs does is not known, so it is refused;
/// whoever saves a whole model or what it was trained with names some, and means no harm.
#[rustfmt::skip]
const CLASSES: &[&str] = &[
    "torch.distributed._shard", "torch.distributed._tensor", "torch.distributed.device_mesh",
    "torch.distributed.distributed_c10d", "torch.distributed.fsdp", "torch.distributed.tensor",
    "transformers.activations", "transformers.configuration_utils", "transformers.generation",
    "transformers.models", "transformers.trainer_pt_utils", "transformers.trainer_utils",
    "transformers.training_args", "transformers.training_args_seq2seq",
];

/// Built-in functions that run, fetch or change things.
#[rustfmt::skip]
const BUILTINS: &[&str] = &[
    "eval", "exec", "execfile", "compile", "open", "file", "input", "raw_input", "getattr", "setattr",
    "delattr", "hasattr", "__import__", "globals", "locals", "vars", "dir", "breakpoint", "apply", "reload",
    "map", "filter", "reduce", "sorted", "exit", "quit", "help", "print", "type", "super", "property",
    "classmethod", "staticmethod", "memoryview", "buffer", "intern", "coerce", "iter", "next", "max", "min",
    "__build_class__", "__loader__", "__spec__", "__dict__",
];

/// Whether importing this is known to be dangerous.
pub fn is_dangerous(module: &str, name: &str) -> bool {
    let builtin = matches!(module, "builtins" | "__builtin__" | "__builtins__");
    if builtin && name.split('.').any(|part| BUILTINS.contains(&part)) {
        return true;
    }
    let package = module.split('.').next().unwrap_or(module);
    if PACKAGES.contains(&package) {
        return true;
    }
    // Every program that PyTorch saves names these.
    if is_script_builder(module, name) {
        return false;
    }
    // A module imports others, so a dotted name, or a name that is itself a module's, leads to them.
    let mut parts = module.split('.').skip(1).chain(name.split('.'));
    if parts.any(is_way_out) {
        return true;
    }
    if is_known_class(module, name) {
        return false;
    }
    let full = format!("{module}.{name}");
    PARTS.iter().any(|part| {
        full.strip_prefix(part)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Whether this is a class of one of [`CLASSES`], not a function, nor anything that a class leads to.
fn is_known_class(module: &str, name: &str) -> bool {
    let is_class = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_class
        && CLASSES.iter().any(|known| {
            module
                .strip_prefix(known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
}

/// Parts of a dotted name that lead to everything.
pub fn is_way_out(part: &str) -> bool {
    matches!(
        part,
        "os" | "sys"
            | "subprocess"
            | "builtins"
            | "importlib"
            | "shutil"
            | "socket"
            | "posix"
            | "eval"
            | "exec"
            | "system"
            | "popen"
    ) || (part.starts_with("__") && part.ends_with("__") && part.len() > 4 && part != "__init__")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pickle::allow;

    #[test]
    fn knows_the_usual_ways_out() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("__builtin__", "getattr"),
            ("importlib", "import_module"),
            ("numpy.testing._private.utils", "runstring"),
            ("torch", "load"),
            ("torch.hub", "load"),
            ("collections", "OrderedDict.__init__.__globals__"),
            ("numpy", "os.system"),
            ("operator", "attrgetter"),
            ("transformers", "AutoModel.from_pretrained"),
            ("transformers", "pipeline"),
            (
                "transformers.models.auto.auto_factory",
                "getattribute_from_module",
            ),
            (
                "transformers.models.auto.modeling_auto",
                "AutoModel.from_pretrained",
            ),
            ("transformers.trainer_utils", "os.system"),
            ("transformers.training_args_seq2seqs", "Path"),
            ("transformers.utils.hub", "PushToHubMixin"),
            (
                "torch.distributed.elastic.multiprocessing.subprocess_handler",
                "SubprocessHandler",
            ),
            ("torch.distributed.rpc", "RRef"),
        ] {
            assert!(is_dangerous(module, name), "{module}.{name}");
        }
    }

    #[test]
    fn unknown_is_not_the_same_as_dangerous() {
        for (module, name) in [
            ("__main__", "Net"),
            ("sklearn.svm", "SVC"),
            ("mymodel", "Thing"),
            ("torchvision.models", "resnet18"),
            ("transformers.models.bert.modeling_bert", "BertModel"),
            ("transformers.trainer_utils", "FSDPOption"),
            ("torch.distributed.device_mesh", "DeviceMesh"),
        ] {
            assert!(!is_dangerous(module, name), "{module}.{name}");
            assert_eq!(allow::find(module, name), None);
        }
    }
}
