//! Unpacking deflate as it comes, through one window of memory.

use flate2::{Decompress, FlushDecompress, Status};

/// Bytes that are unpacked at a time.
const WINDOW_BYTES: usize = 64 << 10;

/// The data is not what the compression allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

/// A stream that is being unpacked.
pub struct Inflate {
    decompress: Decompress,
    window: Box<[u8]>,
    ended: bool,
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflate")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Inflate {
    /// A stream of deflate alone (RFC 1951), or with the header and the checksum of zlib (RFC 1950).
    pub fn new(zlib: bool) -> Self {
        Self {
            decompress: Decompress::new(zlib),
            window: vec![0; WINDOW_BYTES].into_boxed_slice(),
            ended: false,
        }
    }

    /// Whether the stream has come to its own end. Data that stops earlier is cut off.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes bytes up to the end of the stream and gives `receive` what comes out, which may say that it is enough. Returns how
    /// many were taken: all of them unless the stream has ended or `receive` stopped it.
    pub fn feed(&mut self, bytes: &[u8], mut receive: impl FnMut(&[u8]) -> bool) -> Result<usize, Damaged> {
        let mut taken = 0;
        while !self.ended {
            let rest = bytes.get(taken..).unwrap_or_default();
            let before = (self.decompress.total_in(), self.decompress.total_out());
            let status = self
                .decompress
                .decompress(rest, &mut self.window, FlushDecompress::None)
                .map_err(|_| Damaged)?;
            let step = usize::try_from(self.decompress.total_in() - before.0).map_err(|_| Damaged)?;
            let made = usize::try_from(self.decompress.total_out() - before.1).map_err(|_| Damaged)?;
            taken += step;
            self.ended = status == Status::StreamEnd;
            if made > 0 && !receive(self.window.get(..made).unwrap_or_default()) {
                return Ok(taken);
            }
            // A full window may have held back what these bytes stand for; then more comes out of no bytes.
            if taken == bytes.len() && made < self.window.len() {
                break;
            }
            if step == 0 && made == 0 && !self.ended {
                return Err(Damaged);
            }
        }
        Ok(taken)
    }
}
