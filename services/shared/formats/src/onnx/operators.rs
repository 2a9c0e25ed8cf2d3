//! Operators by domain: those of the standard, which a runtime brings along, and those that reach out of the model.
//!
//! The names are those of ONNX 1.23 with every version of its operator sets, sorted.

/// What an operator means for whoever runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Part of the standard.
    Standard,
    /// One of ONNX Runtime's own, built into it.
    Runtime,
    /// In a domain of the standard, which does not have it.
    Unknown,
    /// In some other domain: defined by the model itself, or by a library that is loaded for it.
    Custom,
    /// Runs code that is not part of the model, or reaches out of it, and how.
    Effect(&'static str),
}

/// Domains of operators that ONNX Runtime has built in; some of them only occur in models that it has optimised.
const RUNTIME: [&str; 5] = [
    "com.microsoft",
    "com.microsoft.dml",
    "com.microsoft.experimental",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
];

/// What the operator `name` of `domain` is.
pub fn standing(domain: &str, name: &str) -> Standing {
    if let Some(how) = effect(domain, name) {
        return Standing::Effect(how);
    }
    let standard = match domain {
        "" | "ai.onnx" => STANDARD,
        "ai.onnx.ml" => LEARNING,
        "ai.onnx.preview" | "ai.onnx.training" | "ai.onnx.preview.training" => TRAINING,
        _ if RUNTIME.contains(&domain) => return Standing::Runtime,
        _ => return Standing::Custom,
    };
    if standard.binary_search(&name).is_ok() {
        Standing::Standard
    } else {
        Standing::Unknown
    }
}

/// How an operator reaches out of the model, wherever it stands: a name that means this in one library is not taken for something else
/// in another.
fn effect(domain: &str, name: &str) -> Option<&'static str> {
    match name {
        // ONNX Runtime Extensions and ONNX Runtime Training.
        "PyOp" | "PythonOp" | "PythonOpGrad" | "PyFunc" | "PyCustomOp" => Some("runs Python code"),
        "ATen" | "ATenOp" => Some("calls any function of PyTorch by its name"),
        "EPContext" => {
            Some("loads compiled code for an accelerator, from the model or from a file beside it")
        }
        "TritonOp" | "ExternOp" | "TensorRTEngineOp" | "TRT_EngineOp" => Some("runs compiled code"),
        "ReadFile" | "WriteFile" | "LoadFile" => Some("reads or writes files"),
        _ if ["Azure", "OpenAI"].iter().any(|start| name.starts_with(start))
            && matches!(domain, "ai.onnx.contrib" | "com.microsoft.extensions") =>
        {
            Some("sends data to a service on the network")
        }
        _ => None,
    }
}

/// `ai.onnx`, also written as no domain at all.
#[rustfmt::skip]
const STANDARD: &[&str] = &[
    "Abs", "Acos", "Acosh", "Add", "AffineGrid", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan",
    "Atanh", "Attention", "AveragePool", "BatchNormalization", "Bernoulli", "BitCast", "BitShift",
    "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "BlackmanWindow", "Cast", "CastLike",
    "CausalConvWithState", "Ceil", "Celu", "CenterCropPad", "Clip", "Col2Im", "Compress", "Concat",
    "ConcatFromSequence", "Constant", "ConstantOfShape", "Conv", "ConvInteger", "ConvTranspose", "Cos",
    "Cosh", "CumProd", "CumSum", "DFT", "DeformConv", "DepthToSpace", "DequantizeLinear", "Det", "Div",
    "Dropout", "DynamicQuantizeLinear", "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike",
    "Flatten", "Floor", "GRU", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm",
    "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "GridSample",
    "GroupNormalization", "HammingWindow", "HannWindow", "HardSigmoid", "HardSwish", "Hardmax",
    "Identity", "If", "ImageDecoder", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LSTM",
    "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "LinearAttention", "Log", "LogSoftmax",
    "Loop", "LpNormalization", "LpPool", "MatMul", "MatMulInteger", "Max", "MaxPool", "MaxRoiPool",
    "MaxUnpool", "Mean", "MeanVarianceNormalization", "MelWeightMatrix", "Min", "Mish", "Mod", "Mul",
    "Multinomial", "Neg", "NegativeLogLikelihoodLoss", "NonMaxSuppression", "NonZero", "Not", "OneHot",
    "Optional", "OptionalGetElement", "OptionalHasElement", "Or", "PRelu", "Pad", "Pow", "QLinearConv",
    "QLinearMatMul", "QuantizeLinear", "RMSNormalization", "RNN", "RandomNormal", "RandomNormalLike",
    "RandomUniform", "RandomUniformLike", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "ReduceSumSquare", "RegexFullMatch", "Relu", "Reshape", "Resize", "ReverseSequence", "RoiAlign",
    "RotaryEmbedding", "Round", "STFT", "Scan", "Scatter", "ScatterElements", "ScatterND", "Selu",
    "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert",
    "SequenceLength", "SequenceMap", "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice",
    "Softmax", "SoftmaxCrossEntropyLoss", "Softplus", "Softsign", "SpaceToDepth", "Split",
    "SplitToSequence", "Sqrt", "Squeeze", "StringConcat", "StringNormalizer", "StringSplit", "Sub", "Sum",
    "SwiGLU", "Swish", "Tan", "Tanh", "TensorScatter", "TfIdfVectorizer", "ThresholdedRelu", "Tile",
    "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze", "Upsample", "Where", "Xor",
];

/// `ai.onnx.ml`.
#[rustfmt::skip]
const LEARNING: &[&str] = &[
    "ArrayFeatureExtractor", "Binarizer", "CastMap", "CategoryMapper", "DictVectorizer",
    "FeatureVectorizer", "Imputer", "LabelEncoder", "LinearClassifier", "LinearRegressor", "Normalizer",
    "OneHotEncoder", "SVMClassifier", "SVMRegressor", "Scaler", "TreeEnsemble", "TreeEnsembleClassifier",
    "TreeEnsembleRegressor", "ZipMap",
];

/// The previews, of which there are few.
#[rustfmt::skip]
const TRAINING: &[&str] = &[
    "Adagrad", "Adam", "FlexAttention", "Gradient", "GraphCall", "Momentum",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_sorted_and_told_apart() {
        for names in [STANDARD, LEARNING, TRAINING] {
            assert!(names.is_sorted());
        }
        assert_eq!(standing("", "Conv"), Standing::Standard);
        assert_eq!(standing("ai.onnx.ml", "ZipMap"), Standing::Standard);
        assert_eq!(standing("ai.onnx.ml", "Conv"), Standing::Unknown);
        assert_eq!(standing("com.microsoft", "FusedConv"), Standing::Runtime);
        assert_eq!(standing("com.example", "Conv"), Standing::Custom);
        assert!(matches!(standing("ai.onnx.contrib", "PyOp"), Standing::Effect(_)));
        assert!(matches!(
            standing("ai.onnx.contrib", "AzureAudioToText"),
            Standing::Effect(_)
        ));
        assert!(matches!(
            standing("com.microsoft", "EPContext"),
            Standing::Effect(_)
        ));
    }
}
