//! bzip2: streams of blocks of up to 900 kB, each with a checksum, and one of all blocks at the end of the stream.
//!
//! The `bzip2` crate on `libbz2-rs-sys` unpacks and compares the checksums.

use bzip2::{Decompress, Status};

use super::{Failure, Receive, Unpack, WINDOW_BYTES};
use crate::budget::{Budget, Memory};

/// What unpacking the largest blocks takes: four bytes for each of 900 000, and tables.
const MEMORY_BYTES: u64 = 4 << 20;

/// A bzip2 file: one stream or more.
pub struct Bzip2 {
    /// The current stream; none between two.
    stream: Option<Decompress>,
    streams: u64,
    /// How many streams there may be.
    most: u64,
    window: Box<[u8]>,
    memory: Option<Memory>,
}

impl Bzip2 {
    /// A file whose memory comes from this allowance.
    pub fn new(budget: &Budget) -> Self {
        Self {
            stream: None,
            streams: 0,
            most: u64::MAX,
            window: vec![0; WINDOW_BYTES].into_boxed_slice(),
            memory: budget.memory(MEMORY_BYTES),
        }
    }

    /// One stream, behind which nothing follows.
    pub fn single(budget: &Budget) -> Self {
        Self {
            most: 1,
            ..Self::new(budget)
        }
    }
}

impl Unpack for Bzip2 {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        if self.memory.is_none() {
            return Err(Failure::Memory);
        }
        let mut rest = bytes;
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None if rest.is_empty() => return Ok(()),
                None if self.streams == self.most => return Err(Failure::Damaged),
                None => self.stream.insert(Decompress::new(false)),
            };
            let before = (stream.total_in(), stream.total_out());
            let status = stream
                .decompress(rest, &mut self.window)
                .map_err(|_| Failure::Damaged)?;
            let moved = |now: u64, before: u64| usize::try_from(now.saturating_sub(before)).unwrap_or(0);
            let taken = moved(stream.total_in(), before.0);
            let made = moved(stream.total_out(), before.1);
            rest = rest.get(taken..).unwrap_or_default();
            if status == Status::StreamEnd {
                self.streams += 1;
                self.stream = None;
            }
            if made > 0 && !receive(self.window.get(..made).unwrap_or_default()) {
                return Ok(());
            }
            // A full window may have held back what these bytes stand for; then more comes out of no bytes.
            if rest.is_empty() && made < self.window.len() {
                return Ok(());
            }
            if taken == 0 && made == 0 && status != Status::StreamEnd {
                return Err(Failure::Damaged);
            }
        }
    }

    fn finish(&mut self, _receive: Receive<'_>) -> Result<(), Failure> {
        if self.stream.is_none() && self.streams > 0 {
            Ok(())
        } else {
            Err(Failure::Damaged)
        }
    }
}
