//! The fields of a GGUF header, one after the other: what each means and what must come next.

use super::known::Known;
use super::metadata::{MAX_KEYS, StringValue, judge_charsmap};
use super::tensors::{MAX_TENSORS, Refusal};
use super::types::ValueType;
use super::{Field, Frame, Gguf, Text, Want};
use crate::bytes::{long, word};
use crate::finding::Place;
use crate::rules::{self, Rule};
use crate::text::{self, Fingerprint, Utf8};

/// The longest key (GGUF specification).
const MAX_KEY_BYTES: u64 = 65_535;
/// The longest string (`GGUF_MAX_STRING_LENGTH`).
const MAX_STRING_BYTES: u64 = 1 << 30;
/// The most elements of an array (`GGUF_MAX_ARRAY_ELEMENTS`).
const MAX_ELEMENTS: u64 = 1 << 30;
/// The deepest nesting of arrays.
const MAX_DEPTH: usize = 8;

impl Gguf {
    /// Takes a field whose bytes are complete; the position is just behind it.
    pub(super) fn field(&mut self, field: Field, bytes: &[u8]) {
        let begin = self.at - bytes.len() as u64;
        match field {
            Field::Version => self.version(word(bytes, 4).unwrap_or_default()),
            Field::Counts => self.counts(
                long(bytes, 0).unwrap_or_default(),
                long(bytes, 8).unwrap_or_default(),
            ),
            Field::KeyLength => self.key_length(begin, long(bytes, 0).unwrap_or_default()),
            Field::Key => self.key(begin, bytes),
            Field::ValueType => self.value_type(begin, word(bytes, 0).unwrap_or_default()),
            Field::Scalar(kind) => self.scalar(begin, kind, bytes),
            Field::StringLength => self.string_length(begin, long(bytes, 0).unwrap_or_default()),
            Field::ArrayHead => self.array_head(
                begin,
                word(bytes, 0).unwrap_or_default(),
                long(bytes, 4).unwrap_or_default(),
            ),
            Field::CharsmapHead { length } => {
                judge_charsmap(begin, length, bytes, &mut self.findings);
                self.want = Want::Skip {
                    left: length.saturating_sub(4),
                };
            }
            Field::NameLength => {
                let length = self
                    .tensors
                    .name_length(begin, long(bytes, 0).unwrap_or_default());
                self.expect(Field::Name, length);
            }
            Field::Name => {
                self.tensors.name(bytes, &mut self.findings);
                self.want = Want::Field(Field::Dimensions, 4);
            }
            Field::Dimensions => {
                let dimensions = self.tensors.dimensions(word(bytes, 0).unwrap_or_default());
                self.expect(Field::Shape, dimensions.map(|count| count * 8));
            }
            Field::Shape => {
                let shape = self.tensors.shape(bytes, &mut self.findings);
                self.expect(Field::TypeAndOffset, shape.map(|()| 12));
            }
            Field::TypeAndOffset => self.type_and_offset(
                word(bytes, 0).unwrap_or_default(),
                long(bytes, 4).unwrap_or_default(),
            ),
        }
    }

    fn expect(&mut self, field: Field, length: Result<usize, Refusal>) {
        match length {
            // A shape without dimensions has no bytes to wait for.
            Ok(length) => self.want = Want::Field(field, length),
            Err((rule, place, message)) => self.stop(rule, place, &message),
        }
    }

    fn stop(&mut self, rule: &'static Rule, place: Place, message: &str) {
        self.findings.add(rule, place, message);
        self.want = Want::Nothing;
    }

    fn place(&self, at: u64) -> Place {
        Place::at(at).of(&self.key)
    }

    fn version(&mut self, version: u32) {
        match version {
            2 | 3 => self.want = Want::Field(Field::Counts, 16),
            // Small when read the other way round: the low half of the number as read is empty.
            _ if version != 0 && version.trailing_zeros() >= 16 => {
                let message = format!("the file is big-endian GGUF, version {}", version.swap_bytes());
                self.stop(&rules::GGUF_BIG_ENDIAN, Place::at(4), &message);
            }
            _ => {
                let message = format!("the file says it is GGUF version {version}");
                self.stop(&rules::GGUF_VERSION, Place::at(4), &message);
            }
        }
    }

    fn counts(&mut self, tensors: u64, keys: u64) {
        self.tensors_declared = tensors;
        self.keys_left = keys;
        if tensors > MAX_TENSORS {
            let message =
                format!("the header declares {tensors} tensors; at most {MAX_TENSORS} are accepted");
            self.stop(&rules::GGUF_COUNT, Place::at(8), &message);
        } else if keys > MAX_KEYS {
            let message =
                format!("the header declares {keys} metadata keys; at most {MAX_KEYS} are accepted");
            self.stop(&rules::GGUF_COUNT, Place::at(16), &message);
        } else {
            self.next_key();
        }
    }

    fn next_key(&mut self) {
        self.key.clear();
        self.known = Known::Other;
        self.nested_reported = false;
        self.text_reported = false;
        if self.keys_left == 0 {
            self.metadata.judge(self.tensors_declared, &mut self.findings);
            if self.metadata.alignment().is_none() {
                let place = Place::whole().of("general.alignment");
                return self.stop(
                    &rules::GGUF_ALIGNMENT,
                    place,
                    "the alignment is not a power of two",
                );
            }
            self.next_tensor();
        } else {
            self.keys_left -= 1;
            self.want = Want::Field(Field::KeyLength, 8);
        }
    }

    fn key_length(&mut self, at: u64, length: u64) {
        match usize::try_from(length) {
            Ok(bytes) if (1..=MAX_KEY_BYTES).contains(&length) => self.want = Want::Field(Field::Key, bytes),
            _ => {
                let message = format!("a metadata key is {length} bytes long");
                self.stop(&rules::GGUF_KEY, Place::at(at), &message);
            }
        }
    }

    fn key(&mut self, at: u64, bytes: &[u8]) {
        let Some(key) = std::str::from_utf8(bytes)
            .ok()
            .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
        else {
            let place = Place::at(at).of(&text::shown_bytes(bytes));
            return self.stop(
                &rules::GGUF_KEY,
                place,
                "a metadata key has characters that are not printable ASCII",
            );
        };
        self.key.push_str(key);
        self.known = Known::of(key);
        if !self.metadata.key(key) {
            self.findings.add(
                &rules::GGUF_DUPLICATE_KEY,
                Place::at(at).of(key),
                "the metadata has this key more than once",
            );
        }
        self.want = Want::Field(Field::ValueType, 4);
    }

    fn value_type(&mut self, at: u64, number: u32) {
        self.value_at = self.at;
        let Some(kind) = ValueType::of(number) else {
            let message = format!("the value has type {number}, which does not exist");
            return self.stop(&rules::GGUF_VALUE_TYPE, self.place(at), &message);
        };
        // An array is judged with the type of its elements.
        if kind != ValueType::Array && !self.known.allows(kind, None) {
            return self.wrong_type(at, kind);
        }
        self.want = match kind.size() {
            Some(size) => Want::Field(Field::Scalar(kind), size.into()),
            None if kind == ValueType::String => Want::Field(Field::StringLength, 8),
            None => Want::Field(Field::ArrayHead, 12),
        };
    }

    fn wrong_type(&mut self, at: u64, kind: ValueType) {
        // A reader that believed the type would take another alignment, so this cannot be read on.
        let (rule, message) = if self.known == Known::Alignment {
            (
                &rules::GGUF_ALIGNMENT,
                format!("the alignment has type {kind:?}, it must be U32"),
            )
        } else {
            (
                &rules::GGUF_KEY_TYPE,
                format!("the value has type {kind:?}, which this key cannot have"),
            )
        };
        self.stop(rule, self.place(at), &message);
    }

    fn scalar(&mut self, at: u64, kind: ValueType, bytes: &[u8]) {
        if kind == ValueType::Bool && bytes.iter().any(|byte| *byte > 1) {
            return self.boolean(at);
        }
        self.metadata.scalar(&self.key, self.known, at, kind, bytes);
        if self.known == Known::Alignment {
            let small = kind.integer(bytes).is_some_and(|value| (1..8).contains(&value));
            if small && self.metadata.alignment().is_some() {
                let place = self.place(at);
                self.findings.add(
                    &rules::GGUF_SMALL_ALIGNMENT,
                    place,
                    "the alignment is smaller than 8",
                );
            }
        }
        self.next_key();
    }

    /// A truth value at `at` is neither.
    pub(super) fn boolean(&mut self, at: u64) {
        self.stop(
            &rules::GGUF_BOOLEAN,
            self.place(at),
            "a truth value is neither 0 nor 1",
        );
    }

    fn string_length(&mut self, at: u64, length: u64) {
        if length > MAX_STRING_BYTES {
            let message = format!("a text claims to be {length} bytes long");
            return self.stop(&rules::GGUF_STRING_LENGTH, self.place(at), &message);
        }
        let mut kept = std::mem::take(&mut self.text.kept);
        kept.clear();
        self.text = Text {
            at: self.at,
            bytes: length,
            kept,
            utf8: Utf8::default(),
            fingerprint: Fingerprint::default(),
        };
        self.want = Want::Text { left: length };
    }

    /// The text is complete.
    pub(super) fn end_text(&mut self) {
        let utf8 = self.text.utf8.is_complete();
        if self.frames.is_empty() {
            let value = StringValue {
                head: &self.text.kept,
                bytes: self.text.bytes,
                utf8,
            };
            self.metadata
                .string(self.known, self.text.at, value, &mut self.findings);
        } else {
            if self.known == Known::Tokens {
                self.metadata.token(self.text.fingerprint, self.text.bytes == 0);
            }
            if !utf8 && !std::mem::replace(&mut self.text_reported, true) {
                let place = self.place(self.text.at);
                self.findings
                    .add(&rules::GGUF_TEXT, place, "an entry of the list is not UTF-8");
            }
        }
        self.end_element();
    }

    fn array_head(&mut self, at: u64, element: u32, length: u64) {
        let Some(element) = ValueType::of(element) else {
            let message = format!("the elements of the array have type {element}, which does not exist");
            return self.stop(&rules::GGUF_VALUE_TYPE, self.place(at), &message);
        };
        if length > MAX_ELEMENTS {
            let message = format!("an array claims to have {length} elements");
            return self.stop(&rules::GGUF_ARRAY_LENGTH, self.place(at), &message);
        }
        if self.frames.is_empty() {
            if !self.known.allows(ValueType::Array, Some(element)) {
                return self.wrong_type(at, element);
            }
            self.metadata.array(self.known, at, length, &mut self.findings);
        }
        if element == ValueType::Array && !std::mem::replace(&mut self.nested_reported, true) {
            let place = self.place(at);
            self.findings
                .add(&rules::GGUF_NESTED, place, "the value is an array of arrays");
        }
        match element.size() {
            _ if self.known == Known::Charsmap && self.frames.is_empty() => self.charsmap(at, length),
            Some(1) if element == ValueType::Bool => self.want = Want::Booleans { left: length },
            // INVARIANT: at most 2^30 elements of at most 8 bytes.
            Some(size) => {
                self.want = Want::Skip {
                    left: length * u64::from(size),
                }
            }
            None if self.frames.len() == MAX_DEPTH => {
                self.stop(
                    &rules::GGUF_DEPTH,
                    self.place(at),
                    "arrays are nested more than eight deep",
                );
            }
            None => {
                self.frames.push(Frame {
                    element,
                    left: length,
                });
                self.end_element();
            }
        }
    }

    fn charsmap(&mut self, at: u64, length: u64) {
        if length < 4 {
            judge_charsmap(at, length, &[], &mut self.findings);
            self.want = Want::Skip { left: length };
        } else {
            self.want = Want::Field(Field::CharsmapHead { length }, 4);
        }
    }

    /// A value or an element is complete: on to the next element, or out of the arrays that are full.
    pub(super) fn end_element(&mut self) {
        while let Some(frame) = self.frames.last_mut() {
            if frame.left > 0 {
                frame.left -= 1;
                self.want = match frame.element {
                    ValueType::String => Want::Field(Field::StringLength, 8),
                    _ => Want::Field(Field::ArrayHead, 12),
                };
                return;
            }
            self.frames.pop();
        }
        self.next_key();
    }

    fn next_tensor(&mut self) {
        if self.tensors.listed() < self.tensors_declared {
            self.want = Want::Field(Field::NameLength, 8);
        } else {
            self.end_header();
        }
    }

    fn type_and_offset(&mut self, kind: u32, offset: u64) {
        let alignment = self.metadata.alignment().unwrap_or(1);
        match self
            .tensors
            .type_and_offset(kind, offset, alignment, &mut self.findings)
        {
            Ok(()) => self.next_tensor(),
            Err((rule, place, message)) => self.stop(rule, place, &message),
        }
    }

    fn end_header(&mut self) {
        let alignment = self.metadata.alignment().unwrap_or(1);
        let layout = self.tensors.layout(self.at, alignment, &mut self.findings);
        self.want = Want::HeaderPadding {
            left: layout.header_padding(),
        };
        self.layout = Some(layout);
        if self.tensors_declared == 0 {
            self.findings
                .add(&rules::GGUF_NO_TENSORS, Place::whole(), "the file has no tensors");
        }
    }
}
