//! Decompression as the bytes come: each format takes chunks of any size and hands on what comes out of them.
//!
//! Memory is bounded by constants, whatever a header asks for, and taken from an allowance that everything in one file shares.
//! A file may be several streams one after the other; anything else behind a stream is an error. Trust boundary: every byte.

mod bzip2;
mod deflate;
mod drive;
mod gzip;
mod inflate;
mod lz4;
mod lzma;
mod lzma2;
mod stored;
#[cfg(test)]
mod tests;
mod x86;
mod xz;
mod zstd;

pub use self::bzip2::Bzip2;
pub use deflate::Deflate;
pub use gzip::Gzip;
pub use inflate::Inflate;
pub use lzma::Lzma;
pub use lzma2::Lzma2;
pub use stored::Stored;
pub use x86::X86;

use crate::budget::Budget;
use crate::format::Format;
use lz4::Lz4;
use xz::Xz;
use zstd::Zstd;

/// Bytes that are unpacked at a time.
const WINDOW_BYTES: usize = 64 << 10;

/// Why the rest of a compressed file is not unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It is not what the format allows, is cut off, or something follows it.
    Damaged,
    /// It needs more memory than an inspection has.
    Memory,
    /// It uses a part of the format that ordinary files do not have.
    Unsupported(&'static str),
}

/// Takes what comes out; false when that is enough.
pub type Receive<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// A compressed file that is being unpacked.
pub trait Unpack: Send {
    /// Takes the next bytes, all of them unless `receive` says that it is enough.
    ///
    /// # Errors
    ///
    /// When nothing more can come out.
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure>;

    /// The file has ended.
    ///
    /// # Errors
    ///
    /// When it should not have.
    fn finish(&mut self, receive: Receive<'_>) -> Result<(), Failure>;
}

/// What unpacks files of this format; `None` if nothing does.
pub fn unpacker(format: Format, budget: &Budget) -> Option<Box<dyn Unpack>> {
    Some(match format {
        Format::Gzip => Box::new(Gzip::default()),
        Format::Zlib => Box::new(Deflate::zlib()),
        Format::Bzip2 => Box::new(Bzip2::new(budget)),
        Format::Xz => Box::new(Xz::new(budget)),
        Format::Lzma => Box::new(Lzma::new(budget)),
        Format::Zstd => Box::new(Zstd::new(budget)),
        Format::Lz4 => Box::new(Lz4::new(budget)),
        _ => return None,
    })
}

/// Bytes that are collected until there are enough of them.
#[derive(Debug, Default)]
struct Held(Vec<u8>);

impl Held {
    /// Takes from `rest` what is missing up to `length` bytes; whether they are all there.
    fn fill(&mut self, rest: &mut &[u8], length: usize) -> bool {
        let missing = length.saturating_sub(self.0.len()).min(rest.len());
        let (mine, after) = rest.split_at(missing);
        self.0.extend_from_slice(mine);
        *rest = after;
        self.0.len() >= length
    }

    /// The collected bytes, of which there are then none.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
