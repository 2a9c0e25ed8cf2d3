//! LZ4 frames: blocks of up to 4 MiB, which may refer to the 64 KiB before them.
//!
//! Frames are read here; the `lz4_flex` crate unpacks a block, without `unsafe` as it is built here. Source: "LZ4 Frame Format
//! Description", version 1.6.4.

use twox_hash::XxHash32;

use super::{Failure, Held, Receive, Unpack};
use crate::budget::{Budget, Memory};
use crate::bytes::{half, long, word};

const MAGIC: u32 = 0x184d_2204;
/// The format before frames had one: no checksums and blocks of 8 MiB.
const LEGACY: u32 = 0x184c_2102;
/// What frames begin with that readers skip: with one of sixteen numbers.
const SKIPPED: u32 = 0x0184_d2a5;
/// How far back a match may reach.
const WINDOW_BYTES: usize = 64 << 10;
/// The bit of a block's length that says that it is stored as it is.
const STORED: u32 = 1 << 31;

/// What the header of a frame says.
#[derive(Default)]
struct Frame {
    linked: bool,
    blocks_checked: bool,
    checked: bool,
    size: Option<u64>,
    max_block: usize,
}

enum Stage {
    Magic,
    /// The header after the number, so many bytes of it.
    Header {
        bytes: usize,
    },
    /// The length of a block, or the end.
    Length,
    Block {
        bytes: usize,
        stored: bool,
    },
    /// The checksum of everything.
    Check,
}

/// A file of LZ4 frames.
pub struct Lz4 {
    stage: Stage,
    held: Held,
    frame: Frame,
    hash: XxHash32,
    made: u64,
    frames: u64,
    before: Vec<u8>,
    out: Vec<u8>,
    budget: Budget,
    memory: Option<Memory>,
}

impl Lz4 {
    /// A file whose memory comes from this allowance.
    pub fn new(budget: &Budget) -> Self {
        Self {
            stage: Stage::Magic,
            held: Held::default(),
            frame: Frame::default(),
            hash: XxHash32::with_seed(0),
            made: 0,
            frames: 0,
            before: Vec::new(),
            out: Vec::new(),
            budget: budget.clone(),
            memory: None,
        }
    }

    /// How long the header after the number is: two bytes of which are held.
    fn header_bytes(&self) -> Result<usize, Failure> {
        match word(&self.held.0, 0).unwrap_or(0) {
            MAGIC => {}
            LEGACY => return Err(Failure::Unsupported("the format of LZ4 from before frames")),
            magic if magic >> 4 == SKIPPED => return Err(Failure::Unsupported("a frame that readers skip")),
            _ => return Err(Failure::Damaged),
        }
        let flags = self.held.0.get(4).copied().unwrap_or(0);
        if flags >> 6 != 1 || flags & 0x02 != 0 {
            return Err(Failure::Damaged);
        }
        if flags & 0x01 != 0 {
            return Err(Failure::Unsupported("a dictionary that is not in the file"));
        }
        Ok(4 + 2 + if flags & 0x08 != 0 { 8 } else { 0 } + 1)
    }

    fn open(&mut self) -> Result<Stage, Failure> {
        let header = self.held.take();
        let fields = header.get(4..header.len().saturating_sub(1)).unwrap_or_default();
        let [_, check, ..] = XxHash32::oneshot(0, fields).to_le_bytes();
        let (Some(&flags), Some(&sizes), Some(&found)) = (header.get(4), header.get(5), header.last()) else {
            return Err(Failure::Damaged);
        };
        let max_block = match sizes {
            0x40 => 64 << 10,
            0x50 => 256 << 10,
            0x60 => 1 << 20,
            0x70 => 4 << 20,
            _ => return Err(Failure::Damaged),
        };
        if found != check {
            return Err(Failure::Damaged);
        }
        self.frame = Frame {
            linked: flags & 0x20 == 0,
            blocks_checked: flags & 0x10 != 0,
            checked: flags & 0x04 != 0,
            size: long(&header, 6).filter(|_| flags & 0x08 != 0),
            max_block,
        };
        let wanted = 2 * (max_block + WINDOW_BYTES) as u64;
        if self.memory.as_ref().is_none_or(|memory| memory.bytes() < wanted) {
            self.memory = None;
            self.memory = self.budget.memory(wanted);
        }
        if self.memory.is_none() {
            return Err(Failure::Memory);
        }
        self.hash = XxHash32::with_seed(0);
        self.made = 0;
        self.before.clear();
        self.out.resize(max_block, 0);
        Ok(Stage::Length)
    }

    /// What follows the length of a block.
    fn length(&mut self) -> Result<Stage, Failure> {
        let held = self.held.take();
        let length = word(&held, 0).unwrap_or(0);
        if length == 0 {
            return if self.frame.checked {
                Ok(Stage::Check)
            } else {
                self.end()
            };
        }
        let bytes = usize::try_from(length & !STORED).unwrap_or(usize::MAX);
        if bytes > self.frame.max_block {
            return Err(Failure::Damaged);
        }
        Ok(Stage::Block {
            bytes: bytes + if self.frame.blocks_checked { 4 } else { 0 },
            stored: length & STORED != 0,
        })
    }

    fn end(&mut self) -> Result<Stage, Failure> {
        if self.frame.size.is_some_and(|size| size != self.made) {
            return Err(Failure::Damaged);
        }
        self.frames += 1;
        Ok(Stage::Magic)
    }

    /// A block is there. Whether more is wanted.
    fn block(&mut self, stored: bool, receive: Receive<'_>) -> Result<bool, Failure> {
        let held = self.held.take();
        let length = held.len() - if self.frame.blocks_checked { 4 } else { 0 };
        let (data, check) = held.split_at(length);
        if self.frame.blocks_checked && XxHash32::oneshot(0, data).to_le_bytes() != check {
            return Err(Failure::Damaged);
        }
        let out = if stored {
            data
        } else {
            let made = lz4_flex::block::decompress_into_with_dict(data, &mut self.out, &self.before)
                .map_err(|_| Failure::Damaged)?;
            self.out.get(..made).unwrap_or_default()
        };
        self.made += out.len() as u64;
        if self.frame.size.is_some_and(|size| self.made > size) {
            return Err(Failure::Damaged);
        }
        if self.frame.checked {
            std::hash::Hasher::write(&mut self.hash, out);
        }
        if self.frame.linked {
            let keep = WINDOW_BYTES.saturating_sub(out.len()).min(self.before.len());
            self.before.drain(..self.before.len() - keep);
            self.before
                .extend_from_slice(out.get(out.len().saturating_sub(WINDOW_BYTES)..).unwrap_or(out));
        }
        Ok(out.is_empty() || receive(out))
    }
}

impl Unpack for Lz4 {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let wanted = match self.stage {
                Stage::Magic => 6,
                Stage::Length | Stage::Check => 4,
                Stage::Header { bytes } | Stage::Block { bytes, .. } => bytes,
            };
            if !self.held.fill(&mut rest, wanted) {
                return Ok(());
            }
            self.stage = match self.stage {
                Stage::Magic => Stage::Header {
                    bytes: self.header_bytes()?,
                },
                Stage::Header { .. } => self.open()?,
                Stage::Length => self.length()?,
                Stage::Block { stored, .. } => {
                    if !self.block(stored, receive)? {
                        return Ok(());
                    }
                    Stage::Length
                }
                Stage::Check => {
                    let held = self.held.take();
                    let hash = u32::try_from(std::hash::Hasher::finish(&self.hash)).unwrap_or(0);
                    if half(&held, 0).is_none() || word(&held, 0) != Some(hash) {
                        return Err(Failure::Damaged);
                    }
                    self.end()?
                }
            };
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
