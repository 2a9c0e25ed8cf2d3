//! The operators that a TorchScript program may use.
//!
//! `operators.txt` lists the names in the namespace `aten` of PyTorch 1.13, from its own registry, and those that 2.11 adds, from
//! its `native_functions.yaml`; without those below that reach out of the program.

use std::sync::LazyLock;

/// What an operator means for whoever runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It computes.
    Known,
    /// PyTorch has none of this name.
    Unknown,
    /// It reaches out of the program, and how.
    Effect(&'static str),
}

/// The operators of `aten`, sorted.
static ATEN: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("operators.txt").split_ascii_whitespace().collect());

/// Operators of `prim` that programs are written with.
#[rustfmt::skip]
const PRIM: &[&str] = &[
    "ConstantChunk", "EnumName", "EnumValue", "H", "ModuleContainerIndex", "NumToTensor", "Print", "RaiseException",
    "StringIndex", "T", "TimePoint", "TupleIndex", "TupleUnpack", "Uninitialized", "abs", "awaitable", "awaitable_nowait",
    "awaitable_wait", "data", "device", "dtype", "grad", "id", "index", "is_cpu", "is_cuda", "is_hpu", "is_ipu", "is_maia",
    "is_meta", "is_mkldnn", "is_mps", "is_mtia", "is_nested", "is_ort", "is_quantized", "is_sparse", "is_sparse_csr",
    "is_vulkan", "is_xla", "is_xpu", "isinstance", "itemsize", "layout", "mH", "mT", "max", "min", "name", "nbytes",
    "rangelist", "requires_grad", "tolist", "type", "unchecked_cast", "unchecked_unwrap_optional",
];

/// Namespaces of PyTorch and of torchvision's operators on boxes, all of which compute.
#[rustfmt::skip]
const SPACES: &[&str] = &[
    "_quantized", "metal_prepack", "mkldnn", "mkldnn_prepacked", "onednn", "onnx", "prepacked", "profiler", "quantization",
    "quantized", "quantized_decomposed", "sparse", "torchvision", "vulkan_prepack", "xnnpack",
];

/// Namespaces of classes that PyTorch itself registers for packed weights.
const CLASSES: &[&str] = &["mkldnn", "quantized", "rnn", "sparse", "vulkan", "xnnpack"];

/// Methods of those classes.
const METHODS: &[&str] = &["_weight_bias", "bias", "pack", "unpack", "weight", "get_name"];

/// What the operator `space::name` is.
pub fn operator(space: &str, name: &str) -> Standing {
    // An overload has its own name behind a dot.
    let name = name.split('.').next().unwrap_or_default();
    if let Some(how) = effect(name) {
        return Standing::Effect(how);
    }
    let known = match space {
        "aten" => ATEN.binary_search(&name).is_ok(),
        "prim" => PRIM.contains(&name),
        "c10d" | "_c10d_functional" | "c10d_functional" | "symm_mem" => {
            return Standing::Effect("talks to other processes");
        }
        "image" | "video_reader" | "torchaudio" | "torchcodec_ns" => {
            return Standing::Effect("reads or writes files that the program names");
        }
        _ => SPACES.contains(&space),
    };
    if known { Standing::Known } else { Standing::Unknown }
}

/// What the method `name` of a value is, unless the program defines it itself.
pub fn method(name: &str) -> Standing {
    let known = [operator("aten", name), operator("prim", name)].contains(&Standing::Known);
    if known || METHODS.contains(&name) {
        Standing::Known
    } else {
        effect(name).map_or(Standing::Unknown, Standing::Effect)
    }
}

/// What a class below `torch.classes` is, by its namespace.
pub fn class(space: &str) -> Standing {
    match space {
        "dist_c10d" | "dist_rpc" => Standing::Effect("talks to other processes"),
        _ if CLASSES.contains(&space) => Standing::Known,
        _ => Standing::Unknown,
    }
}

/// How an operator reaches out of the program, in whatever namespace and as whatever method.
pub fn effect(name: &str) -> Option<&'static str> {
    Some(match name {
        "save" => "writes a file that the program names",
        "from_file" => "reads a file that the program names",
        "rpc_async" | "rpc_sync" | "rpc_remote" => "calls functions in other processes",
        "PythonOp" | "IgnoredPythonOp" => "calls Python",
        "_index_put_impl_" | "_index_put_impl" => "can write beyond the memory of a tensor",
        "_sparse_coo_tensor_unsafe"
        | "_sparse_csr_tensor_unsafe"
        | "_sparse_csc_tensor_unsafe"
        | "_sparse_bsr_tensor_unsafe"
        | "_sparse_bsc_tensor_unsafe"
        | "_sparse_compressed_tensor_unsafe" => "makes tensors whose indices nobody checks",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_has_nothing_that_reaches_out() {
        assert!(ATEN.is_sorted() && ATEN.len() > 1500);
        assert!(PRIM.is_sorted() && SPACES.is_sorted());
        for name in ATEN.iter().chain(PRIM) {
            assert_eq!(effect(name), None, "{name}");
        }
    }

    #[test]
    fn operators_are_told_apart() {
        assert_eq!(operator("aten", "conv2d"), Standing::Known);
        assert_eq!(operator("aten", "scaled_dot_product_attention"), Standing::Known);
        assert_eq!(operator("aten", "add.Tensor"), Standing::Known);
        assert_eq!(operator("aten", "evil"), Standing::Unknown);
        assert_eq!(operator("mine", "relu"), Standing::Unknown);
        for (space, name) in [
            ("aten", "save"),
            ("aten", "from_file.out"),
            ("prim", "rpc_async"),
            ("c10d", "send"),
            ("image", "write_file"),
            ("mine", "save"),
        ] {
            assert!(
                matches!(operator(space, name), Standing::Effect(_)),
                "{space}::{name}"
            );
        }
    }
}
