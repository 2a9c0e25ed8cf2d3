//! Small pictures.

/// A PNG picture of one pixel with these chunks before its end.
pub fn png(more: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = b"\0\0\0\x01\0\0\0\x01\x08\0\0\0\0";
    // One row, stored: a filter and a grey.
    let pixel = b"\x78\x01\x01\x02\0\xfd\xff\0\x80\0\x82\0\x81";
    chunk(&mut bytes, *b"IHDR", header);
    chunk(&mut bytes, *b"IDAT", pixel);
    for (name, data) in more {
        chunk(&mut bytes, **name, data);
    }
    chunk(&mut bytes, *b"IEND", b"");
    bytes
}

fn chunk(bytes: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_be_bytes());
    let mut hasher = crc32fast::Hasher::new();
    for part in [&name[..], data] {
        hasher.update(part);
        bytes.extend(part);
    }
    bytes.extend(hasher.finalize().to_be_bytes());
}

/// The frame of a JPEG picture around the data of one scan.
pub fn jpeg(scan: &[u8]) -> Vec<u8> {
    [
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0",
        &b"\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0"[..],
        b"\xff\xda\0\x08\x01\x01\0\0\x3f\0",
        scan,
        b"\xff\xd9",
    ]
    .concat()
}
