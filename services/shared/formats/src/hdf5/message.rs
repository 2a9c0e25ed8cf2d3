//! The messages of an object's header that say what a dataset is: its shape, where its numbers are, how they are packed.
//!
//! Source: HDF5 File Format Specification 3.0, section IV.A.2.

use super::arrays::GROWTH_NAMED;
use super::cursor::{Cursor, Fault, Step};
use crate::rules;
use crate::text;

/// The most dimensions that HDF5 allows.
const MAX_DIMENSIONS: u8 = 32;

/// How many elements there are, and in which shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataspace {
    /// The dimensions; none for a single element.
    pub dimensions: Vec<u64>,
    /// How large each may become; the largest number where there is no limit.
    pub limits: Vec<u64>,
    /// Whether there are no elements at all.
    pub empty: bool,
}

impl Dataspace {
    /// Reads a shape, and what follows it is left.
    pub fn read(cursor: &mut Cursor<'_>) -> Step<Self> {
        let version = cursor.u8()?;
        let rank = cursor.u8()?;
        let flags = cursor.u8()?;
        let kind = match version {
            1 => {
                cursor.take(5)?;
                u8::from(rank > 0)
            }
            2 => cursor.u8()?,
            _ => return Err(Fault::broken("a shape is described in an unknown way")),
        };
        if rank > MAX_DIMENSIONS || flags > 1 || kind > 2 || (kind != 1 && rank > 0) {
            return Err(Fault::broken("a shape has impossible dimensions"));
        }
        let mut dimensions = Vec::new();
        for _ in 0..rank {
            dimensions.push(cursor.u64()?);
        }
        let mut limits = dimensions.clone();
        for limit in limits.iter_mut().filter(|_| flags & 1 == 1) {
            let most = cursor.u64()?;
            if most < *limit {
                return Err(Fault::broken("a dimension is larger than it may become"));
            }
            *limit = most;
        }
        Ok(Self {
            dimensions,
            limits,
            empty: kind == 2,
        })
    }

    /// How many elements there are; none if more than can be counted.
    pub fn elements(&self) -> Option<u64> {
        if self.empty || self.dimensions.contains(&0) {
            return Some(0);
        }
        let mut dimensions = self.dimensions.iter();
        dimensions.try_fold(1_u64, |product, dimension| product.checked_mul(*dimension))
    }
}

/// How chunks of a dataset are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Index {
    /// By a tree, the only way before HDF5 1.10.
    Tree,
    /// There is one chunk; where it is packed, this many bytes.
    Single(Option<(u64, u32)>),
    /// One after the other.
    Implicit,
    /// By a list; pages have two to the power of this many entries.
    FixedArray(u8),
    /// By a list that grows with the one dimension that has no limit.
    GrowingArray,
    /// By a tree of version 2, where several dimensions have no limit; whether lengths of packed pieces have eight bytes in it,
    /// as since HDF5 2.0, or only as many as they need.
    NewerTree(bool),
}

/// Where the numbers of a dataset are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// In the header itself, so many bytes.
    Compact(u64),
    /// In one piece.
    Contiguous {
        /// Where.
        at: Option<u64>,
        /// Its length in bytes.
        bytes: u64,
    },
    /// In pieces of one shape.
    Chunked {
        /// Where their index is, or the first of them.
        at: Option<u64>,
        /// The shape of a piece.
        chunk: Vec<u64>,
        /// Bytes of an element.
        element: u64,
        /// How they are found.
        index: Index,
        /// Whether pieces at the border of the dataset are not packed.
        border: bool,
    },
}

impl Layout {
    /// Reads where the numbers are.
    pub fn read(cursor: &mut Cursor<'_>) -> Step<Self> {
        let version = cursor.u8()?;
        if !(3..=5).contains(&version) {
            let message = format!("numbers are placed in version {version} of the format");
            return Err(Fault::of(&rules::H5_VERSION, message));
        }
        match cursor.u8()? {
            0 => {
                let bytes = cursor.u16()?;
                cursor.take(bytes.into())?;
                Ok(Self::Compact(bytes.into()))
            }
            1 => Ok(Self::Contiguous {
                at: cursor.address()?,
                bytes: cursor.u64()?,
            }),
            2 if version == 3 => {
                let rank = cursor.u8()?;
                let at = cursor.address()?;
                let mut chunk = Vec::new();
                for _ in 0..rank {
                    chunk.push(cursor.u32()?.into());
                }
                Self::chunked(at, chunk, Index::Tree, false)
            }
            2 => Self::newer(cursor, version),
            3 => {
                let message = "a dataset is put together from others (virtual), which may be in other files";
                Err(Fault::of(&rules::H5_EXTERNAL, message))
            }
            _ => Err(Fault::broken("numbers are placed in an unknown way")),
        }
    }

    fn newer(cursor: &mut Cursor<'_>, version: u8) -> Step<Self> {
        let flags = cursor.u8()?;
        let rank = cursor.u8()?;
        let width = usize::from(cursor.u8()?);
        if !(1..=8).contains(&width) || flags > 3 {
            return Err(Fault::broken("pieces of a dataset have no shape"));
        }
        let mut chunk = Vec::new();
        for _ in 0..rank {
            chunk.push(cursor.number(width)?);
        }
        let index = match cursor.u8()? {
            1 if flags & 2 != 0 => Index::Single(Some((cursor.u64()?, cursor.u32()?))),
            1 => Index::Single(None),
            2 => Index::Implicit,
            3 => Index::FixedArray(cursor.u8()?),
            4 => {
                if cursor.take(GROWTH_NAMED.len())? != GROWTH_NAMED {
                    let message = "the pieces of a dataset are in a list that HDF5 does not make";
                    return Err(Fault::of(&rules::H5_VERSION, message));
                }
                Index::GrowingArray
            }
            5 => {
                // The size of nodes, which the tree says again, and when they are split or joined.
                cursor.take(6)?;
                Index::NewerTree(version > 4)
            }
            other => {
                let message = format!("the pieces of a dataset are found by index {other}");
                return Err(Fault::of(&rules::H5_VERSION, message));
            }
        };
        let at = cursor.address()?;
        Self::chunked(at, chunk, index, flags & 1 == 1)
    }

    fn chunked(at: Option<u64>, mut chunk: Vec<u64>, index: Index, border: bool) -> Step<Self> {
        // The last dimension is that of an element.
        match chunk.pop() {
            Some(element @ 1..) if !chunk.is_empty() && !chunk.contains(&0) => Ok(Self::Chunked {
                at,
                chunk,
                element,
                index,
                border,
            }),
            _ => Err(Fault::broken("pieces of a dataset have no shape")),
        }
    }
}

/// Checks the value that stands where nothing was written; `old` in the form that came first.
pub fn fill(cursor: &mut Cursor<'_>, old: bool) -> Step<()> {
    let has_value = if old {
        true
    } else {
        match cursor.u8()? {
            version @ 1..=2 => {
                let [allocated, written, defined] = [cursor.u8()?, cursor.u8()?, cursor.u8()?];
                if allocated > 3 || written > 2 || defined > 1 {
                    return Err(Fault::broken("a fill value has unknown flags"));
                }
                version == 1 || defined == 1
            }
            3 => {
                let flags = cursor.u8()?;
                if flags > 0x3f || flags & 0x30 == 0x30 {
                    return Err(Fault::broken("a fill value has unknown flags"));
                }
                flags & 0x20 != 0
            }
            _ => return Err(Fault::broken("a fill value is described in an unknown way")),
        }
    };
    if has_value {
        let length = cursor.u32()?;
        cursor.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    }
    Ok(())
}

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An object in the file; tree and heap, where it is a group and they are noted beside the link.
    Object(u64, Option<(u64, u64)>),
    /// A path in the file.
    Path(Vec<u8>),
}

/// A link's name and target.
pub type Link = (Vec<u8>, Target);

/// Reads a link.
pub fn link(cursor: &mut Cursor<'_>) -> Step<Link> {
    let version = cursor.u8()?;
    let flags = cursor.u8()?;
    if version != 1 || flags > 31 {
        return Err(Fault::broken("a link is described in an unknown way"));
    }
    let kind = if flags & 8 != 0 { cursor.u8()? } else { 0 };
    if flags & 4 != 0 {
        cursor.u64()?;
    }
    if flags & 16 != 0 {
        cursor.u8()?;
    }
    let length = cursor.number(1 << (flags & 3))?;
    let name = cursor
        .take(usize::try_from(length).unwrap_or(usize::MAX))?
        .to_vec();
    match kind {
        0 => match cursor.address()? {
            Some(at) => Ok((name, Target::Object(at, None))),
            None => Err(Fault::broken("a link leads nowhere")),
        },
        1 => {
            let length = cursor.u16()?;
            Ok((name, Target::Path(cursor.take(length.into())?.to_vec())))
        }
        64 => {
            let message = format!("\"{}\" is a link to another file", text::shown_bytes(&name));
            Err(Fault::of(&rules::H5_EXTERNAL, message))
        }
        _ => {
            let message = format!(
                "\"{}\" is a link of a kind that needs a program of its own",
                text::shown_bytes(&name)
            );
            Err(Fault::of(&rules::H5_EXTERNAL, message))
        }
    }
}

/// An attribute: a name and a value of any type.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// Its name.
    pub name: Vec<u8>,
    /// What its elements are.
    pub datatype: super::datatype::Datatype,
    /// How many there are.
    pub elements: u64,
    /// The elements.
    pub value: Vec<u8>,
}

impl Attribute {
    /// Reads an attribute.
    pub fn read(cursor: &mut Cursor<'_>) -> Step<Self> {
        let version = cursor.u8()?;
        let flags = cursor.u8()?;
        let [name, datatype, dataspace] = [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
        let padded = |length: usize| match version {
            1 => length.next_multiple_of(8),
            _ => length,
        };
        match version {
            1 => {}
            2 | 3 if flags == 0 => {
                if version == 3 {
                    cursor.u8()?;
                }
            }
            2 | 3 => return Err(shared()),
            _ => return Err(Fault::broken("an attribute is described in an unknown way")),
        }
        let name = Cursor::new(cursor.take(padded(name))?).text()?.to_vec();
        let mut part = Cursor::new(cursor.take(padded(datatype))?);
        let datatype = super::datatype::Datatype::read(&mut part)?;
        let mut part = Cursor::new(cursor.take(padded(dataspace))?);
        let elements = Dataspace::read(&mut part)?.elements();
        let bytes = elements
            .and_then(|elements| elements.checked_mul(datatype.bytes))
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(|| Fault::broken("an attribute is larger than any file"))?;
        Ok(Self {
            name,
            datatype,
            elements: elements.unwrap_or(0),
            value: cursor.take(bytes)?.to_vec(),
        })
    }
}

/// For a type that is an object of its own, which others share.
pub fn shared() -> Fault {
    Fault::of(
        &rules::H5_TYPE,
        "elements are of a type that is kept elsewhere in the file",
    )
}
