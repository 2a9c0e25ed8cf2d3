//! Archives and compressed data: headers whose fields fit each other, or whose own checksum is right.

use super::view::View;
use super::{Class, Seen, Signature};
use crate::detect;
use crate::unpack::Inflate;

/// The archives.
pub const ALL: &[Signature] = &[
    Signature {
        atoms: || vec![*b"PK\x03\x04"],
        check: zip,
    },
    Signature {
        atoms: || vec![*b"7z\xbc\xaf"],
        check: seven_zip,
    },
    Signature {
        atoms: || vec![*b"Rar!"],
        check: rar,
    },
    Signature {
        atoms: || {
            vec![
                *b"\x1f\x8b\x08\0",
                *b"\x1f\x8b\x08\x01",
                *b"\x1f\x8b\x08\x02",
                *b"\x1f\x8b\x08\x04",
                *b"\x1f\x8b\x08\x08",
                *b"\x1f\x8b\x08\x0c",
                *b"\x1f\x8b\x08\x10",
                *b"\x1f\x8b\x08\x18",
            ]
        },
        check: gzip,
    },
    Signature {
        atoms: || vec![*b"\xfd7zX"],
        check: xz,
    },
    Signature {
        atoms: || vec![*b"1AY&"],
        check: bzip2,
    },
    Signature {
        atoms: || vec![*b"usta"],
        check: tar,
    },
    Signature {
        atoms: || vec![*b"MSCF"],
        check: cabinet,
    },
];

/// So much of a compressed stream must make sense, in bytes.
const SENSE_BYTES: usize = 2 << 10;

#[expect(clippy::unnecessary_wraps, reason = "the checks end with it")]
fn archive(what: &'static str) -> Option<Seen> {
    Some(Seen {
        class: Class::Archive,
        what,
        before: 0,
    })
}

/// A member's own header in a zip archive: APPNOTE 4.3.7.
fn zip(view: View<'_>) -> Option<Seen> {
    let (version, flags, method) = (view.half(4)?, view.half(6)?, view.half(8)?);
    let (packed, size) = (view.word(18)?, view.word(22)?);
    let (name, extra) = (usize::from(view.half(26)?), usize::from(view.half(28)?));
    // Encrypted, two bits of the compression's, sizes behind the data, patched, strongly encrypted, UTF-8, masked.
    let known_flags = 0x0001 | 0x0006 | 0x0008 | 0x0020 | 0x0040 | 0x0800 | 0x2000;
    let methods = [0, 1, 6, 8, 9, 10, 12, 14, 19, 93, 95, 96, 97, 98, 99];
    let open = flags & 0x0008 != 0;
    let sizes = method != 0 || open || flags & 1 != 0 || packed == size;
    let name = view.bytes.get(30..30 + name.min(256))?;
    let right = version & 0xff <= 63
        && version >> 8 <= 20
        && flags & !known_flags == 0
        && methods.contains(&method)
        && sizes
        && extra <= 8 << 10
        && !name.is_empty()
        && name.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f);
    right.then(|| archive("a zip archive")).flatten()
}

/// The first header of a 7-Zip archive has a checksum of the fields that say where the next is.
fn seven_zip(view: View<'_>) -> Option<Seen> {
    let fields = view.bytes.get(12..32)?;
    let right = view.has(4, b"\x27\x1c\0") && crc32fast::hash(fields) == view.word(8)?;
    right.then(|| archive("a 7-Zip archive")).flatten()
}

/// The first header of a RAR archive has a checksum of itself, of 32 bits since version 5.
fn rar(view: View<'_>) -> Option<Seen> {
    let right = if view.has(4, b"\x1a\x07\0") {
        let length = usize::from(view.half(12)?);
        let header = view.bytes.get(9..7_usize.checked_add(length)?)?;
        length >= 7
            && view.byte(9)? == 0x73
            && crc32fast::hash(header).to_le_bytes().first_chunk() == Some(&view.half(7)?.to_le_bytes())
    } else if view.has(4, b"\x1a\x07\x01\0") {
        // Lengths of headers take up to three bytes; the first header's takes one.
        let length = usize::from(view.byte(12)?);
        let header = view.bytes.get(12..13 + length)?;
        (1..0x80).contains(&length) && crc32fast::hash(header) == view.word(8)?
    } else {
        false
    };
    right.then(|| archive("a RAR archive")).flatten()
}

/// A gzip header, and deflate that makes sense for some time or ends with the right checksum and length.
fn gzip(view: View<'_>) -> Option<Seen> {
    let flags = view.byte(3)?;
    if !matches!(view.byte(8)?, 0 | 2 | 4) || !matches!(view.byte(9)?, 0..=13 | 255) {
        return None;
    }
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(view.half(at)?);
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += view.bytes.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    let data = view.bytes.get(at..)?;
    let mut inflate = Inflate::new(false);
    let mut crc = crc32fast::Hasher::new();
    let (mut length, mut enough) = (0_u32, false);
    let taken = inflate
        .feed(data, |out| {
            crc.update(out);
            length = length.wrapping_add(u32::try_from(out.len()).unwrap_or(0));
            // A window of zeros can stand for millions.
            enough = length > 1 << 20;
            !enough
        })
        .ok()?;
    let right = if inflate.has_ended() {
        let trailer = View {
            before: &[],
            bytes: data.get(taken..)?,
        };
        trailer.word(0)? == crc.finalize() && trailer.word(4)? == length
    } else {
        enough || taken >= SENSE_BYTES
    };
    right.then(|| archive("gzip-compressed data")).flatten()
}

/// An xz header: its flags have a checksum.
fn xz(view: View<'_>) -> Option<Seen> {
    let flags = view.bytes.get(6..8)?;
    let right = view.has(4, b"Z\0") && crc32fast::hash(flags) == view.word(8)?;
    right.then(|| archive("xz-compressed data")).flatten()
}

/// A bzip2 header and the mark of its first block: ten bytes, six of them the digits of π.
fn bzip2(view: View<'_>) -> Option<Seen> {
    let header = view.before.last_chunk::<4>()?;
    let right = header.starts_with(b"BZh") && matches!(header[3], b'1'..=b'9') && view.has(4, b"SY");
    let seen = archive("bzip2-compressed data")?;
    right.then_some(Seen { before: 4, ..seen })
}

/// The header block of a tar archive, whose checksum is right.
fn tar(view: View<'_>) -> Option<Seen> {
    let before = view.before.last_chunk::<257>()?;
    if !matches!(view.bytes.get(4..8)?, b"r\x0000" | b"r  \0") {
        return None;
    }
    let block = [&before[..], view.bytes.get(..255)?].concat();
    let seen = archive("a tar archive")?;
    detect::is_tar(&block).then_some(Seen { before: 257, ..seen })
}

/// The fixed fields of a Windows cabinet: MS-CAB 2.3.
fn cabinet(view: View<'_>) -> Option<Seen> {
    let right = view.word(4)? == 0
        && view.word(12)? == 0
        && view.word(20)? == 0
        && matches!(view.half(24)?, 0x0103)
        && view.word(16)? < view.word(8)?;
    right.then(|| archive("a Windows cabinet archive")).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn random_bytes_behind_a_gzip_header_make_no_sense() {
        // The one check whose odds cannot be counted in bits. `HOLDFAST_GZIP_TRIALS` asks for more.
        let trials = std::env::var("HOLDFAST_GZIP_TRIALS")
            .ok()
            .and_then(|text| text.parse().ok());
        let mut random = Random::new(5);
        let mut bytes = vec![0; 4096];
        for trial in 0..trials.unwrap_or(5000) {
            for byte in bytes.iter_mut().take(600) {
                *byte = u8::try_from(random.below(256)).unwrap_or(0);
            }
            bytes.rotate_right(600);
            bytes.splice(..10, [0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 0, 3]);
            let view = View {
                before: &[],
                bytes: &bytes,
            };
            assert_eq!(gzip(view), None, "trial {trial}");
        }
    }
}
