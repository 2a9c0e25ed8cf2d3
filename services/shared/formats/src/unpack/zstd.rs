//! Zstandard: frames of blocks of up to 128 KiB.
//!
//! Frames are cut into blocks here, so that a whole block can be given to the `ruzstd` crate, which unpacks it. Source: RFC 8878.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Failure, Held, Receive, Unpack, WINDOW_BYTES};
use crate::budget::{Budget, Memory};
use crate::bytes::{half, long, word};

const MAGIC: u32 = 0xfd2f_b528;
/// What frames begin with that readers skip: with one of sixteen numbers.
const SKIPPED: u32 = 0x0184_d2a5;
/// How far back a match may reach: what RFC 8878 asks every reader for.
const MAX_WINDOW_BYTES: u64 = 8 << 20;
/// Tables, a block and what it stands for.
const TABLES_BYTES: u64 = 1 << 20;
/// The largest block.
const MAX_BLOCK_BYTES: usize = 128 << 10;
/// A block that is one byte many times.
const RUN: u32 = 1;
/// A kind of block that does not exist.
const RESERVED: u32 = 3;

enum Stage {
    /// The number that frames begin with, and how long the header is.
    Magic,
    /// The header of a frame.
    Header { bytes: usize },
    /// The header of a block.
    Block,
    /// A block with its header.
    Data { bytes: usize, last: bool },
}

/// A Zstandard file: one frame or more.
pub struct Zstd {
    stage: Stage,
    held: Held,
    frame: FrameDecoder,
    /// How many bytes the frame says it stands for.
    size: Option<u64>,
    made: u64,
    checked: bool,
    frames: u64,
    window: Box<[u8]>,
    budget: Budget,
    memory: Option<Memory>,
}

impl Zstd {
    /// A file whose memory comes from this allowance.
    pub fn new(budget: &Budget) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(MAX_WINDOW_BYTES);
        Self {
            stage: Stage::Magic,
            held: Held::default(),
            frame,
            size: None,
            made: 0,
            checked: false,
            frames: 0,
            window: vec![0; WINDOW_BYTES].into_boxed_slice(),
            budget: budget.clone(),
            memory: None,
        }
    }

    /// How long the header of the frame is whose first five bytes are held.
    fn header_bytes(&self) -> Result<usize, Failure> {
        let magic = word(&self.held.0, 0).unwrap_or(0);
        if magic >> 4 == SKIPPED {
            return Err(Failure::Unsupported("a frame that readers skip"));
        }
        let descriptor = self.held.0.get(4).copied().unwrap_or(0);
        if magic != MAGIC || descriptor & 0x08 != 0 {
            return Err(Failure::Damaged);
        }
        if descriptor & 3 != 0 {
            return Err(Failure::Unsupported("a dictionary that is not in the file"));
        }
        let single = descriptor & 0x20 != 0;
        let size = match descriptor >> 6 {
            0 => usize::from(single),
            exponent => 1 << exponent,
        };
        Ok(5 + usize::from(!single) + size)
    }

    fn open(&mut self) -> Result<Stage, Failure> {
        let header = self.held.take();
        let descriptor = header.get(4).copied().unwrap_or(0);
        let single = descriptor & 0x20 != 0;
        let at = 5 + usize::from(!single);
        self.size = match descriptor >> 6 {
            0 if single => header.get(at).copied().map(u64::from),
            0 => None,
            1 => half(&header, at).map(|size| u64::from(size) + 256),
            2 => word(&header, at).map(u64::from),
            _ => long(&header, at),
        };
        let window = match (single, header.get(5)) {
            (false, Some(descriptor)) => {
                let base = 1_u64 << (10 + (descriptor >> 3));
                base + base / 8 * u64::from(descriptor & 7)
            }
            _ => self.size.unwrap_or(u64::MAX),
        };
        if window > MAX_WINDOW_BYTES {
            return Err(Failure::Memory);
        }
        if self
            .memory
            .as_ref()
            .is_none_or(|memory| memory.bytes() < 2 * window + TABLES_BYTES)
        {
            // The window is a ring that grows by doubling.
            self.memory = None;
            self.memory = self.budget.memory(2 * window + TABLES_BYTES);
        }
        if self.memory.is_none() {
            return Err(Failure::Memory);
        }
        self.made = 0;
        self.checked = descriptor & 0x04 != 0;
        self.frame
            .reset(header.as_slice())
            .map_err(|_| Failure::Damaged)?;
        Ok(Stage::Block)
    }

    fn block(&self) -> Result<Stage, Failure> {
        let [low, middle, high] = *self.held.0.as_slice() else {
            return Err(Failure::Damaged);
        };
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let (last, kind) = (header & 1 == 1, header >> 1 & 3);
        let size = usize::try_from(header >> 3).unwrap_or(usize::MAX);
        if kind == RESERVED || size > MAX_BLOCK_BYTES {
            return Err(Failure::Damaged);
        }
        let data = if kind == RUN { 1 } else { size };
        let trailer = if last && self.checked { 4 } else { 0 };
        Ok(Stage::Data {
            bytes: 3 + data + trailer,
            last,
        })
    }

    /// A block is there: unpacks it. Whether more is wanted.
    fn unpack(&mut self, last: bool, receive: Receive<'_>) -> Result<bool, Failure> {
        let block = self.held.take();
        let mut source = block.as_slice();
        self.frame
            .decode_blocks(&mut source, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| Failure::Damaged)?;
        if !source.is_empty() || self.frame.is_finished() != last {
            return Err(Failure::Damaged);
        }
        while self.frame.can_collect() > 0 {
            let made =
                std::io::Read::read(&mut self.frame, &mut self.window).map_err(|_| Failure::Damaged)?;
            if made == 0 {
                break;
            }
            self.made += made as u64;
            if self.size.is_some_and(|size| self.made > size) {
                return Err(Failure::Damaged);
            }
            if !receive(self.window.get(..made).unwrap_or_default()) {
                return Ok(false);
            }
        }
        if last {
            let same = self.frame.get_checksum_from_data() == self.frame.get_calculated_checksum();
            if (self.checked && !same) || self.size.is_some_and(|size| size != self.made) {
                return Err(Failure::Damaged);
            }
            self.frames += 1;
        }
        Ok(true)
    }
}

impl Unpack for Zstd {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let wanted = match self.stage {
                Stage::Magic => 5,
                Stage::Header { bytes } | Stage::Data { bytes, .. } => bytes,
                Stage::Block => 3,
            };
            if !self.held.fill(&mut rest, wanted) {
                return Ok(());
            }
            self.stage = match self.stage {
                Stage::Magic => Stage::Header {
                    bytes: self.header_bytes()?,
                },
                Stage::Header { .. } => self.open()?,
                Stage::Block => self.block()?,
                Stage::Data { last, .. } => {
                    if !self.unpack(last, receive)? {
                        return Ok(());
                    }
                    if last { Stage::Magic } else { Stage::Block }
                }
            };
            // An empty block is there with its header, and a header of five bytes with its first five.
            while let Stage::Header { bytes } | Stage::Data { bytes, .. } = self.stage
                && self.held.0.len() >= bytes
            {
                self.stage = match self.stage {
                    Stage::Data { last, .. } => {
                        if !self.unpack(last, receive)? {
                            return Ok(());
                        }
                        if last { Stage::Magic } else { Stage::Block }
                    }
                    _ => self.open()?,
                };
            }
        }
        Ok(())
    }

    fn finish(&mut self, _receive: Receive<'_>) -> Result<(), Failure> {
        match self.stage {
            Stage::Magic if self.frames > 0 && self.held.is_empty() => Ok(()),
            _ => Err(Failure::Damaged),
        }
    }
}
