//! Writes the large files that speed is measured on: well formed, with data that looks like weights.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use holdfast_formats::testing::{GgufBuilder, SafetensorsBuilder, weights};
use serde::{Deserialize, Serialize};

use crate::{Failure, torch};

/// The data of the files is this much, over and over.
const BLOCK: usize = 64 << 10;
/// The largest tensor, in bytes.
const TENSOR: u64 = 64 << 20;
/// Where GGUF puts the data unless it says otherwise.
const GGUF_ALIGNMENT: u64 = 32;

/// A kind of file that speed is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// GGUF, version 3.
    Gguf,
    /// Safetensors.
    Safetensors,
    /// A PyTorch checkpoint as `torch.save` writes it.
    Torch,
}

/// Every kind.
pub const KINDS: [Kind; 3] = [Kind::Gguf, Kind::Safetensors, Kind::Torch];

impl Kind {
    /// What the page calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gguf => "GGUF",
            Self::Safetensors => "safetensors",
            Self::Torch => "PyTorch zip",
        }
    }

    /// The ending of its files' names.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Gguf => "gguf",
            Self::Safetensors => "safetensors",
            Self::Torch => "pt",
        }
    }
}

/// The 32-bit numbers of each tensor, and how many tensors there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows of 4096 numbers in each.
    pub rows: u64,
    /// How many.
    pub tensors: u64,
}

impl Shape {
    /// Numbers in a row.
    pub const WIDTH: u64 = 4096;

    /// The shape that has about as many bytes as asked for, and at least one tensor.
    pub fn of(bytes: u64) -> Self {
        let tensors = bytes.div_ceil(TENSOR).max(1);
        let rows = (bytes / tensors / Self::WIDTH / 4).max(1);
        Self { rows, tensors }
    }

    /// Bytes of one tensor: a multiple of a row, which is a multiple of every alignment here.
    pub fn tensor_bytes(self) -> u64 {
        self.rows * Self::WIDTH * 4
    }
}

/// Writes a file of about `bytes` bytes.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(kind: Kind, directory: &Path, bytes: u64) -> Result<PathBuf, Failure> {
    let shape = Shape::of(bytes);
    let path = directory.join(format!("{bytes}-bytes.{}", kind.ending()));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    match kind {
        Kind::Gguf => {
            file.write_all(&gguf_header(shape))?;
            data(&mut file, shape.tensors * shape.tensor_bytes())?;
        }
        Kind::Safetensors => {
            file.write_all(&safetensors_header(shape))?;
            data(&mut file, shape.tensors * shape.tensor_bytes())?;
        }
        Kind::Torch => torch::write(&mut file, shape, 0)?,
    }
    // The disk shall not be busy with it when others are measured.
    file.into_inner()?.sync_all()?;
    Ok(path)
}

/// The block that is repeated.
pub fn block() -> Vec<u8> {
    weights(BLOCK)
}

/// Writes that many bytes of data.
///
/// # Errors
///
/// When they cannot be written.
pub fn data(file: &mut impl Write, bytes: u64) -> Result<(), Failure> {
    let block = block();
    let mut left = usize::try_from(bytes)?;
    while left > 0 {
        let part = block.get(..left.min(BLOCK)).unwrap_or(&block);
        file.write_all(part)?;
        left -= part.len();
    }
    Ok(())
}

fn gguf_header(shape: Shape) -> Vec<u8> {
    let mut builder = GgufBuilder::llama().without_tensors();
    for index in 0..shape.tensors {
        builder = builder.tensor(&format!("blk.{index}.weight"), &[Shape::WIDTH, shape.rows], 0, 0);
    }
    // The writer is told of no data, so the offsets are put in here.
    let mut file = builder.build();
    for index in 0..shape.tensors {
        let offset = (index * shape.tensor_bytes()).next_multiple_of(GGUF_ALIGNMENT);
        file = file.with(
            &format!("tensor/blk.{index}.weight/offset"),
            &offset.to_le_bytes(),
        );
    }
    file.bytes
}

fn safetensors_header(shape: Shape) -> Vec<u8> {
    let mut builder = SafetensorsBuilder::new();
    for index in 0..shape.tensors {
        builder = builder.tensor(
            &format!("blk.{index}.weight"),
            "F32",
            &[shape.rows, Shape::WIDTH],
            0,
        );
    }
    let builder = builder.edit(|entries| {
        for (index, entry) in (0..).zip(entries.iter_mut()) {
            let begin = index * shape.tensor_bytes();
            entry.offsets = (begin, begin + shape.tensor_bytes());
        }
    });
    builder.build().bytes
}

#[cfg(test)]
mod tests {
    use holdfast_formats::FileInspector;

    use super::*;

    #[test]
    fn files_have_about_the_size_that_is_asked_for() {
        for bytes in [64 << 10, 1 << 20, 100 << 20, 1 << 30] {
            let shape = Shape::of(bytes);
            let got = shape.tensors * shape.tensor_bytes();
            assert!(got <= bytes && got * 10 > bytes * 9, "{shape:?} for {bytes}");
        }
    }

    #[test]
    fn what_is_generated_is_well_formed() {
        let directory = tempfile::tempdir().unwrap();
        for kind in [Kind::Gguf, Kind::Safetensors] {
            let path = write(kind, directory.path(), 3 << 16).unwrap();
            let mut inspector = FileInspector::new(&path.to_string_lossy());
            inspector.feed(&std::fs::read(&path).unwrap());
            let outcome = inspector.finish();
            assert!(
                !outcome.findings.refuse(),
                "{:?}",
                outcome.findings.into_parts().0
            );
        }
    }
}
