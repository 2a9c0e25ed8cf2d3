//! Operators of TensorFlow: those that compute, those that reach out of the graph, and those that nobody knows.
//!
//! `operators.txt` lists the names that TensorFlow 2.21 registers, generated from its own registry. A list of what is harmful alone would
//! miss what a library adds, and a list of what is harmless alone could not say what the matter is, so there are both.

use std::sync::LazyLock;

/// What an operator means for whoever runs the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It computes.
    Known,
    /// TensorFlow has no such operator; it may be a function of the model.
    Unknown,
    /// It reaches out of the graph, and how.
    Effect(&'static str),
    /// It reads files that the graph names.
    Files(&'static str),
    /// It saves or loads numbers; the first so many of its inputs say where.
    Saver(usize),
    /// It is a variable, whose value is in another file.
    Variable,
}

/// Every operator of TensorFlow, sorted.
static NAMES: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("operators.txt").split_ascii_whitespace().collect());

/// What the operator `name` is.
pub fn standing(name: &str) -> Standing {
    if let Some(standing) = special(name) {
        return standing;
    }
    // Names that begin like this are for communication between processes, in every version.
    for (start, how) in [
        ("Collective", "talks to other processes"),
        ("Nccl", "talks to other processes"),
        ("Rpc", "calls or offers a service on the network"),
        ("DataService", "fetches data from a service on the network"),
        ("RegisterDataset", "talks to a service on the network"),
        (
            "DebugIdentity",
            "can send what passes through to a file or a service",
        ),
        (
            "DebugNumericSummary",
            "can send what passes through to a file or a service",
        ),
        (
            "DebugNanCount",
            "can send what passes through to a file or a service",
        ),
    ] {
        if name.starts_with(start) {
            return Standing::Effect(how);
        }
    }
    if NAMES.binary_search(&name).is_ok() {
        Standing::Known
    } else {
        Standing::Unknown
    }
}

fn special(name: &str) -> Option<Standing> {
    let name = name.strip_prefix("Experimental").unwrap_or(name);
    Some(match name {
        "PyFunc" | "PyFuncStateless" | "EagerPyFunc" => Standing::Effect("runs Python code"),
        "WriteFile"
        | "SaveDataset"
        | "SaveDatasetV2"
        | "DistributedSave"
        | "DatasetToTFRecord"
        | "SnapshotDataset"
        | "SnapshotDatasetV2"
        | "CreateSummaryFileWriter"
        | "CreateSummaryDbWriter"
        | "DumpTensor"
        | "CalibrationStatisticsSaver"
        | "ImportEvent" => Standing::Effect("writes files"),
        "ReadFile" => Standing::Effect("reads any file"),
        "MatchingFiles" | "MatchingFilesDataset" => Standing::Effect("lists directories"),
        "FileSystemSetConfiguration" => Standing::Effect("changes how files are reached"),
        "SqlDataset" => Standing::Effect("queries a database"),
        "Send" | "Recv" | "_Send" | "_Recv" | "_HostSend" | "_HostRecv" | "RemoteCall" => {
            Standing::Effect("talks to other processes")
        }
        "Abort" => Standing::Effect("ends the program that runs it"),
        "XlaCustomCall" | "XlaCustomCallV2" => Standing::Effect("calls native code by its name"),
        "XlaCallModule"
        | "TPUExecute"
        | "TPUExecuteAndUpdateVariables"
        | "TPUCompile"
        | "_TPUCompileMlir"
        | "_XlaHostComputeMlir"
        | "MlirPassthroughOp" => {
            Standing::Effect("runs a program in another form, which cannot be inspected")
        }
        "DatasetFromGraph" => Standing::Effect("runs a graph that is made while it runs"),
        "TextLineDataset"
        | "TFRecordDataset"
        | "TFRecordDatasetV2"
        | "FixedLengthRecordDataset"
        | "FixedLengthRecordDatasetV2"
        | "CSVDataset"
        | "CSVDatasetV2"
        | "LMDBDataset"
        | "LMDBReader"
        | "RecordInput"
        | "Skipgram"
        | "LoadDataset"
        | "ListSnapshotChunksDataset"
        | "SnapshotChunkDataset"
        | "SnapshotDatasetReader"
        | "SnapshotNestedDatasetReader"
        | "WholeFileReader"
        | "WholeFileReaderV2"
        | "TextLineReader"
        | "TextLineReaderV2"
        | "TFRecordReader"
        | "TFRecordReaderV2"
        | "FixedLengthRecordReader"
        | "FixedLengthRecordReaderV2" => Standing::Files("reads data sets from files"),
        "ImmutableConst" => Standing::Files("takes its numbers from a file"),
        "CacheDataset" | "CacheDatasetV2" => Standing::Files("keeps data in files"),
        "InitializeTableFromTextFile"
        | "InitializeTableFromTextFileV2"
        | "GenerateVocabRemapping"
        | "LoadAndRemapMatrix" => Standing::Files("reads a word list or a table from a file"),
        "SaveV2" | "RestoreV2" | "Save" | "SaveSlices" | "Restore" | "RestoreSlice" | "DTensorRestoreV2" => {
            Standing::Saver(1)
        }
        // It deletes what it merges and writes to its second input.
        "MergeV2Checkpoints" => Standing::Saver(2),
        "VarHandleOp" | "Variable" | "VariableV2" | "AutoReloadVariable" | "_VarHandlesOp" => {
            Standing::Variable
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_told_apart() {
        assert!(NAMES.is_sorted());
        for name in [
            "MatMul",
            "Conv2D",
            "Placeholder",
            "StatefulPartitionedCall",
            "ShardedFilename",
            "If",
        ] {
            assert_eq!(standing(name), Standing::Known, "{name}");
        }
        for name in [
            "WriteFile",
            "ReadFile",
            "EagerPyFunc",
            "ExperimentalSqlDataset",
            "DebugIdentityV3",
            "CollectiveReduce",
            "RpcCall",
        ] {
            assert!(matches!(standing(name), Standing::Effect(_)), "{name}");
        }
        for name in [
            "",
            "matmul",
            "MatMul ",
            "ShellExecute",
            "BigQueryReader",
            "TRTEngineOp",
            "__inference_f_1",
        ] {
            assert_eq!(standing(name), Standing::Unknown, "{name}");
        }
        assert!(matches!(standing("TextLineDataset"), Standing::Files(_)));
        assert_eq!(standing("MergeV2Checkpoints"), Standing::Saver(2));
    }
}
