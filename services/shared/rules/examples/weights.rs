//! How many false alarms signatures and shipped rules give on weights, and how fast they are searched for:
//! `cargo run --release -p holdfast-rules --example weights -- GIBIBYTES`.

use holdfast_formats::Format;
use holdfast_formats::scan::{Own, Scan};
use holdfast_rules::RuleSet;

const CHUNK: usize = 1 << 20;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// About normal, of the size of weights.
    #[expect(clippy::cast_precision_loss, reason = "the mantissa is enough")]
    fn weight(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xffff).sum();
        (sum as f32 / 65536.0 - 2.0) * 0.04
    }
}

/// The processor time of this thread, in seconds: other work on the machine does not count.
#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn worked() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: u64 = text
        .split(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    nanoseconds as f64 / 1e9
}

/// Fills a chunk with numbers of a kind.
fn fill(kind: &str, random: &mut Random, chunk: &mut [u8]) {
    match kind {
        "random" => {
            for bytes in chunk.chunks_exact_mut(8) {
                bytes.copy_from_slice(&random.next().to_le_bytes());
            }
        }
        "bf16" => {
            for bytes in chunk.chunks_exact_mut(2) {
                bytes.copy_from_slice(&random.weight().to_le_bytes()[2..]);
            }
        }
        "f32" => {
            for bytes in chunk.chunks_exact_mut(4) {
                bytes.copy_from_slice(&random.weight().to_le_bytes());
            }
        }
        "f32 from bf16" => {
            for bytes in chunk.chunks_exact_mut(4) {
                bytes.copy_from_slice(&[&[0, 0], &random.weight().to_le_bytes()[2..]].concat());
            }
        }
        "f16" => {
            for bytes in chunk.chunks_exact_mut(2) {
                // Sign, the exponent moved to its other bias, and the first ten bits of the mantissa.
                let bits = random.weight().to_bits();
                let exponent = (bits >> 23 & 0xff).saturating_sub(112).min(30);
                let half = bits >> 31 << 15 | exponent << 10 | bits >> 13 & 0x3ff;
                bytes.copy_from_slice(&half.to_le_bytes()[..2]);
            }
        }
        // Blocks of a scale and 32 numbers of four bits, around the middle.
        "q4" => {
            for block in chunk.chunks_mut(18) {
                for (index, byte) in block.iter_mut().enumerate() {
                    let bits = random.next();
                    let nibble = |shift: u32| {
                        (bits >> shift & 7) + (bits >> (shift + 8) & 7) + (bits >> (shift + 16) & 1)
                    };
                    *byte = match index {
                        0 => bits.to_le_bytes()[0],
                        1 => 0x10 | bits.to_le_bytes()[1] & 0x0f,
                        _ => u8::try_from(nibble(0) | nibble(24) << 4).unwrap_or(0),
                    };
                }
            }
        }
        "int32" => {
            for bytes in chunk.chunks_exact_mut(4) {
                bytes.copy_from_slice(&u32::try_from(random.next() & 0xffff).unwrap_or(0).to_le_bytes());
            }
        }
        "text" => {
            const WORDS: [&str; 12] = [
                "the ",
                "model ",
                "system ",
                "import ",
                "operator ",
                "curl ",
                "weights ",
                "of ",
                "BEGIN ",
                "you ",
                "files ",
                "\n",
            ];
            let mut at = 0;
            while at < chunk.len() {
                let word = WORDS[usize::try_from(random.next() % 12).unwrap_or(0)].as_bytes();
                let length = word.len().min(chunk.len() - at);
                chunk[at..at + length].copy_from_slice(&word[..length]);
                at += length;
            }
        }
        _ => chunk.fill(0),
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gibibytes: f64 = std::env::args().nth(1).map_or(Ok(1.0), |text| text.parse())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let chunks = (gibibytes * 1024.0) as u64;
    let rules = RuleSet::with_shipped(&[])?;
    let only = std::env::args().nth(2);
    println!("{} rules, digest {}", rules.len(), rules.digest());
    let scanner = rules.scanner();
    println!("{scanner:?}");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut chunk = vec![0; CHUNK];
    let kinds = [
        "random",
        "bf16",
        "f16",
        "f32",
        "f32 from bf16",
        "q4",
        "int32",
        "zeros",
        "text",
    ];
    for kind in kinds
        .into_iter()
        .filter(|kind| only.as_ref().is_none_or(|only| only == kind))
    {
        let mut scan = Scan::new(&scanner);
        let mut seconds = 0.0;
        for _ in 0..chunks {
            fill(kind, &mut random, &mut chunk);
            let start = worked();
            scan.feed(&chunk);
            seconds += worked() - start;
        }
        let (found, _) = scan.finish(Format::Safetensors, &Own::Nothing).into_parts();
        let rate = chunks as f64 * CHUNK as f64 / seconds / 1e9;
        println!(
            "{kind:14} {rate:6.3} GB/s, {} findings in {gibibytes} GiB",
            found.len()
        );
        for finding in found {
            println!(
                "        {} at {:?}: {}",
                finding.id, finding.offset, finding.message
            );
        }
    }
    Ok(())
}
