//! Protocol buffers as trees: a change deep inside leaves the lengths around it right.
//!
//! Without a table nested messages can only be guessed: what can be read as one is taken for one.

use super::change;
use crate::Random;

/// How deep messages are looked into.
const MAX_DEPTH: usize = 16;

#[derive(Clone)]
enum Content {
    Number(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

#[derive(Clone)]
struct Field {
    number: u64,
    content: Content,
}

/// Makes one to three changes to the fields of a message.
pub fn protobuf(bytes: &mut Vec<u8>, random: &mut Random) {
    let Some(mut fields) = message(bytes, 0) else {
        change(bytes);
        return;
    };
    for _ in 0..=random.below(3) {
        edit(&mut fields, random);
    }
    bytes.clear();
    write(&fields, bytes);
}

fn edit(fields: &mut Vec<Field>, random: &mut Random) {
    // Into a nested message, more often than not.
    let nested: Vec<_> = fields
        .iter()
        .enumerate()
        .filter_map(|(at, field)| matches!(field.content, Content::Message(_)).then_some(at))
        .collect();
    if !nested.is_empty() && !random.once_in(4) {
        let at = nested[random.below(nested.len())];
        if let Content::Message(inner) = &mut fields[at].content {
            return edit(inner, random);
        }
    }
    let at = random.below(fields.len());
    match random.below(10) {
        0 => {
            let number = 1 + random.below(30) as u64;
            let content = match random.below(4) {
                0 => Content::Number(random.next() >> random.below(64)),
                1 => Content::Message(Vec::new()),
                2 => Content::Fixed(random.next().to_le_bytes()[..4 << random.below(2)].to_vec()),
                _ => Content::Bytes(b"name".to_vec()),
            };
            fields.insert(at, Field { number, content });
        }
        _ if fields.is_empty() => {}
        1 => drop(fields.remove(at)),
        2 => {
            let copy = fields[at].clone();
            fields.insert(random.below(fields.len() + 1), copy);
        }
        3 => {
            let other = random.below(fields.len());
            fields.swap(at, other);
        }
        4 => fields[at].number = 1 + random.below(30) as u64,
        5 => {
            // The content of another field, from anywhere at this level.
            let other = random.below(fields.len());
            fields[at].content = fields[other].content.clone();
        }
        _ => match &mut fields[at].content {
            Content::Number(number) => match random.below(3) {
                0 => *number = random.next() >> random.below(64),
                1 => *number = number.wrapping_add(1),
                _ => *number ^= 1 << random.below(64),
            },
            Content::Fixed(bytes) => {
                let byte = random.below(bytes.len());
                bytes[byte] ^= 1 << random.below(8);
            }
            Content::Bytes(bytes) => change(bytes),
            Content::Message(inner) => edit(inner, random),
        },
    }
}

/// The fields, if the bytes can be read as a message.
fn message(bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut fields = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let number = Some(tag >> 3).filter(|number| (1..1 << 29).contains(number))?;
        let mut take = |length: usize| {
            let (head, tail) = rest.split_at_checked(length)?;
            rest = tail;
            Some(head)
        };
        let content = match tag & 7 {
            0 => Content::Number(varint(&mut rest)?),
            1 => Content::Fixed(take(8)?.to_vec()),
            5 => Content::Fixed(take(4)?.to_vec()),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (inner, tail) = rest.split_at_checked(length)?;
                rest = tail;
                match message(inner, depth + 1).filter(|fields| !fields.is_empty()) {
                    Some(fields) => Content::Message(fields),
                    None => Content::Bytes(inner.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field { number, content });
    }
    Some(fields)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write(fields: &[Field], out: &mut Vec<u8>) {
    for Field { number, content } in fields {
        let kind = match content {
            Content::Number(_) => 0,
            Content::Fixed(bytes) if bytes.len() == 8 => 1,
            Content::Fixed(_) => 5,
            Content::Bytes(_) | Content::Message(_) => 2,
        };
        write_varint(number << 3 | kind, out);
        match content {
            Content::Number(value) => write_varint(*value, out),
            Content::Fixed(bytes) => out.extend_from_slice(bytes),
            Content::Bytes(bytes) => {
                write_varint(bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Content::Message(inner) => {
                let mut nested = Vec::new();
                write(inner, &mut nested);
                write_varint(nested.len() as u64, out);
                out.extend_from_slice(&nested);
            }
        }
    }
}
