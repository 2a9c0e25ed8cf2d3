//! Protocol buffers as a stream: a strict reader of the wire format, led by a table that says which fields are messages.
//!
//! The format does not tell a nested message from a byte string, so a reader without the table would have to guess, and would take the
//! bytes of a tensor for a message now and then. Format: <https://protobuf.dev/programming-guides/encoding/>.

mod reader;
mod schema;
mod text;
mod unknown;
mod whole;

pub use reader::{End, Event, MAX_DEPTH, ON, Reader, Spot, Wrong};
pub use schema::{Field, Kind, Message, many, one};
pub use text::Text;
pub use unknown::Unknown;
pub use whole::{Meaning, Whole};
