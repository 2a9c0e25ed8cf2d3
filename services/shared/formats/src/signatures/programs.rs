//! Programs: the fields that the loaders of operating systems and of language machines insist on.
//!
//! Only what a loader checks is checked, so that a header with oddities that its loader forgives is a program here as well.

use super::view::View;
use super::{Class, Seen, Signature};

/// The programs.
pub const ALL: &[Signature] = &[
    Signature {
        atoms: || vec![*b"\x7fELF"],
        check: elf,
    },
    Signature {
        atoms: || vec![*b"PE\0\0"],
        check: pe,
    },
    Signature {
        atoms: pe_machines,
        check: pe_from_machine,
    },
    Signature {
        atoms: || {
            vec![
                [0xcf, 0xfa, 0xed, 0xfe],
                [0xce, 0xfa, 0xed, 0xfe],
                [0xfe, 0xed, 0xfa, 0xcf],
                [0xfe, 0xed, 0xfa, 0xce],
            ]
        },
        check: mach_o,
    },
    Signature {
        atoms: || vec![[0xca, 0xfe, 0xba, 0xbe], [0xca, 0xfe, 0xba, 0xbf]],
        check: fat_or_java,
    },
    Signature {
        atoms: || vec![*b"\0asm"],
        check: wasm,
    },
    Signature {
        atoms: || vec![*b"dex\n"],
        check: dex,
    },
    Signature {
        atoms: || PYTHON.to_vec(),
        check: python,
    },
];

/// The magic numbers of compiled Python, of 2.7 and of 3.5 to 3.14, as the import system writes them.
const PYTHON: &[[u8; 4]] = &[
    [0x03, 0xf3, 0x0d, 0x0a],
    [0x16, 0x0d, 0x0d, 0x0a],
    [0x17, 0x0d, 0x0d, 0x0a],
    [0x33, 0x0d, 0x0d, 0x0a],
    [0x42, 0x0d, 0x0d, 0x0a],
    [0x55, 0x0d, 0x0d, 0x0a],
    [0x61, 0x0d, 0x0d, 0x0a],
    [0x6f, 0x0d, 0x0d, 0x0a],
    [0xa7, 0x0d, 0x0d, 0x0a],
    [0xcb, 0x0d, 0x0d, 0x0a],
    [0xf3, 0x0d, 0x0d, 0x0a],
    [0x2b, 0x0e, 0x0d, 0x0a],
];

/// The most parts of a program that a table at its start lists.
const MAX_PARTS: u16 = 4096;
/// The largest distance of a table from the start of a program that is looked at as one, in bytes.
const MAX_DISTANCE: u64 = 1 << 32;

#[expect(clippy::unnecessary_wraps, reason = "the checks end with it")]
fn program(what: &'static str) -> Option<Seen> {
    Some(Seen {
        class: Class::Program,
        what,
        before: 0,
    })
}

/// An ELF file that Linux would run or load, or a linker link: kernel `fs/binfmt_elf.c`, System V ABI.
fn elf(view: View<'_>) -> Option<Seen> {
    let little = match view.byte(5)? {
        1 => true,
        2 => false,
        _ => return None,
    };
    let half = |at| if little { view.half(at) } else { view.half_be(at) };
    let word = |at| if little { view.word(at) } else { view.word_be(at) };
    let wide = match view.byte(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let long = |at| match (wide, little) {
        (false, _) => word(at).map(u64::from),
        (true, true) => view.long(at),
        (true, false) => view.long(at).map(u64::swap_bytes),
    };
    let kind = half(16)?;
    // i386, m68k, MIPS, PowerPC, 64-bit PowerPC, S/390, Arm, SPARC, x86-64, AArch64, CUDA, AMD GPU, RISC-V, BPF, LoongArch.
    let machines = [3, 4, 8, 20, 21, 22, 40, 43, 62, 183, 190, 224, 243, 247, 258];
    if !(1..=3).contains(&kind) || !machines.contains(&half(18)?) {
        return None;
    }
    // Where the two tables begin, how large an entry of each is, and how many there are.
    let (places, sizes) = if wide {
        ([32, 40], [54, 58])
    } else {
        ([28, 32], [42, 46])
    };
    let lengths = if wide { [56, 64] } else { [32, 40] };
    let table = |index: usize| -> Option<bool> {
        let (place, size) = (*places.get(index)?, *sizes.get(index)?);
        let count = half(size + 2)?;
        let distance = long(place)?;
        Some(
            half(size)? == *lengths.get(index)?
                && (1..MAX_PARTS).contains(&count)
                && (1..MAX_DISTANCE).contains(&distance),
        )
    };
    // What is run has segments, what is linked has sections.
    let right = if kind == 1 { table(1)? } else { table(0)? };
    right
        .then(|| program("a Linux program or library (ELF)"))
        .flatten()
}

/// The processors of Windows programs: i386, Arm, Armv7, x86-64, 64-bit Arm.
const PE_MACHINES: [u16; 5] = [0x014c, 0x01c0, 0x01c4, 0x8664, 0xaa64];
/// The most sections that Windows loads.
const MAX_SECTIONS: u8 = 96;

/// The last byte of `PE\0\0`, a processor, and the number of sections: zeros in a row are not looked for, so a third of all places
/// of a second header is found by these.
fn pe_machines() -> Vec<[u8; 4]> {
    let atoms = PE_MACHINES.iter().flat_map(|machine| {
        let [low, high] = machine.to_le_bytes();
        (1..=MAX_SECTIONS).map(move |sections| [0, low, high, sections])
    });
    atoms.collect()
}

fn pe_from_machine(view: View<'_>) -> Option<Seen> {
    let (before, signature) = view.before.split_last_chunk::<3>()?;
    if signature != b"PE\0" {
        return None;
    }
    let bytes = [signature, view.bytes].concat();
    let seen = pe(View {
        before,
        bytes: &bytes,
    })?;
    Some(Seen {
        before: seen.before + signature.len(),
        ..seen
    })
}

/// A Windows program, told by its second header; the first one's place is that of the letters `MZ` if they are near.
/// Source: PE format, Microsoft.
fn pe(view: View<'_>) -> Option<Seen> {
    let (sections, optional) = (view.half(6)?, view.half(20)?);
    let magic = view.half(24)?;
    let executable = view.half(22)? & 0x0002 != 0;
    let alignments = [view.word(56)?, view.word(60)?];
    let right = PE_MACHINES.contains(&view.half(4)?)
        && (1..=u16::from(MAX_SECTIONS)).contains(&sections)
        && (0x60..=0x400).contains(&optional)
        && matches!(magic, 0x010b | 0x020b)
        && executable
        && alignments.iter().all(|bytes| bytes.is_power_of_two());
    if !right {
        return None;
    }
    let mut seen = program("a Windows program or library (PE)")?;
    let nearest = view.before.len().saturating_sub(0x40);
    for at in (0..=nearest).rev() {
        let header = View {
            before: &[],
            bytes: view.before.get(at..)?,
        };
        let distance = view.before.len() - at;
        if header.has(0, b"MZ") && header.word(0x3c).map(u64::from) == Some(distance as u64) {
            seen.before = distance;
            break;
        }
    }
    Some(seen)
}

/// A program for macOS or iOS: `mach-o/loader.h`.
fn mach_o(view: View<'_>) -> Option<Seen> {
    let little = matches!(view.byte(0)?, 0xce | 0xcf);
    let word = |at| if little { view.word(at) } else { view.word_be(at) };
    let wide = matches!((view.byte(0)?, view.byte(3)?), (0xcf, _) | (0xfe, 0xcf));
    let (processor, kind, commands, bytes) = (word(4)?, word(12)?, word(16)?, word(20)?);
    let first = if wide { 32 } else { 28 };
    let command_bytes = word(first + 4)?;
    let right = is_apple(processor)
        && (1..=12).contains(&kind)
        && (1..=u32::from(MAX_PARTS)).contains(&commands)
        && bytes / 8 >= commands
        && bytes <= 1 << 24
        && word(first)? & 0x7fff_ffff <= 0x40
        && (8..=bytes).contains(&command_bytes)
        && command_bytes.is_multiple_of(4);
    right
        .then(|| program("a macOS program or library (Mach-O)"))
        .flatten()
}

/// x86, x86-64, Arm, 64-bit Arm, the same with 32-bit pointers, Power, 64-bit Power.
fn is_apple(processor: u32) -> bool {
    [7, 0x0100_0007, 12, 0x0100_000c, 0x0200_000c, 18, 0x0100_0012].contains(&processor)
}

/// A program for several processors of Apple's, or a Java class: both begin alike.
fn fat_or_java(view: View<'_>) -> Option<Seen> {
    let count = view.word_be(4)?;
    if (1..=16).contains(&count) && is_apple(view.word_be(8)?) {
        let (at, bytes) = if view.byte(3)? == 0xbf {
            (u64::from(view.word_be(20)?), u64::from(view.word_be(28)?))
        } else {
            (u64::from(view.word_be(16)?), u64::from(view.word_be(20)?))
        };
        let right = at >= 28 && bytes >= 28;
        return right
            .then(|| program("a macOS program for several processors (Mach-O)"))
            .flatten();
    }
    // A version between 1.1 and one that is far off, and a pool of constants of kinds that exist (JVMS 4.4).
    let (minor, major, constants) = (view.half_be(4)?, view.half_be(6)?, view.half_be(8)?);
    if !matches!(minor, 0..=3 | 0xffff) || !(45..=90).contains(&major) || constants < 5 {
        return None;
    }
    let mut at = 10;
    let mut left = constants - 1;
    for _ in 0..8 {
        if left == 0 {
            break;
        }
        let (length, entries) = match view.byte(at)? {
            1 => {
                let length = usize::from(view.half_be(at + 1)?);
                let text = view.bytes.get(at + 3..)?;
                // Text is written so that it has no zeros and nothing beyond three bytes for a character (JVMS 4.4.7).
                if text.iter().take(length).any(|byte| matches!(byte, 0 | 0xf0..)) {
                    return None;
                }
                (3 + length, 1)
            }
            3 | 4 | 9..=12 | 17 | 18 => (5, 1),
            5 | 6 => (9, 2),
            7 | 8 | 16 | 19 | 20 => (3, 1),
            15 => (4, 1),
            _ => return None,
        };
        at += length;
        left = left.saturating_sub(entries);
        // A long constant reaches out of what is seen: what came before is enough.
        if at >= view.bytes.len() {
            break;
        }
    }
    program("a Java program (class file)")
}

/// A WebAssembly module or component with a first section of a kind that exists: core specification, 5.5.
fn wasm(view: View<'_>) -> Option<Seen> {
    let version = view.word(4)?;
    if !matches!(version, 1 | 0x0001_000d) {
        return None;
    }
    let section = view.byte(8)?;
    let mut length: u64 = 0;
    for index in 0..5 {
        let byte = view.byte(9 + index)?;
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            break;
        }
        if index == 4 {
            return None;
        }
    }
    (section <= 13 && (1..1 << 30).contains(&length))
        .then(|| program("a WebAssembly program"))
        .flatten()
}

/// A program for Android: the fixed fields of its header.
fn dex(view: View<'_>) -> Option<Seen> {
    let digits = view.bytes.get(4..7)?.iter().all(u8::is_ascii_digit);
    let right = digits
        && view.byte(7)? == 0
        && view.word(36)? == 0x70
        && matches!(view.word(40)?, 0x1234_5678 | 0x7856_3412)
        && view.word(32)? >= 0x70;
    right.then(|| program("an Android program (DEX)")).flatten()
}

/// Compiled Python: flags that exist, and then a marshalled code object with counts that fit each other (in Python's own
/// `importlib/_bootstrap_external.py`, `marshal.c`).
fn python(view: View<'_>) -> Option<Seen> {
    // Python 2 has no flags and no size of the source; 3.5 and 3.6 have no flags.
    let code = match view.half(0)? {
        62211 => 8,
        3350 | 3351 | 3379 => 12,
        _ if view.word(4)? <= 3 => 16,
        _ => return None,
    };
    if !matches!(view.byte(code)?, b'c' | 0xe3) {
        return None;
    }
    // The numbers of arguments, of keyword-only ones, of local variables, and the depth of the stack.
    let counts = [1, 5, 9].map(|at| view.word(code + at));
    let right = counts
        .iter()
        .all(|count| count.is_some_and(|count| count < 1 << 14));
    right.then(|| program("compiled Python (.pyc)")).flatten()
}
