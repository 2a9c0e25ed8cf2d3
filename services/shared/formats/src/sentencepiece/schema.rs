//! The messages of SentencePiece with the numbers of their fields, after the public `sentencepiece_model.proto` of version 0.2.

use crate::protobuf::Kind::{Bytes, Fixed32, Int, Message as Of, Told32};
use crate::protobuf::{Message, many, one};

/// A message, as far as the inspection tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `ModelProto`, the whole file.
    Model,
    /// `SentencePiece`: a piece with its score.
    Piece,
    /// `NormalizerSpec`: what is done to characters before and after.
    Normalizer,
    /// How it was made, and samples of what it does, of which only the texts are looked at.
    Other,
}

type Table = Message<Part>;

/// The whole file.
#[rustfmt::skip]
pub static MODEL: Table = Message { part: Part::Model, fields: &[
    many(1, Of(&PIECE)), one(2, Of(&TRAINER)), one(3, Of(&NORMALIZER)), one(4, Of(&SELF_TEST)), one(5, Of(&NORMALIZER)),
] };

static PIECE: Table = Message {
    part: Part::Piece,
    fields: &[one(1, Bytes), one(2, Told32), one(3, Int)],
};

#[rustfmt::skip]
static NORMALIZER: Table = Message { part: Part::Normalizer, fields: &[
    one(1, Bytes), one(2, Bytes), one(3, Int), one(4, Int), one(5, Int), one(6, Bytes),
] };

#[rustfmt::skip]
static TRAINER: Table = Message { part: Part::Other, fields: &[
    many(1, Bytes), one(2, Bytes), one(3, Int), one(4, Int), many(5, Bytes), one(6, Int), one(7, Bytes), one(10, Fixed32),
    one(11, Int), one(12, Int), one(13, Int), one(14, Int), one(15, Fixed32), one(16, Int), one(17, Int), one(18, Int),
    one(19, Int), one(20, Int), one(21, Int), one(22, Int), one(23, Int), one(24, Int), one(25, Int), one(26, Int),
    many(30, Bytes), many(31, Bytes), one(32, Int), one(33, Int), one(34, Int), one(35, Int), one(36, Bytes), one(40, Int),
    one(41, Int), one(42, Int), one(43, Int), one(44, Bytes), one(45, Bytes), one(46, Bytes), one(47, Bytes), one(48, Bytes),
    one(49, Int), one(50, Int), one(51, Fixed32), one(52, Int), one(53, Bytes), one(54, Bytes),
] };

static SELF_TEST: Table = Message {
    part: Part::Other,
    fields: &[many(1, Of(&SAMPLE))],
};
static SAMPLE: Table = Message {
    part: Part::Other,
    fields: &[one(1, Bytes), one(2, Bytes)],
};
