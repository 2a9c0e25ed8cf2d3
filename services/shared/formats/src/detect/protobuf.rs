//! Model formats that are protocol buffers and have no signature: told by the fields of their outermost messages.

use crate::format::Format;

/// The most fields that are looked at.
const MAX_FIELDS: usize = 64;

/// A field: its number and its content, as far as the probe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field<'a> {
    Number(u64, u64),
    Bytes(u64, &'a [u8]),
    /// Fixed-width, which none of the messages here uses at the top.
    Fixed,
}

/// From how many fields on a message is one, although what follows is not: a broken model is still called by its name.
const CONVINCING: usize = 3;

/// The fields of a message that may be cut off at its end; `None` if it is no message.
fn fields(mut rest: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !rest.is_empty() && fields.len() < MAX_FIELDS {
        // Cut off within a number.
        let cut = rest.len() < 10 && !fields.is_empty() && varint(rest).is_none();
        match field(rest) {
            Some((field, after)) => {
                fields.push(field);
                rest = after;
            }
            None if cut || fields.len() >= CONVINCING => return Some(fields),
            None => return None,
        }
    }
    (!fields.is_empty()).then_some(fields)
}

/// One field and what follows it.
fn field(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (tag, after) = varint(bytes)?;
    let number = tag >> 3;
    if number == 0 || number >= 1 << 29 {
        return None;
    }
    Some(match tag & 7 {
        0 => {
            let (value, after) = varint(after)?;
            (Field::Number(number, value), after)
        }
        2 => {
            let (length, after) = varint(after)?;
            let length = usize::try_from(length).ok().filter(|length| *length < 1 << 32)?;
            let (content, after) = after.split_at(length.min(after.len()));
            (Field::Bytes(number, content), after)
        }
        1 | 5 => {
            let width = if tag & 7 == 1 { 8 } else { 4 };
            (Field::Fixed, after.get(width..).unwrap_or_default())
        }
        _ => return None,
    })
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

/// The model format that `head` begins, if it is one of these.
pub fn kind(head: &[u8]) -> Option<Format> {
    let fields = fields(head)?;
    if is_saved_model(&fields) {
        Some(Format::SavedModel)
    } else if is_coreml(&fields) {
        Some(Format::Coreml)
    } else if is_onnx(&fields) {
        Some(Format::Onnx)
    } else if is_graph(&fields) {
        Some(Format::TensorflowGraph)
    } else if is_sentencepiece(&fields) {
        Some(Format::Sentencepiece)
    } else if is_keras_metadata(&fields) {
        Some(Format::KerasMetadata)
    } else if is_fingerprint(&fields) {
        Some(Format::TensorflowFingerprint)
    } else {
        None
    }
}

/// `onnx.ModelProto`: `ir_version` 1, texts 2, 3, 4 and 6, `model_version` 5, `graph` 7, `opset_import` 8, and later ones.
fn is_onnx(fields: &[Field<'_>]) -> bool {
    let known = fields.iter().all(|field| match field {
        Field::Number(1, version) => (1..=64).contains(version),
        Field::Number(number, _) => *number == 5,
        Field::Bytes(2 | 3 | 4 | 6, text) => is_prose(text),
        // What is beyond the known ones is left to the inspector.
        Field::Bytes(number, _) => matches!(number, 7 | 8 | 14 | 20 | 25..),
        Field::Fixed => false,
    });
    let has = |wanted: &[u64]| {
        fields.iter().any(|field| match field {
            Field::Number(number, _) | Field::Bytes(number, _) => wanted.contains(number),
            Field::Fixed => false,
        })
    };
    known && has(&[1, 8]) && has(&[2, 7, 8])
}

/// `tensorflow.SavedModel`: `saved_model_schema_version` 1 and `meta_graphs` 2, which hold `meta_info_def` 1 and `graph_def` 2.
fn is_saved_model(all: &[Field<'_>]) -> bool {
    let mut graphs = false;
    let known = all.iter().all(|field| match field {
        Field::Number(1, version) => *version <= 16,
        Field::Bytes(2, graph) => {
            graphs = true;
            fields(graph).is_some_and(|inner| match inner.first() {
                Some(Field::Bytes(1, info)) => {
                    fields(info).is_some_and(|info| !matches!(info.first(), Some(Field::Bytes(1, _))))
                }
                Some(Field::Bytes(2, graph)) => fields(graph).is_some_and(|graph| is_graph(&graph)),
                _ => false,
            })
        }
        _ => false,
    });
    known && graphs
}

/// `CoreML.Specification.Model`: `specificationVersion` 1, `description` 2 with `input` 1, whose `name` 1 is text, and the model itself in a
/// field from 200 on.
fn is_coreml(all: &[Field<'_>]) -> bool {
    let version = matches!(all.first(), Some(Field::Number(1, 1..=64)));
    let described = matches!(all.get(1), Some(Field::Bytes(2, description))
        if fields(description).is_some_and(|inner| matches!(inner.first(), Some(Field::Bytes(1, input))
            if fields(input).is_some_and(|input| matches!(input.first(), Some(Field::Bytes(1, name)) if is_text(name))))));
    version && described
}

/// `tensorflow.GraphDef`: `node` 1 with `name` 1 and `op` 2, and later `versions` 4, `library` 2.
fn is_graph(all: &[Field<'_>]) -> bool {
    let node = |content: &[u8]| {
        let Some(node) = fields(content) else { return false };
        let mut texts = node.iter().map_while(|field| match field {
            Field::Bytes(1 | 2, text) => Some(is_text(text)),
            _ => None,
        });
        texts.next() == Some(true) && texts.next() == Some(true)
    };
    matches!(all.first(), Some(Field::Bytes(1, content)) if node(content))
}

/// `sentencepiece.ModelProto`: `pieces` 1 with `piece` 1, `score` 2 and `type` 3, and then `trainer_spec` 2, `normalizer_spec` 3,
/// `self_test_data` 4, `denormalizer_spec` 5.
fn is_sentencepiece(all: &[Field<'_>]) -> bool {
    let piece = |content: &[u8]| {
        matches!(
            fields(content).as_deref(),
            Some(
                [Field::Bytes(1, _), Field::Fixed | Field::Number(3, _)]
                    | [Field::Bytes(1, _), Field::Fixed, Field::Number(3, _)]
            )
        )
    };
    // What else is in it is left to the inspector.
    matches!(all.first(), Some(Field::Bytes(1, content)) if piece(content))
}

/// `SavedMetadata` of Keras: `nodes` 1 with `node_id` 2, `node_path` 3 from the root on, and `identifier` 4.
fn is_keras_metadata(all: &[Field<'_>]) -> bool {
    let object = |content: &[u8]| {
        fields(content).is_some_and(|fields| {
            let has = |wanted: u64, start: &[u8]| {
                fields.iter().any(
                    |field| matches!(field, Field::Bytes(number, text) if *number == wanted && text.starts_with(start)),
                )
            };
            has(3, b"root") && has(4, b"_tf_keras_")
        })
    };
    matches!(all.first(), Some(Field::Bytes(1, content)) if object(content))
}

/// `tensorflow.FingerprintDef`: five sums 1 to 5, of which a large model may have left one out, `version` 6 and `uuid` 7.
fn is_fingerprint(all: &[Field<'_>]) -> bool {
    let sums = all
        .iter()
        .filter(|field| matches!(field, Field::Number(1..=5, sum) if *sum > u64::from(u32::MAX)));
    sums.count() >= 3
}

/// Whether a sorted table begins with the entry without a name that the index of a TensorFlow checkpoint has first, a `BundleHeaderProto`:
/// `num_shards` 1, `endianness` 2, `version` 3.
pub fn is_checkpoint_index(head: &[u8]) -> bool {
    let [0, 0, length @ 2..=0x7f, rest @ ..] = head else {
        return false;
    };
    let header = rest.get(..usize::from(*length)).and_then(fields);
    header.is_some_and(|header| {
        let known = |field: &Field<'_>| {
            matches!(
                field,
                Field::Number(1, 1..=0xffff) | Field::Number(2, _) | Field::Bytes(3, _)
            )
        };
        matches!(header.first(), Some(Field::Number(1, _))) && header.iter().all(known)
    })
}

/// Text that may have several lines, or be empty: writers of ONNX put a version there that they do not know, and descriptions.
fn is_prose(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| matches!(byte, b'\n' | b'\r' | b'\t' | b' '..=b'~' | 0x80..))
}

fn is_text(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | 0x80..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn tells_the_formats_apart() {
        let node = bytes(1, &[bytes(1, b"Const"), bytes(2, b"Const")].concat());
        let onnx = [
            vec![0x08, 8],
            bytes(2, b"pytorch"),
            bytes(3, b"2.4"),
            bytes(7, b"\x0a\x03abc"),
        ]
        .concat();
        let saved = [
            vec![0x08, 1],
            bytes(2, &[bytes(1, &bytes(2, b"\x0a\x01A")), bytes(2, &node)].concat()),
        ]
        .concat();
        let bare = bytes(2, &bytes(2, &node));
        let described = [
            vec![0x08, 8],
            bytes(3, b""),
            bytes(6, b"two\nlines"),
            bytes(7, b"\x0a\x03abc"),
        ]
        .concat();
        let coreml = [
            vec![0x08, 4],
            bytes(
                2,
                &bytes(1, &[bytes(1, b"image"), bytes(3, b"\x22\x00")].concat()),
            ),
        ]
        .concat();
        let piece = bytes(1, &[bytes(1, b"<unk>"), vec![0x15, 0, 0, 0, 0, 0x18, 2]].concat());
        let beyond = [piece.clone(), vec![0xc2, 0x0c, 1, 0]].concat();
        let object = [
            vec![0x10, 1],
            bytes(3, b"root.layer-0"),
            bytes(4, b"_tf_keras_layer"),
        ]
        .concat();
        let sum = |number: u8| [vec![number << 3], vec![0x81; 9], vec![1]].concat();
        for (file, format) in [
            (bytes(1, &object), Some(Format::KerasMetadata)),
            (bytes(1, &object[2..]), Some(Format::KerasMetadata)),
            (bytes(1, &bytes(3, b"root")), None),
            (
                [sum(1), sum(2), sum(3)].concat(),
                Some(Format::TensorflowFingerprint),
            ),
            ([sum(1), sum(2)].concat(), None),
            (piece, Some(Format::Sentencepiece)),
            (beyond, Some(Format::Sentencepiece)),
            (bytes(1, &bytes(1, b"<unk>")), None),
            (onnx, Some(Format::Onnx)),
            (described, Some(Format::Onnx)),
            (saved, Some(Format::SavedModel)),
            (bare, Some(Format::SavedModel)),
            (coreml, Some(Format::Coreml)),
            (node, Some(Format::TensorflowGraph)),
            (vec![0x08, 1], None),
            (vec![0xff; 32], None),
            (vec![0; 32], None),
            (b"plain text".to_vec(), None),
        ] {
            assert_eq!(kind(&file), format, "{file:x?}");
        }
    }

    #[test]
    fn an_index_begins_with_its_header() {
        for (head, wanted) in [
            (&b"\0\0\x06\x08\x01\x1a\x02\x08\x01\0\x1c"[..], true),
            (b"\0\0\x02\x08\x02", true),
            (b"\0\0\x04\x08\x02\x10\x01", true),
            (b"\0\0\x02\x08\0", false),
            (b"\0\0\x02\x10\x01", false),
            (b"\0\0\x06\x08\x01", false),
            (b"\0\x01\x02\x08\x01", false),
            (b"\0\0\0\0\0\0", false),
            (b"\0", false),
        ] {
            assert_eq!(is_checkpoint_index(head), wanted, "{head:x?}");
        }
    }
}
