//! What the decoders of LZMA and LZMA2 have in common: a window into what came out, and a step that is repeated.

use lzma_rust2::{Status, StreamResult};

use super::{Failure, Receive, WINDOW_BYTES};
use crate::budget::{Budget, Memory};

/// How far back a match may reach, whatever a header says: as far as 7-Zip's default and `xz -8` need. Writers announce more for files of
/// any size.
const MAX_BYTES: u32 = 32 << 20;
/// The smallest window that decoders have.
const MIN_BYTES: u32 = 4 << 10;

/// How far a decoder's input was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It goes on with the next bytes.
    More,
    /// It has ended.
    Done,
    /// Nobody wants more.
    Enough,
}

/// The memory of a decoder.
pub struct Window {
    bytes: u32,
    out: Box<[u8]>,
    /// Whether matches may reach farther back than is held.
    is_cut: bool,
    _memory: Memory,
}

impl Window {
    /// Room for matches that reach back `declared` bytes, in `size` bytes, if that is known, besides tables of so many bytes.
    ///
    /// # Errors
    ///
    /// When the allowance has no such memory.
    pub fn new(declared: u32, size: Option<u64>, tables: u64, budget: &Budget) -> Result<Self, Failure> {
        let reach = size.map_or(u32::MAX, |size| u32::try_from(size).unwrap_or(u32::MAX));
        let needed = declared.min(reach).max(MIN_BYTES);
        let bytes = needed.min(MAX_BYTES);
        let memory = budget.memory(u64::from(bytes) + tables);
        Ok(Self {
            bytes,
            out: vec![0; WINDOW_BYTES].into_boxed_slice(),
            is_cut: needed > bytes,
            _memory: memory.ok_or(Failure::Memory)?,
        })
    }

    /// How far back a match may reach.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }
}

/// Gives a decoder, whose one `step` this is, the bytes in `rest`, and `receive` what comes out.
///
/// # Errors
///
/// When nothing more can come out: for want of memory if a match may reach farther back than is held.
pub fn drive<E>(
    mut step: impl FnMut(&[u8], &mut [u8]) -> Result<StreamResult, E>,
    rest: &mut &[u8],
    window: &mut Window,
    receive: Receive<'_>,
) -> Result<Flow, Failure> {
    let wrong = if window.is_cut {
        Failure::Memory
    } else {
        Failure::Damaged
    };
    loop {
        let result = step(rest, &mut window.out).map_err(|_| wrong)?;
        let made = window.out.get(..result.bytes_produced).unwrap_or_default();
        *rest = rest.get(result.bytes_consumed..).unwrap_or_default();
        if !made.is_empty() && !receive(made) {
            return Ok(Flow::Enough);
        }
        if result.status == Status::StreamEnd {
            return Ok(Flow::Done);
        }
        // A full window may have held back what these bytes stand for; then more comes out of no bytes.
        if made.len() < window.out.len() {
            if rest.is_empty() {
                return Ok(Flow::More);
            }
            if made.is_empty() && result.bytes_consumed == 0 {
                return Err(wrong);
            }
        }
    }
}
