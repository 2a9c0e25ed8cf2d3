//! What comes out is what the reference programs put in, whatever the setting and however the bytes are cut.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::testing::{Random, weights};

fn unpack(format: Format, bytes: &[u8], cut: usize) -> Result<Vec<u8>, Failure> {
    let mut unpacked = Vec::new();
    let mut receive = |out: &[u8]| {
        unpacked.extend_from_slice(out);
        true
    };
    let mut stream = unpacker(format, &Budget::default()).unwrap();
    for piece in bytes.chunks(cut) {
        stream.feed(piece, &mut receive)?;
    }
    stream.finish(&mut receive)?;
    Ok(unpacked)
}

/// `HOLDFAST_PYTHON` names a Python that has more than its own modules.
fn python(command: &str, input: &[u8]) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compressed_readers.py");
    let name = std::env::var_os("HOLDFAST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut python = Command::new(name)
        .arg(&script)
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let (mut stdin, input) = (python.stdin.take()?, input.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = python.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digit = |index| u8::from_str_radix(&hexadecimal[index..index + 2], 16).unwrap();
    (0..hexadecimal.len()).step_by(2).map(digit).collect()
}

#[test]
fn what_reference_programs_pack_comes_out_again() {
    let text = b"what is said three times is true. ".repeat(20_000);
    let contents = [
        Vec::new(),
        b"x".to_vec(),
        weights(300_000),
        [weights(70_000), text, weights(70_000), vec![0; 1 << 20]].concat(),
    ];
    let mut formats = std::collections::BTreeSet::new();
    for content in contents {
        let Some(packed) = python("make", &content) else {
            println!("[skipped] what_reference_programs_pack_comes_out_again: there is no python3");
            return;
        };
        for line in packed.lines() {
            let mut words = line.split(' ');
            let format = Format::find(words.next().unwrap()).unwrap();
            let name = words.next().unwrap();
            let packed = bytes(words.next().unwrap());
            for cut in [usize::MAX, 65_536, 4093, 7] {
                if cut == 7 && packed.len() > 50_000 {
                    continue;
                }
                let unpacked = unpack(format, &packed, cut);
                assert!(
                    unpacked.as_ref() == Ok(&content),
                    "{format} {name} of {} bytes by {cut}: {:?}",
                    content.len(),
                    unpacked.map(|u| u.len())
                );
            }
            formats.insert(format);
        }
    }
    for format in [Format::Zstd, Format::Lz4] {
        if !formats.contains(&format) {
            println!("[skipped] what_reference_programs_pack_comes_out_again: no module for {format}");
        }
    }
}

#[test]
fn what_comes_out_of_changed_files_is_what_reference_programs_get() {
    let content = [b"what is said three times is true. ".repeat(9), weights(300)].concat();
    let Some(packed) = python("make", &content) else {
        println!(
            "[skipped] what_comes_out_of_changed_files_is_what_reference_programs_get: there is no python3"
        );
        return;
    };
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for (line, seed) in packed.lines().zip(1..) {
        let mut words = line.split(' ');
        let kind = words.next().unwrap();
        let format = Format::find(kind).unwrap();
        let original = bytes(words.nth(1).unwrap());
        let mut random = Random::new(seed);
        for _ in 0..200 {
            let mut changed = original.clone();
            let at = random.below(changed.len());
            changed[at] ^= 1 << random.below(8);
            if random.below(4) == 0 {
                changed.truncate(random.below(changed.len()) + 1);
            }
            let whole = unpack(format, &changed, usize::MAX);
            let cut = unpack(format, &changed, random.below(50) + 1);
            assert_eq!(whole, cut, "{line}: {changed:x?}");
            match whole {
                Ok(unpacked) => accepted.push((kind, changed, format!("{:08x}", crc32fast::hash(&unpacked)))),
                Err(_) => refused += 1,
            }
        }
    }
    let lines: Vec<String> = accepted
        .iter()
        .map(|(kind, bytes, _)| {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{kind} {}\n", digits.concat())
        })
        .collect();
    let answers = python("read", lines.concat().as_bytes()).unwrap();
    assert_eq!(answers.lines().count(), accepted.len());
    for ((kind, bytes, sum), answer) in accepted.iter().zip(answers.lines()) {
        assert_eq!(sum, answer, "{kind} {bytes:x?}");
    }
    println!(
        "{} changed files unpack as reference programs do, {refused} do not",
        accepted.len()
    );
    assert!(refused > 500);
}
