//! The kinds of files that can be told apart by their content.

use std::fmt;

use crate::rules::{self, Rule};

macro_rules! formats {
    ($($variant:ident $name:literal $says:literal $rule:expr, [$($extension:literal),*];)+) => {
        /// A kind of file, as detected from its content.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Format {
            $(#[doc = concat!("`", $name, "`: ", $says, ".")] $variant,)+
        }

        impl Format {
            /// Every format.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name that reports use, for example `pytorch-zip`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it is, for a sentence that begins "this is …".
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $says,)+ }
            }

            /// The file name extensions that go with it, lower case.
            pub const fn extensions(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($extension),*],)+ }
            }

            /// Why a file of this format is refused whatever it contains; `None` for the formats that are inspected.
            pub fn refused_by(self) -> Option<&'static Rule> {
                match self { $(Self::$variant => $rule,)+ }
            }
        }
    };
}

formats! {
    Gguf "gguf" "a GGUF model" None, ["gguf"];
    Safetensors "safetensors" "a safetensors file" None, ["safetensors"];

    Pickle "pickle" "a Python pickle" None,
        ["pkl", "pickle", "joblib", "dill", "pt", "pth", "ckpt", "bin", "data", "p"];
    PytorchLegacy "pytorch-legacy" "a PyTorch file of the old, pickle-based kind" None,
        ["pt", "pth", "bin", "ckpt", "pkl"];
    PytorchTar "pytorch-tar" "a PyTorch file of 2016 (a tar archive with pickles)" None, ["pt", "pth", "tar", "bin"];
    PytorchZip "pytorch-zip" "a PyTorch checkpoint (a zip archive with a pickle)" None,
        ["pt", "pth", "bin", "ckpt", "zip"];
    Torchscript "torchscript" "a TorchScript program (a zip archive with code)" None,
        ["pt", "pth", "ptl", "ts", "zip"];
    Keras "keras" "a Keras model (a zip archive)" None, ["keras", "zip"];
    Npz "npz" "a NumPy archive" None, ["npz", "zip"];
    Skops "skops" "a skops model (a zip archive)" Some(&rules::FMT_CHECKPOINT), ["skops", "zip"];

    Zip "zip" "a zip archive" None, ["zip", "jar", "mar", "whl", "apk"];
    Tar "tar" "a tar archive" None, ["tar", "nemo"];
    Gzip "gzip" "gzip-compressed data" None, ["gz", "tgz", "joblib", "pkl"];
    Zlib "zlib" "zlib-compressed data" None, ["zlib", "joblib", "pkl", "z"];
    Bzip2 "bzip2" "bzip2-compressed data" None, ["bz2", "tbz", "tbz2", "joblib", "pkl"];
    Xz "xz" "xz-compressed data" None, ["xz", "txz", "joblib", "pkl"];
    Lzma "lzma" "lzma-compressed data" None, ["lzma", "joblib", "pkl"];
    Zstd "zstd" "zstd-compressed data" None, ["zst", "zstd", "tzst"];
    Lz4 "lz4" "lz4-compressed data" None, ["lz4", "tlz4", "joblib", "pkl"];
    SevenZip "7z" "a 7z archive" None, ["7z"];
    Rar "rar" "a RAR archive" Some(&rules::FMT_ARCHIVE), ["rar"];

    Onnx "onnx" "an ONNX model" None, ["onnx", "pb"];
    Hdf5 "hdf5" "an HDF5 file, as Keras writes it" None, ["h5", "hdf5", "keras"];
    Npy "npy" "a NumPy array" None, ["npy"];
    SavedModel "tensorflow-saved-model" "a TensorFlow SavedModel" None, ["pb"];
    TensorflowGraph "tensorflow-graph" "a TensorFlow graph" None, ["pb", "graphdef"];
    CheckpointIndex "tensorflow-checkpoint-index" "the index of a TensorFlow checkpoint" None, ["index"];
    TensorflowFingerprint "tensorflow-fingerprint" "the fingerprint of a TensorFlow SavedModel" None, ["pb"];
    KerasMetadata "keras-metadata" "what Keras notes about a TensorFlow SavedModel" None, ["pb"];
    Tflite "tflite" "a TensorFlow Lite model" Some(&rules::FMT_MODEL), ["tflite", "lite"];
    PytorchMobile "pytorch-mobile" "a PyTorch program for phones (a flatbuffer)" Some(&rules::FMT_MODEL), ["ptl", "ff"];
    Executorch "executorch" "an ExecuTorch program" Some(&rules::FMT_MODEL), ["pte"];
    Coreml "coreml" "a Core ML model" Some(&rules::FMT_MODEL), ["mlmodel"];
    Pmml "pmml" "a PMML model" Some(&rules::FMT_MODEL), ["pmml", "xml"];
    Ggml "ggml-legacy" "a GGML model from before GGUF" Some(&rules::FMT_GGML), ["bin", "ggml"];
    // Most are called `tokenizer.model`, but `.model` is used for everything.
    Sentencepiece "sentencepiece" "a SentencePiece tokenizer" None, ["spm"];

    Elf "elf" "a Linux program or library" Some(&rules::FMT_PROGRAM), ["so", "elf", "o"];
    Pe "pe" "a Windows program or library" Some(&rules::FMT_PROGRAM), ["exe", "dll", "sys"];
    MachO "mach-o" "a macOS program or library" Some(&rules::FMT_PROGRAM), ["dylib", "o"];
    Llamafile "llamafile" "a llamafile or other program for several systems" Some(&rules::FMT_PROGRAM), ["llamafile", "com", "exe"];
    Script "script" "a script" Some(&rules::FMT_PROGRAM), ["sh", "py", "pl", "rb", "bash"];
    Wasm "wasm" "a WebAssembly program" Some(&rules::FMT_PROGRAM), ["wasm"];
    JavaClass "java-class" "a Java program" Some(&rules::FMT_PROGRAM), ["class"];

    Pdf "pdf" "a PDF document" Some(&rules::FMT_DOCUMENT), ["pdf"];
    Png "png" "a PNG picture" None, ["png"];
    Jpeg "jpeg" "a JPEG picture" None, ["jpg", "jpeg"];
    Gif "gif" "a GIF picture" Some(&rules::FMT_DOCUMENT), ["gif"];
    Html "html" "a web page" Some(&rules::FMT_DOCUMENT), ["html", "htm"];
    Xml "xml" "an XML document" Some(&rules::FMT_DOCUMENT), ["xml", "svg"];
    Json "json" "a JSON document" None, ["json", "ipynb", "jsonl"];
    GitLfs "git-lfs-pointer" "a Git LFS pointer in place of the file itself" Some(&rules::FMT_DOCUMENT), [];
    Text "text" "plain text" None,
        ["txt", "md", "yaml", "yml", "toml", "ini", "csv", "jinja", "j2", "template", "py", "cfg", "log", "index"];

    AppleDouble "apple-double" "notes of macOS on a file (AppleDouble)" None, [];
    DsStore "ds-store" "notes of macOS on a directory (.DS_Store)" None, [];

    Empty "empty" "an empty file" None, [];
    Unknown "unknown" "of no known kind" Some(&rules::FMT_UNKNOWN), [];
}

impl Format {
    /// The format with this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name() == name)
    }

    /// The format that a file name's extension belongs to, if it promises one that `self` is not.
    pub fn contradicted_by(self, name: &str) -> Option<&str> {
        let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
        // Some systems drop these.
        let name = name.trim_end_matches(['.', ' ']);
        let (stem, extension) = name.rsplit_once('.')?;
        let lower = extension.to_ascii_lowercase();
        let promised = Self::ALL
            .iter()
            .any(|format| format.extensions().contains(&lower.as_str()));
        // `.bin` and `.data` are used for everything.
        let vague = matches!(lower.as_str(), "bin" | "data" | "p" | "o" | "z");
        let kept = self.extensions().contains(&lower.as_str());
        (!stem.is_empty() && promised && !vague && !kept).then_some(extension)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: BTreeSet<_> = Format::ALL.iter().map(|format| format.name()).collect();
        assert_eq!(names.len(), Format::ALL.len());
        for name in names {
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
        }
    }

    #[test]
    fn only_the_inspected_formats_can_pass() {
        let pass: Vec<_> = Format::ALL
            .iter()
            .filter(|format| format.refused_by().is_none())
            .collect();
        assert_eq!(
            pass,
            [
                &Format::Gguf,
                &Format::Safetensors,
                &Format::Pickle,
                &Format::PytorchLegacy,
                &Format::PytorchTar,
                &Format::PytorchZip,
                &Format::Torchscript,
                &Format::Keras,
                &Format::Npz,
                &Format::Zip,
                &Format::Tar,
                &Format::Gzip,
                &Format::Zlib,
                &Format::Bzip2,
                &Format::Xz,
                &Format::Lzma,
                &Format::Zstd,
                &Format::Lz4,
                &Format::SevenZip,
                &Format::Onnx,
                &Format::Hdf5,
                &Format::Npy,
                &Format::SavedModel,
                &Format::TensorflowGraph,
                &Format::CheckpointIndex,
                &Format::TensorflowFingerprint,
                &Format::KerasMetadata,
                &Format::Sentencepiece,
                &Format::Png,
                &Format::Jpeg,
                &Format::Json,
                &Format::Text,
                &Format::AppleDouble,
                &Format::DsStore,
                &Format::Empty,
            ]
        );
    }

    #[test]
    fn a_name_contradicts_only_when_it_promises_something_else() {
        assert_eq!(
            Format::Safetensors.contradicted_by("dir.gguf/model.GGUF"),
            Some("GGUF")
        );
        assert_eq!(Format::Gguf.contradicted_by("holiday.png"), Some("png"));
        assert_eq!(Format::Gguf.contradicted_by("a/b/model.Q4_K_M.gguf"), None);
        assert_eq!(Format::Gguf.contradicted_by("model-v0.2"), None);
        assert_eq!(Format::Gguf.contradicted_by("model"), None);
        assert_eq!(Format::Gguf.contradicted_by("model.onnx. ."), Some("onnx"));
        assert_eq!(Format::Gguf.contradicted_by(".safetensors"), None);
        assert_eq!(
            Format::Safetensors.contradicted_by("diffusion_pytorch_model.bin"),
            None
        );
        assert_eq!(
            Format::Pickle.contradicted_by("weights.safetensors"),
            Some("safetensors")
        );
    }
}
