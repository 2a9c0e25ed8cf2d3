//! xz: streams of blocks of LZMA2, each with a checksum, and an index at the end that must say the same of every block.
//!
//! The container is read here, so that its own memory is constant. Source:
//! "The .xz File Format", version 1.2.1.

mod check;

use super::drive::Flow;
use super::lzma2::Lzma2;
use super::{Failure, Held, Receive, Unpack};
use crate::budget::Budget;
use crate::bytes::word;
use check::Check;

const MAGIC: &[u8; 6] = b"\xfd7zXZ\0";
const FOOTER_MAGIC: &[u8; 2] = b"YZ";
/// Header and footer of a stream.
const FRAME_BYTES: usize = 12;
/// The filter that every writer uses, and the only one that is understood.
const LZMA2: u64 = 0x21;

/// How many blocks there were and how large: what the index repeats.
#[derive(Default)]
struct Blocks {
    count: u64,
    sizes: crc32fast::Hasher,
    packed: u64,
    unpacked: u64,
}

impl Blocks {
    fn add(&mut self, packed: u64, unpacked: u64) {
        self.count += 1;
        self.packed = self.packed.wrapping_add(packed);
        self.unpacked = self.unpacked.wrapping_add(unpacked);
        self.sizes.update(&packed.to_le_bytes());
        self.sizes.update(&unpacked.to_le_bytes());
    }

    fn is(self, other: Self) -> bool {
        (self.count, self.packed, self.unpacked) == (other.count, other.packed, other.unpacked)
            && self.sizes.finalize() == other.sizes.finalize()
    }
}

/// A block that is being unpacked.
struct Block {
    stream: Lzma2,
    check: Check,
    header_bytes: u64,
    packed: u64,
    unpacked: u64,
    /// What the header says of both sizes, if it does.
    claimed: [Option<u64>; 2],
}

/// The index while it goes by.
struct Index {
    blocks: Blocks,
    /// How many entries it says it has.
    count: Option<u64>,
    /// The first number of an entry whose second has not come.
    packed: Option<u64>,
    crc: crc32fast::Hasher,
    bytes: u64,
}

enum Stage {
    /// The header of a stream, or after the first, zeros between two.
    Header,
    /// The first byte of a block or of the index.
    Next,
    /// The rest of a block's header.
    BlockHeader {
        bytes: usize,
    },
    Data(Box<Block>),
    /// Zeros up to a multiple of four and the checksum.
    Check(Box<Block>),
    Index(Box<Index>),
    IndexCheck(Box<Index>),
    Footer {
        index_bytes: u64,
    },
}

/// An xz file: one stream or more.
pub struct Xz {
    stage: Stage,
    held: Held,
    flags: [u8; 2],
    blocks: Blocks,
    streams: u64,
    budget: Budget,
}

impl Xz {
    /// A file whose memory comes from this allowance.
    pub fn new(budget: &Budget) -> Self {
        Self {
            stage: Stage::Header,
            held: Held::default(),
            flags: [0; 2],
            blocks: Blocks::default(),
            streams: 0,
            budget: budget.clone(),
        }
    }

    fn header(&mut self, rest: &mut &[u8]) -> Result<Option<Stage>, Failure> {
        // Between two streams there may be zeros, four by four.
        if self.streams > 0 {
            if !self.held.fill(rest, 4) {
                return Ok(None);
            }
            if self.held.0 == [0; 4] {
                self.held.take();
                return Ok(Some(Stage::Header));
            }
        }
        if !self.held.fill(rest, FRAME_BYTES) {
            return Ok(None);
        }
        let header = self.held.take();
        let flags: [u8; 2] = part(&header, 6)?;
        let sound =
            header.starts_with(MAGIC) && flags[0] == 0 && word(&header, 8) == Some(crc32fast::hash(&flags));
        if !sound {
            return Err(Failure::Damaged);
        }
        Check::of(flags[1])?;
        self.flags = flags;
        Ok(Some(Stage::Next))
    }

    fn next(&mut self, rest: &mut &[u8]) -> Option<Stage> {
        let (first, after) = rest.split_first()?;
        *rest = after;
        if *first == 0 {
            let mut crc = crc32fast::Hasher::new();
            crc.update(&[0]);
            return Some(Stage::Index(Box::new(Index {
                blocks: Blocks::default(),
                count: None,
                packed: None,
                crc,
                bytes: 1,
            })));
        }
        self.held.0.push(*first);
        let bytes = 4 * (usize::from(*first) + 1);
        Some(Stage::BlockHeader { bytes })
    }

    fn open(&mut self) -> Result<Stage, Failure> {
        let header = self.held.take();
        let length = header.len().saturating_sub(4);
        let fields = header.get(..length).unwrap_or_default();
        if word(&header, length) != Some(crc32fast::hash(fields)) {
            return Err(Failure::Damaged);
        }
        let flags = fields.get(1).copied().ok_or(Failure::Damaged)?;
        if flags & 0x3c != 0 {
            return Err(Failure::Damaged);
        }
        if flags & 3 != 0 {
            return Err(Failure::Unsupported("a filter before LZMA2"));
        }
        let mut rest = fields.get(2..).unwrap_or_default();
        let mut claimed = [None; 2];
        for (bit, size) in [0x40, 0x80].into_iter().zip(&mut claimed) {
            if flags & bit != 0 {
                *size = Some(number(&mut rest)?);
            }
        }
        if number(&mut rest)? != LZMA2 {
            return Err(Failure::Unsupported("another filter than LZMA2"));
        }
        let (1, [window, padding @ ..]) = (number(&mut rest)?, rest) else {
            return Err(Failure::Damaged);
        };
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Failure::Damaged);
        }
        Ok(Stage::Data(Box::new(Block {
            stream: Lzma2::new(*window, claimed[1], &self.budget)?,
            check: Check::of(self.flags[1])?,
            header_bytes: header.len() as u64,
            packed: 0,
            unpacked: 0,
            claimed,
        })))
    }

    /// Padding and checksum of a block are there.
    fn close(&mut self, block: Block) -> Result<Stage, Failure> {
        let held = self.held.take();
        let check_bytes = block.check.bytes();
        let (padding, check) = held.split_at(held.len().saturating_sub(check_bytes));
        let sizes = [block.packed, block.unpacked];
        let as_claimed = block
            .claimed
            .iter()
            .zip(sizes)
            .all(|(claimed, size)| claimed.is_none_or(|claimed| claimed == size));
        if padding.iter().any(|byte| *byte != 0) || !as_claimed || !block.check.matches(check) {
            return Err(Failure::Damaged);
        }
        self.blocks.add(
            block.header_bytes + block.packed + check_bytes as u64,
            block.unpacked,
        );
        Ok(Stage::Next)
    }

    /// Takes bytes of the index; whether its entries are all there.
    fn index(&mut self, index: &mut Index, rest: &mut &[u8]) -> Result<bool, Failure> {
        while index.count != Some(index.blocks.count) || index.packed.is_some() {
            let Some((byte, after)) = rest.split_first() else {
                return Ok(false);
            };
            *rest = after;
            index.bytes += 1;
            index.crc.update(&[*byte]);
            self.held.0.push(*byte);
            if *byte & 0x80 != 0 {
                if self.held.0.len() >= 9 {
                    return Err(Failure::Damaged);
                }
                continue;
            }
            let bytes = self.held.take();
            let number = number(&mut bytes.as_slice())?;
            match (index.count, index.packed.take()) {
                (None, _) => index.count = Some(number),
                (Some(_), None) => index.packed = Some(number),
                (Some(_), Some(packed)) => index.blocks.add(packed, number),
            }
        }
        Ok(true)
    }

    fn footer(&mut self, index_bytes: u64) -> Result<Stage, Failure> {
        let footer = self.held.take();
        let fields = footer.get(4..10).unwrap_or_default();
        let sound = word(&footer, 0) == Some(crc32fast::hash(fields))
            && word(&footer, 4).map(|size| (u64::from(size) + 1) * 4) == Some(index_bytes)
            && fields.get(4..) == Some(&self.flags[..])
            && footer.ends_with(FOOTER_MAGIC);
        if !sound {
            return Err(Failure::Damaged);
        }
        self.streams += 1;
        Ok(Stage::Header)
    }
}

impl Block {
    /// Takes bytes of its data, up to the end of that.
    fn data(&mut self, rest: &mut &[u8], receive: Receive<'_>) -> Result<Flow, Failure> {
        let before = rest.len();
        let (unpacked, check) = (&mut self.unpacked, &mut self.check);
        let mut receive = |made: &[u8]| {
            *unpacked += made.len() as u64;
            check.update(made);
            receive(made)
        };
        let flow = self.stream.follow(rest, &mut receive);
        self.packed += before.saturating_sub(rest.len()) as u64;
        flow
    }
}

/// The bytes from there.
fn part<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Failure> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk().copied());
    found.ok_or(Failure::Damaged)
}

/// A number of up to 63 bits, seven in each byte, without needless bytes.
fn number(rest: &mut &[u8]) -> Result<u64, Failure> {
    let mut value = 0;
    for (index, byte) in rest.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if *byte == 0 && index > 0 {
                break;
            }
            *rest = rest.get(index + 1..).unwrap_or_default();
            return Ok(value);
        }
    }
    Err(Failure::Damaged)
}

impl Unpack for Xz {
    fn feed(&mut self, bytes: &[u8], receive: Receive<'_>) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let stage = std::mem::replace(&mut self.stage, Stage::Header);
            self.stage = match stage {
                Stage::Header => match self.header(&mut rest)? {
                    Some(stage) => stage,
                    None => return Ok(()),
                },
                Stage::Next => self.next(&mut rest).unwrap_or(Stage::Next),
                Stage::BlockHeader { bytes } => {
                    if self.held.fill(&mut rest, bytes) {
                        self.open()?
                    } else {
                        Stage::BlockHeader { bytes }
                    }
                }
                Stage::Data(mut block) => match block.data(&mut rest, receive)? {
                    Flow::More => Stage::Data(block),
                    Flow::Enough => return Ok(()),
                    Flow::Done => {
                        let check = Stage::Check(block);
                        // A block of a multiple of four bytes without a checksum has nothing more.
                        self.checked(check, &mut rest)?
                    }
                },
                check @ Stage::Check(_) => self.checked(check, &mut rest)?,
                Stage::Index(mut index) => {
                    if self.index(&mut index, &mut rest)? {
                        Stage::IndexCheck(index)
                    } else {
                        Stage::Index(index)
                    }
                }
                Stage::IndexCheck(mut index) => {
                    let padding = (4 - index.bytes % 4) % 4;
                    let zeros = usize::try_from(padding).unwrap_or(0);
                    if self.held.fill(&mut rest, zeros + 4) {
                        let held = self.held.take();
                        let (padding, crc) = held.split_at(zeros);
                        index.crc.update(padding);
                        let bytes = index.bytes + held.len() as u64;
                        let blocks = std::mem::take(&mut self.blocks);
                        let sound = padding.iter().all(|byte| *byte == 0)
                            && index.crc.finalize().to_le_bytes() == crc
                            && blocks.is(index.blocks);
                        if !sound {
                            return Err(Failure::Damaged);
                        }
                        Stage::Footer { index_bytes: bytes }
                    } else {
                        Stage::IndexCheck(index)
                    }
                }
                Stage::Footer { index_bytes } => {
                    if self.held.fill(&mut rest, FRAME_BYTES) {
                        self.footer(index_bytes)?
                    } else {
                        Stage::Footer { index_bytes }
                    }
                }
            };
        }
        Ok(())
    }

    fn finish(&mut self, _receive: Receive<'_>) -> Result<(), Failure> {
        match self.stage {
            Stage::Header if self.streams > 0 && self.held.is_empty() => Ok(()),
            _ => Err(Failure::Damaged),
        }
    }
}

impl Xz {
    fn checked(&mut self, stage: Stage, rest: &mut &[u8]) -> Result<Stage, Failure> {
        let Stage::Check(block) = stage else {
            return Ok(stage);
        };
        let padding = usize::try_from((4 - block.packed % 4) % 4).unwrap_or(0);
        if self.held.fill(rest, padding + block.check.bytes()) {
            self.close(*block)
        } else {
            Ok(Stage::Check(block))
        }
    }
}
