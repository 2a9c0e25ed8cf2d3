//! What the fields of a message are: the part of a `.proto` file that reading needs.

/// What a field holds. `P` names the messages of a format.
#[derive(Debug)]
pub enum Kind<P: 'static> {
    /// A whole number, a truth value or an enumeration: a varint.
    Int,
    /// Four bytes, for example `float`.
    Fixed32,
    /// Four bytes that are told of like a byte string, because their value matters.
    Told32,
    /// Eight bytes, for example `double`.
    Fixed64,
    /// `bytes` or `string`.
    Bytes,
    /// A nested message.
    Message(&'static Message<P>),
}

/// A field of a message.
#[derive(Debug)]
pub struct Field<P: 'static> {
    /// Its number.
    pub number: u32,
    /// What it holds.
    pub kind: Kind<P>,
    /// Whether it may occur more than once. Numbers may then also be packed.
    pub repeated: bool,
}

/// A message: its name in `P` and its fields, at most 64.
#[derive(Debug)]
pub struct Message<P: 'static> {
    /// Which message it is.
    pub part: P,
    /// The fields it may have.
    pub fields: &'static [Field<P>],
}

/// A field that occurs at most once.
pub const fn one<P>(number: u32, kind: Kind<P>) -> Field<P> {
    Field {
        number,
        kind,
        repeated: false,
    }
}

/// A field that may be repeated.
pub const fn many<P>(number: u32, kind: Kind<P>) -> Field<P> {
    Field {
        number,
        kind,
        repeated: true,
    }
}
