//! Running a program to its end, within a deadline, and keeping one running for as long as the tests run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test whose tools fail has failed"
)]

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How a program ended.
#[derive(Debug)]
pub struct Exit {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Exit {
    /// Every line of standard output that is JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The one line of JSON on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "one line of JSON: {self:?}");
        lines.remove(0)
    }

    /// The same, after a check of the exit code.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// Runs a program to its end. It reads nothing from standard input unless the caller said otherwise.
#[track_caller]
pub fn run(command: &mut Command, within: Duration) -> Exit {
    let begun = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let out = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = out.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let err = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = err.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = ended(&mut child, within);
    let took = begun.elapsed();
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let exit = Exit {
        code: status.and_then(|status| status.code()),
        stdout: out.join().unwrap(),
        stderr: err.join().unwrap(),
        took,
    };
    assert!(
        status.is_some(),
        "{command:?} did not end within {within:?}: {exit:?}"
    );
    exit
}

/// Waits for the end of a child, for a time.
pub fn ended(child: &mut Child, within: Duration) -> Option<std::process::ExitStatus> {
    crate::wait::maybe(within, || child.try_wait().unwrap())
}

/// One of Holdfast's programs, built by `cargo build --release`.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let beside = own.ancestors().skip(1).map(std::path::Path::to_owned);
    beside
        .chain(target)
        .flat_map(|directory| [directory.join(name), directory.join("release").join(name)])
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not built: run `cargo build --release` first"))
}

/// A child that ends when the tests do, however they end: the kernel tells it (`setpriv --pdeathsig`). It is started on
/// a thread that lives until then, because that is whose death the kernel tells of.
///
/// # Errors
///
/// When the program cannot be started.
pub fn keep(command: Command) -> std::io::Result<Child> {
    type Job = (Command, mpsc::Sender<std::io::Result<Child>>);
    static KEEPER: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (jobs, coming) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in coming {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(jobs)
    });
    let (answer, started) = mpsc::channel();
    keeper
        .lock()
        .unwrap()
        .send((command, answer))
        .expect("the keeper lives");
    started.recv().expect("the keeper answers")
}

/// A command for [`keep`].
pub fn kept_command(program: &std::path::Path) -> Command {
    match crate::tools::find("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}
