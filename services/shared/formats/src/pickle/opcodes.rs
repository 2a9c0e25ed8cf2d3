//! The opcodes of protocols 0 to 5: their names and what follows each in the stream.

/// What follows an opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    Nothing,
    /// A little-endian number of so many bytes.
    Fixed(u8),
    /// A length of so many bytes, then so many bytes of UTF-8.
    Text(u8),
    /// A length of so many bytes, then so many bytes.
    Bytes(u8),
    /// The same, where the length is signed and readers give up on a negative one.
    Signed,
    /// Everything to the end of the line.
    Line,
    /// Two lines: a module and a name.
    Names,
}

/// Whether a reader knows it.
pub fn is_opcode(code: u8) -> bool {
    argument(code).is_some()
}

macro_rules! opcodes {
    ($($name:ident $code:literal $argument:expr;)+) => {
        $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: u8 = $code;)+

        /// What follows the opcode; `None` if no reader knows it.
        pub fn argument(code: u8) -> Option<Argument> {
            use Argument::{Bytes, Fixed, Line, Names, Nothing, Signed, Text};
            Some(match code { $($name => $argument,)+ _ => return None })
        }

        /// The opcode's name in Python's documentation.
        pub fn name(code: u8) -> &'static str {
            match code { $($name => stringify!($name),)+ _ => "unknown" }
        }
    };
}

opcodes! {
    MARK b'(' Nothing;
    STOP b'.' Nothing;
    POP b'0' Nothing;
    POP_MARK b'1' Nothing;
    DUP b'2' Nothing;
    FLOAT b'F' Line;
    INT b'I' Line;
    BININT b'J' Fixed(4);
    BININT1 b'K' Fixed(1);
    LONG b'L' Line;
    BININT2 b'M' Fixed(2);
    NONE b'N' Nothing;
    PERSID b'P' Line;
    BINPERSID b'Q' Nothing;
    REDUCE b'R' Nothing;
    STRING b'S' Line;
    BINSTRING b'T' Signed;
    SHORT_BINSTRING b'U' Bytes(1);
    UNICODE b'V' Line;
    BINUNICODE b'X' Text(4);
    APPEND b'a' Nothing;
    BUILD b'b' Nothing;
    GLOBAL b'c' Names;
    DICT b'd' Nothing;
    EMPTY_DICT b'}' Nothing;
    APPENDS b'e' Nothing;
    GET b'g' Line;
    BINGET b'h' Fixed(1);
    INST b'i' Names;
    LONG_BINGET b'j' Fixed(4);
    LIST b'l' Nothing;
    EMPTY_LIST b']' Nothing;
    OBJ b'o' Nothing;
    PUT b'p' Line;
    BINPUT b'q' Fixed(1);
    LONG_BINPUT b'r' Fixed(4);
    SETITEM b's' Nothing;
    TUPLE b't' Nothing;
    EMPTY_TUPLE b')' Nothing;
    SETITEMS b'u' Nothing;
    BINFLOAT b'G' Fixed(8);
    BINBYTES b'B' Bytes(4);
    SHORT_BINBYTES b'C' Bytes(1);
    PROTO 0x80 Fixed(1);
    NEWOBJ 0x81 Nothing;
    EXT1 0x82 Fixed(1);
    EXT2 0x83 Fixed(2);
    EXT4 0x84 Fixed(4);
    TUPLE1 0x85 Nothing;
    TUPLE2 0x86 Nothing;
    TUPLE3 0x87 Nothing;
    NEWTRUE 0x88 Nothing;
    NEWFALSE 0x89 Nothing;
    LONG1 0x8a Bytes(1);
    LONG4 0x8b Signed;
    SHORT_BINUNICODE 0x8c Text(1);
    BINUNICODE8 0x8d Text(8);
    BINBYTES8 0x8e Bytes(8);
    EMPTY_SET 0x8f Nothing;
    ADDITEMS 0x90 Nothing;
    FROZENSET 0x91 Nothing;
    NEWOBJ_EX 0x92 Nothing;
    STACK_GLOBAL 0x93 Nothing;
    MEMOIZE 0x94 Nothing;
    FRAME 0x95 Fixed(8);
    BYTEARRAY8 0x96 Bytes(8);
    NEXT_BUFFER 0x97 Nothing;
    READONLY_BUFFER 0x98 Nothing;
}
