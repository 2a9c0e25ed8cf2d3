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
        0 => integer(cursor, bits, bytes).map(numbers),
        1 => float(cursor, bits, bytes).map(numbers),
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
        2 | 4 => Err(unsupported("times or bits, which are no numbers")),
        7 => Err(reference("references to other parts of the file")),
        _ => Err(unsupported("of a kind that came later")),
    }
}

/// Bytes that are read from their other end have another name.
fn named(kind: &str, bits: u64, bytes: u32) -> String {
    let order = if bits & 1 == 1 && bytes > 1 { ">" } else { "" };
    format!("{order}{kind}{}", u64::from(bytes) * 8)
}

fn integer(cursor: &mut Cursor<'_>, bits: u64, bytes: u32) -> Step<String> {
    let (offset, precision) = (cursor.u16()?, cursor.u16()?);
    if !matches!(bytes, 1 | 2 | 4 | 8) || offset != 0 || u32::from(precision) != bytes * 8 {
        return Err(unsupported("integers that do not fill their bytes"));
    }
    let kind = if bits & 8 != 0 { "int" } else { "uint" };
    Ok(named(kind, bits, bytes))
}

/// Floating-point numbers as processors have them: where exponent and mantissa lie, in bits, and the exponent of 1.
#[rustfmt::skip]
const FLOATS: &[(u32, [u64; 4], u64, &str)] = &[
    (1, [3, 4, 0, 3], 7, "float"), (1, [2, 5, 0, 2], 15, "float"), (2, [10, 5, 0, 10], 15, "float"), (2, [7, 8, 0, 7], 127, "bfloat"),
    (4, [23, 8, 0, 23], 127, "float"), (8, [52, 11, 0, 52], 1023, "float"), (16, [64, 15, 0, 64], 16383, "float"),
    (16, [112, 15, 0, 112], 16383, "float"),
];

fn float(cursor: &mut Cursor<'_>, bits: u64, bytes: u32) -> Step<String> {
    let (offset, precision) = (cursor.u16()?, cursor.u16()?);
    let fields = [
        cursor.number(1)?,
        cursor.number(1)?,
        cursor.number(1)?,
        cursor.number(1)?,
    ];
    let one_at = u64::from(cursor.u32()?);
    let known = FLOATS
        .iter()
        .find(|(size, places, one, _)| (*size, *places, *one) == (bytes, fields, one_at));
    let sign = bits >> 8 & 255;
    // Numbers of eighty bits are kept in sixteen bytes.
    let wide = bytes == 16 && fields[0] == 64;
    let width = if wide { 80 } else { bytes.saturating_mul(8) };
    let fits = offset == 0 && u32::from(precision) == width && sign + 1 == u64::from(width);
    match known {
        Some((_, _, _, kind)) if fits => Ok(named(kind, bits, bytes)),
        _ => Err(unsupported("numbers in a form that no processor has")),
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
