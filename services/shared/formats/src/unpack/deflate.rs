//! One stream of deflate: alone (RFC 1951), or with the header and the checksum of zlib (RFC 1950), which the decompressor compares.

use super::inflate::Inflate;
use super::{Failure, Receive, Unpack};

/// The stream.
#[derive(Debug)]
pub struct Deflate(Inflate);

impl Deflate {
    /// A zlib file.
    pub fn zlib() -> Self {
        Self(Inflate::new(true))
    }

    /// A stream without a header.
    pub fn raw() -> Self {
        Self(Inflate::new(false))
    }
}

impl Unpack for Deflate {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        let mut enough = false;
        let taken = self
            .0
            .feed(bytes, |out| {
                enough = !receive(out);
                !enough
            })
            .map_err(|_| Failure::Damaged)?;
        if enough || taken == bytes.len() {
            Ok(())
        } else {
            Err(Failure::Damaged)
        }
    }

    fn finish(&mut self, _receive: Receive<'_>) -> Result<(), Failure> {
        self.0.has_ended().then_some(()).ok_or(Failure::Damaged)
    }
}
