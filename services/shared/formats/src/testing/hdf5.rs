//! HDF5 files in the oldest form, which is what h5py writes: groups as symbol tables, objects with headers of version 1.

use std::collections::BTreeMap;

use super::{Built, deflate, length16, length32};

/// The signature.
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// Entries of a symbol table.
const SYMBOLS: usize = 8;
/// No address.
const NOWHERE: [u8; 8] = [0xff; 8];

/// How the numbers of a dataset are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In the header.
    Compact,
    /// In one piece.
    Contiguous,
    /// In pieces of this shape, packed with zlib or not.
    Chunked(Vec<u64>, bool),
    /// In pieces of this shape, which went through these filters: each has a number and settings. Each piece is as it lies in the file,
    /// with the bits of the filters that were left out.
    Filtered(Vec<u64>, Vec<(u16, Vec<u32>)>, Vec<(u32, Vec<u8>)>),
    /// Nowhere.
    Missing,
}

/// A dataset.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its shape.
    pub shape: Vec<u64>,
    /// The message that says what elements are.
    pub datatype: Vec<u8>,
    /// Bytes of an element.
    pub element: usize,
    /// The numbers.
    pub data: Vec<u8>,
    /// How they are stored.
    pub storage: Storage,
}

impl Dataset {
    /// Zeros of 32 bits in one piece.
    pub fn floats(shape: &[u64]) -> Self {
        let elements: u64 = shape.iter().product();
        Self {
            shape: shape.to_vec(),
            datatype: float32(),
            element: 4,
            data: super::weights(usize::try_from(elements).unwrap_or(0) * 4),
            storage: Storage::Contiguous,
        }
    }

    /// The same, stored in another way.
    #[must_use]
    pub fn stored(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// The same with elements of another type.
    #[must_use]
    pub fn typed(mut self, datatype: Vec<u8>) -> Self {
        self.datatype = datatype;
        self
    }
}

/// The type of little-endian numbers of 32 bits.
pub fn float32() -> Vec<u8> {
    let properties = [0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0];
    [&[0x11, 0x20, 31, 0, 4, 0, 0, 0][..], &properties].concat()
}

/// The type of texts of so many bytes.
pub fn fixed_text(bytes: usize) -> Vec<u8> {
    [&[0x13, 0, 0, 0][..], &length32(bytes).to_le_bytes()].concat()
}

/// The type of texts of any length.
pub fn variable_text() -> Vec<u8> {
    [&[0x19, 1, 0, 0, 16, 0, 0, 0][..], &fixed_text(1)].concat()
}

#[derive(Debug, Clone, Default)]
struct Node {
    members: BTreeMap<String, Node>,
    soft: Option<String>,
    dataset: Option<Dataset>,
    attributes: Vec<(String, Attribute)>,
    messages: Vec<(u16, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum Attribute {
    Fixed(Vec<u8>),
    Variable(Vec<u8>),
}

/// Builds an HDF5 file.
#[derive(Debug, Clone, Default)]
pub struct Hdf5Builder {
    root: Node,
}

impl Hdf5Builder {
    /// A file with weights as Keras writes them.
    pub fn weights() -> Self {
        Self::default()
            .dataset("layers/dense/vars/0", Dataset::floats(&[8, 4]))
            .dataset("layers/dense/vars/1", Dataset::floats(&[4]))
    }

    /// A file with a whole model, of this description.
    pub fn model(description: &str) -> Self {
        Self::default()
            .text("", "model_config", description)
            .text("", "keras_version", "2.15.0")
            .text("", "backend", "tensorflow")
            .dataset("model_weights/dense/kernel:0", Dataset::floats(&[8, 4]))
    }

    fn at(&mut self, path: &str) -> &mut Node {
        path.split('/')
            .filter(|part| !part.is_empty())
            .fold(&mut self.root, |node, part| {
                node.members.entry(part.to_owned()).or_default()
            })
    }

    /// Adds a dataset.
    #[must_use]
    pub fn dataset(mut self, path: &str, dataset: Dataset) -> Self {
        self.at(path).dataset = Some(dataset);
        self
    }

    /// Adds an empty group.
    #[must_use]
    pub fn group(mut self, path: &str) -> Self {
        self.at(path);
        self
    }

    /// Adds a link by name.
    #[must_use]
    pub fn soft(mut self, path: &str, target: &str) -> Self {
        self.at(path).soft = Some(target.to_owned());
        self
    }

    /// Adds an attribute that is a text of any length.
    #[must_use]
    pub fn text(mut self, path: &str, name: &str, text: impl AsRef<[u8]>) -> Self {
        let attribute = Attribute::Variable(text.as_ref().to_vec());
        self.at(path).attributes.push((name.to_owned(), attribute));
        self
    }

    /// Adds an attribute that is a text of fixed length.
    #[must_use]
    pub fn fixed(mut self, path: &str, name: &str, text: impl AsRef<[u8]>) -> Self {
        let attribute = Attribute::Fixed(text.as_ref().to_vec());
        self.at(path).attributes.push((name.to_owned(), attribute));
        self
    }

    /// Adds a message to the header of an object.
    #[must_use]
    pub fn message(mut self, path: &str, kind: u16, body: &[u8]) -> Self {
        self.at(path).messages.push((kind, body.to_vec()));
        self
    }

    /// The file. Fields are named by the path of the object and what they are, for example `/dense/kernel:layout`.
    pub fn build(&self) -> Built {
        let mut writer = Writer::default();
        writer.bytes.extend_from_slice(&[0; 96]);
        let (root, tree, heap) = writer.object(&self.root, "");
        let end = writer.bytes.len() as u64;
        let superblock = [
            SIGNATURE,
            &[0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0],
            &[0; 8],
            &NOWHERE,
            &end.to_le_bytes(),
            &NOWHERE,
            &[0; 8],
            &root.to_le_bytes(),
            &[1, 0, 0, 0, 0, 0, 0, 0],
            &tree.to_le_bytes(),
            &heap.to_le_bytes(),
        ]
        .concat();
        writer.bytes.splice(..96, superblock);
        for (name, range) in [
            ("version", 8..9),
            ("sizes", 13..15),
            ("flags", 20..24),
            ("base", 24..32),
            ("end", 40..48),
            ("driver", 48..56),
            ("root", 64..72),
        ] {
            writer.marks.insert(name.to_owned(), range);
        }
        Built {
            bytes: writer.bytes,
            marks: writer.marks,
        }
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    marks: BTreeMap<String, std::ops::Range<usize>>,
}

impl Writer {
    /// Appends a part at a multiple of 8 and returns where it begins.
    fn put(&mut self, name: &str, bytes: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.marks.insert(name.to_owned(), at..self.bytes.len());
        at as u64
    }

    /// Writes an object and all below it; returns where its header, its tree and its heap are.
    fn object(&mut self, node: &Node, path: &str) -> (u64, u64, u64) {
        let mut messages: Vec<(u16, &str, Vec<u8>)> = Vec::new();
        let (mut tree, mut heap) = (0, 0);
        if let Some(dataset) = &node.dataset {
            messages.push((1, "dataspace", dataspace(&dataset.shape)));
            messages.push((3, "datatype", dataset.datatype.clone()));
            messages.push((5, "fill", vec![2, 2, 2, 1, 0, 0, 0, 0]));
            messages.push((8, "layout", self.layout(dataset, path)));
            if matches!(dataset.storage, Storage::Chunked(_, true)) {
                let filter = [
                    1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0,
                ];
                messages.push((11, "filters", filter.to_vec()));
            }
            if let Storage::Filtered(_, used, _) = &dataset.storage {
                messages.push((11, "filters", filters(used)));
            }
        } else {
            (tree, heap) = self.members(node, path);
            let table = [tree.to_le_bytes(), heap.to_le_bytes()].concat();
            messages.push((17, "table", table));
        }
        for (name, attribute) in &node.attributes {
            let body = self.attribute(name, attribute, path);
            messages.push((12, name, body));
        }
        for (kind, body) in &node.messages {
            messages.push((*kind, "extra", body.clone()));
        }
        let padded = |body: &[u8]| body.len().next_multiple_of(8);
        let length: usize = messages.iter().map(|(_, _, body)| 8 + padded(body)).sum();
        let prefix = [
            &[1, 0][..],
            &length16(messages.len()).to_le_bytes(),
            &1_u32.to_le_bytes(),
            &length32(length).to_le_bytes(),
            &[0; 4],
        ]
        .concat();
        let at = self.put(&format!("{path}:header"), &prefix);
        for (kind, name, mut body) in messages {
            let length = body.len();
            body.resize(padded(&body), 0);
            let size = length16(body.len()).to_le_bytes();
            self.bytes.extend_from_slice(&kind.to_le_bytes());
            self.bytes.extend_from_slice(&size);
            self.bytes.extend_from_slice(&[0; 4]);
            let begins = self.bytes.len();
            self.bytes.extend_from_slice(&body);
            self.marks
                .insert(format!("{path}:{name}"), begins..begins + length);
        }
        (at, tree, heap)
    }

    /// Writes the members of a group, and the tree and the heap that lead to them.
    fn members(&mut self, node: &Node, path: &str) -> (u64, u64) {
        let mut names = vec![0; 8];
        let mut entries = Vec::new();
        for (name, member) in &node.members {
            let name_at = names.len() as u64;
            names.extend_from_slice(name.as_bytes());
            names.push(0);
            names.resize(names.len().next_multiple_of(8), 0);
            let mut entry = name_at.to_le_bytes().to_vec();
            if let Some(target) = &member.soft {
                let target_at = length32(names.len());
                names.extend_from_slice(target.as_bytes());
                names.push(0);
                names.resize(names.len().next_multiple_of(8), 0);
                entry.extend_from_slice(&NOWHERE);
                entry.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
                entry.extend_from_slice(&target_at.to_le_bytes());
                entry.extend_from_slice(&[0; 12]);
            } else {
                let (at, tree, heap) = self.object(member, &format!("{path}/{name}"));
                entry.extend_from_slice(&at.to_le_bytes());
                entry.extend_from_slice(&[u8::from(tree > 0), 0, 0, 0, 0, 0, 0, 0]);
                entry.extend_from_slice(&tree.to_le_bytes());
                entry.extend_from_slice(&heap.to_le_bytes());
            }
            entries.push((name_at, entry));
        }
        let data = self.put(&format!("{path}:names"), &names);
        let header = [
            &b"HEAP\0\0\0\0"[..],
            &(names.len() as u64).to_le_bytes(),
            &1_u64.to_le_bytes(),
            &data.to_le_bytes(),
        ]
        .concat();
        let heap = self.put(&format!("{path}:heap"), &header);
        let mut node = [
            &b"TREE\0\0"[..],
            &length16(entries.len().div_ceil(SYMBOLS)).to_le_bytes(),
        ]
        .concat();
        node.extend_from_slice(&[0xff; 16]);
        node.extend_from_slice(&[0; 8]);
        for symbols in entries.chunks(SYMBOLS) {
            let mut table = [&b"SNOD\x01\0"[..], &length16(symbols.len()).to_le_bytes()].concat();
            for (_, entry) in symbols {
                table.extend_from_slice(entry);
            }
            table.resize(8 + SYMBOLS * 40, 0);
            let at = self.put(&format!("{path}:symbols"), &table);
            node.extend_from_slice(&at.to_le_bytes());
            let last = symbols.last().map_or(0, |(name_at, _)| *name_at);
            node.extend_from_slice(&last.to_le_bytes());
        }
        node.resize(544, 0);
        (self.put(&format!("{path}:tree"), &node), heap)
    }

    fn attribute(&mut self, name: &str, attribute: &Attribute, path: &str) -> Vec<u8> {
        let (datatype, value) = match attribute {
            Attribute::Fixed(text) => (fixed_text(text.len()), text.clone()),
            Attribute::Variable(text) => {
                let object = [
                    &[1, 0, 1, 0, 0, 0, 0, 0][..],
                    &(text.len() as u64).to_le_bytes(),
                    text,
                    &vec![0; text.len().next_multiple_of(8) - text.len()],
                ]
                .concat();
                let size = (16 + object.len() + 16).max(4096);
                let free = (size - 16 - object.len()) as u64;
                let mut collection = [
                    &b"GCOL\x01\0\0\0"[..],
                    &(size as u64).to_le_bytes(),
                    &object,
                    &[0; 8],
                    &free.to_le_bytes(),
                ]
                .concat();
                collection.resize(size, 0);
                let at = self.put(&format!("{path}@{name}"), &collection);
                let value = [
                    &length32(text.len()).to_le_bytes()[..],
                    &at.to_le_bytes(),
                    &1_u32.to_le_bytes(),
                ]
                .concat();
                (variable_text(), value)
            }
        };
        let mut space = dataspace(&[]);
        let mut body = vec![1, 0];
        body.extend_from_slice(&length16(name.len() + 1).to_le_bytes());
        body.extend_from_slice(&length16(datatype.len()).to_le_bytes());
        body.extend_from_slice(&length16(space.len()).to_le_bytes());
        for part in [
            &mut [name.as_bytes(), b"\0"].concat(),
            &mut datatype.clone(),
            &mut space,
        ] {
            part.resize(part.len().next_multiple_of(8), 0);
            body.extend_from_slice(part);
        }
        body.extend_from_slice(&value);
        body
    }

    fn layout(&mut self, dataset: &Dataset, path: &str) -> Vec<u8> {
        let length = dataset.data.len() as u64;
        match &dataset.storage {
            Storage::Compact => [
                &[3, 0][..],
                &length16(dataset.data.len()).to_le_bytes(),
                &dataset.data,
            ]
            .concat(),
            Storage::Contiguous => {
                let at = self.put(&format!("{path}:data"), &dataset.data);
                [&[3, 1][..], &at.to_le_bytes(), &length.to_le_bytes()].concat()
            }
            Storage::Missing => [&[3, 1][..], &NOWHERE, &length.to_le_bytes()].concat(),
            Storage::Chunked(chunk, _) | Storage::Filtered(chunk, ..) => {
                let tree = self.chunks(dataset, chunk, path);
                let mut layout = vec![3, 2, u8::try_from(chunk.len() + 1).unwrap_or(0)];
                layout.extend_from_slice(&tree.to_le_bytes());
                for side in chunk.iter().chain([&(dataset.element as u64)]) {
                    layout.extend_from_slice(&u32::try_from(*side).unwrap_or(0).to_le_bytes());
                }
                layout
            }
        }
    }

    /// Writes the pieces of a dataset, whose content is of no importance unless they are given, and their tree.
    fn chunks(&mut self, dataset: &Dataset, chunk: &[u64], path: &str) -> u64 {
        let counts: Vec<u64> = dataset
            .shape
            .iter()
            .zip(chunk)
            .map(|(dimension, side)| dimension.div_ceil(*side))
            .collect();
        let total: u64 = counts.iter().product();
        let elements = usize::try_from(chunk.iter().product::<u64>()).unwrap_or(0);
        let plain = vec![7; elements * dataset.element];
        let pieces = match &dataset.storage {
            Storage::Filtered(_, _, pieces) => pieces.clone(),
            Storage::Chunked(_, true) => vec![(0, zlib(&plain)); usize::try_from(total).unwrap_or(0)],
            _ => vec![(0, plain); usize::try_from(total).unwrap_or(0)],
        };
        let mut node = [
            &b"TREE\x01\0"[..],
            &length16(usize::try_from(total).unwrap_or(0)).to_le_bytes(),
            &[0xff; 16],
        ]
        .concat();
        let key = |length: usize, mask: u32, index: u64| {
            let mut key = length32(length).to_le_bytes().to_vec();
            key.extend_from_slice(&mask.to_le_bytes());
            let mut left = index;
            let mut offsets = Vec::new();
            for (count, side) in counts.iter().zip(chunk).rev() {
                offsets.push(left % count * side);
                left /= count;
            }
            for offset in offsets.iter().rev().chain([&0]) {
                key.extend_from_slice(&offset.to_le_bytes());
            }
            key
        };
        for (index, (mask, data)) in (0..total).zip(&pieces) {
            let at = self.put(&format!("{path}:piece/{index}"), data);
            node.extend_from_slice(&key(data.len(), *mask, index));
            node.extend_from_slice(&at.to_le_bytes());
        }
        let width = 8 + 8 * (chunk.len() + 1);
        node.resize(24 + 64 * (width + 8) + width, 0);
        self.put(&format!("{path}:pieces"), &node)
    }
}

/// The message that names filters, in version 2.
fn filters(used: &[(u16, Vec<u32>)]) -> Vec<u8> {
    let mut body = vec![2, u8::try_from(used.len()).unwrap_or(u8::MAX)];
    for (id, settings) in used {
        body.extend_from_slice(&id.to_le_bytes());
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(&length16(settings.len()).to_le_bytes());
        body.extend(settings.iter().flat_map(|value| value.to_le_bytes()));
    }
    body
}

/// The bytes with the first ones of all elements before the second ones and so on, as the filter `shuffle` leaves them.
pub fn put_apart(bytes: &[u8], element: usize) -> Vec<u8> {
    let whole = bytes.len() - bytes.len() % element.max(1);
    let (elements, rest) = bytes.split_at(whole);
    let apart = (0..element).flat_map(|byte| elements.iter().skip(byte).step_by(element).copied());
    apart.chain(rest.iter().copied()).collect()
}

fn dataspace(shape: &[u64]) -> Vec<u8> {
    let rank = u8::try_from(shape.len()).unwrap_or(u8::MAX);
    let mut body = vec![1, rank, 0, 0, 0, 0, 0, 0];
    for dimension in shape {
        body.extend_from_slice(&dimension.to_le_bytes());
    }
    body
}

/// Bytes packed as zlib does: a head, deflate, and Adler's checksum.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65521;
        (low, (high + low) % 65521)
    });
    [
        &[0x78, 0x9c][..],
        &deflate(bytes),
        &(high << 16 | low).to_be_bytes(),
    ]
    .concat()
}
