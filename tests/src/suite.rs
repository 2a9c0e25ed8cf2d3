//! A suite of real daemons, started as a person starts it: `holdfast up` on a state directory.
//!
//! A suite that goes out of scope is stopped; [`Suite::stop`] also makes sure that nothing is left of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test whose suite does not run has failed"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use holdfast_contract::ledger::{Entries, IndexedEntry};
use holdfast_contract::registry::{ModelSummary, Models};
use holdfast_contract::role::{self, Protocol, Role, Service};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Address, Request};
use crate::page::Person;
use crate::process::{Process, has_mounts, working_in};
use crate::run::{Exit, ended, keep, kept_command, program, run};
use crate::wait;

/// A suite that is not ready after so long is not coming.
pub const START_DEADLINE: Duration = Duration::from_secs(90);
/// A suite that has not stopped after so long will not.
pub const STOP_DEADLINE: Duration = Duration::from_secs(25);
/// A command that has not ended after so long will not.
pub const COMMAND_DEADLINE: Duration = Duration::from_mins(2);
/// A service that is not back after so long is not coming.
pub const RESTART_DEADLINE: Duration = Duration::from_secs(45);

/// How a suite is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state directory; none takes a fresh one.
    pub state: Option<PathBuf>,
    /// Where the page listens.
    pub listen: String,
    /// Further environment.
    pub environment: Vec<(String, String)>,
    /// The source tree whose units and configuration are taken.
    pub root: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            state: None,
            listen: "127.0.0.1:0".to_owned(),
            environment: Vec::new(),
            root: crate::source(),
        }
    }
}

/// A running suite.
#[derive(Debug)]
pub struct Suite {
    state: PathBuf,
    up: Child,
    /// The line that `holdfast up --json` printed.
    pub ready: Value,
    /// How long it took to print it.
    pub started_in: Duration,
    /// Everything else that it printed.
    said: PathBuf,
    /// Gone with the suite, where the suite made it.
    directory: Option<TempDir>,
    stopped: bool,
}

impl Suite {
    /// A suite on a fresh state directory, ready.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    /// A suite on this state directory, ready.
    #[track_caller]
    pub fn start_in(state: &Path) -> Self {
        Self::start_with(&Options {
            state: Some(state.to_owned()),
            ..Options::default()
        })
    }

    /// A suite, ready.
    #[track_caller]
    pub fn start_with(options: &Options) -> Self {
        Self::try_start(options).unwrap_or_else(|exit| panic!("the suite does not start: {exit:?}"))
    }

    /// A suite, ready, or how `holdfast up` ended instead.
    ///
    /// # Errors
    ///
    /// When it ended without being ready.
    #[track_caller]
    pub fn try_start(options: &Options) -> Result<Self, Exit> {
        let directory = match &options.state {
            Some(_) => None,
            None => Some(tempfile::tempdir().unwrap()),
        };
        let state = match (&options.state, &directory) {
            (Some(state), _) => state.clone(),
            (None, directory) => directory.iter().next().unwrap().path().join("state"),
        };
        let begun = Instant::now();
        // Not below the state directory: whether that can be written is for the suite to find out.
        let said = tempfile::NamedTempFile::new()
            .unwrap()
            .into_temp_path()
            .keep()
            .unwrap();
        let mut command = kept_command(&program("holdfast"));
        command
            .arg("up")
            .arg("--state")
            .arg(&state)
            .args(["--listen", &options.listen, "--json", "--root"])
            .arg(&options.root)
            .env_remove("HOLDFAST_RUN")
            .envs(options.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&said).unwrap());
        let mut up = keep(command).unwrap();
        let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
        let (sender, first) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = sender.send(lines.next());
            // Read on, so that it can write whatever else it wants to.
            lines.for_each(drop);
        });
        let line = first.recv_timeout(START_DEADLINE);
        let ready = match &line {
            Ok(Some(Ok(line))) => serde_json::from_str(line).ok(),
            _ => None,
        };
        let Some(ready) = ready.filter(|ready: &Value| ready["event"] == "ready") else {
            let status = ended(&mut up, STOP_DEADLINE);
            if status.is_none() {
                let _ = up.kill();
                let _ = up.wait();
            }
            let exit = Exit {
                code: status.and_then(|status| status.code()),
                stdout: line.ok().flatten().and_then(Result::ok).unwrap_or_default(),
                stderr: std::fs::read_to_string(&said).unwrap_or_default(),
                took: begun.elapsed(),
            };
            let _ = std::fs::remove_file(&said);
            return Err(exit);
        };
        Ok(Self {
            state,
            up,
            ready,
            started_in: begun.elapsed(),
            said,
            directory,
            stopped: false,
        })
    }

    /// A suite that several tests use at once, to save time. They do nothing that the others would notice: whoever stops or
    /// kills something, or types wrong passphrases, starts a suite of their own.
    pub fn shared() -> Arc<Shared> {
        static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let suite = Self::start();
        let person = Person::set_up(&suite);
        let token = person.api_token("shared");
        let fresh = Arc::new(Shared { suite, person, token });
        *shared = Arc::downgrade(&fresh);
        fresh
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The address of the page, for people.
    #[track_caller]
    pub fn url(&self) -> &str {
        self.ready["url"].as_str().unwrap()
    }

    /// Where the page listens.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.url().trim_start_matches("http://").parse().unwrap()
    }

    /// The page, for requests.
    #[track_caller]
    pub fn page(&self) -> Address {
        self.address().into()
    }

    /// The set-up token, while no passphrase was chosen.
    pub fn setup_token(&self) -> Option<&str> {
        self.ready["setup_token"].as_str()
    }

    /// A role socket.
    pub fn socket(&self, role: Role) -> PathBuf {
        role.path(&self.state.join("run"))
    }

    /// A role socket that speaks HTTP, for requests.
    #[track_caller]
    pub fn role(&self, role: Role) -> Address {
        assert_eq!(role.protocol, Protocol::Http);
        Address::Unix(self.socket(role))
    }

    /// The supervisor.
    #[track_caller]
    pub fn up(&self) -> Process {
        Process::of(i32::try_from(self.up.id()).unwrap()).unwrap()
    }

    /// What `run/services.json` says; none while it is being written for the first time.
    pub fn services(&self) -> BTreeMap<String, Value> {
        std::fs::read(self.state.join("run/services.json"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// The running process of a service.
    #[track_caller]
    pub fn process(&self, service: Service) -> Process {
        wait::until(&format!("{service} runs"), RESTART_DEADLINE, || {
            let row = self.services().remove(service.name())?;
            if row["state"] != "running" {
                return None;
            }
            Process::of(row["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())?)
        })
    }

    /// Kills a service as `kill -9` does. Returns the process that it was.
    #[track_caller]
    pub fn kill(&self, service: Service) -> Process {
        let process = self.process(service);
        process.kill();
        process
    }

    /// Waits until a service runs that is not the process it `was`.
    #[track_caller]
    pub fn await_restarted(&self, service: Service, was: Process) -> Process {
        wait::until(&format!("{service} is back"), RESTART_DEADLINE, || {
            let row = self.services().remove(service.name())?;
            let pid = row["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())?;
            let process = Process::of(pid)?;
            (row["state"] == "running" && process != was).then_some(process)
        })
    }

    /// A `holdfast` command on this suite.
    pub fn command(&self) -> Command {
        command(&self.state)
    }

    /// Runs `holdfast --json …` on this suite.
    #[track_caller]
    pub fn cli<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Exit {
        run(self.command().arg("--json").args(arguments), COMMAND_DEADLINE)
    }

    /// Runs `holdfast …` on this suite, for people.
    #[track_caller]
    pub fn cli_text<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Exit {
        run(self.command().args(arguments), COMMAND_DEADLINE)
    }

    /// Hands in a file by `holdfast import`.
    #[track_caller]
    pub fn import(&self, file: &Path) -> Exit {
        self.cli(&[OsStr::new("import"), file.as_os_str()])
    }

    /// The admitted models.
    #[track_caller]
    pub fn models(&self) -> Vec<ModelSummary> {
        let answer = Request::get("/v1/models").ask(&self.role(role::REGISTRY_READ));
        let models: Models = serde_json::from_slice(&answer.expect(200).body).unwrap();
        models.models
    }

    /// The model with this name.
    #[track_caller]
    pub fn model(&self, name: &str) -> ModelSummary {
        let models = self.models();
        let found = models.iter().find(|model| model.name == name).cloned();
        found.unwrap_or_else(|| panic!("no model {name}: {models:?}"))
    }

    /// Every entry of the ledger.
    #[track_caller]
    pub fn ledger(&self) -> Vec<IndexedEntry> {
        let mut all: Vec<IndexedEntry> = Vec::new();
        loop {
            let path = format!("/v1/entries?from={}&limit=1000", all.len());
            let answer = Request::get(&path)
                .ask(&self.role(role::RECORDER_READ))
                .expect(200);
            let Entries { size, entries } = serde_json::from_slice(&answer.body).unwrap();
            all.extend(entries);
            if all.len() as u64 >= size {
                return all;
            }
        }
    }

    /// How many requests the engines work on or have waiting.
    #[track_caller]
    pub fn engine_load(&self) -> u64 {
        let engines = self.engines();
        let sum = |field: &str| {
            engines
                .iter()
                .filter_map(|engine| engine[field].as_u64())
                .sum::<u64>()
        };
        sum("active") + sum("queued")
    }

    /// The loaded engines.
    #[track_caller]
    pub fn engines(&self) -> Vec<Value> {
        let answer = Request::get("/v1/engines").ask(&self.role(role::INFERENCE_ADMIN));
        answer.expect(200).value()["engines"].as_array().unwrap().clone()
    }

    /// The end of the suite's log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.state.join("log/holdfast.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// What `holdfast up` wrote to standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Ends the suite as Ctrl-C does, makes sure that nothing is left, and returns how long that took. The state stays until
    /// the suite goes out of scope.
    #[track_caller]
    pub fn stop(&mut self) -> Duration {
        self.stop_by(Signal::INT)
    }

    /// Ends the suite by a signal, makes sure that nothing is left, and returns how long that took.
    #[track_caller]
    pub fn stop_by(&mut self, signal: Signal) -> Duration {
        let begun = Instant::now();
        let processes = self.up().descendants();
        self.up().signal(signal);
        let status = ended(&mut self.up, STOP_DEADLINE);
        let took = begun.elapsed();
        self.stopped = status.is_some();
        let status =
            status.unwrap_or_else(|| panic!("still there after {STOP_DEADLINE:?}:\n{}", self.log_tail()));
        assert_eq!(status.code(), Some(0), "holdfast up: {status}: {}", self.said());
        self.assert_gone(&processes, Duration::ZERO);
        assert!(!self.state.join("run").exists(), "run/ is left");
        took
    }

    /// Kills the supervisor as `kill -9` does, and makes sure that every other process of the suite dies of it.
    #[track_caller]
    pub fn kill_up(&mut self) {
        let processes = self.up().descendants();
        assert!(processes.len() >= Service::ALL.len(), "{processes:?}");
        let _ = self.up.kill();
        let _ = self.up.wait();
        self.stopped = true;
        self.assert_gone(&processes, Duration::from_secs(5));
    }

    #[track_caller]
    fn assert_gone(&self, processes: &[Process], within: Duration) {
        let left = || -> Vec<(Process, String)> {
            let known = processes.iter().copied().filter(|process| process.is_alive());
            known
                .chain(working_in(&self.state))
                .map(|process| (process, process.name()))
                .collect()
        };
        let gone = wait::maybe(within, || left().is_empty().then_some(()));
        assert!(gone.is_some(), "processes are left: {:?}", left());
        let page = Request::get("/healthz").send(&self.page());
        assert!(page.is_err(), "the page still answers: {page:?}");
        assert!(
            !has_mounts(&self.state),
            "a mount is left below {}",
            self.state.display()
        );
    }

    /// Starts the suite again on its state directory.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.stopped);
        let mut again = Self::start_in(&self.state);
        again.directory = self.directory.take();
        *self = again;
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "holdfast up said:\n{}\nits log ends:\n{}",
                self.said(),
                self.log_tail()
            );
        }
        if !self.stopped {
            if let Some(up) = i32::try_from(self.up.id()).ok().and_then(Process::of) {
                up.signal(Signal::TERM);
            }
            if ended(&mut self.up, STOP_DEADLINE).is_none() {
                let _ = self.up.kill();
                let _ = self.up.wait();
            }
        }
        let _ = std::fs::remove_file(&self.said);
    }
}

/// A suite with a person who has set it up.
#[derive(Debug)]
pub struct Shared {
    /// The suite.
    pub suite: Suite,
    /// Who chose the passphrase.
    pub person: Person,
    /// A token for the API.
    pub token: String,
}

/// A `holdfast` command on a state directory, whether a suite runs there or not.
pub fn command(state: &Path) -> Command {
    let mut command = Command::new(program("holdfast"));
    command
        .arg("--state")
        .arg(state)
        .env_remove("HOLDFAST_RUN")
        .stdin(Stdio::null());
    command
}
