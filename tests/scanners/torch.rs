//! Writes a PyTorch checkpoint as `torch.save` does since 1.6: a zip whose members are stored, begin at multiples of 64 and
//! have their sizes and sums behind them.

use std::io::Write;

use holdfast_formats::testing::Assembler;

use crate::Failure;
use crate::generate::{Shape, block, data};

const ALIGNMENT: u64 = 64;
/// UTF-8 names; sizes and sum follow the data. PyTorch sets both on every member.
const FLAGS: [u8; 2] = [0x08, 0x08];
/// Length of a local header without name and extra field.
const LOCAL: u64 = 30;

/// Writes a checkpoint with tensors of that shape. `number` goes into its serialization id.
///
/// # Errors
///
/// When it cannot be written, or is too large for a zip without 64-bit offsets.
pub fn write(file: &mut impl Write, shape: Shape, number: usize) -> Result<(), Failure> {
    let mut archive = Archive {
        file,
        at: 0,
        directory: Vec::new(),
        members: 0,
    };
    archive.small("archive/data.pkl", &pickle(shape)?)?;
    archive.small("archive/byteorder", b"little")?;
    let bytes = shape.tensor_bytes();
    let sum = sum_of_data(bytes)?;
    for index in 0..shape.tensors {
        archive.member(&format!("archive/data/{index}"), bytes, sum, |file| {
            data(file, bytes)
        })?;
    }
    archive.small("archive/version", b"3\n")?;
    archive.small(
        "archive/.data/serialization_id",
        format!("{number:040}").as_bytes(),
    )?;
    archive.finish()
}

/// A `state_dict` of these tensors.
fn pickle(shape: Shape) -> Result<Vec<u8>, Failure> {
    let dimensions = [i32::try_from(shape.rows)?, i32::try_from(Shape::WIDTH)?];
    let names: Vec<String> = (0..shape.tensors)
        .map(|index| format!("blk.{index}.weight"))
        .collect();
    let tensors: Vec<(&str, &[i32])> = names
        .iter()
        .map(|name| (name.as_str(), &dimensions[..]))
        .collect();
    Ok(Assembler::protocol(2).state_dict(&tensors).stop())
}

struct Archive<'a, W: Write> {
    file: &'a mut W,
    at: u64,
    directory: Vec<u8>,
    members: u16,
}

impl<W: Write> Archive<'_, W> {
    fn small(&mut self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let sum = !crc32(u32::MAX, &table(), content);
        self.member(name, content.len() as u64, sum, |file| {
            Ok(file.write_all(content)?)
        })
    }

    fn member(
        &mut self,
        name: &str,
        bytes: u64,
        sum: u32,
        write: impl FnOnce(&mut W) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let begin = u32::try_from(self.at)?;
        let length = u16::try_from(name.len())?.to_le_bytes();
        let sizes = [u32::try_from(bytes)?.to_le_bytes(); 2].concat();
        let sum = sum.to_le_bytes();
        let extra = padding(self.at + LOCAL + name.len() as u64);
        let header = [
            b"PK\x03\x04\0\0",
            &FLAGS[..],
            &[0; 18],
            &length,
            &u16::try_from(extra.len())?.to_le_bytes(),
            name.as_bytes(),
            &extra,
        ]
        .concat();
        self.file.write_all(&header)?;
        write(self.file)?;
        let behind = [b"PK\x07\x08", &sum[..], &sizes].concat();
        self.file.write_all(&behind)?;
        self.at += header.len() as u64 + bytes + behind.len() as u64;
        self.directory.extend_from_slice(b"PK\x01\x02\0\0\0\0");
        self.directory.extend(
            [
                &FLAGS[..],
                &[0; 6],
                &sum,
                &sizes,
                &length,
                &[0; 12],
                &begin.to_le_bytes(),
            ]
            .concat(),
        );
        self.directory.extend_from_slice(name.as_bytes());
        self.members += 1;
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        let count = self.members.to_le_bytes();
        let length = u32::try_from(self.directory.len())?.to_le_bytes();
        let begin = u32::try_from(self.at)?.to_le_bytes();
        self.file.write_all(&self.directory)?;
        let end = [
            b"PK\x05\x06\0\0\0\0",
            &count[..],
            &count,
            &length,
            &begin,
            &[0; 2],
        ]
        .concat();
        Ok(self.file.write_all(&end)?)
    }
}

/// The extra field that makes the data begin at a multiple of 64, where the name ends at `at`.
fn padding(at: u64) -> Vec<u8> {
    let begin = at + 4;
    let fill = begin.next_multiple_of(ALIGNMENT) - begin;
    let length = u16::try_from(fill).unwrap_or(0);
    let letters = std::iter::repeat_n(b'Z', usize::from(length));
    b"FB"
        .iter()
        .copied()
        .chain(length.to_le_bytes())
        .chain(letters)
        .collect()
}

fn sum_of_data(bytes: u64) -> Result<u32, Failure> {
    let (table, block) = (table(), block());
    let mut left = usize::try_from(bytes)?;
    let mut crc = u32::MAX;
    while left > 0 {
        let part = block.get(..left.min(block.len())).unwrap_or(&block);
        crc = crc32(crc, &table, part);
        left -= part.len();
    }
    Ok(!crc)
}

fn table() -> [u32; 256] {
    let mut table = [0; 256];
    for (entry, byte) in table.iter_mut().zip(0_u32..) {
        *entry = (0..8).fold(byte, |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()));
    }
    table
}

fn crc32(crc: u32, table: &[u32; 256], bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        let entry = table.get(usize::from(low ^ byte)).copied().unwrap_or(0);
        crc >> 8 ^ entry
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_zip() {
        assert_eq!(!crc32(u32::MAX, &table(), b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_data_of_each_member_begins_at_a_multiple_of_64() {
        let mut file = Vec::new();
        write(&mut file, Shape { rows: 1, tensors: 2 }, 0).unwrap();
        let find = |name: &[u8]| {
            file.windows(name.len())
                .position(|window| window == name)
                .unwrap()
        };
        for name in [
            "archive/data.pkl",
            "archive/data/0",
            "archive/data/1",
            "archive/version",
        ] {
            let at = find(name.as_bytes());
            let extra = u16::from_le_bytes([file[at - 2], file[at - 1]]);
            assert_eq!((at + name.len() + usize::from(extra)) % 64, 0, "{name}");
        }
        let at = find(b"archive/data/1");
        let extra = u16::from_le_bytes([file[at - 2], file[at - 1]]);
        let begin = at + b"archive/data/1".len() + usize::from(extra);
        assert_eq!(file[begin..begin + 4096], block()[..4096]);
        assert_eq!(&file[file.len() - 22..][..4], b"PK\x05\x06");
    }
}
