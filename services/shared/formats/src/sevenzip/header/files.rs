//! The files: their names, which of them have content, and what the systems note of them.

use super::reader::{CUT, Reader};
use super::{
    ATTRIBUTES, EMPTY_FILES, EMPTY_STREAMS, END, File, Flaw, MAX_FILES, NAMES, PADDING, Read, TIMES,
};
use crate::bytes::word;

/// The longest name, in units of UTF-16.
const MAX_NAME_UNITS: usize = 1 << 10;

impl Reader<'_> {
    /// The files, with whatever is said of them.
    pub fn files(&mut self) -> Read<Vec<File>> {
        let count = self.count(MAX_FILES, "it has too many files")?;
        let (mut empty, mut plain, mut names, mut attributes) = (None, None, None, None);
        let mut seen = 0_u32;
        loop {
            let kind = self.byte()?;
            if kind == END {
                break;
            }
            let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
            let mut content = Reader::new(self.take(length)?);
            let bit = 1_u32.checked_shl(kind.into()).unwrap_or(0);
            if kind != PADDING && (bit == 0 || seen & bit != 0) {
                return Err(Flaw::Broken("a property of files is there twice, or unknown"));
            }
            seen |= bit;
            match kind {
                EMPTY_STREAMS => empty = Some(content.bits(count)?),
                EMPTY_FILES => {
                    let empty = empty.as_deref().unwrap_or_default();
                    plain = Some(content.bits(empty.iter().filter(|empty| **empty).count())?);
                }
                NAMES => names = Some(content.names(count)?),
                ATTRIBUTES => {
                    attributes = Some(content.noted(count, 4, |bytes| word(bytes, 0).unwrap_or_default())?);
                }
                // When files were made and changed.
                kind if TIMES.contains(&kind) => {
                    content.noted(count, 8, |_| ())?;
                }
                PADDING if content.take(length)?.iter().all(|byte| *byte == 0) => {}
                PADDING => return Err(Flaw::Broken("something is written where nothing should be")),
                _ => return Err(Flaw::Unsupported("a property of files that is not known here")),
            }
            if !content.is_empty() {
                return Err(Flaw::Broken("a property of files is longer than it should be"));
            }
        }
        let names = names.ok_or(Flaw::Unsupported("files without names"))?;
        let (empty, plain) = (empty.unwrap_or_default(), plain.unwrap_or_default());
        let attributes = attributes.unwrap_or_default();
        let mut plain = plain.into_iter();
        let file = |(at, name): (usize, Box<str>)| {
            let is_empty = empty.get(at).copied().unwrap_or(false);
            File {
                name,
                has_content: !is_empty,
                is_directory: is_empty && !plain.next().unwrap_or(false),
                attributes: attributes.get(at).copied().unwrap_or(0),
            }
        };
        Ok(names.into_iter().enumerate().map(file).collect())
    }

    fn names(&mut self, count: usize) -> Read<Vec<Box<str>>> {
        self.expect(0)?;
        let mut names = Vec::new();
        for _ in 0..count {
            let mut units = Vec::new();
            loop {
                let unit = self.take(2)?.first_chunk().ok_or(CUT)?;
                match u16::from_le_bytes(*unit) {
                    0 => break,
                    unit => units.push(unit),
                }
                if units.len() > MAX_NAME_UNITS {
                    return Err(Flaw::Limit("a name is too long"));
                }
            }
            let name = String::from_utf16(&units).map_err(|_| Flaw::Broken("a name is no text"))?;
            names.push(name.into_boxed_str());
        }
        Ok(names)
    }

    /// What is noted of those of `count` files of which it is known, each in so many bytes.
    fn noted<T: Clone + Default>(
        &mut self,
        count: usize,
        bytes: usize,
        read: impl Fn(&[u8]) -> T,
    ) -> Read<Vec<T>> {
        let known = match self.byte()? {
            0 => self.bits(count)?,
            1 => vec![true; count],
            // Readers take every other number for 1, too.
            _ => {
                return Err(Flaw::Broken(
                    "what is known of files is marked in a way that does not exist",
                ));
            }
        };
        self.expect(0)?;
        let mut notes = vec![T::default(); count];
        for (note, _) in notes.iter_mut().zip(known).filter(|(_, known)| *known) {
            *note = read(self.take(bytes)?);
        }
        Ok(notes)
    }
}
