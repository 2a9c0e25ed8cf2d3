//! One member, as the directory and as its own header describe it. Source: APPNOTE.TXT 6.3.10, sections 4.3.7 and 4.3.12.

use crate::bytes::{half, long, word};

/// `central directory header`.
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const CENTRAL_BYTES: usize = 46;
/// `local file header`.
const LOCAL: &[u8; 4] = b"PK\x03\x04";
/// Bytes of a local header before the name.
pub const LOCAL_BYTES: usize = 30;
/// The extra field with sizes that need 64 bits.
const ZIP64: u16 = 1;
/// Extra fields that give a member another name, another comment or a cipher: programs disagree on whether to heed them.
const CHANGING: [u16; 4] = [0x7075, 0x6375, 0x9901, 0x0017];

/// A member's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as written.
    pub name: Box<[u8]>,
    /// The version of the format that a program must know, times ten.
    pub needs: u16,
    /// General purpose bits.
    pub flags: u16,
    /// How it is compressed.
    pub method: u16,
    /// The CRC-32 of its content.
    pub crc: u32,
    /// How many bytes it takes in the archive.
    pub packed: u64,
    /// How many bytes its content has.
    pub size: u64,
    /// Where its header begins.
    pub at: u64,
    /// The mode that Unix programs give the file, or zero.
    pub mode: u16,
    /// Whether it has a comment.
    pub commented: bool,
    /// Whether an extra field changes what the member is.
    pub changed: bool,
}

/// The bit that says that sizes and CRC follow the data.
pub const DESCRIPTOR: u16 = 1 << 3;
/// The bit that says that the name is UTF-8.
pub const UTF8: u16 = 1 << 11;
/// Encryption of all kinds, patches.
pub const ENCRYPTED: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;
/// What is left: the two bits with which a compressor notes how hard it tried.
pub const EFFORT: u16 = 0b110;

/// The sizes and the place that may be in the extra fields instead.
struct Wide {
    size: u64,
    packed: u64,
    at: u64,
}

impl Entry {
    /// Reads the entry that `bytes` begins with, and says how long it is.
    pub fn central(bytes: &[u8]) -> Option<(Self, usize)> {
        if !bytes.starts_with(CENTRAL) {
            return None;
        }
        let lengths = [half(bytes, 28)?, half(bytes, 30)?, half(bytes, 32)?].map(usize::from);
        let [name_bytes, extra_bytes, comment_bytes] = lengths;
        let extra_at = CENTRAL_BYTES + name_bytes;
        let end = extra_at + extra_bytes + comment_bytes;
        let name = bytes.get(CENTRAL_BYTES..extra_at)?;
        let extra = bytes.get(extra_at..extra_at + extra_bytes)?;
        bytes.get(..end)?;
        // Several disks never, and a place on another one less.
        if half(bytes, 34)? != 0 {
            return None;
        }
        let mut wide = Wide {
            size: word(bytes, 24)?.into(),
            packed: word(bytes, 20)?.into(),
            at: word(bytes, 42)?.into(),
        };
        let changed = extras(extra, &mut wide, true)?;
        let made_on_unix = half(bytes, 4)? >> 8 == 3;
        let mode = u16::try_from(word(bytes, 38)? >> 16).ok()?;
        let entry = Self {
            name: name.into(),
            needs: half(bytes, 6)?,
            flags: half(bytes, 8)?,
            method: half(bytes, 10)?,
            crc: word(bytes, 16)?,
            packed: wide.packed,
            size: wide.size,
            at: wide.at,
            mode: if made_on_unix { mode } else { 0 },
            commented: comment_bytes > 0,
            changed,
        };
        Some((entry, end))
    }

    /// Reads a local header, whose length is [`local_bytes`].
    pub fn local(bytes: &[u8]) -> Option<Self> {
        let name_end = LOCAL_BYTES + usize::from(half(bytes, 26)?);
        let mut wide = Wide {
            size: word(bytes, 22)?.into(),
            packed: word(bytes, 18)?.into(),
            at: 0,
        };
        let changed = extras(bytes.get(name_end..)?, &mut wide, false)?;
        Some(Self {
            name: bytes.get(LOCAL_BYTES..name_end)?.into(),
            needs: half(bytes, 4)?,
            flags: half(bytes, 6)?,
            method: half(bytes, 8)?,
            crc: word(bytes, 14)?,
            packed: wide.packed,
            size: wide.size,
            at: 0,
            mode: 0,
            commented: false,
            changed,
        })
    }

    /// Whether sizes and CRC follow the data.
    pub fn has_descriptor(&self) -> bool {
        self.flags & DESCRIPTOR != 0
    }

    /// How the local header contradicts this entry of the directory, if it does.
    pub fn contradicted_by(&self, local: &Self) -> Option<&'static str> {
        let numbers = (local.crc, local.packed, local.size);
        let open = local.has_descriptor() && numbers == (0, 0, 0);
        if local.name != self.name {
            Some("its name")
        } else if local.method != self.method {
            Some("how it is compressed")
        } else if local.flags != self.flags {
            Some("its flags")
        } else if !open && numbers != (self.crc, self.packed, self.size) {
            Some("its size or its checksum")
        } else {
            None
        }
    }

    /// Whether the bytes after the data say what the directory says.
    pub fn confirmed_by(&self, descriptor: &[u8]) -> bool {
        let rest = descriptor
            .strip_prefix(b"PK\x07\x08")
            .filter(|_| descriptor.len().is_multiple_of(8));
        let rest = rest.unwrap_or(descriptor);
        let sizes = match rest.len() {
            12 => word(rest, 4)
                .zip(word(rest, 8))
                .map(|(a, b)| (a.into(), b.into())),
            20 => long(rest, 4).zip(long(rest, 12)),
            _ => None,
        };
        word(rest, 0) == Some(self.crc) && sizes == Some((self.packed, self.size))
    }
}

/// How long the local header is whose first [`LOCAL_BYTES`] bytes these are; `None` if it is none.
pub fn local_bytes(head: &[u8]) -> Option<usize> {
    let lengths = [half(head, 26)?, half(head, 28)?].map(usize::from);
    head.starts_with(LOCAL)
        .then_some(LOCAL_BYTES + lengths[0] + lengths[1])
}

/// Reads extra fields: the wide numbers where the narrow ones are full, and whether one changes the member.
fn extras(mut extra: &[u8], wide: &mut Wide, with_place: bool) -> Option<bool> {
    let mut changed = false;
    let mut seen = false;
    while !extra.is_empty() {
        let (id, length) = (half(extra, 0)?, usize::from(half(extra, 2)?));
        let field = extra.get(4..4 + length)?;
        extra = extra.get(4 + length..)?;
        changed |= CHANGING.contains(&id);
        if id == ZIP64 {
            // A second one would be a second truth.
            if std::mem::replace(&mut seen, true) {
                return None;
            }
            let mut at = 0;
            let place = with_place.then_some(&mut wide.at);
            for number in [Some(&mut wide.size), Some(&mut wide.packed), place]
                .into_iter()
                .flatten()
            {
                if *number == u64::from(u32::MAX) {
                    *number = long(field, at)?;
                    at += 8;
                }
            }
        }
    }
    Some(changed)
}
