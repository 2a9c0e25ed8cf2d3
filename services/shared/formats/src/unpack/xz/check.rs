//! The checksums that xz can put after a block.

use sha2::{Digest as _, Sha256};

use crate::unpack::Failure;

/// The checksum after each block.
pub enum Check {
    /// There is none.
    None,
    /// CRC-32.
    Crc32(crc32fast::Hasher),
    /// CRC-64 of ECMA-182.
    Crc64(u64),
    /// SHA-256.
    Sha256(Box<Sha256>),
}

impl Check {
    /// The checksum that a stream's header names.
    pub fn of(kind: u8) -> Result<Self, Failure> {
        Ok(match kind {
            0 => Self::None,
            1 => Self::Crc32(crc32fast::Hasher::new()),
            4 => Self::Crc64(!0),
            10 => Self::Sha256(Box::default()),
            2..=15 => return Err(Failure::Unsupported("a checksum of a reserved kind")),
            _ => return Err(Failure::Damaged),
        })
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Crc32(_) => 4,
            Self::Crc64(_) => 8,
            Self::Sha256(_) => 32,
        }
    }

    /// Takes the next bytes of the block.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32(crc) => crc.update(bytes),
            Self::Crc64(crc) => {
                for byte in bytes {
                    let [low, ..] = crc.to_le_bytes();
                    let entry = CRC64.get(usize::from(low ^ byte)).copied().unwrap_or(0);
                    *crc = entry ^ (*crc >> 8);
                }
            }
            Self::Sha256(sha) => sha.update(bytes),
        }
    }

    /// Whether this is the checksum of what was taken.
    pub fn matches(self, expected: &[u8]) -> bool {
        match self {
            Self::None => true,
            Self::Crc32(crc) => crc.finalize().to_le_bytes() == expected,
            Self::Crc64(crc) => (!crc).to_le_bytes() == expected,
            Self::Sha256(sha) => sha.finalize().as_slice() == expected,
        }
    }
}

/// The table of ECMA-182's CRC-64, reflected.
static CRC64: [u64; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ (0xc96c_5795_d787_0f42 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};
