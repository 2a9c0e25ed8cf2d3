//! The wire format, byte by byte where it is structure and in whole chunks where it is data.
//!
//! Stricter than the format demands and than its libraries are: what a field holds has to match the table, a varint has to be as short as it
//! can be, and groups, which nobody has written for a decade, are refused. Readers then cannot disagree on what a file says.

mod fields;

use std::ops::ControlFlow;

use super::schema::{Field, Message};

/// How deep messages may be nested. The libraries stop at 100.
pub const MAX_DEPTH: usize = 64;
/// The highest field number that the format allows.
const MAX_NUMBER: u64 = (1 << 29) - 1;

/// Where an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot<P> {
    /// The byte that the field begins at, counted from the start of the file.
    pub at: u64,
    /// The message that the field belongs to.
    pub inside: P,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a, P> {
    /// A nested message begins.
    Enter(u32, P),
    /// It ends; so does the outermost one at the end of the file. The spot is the message itself and where it ends.
    Leave(P),
    /// A number, once for each element of a packed list.
    Number(u32, u64),
    /// A number of fixed width, or several of them: how many bytes.
    Fixed(u32, u64),
    /// Content of a byte string or of a number whose bytes are told, in pieces that come one after the other; `left` bytes are still to come. An empty string is one event.
    Bytes {
        /// The field's number.
        field: u32,
        /// The next piece.
        chunk: &'a [u8],
        /// How many bytes follow.
        left: u64,
    },
    /// A field that the table does not have, with the length of its content, which is passed over. A varint counts as 8 bytes.
    Unknown(u32, u64),
    /// A field that may occur once occurs again in this message.
    Again(u32),
}

/// Why the bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// More than 64 bits.
    #[error("a number has more than 64 bits")]
    LongNumber,
    /// Padded with zeros.
    #[error("a number is written longer than it needs to be")]
    Padded,
    /// Field number 0 or beyond 2²⁹.
    #[error("a field has the impossible number {0}")]
    Number(u64),
    /// The number and kind of a field are cut off by the end of the enclosing message.
    #[error("a message ends within a field")]
    Tag,
    /// A wire type that does not exist, or a group.
    #[error("a field is of the kind {0}, which is not in use")]
    WireType(u8),
    /// Not what the table says.
    #[error("the field {0} holds something else than it should")]
    Kind(u32),
    /// A length beyond the end of the enclosing message.
    #[error("the field {0} reaches beyond the end of what it is part of")]
    Length(u32),
    /// A packed list whose length is not a multiple of its elements'.
    #[error("the list in field {0} ends within an element")]
    Packed(u32),
    /// Nested too deep.
    #[error("messages are nested more than {MAX_DEPTH} deep")]
    Depth,
}

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After a complete message.
    Complete,
    /// In the middle.
    Cut,
    /// Before: something was wrong, or the receiver wanted no more.
    Stopped,
}

#[derive(Debug)]
struct Frame<P: 'static> {
    message: &'static Message<P>,
    /// Where it ends; the outermost message ends with the file.
    end: u64,
    /// The fields that it had so far, by their place in the table.
    seen: u64,
}

#[derive(Debug, Clone, Copy)]
enum State<P: 'static> {
    /// Before or within the number and kind of a field.
    Tag,
    /// Within a number that is the content of a field.
    Value(u32, bool),
    /// Within the length of a field.
    Length(u32, Option<&'static Field<P>>),
    /// Content of which so many bytes are left, and are told of or not.
    Data {
        field: u32,
        left: u64,
        told: bool,
    },
    /// Within a packed list of varints that ends at a place.
    Packed(u32, u64),
    Stopped,
}

/// What a sink answers so that reading goes on.
pub const ON: ControlFlow<()> = ControlFlow::Continue(());

/// Reads a message that is as long as the file.
#[derive(Debug)]
pub struct Reader<P: 'static> {
    at: u64,
    /// Where the field began that is being read.
    begun: u64,
    outermost: P,
    stack: Vec<Frame<P>>,
    state: State<P>,
    /// The varint that is being read, and how many bytes it has so far.
    varint: (u64, u8),
}

impl<P: Copy> Reader<P> {
    /// A reader of a message of this kind.
    pub fn new(message: &'static Message<P>) -> Self {
        Self {
            at: 0,
            begun: 0,
            outermost: message.part,
            stack: vec![Frame {
                message,
                end: u64::MAX,
                seen: 0,
            }],
            state: State::Tag,
            varint: (0, 0),
        }
    }

    /// Takes the next bytes and tells `sink` what they mean, until it breaks.
    ///
    /// # Errors
    ///
    /// When the bytes are no message of the kind, with the place. Nothing is read any more after that.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(Spot<P>, Event<'_, P>) -> ControlFlow<()>,
    ) -> Result<(), (u64, Wrong)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.step(rest, &mut sink) {
                Ok((taken, ON)) => {
                    rest = rest.get(taken..).unwrap_or_default();
                }
                Ok((_, ControlFlow::Break(()))) => {
                    self.state = State::Stopped;
                    return Ok(());
                }
                Err(wrong) => {
                    self.state = State::Stopped;
                    return Err((self.begun, wrong));
                }
            }
        }
        Ok(())
    }

    /// The file has ended.
    pub fn finish(self, mut sink: impl FnMut(Spot<P>, Event<'_, P>) -> ControlFlow<()>) -> End {
        match (self.state, self.varint.1, self.stack.len()) {
            (State::Stopped, ..) => End::Stopped,
            (State::Tag, 0, 1) => {
                let spot = Spot {
                    at: self.at,
                    inside: self.outermost,
                };
                // Nothing is left that breaking could stop.
                let _ = sink(spot, Event::Leave(self.outermost));
                End::Complete
            }
            _ => End::Cut,
        }
    }

    /// Reads one thing from the start of `bytes`; returns how many were taken.
    fn step(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Spot<P>, Event<'_, P>) -> ControlFlow<()>,
    ) -> Result<(usize, ControlFlow<()>), Wrong> {
        match self.state {
            State::Stopped => Ok((bytes.len(), ON)),
            State::Data { field, left, told } => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - taken as u64;
                self.at += taken as u64;
                self.state = State::Data { field, left, told };
                let chunk = bytes.get(..taken).unwrap_or_default();
                let mut flow = ON;
                if told {
                    flow = sink(self.spot(), Event::Bytes { field, chunk, left });
                }
                if left == 0 && flow.is_continue() {
                    flow = self.ended(sink);
                }
                Ok((taken, flow))
            }
            State::Tag => {
                if self.varint.1 == 0 {
                    self.begun = self.at;
                }
                let (taken, tag) = self.varint(bytes, self.end(), Wrong::Tag)?;
                let flow = match tag {
                    Some(tag) => self.tag(tag, sink)?,
                    None => ON,
                };
                Ok((taken, flow))
            }
            State::Value(field, told) => {
                let (taken, value) = self.varint(bytes, self.end(), Wrong::Length(field))?;
                let Some(value) = value else {
                    return Ok((taken, ON));
                };
                let event = if told {
                    Event::Number(field, value)
                } else {
                    Event::Unknown(field, 8)
                };
                let flow = sink(self.spot(), event);
                Ok((
                    taken,
                    if flow.is_continue() {
                        self.ended(sink)
                    } else {
                        flow
                    },
                ))
            }
            State::Length(number, field) => {
                let (taken, length) = self.varint(bytes, self.end(), Wrong::Length(number))?;
                let flow = match length {
                    Some(length) => self.begin(number, field, length, sink)?,
                    None => ON,
                };
                Ok((taken, flow))
            }
            State::Packed(field, end) => {
                let (taken, value) = self.varint(bytes, end, Wrong::Packed(field))?;
                let Some(value) = value else {
                    return Ok((taken, ON));
                };
                let flow = sink(self.spot(), Event::Number(field, value));
                let over = self.at == end && flow.is_continue();
                Ok((taken, if over { self.ended(sink) } else { flow }))
            }
        }
    }

    /// Reads on in a varint; `beyond` is what is wrong if it does not end before `end`.
    fn varint(&mut self, bytes: &[u8], end: u64, beyond: Wrong) -> Result<(usize, Option<u64>), Wrong> {
        let (mut value, mut count) = self.varint;
        for (index, byte) in bytes.iter().enumerate() {
            if self.at >= end {
                return Err(beyond);
            }
            self.at += 1;
            if count == 9 && *byte > 1 {
                return Err(Wrong::LongNumber);
            }
            value |= u64::from(byte & 0x7f) << (7 * count);
            count += 1;
            if byte & 0x80 == 0 {
                if *byte == 0 && count > 1 {
                    return Err(Wrong::Padded);
                }
                self.varint = (0, 0);
                return Ok((index + 1, Some(value)));
            }
        }
        // A number that the enclosing message cuts off is wrong at once, whatever comes after.
        if self.at >= end {
            return Err(beyond);
        }
        self.varint = (value, count);
        Ok((bytes.len(), None))
    }

    fn spot(&self) -> Spot<P> {
        Spot {
            at: self.begun,
            inside: self
                .stack
                .last()
                .map_or(self.outermost, |frame| frame.message.part),
        }
    }

    /// How many bytes the innermost message still has.
    fn left(&self) -> u64 {
        self.end().saturating_sub(self.at)
    }

    /// Where the innermost message ends.
    fn end(&self) -> u64 {
        self.stack.last().map_or(0, |frame| frame.end)
    }
}

#[cfg(test)]
mod tests;
