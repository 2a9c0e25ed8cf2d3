//! Bytes that are not compressed, where something else says that they might be.

use super::{Failure, Receive, Unpack};

/// The bytes as they are.
#[derive(Debug, Default)]
pub struct Stored;

impl Unpack for Stored {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        if !bytes.is_empty() {
            receive(bytes);
        }
        Ok(())
    }

    fn finish(&mut self, _receive: Receive<'_>) -> Result<(), Failure> {
        Ok(())
    }
}
