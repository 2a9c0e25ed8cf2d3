//! Filters, through which pieces of datasets go on their way into the file.
//!
//! Source: HDF5 File Format Specification 3.0, section IV.A.2.l, and `H5Zshuffle.c` of HDF5 1.14.

use super::cursor::{Cursor, Fault, Step};
use super::packed::MAX_APART_BYTES;
use super::source::Packing;
use crate::rules;
use crate::text;

/// The most filters of a dataset (`H5Z_MAX_NFILTERS`).
const MAX_FILTERS: u8 = 32;
/// Bytes of a checksum of Fletcher's.
const CHECK_BYTES: u8 = 4;

/// How pieces are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// By zlib.
    Deflate,
    /// Bytes of elements put apart: the first ones of all elements, of so many bytes each, then the second ones.
    Shuffle(u32),
    /// Four bytes of a checksum follow.
    Fletcher32,
}

/// Reads the filters, in the order in which they are applied when data is written.
pub fn read(cursor: &mut Cursor<'_>) -> Step<Vec<Filter>> {
    let version = cursor.u8()?;
    let count = cursor.u8()?;
    match version {
        1 => drop(cursor.take(6)?),
        2 => {}
        _ => return Err(Fault::broken("filters are described in an unknown way")),
    }
    if count > MAX_FILTERS {
        return Err(Fault::broken(
            "data goes through more filters than HDF5 has room for",
        ));
    }
    let mut filters = Vec::new();
    for _ in 0..count {
        let id = cursor.u16()?;
        let name = if version == 1 || id >= 256 {
            usize::from(cursor.u16()?)
        } else {
            0
        };
        cursor.u16()?;
        let values = usize::from(cursor.u16()?);
        let padded = if version == 1 {
            name.next_multiple_of(8)
        } else {
            name
        };
        let name = text::shown_bytes(cursor.take(padded)?);
        let settings = cursor.take(values * 4)?;
        // How hard it is packed, from 0 to 9.
        if id == 1 && !matches!(settings, [0..=9, 0, 0, 0]) {
            return Err(Fault::broken("data is packed in a way that zlib does not have"));
        }
        if version == 1 && values % 2 == 1 {
            cursor.take(4)?;
        }
        filters.push(match id {
            1 => Filter::Deflate,
            2 => match settings.first_chunk().map(|element| u32::from_le_bytes(*element)) {
                Some(element @ 1..) if values == 1 => Filter::Shuffle(element),
                _ => {
                    return Err(Fault::broken(
                        "bytes are put apart in a way that HDF5 does not have",
                    ));
                }
            },
            3 => Filter::Fletcher32,
            _ => {
                let message = format!("data is packed by filter {id} \"{name}\"");
                return Err(Fault::of(&rules::H5_FILTER, message));
            }
        });
    }
    Ok(filters)
}

/// What these filters, but for those that the bits of `mask` leave out, make of a piece of so many bytes.
///
/// # Errors
///
/// When they are in an order that no writer has, or the piece could not be put back in order.
pub fn packing(filters: &[Filter], mask: u32, bytes: u64) -> Step<Packing> {
    let mut packing = Packing {
        out: bytes,
        element: 1,
        checks: 0,
        plain: 0,
        after: 0,
        deflated: false,
    };
    let order = |message| Fault::of(&rules::H5_FILTER, message);
    let used = filters.iter().enumerate();
    for (_, filter) in used.filter(|(index, _)| mask >> index & 1 == 0) {
        match filter {
            Filter::Shuffle(1) => {}
            Filter::Shuffle(_) if packing.deflated || packing.is_apart() => {
                return Err(order("bytes are put apart twice, or after they were packed"));
            }
            Filter::Shuffle(element) => {
                packing.element = *element;
                packing.plain = 0;
            }
            Filter::Deflate if packing.deflated => return Err(order("data is packed twice")),
            Filter::Deflate => packing.deflated = true,
            Filter::Fletcher32 if packing.deflated => packing.after += CHECK_BYTES,
            Filter::Fletcher32 => {
                packing.out += u64::from(CHECK_BYTES);
                packing.checks += CHECK_BYTES;
                packing.plain += CHECK_BYTES;
            }
        }
    }
    if packing.is_apart() && packing.out > MAX_APART_BYTES {
        let message = format!(
            "bytes are put apart in pieces of {} bytes; up to {MAX_APART_BYTES} are put back in order",
            packing.out
        );
        return Err(Fault::of(&rules::H5_APART, message));
    }
    Ok(packing)
}
