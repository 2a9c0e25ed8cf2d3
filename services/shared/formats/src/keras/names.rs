//! What Keras may be asked for by name in a description: its own layers, losses, optimizers and the like, and its plain functions.
//!
//! `classes.txt` lists the public classes of Keras 3.15 and of Keras 2.21 that compute, made by asking both packages, with names of older
//! releases. What runs code of the file, reads files or calls a function by any name is not on it.

use std::sync::LazyLock;

use crate::pickle;

/// Classes, sorted.
static CLASSES: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("classes.txt").split_ascii_whitespace().collect());

/// Functions for activation, loss and measurement.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "KLD", "MAE", "MAPE", "MSE", "MSLE", "acc", "accuracy", "bce", "binary_accuracy", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_accuracy", "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_generalized_cross_entropy",
    "categorical_hinge", "celu", "circle", "concordance_correlation", "cosine_proximity", "cosine_similarity", "crossentropy", "ctc", "dice",
    "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "hinge", "huber",
    "huber_loss", "kl_divergence", "kld", "kullback_leibler_divergence", "leaky_relu", "linear", "log_cosh", "log_sigmoid", "log_softmax",
    "logcosh", "mae", "mape", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "mish", "mse", "msle", "pearson_correlation", "poisson", "relu", "relu6", "selu", "sigmoid", "silu",
    "soft_shrink", "softmax", "softmax_v2", "softplus", "softsign", "sparse_categorical_accuracy", "sparse_categorical_crossentropy",
    "sparse_plus", "sparse_sigmoid", "sparse_top_k_categorical_accuracy", "sparsemax", "squared_hinge", "squareplus", "swish", "tanh",
    "tanh_shrink", "threshold", "top_k_categorical_accuracy", "tversky",
];

/// Parts of TensorFlow that only compute.
#[rustfmt::skip]
const COMPUTING: &[&str] = &["__operators__", "bitwise", "linalg", "math", "nn", "signal"];

/// Functions of TensorFlow that stand for themselves and only compute.
#[rustfmt::skip]
const TENSORFLOW: &[&str] = &[
    "abs", "acos", "acosh", "add", "add_n", "argmax", "argmin", "argsort", "asin", "asinh", "atan", "atan2", "atanh", "batch_to_space",
    "boolean_mask", "broadcast_to", "cast", "ceil", "clip_by_norm", "clip_by_value", "complex", "concat", "constant", "convert_to_tensor",
    "cos", "cosh", "cumsum", "debugging.check_numerics", "div", "divide", "dynamic_partition", "dynamic_stitch", "einsum", "ensure_shape",
    "equal", "exp", "expand_dims", "eye", "fill", "floor", "floordiv", "gather", "gather_nd", "greater", "greater_equal",
    "histogram_fixed_width", "identity", "identity_n", "image.adjust_brightness", "image.adjust_contrast", "image.central_crop",
    "image.crop_and_resize", "image.crop_to_bounding_box", "image.extract_patches", "image.flip_left_right", "image.grayscale_to_rgb",
    "image.non_max_suppression", "image.combined_non_max_suppression", "image.per_image_standardization", "image.resize",
    "image.resize_bilinear", "image.resize_nearest_neighbor", "image.resize_with_pad", "image.resize_with_crop_or_pad",
    "image.rgb_to_grayscale", "image.rgb_to_hsv", "image.rgb_to_yuv", "image.yuv_to_rgb", "image.hsv_to_rgb", "image.sobel_edges",
    "image.total_variation", "image.pad_to_bounding_box", "less", "less_equal", "linspace", "logical_and", "logical_not", "logical_or",
    "logical_xor", "matmul", "matrix_band_part", "maximum", "meshgrid", "minimum", "mod", "multiply", "negative", "norm", "not_equal",
    "one_hot", "ones", "ones_like", "pad", "pow", "quantization.fake_quant_with_min_max_args", "quantization.fake_quant_with_min_max_vars",
    "random.normal", "random.uniform", "random.truncated_normal", "range", "rank", "realdiv", "reduce_all", "reduce_any",
    "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "repeat", "reshape", "reverse",
    "reverse_sequence", "roll", "round", "rsqrt", "saturate_cast", "scalar_mul", "scatter_nd", "searchsorted", "sequence_mask", "shape",
    "sigmoid", "sign", "sin", "sinh", "size", "slice", "sort", "space_to_batch", "space_to_batch_nd", "split", "sqrt", "square", "squeeze",
    "stack", "stop_gradient", "strided_slice", "strings.lower", "strings.upper", "strings.length", "strings.split", "strings.regex_replace",
    "strings.join", "strings.strip", "strings.to_number", "strings.to_hash_bucket_fast", "subtract", "tan", "tanh", "tensordot",
    "tensor_scatter_nd_add", "tensor_scatter_nd_update", "tensor_scatter_nd_max", "tensor_scatter_nd_min", "tensor_scatter_nd_sub", "tile",
    "transpose", "truediv", "truncatediv", "truncatemod", "unique", "unstack", "where", "zeros", "zeros_like",
];

/// What a class stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It computes.
    Known,
    /// It is Python code, in one form or another.
    Code,
    /// It reads another model.
    Elsewhere,
    /// It calls a function of TensorFlow by name.
    Function,
    /// It calls a method by its name, of a class or of what comes in.
    Method,
    /// A function by its name.
    Named,
    /// A description of arguments, by a class of TensorFlow.
    Specification,
    /// Nobody knows.
    Unknown,
}

/// What the class `name` is.
pub fn class(name: &str) -> Class {
    match name {
        "Lambda" | "__lambda__" | "TorchModuleWrapper" => Class::Code,
        "TFSMLayer" => Class::Elsewhere,
        "TFOpLambda" | "SlicingOpLambda" => Class::Function,
        "ClassMethod" | "InstanceMethod" => Class::Method,
        "function" => Class::Named,
        "__typespec__" => Class::Specification,
        "__keras_tensor__" | "__tensor__" | "__numpy__" | "__bytes__" | "__ellipsis__" | "__slice__"
        | "__tuple__" | "TensorShape" | "TypeSpec" | "CompositeTensor" => Class::Known,
        _ if CLASSES.binary_search(&name).is_ok() => Class::Known,
        _ => Class::Unknown,
    }
}

/// Whether a function only computes.
pub fn is_plain(function: &str) -> bool {
    FUNCTIONS.contains(&function)
}

/// Whether a function of TensorFlow only computes.
pub fn computes(function: &str) -> bool {
    let function = function.strip_prefix("tf.").unwrap_or(function);
    let function = function.strip_prefix("compat.v1.").unwrap_or(function);
    match function.split_once('.') {
        Some((part, rest)) if COMPUTING.contains(&part) => !rest.contains('.'),
        _ => TENSORFLOW.contains(&function),
    }
}

/// Where a name is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// In Keras, or in the Keras that is part of TensorFlow.
    Keras,
    /// Among what Python itself has, where Keras looks up its plain functions.
    Builtins,
    /// In a library of the publisher's.
    Foreign,
    /// In something that no layer comes from.
    Dangerous,
}

/// What a module is, from which `name` is taken.
pub fn module(module: &str, name: &str) -> Module {
    let ours = ["keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras"];
    let is_ours = ours.iter().any(|ours| {
        module
            .strip_prefix(ours)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    if is_ours {
        Module::Keras
    } else if module == "builtins" {
        Module::Builtins
    } else if pickle::is_dangerous(module, name) {
        Module::Dangerous
    } else {
        Module::Foreign
    }
}

/// Functions and classes of Keras itself that have no place in a description of a model.
pub fn is_gadget(module: &str, name: &str) -> bool {
    const PLACES: [&str; 10] = [
        "utils",
        "config",
        "saving",
        "callbacks",
        "export",
        "backend",
        "legacy",
        "wrappers",
        "visualization",
        "distribution",
    ];
    const NAMES: [&str; 14] = [
        "get_file",
        "enable_unsafe_deserialization",
        "load_model",
        "load_weights",
        "save_model",
        "func_load",
        "deserialize_keras_object",
        "clone_model",
        "model_from_json",
        "disable_interactive_logging",
        "pickle_safe_from_zip_file",
        "set_backend",
        "image_dataset_from_directory",
        "load_img",
    ];
    let in_place = module
        .split('.')
        .filter(|part| *part != "src")
        .any(|part| PLACES.contains(&part));
    NAMES.contains(&name) || (in_place && class(name) == Class::Unknown && !is_plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_has_no_way_out() {
        assert!(CLASSES.is_sorted());
        assert!(CLASSES.len() > 600);
        for name in [
            "Lambda",
            "TFSMLayer",
            "TorchModuleWrapper",
            "JaxLayer",
            "get_file",
            "ModelCheckpoint",
        ] {
            assert_ne!(class(name), Class::Known, "{name}");
        }
        for name in [
            "Dense",
            "Functional",
            "LSTM",
            "Adam",
            "GlorotUniform",
            "Add",
            "GetItem",
            "DTypePolicy",
        ] {
            assert_eq!(class(name), Class::Known, "{name}");
        }
    }

    #[test]
    fn functions_of_tensorflow_are_told_apart() {
        for name in [
            "math.add",
            "nn.relu",
            "__operators__.add",
            "reshape",
            "compat.v1.transpose",
            "tf.math.add",
        ] {
            assert!(computes(name), "{name}");
        }
        for name in [
            "io.write_file",
            "io.read_file",
            "raw_ops.WriteFile",
            "py_function",
            "math.x.y",
            "numpy_function",
        ] {
            assert!(!computes(name), "{name}");
        }
    }
}
