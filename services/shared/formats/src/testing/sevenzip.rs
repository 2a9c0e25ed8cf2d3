//! 7z archives, as 7-Zip and py7zr write them, and with any part of the header made wrong.

use super::compressed::lzma2;
use super::{crc32, deflate};

/// How streams are packed. All of these keep the content as it is, so that nothing has to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Copy,
    /// LZMA2, with a window of 16 MiB.
    Lzma2,
    /// The same behind the filter for machine code, as py7zr does. The content must have none.
    Filtered,
    /// Deflate.
    Deflate,
}

impl Packing {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Copy, Self::Lzma2, Self::Filtered, Self::Deflate];

    fn pack(self, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Copy => content.to_vec(),
            Self::Lzma2 | Self::Filtered => lzma2(content),
            Self::Deflate => deflate(content),
        }
    }

    /// The description of a stream that is packed so.
    fn folder(self) -> &'static [u8] {
        match self {
            Self::Copy => &[1, 0x01, 0x00],
            Self::Lzma2 => &[1, 0x21, 0x21, 1, 24],
            Self::Filtered => &[2, 0x21, 0x21, 1, 24, 0x04, 3, 3, 1, 3, 1, 0],
            Self::Deflate => &[1, 0x03, 4, 1, 8],
        }
    }
}

/// What an archive has of a file.
#[derive(Debug, Clone)]
struct Entry {
    name: Vec<u16>,
    content: Vec<u8>,
    is_directory: bool,
    attributes: u32,
}

/// A writer of archives.
#[derive(Debug, Clone)]
pub struct SevenZipBuilder {
    entries: Vec<Entry>,
    packing: Packing,
    is_solid: bool,
    times: Option<Vec<u8>>,
}

impl SevenZipBuilder {
    /// An archive without a file, whose streams will be packed so.
    pub fn new(packing: Packing) -> Self {
        Self {
            entries: Vec::new(),
            packing,
            is_solid: false,
            times: None,
        }
    }

    /// Puts all contents into one stream.
    #[must_use]
    pub fn solid(self) -> Self {
        Self {
            is_solid: true,
            ..self
        }
    }

    /// Sets when the files were changed, in eight bytes for each.
    #[must_use]
    pub fn times(self, times: &[u8]) -> Self {
        Self {
            times: Some(times.to_vec()),
            ..self
        }
    }

    fn entry(mut self, name: &str, content: &[u8], is_directory: bool, attributes: u32) -> Self {
        self.entries.push(Entry {
            name: name.encode_utf16().collect(),
            content: content.to_vec(),
            is_directory,
            attributes,
        });
        self
    }

    /// Adds a file, which has a stream if it has content.
    #[must_use]
    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, content, false, 0x8000 | 0o100_644 << 16)
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, name: &str) -> Self {
        self.entry(name, b"", true, 0x8010 | 0o040_755 << 16)
    }

    /// Sets the attributes of the last file.
    #[must_use]
    pub fn attributes(mut self, attributes: u32) -> Self {
        if let Some(entry) = self.entries.last_mut() {
            entry.attributes = attributes;
        }
        self
    }

    /// What each stream holds.
    fn folders(&self) -> Vec<Vec<&Entry>> {
        let full: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| !entry.content.is_empty())
            .collect();
        if self.is_solid && !full.is_empty() {
            vec![full]
        } else {
            full.into_iter().map(|entry| vec![entry]).collect()
        }
    }

    fn packed(&self) -> Vec<Vec<u8>> {
        let joined = |folder: &Vec<&Entry>| {
            let contents: Vec<&[u8]> = folder.iter().map(|entry| entry.content.as_slice()).collect();
            self.packing.pack(&contents.concat())
        };
        self.folders().iter().map(joined).collect()
    }

    /// The packed streams.
    pub fn streams(&self) -> Vec<u8> {
        self.packed().concat()
    }

    /// The header.
    pub fn header(&self) -> Vec<u8> {
        let mut header = vec![0x01];
        let folders = self.folders();
        if !folders.is_empty() {
            header.push(0x04);
            let sizes: Vec<usize> = self.packed().iter().map(Vec::len).collect();
            let unpacked = |folder: &Vec<&Entry>| folder.iter().map(|entry| entry.content.len()).sum();
            let unpacked: Vec<usize> = folders.iter().map(unpacked).collect();
            header.extend(self.described(0, &sizes, &unpacked, None));
            // How the contents are divided, and their checksums.
            header.push(0x08);
            if self.is_solid {
                header.push(0x0d);
                header.extend(folders.iter().flat_map(|folder| number(folder.len())));
                header.push(0x09);
                let all_but_last = folders
                    .iter()
                    .flat_map(|folder| folder.iter().take(folder.len() - 1));
                header.extend(all_but_last.flat_map(|entry| number(entry.content.len())));
            }
            header.extend([0x0a, 1]);
            let sums = folders
                .iter()
                .flatten()
                .map(|entry| crc32(&entry.content).to_le_bytes());
            header.extend(sums.flatten());
            header.extend([0, 0]);
        }
        header.extend(self.listed());
        header.push(0);
        header
    }

    /// The description of streams that begin there and have these lengths, packed and unpacked, up to where it says how they are divided.
    fn described(&self, at: usize, sizes: &[usize], unpacked: &[usize], sum: Option<u32>) -> Vec<u8> {
        let mut bytes = vec![0x06];
        bytes.extend(number(at));
        bytes.extend(number(sizes.len()));
        bytes.push(0x09);
        bytes.extend(sizes.iter().flat_map(|size| number(*size)));
        bytes.extend([0, 0x07, 0x0b]);
        bytes.extend(number(sizes.len()));
        bytes.push(0);
        for _ in sizes {
            bytes.extend(self.packing.folder());
        }
        bytes.push(0x0c);
        for size in unpacked {
            let coders = if self.packing == Packing::Filtered { 2 } else { 1 };
            bytes.extend(number(*size).repeat(coders));
        }
        if let Some(sum) = sum {
            bytes.extend([0x0a, 1]);
            bytes.extend(sum.to_le_bytes());
        }
        bytes.push(0);
        bytes
    }

    /// The files.
    fn listed(&self) -> Vec<u8> {
        let mut bytes = vec![0x05];
        bytes.extend(number(self.entries.len()));
        let mut property = |kind: u8, content: &[u8]| {
            bytes.push(kind);
            bytes.extend(number(content.len()));
            bytes.extend(content);
        };
        let is_empty: Vec<bool> = self
            .entries
            .iter()
            .map(|entry| entry.content.is_empty())
            .collect();
        if is_empty.contains(&true) {
            property(0x0e, &bits(&is_empty));
            let empty = self.entries.iter().filter(|entry| entry.content.is_empty());
            let is_file: Vec<bool> = empty.map(|entry| !entry.is_directory).collect();
            property(0x0f, &bits(&is_file));
        }
        let ended = |entry: &Entry| [entry.name.as_slice(), &[0]].concat();
        let names = self.entries.iter().flat_map(ended).flat_map(u16::to_le_bytes);
        property(0x11, &std::iter::once(0).chain(names).collect::<Vec<u8>>());
        if let Some(times) = &self.times {
            property(0x14, &[&[1, 0], times.as_slice()].concat());
        }
        let attributes = self
            .entries
            .iter()
            .flat_map(|entry| entry.attributes.to_le_bytes());
        property(0x15, &[1, 0].into_iter().chain(attributes).collect::<Vec<u8>>());
        bytes.push(0);
        bytes
    }

    /// The archive.
    pub fn build(&self) -> Vec<u8> {
        seven_zip(&self.streams(), &self.header())
    }

    /// The archive, with its header packed as the streams are.
    pub fn build_packed(&self) -> Vec<u8> {
        let (streams, header) = (self.streams(), self.header());
        let packed = self.packing.pack(&header);
        let sum = Some(crc32(&header));
        let described = self.described(streams.len(), &[packed.len()], &[header.len()], sum);
        let header = [vec![0x17], described, vec![0]].concat();
        seven_zip(&[streams, packed].concat(), &header)
    }
}

/// An archive of these streams and this header, with the first header that belongs to them.
pub fn seven_zip(streams: &[u8], header: &[u8]) -> Vec<u8> {
    let mut places = Vec::new();
    places.extend((streams.len() as u64).to_le_bytes());
    places.extend((header.len() as u64).to_le_bytes());
    places.extend(crc32(header).to_le_bytes());
    let mut bytes = b"7z\xbc\xaf\x27\x1c\0\x04".to_vec();
    bytes.extend(crc32(&places).to_le_bytes());
    bytes.extend(places);
    bytes.extend_from_slice(streams);
    bytes.extend_from_slice(header);
    bytes
}

/// A number, in as few bytes as it can be.
pub fn number(value: usize) -> Vec<u8> {
    let value = value as u64;
    for more in 0..8_u32 {
        if value >> (7 * (more + 1)) == 0 {
            let bytes = value.to_le_bytes();
            let high = bytes.get(more as usize).copied().unwrap_or(0);
            let ones = !(0xff_u32 >> more) & 0xff;
            let first = u8::try_from(ones).unwrap_or(0) | high;
            return std::iter::once(first)
                .chain(bytes.into_iter().take(more as usize))
                .collect();
        }
    }
    std::iter::once(0xff).chain(value.to_le_bytes()).collect()
}

/// A bit for each, the first the highest.
fn bits(set: &[bool]) -> Vec<u8> {
    let byte = |eight: &[bool]| {
        eight
            .iter()
            .zip(0..8)
            .fold(0, |byte, (set, at)| byte | u8::from(*set) << (7 - at))
    };
    set.chunks(8).map(byte).collect()
}
