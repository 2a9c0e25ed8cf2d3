//! What a pickle of weights may import. Everything else is refused, so this list is all that has to be right.
//!
//! Nothing here runs code that comes with the file, opens anything, or calls what it is given.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::torch::Element;
use crate::torchscript::{self, Standing};

/// What an allowed import is, which decides how it may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spec {
    /// Only referred to, never called: a type, a constant.
    Constant,
    /// `numpy.ndarray`, likewise.
    NdArray,
    /// A class of tensors, likewise.
    TensorClass,
    /// A type that can also be a default or an element type, and makes an empty or a copied container when called.
    Container(Make),
    /// A PyTorch element type.
    TorchType(Element),
    /// A class of PyTorch storages, used in persistent ids only.
    StorageClass(Element),
    /// Makes a tensor from a storage.
    Rebuild(Rebuild),
    /// `torch._tensor._rebuild_from_type_v2`, which calls its first argument.
    RebuildFromType,
    /// `torch.Size`.
    Size,
    /// `torch.device`.
    Device,
    /// `torch.serialization._get_layout`.
    Layout,
    /// `OrderedDict` and the like.
    Mapping,
    /// `defaultdict`.
    DefaultDict,
    /// `deque`.
    Deque,
    /// Makes a value from numbers, texts and bytes.
    Scalars,
    /// `fractions.Fraction`, of numbers.
    Fraction,
    /// `bytearray`.
    ByteArray,
    /// An object that only has attributes.
    Namespace,
    /// An object with attributes that are plain data.
    Object,
    /// Likewise, of a class whose constructor does more: made without calling that, as `NEWOBJ` does.
    Record,
    /// A member of an enumeration, or a text of a class of its own: of one short text.
    Member,
    /// `copyreg._reconstructor`, which makes objects in protocols 0 and 1.
    Reconstructor,
    /// `_codecs.encode`.
    Encode,
    /// `numpy.core.multiarray._reconstruct`.
    Reconstruct,
    /// `numpy.core.multiarray.scalar`.
    NumpyScalar,
    /// `numpy.core.numeric._frombuffer`.
    FromBuffer,
    /// `numpy.dtype`.
    Dtype,
    /// joblib's `NumpyArrayWrapper`.
    Wrapper,
    /// A class of a TorchScript program, whose methods are in its source.
    ScriptClass,
    /// TorchScript's marks of what type a list or another value has.
    ScriptType,
}

/// What calling a built-in container makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// A list.
    List,
    /// A dictionary.
    Dict,
    /// A set, frozen or not.
    Set,
    /// A tuple, a number, a text: plain data.
    Plain,
}

/// The functions that make tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    /// `_rebuild_tensor`, with four arguments.
    First,
    /// `_rebuild_tensor_v2`, with hooks.
    Second,
    /// `_rebuild_tensor_v3`, with an element type.
    Third,
    /// `_rebuild_qtensor`.
    Quantized,
    /// `_rebuild_sparse_tensor`.
    Sparse,
    /// `_rebuild_parameter`.
    Parameter,
    /// `_rebuild_parameter_with_state`, which sets attributes.
    ParameterWithState,
    /// `_rebuild_device_tensor_from_numpy`, of an array.
    FromNumpy,
    /// `_rebuild_meta_tensor_no_storage`.
    Meta,
}

/// The allowed import of this name, if there is one.
pub fn find(module: &str, name: &str) -> Option<Spec> {
    match module {
        "builtins" | "__builtin__" => builtin(name),
        "collections" => match name {
            "OrderedDict" | "Counter" => Some(Spec::Mapping),
            "defaultdict" => Some(Spec::DefaultDict),
            "deque" => Some(Spec::Deque),
            _ => None,
        },
        "_codecs" => (name == "encode").then_some(Spec::Encode),
        "copyreg" | "copy_reg" => (name == "_reconstructor").then_some(Spec::Reconstructor),
        "numpy" => numpy(name),
        "numpy.core.multiarray" | "numpy._core.multiarray" => match name {
            "_reconstruct" => Some(Spec::Reconstruct),
            "scalar" => Some(Spec::NumpyScalar),
            _ => None,
        },
        "numpy.core.numeric" | "numpy._core.numeric" => (name == "_frombuffer").then_some(Spec::FromBuffer),
        "numpy.dtypes" => (name.ends_with("DType") && !name.contains('.')).then_some(Spec::Constant),
        "torch" | "torch.cuda" => torch(module, name),
        "torch._utils" => match name {
            "_rebuild_tensor" => Some(Spec::Rebuild(Rebuild::First)),
            "_rebuild_tensor_v2" => Some(Spec::Rebuild(Rebuild::Second)),
            "_rebuild_tensor_v3" => Some(Spec::Rebuild(Rebuild::Third)),
            "_rebuild_qtensor" => Some(Spec::Rebuild(Rebuild::Quantized)),
            "_rebuild_sparse_tensor" => Some(Spec::Rebuild(Rebuild::Sparse)),
            "_rebuild_parameter" => Some(Spec::Rebuild(Rebuild::Parameter)),
            "_rebuild_parameter_with_state" => Some(Spec::Rebuild(Rebuild::ParameterWithState)),
            "_rebuild_device_tensor_from_numpy" => Some(Spec::Rebuild(Rebuild::FromNumpy)),
            "_rebuild_meta_tensor_no_storage" => Some(Spec::Rebuild(Rebuild::Meta)),
            _ => None,
        },
        "torch._tensor" => (name == "_rebuild_from_type_v2").then_some(Spec::RebuildFromType),
        "torch.nn.parameter" => matches!(name, "Parameter" | "Buffer").then_some(Spec::TensorClass),
        "torch.storage" => {
            matches!(name, "UntypedStorage" | "TypedStorage").then_some(Spec::StorageClass(Element::BYTES))
        }
        "torch.torch_version" => (name == "TorchVersion").then_some(Spec::Member),
        "torch.serialization" => (name == "_get_layout").then_some(Spec::Layout),
        "decimal" | "_decimal" => (name == "Decimal").then_some(Spec::Scalars),
        "fractions" => (name == "Fraction").then_some(Spec::Fraction),
        "datetime" => {
            matches!(name, "date" | "time" | "datetime" | "timedelta" | "timezone").then_some(Spec::Scalars)
        }
        "uuid" => match name {
            "UUID" => Some(Spec::Object),
            "SafeUUID" => Some(Spec::Scalars),
            _ => None,
        },
        "pathlib" | "pathlib._local" => matches!(
            name,
            "PurePath" | "PurePosixPath" | "PureWindowsPath" | "Path" | "PosixPath" | "WindowsPath"
        )
        .then_some(Spec::Scalars),
        "argparse" => (name == "Namespace").then_some(Spec::Namespace),
        "types" => (name == "SimpleNamespace").then_some(Spec::Namespace),
        "joblib.numpy_pickle" | "sklearn.externals.joblib.numpy_pickle" => {
            (name == "NumpyArrayWrapper").then_some(Spec::Wrapper)
        }
        _ if module.starts_with("transformers.") || module.starts_with("accelerate.") => {
            settings(module, name)
        }
        _ => None,
    }
}

/// What `training_args.bin` is made of. To look up a member of an enumeration has no effect. None of the classes has a `__setstate__`, and
/// made with `NEWOBJ` each object has attributes of its own: that those of a `PartialState` are shared among all is its constructor's doing.
fn settings(module: &str, name: &str) -> Option<Spec> {
    match (module, name) {
        (
            "transformers.trainer_utils",
            "IntervalStrategy" | "SchedulerType" | "SaveStrategy" | "HubStrategy" | "EvaluationStrategy",
        )
        | ("transformers.training_args", "OptimizerNames")
        | ("accelerate.utils.dataclasses", "DistributedType" | "DynamoBackend") => Some(Spec::Member),
        ("transformers.training_args", "TrainingArguments")
        | ("transformers.training_args_seq2seq", "Seq2SeqTrainingArguments")
        | ("transformers.trainer_pt_utils", "AcceleratorConfig")
        | ("accelerate.state", "PartialState") => Some(Spec::Record),
        _ => None,
    }
}

/// Whether this makes a list of numbers for TorchScript, or names the type of one.
pub fn is_script_builder(module: &str, name: &str) -> bool {
    module == "torch.jit._pickle"
        && matches!(
            name,
            "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist" | "restore_type_tag"
        )
}

/// What a pickle of a TorchScript program may import besides. PyTorch looks these names up in the program, not in Python.
pub fn of_script(module: &str, name: &str) -> Option<Spec> {
    if is_script_builder(module, name) {
        return Some(Spec::ScriptType);
    }
    let path = module.strip_prefix("__torch__")?;
    let inner = path.is_empty() || path.starts_with('.');
    let class = path.strip_prefix(".torch.classes");
    let known = class.is_none_or(|class| {
        let space = class.strip_prefix('.').unwrap_or_default();
        torchscript::class(space) == Standing::Known
    });
    (inner && known && !name.is_empty()).then_some(Spec::ScriptClass)
}

fn builtin(name: &str) -> Option<Spec> {
    Some(match name {
        "list" => Spec::Container(Make::List),
        "dict" => Spec::Container(Make::Dict),
        "set" | "frozenset" => Spec::Container(Make::Set),
        "tuple" | "int" | "long" | "float" | "bool" | "str" | "unicode" | "bytes" => {
            Spec::Container(Make::Plain)
        }
        "complex" | "slice" | "range" | "xrange" => Spec::Scalars,
        "bytearray" => Spec::ByteArray,
        "object" | "NoneType" | "Ellipsis" | "NotImplemented" => Spec::Constant,
        _ => return None,
    })
}

fn numpy(name: &str) -> Option<Spec> {
    Some(match name {
        "ndarray" => Spec::NdArray,
        "dtype" => Spec::Dtype,
        "bool_" | "bool" | "bool8" | "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32"
        | "uint64" | "float16" | "float32" | "float64" | "longdouble" | "complex64" | "complex128"
        | "intc" | "uintc" | "intp" | "longlong" | "ulonglong" | "str_" | "bytes_" | "object_" | "void"
        | "datetime64" | "timedelta64" => Spec::Constant,
        _ => return None,
    })
}

fn torch(module: &str, name: &str) -> Option<Spec> {
    if let Some(element) = name.strip_suffix("Storage").and_then(Element::of_storage) {
        return Some(Spec::StorageClass(element));
    }
    // The types that tensors had before 0.4.
    if name
        .strip_suffix("Tensor")
        .and_then(Element::of_storage)
        .is_some()
    {
        return Some(Spec::Constant);
    }
    if module != "torch" {
        return None;
    }
    Some(match name {
        "Size" => Spec::Size,
        "device" => Spec::Device,
        "Tensor" => Spec::TensorClass,
        "strided"
        | "sparse_coo"
        | "sparse_csr"
        | "sparse_csc"
        | "sparse_bsr"
        | "sparse_bsc"
        | "per_tensor_affine"
        | "per_channel_affine"
        | "per_tensor_symmetric"
        | "per_channel_symmetric"
        | "per_channel_affine_float_qparams"
        | "contiguous_format"
        | "channels_last"
        | "channels_last_3d"
        | "preserve_format" => Spec::Constant,
        _ => Spec::TorchType(Element::of_type(name)?),
    })
}

/// Texts that stay known however much of a file's own text is forgotten, because imports are made of them.
#[rustfmt::skip]
const ATOMS: &[&str] = &[
    "builtins", "__builtin__", "list", "dict", "set", "frozenset", "complex", "slice", "range", "bytearray",
    "object", "int", "float", "bool", "str", "bytes", "tuple", "collections", "OrderedDict", "Counter",
    "defaultdict", "deque", "_codecs", "encode", "latin1", "numpy", "ndarray", "dtype",
    "numpy.core.multiarray", "numpy._core.multiarray", "_reconstruct", "scalar", "numpy.core.numeric",
    "numpy._core.numeric", "_frombuffer", "torch", "torch._utils", "_rebuild_tensor", "_rebuild_tensor_v2",
    "_rebuild_tensor_v3", "_rebuild_parameter", "torch._tensor", "_rebuild_from_type_v2",
    "torch.nn.parameter", "Parameter", "torch.storage", "UntypedStorage", "Size", "device", "storage",
    "cpu", "FloatStorage", "HalfStorage", "BFloat16Storage", "DoubleStorage", "LongStorage", "IntStorage",
    "ByteStorage", "BoolStorage", "float32", "float16", "bfloat16", "float64", "int64", "int32", "int16",
    "int8", "uint8", "decimal", "Decimal", "datetime", "date", "time", "timedelta", "uuid", "UUID",
    "pathlib", "PosixPath", "PurePosixPath", "argparse", "Namespace", "joblib.numpy_pickle",
    "NumpyArrayWrapper", "subclass", "shape", "order", "C", "F", "allow_mmap",
    "numpy_array_alignment_bytes", "<", ">", "|", "=", "f4", "f8", "f2", "i8", "i4", "i2", "i1", "u1", "u2",
    "u4", "u8", "b1", "O8", "O", "os", "posix", "nt", "system", "subprocess", "Popen", "eval", "exec",
    "getattr", "importlib", "sys", "_metadata", "version",
];

static ATOM_INDEX: LazyLock<BTreeMap<&'static str, u16>> =
    LazyLock::new(|| ATOMS.iter().copied().zip(0..).collect());

/// The number of a text that is one of the names.
pub fn atom(text: &str) -> Option<u16> {
    ATOM_INDEX.get(text).copied()
}

/// The text with this number.
pub fn atom_text(atom: u16) -> &'static str {
    ATOMS.get(usize::from(atom)).copied().unwrap_or_default()
}
