//! JPEG: segments that begin with a marker and say how long they are, and scans of which only the end is known (ITU-T T.81, annex B).

use super::{Flaw, Structure};

const START: u8 = 0xd8;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
const MARK: u8 = 0xff;

enum Stage {
    /// Before a marker.
    Marker,
    /// Behind the first byte of a marker, or of several fill bytes.
    Marked,
    /// The length of a segment, of which the first byte may be known.
    Length(Option<u8>),
    /// In the data of a scan; whether the byte before was that of a marker.
    Scan {
        marked: bool,
    },
    Ended,
}

pub struct Jpeg {
    stage: Stage,
    has_begun: bool,
    /// The marker of the segment that is being read.
    marker: u8,
}

impl Default for Jpeg {
    fn default() -> Self {
        Self {
            stage: Stage::Marker,
            has_begun: false,
            marker: 0,
        }
    }
}

impl Jpeg {
    fn marker(&mut self, at: u64, marker: u8) -> Result<(), Flaw> {
        self.marker = marker;
        self.stage = match marker {
            MARK => Stage::Marked,
            START if !self.has_begun => {
                self.has_begun = true;
                Stage::Marker
            }
            END if self.has_begun => Stage::Ended,
            // Tables, frames, scans, comments and what applications keep.
            0xc0..=0xcf | SCAN..=0xfe if self.has_begun => Stage::Length(None),
            _ => return Err((at, "a segment that pictures do not have")),
        };
        Ok(())
    }
}

impl Structure for Jpeg {
    fn byte(&mut self, at: u64, byte: u8) -> Result<u64, Flaw> {
        match self.stage {
            Stage::Marker if byte == MARK => self.stage = Stage::Marked,
            Stage::Marker | Stage::Ended => return Err((at, "something between its segments")),
            Stage::Marked => self.marker(at, byte)?,
            Stage::Length(None) => self.stage = Stage::Length(Some(byte)),
            Stage::Length(Some(high)) => {
                let length = u64::from(u16::from_be_bytes([high, byte]));
                let Some(data) = length.checked_sub(2) else {
                    return Err((at, "a segment with an impossible length"));
                };
                self.stage = if self.marker == SCAN {
                    Stage::Scan { marked: false }
                } else {
                    Stage::Marker
                };
                return Ok(data);
            }
            Stage::Scan { marked: false } => {
                self.stage = Stage::Scan { marked: byte == MARK };
            }
            // Escaped, a restart, or a fill byte: the scan goes on.
            Stage::Scan { marked: true } => match byte {
                0 | 0xd0..=0xd7 => self.stage = Stage::Scan { marked: false },
                MARK => {}
                marker => self.marker(at, marker)?,
            },
        }
        Ok(0)
    }

    fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }
}
