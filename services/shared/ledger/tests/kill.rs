//! A real process that appends, killed with SIGKILL again and again at any moment: everything it was told to be
//! durable is there, and the ledger verifies after every start.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use common::memory::Random;
use holdfast_ledger::verify::{VerifyOptions, verify};
use holdfast_ledger::{Ledger, Options};

const KILLS: u64 = 40;
const THREADS: u64 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, directory] = arguments.as_slice()
        && mode == "append"
    {
        append_until_killed(Path::new(directory));
    }
    if arguments.iter().any(|argument| argument == "--list") {
        println!("everything_acknowledged_survives_kills: test");
        return;
    }
    kills();
    println!("test everything_acknowledged_survives_kills ... ok");
}

fn ledger(directory: &Path) -> Ledger {
    let options = Options {
        checkpoint_interval: std::time::Duration::from_millis(3),
        ..common::options()
    };
    Ledger::open(directory, common::signer(), common::clock(), options)
        .unwrap()
        .0
}

/// Appends on several threads and prints a line for each entry that is durable.
fn append_until_killed(directory: &Path) -> ! {
    let ledger = ledger(directory);
    let out = Mutex::new(std::io::stdout());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (ledger, out) = (&ledger, &out);
            scope.spawn(move || {
                for number in 0.. {
                    let subject = format!("process {} thread {thread} number {number}", std::process::id());
                    let appended = ledger.append_and_wait(common::draft(&subject)).unwrap();
                    let mut out = out.lock().unwrap();
                    writeln!(out, "{} {subject}", appended.index).unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
    unreachable!("the threads never end");
}

fn kills() {
    let directory = tempfile::tempdir().unwrap();
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    let mut random = Random(u64::from(seed) | 1);
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("append")
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Let it live for a number of entries, so that kills fall on every phase: start, group commit, checkpoint, change of segment.
        let lines = random.next() % 700;
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..lines {
            acknowledged.extend(line(out.next()));
        }
        child.kill().unwrap();
        // What was said before the kill and not read yet counts as well. A last line may be torn by the kill.
        let mut rest: Vec<String> = out.map_while(Result::ok).collect();
        if rest.last().is_some_and(|last| last.split(' ').count() != 7) {
            rest.pop();
        }
        acknowledged.extend(rest.into_iter().filter_map(|last| line(Some(Ok(last)))));
        child.wait().unwrap();
        check(
            directory.path(),
            &acknowledged,
            &format!("kill {kill} after {lines} lines, seed {seed}"),
        );
    }
    assert!(
        acknowledged.len() > 5000,
        "only {} entries were acknowledged",
        acknowledged.len()
    );
    println!(
        "{} entries acknowledged over {KILLS} kills, none lost",
        acknowledged.len()
    );
}

fn line(line: Option<std::io::Result<String>>) -> Option<(u64, String)> {
    let line = line?.ok()?;
    let (index, subject) = line.split_once(' ')?;
    Some((index.parse().unwrap(), subject.to_owned()))
}

fn check(directory: &Path, acknowledged: &[(u64, String)], what: &str) {
    let ledger = ledger(directory);
    let subjects = common::subjects(&ledger);
    for (index, subject) in acknowledged {
        // The number at the end may be cut off with the line.
        let found = subjects.get(usize::try_from(*index).unwrap());
        assert!(
            found.is_some_and(|found| found.starts_with(subject.as_str())),
            "{what}: {index} {subject}: {found:?}"
        );
    }
    ledger.close();
    let report = verify(directory, common::signer().verifier(), &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{what}: {report:?}");
}
