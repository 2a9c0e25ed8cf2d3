//! Element types, as far as models have them: numbers, small lists of them, and texts.
//!
//! Source: HDF5 File Format Specification 3.0, section IV.A.2.d.

use super::cursor::{Cursor, Fault, Step};
use crate::rules;

/// How deep types may contain others.
const MAX_DEPTH: usize = 4;
/// The largest opaque element: h5py writes numbers of one or two bytes that HDF5 has no name for, such as bfloat16, as opaque.
const MAX_OPAQUE_BYTES: u32 = 16;
/// A text of variable length in the file: its length, and where in which collection it is.
pub const REFERENCE_BYTES: u64 = 16;

/// What elements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Numbers, or structures of numbers.
    Numbers,
    /// Texts of a fixed length.
    Texts,
    /// Texts of any length, which lie elsewhere in the file.
    VariableTexts,
}

/// An element type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datatype {
    /// What elements are.
    pub class: Class,
    /// Bytes of an element.
    pub bytes: u64,
    /// Its name, in NumPy's way.
    pub name: String,
}

impl Datatype {
    /// Reads a type, and what follows it is left.
    pub fn read(cursor: &mut Cursor<'_>) -> Step<Self> {
        read(cursor, MAX_DEPTH)
    }
}

fn unsupported(what: &str) -> Fault {
    Fault::of(&rules::H5_TYPE, format!("elements are {what}"))
}

fn reference(what: &str) -> Fault {
    Fault::of(&rules::H5_REFERENCE, format!("elements are {what}"))
}

fn read(cursor: &mut Cursor<'_>, depth: usize) -> Step<Datatype> {
    if depth == 0 {
        return Err(unsupported("types within types, too deep"));
    }
    let first = cursor.u8()?;
    let (class, version) = (first & 15, first >> 4);
    let bits = cursor.number(3)?;
    let bytes = cursor.u32()?;
    if !(1..=4).contains(&version) {
        return Err(unsupported("described in a way that came later"));
    }
    if bytes == 0 {
        // An empty fixed text is one byte in every writer.
        return Err(Fault::broken("elements of no bytes"));
    }
    let numbers = |name: String| Datatype {
        class: Class::Numbers,
        bytes: bytes.into(),
        name,
    };
    match class {
        0 | 1 | 4 => {
            let (offset, precision) = (u32::from(cursor.u16()?), u32::from(cursor.u16()?));
            let kind = match class {
                0 if bits & 8 != 0 => "int",
                0 => "uint",
                1 => "float",
                _ => "bits",
            };
            if class == 1 {
                cursor.take(8)?;
            }
            let fits = precision > 0 && offset + precision <= bytes.saturating_mul(8);
            if !fits || bytes > 32 {
                return Err(unsupported("numbers that do not fit into their bytes"));
            }
            let order = if bits & 1 == 1 && bytes > 1 { ">" } else { "" };
            Ok(numbers(format!("{order}{kind}{}", bytes * 8)))
        }
        3 => Ok(Datatype {
            class: Class::Texts,
            bytes: bytes.into(),
            name: "text".to_owned(),
        }),
        5 => {
            let tag = usize::try_from(bits & 255).unwrap_or(0);
            cursor.take(tag.next_multiple_of(8))?;
            if bytes > MAX_OPAQUE_BYTES {
                return Err(unsupported("of no known kind (opaque)"));
            }
            Ok(numbers(format!("opaque{}", bytes * 8)))
        }
        6 => compound(cursor, version, bits, bytes, depth).map(|()| numbers("structure".to_owned())),
        8 => {
            enumeration(cursor, version, bits, bytes, depth)?;
            Ok(numbers(format!("enumeration{}", bytes * 8)))
        }
        9 => variable(cursor, bits, bytes, depth),
        10 => {
            array(cursor, version, bytes, depth)?;
            Ok(numbers("array".to_owned()))
        }
        2 => Err(unsupported("times, which no program reads")),
        7 => Err(reference("references to other parts of the file")),
        _ => Err(unsupported("of a kind that came later")),
    }
}

/// Names of members and of values are padded in old versions.
fn name(cursor: &mut Cursor<'_>, version: u8) -> Step<()> {
    let text = cursor.text()?;
    if version < 3 {
        let length = text.len() + 1;
        cursor.take(length.next_multiple_of(8) - length)?;
    }
    Ok(())
}

/// The type within a type, which must be numbers.
fn inner(cursor: &mut Cursor<'_>, depth: usize) -> Step<Datatype> {
    let inner = read(cursor, depth - 1)?;
    match inner.class {
        Class::VariableTexts => Err(reference("structures with texts of any length")),
        Class::Numbers | Class::Texts => Ok(inner),
    }
}

fn compound(cursor: &mut Cursor<'_>, version: u8, bits: u64, bytes: u32, depth: usize) -> Step<()> {
    let members = bits & 0xffff;
    // As many bytes as the largest offset needs.
    let width = (u32::BITS - bytes.leading_zeros()).div_ceil(8);
    let mut end = 0;
    for _ in 0..members {
        name(cursor, version)?;
        let width = if version < 3 { 4 } else { width };
        let offset = cursor.number(usize::try_from(width).unwrap_or(4))?;
        let mut dimensions = Vec::new();
        if version == 1 {
            let rank = cursor.u8()?;
            cursor.take(11)?;
            for index in 0..4 {
                let dimension = cursor.u32()?;
                if index < rank {
                    dimensions.push(u64::from(dimension));
                }
            }
        }
        let member = inner(cursor, depth)?;
        let length = dimensions
            .iter()
            .try_fold(member.bytes, |length, dimension| length.checked_mul(*dimension));
        // In their order, and none over another.
        let fits = length
            .and_then(|length| offset.checked_add(length))
            .filter(|after| offset >= end && *after <= u64::from(bytes));
        end = fits.ok_or_else(|| Fault::broken("members of a structure overlap or lie beyond it"))?;
    }
    if members == 0 {
        return Err(Fault::broken("a structure without members"));
    }
    Ok(())
}

fn enumeration(cursor: &mut Cursor<'_>, version: u8, bits: u64, bytes: u32, depth: usize) -> Step<()> {
    let base = inner(cursor, depth)?;
    if base.class != Class::Numbers || base.bytes != u64::from(bytes) {
        return Err(Fault::broken("the values of an enumeration are no numbers"));
    }
    let members = bits & 0xffff;
    for _ in 0..members {
        name(cursor, version)?;
    }
    let values = members.saturating_mul(base.bytes);
    cursor
        .take(usize::try_from(values).unwrap_or(usize::MAX))
        .map(drop)
}

fn variable(cursor: &mut Cursor<'_>, bits: u64, bytes: u32, depth: usize) -> Step<Datatype> {
    let base = inner(cursor, depth)?;
    if bits & 15 != 1 {
        return Err(reference("lists of any length"));
    }
    if u64::from(bytes) != REFERENCE_BYTES || base.bytes != 1 {
        return Err(Fault::broken("texts of any length that are none"));
    }
    Ok(Datatype {
        class: Class::VariableTexts,
        bytes: REFERENCE_BYTES,
        name: "text".to_owned(),
    })
}

fn array(cursor: &mut Cursor<'_>, version: u8, bytes: u32, depth: usize) -> Step<()> {
    let rank = cursor.u8()?;
    if version < 3 {
        cursor.take(3)?;
    }
    let mut elements: u64 = 1;
    for _ in 0..rank {
        elements = elements.saturating_mul(cursor.u32()?.into());
    }
    if version < 3 {
        cursor.take(usize::from(rank) * 4)?;
    }
    let base = inner(cursor, depth)?;
    if elements.saturating_mul(base.bytes) == u64::from(bytes) {
        Ok(())
    } else {
        Err(Fault::broken("a list of another size than its elements"))
    }
}
