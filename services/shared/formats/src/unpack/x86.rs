//! The filter for machine code of x86 processors (BCJ): before packing, it makes addresses of calls and jumps absolute, so that calls of the
//! same function look alike. py7zr puts it before everything, whatever is packed.
//!
//! The `lzma-rust2` crate turns it back.

use lzma_rust2::FilterConfig;
use lzma_rust2::filter::StreamFilter;

use super::{Failure, Receive, Unpack};

/// What comes out of a stream, turned back.
pub struct X86 {
    stream: Box<dyn Unpack>,
    filter: StreamFilter,
    /// The last bytes, which mean something else depending on what follows.
    held: Vec<u8>,
}

impl X86 {
    /// The filter behind this stream.
    ///
    /// # Errors
    ///
    /// None that is known.
    pub fn new(stream: Box<dyn Unpack>) -> Result<Self, Failure> {
        Ok(Self {
            stream,
            filter: StreamFilter::new(&FilterConfig::new_bcj_x86(0)).map_err(|_| Failure::Damaged)?,
            held: Vec::new(),
        })
    }

    fn pass(
        &mut self,
        receive: Receive<'_>,
        run: impl FnOnce(&mut dyn Unpack, Receive<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (filter, held) = (&mut self.filter, &mut self.held);
        let mut turn = |out: &[u8]| {
            held.extend_from_slice(out);
            let settled = filter.decode(held);
            let wanted = settled == 0 || receive(held.get(..settled).unwrap_or_default());
            held.drain(..settled.min(held.len()));
            wanted
        };
        run(&mut *self.stream, &mut turn)
    }
}

impl Unpack for X86 {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        self.pass(receive, |stream, turn| stream.feed(bytes, turn))
    }

    fn finish(&mut self, receive: Receive<'_>) -> Result<(), Failure> {
        self.pass(receive, |stream, turn| stream.finish(turn))?;
        self.filter.finish();
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            receive(&held);
        }
        Ok(())
    }
}
