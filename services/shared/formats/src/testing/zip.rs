//! Zip archives, member by member, with any field made wrong.

use super::{Built, crc32, length16, length32};
use std::collections::BTreeMap;

/// A member of an archive. What is not given follows from the content.
#[derive(Debug, Clone, Default)]
pub struct Member {
    name: Vec<u8>,
    content: Vec<u8>,
    packed: Option<Vec<u8>>,
    method: u16,
    flags: u16,
    extra: Vec<u8>,
    attributes: u32,
    made_by: u16,
    crc: Option<u32>,
    size: Option<u32>,
    descriptor: Option<usize>,
}

impl Member {
    /// A member that is stored as it is.
    pub fn stored(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            content: content.to_vec(),
            ..Self::default()
        }
    }

    /// A member that is compressed in one block, as `packed`.
    #[must_use]
    pub fn packed(mut self, method: u16, packed: Vec<u8>) -> Self {
        self.method = method;
        self.packed = Some(packed);
        self
    }

    /// Sets general purpose flags.
    #[must_use]
    pub fn flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    /// Adds an extra field.
    #[must_use]
    pub fn extra(mut self, id: u16, content: &[u8]) -> Self {
        self.extra.extend_from_slice(&id.to_le_bytes());
        self.extra
            .extend_from_slice(&length16(content.len()).to_le_bytes());
        self.extra.extend_from_slice(content);
        self
    }

    /// Gives it a Unix mode.
    #[must_use]
    pub fn mode(mut self, mode: u16) -> Self {
        self.attributes = u32::from(mode) << 16;
        self.made_by = 3 << 8;
        self
    }

    /// Claims another checksum.
    #[must_use]
    pub fn crc(mut self, crc: u32) -> Self {
        self.crc = Some(crc);
        self
    }

    /// Claims another size of the content.
    #[must_use]
    pub fn size(mut self, size: u32) -> Self {
        self.size = Some(size);
        self
    }

    /// Leaves the sizes open and writes them after the data, in 12, 16, 20 or 24 bytes.
    #[must_use]
    pub fn descriptor(mut self, bytes: usize) -> Self {
        self.flags |= 1 << 3;
        self.descriptor = Some(bytes);
        self
    }
}

/// Deflates in stored blocks, which any reader of deflate understands.
pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut blocks = content.chunks(0xffff).peekable();
    if content.is_empty() {
        return vec![1, 0, 0, 0xff, 0xff];
    }
    while let Some(block) = blocks.next() {
        let length = length16(block.len());
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out
}

/// An archive with these members. Marks: `NAME/local`, `NAME/data`, `NAME/descriptor`, `NAME/central`, `end`.
pub fn archive(members: &[Member]) -> Built {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    let mut marks = BTreeMap::new();
    let mut centrals = Vec::new();
    for member in members {
        let name = String::from_utf8_lossy(&member.name).into_owned();
        let at = bytes.len();
        let packed = member.packed.as_ref().unwrap_or(&member.content);
        let crc = member.crc.unwrap_or_else(|| crc32(&member.content));
        let size = member.size.unwrap_or_else(|| length32(member.content.len()));
        let numbers = |open: bool| {
            if open {
                vec![0; 12]
            } else {
                [crc, length32(packed.len()), size].map(u32::to_le_bytes).concat()
            }
        };
        let common = |open: bool| {
            [
                &[20, 0][..],
                &member.flags.to_le_bytes(),
                &member.method.to_le_bytes(),
                &[0; 4],
                &numbers(open),
                &length16(member.name.len()).to_le_bytes(),
                &length16(member.extra.len()).to_le_bytes(),
            ]
            .concat()
        };
        bytes.extend_from_slice(b"PK\x03\x04");
        bytes.extend_from_slice(&common(member.descriptor.is_some()));
        bytes.extend_from_slice(&member.name);
        bytes.extend_from_slice(&member.extra);
        marks.insert(format!("{name}/local"), at..bytes.len());
        let data = bytes.len();
        bytes.extend_from_slice(packed);
        marks.insert(format!("{name}/data"), data..bytes.len());
        if let Some(length) = member.descriptor {
            let begins = bytes.len();
            if length.is_multiple_of(8) {
                bytes.extend_from_slice(b"PK\x07\x08");
            }
            bytes.extend_from_slice(&crc.to_le_bytes());
            for number in [length32(packed.len()), size] {
                bytes.extend_from_slice(&number.to_le_bytes());
                if length >= 20 {
                    bytes.extend_from_slice(&[0; 4]);
                }
            }
            marks.insert(format!("{name}/descriptor"), begins..bytes.len());
        }
        let central = directory.len();
        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&member.made_by.to_le_bytes());
        directory.extend_from_slice(&common(false));
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&member.attributes.to_le_bytes());
        directory.extend_from_slice(&length32(at).to_le_bytes());
        directory.extend_from_slice(&member.name);
        directory.extend_from_slice(&member.extra);
        centrals.push((name, central..directory.len()));
    }
    let at = bytes.len();
    for (name, range) in centrals {
        marks.insert(format!("{name}/central"), at + range.start..at + range.end);
    }
    bytes.extend_from_slice(&directory);
    let end = bytes.len();
    let count = length16(members.len()).to_le_bytes();
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    bytes.extend_from_slice(&[count, count].concat());
    bytes.extend_from_slice(&length32(directory.len()).to_le_bytes());
    bytes.extend_from_slice(&length32(at).to_le_bytes());
    bytes.extend_from_slice(&[0, 0]);
    marks.insert("end".to_owned(), end..bytes.len());
    Built { bytes, marks }
}
