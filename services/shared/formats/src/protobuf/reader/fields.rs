//! Where fields and messages begin and end.

use std::ops::ControlFlow;

use super::{Event, Frame, MAX_DEPTH, MAX_NUMBER, Reader, Spot, State, Wrong};
use crate::protobuf::schema::{Field, Kind};

impl<P: Copy> Reader<P> {
    pub(super) fn tag(
        &mut self,
        tag: u64,
        sink: &mut impl FnMut(Spot<P>, Event<'_, P>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Wrong> {
        let number = u32::try_from(tag >> 3)
            .ok()
            .filter(|number| (1..=MAX_NUMBER).contains(&u64::from(*number)))
            .ok_or(Wrong::Number(tag >> 3))?;
        let spot = self.spot();
        let mut flow = ControlFlow::Continue(());
        let mut field = None;
        if let Some(frame) = self.stack.last_mut()
            && let Some(index) = frame
                .message
                .fields
                .iter()
                .position(|field| field.number == number)
        {
            field = frame.message.fields.get(index);
            let bit = 1 << (index & 63);
            if frame.seen & bit != 0 && field.is_some_and(|field| !field.repeated) {
                flow = sink(spot, Event::Again(number));
            }
            frame.seen |= bit;
        }
        let wire = u8::try_from(tag & 7).unwrap_or(0);
        let fits = field.is_none_or(|field| match field.kind {
            Kind::Int => wire == 0 || (wire == 2 && field.repeated),
            Kind::Fixed32 => wire == 5 || (wire == 2 && field.repeated),
            Kind::Fixed64 => wire == 1 || (wire == 2 && field.repeated),
            Kind::Told32 => wire == 5,
            Kind::Bytes | Kind::Message(_) => wire == 2,
        });
        self.state = match wire {
            0 | 1 | 2 | 5 if !fits => return Err(Wrong::Kind(number)),
            0 => State::Value(number, field.is_some()),
            2 => State::Length(number, field),
            1 | 5 => {
                let left = if wire == 1 { 8 } else { 4 };
                if left > self.left() {
                    return Err(Wrong::Length(number));
                }
                let told = field.is_some_and(|field| matches!(field.kind, Kind::Told32));
                if flow.is_continue() && !told {
                    let event = if field.is_some() {
                        Event::Fixed(number, left)
                    } else {
                        Event::Unknown(number, left)
                    };
                    flow = sink(spot, event);
                }
                State::Data {
                    field: number,
                    left,
                    told,
                }
            }
            _ => return Err(Wrong::WireType(wire)),
        };
        // A field whose content the enclosing message leaves no room for is wrong at once.
        if self.left() == 0 {
            return Err(Wrong::Length(number));
        }
        Ok(flow)
    }

    /// The length of a field is known.
    pub(super) fn begin(
        &mut self,
        number: u32,
        field: Option<&'static Field<P>>,
        length: u64,
        sink: &mut impl FnMut(Spot<P>, Event<'_, P>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Wrong> {
        // Lengths are signed in the libraries, and no file comes near the limit.
        let end = self
            .at
            .checked_add(length)
            .filter(|_| length <= self.left() && length < 1 << 62)
            .ok_or(Wrong::Length(number))?;
        let spot = self.spot();
        let told = match field.map(|field| &field.kind) {
            Some(Kind::Message(message)) => {
                if self.stack.len() >= MAX_DEPTH {
                    return Err(Wrong::Depth);
                }
                self.stack.push(Frame {
                    message,
                    end,
                    seen: 0,
                });
                self.state = State::Tag;
                let flow = sink(spot, Event::Enter(number, message.part));
                return Ok(if flow.is_continue() {
                    self.leave(sink)
                } else {
                    flow
                });
            }
            Some(Kind::Int) if length > 0 => {
                self.state = State::Packed(number, end);
                return Ok(ControlFlow::Continue(()));
            }
            Some(Kind::Int) => false,
            Some(kind @ (Kind::Fixed32 | Kind::Fixed64)) => {
                let width = if matches!(kind, Kind::Fixed32) { 4 } else { 8 };
                if !length.is_multiple_of(width) {
                    return Err(Wrong::Packed(number));
                }
                if sink(spot, Event::Fixed(number, length)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                false
            }
            Some(Kind::Bytes | Kind::Told32) => true,
            None => {
                if sink(spot, Event::Unknown(number, length)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                false
            }
        };
        if length > 0 {
            self.state = State::Data {
                field: number,
                left: length,
                told,
            };
            return Ok(ControlFlow::Continue(()));
        }
        if told {
            let event = Event::Bytes {
                field: number,
                chunk: &[],
                left: 0,
            };
            if sink(spot, event).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(self.ended(sink))
    }

    /// A field has ended.
    pub(super) fn ended(
        &mut self,
        sink: &mut impl FnMut(Spot<P>, Event<'_, P>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.state = State::Tag;
        self.leave(sink)
    }

    /// Leaves the messages that end here.
    pub(super) fn leave(
        &mut self,
        sink: &mut impl FnMut(Spot<P>, Event<'_, P>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while self.stack.len() > 1 && self.left() == 0 {
            let spot = Spot {
                at: self.at,
                ..self.spot()
            };
            self.stack.pop();
            sink(spot, Event::Leave(spot.inside))?;
        }
        ControlFlow::Continue(())
    }
}
