//! LZMA2: chunks of LZMA and of bytes as they are, without a header, a checksum or a size. Blocks of xz files and streams of 7z archives
//! are that.
//!
//! The `lzma-rust2` crate unpacks, without `unsafe` as it is built here.

use lzma_rust2::{Action, Lzma2Stream};

use super::drive::{Flow, Window, drive};
use super::{Failure, Receive, Unpack};
use crate::budget::Budget;

/// Probabilities and what is read ahead.
const TABLES_BYTES: u64 = 128 << 10;

/// A stream of LZMA2.
pub struct Lzma2 {
    stream: Lzma2Stream,
    window: Window,
    ended: bool,
}

impl Lzma2 {
    /// A stream whose window has the size that this byte stands for, and of which so many bytes come out, if that is known.
    ///
    /// # Errors
    ///
    /// When there is no such window, or no memory for it.
    pub fn new(window: u8, size: Option<u64>, budget: &Budget) -> Result<Self, Failure> {
        let window = Window::new(window_bytes(window)?, size, TABLES_BYTES, budget)?;
        Ok(Self {
            stream: Lzma2Stream::new(window.bytes()),
            window,
            ended: false,
        })
    }

    /// Takes bytes up to the end of the stream.
    ///
    /// # Errors
    ///
    /// When nothing more can come out.
    pub fn follow(&mut self, rest: &mut &[u8], receive: Receive<'_>) -> Result<Flow, Failure> {
        let stream = &mut self.stream;
        let step = |bytes: &[u8], out: &mut [u8]| stream.process(bytes, out, Action::Run);
        let flow = drive(step, rest, &mut self.window, receive)?;
        self.ended |= flow == Flow::Done;
        Ok(flow)
    }
}

impl Unpack for Lzma2 {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        let mut rest = bytes;
        if !self.ended && !rest.is_empty() && self.follow(&mut rest, receive)? == Flow::Enough {
            return Ok(());
        }
        rest.is_empty().then_some(()).ok_or(Failure::Damaged)
    }

    fn finish(&mut self, _receive: Receive<'_>) -> Result<(), Failure> {
        self.ended.then_some(()).ok_or(Failure::Damaged)
    }
}

/// The size of a window, in bytes: powers of two and one and a half times these.
fn window_bytes(size: u8) -> Result<u32, Failure> {
    match size {
        0..40 => Ok((2 | u32::from(size & 1)) << (u32::from(size) / 2 + 11)),
        40 => Ok(u32::MAX),
        _ => Err(Failure::Damaged),
    }
}
