//! Object headers: the lists of messages that say what a group or a dataset is.
//!
//! Source: HDF5 File Format Specification 3.0, section IV.A.1.

use super::cursor::{Cursor, Fault, Step, checksum};
use super::source::Source;
use crate::ahead::Wrong;
use crate::rules;

/// The most pieces of one header.
const MAX_PIECES: usize = 1 << 10;
/// The most messages of one header.
const MAX_MESSAGES: usize = 16 << 10;
/// Bytes of a header that are looked at to learn how long it is.
const HEAD_BYTES: u64 = 64;

/// A message of a header.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it says.
    pub kind: Kind,
    /// Whether what it says is elsewhere.
    pub shared: bool,
    /// Where it begins.
    pub at: u64,
    /// Its content.
    pub body: Vec<u8>,
}

macro_rules! kinds {
    ($($kind:ident $number:literal)+) => {
        /// What a message says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = concat!("Number ", $number, ".")] $kind,)+ }

        impl Kind {
            fn of(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$kind),)+ _ => None }
            }
        }
    };
}

kinds! {
    Nothing 0 Dataspace 1 LinkInfo 2 Datatype 3 OldFill 4 Fill 5 Link 6 ExternalFiles 7 Layout 8 GroupInfo 10 Filters 11 Attribute 12
    Comment 13 OldTime 14 SharedTable 15 Continuation 16 SymbolTable 17 Time 18 TreeSizes 19 Driver 20 AttributeInfo 21 Count 22
    FileSpace 23
}

impl Kind {
    /// Whether an object can have several of them.
    fn repeats(self) -> bool {
        matches!(
            self,
            Self::Nothing | Self::Link | Self::Attribute | Self::Continuation
        )
    }
}

/// How the messages of a header are written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Old,
    /// With a checksum; `ordered` if each message has a number.
    New {
        ordered: bool,
    },
}

/// A header that is being read.
struct Header {
    form: Form,
    messages: Vec<Message>,
    /// Messages of any kind so far.
    count: usize,
    /// Pieces that are still to be read: where, and how long.
    pieces: Vec<(u64, u64)>,
}

/// Reads the header of the object there.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(source: &mut Source<'_>, at: u64) -> Result<Vec<Message>, Wrong> {
    let room = source.size.saturating_sub(at).min(HEAD_BYTES);
    let head = source.look(at, room)?;
    let (mut header, declared) = if head.starts_with(b"OHDR") {
        (new(source, at, &head)?, None)
    } else {
        let (header, count) = old(source, at, &head)?;
        (header, Some(count))
    };
    let mut read = 0;
    while let Some((at, length)) = header.pieces.pop() {
        read += 1;
        if read > MAX_PIECES {
            return Err(Fault::of(&rules::H5_LIMIT, "an object's header has too many pieces").at(at));
        }
        let bytes = source.take(at, length)?;
        let within = match header.form {
            Form::Old => bytes.as_slice(),
            Form::New { .. } => summed(&bytes, b"OCHK").map_err(|fault| fault.at(at))?,
        };
        let begins = match header.form {
            Form::Old => at,
            Form::New { .. } => at + 4,
        };
        header.messages(begins, within)?;
    }
    if declared.is_some_and(|declared| declared != header.count) {
        let message = format!(
            "an object's header has {} messages, not as many as it says",
            header.count
        );
        return Err(Fault::broken(message).at(at));
    }
    let mut seen = std::collections::BTreeSet::new();
    for message in &header.messages {
        if !message.kind.repeats() && !seen.insert(message.kind) {
            let text = "an object's header says the same thing twice";
            return Err(Fault::of(&rules::H5_DUPLICATE, text).at(message.at));
        }
    }
    Ok(header.messages)
}

/// The first piece of a header of version 1, and how many messages there are.
fn old(source: &mut Source<'_>, at: u64, head: &[u8]) -> Result<(Header, usize), Wrong> {
    let fields = || -> Step<(u16, u32)> {
        let mut cursor = Cursor::new(head);
        cursor.expect(&[1])?;
        cursor.u8()?;
        let count = cursor.u16()?;
        cursor.u32()?;
        Ok((count, cursor.u32()?))
    };
    let (count, length) =
        fields().map_err(|_| Fault::broken("no object begins where something says").at(at))?;
    let bytes = source.take(at, 16 + u64::from(length))?;
    let mut header = Header {
        form: Form::Old,
        messages: Vec::new(),
        count: 0,
        pieces: Vec::new(),
    };
    header.messages(at + 16, bytes.get(16..).unwrap_or_default())?;
    Ok((header, count.into()))
}

/// The first piece of a header of version 2.
fn new(source: &mut Source<'_>, at: u64, head: &[u8]) -> Result<Header, Wrong> {
    let fields = || -> Step<(u8, usize, u64)> {
        let mut cursor = Cursor::new(head);
        cursor.expect(b"OHDR\x02")?;
        let flags = cursor.u8()?;
        if flags > 63 {
            return Err(Fault::broken("an object's header has unknown flags"));
        }
        if flags & 32 != 0 {
            cursor.take(16)?;
        }
        if flags & 16 != 0 {
            cursor.take(4)?;
        }
        let length = cursor.number(1 << (flags & 3))?;
        Ok((flags, cursor.taken(), length))
    };
    let (flags, begins, length) = fields().map_err(|fault| fault.at(at))?;
    let whole = length.saturating_add(begins as u64 + 4);
    let bytes = source.take(at, whole)?;
    let within = summed(&bytes, b"OHDR").map_err(|fault| fault.at(at))?;
    let mut header = Header {
        form: Form::New {
            ordered: flags & 4 != 0,
        },
        messages: Vec::new(),
        count: 0,
        pieces: Vec::new(),
    };
    header.messages(at + begins as u64, within.get(begins - 4..).unwrap_or_default())?;
    Ok(header)
}

/// What is between the signature of a structure and its checksum, which must be right.
pub fn summed<'a>(bytes: &'a [u8], signature: &[u8]) -> Step<&'a [u8]> {
    Cursor::new(bytes).expect(signature)?;
    let end = bytes
        .len()
        .checked_sub(4)
        .filter(|end| *end >= signature.len())
        .ok_or_else(|| Fault::broken("a structure is cut off"))?;
    let (before, sum) = bytes.split_at(end);
    if Cursor::new(sum).u32()? != checksum(before) {
        return Err(Fault::broken("the checksum of a structure is wrong"));
    }
    Ok(before.get(signature.len()..).unwrap_or_default())
}

impl Header {
    /// Takes the messages of a piece, which begins at `at`.
    fn messages(&mut self, at: u64, bytes: &[u8]) -> Result<(), Wrong> {
        let mut cursor = Cursor::new(bytes);
        let least = match self.form {
            Form::Old => 8,
            Form::New { ordered } => 4 + if ordered { 2 } else { 0 },
        };
        while cursor.rest().len() >= least {
            let begins = at + cursor.taken() as u64;
            self.message(begins, &mut cursor)
                .map_err(|fault| fault.at(begins))?;
        }
        let fits = matches!(self.form, Form::New { .. }) || cursor.rest().is_empty();
        if !fits || cursor.rest().iter().any(|byte| *byte != 0) {
            let message = "the messages of an object do not fill its header";
            return Err(Fault::broken(message).at(at + cursor.taken() as u64));
        }
        Ok(())
    }

    fn message(&mut self, at: u64, cursor: &mut Cursor<'_>) -> Step<()> {
        let (number, length, flags) = match self.form {
            Form::Old => {
                let (number, length, flags) = (cursor.u16()?, cursor.u16()?, cursor.u8()?);
                cursor.take(3)?;
                (number, length, flags)
            }
            Form::New { ordered } => {
                let (number, length, flags) = (cursor.u8()?, cursor.u16()?, cursor.u8()?);
                if ordered {
                    cursor.u16()?;
                }
                (number.into(), length, flags)
            }
        };
        let body = cursor.take(length.into())?;
        // Shared and not to be shared, or left behind by a program that did not know it.
        if flags & 6 == 6 || flags & 32 != 0 {
            return Err(Fault::broken(
                "a message of an object has flags that contradict each other",
            ));
        }
        self.count += 1;
        if self.count > MAX_MESSAGES {
            return Err(Fault::of(&rules::H5_LIMIT, "an object has too many messages"));
        }
        let Some(kind) = Kind::of(number) else {
            let message = format!("an object has a message of the unknown kind {number}");
            return Err(Fault::of(&rules::H5_VERSION, message));
        };
        match kind {
            Kind::Nothing => {}
            Kind::Continuation => {
                let mut body = Cursor::new(body);
                self.pieces.push((body.u64()?, body.u64()?));
            }
            _ => self.messages.push(Message {
                kind,
                shared: flags & 2 != 0,
                at,
                body: body.to_vec(),
            }),
        }
        Ok(())
    }
}
