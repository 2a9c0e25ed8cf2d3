//! The real worker: what it says, what it may use, and that it has no way out.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a step that fails is a test that fails"
)]

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use holdfast_contract::report::{Report, Verdict};
use holdfast_formats::testing::{GgufBuilder, SafetensorsBuilder, Value, weights, zip};
use holdfast_inspection::protocol::Line;
use holdfast_inspection::{Worker, inspect};

const PROGRAM: &str = env!("CARGO_BIN_EXE_holdfast-inspect");

fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    (directory, path)
}

async fn by_worker(bytes: &[u8]) -> Report {
    let (_directory, path) = file(bytes);
    Worker::new(PROGRAM).inspect_path(&path, |_| ()).await.unwrap()
}

/// Runs the program by hand with `bytes` on a pipe.
fn piped(arguments: &[&str], bytes: &[u8]) -> Output {
    let mut child = start(arguments, Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    // It may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn start(arguments: &[&str], stdin: Stdio) -> Child {
    Command::new(PROGRAM)
        .args(arguments)
        .env_clear()
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn report(output: &Output) -> Report {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let last = String::from_utf8(output.stdout.clone())
        .unwrap()
        .lines()
        .last()
        .unwrap()
        .to_owned();
    match serde_json::from_str(&last).unwrap() {
        Line::Report { report } => *report,
        line => panic!("{line:?}"),
    }
}

#[tokio::test]
async fn the_worker_reports_what_the_library_does() {
    for bytes in [
        GgufBuilder::llama().build().bytes,
        GgufBuilder::llama().alignment(64).build().bytes,
        SafetensorsBuilder::small().build().bytes,
        GgufBuilder::llama().build().and(b"more").bytes,
        zip(&[("archive/data.pkl", b".")], b""),
        b"#!/bin/sh\n".to_vec(),
        Vec::new(),
        weights(5 << 20),
    ] {
        let direct = inspect(bytes.as_slice(), Some(bytes.len() as u64), "model.gguf", |_| ());
        assert_eq!(by_worker(&bytes).await, direct);
    }
}

#[tokio::test]
async fn progress_is_heard_while_it_reads() {
    let (_directory, path) = file(b"");
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    let mut heard = Vec::new();
    let report = Worker::new(PROGRAM)
        .inspect_path(&path, |done| heard.push(done))
        .await
        .unwrap();
    assert_eq!((report.verdict, report.size_bytes), (Verdict::Refuse, 100 << 20));
    assert!(report.sha256.is_some());
    assert!(heard.len() >= 4 && heard.is_sorted(), "{heard:?}");
}

#[test]
fn a_pipe_is_read_like_a_file() {
    let bytes = [GgufBuilder::llama().build().bytes, weights(3 << 20)].concat();
    let direct = inspect(bytes.as_slice(), None, "m", |_| ());
    assert_eq!(report(&piped(&["--name=m"], &bytes)), direct);
}

#[test]
fn a_file_of_another_size_than_announced_has_changed() {
    let bytes = weights(1000);
    assert_eq!(
        report(&piped(&["--size=999"], &bytes)).findings[0].id,
        "HF-IO-003"
    );
    assert_eq!(
        report(&piped(&["--size=1001"], &bytes)).findings[0].id,
        "HF-IO-004"
    );
    assert!(report(&piped(&["--size=1000"], &bytes)).sha256.is_some());
}

#[test]
fn a_hundred_gigabytes_are_refused_without_reading_them() {
    let (_directory, path) = file(b"GGUF");
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(100 << 30)
        .unwrap();
    let begin = Instant::now();
    let child = start(&[], Stdio::from(File::open(&path).unwrap()));
    let report = report(&child.wait_with_output().unwrap());
    assert_eq!(report.findings[0].id, "HF-IO-001");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_file_that_is_written_to_while_it_is_read_is_refused() {
    let (_directory, path) = file(b"");
    let writer = OpenOptions::new().write(true).open(&path).unwrap();
    writer.set_len(2 << 30).unwrap();
    let mut written = false;
    let report = Worker::new(PROGRAM)
        .inspect_path(&path, |_| {
            if !std::mem::replace(&mut written, true) {
                (&writer).write_all(b"now").unwrap();
            }
        })
        .await
        .unwrap();
    assert!(written);
    assert_eq!(report.findings[0].id, "HF-IO-010");
    assert_eq!((report.verdict, report.sha256), (Verdict::Refuse, None));
}

#[test]
fn help_says_what_it_is_and_wrong_arguments_are_errors() {
    let help = piped(&["--help"], b"");
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(
        text.contains("Usage: holdfast-inspect") && text.contains("Example:"),
        "{text}"
    );
    assert!(!text.contains("prove"), "the proof is hidden");
    for wrong in ["--nope", "model.gguf", "--size=x"] {
        let output = piped(&[wrong], b"");
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_file_as_output_is_refused_before_anything_is_read() {
    let (_directory, path) = file(b"GGUF");
    let output = Command::new(PROGRAM)
        .stdin(File::open(&path).unwrap())
        .stdout(tempfile::tempfile().unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("must be a pipe"));
}

#[test]
fn nothing_that_must_be_denied_is_possible_inside() {
    let output = piped(&["--prove-confinement"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let attempts: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(attempts.len() >= 10, "{text}");
    for attempt in attempts {
        assert_eq!(attempt["denied"], true, "{attempt}");
    }
}

/// A worker that waits for its next byte.
struct Waiting {
    child: Child,
    stdin: std::process::ChildStdin,
}

fn waiting(bytes: &[u8]) -> Waiting {
    waiting_with(&[], bytes)
}

fn waiting_with(arguments: &[&str], bytes: &[u8]) -> Waiting {
    let mut child = start(arguments, Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(bytes).unwrap();
    // Once the pipe is empty the worker has taken everything in and waits.
    let limit = Instant::now() + Duration::from_mins(1);
    while rustix::io::ioctl_fionread(&stdin).unwrap() > 0 || !is_confined(&child) {
        assert!(Instant::now() < limit, "the worker does not read");
        std::thread::sleep(Duration::from_millis(1));
    }
    Waiting { child, stdin }
}

fn is_confined(child: &Child) -> bool {
    status(child).contains("Seccomp:\t2")
}

fn status(child: &Child) -> String {
    std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default()
}

#[test]
fn limits_are_in_force_before_the_first_byte_is_taken() {
    let Waiting { mut child, stdin } = waiting(b"GGUF");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let hard = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(hard("Max open files"), "0");
    assert_eq!(hard("Max file size"), "0");
    assert_eq!(hard("Max core file size"), "0");
    assert_eq!(hard("Max data size"), (64 << 20).to_string());
    assert_eq!(hard("Max address space"), (256 << 20).to_string());
    assert!(hard("Max cpu time").parse::<u64>().unwrap() <= 60);
    assert!(status(&child).contains("NoNewPrivs:\t1"));
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// An index that names so many tensors in so many files.
fn index(tensors: u32, files: u32) -> Vec<u8> {
    let entries: Vec<String> = (0..tensors)
        .map(|index| format!("\"{index:055}\":\"{}\"", index % files))
        .collect();
    format!("{{\"weight_map\":{{{}}}}}", entries.join(",")).into_bytes()
}

/// Files that ask for as much memory as a file can.
fn greedy() -> Vec<(&'static str, Vec<u8>)> {
    let mut tensors = GgufBuilder::llama().without_tensors();
    for index in 0..(1 << 18) {
        tensors = tensors.tensor(&format!("{index:060}"), &[1], 0, 0);
    }
    let many: Vec<String> = (0..1 << 20).map(|index| format!("t{index}")).collect();
    let vocabulary = GgufBuilder::new().key(
        "tokenizer.ggml.tokens",
        Value::texts(many.iter().map(String::as_str)),
    );
    let mut keys = GgufBuilder::new();
    for index in 0..(1 << 16) {
        keys = keys.key(&format!("{index:0200}.block_count"), Value::U32(1));
    }
    let mut header = SafetensorsBuilder::new();
    for index in 0..(1 << 18) {
        header = header.tensor(&format!("{index:060}"), "U8", &[0], 0);
    }
    let mut text = String::from("{\"__metadata__\":{");
    for index in 0..(1 << 16) {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(&serde_json::json!(format!("{index}")).to_string());
        text.push_str(":\"");
        text.push_str(&"x".repeat(100));
        text.push('"');
    }
    let nested = [b"\x40\0\0\0\0\0\0\0{\"a\":".as_slice(), &vec![b'['; 1 << 20]].concat();
    vec![
        ("tensors", tensors.build().bytes),
        ("vocabulary", vocabulary.build().bytes),
        ("keys", keys.build().bytes),
        ("entries", header.build().bytes),
        ("index", index(1 << 18, 1)),
        ("many files", index(5000, 5000)),
        ("metadata", SafetensorsBuilder::raw(text, b"").bytes),
        ("nesting", nested),
        ("bytes", weights(64 << 20)),
    ]
}

/// Allocation beyond the limit would end it too.
#[test]
fn no_file_makes_it_use_more_than_64_mib() {
    let greedy = greedy();
    let runs = [&[][..], &["--ties"]].into_iter();
    for (arguments, (name, bytes)) in
        runs.flat_map(|arguments| greedy.iter().map(move |file| (arguments, file)))
    {
        let Waiting { child, stdin } = waiting_with(arguments, bytes);
        let status = status(&child);
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        println!("{name} {arguments:?}: {} bytes, peak {kib} KiB", bytes.len());
        assert!(kib <= 64 << 10, "{name}: {kib} KiB");
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(report(&output).size_bytes, bytes.len() as u64, "{name}");
    }
}

#[test]
fn it_dies_with_the_process_that_started_it() {
    // The shell starts the worker on a pipe that this test keeps open, says its process id, and is killed.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "exec 3<&0; \"$0\" <&3 & echo $!; wait"])
        .arg(PROGRAM)
        .stdin(reader)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = shell.stdout.take().unwrap();
    while !line.ends_with('\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        line.push(char::from(byte[0]));
    }
    let stat = Path::new("/proc").join(line.trim()).join("stat");
    let confined = Path::new("/proc").join(line.trim()).join("status");
    let limit = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&confined)
        .unwrap_or_default()
        .contains("Seccomp:\t2")
    {
        assert!(Instant::now() < limit, "the worker does not start");
        std::thread::sleep(Duration::from_millis(1));
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < limit, "the worker lives on");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(writer.as_raw_fd() >= 0);
}
