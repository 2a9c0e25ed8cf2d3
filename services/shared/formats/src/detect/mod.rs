//! What kind of file it is, told from its first bytes alone.
//!
//! A wrong guess can only happen between kinds that are refused: what is taken for GGUF or safetensors is then parsed
//! strictly. Trust boundary: the bytes are made to deceive.

mod pickle;
mod protobuf;
mod text;

use crate::apple;
use crate::format::Format;

/// How many bytes from the start the decision is made on.
pub const PROBE_BYTES: usize = 64 << 10;

/// Formats that are known by bytes at a fixed place.
const MAGIC: &[(usize, &[u8], Format)] = &[
    (0, b"PK\x03\x04", Format::Zip),
    (0, b"PK\x05\x06", Format::Zip),
    (0, b"PK\x07\x08", Format::Zip),
    (0, b"\x1f\x8b\x08", Format::Gzip),
    (0, b"\xfd7zXZ\x00", Format::Xz),
    (0, b"\x28\xb5\x2f\xfd", Format::Zstd),
    (0, b"\x04\x22\x4d\x18", Format::Lz4),
    (0, b"\x02\x21\x4c\x18", Format::Lz4),
    (0, b"7z\xbc\xaf\x27\x1c", Format::SevenZip),
    (0, b"Rar!\x1a\x07", Format::Rar),
    (0, b"\x93NUMPY", Format::Npy),
    (0, b"lmgg", Format::Ggml),
    (0, b"fmgg", Format::Ggml),
    (0, b"tjgg", Format::Ggml),
    (0, b"algg", Format::Ggml),
    (0, b"ggml", Format::Ggml),
    (0, b"ggmf", Format::Ggml),
    (0, b"ggjt", Format::Ggml),
    (0, b"ggla", Format::Ggml),
    (0, b"\x7fELF", Format::Elf),
    (0, b"MZqFpD", Format::Llamafile),
    (0, b"jartsr='", Format::Llamafile),
    (0, b"\xfe\xed\xfa\xce", Format::MachO),
    (0, b"\xfe\xed\xfa\xcf", Format::MachO),
    (0, b"\xce\xfa\xed\xfe", Format::MachO),
    (0, b"\xcf\xfa\xed\xfe", Format::MachO),
    (0, b"\xca\xfe\xba\xbf", Format::MachO),
    (0, b"\x00asm", Format::Wasm),
    (0, b"%PDF-", Format::Pdf),
    (0, b"\x89PNG\r\n\x1a\n", Format::Png),
    (0, b"\xff\xd8\xff", Format::Jpeg),
    (0, b"GIF87a", Format::Gif),
    (0, b"GIF89a", Format::Gif),
    (0, b"version https://git-lfs.github.com/spec/", Format::GitLfs),
    (
        0,
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        Format::PytorchLegacy,
    ),
    (0, b"\x00\x05\x16\x07\x00\x02\x00\x00", Format::AppleDouble),
    (0, b"\x00\x00\x00\x01Bud1", Format::DsStore),
    (4, b"TFL3", Format::Tflite),
    (4, b"ET12", Format::Executorch),
    (4, b"PTMF", Format::PytorchMobile),
];

/// The format of a file that begins with `head`: its first [`PROBE_BYTES`], or all of it if it is shorter.
pub fn detect(head: &[u8]) -> Format {
    if head.is_empty() {
        return Format::Empty;
    }
    if head.starts_with(b"GGUF") {
        return Format::Gguf;
    }
    // Before everything with a short signature: two bytes of a header's length can be those of any of them.
    if is_safetensors(head) {
        return Format::Safetensors;
    }
    let magic = MAGIC
        .iter()
        .find(|(at, bytes, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    if let Some((_, _, format)) = magic {
        return *format;
    }
    structured(head)
        .or_else(|| pickle::looks_like(head).then_some(Format::Pickle))
        .or_else(|| text::kind(head))
        .or_else(|| protobuf::kind(head))
        .or_else(|| is_zlib(head).then_some(Format::Zlib))
        .or_else(|| is_lzma(head).then_some(Format::Lzma))
        .unwrap_or(Format::Unknown)
}

/// Formats that take more than a comparison.
fn structured(head: &[u8]) -> Option<Format> {
    match head {
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
            if rest.starts_with(b"1AY&SY") || rest.starts_with(b"\x17rE8P\x90") =>
        {
            Some(Format::Bzip2)
        }
        // The same four bytes begin fat binaries, with a count, and Java classes, with a version above 44.
        [0xca, 0xfe, 0xba, 0xbe, count @ ..] => match count.first_chunk().copied().map(u32::from_be_bytes) {
            Some(1..=44) => Some(Format::MachO),
            _ => Some(Format::JavaClass),
        },
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Format::Zstd),
        [b'#', b'!', ..] | [0xef, 0xbb, 0xbf, b'#', b'!', ..] => Some(Format::Script),
        [b'M' | b'Z', b'Z' | b'M', ..] if is_dos(head) => Some(Format::Pe),
        [0x5d, ..] if is_lzma(head) => Some(Format::Lzma),
        [0, 0, ..] if protobuf::is_checkpoint_index(head) => Some(Format::CheckpointIndex),
        _ if is_tar(head) => Some(Format::Tar),
        _ if is_hdf5(head) => Some(Format::Hdf5),
        _ => None,
    }
}

/// A header length below 2⁴⁰ (text would make it larger) and then what can begin a JSON object with members.
fn is_safetensors(head: &[u8]) -> bool {
    let (Some(length), Some(json)) = (head.first_chunk().copied().map(u64::from_le_bytes), head.get(8..))
    else {
        return false;
    };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let mut json = json.iter().skip_while(|byte| blank(byte));
    length < 1 << 40
        && json.next() == Some(&b'{')
        && matches!(json.find(|byte| !blank(byte)), None | Some(b'"' | b'}'))
}

/// The header block of a tar archive: an octal checksum that is right, with or without the `ustar` of later versions.
pub fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.get(..512) else {
        return false;
    };
    let (before, rest) = block.split_at(148);
    let (field, after) = rest.split_at(8);
    let digits: Vec<u8> = field
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b' ' | 0))
        .collect();
    let declared = std::str::from_utf8(&digits)
        .ok()
        .filter(|digits| !digits.is_empty())
        .and_then(|digits| u64::from_str_radix(digits, 8).ok());
    let sum: u64 = before.iter().chain(after).map(|byte| u64::from(*byte)).sum();
    // The checksum's own field counts as eight spaces.
    block.first() != Some(&0) && declared == Some(sum + 8 * u64::from(b' '))
}

/// The HDF5 signature at 0 or at a power of two from 512 on, where its readers search.
fn is_hdf5(head: &[u8]) -> bool {
    std::iter::once(0)
        .chain((9..16).map(|power| 1 << power))
        .any(|at: usize| {
            head.get(at..)
                .is_some_and(|rest| rest.starts_with(b"\x89HDF\r\n\x1a\n"))
        })
}

/// An `MZ` header that is followed by a program rather than by text.
fn is_dos(head: &[u8]) -> bool {
    let windows = head
        .get(60..)
        .and_then(|rest| rest.first_chunk().copied())
        .and_then(|at| usize::try_from(u32::from_le_bytes(at)).ok())
        .and_then(|at| head.get(at..))
        .is_some_and(|rest| rest.starts_with(b"PE\0\0"));
    windows || (head.len() >= 28 && head.get(2..28).is_some_and(|header| header.contains(&0)))
}

/// A zlib header with its check bits, and a deflate block of a type that exists.
fn is_zlib(head: &[u8]) -> bool {
    match head {
        [b'Z', b'F', b'0', b'x', ..] => true,
        [first @ 0x78, second, block, ..] => {
            (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31)
                && second & 0x20 == 0
                && block >> 1 & 3 != 3
        }
        _ => false,
    }
}

/// The header of LZMA's old format, as liblzma tells it: properties that exist, a window of a power of two or of one and a half
/// times that, a size that is open or below 256 GiB, and the zero that every stream begins with.
pub(crate) fn is_lzma(head: &[u8]) -> bool {
    let (Some(properties), Some(window), Some(size), Some(0)) = (
        head.first(),
        head.get(1..).and_then(|rest| rest.first_chunk().copied()),
        head.get(5..).and_then(|rest| rest.first_chunk().copied()),
        head.get(13),
    ) else {
        return false;
    };
    let (window, size) = (u32::from_le_bytes(window), u64::from_le_bytes(size));
    let halves = window.count_ones() == 2 && window & window >> 1 != 0;
    let ordinary = window == u32::MAX || (window >= 4096 && (window.is_power_of_two() || halves));
    *properties < 9 * 5 * 5 && ordinary && (size == u64::MAX || size < 1 << 38)
}

/// What a zip archive is, by the names of its members.
pub fn zip_kind(names: &[String]) -> Format {
    // What macOS adds makes no difference; that it is nothing else is seen when it is read.
    let names: Vec<&String> = names
        .iter()
        .filter(|name| apple::promised(name).is_none())
        .collect();
    let any = |test: &dyn Fn(&str) -> bool| names.iter().any(|name| test(name));
    if any(&|name| name.ends_with("/constants.pkl") || (name.contains("/code/") && has_extension(name, "py")))
    {
        Format::Torchscript
    } else if any(&|name| name == "data.pkl" || name.ends_with("/data.pkl")) {
        Format::PytorchZip
    } else if any(&|name| name == "model.weights.h5")
        || (any(&|name| name == "metadata.json") && any(&|name| name == "config.json"))
    {
        Format::Keras
    } else if !names.is_empty() && names.iter().all(|name| has_extension(name, "npy")) {
        Format::Npz
    } else if any(&|name| name == "schema.json") {
        Format::Skops
    } else {
        Format::Zip
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| end == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_signatures_need_what_they_promise() {
        let mut pe = vec![0; 256];
        pe[..2].copy_from_slice(b"MZ");
        pe[60] = 128;
        pe[128..132].copy_from_slice(b"PE\0\0");
        assert_eq!(detect(&pe), Format::Pe);
        assert_eq!(
            detect(b"MZ is an abbreviation that also begins programs."),
            Format::Text
        );
        assert_eq!(detect(b"BZh91AY&SY\0\0"), Format::Bzip2);
        assert_eq!(detect(b"BZh is no more than three letters"), Format::Text);
        assert_eq!(detect(b"\xca\xfe\xba\xbe\0\0\0\x02"), Format::MachO);
        assert_eq!(detect(b"\xca\xfe\xba\xbe\0\0\0\x34"), Format::JavaClass);
        assert_eq!(detect(b"\x78\x9c\xed\xc1\x01\x01"), Format::Zlib);
        assert_eq!(detect(b"\x78\x9d\xed\xc1\x01\xff"), Format::Unknown);
    }

    #[test]
    fn a_header_length_that_looks_like_a_signature_is_still_a_length() {
        for signature in [
            *b"MZ",
            *b"#!",
            [0x80, 2],
            [0x80, 4],
            *b"PK",
            [0x1f, 0x8b],
            [0x78, 0x9c],
            *b"BZ",
        ] {
            let length = u64::from(u16::from_le_bytes(signature));
            let file = [length.to_le_bytes().as_slice(), b"{\"a\":{"].concat();
            assert_eq!(detect(&file), Format::Safetensors, "{signature:x?}");
        }
    }

    #[test]
    fn text_with_a_brace_in_ninth_place_is_no_safetensors() {
        assert_eq!(detect(b"template{\"a\":1}"), Format::Text);
        assert_eq!(detect(b"\x40\0\0\0\0\0\0\0{ 1"), Format::Unknown);
        assert_eq!(detect(b"\x40\0\0\0\0\0\0\0\n {}"), Format::Safetensors);
    }

    #[test]
    fn zip_archives_are_told_apart_by_their_members() {
        let kind = |names: &[&str]| zip_kind(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(kind(&["m/data.pkl", "m/version"]), Format::PytorchZip);
        assert_eq!(
            kind(&["m/data.pkl", "m/code/__torch__.py", "m/constants.pkl"]),
            Format::Torchscript
        );
        assert_eq!(
            kind(&["metadata.json", "config.json", "model.weights.h5"]),
            Format::Keras
        );
        assert_eq!(kind(&["a.npy", "b.npy"]), Format::Npz);
        assert_eq!(kind(&["a.npy", "b.txt"]), Format::Zip);
        assert_eq!(kind(&["schema.json"]), Format::Skops);
        assert_eq!(kind(&["a.npy", ".DS_Store", "__MACOSX/._a.npy"]), Format::Npz);
        assert_eq!(kind(&["code/a.txt", "__MACOSX/code/._a.py"]), Format::Zip);
        assert_eq!(kind(&["__MACOSX/m/data.pkl"]), Format::Zip);
        assert_eq!(kind(&[]), Format::Zip);
    }
}
