//! One header block of a tar archive. Source: POSIX.1-2017 `pax`, and GNU tar's manual for its extensions.

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 512;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name, with its prefix.
    pub name: Vec<u8>,
    /// Bytes of content.
    pub size: u64,
    /// What kind of member it is.
    pub kind: u8,
}

/// Why a block is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The checksum is wrong: it is something else, or damaged.
    Checksum,
    /// A number is not written as numbers are.
    Number,
}

impl Header {
    /// Reads a block.
    pub fn read(block: &[u8; BLOCK_BYTES]) -> Result<Self, Malformed> {
        let field = |from: usize, length: usize| block.get(from..from + length).unwrap_or_default();
        let declared = number(field(148, 8)).ok_or(Malformed::Checksum)?;
        let sum: u64 = block
            .iter()
            .enumerate()
            // The checksum's own field counts as spaces.
            .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }))
            .sum();
        if sum != declared {
            return Err(Malformed::Checksum);
        }
        let posix = field(257, 6) == b"ustar\0";
        let prefix = if posix { until_zero(field(345, 155)) } else { &[] };
        let mut name = prefix.to_vec();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(until_zero(field(0, 100)));
        Ok(Self {
            name,
            size: number(field(124, 12)).ok_or(Malformed::Number)?,
            kind: block.get(156).copied().unwrap_or(0),
        })
    }
}

/// Octal digits between spaces and zeros, or, with the highest bit set, bytes of a large number.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, rest @ ..] = field {
        let (high, low) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
        let low = low.first_chunk().copied().map(u64::from_be_bytes)?;
        return high.iter().all(|byte| *byte == 0).then_some(low);
    }
    let digits = until_zero(field).trim_ascii();
    if !digits.iter().all(|digit| matches!(digit, b'0'..=b'7')) {
        return None;
    }
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// The bytes before the first zero.
pub fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The name and the size that an extended header gives the next member, if it does.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// Another name.
    pub path: Option<Vec<u8>>,
    /// Another size.
    pub size: Option<u64>,
    /// Whether it makes a sparse file, or something else that changes what the content is.
    pub changes: bool,
}

/// Reads the records of an extended header: a length, a key and a value each.
pub fn extended(mut records: &[u8]) -> Option<Extended> {
    let mut found = Extended::default();
    while !records.is_empty() {
        let space = records.iter().take(20).position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
        let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
        match key {
            b"path" if found.path.is_none() => found.path = Some(value.to_vec()),
            b"size" if found.size.is_none() => {
                found.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?);
            }
            b"path" | b"size" => return None,
            b"linkpath" => found.changes = true,
            key => found.changes |= key.starts_with(b"GNU.sparse") || key == b"hdrcharset",
        }
        records = records.get(length..)?;
    }
    Some(found)
}
