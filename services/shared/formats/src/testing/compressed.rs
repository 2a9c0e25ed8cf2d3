//! Small pickles as the reference programs compress them, and writers of the formats that can keep content as it is.

use super::{crc32, length32};

/// A pickle of a tuple with a number in it, compressed in each format: by name, as reference programs write it.
#[rustfmt::skip]
pub const HARMLESS: &[(&str, &[u8])] = &[
    ("bz2", b"BZh91AY&SY\x8b\xf6};\0\0\x04\xd4\xc0p\0\0A\0\x10\x04\0@\0 \x001\x0c\x08!\xa3'\xa8\x95A\x9d\x0f\x17rE8P\x90\
        \x8b\xf6};"),
    ("xz", b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\x02\0!\x01\x16\0\0\0t/\xe5\xa3\x01\0\x09\x80\x02(J\x01\0\0\0t.\0\0\0Q#\xd0\
        {\xa8\x1d\xd8\x87\0\x01\"\n\x15\x1a\xe1g\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ"),
    ("lzma", b"]\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0@\0\x80\xdc{\x08\x01`%;+I\xdf\xff\xff\xc0\"\0\0"),
    ("zst", b"(\xb5/\xfd$\nQ\0\0\x80\x02(J\x01\0\0\0t.\x172\x96\xb8"),
    ("lz4", b"\x04\"M\x18l@\n\0\0\0\0\0\0\0\xfa\n\0\0\x80\x80\x02(J\x01\0\0\0t.\0\0\0\0\xea\xf8\x0bh"),
];

/// A pickle that calls `os.system`, likewise.
#[rustfmt::skip]
pub const CALL: &[(&str, &[u8])] = &[
    ("bz2", b"BZh91AY&SY\x7f\xb8]*\0\0\x04\xd3\x80\0\x10\0\xc1\x18\0\n\x02\x9e  \x001L\0\x01FCe6\x88%\xc8\xe0@\xd3\xc4\
        \xb2\xb3\x84\xad\xbe.\xe4\x8ap\xa1 \xffp\xbaT"),
    ("xz", b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\x02\0!\x01\x16\0\0\0t/\xe5\xa3\x01\0\x16cos\nsystem\n(S'true'\ntR.\0\0\xdc\
        T<\x945\xc4mV\0\x01/\x17\x81\x08I\xb1\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ"),
    ("lzma", b"]\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\x001\x9b\xca\xc6\xb2|e\xdf\xdf\x91Y\x9f\xb1\xd6~.\x8aw8\x0d\
        \xe4t\x81q%\xe8\xcb\xc7\xff\xffu\x8c\0\0"),
    ("zst", b"(\xb5/\xfd$\x17\xb9\0\0cos\nsystem\n(S'true'\ntR.\x84\x97+\xfc"),
    ("lz4", b"\x04\"M\x18l@\x17\0\0\0\0\0\0\0\x07\x17\0\0\x80cos\nsystem\n(S'true'\ntR.\0\0\0\0\xeb\xf7 \xee"),
];

/// An xz file that keeps its content as it is, in chunks of LZMA2 that announce a window of 8 MiB.
pub fn xz(content: &[u8]) -> Vec<u8> {
    let flags = [0, 1];
    let mut file = b"\xfd7zXZ\0".to_vec();
    file.extend(flags);
    file.extend(crc32(&flags).to_le_bytes());
    let mut block = vec![2, 0, 0x21, 1, 22, 0, 0, 0];
    block.extend(crc32(&block).to_le_bytes());
    let mut packed = lzma2(content);
    let unpadded = block.len() + packed.len() + 4;
    packed.resize(packed.len().next_multiple_of(4), 0);
    file.extend(block);
    file.extend(packed);
    file.extend(crc32(content).to_le_bytes());
    let mut index = vec![0, 1];
    for mut number in [unpadded, content.len()] {
        while number >= 0x80 {
            index.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
            number >>= 7;
        }
        index.push(u8::try_from(number).unwrap_or(0));
    }
    index.resize(index.len().next_multiple_of(4), 0);
    index.extend(crc32(&index).to_le_bytes());
    let mut footer = length32(index.len() / 4 - 1).to_le_bytes().to_vec();
    footer.extend(flags);
    file.extend(index);
    file.extend(crc32(&footer).to_le_bytes());
    file.extend(footer);
    file.extend(b"YZ");
    file
}

/// LZMA2 that keeps its content as it is.
pub fn lzma2(content: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (index, chunk) in content.chunks(1 << 16).enumerate() {
        packed.push(if index == 0 { 1 } else { 2 });
        packed.extend(super::length16(chunk.len() - 1).to_be_bytes());
        packed.extend_from_slice(chunk);
    }
    packed.push(0);
    packed
}

/// A Zstandard file that keeps its content as it is, with a window of two to the power of `window`, from 10 on, and no checksum.
pub fn zstd(content: &[u8], window: u8) -> Vec<u8> {
    let mut file = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window.saturating_sub(10) << 3];
    let mut chunks = content.chunks(1 << 10).peekable();
    while let Some(chunk) = chunks.next() {
        let last = u32::from(chunks.peek().is_none());
        let [low, middle, high, _] = (length32(chunk.len()) << 3 | last).to_le_bytes();
        file.extend([low, middle, high]);
        file.extend_from_slice(chunk);
    }
    file
}

/// An LZ4 file that keeps its content as it is, in blocks of 64 KiB, without checksums.
pub fn lz4(content: &[u8]) -> Vec<u8> {
    // The third byte of the header is the second of a hash of the first two, which do not change.
    let mut file = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
    for chunk in content.chunks(64 << 10) {
        file.extend((length32(chunk.len()) | 1 << 31).to_le_bytes());
        file.extend_from_slice(chunk);
    }
    file.extend([0; 4]);
    file
}
