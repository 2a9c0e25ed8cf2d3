//! Speed and memory of the inspection beside `openssl dgst -sha256`, on the same file in the same run.
//!
//! `HOLDFAST_BENCH_MIB` sets the size of the file (1024). The worker is measured as it is used, with its start, if
//! `holdfast-inspect` is built.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_contract::report::Verdict;
use holdfast_formats::FileInspector;
use holdfast_formats::testing::{Assembler, GgufBuilder, Member, SafetensorsBuilder, archive, weights};
use holdfast_inspection::Source;
use holdfast_inspection::pipeline::inspect_with;

const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let mebibytes: usize = std::env::var("HOLDFAST_BENCH_MIB").map_or(Ok(1024), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let files = [
        ("gguf", gguf(directory.path(), mebibytes)?),
        ("safetensors", safetensors(directory.path(), mebibytes)?),
        ("pytorch-zip", checkpoint(directory.path(), mebibytes)?),
    ];
    let worker = worker();
    for (format, path) in &files {
        measure(format, path, worker.as_deref())?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn measure(format: &str, path: &Path, worker: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::metadata(path)?.len();
    std::io::copy(&mut File::open(path)?, &mut std::io::sink())?;
    let (mut openssl, mut here, mut there) = (vec![], vec![], vec![]);
    let mut peak = 0;
    // Processor time, which other work on the machine changes least: of openssl, and of the worker's thread that inspects.
    let (mut hashing, mut inspecting) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        openssl.push(timed(|| {
            let mut command = Command::new("openssl");
            command.args(["dgst", "-sha256"]).arg(path);
            hashing.push(run(&mut command)?.worked);
            Ok(())
        })?);
        here.push(timed(|| {
            let source = Source::open(path).map_err(|report| format!("{report:?}"))?;
            let size = source.size_bytes;
            let inspector = FileInspector::new("bench")
                .scanning(&holdfast_inspection::rules::shipped())
                .looking_ahead(size, &mut |at, buffer| {
                    source.file.read_exact_at(buffer, at).is_ok()
                });
            let report = inspect_with(&source.file, Some(size), inspector, |_| ());
            assert_eq!(report.verdict, Verdict::Admit, "{report:?}");
            Ok(())
        })?);
        if let Some(worker) = worker {
            there.push(timed(|| {
                let mut command = Command::new(worker);
                command.env_clear().stdin(File::open(path)?);
                let used = run(&mut command)?;
                peak = peak.max(used.peak_kibibytes);
                inspecting.push(used.worked);
                Ok(())
            })?);
        }
    }
    let rate = |times: &[Duration]| {
        let best = times.iter().min().map_or(f64::NAN, Duration::as_secs_f64);
        bytes as f64 / best / 1e6
    };
    let reference = rate(&openssl);
    println!("{format}: {bytes} bytes, best of {ROUNDS} rounds in turn");
    println!("  openssl dgst -sha256   {reference:7.0} MB/s");
    println!(
        "  inspect, in process    {:7.0} MB/s   ratio {:.2}",
        rate(&here),
        rate(&here) / reference
    );
    if there.is_empty() {
        println!("  holdfast-inspect       not built: cargo build --release -p holdfast-quarantine");
    } else {
        println!(
            "  holdfast-inspect       {:7.0} MB/s   ratio {:.2}",
            rate(&there),
            rate(&there) / reference
        );
        println!(
            "  holdfast-inspect       {:7.1} MiB peak resident",
            peak as f64 / 1024.0
        );
        println!(
            "  its inspecting thread  {:7.0} MB/s of its processor time, openssl {:.0}",
            rate(&inspecting),
            rate(&hashing)
        );
    }
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// What a program used.
struct Used {
    peak_kibibytes: u64,
    /// Processor time of its first thread.
    worked: Duration,
}

/// Runs a program, whose memory and time are read while it lives.
fn run(command: &mut Command) -> Result<Used, Box<dyn Error>> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let mut used = Used {
        peak_kibibytes: 0,
        worked: Duration::ZERO,
    };
    let process = format!("/proc/{}", child.id());
    let read = |name: &str| std::fs::read_to_string(format!("{process}/{name}")).unwrap_or_default();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let memory = read("status");
        let high = memory
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let high = high.and_then(|text| text.parse().ok()).unwrap_or(0);
        used.peak_kibibytes = used.peak_kibibytes.max(high);
        let nanoseconds = read(&format!("task/{}/schedstat", child.id()));
        let nanoseconds = nanoseconds.split(' ').next().and_then(|text| text.parse().ok());
        used.worked = used.worked.max(Duration::from_nanos(nanoseconds.unwrap_or(0)));
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{command:?} failed: {status}");
    Ok(used)
}

fn worker() -> Option<PathBuf> {
    let program = std::env::current_exe()
        .ok()?
        .parent()?
        .parent()?
        .join("holdfast-inspect");
    program.exists().then_some(program)
}

/// A PyTorch checkpoint of about `mebibytes` in tensors of 64 MiB.
fn checkpoint(directory: &Path, mebibytes: usize) -> Result<PathBuf, Box<dyn Error>> {
    let names: Vec<String> = (0..mebibytes.div_ceil(64))
        .map(|index| format!("layer.{index}.weight"))
        .collect();
    let tensors: Vec<(&str, &[i32])> = names
        .iter()
        .map(|name| (name.as_str(), &[4096, 4096][..]))
        .collect();
    let pickle = Assembler::protocol(2).state_dict(&tensors).stop();
    let numbers = weights(64 << 20);
    let crc = crc32fast::hash(&numbers);
    let storages =
        (0..tensors.len()).map(|index| Member::stored(&format!("m/data/{index}"), &numbers).crc(crc));
    let members: Vec<Member> = [Member::stored("m/data.pkl", &pickle)]
        .into_iter()
        .chain(storages)
        .collect();
    let path = directory.join("bench.pt");
    std::fs::write(&path, archive(&members).bytes)?;
    Ok(path)
}

/// A file of about `mebibytes` in tensors of 64 MiB.
fn gguf(directory: &Path, mebibytes: usize) -> Result<PathBuf, Box<dyn Error>> {
    let tensors = mebibytes.div_ceil(64);
    let mut builder = GgufBuilder::llama().without_tensors();
    for index in 0..tensors {
        builder = builder.tensor(&format!("blk.{index}.weight"), &[4096, 4096], 0, 0);
    }
    // The writer is told of no data, so the offsets are put in here.
    let mut file = builder.build();
    for index in 0..tensors {
        let offset = (index * (64 << 20)) as u64;
        file = file.with(
            &format!("tensor/blk.{index}.weight/offset"),
            &offset.to_le_bytes(),
        );
    }
    write(directory.join("bench.gguf"), &file.bytes, tensors)
}

fn safetensors(directory: &Path, mebibytes: usize) -> Result<PathBuf, Box<dyn Error>> {
    let tensors = mebibytes.div_ceil(64);
    let mut builder = SafetensorsBuilder::new();
    for index in 0..tensors {
        builder = builder.tensor(&format!("blk.{index}.weight"), "F32", &[4096, 4096], 0);
    }
    let header = builder.edit(|entries| {
        for (index, entry) in entries.iter_mut().enumerate() {
            let begin = (index * (64 << 20)) as u64;
            entry.offsets = (begin, begin + (64 << 20));
        }
    });
    write(
        directory.join("bench.safetensors"),
        &header.build().bytes,
        tensors,
    )
}

fn write(path: PathBuf, header: &[u8], tensors: usize) -> Result<PathBuf, Box<dyn Error>> {
    let mut file = BufWriter::new(File::create(&path)?);
    file.write_all(header)?;
    let data = weights(1 << 20);
    for _ in 0..tensors * 64 {
        file.write_all(&data)?;
    }
    file.flush()?;
    Ok(path)
}
