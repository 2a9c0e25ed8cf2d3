//! What is left in the sandbox, tried from inside it.
//!
//! A sandbox cannot be left and must be entered before there are threads, so each case runs in a process of its own: this
//! program started again with the case's name. That is why it has no test harness.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a case fails by panicking, which the parent sees as its exit code"
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use holdfast_sandbox::{Forbidden, Sandbox, SandboxError, limits, prove};

/// What is done, with a directory to do it in.
type Case = fn(&Path);

/// Name, and what is done in a process of its own.
const CASES: &[(&str, Case)] = &[
    (
        "a_daemon_is_denied_everything_that_the_proof_tries",
        proof_of_a_daemon,
    ),
    (
        "a_worker_is_denied_everything_that_the_proof_tries",
        proof_of_a_worker,
    ),
    (
        "the_proof_notices_when_there_is_no_sandbox",
        proof_without_a_sandbox,
    ),
    ("a_granted_file_is_readable_and_its_neighbour_is_not", reading),
    (
        "a_granted_directory_is_writable_and_the_one_above_is_not",
        writing,
    ),
    ("one_descriptor_can_be_opened_again_and_no_other", one_inode),
    ("a_worker_program_can_be_started_and_no_other", spawning),
    ("what_a_worker_inherits_it_cannot_shed", inheriting),
    ("memory_cannot_be_made_executable", executable_memory),
    ("threads_can_be_started", threads),
    ("unix_sockets_work", unix_sockets),
    ("a_worker_has_no_sockets_and_opens_nothing", worker),
    ("is_not_dumpable", not_dumpable),
    ("a_sandbox_with_threads_around_it_is_refused", too_late),
    ("a_grant_of_what_does_not_exist_is_refused", missing),
    ("memory_beyond_its_limit_is_refused", memory_limit),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if let (Some(flag), Some(name), Some(directory)) = (arguments.next(), arguments.next(), arguments.next())
        && flag == "--case"
    {
        let (_, case) = CASES.iter().find(|(known, _)| *known == name).unwrap();
        case(Path::new(&directory));
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (name, _) in CASES {
        let directory = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--case", name])
            .arg(directory.path())
            .output()
            .unwrap();
        if output.status.success() {
            println!("test {name} ... ok");
        } else {
            failed += 1;
            println!(
                "test {name} ... FAILED ({})\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    let (word, passed) = (if failed == 0 { "ok" } else { "FAILED" }, CASES.len() - failed);
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    ExitCode::from(u8::from(failed > 0))
}

fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn assert_denied<T>(result: std::io::Result<T>) {
    let error = result.err().unwrap_or_else(|| panic!("it was not denied"));
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
}

fn proof_of(sandbox: Sandbox, directory: &Path) {
    sandbox.enter().unwrap();
    let forbidden = Forbidden {
        directories: vec![directory.to_owned()],
    };
    let allowed: Vec<_> = prove(&forbidden)
        .into_iter()
        .filter(|attempt| !attempt.denied)
        .collect();
    assert!(allowed.is_empty(), "{allowed:?}");
}

fn proof_of_a_daemon(directory: &Path) {
    proof_of(Sandbox::daemon(), directory);
}

fn proof_of_a_worker(directory: &Path) {
    proof_of(Sandbox::worker(), directory);
}

fn proof_without_a_sandbox(directory: &Path) {
    let attempts = prove(&Forbidden {
        directories: vec![directory.to_owned()],
    });
    let allowed = attempts.iter().filter(|attempt| !attempt.denied).count();
    assert!(
        allowed >= 5,
        "only {allowed} of {} attempts worked without a sandbox",
        attempts.len()
    );
}

fn reading(directory: &Path) {
    let (granted, other) = (file(directory, "granted", "yes"), file(directory, "other", "no"));
    Sandbox::daemon().read(&granted).enter().unwrap();
    assert_eq!(std::fs::read_to_string(&granted).unwrap(), "yes");
    assert_denied(std::fs::read(&other));
    assert_denied(File::options().append(true).open(&granted));
}

fn writing(directory: &Path) {
    let own = directory.join("own");
    std::fs::create_dir(&own).unwrap();
    Sandbox::daemon().write(&own).enter().unwrap();
    std::fs::write(own.join("new"), "x").unwrap();
    std::fs::rename(own.join("new"), own.join("renamed")).unwrap();
    std::fs::create_dir(own.join("below")).unwrap();
    std::fs::remove_file(own.join("renamed")).unwrap();
    assert_denied(std::fs::write(directory.join("above"), "x"));
    assert_denied(std::os::unix::fs::symlink("/etc", own.join("link")));
}

fn one_inode(directory: &Path) {
    let (granted, other) = (file(directory, "granted", "yes"), file(directory, "other", "no"));
    let (granted, other) = (File::open(granted).unwrap(), File::open(other).unwrap());
    Sandbox::daemon().read_descriptor(&granted).enter().unwrap();
    let again = |file: &File| File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let mut text = String::new();
    again(&granted).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "yes");
    assert_denied(again(&other));
    let path = format!("/proc/self/fd/{}", granted.as_raw_fd());
    assert_denied(File::options().append(true).open(path));
}

fn spawning(_: &Path) {
    let program = std::fs::canonicalize("/bin/true").unwrap();
    Sandbox::daemon().spawn(&program).enter().unwrap();
    assert!(Command::new(&program).status().unwrap().success());
    assert_denied(Command::new("/bin/sh").status());
}

fn inheriting(directory: &Path) {
    let secret = file(directory, "secret", "no");
    let program = std::fs::canonicalize("/bin/cat").unwrap();
    Sandbox::daemon().spawn(&program).enter().unwrap();
    let output = Command::new(&program).arg(&secret).output().unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
}

fn executable_memory(_: &Path) {
    let before = memmap2::MmapMut::map_anon(4096).unwrap();
    Sandbox::daemon().enter().unwrap();
    assert_denied(before.make_exec());
    assert!(memmap2::MmapMut::map_anon(4096).is_ok());
}

fn threads(_: &Path) {
    Sandbox::worker().enter().unwrap();
    assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
}

fn unix_sockets(directory: &Path) {
    let path = directory.join("a.sock");
    let listener = UnixListener::bind(&path).unwrap();
    Sandbox::daemon().connect(&path).enter().unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"x").unwrap();
    assert!(listener.accept().is_ok());
    assert_denied(UnixListener::bind(directory.join("b.sock")));
}

fn worker(directory: &Path) {
    let own = file(directory, "own", "text");
    let mut before = File::open(&own).unwrap();
    Sandbox::worker().enter().unwrap();
    let mut text = String::new();
    before.read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    assert_denied(File::open(&own));
    assert_denied(UnixStream::pair());
}

fn not_dumpable(_: &Path) {
    use rustix::process::{DumpableBehavior, dumpable_behavior};
    Sandbox::daemon().enter().unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    assert!(rustix::thread::no_new_privs().unwrap());
}

fn too_late(_: &Path) {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || receiver.recv());
    assert!(matches!(
        Sandbox::daemon().enter(),
        Err(SandboxError::Threads { count: 2 })
    ));
    drop(sender);
    let _ = thread.join();
}

fn missing(directory: &Path) {
    let result = Sandbox::daemon().read(directory.join("nothing")).enter();
    assert!(matches!(result, Err(SandboxError::Open { .. })));
}

fn memory_limit(_: &Path) {
    limits::memory(256 << 20).unwrap();
    let mut small: Vec<u8> = Vec::new();
    small.try_reserve_exact(16 << 20).unwrap();
    let mut large: Vec<u8> = Vec::new();
    assert!(large.try_reserve_exact(512 << 20).is_err());
}
