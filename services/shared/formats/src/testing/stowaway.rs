//! The beginnings of programs, archives, pickles and scripts, to be hidden in other files. None of them does anything.

use super::{Assembler, Member, archive, deflate, tar_archive, tar_member};

/// Each kind with its name and the finding that it gives where it does not belong.
pub fn stowaways() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let program = "HF-SIG-001";
    let packed = "HF-SIG-002";
    let text = b"a text that is long enough to be worth packing, and then some more of it. ".repeat(8);
    vec![
        ("elf", program, elf()),
        ("elf-32-big-endian", program, elf_big()),
        ("elf-object", program, elf_object()),
        ("pe", program, pe(true)),
        ("pe-without-dos-header", program, pe(false)),
        ("mach-o", program, mach_o()),
        ("mach-o-fat", program, fat()),
        ("java-class", program, class()),
        ("wasm", program, b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec()),
        ("dex", program, dex()),
        ("pyc", program, pyc()),
        (
            "zip",
            packed,
            archive(&[Member::stored("notes.txt", b"some notes")]).bytes,
        ),
        ("7z", packed, seven_zip()),
        ("rar-4", packed, rar4()),
        ("rar-5", packed, rar5()),
        ("gzip", packed, gzip(&text)),
        ("xz", packed, xz()),
        ("bzip2", packed, b"BZh91AY&SY\x12\x34\x56\x78".to_vec()),
        (
            "tar",
            packed,
            tar_archive(&[tar_member("notes.txt", b'0', &text)]),
        ),
        ("cabinet", packed, cabinet()),
        (
            "pickle-0",
            "HF-SIG-003",
            b"cposix\nsystem\n(S'true'\ntR.".to_vec(),
        ),
        (
            "pickle-0-os",
            "HF-SIG-003",
            b"cos\nsystem\n(S'true'\ntR.".to_vec(),
        ),
        (
            "pickle-2",
            "HF-SIG-003",
            b"\x80\x02cbuiltins\nexec\nq\0X\x04\0\0\0passq\x01\x85q\x02Rq\x03.".to_vec(),
        ),
        ("pickle-inst", "HF-SIG-003", b"(S'true'\nios\nsystem\n.".to_vec()),
        (
            "pickle-obj",
            "HF-SIG-003",
            b"(cposix\nsystem\nS'true'\no.".to_vec(),
        ),
        ("pickle-4", "HF-SIG-003", pickle4()),
        (
            "script",
            "HF-SIG-004",
            b"#!/bin/sh\necho 'nothing happens'\n".to_vec(),
        ),
        (
            "script-env",
            "HF-SIG-004",
            b"#!/usr/bin/env python3\nprint('nothing happens')\n".to_vec(),
        ),
    ]
}

fn pickle4() -> Vec<u8> {
    let mut assembler = Assembler::protocol(4);
    assembler = assembler.raw(b"\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94");
    assembler.stop()
}

fn padded(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.resize(length, 0);
    bytes
}

fn elf() -> Vec<u8> {
    let mut bytes = padded(b"\x7fELF\x02\x01\x01".to_vec(), 16);
    bytes.extend(3_u16.to_le_bytes());
    bytes.extend(62_u16.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    for place in [0x1000_u64, 64, 0x3000] {
        bytes.extend(place.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 2, 64, 10, 9] {
        bytes.extend(half.to_le_bytes());
    }
    padded(bytes, 400)
}

fn elf_object() -> Vec<u8> {
    let mut bytes = elf();
    bytes.splice(16..18, 1_u16.to_le_bytes());
    // An object file has no segments.
    bytes.splice(32..40, [0; 8]);
    bytes.splice(54..58, [0; 4]);
    bytes
}

fn elf_big() -> Vec<u8> {
    let mut bytes = padded(b"\x7fELF\x01\x02\x01".to_vec(), 16);
    bytes.extend(2_u16.to_be_bytes());
    bytes.extend(8_u16.to_be_bytes());
    for word in [1_u32, 0x0040_0000, 52, 0, 0] {
        bytes.extend(word.to_be_bytes());
    }
    for half in [52_u16, 32, 1, 40, 0, 0] {
        bytes.extend(half.to_be_bytes());
    }
    padded(bytes, 120)
}

fn pe(dos: bool) -> Vec<u8> {
    let mut bytes = b"PE\0\0\x64\x86\x03\0".to_vec();
    bytes.extend([0; 12]);
    bytes.extend(240_u16.to_le_bytes());
    bytes.extend(0x0022_u16.to_le_bytes());
    bytes.extend(0x020b_u16.to_le_bytes());
    bytes.resize(56, 0);
    bytes.extend(0x1000_u32.to_le_bytes());
    bytes.extend(0x200_u32.to_le_bytes());
    let image = padded(bytes, 300);
    if !dos {
        return image;
    }
    let mut header = padded(b"MZ\x90\0\x03".to_vec(), 0x3c);
    header.extend(0x80_u32.to_le_bytes());
    let mut header = padded(header, 0x80);
    header.extend(image);
    header
}

fn mach_o() -> Vec<u8> {
    let words = [0xfeed_facf_u32, 0x0100_000c, 0, 2, 2, 144, 0x85, 0, 0x19, 72];
    padded(words.iter().flat_map(|word| word.to_le_bytes()).collect(), 200)
}

fn fat() -> Vec<u8> {
    let words = [
        0xcafe_babe_u32,
        2,
        0x0100_0007,
        3,
        0x4000,
        0x1000,
        14,
        0x0100_000c,
        0,
        0x8000,
        0x1000,
        14,
    ];
    padded(words.iter().flat_map(|word| word.to_be_bytes()).collect(), 100)
}

fn class() -> Vec<u8> {
    let mut bytes = vec![0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52, 0, 8];
    bytes.extend(b"\x0a\0\x02\0\x03\x07\0\x04\x0c\0\x05\0\x06\x01\0\x10java/lang/Object\x01\0\x06<init>");
    bytes.extend(b"\x01\0\x03()V\x01\0\x04Code");
    padded(bytes, 100)
}

fn dex() -> Vec<u8> {
    let mut bytes = padded(b"dex\n035\0".to_vec(), 32);
    for word in [0x200_u32, 0x70, 0x1234_5678] {
        bytes.extend(word.to_le_bytes());
    }
    padded(bytes, 0x70)
}

fn pyc() -> Vec<u8> {
    let mut bytes = vec![0xcb, 0x0d, 0x0d, 0x0a];
    bytes.extend([0, 0, 0, 0, 0x10, 0x20, 0x30, 0x66, 40, 0, 0, 0]);
    bytes.push(0xe3);
    for word in [0_u32, 0, 0, 3, 0] {
        bytes.extend(word.to_le_bytes());
    }
    padded(bytes, 80)
}

fn seven_zip() -> Vec<u8> {
    let next = [100_u64.to_le_bytes(), 60_u64.to_le_bytes()].concat();
    let fields = [next, vec![1, 2, 3, 4]].concat();
    let mut bytes = b"7z\xbc\xaf\x27\x1c\0\x04".to_vec();
    bytes.extend(crc32fast::hash(&fields).to_le_bytes());
    bytes.extend(fields);
    padded(bytes, 64)
}

fn rar4() -> Vec<u8> {
    let header = b"\x73\0\0\x0d\0\0\0\0\0\0\0";
    let checksum = crc32fast::hash(header).to_le_bytes();
    let mut bytes = b"Rar!\x1a\x07\0".to_vec();
    bytes.extend(checksum.iter().take(2));
    bytes.extend(header);
    padded(bytes, 64)
}

fn rar5() -> Vec<u8> {
    let header = [10, 1, 5, 6, 0, 5, 1, 1, 0x80, 0x80, 0];
    let mut bytes = b"Rar!\x1a\x07\x01\0".to_vec();
    bytes.extend(crc32fast::hash(&header).to_le_bytes());
    bytes.extend(header);
    padded(bytes, 64)
}

/// A gzip file.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    bytes.extend(deflate(content));
    bytes.extend(crc32fast::hash(content).to_le_bytes());
    bytes.extend(u32::try_from(content.len()).unwrap_or(0).to_le_bytes());
    bytes
}

fn xz() -> Vec<u8> {
    let mut bytes = b"\xfd7zXZ\0\0\x04".to_vec();
    bytes.extend(crc32fast::hash(&[0, 4]).to_le_bytes());
    padded(bytes, 64)
}

fn cabinet() -> Vec<u8> {
    let mut bytes = b"MSCF".to_vec();
    for word in [0_u32, 500, 0, 44, 0, 0x0001_0103, 0x0001_0001] {
        bytes.extend(word.to_le_bytes());
    }
    padded(bytes, 64)
}
