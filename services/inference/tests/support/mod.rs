//! A place for the inference daemon to live in: a registry and a recorder that answer as the test wants, sockets, clients.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use holdfast_contract::inference::{
    Engines, GenerateEvent, GenerateRequest, Message, Prompt, Sampling, Speaker, Unload,
};
use holdfast_contract::ledger::{Append, Appended, Event, IncidentReport};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{Availability, ModelDetail, ModelSummary, OpenAnswer, OpenRequest};
use holdfast_contract::report::{Condition, Report, Verdict};
use holdfast_contract::role::{self, Role, Service};
use holdfast_contract::status::Confinement;
use holdfast_contract::{Digest, Problem, Timestamp};
use holdfast_inference::evidence::Evidence;
use holdfast_inference::http::{self, Inference};
use holdfast_inference::pool::Pool;
use holdfast_inference::registry::Registry;
use holdfast_inference::{Config, Machine};
use holdfast_ipc::descriptor::Conversation;
use holdfast_ipc::{Client, Events, Failure, Json, Limits, Recorder, Server, Surroundings};
use tokio::runtime::Runtime;

/// A descriptor that is to be inherited is open to every child that is started meanwhile.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How long a test waits for what must happen soon.
const SOON: Duration = Duration::from_secs(20);

/// Models by digest, with the file that is handed out.
type Models = Arc<Mutex<HashMap<Digest, (ModelSummary, PathBuf)>>>;

#[derive(Debug, Default)]
struct Ledger {
    entries: Vec<Append>,
    incidents: Vec<IncidentReport>,
    /// Entries about this are not taken.
    refuses: Option<Event>,
}

pub struct Place {
    pub directory: tempfile::TempDir,
    pub runtime: Runtime,
    models: Models,
    ledger: Arc<Mutex<Ledger>>,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("hf").tempdir().unwrap();
        for service in [Service::Registry, Service::Inference, Service::IncidentRecorder] {
            std::fs::create_dir_all(directory.path().join("run").join(service.name())).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let place = Self {
            directory,
            runtime,
            models: Models::default(),
            ledger: Arc::default(),
        };
        place.serve_registry();
        place.serve_recorder();
        place
    }

    pub fn run(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    fn listener(&self, role: Role) -> UnixListener {
        UnixListener::bind(role.path(&self.run())).unwrap()
    }

    fn serve_registry(&self) {
        let _inside = self.runtime.enter();
        let models = Arc::clone(&self.models);
        let read = Router::new().route(
            "/v1/models/{digest}",
            get(move |axum::extract::Path(digest): axum::extract::Path<Digest>| {
                let found = models
                    .lock()
                    .unwrap()
                    .get(&digest)
                    .map(|(summary, _)| summary.clone());
                async move {
                    found
                        .map(|summary| Json(detail(summary)))
                        .ok_or_else(|| Failure(missing()))
                }
            }),
        );
        let models = Arc::clone(&self.models);
        let open = holdfast_ipc::DescriptorListener::bind(&role::REGISTRY_OPEN.path(&self.run())).unwrap();
        let server = Server::new(Service::Registry)
            .http(self.listener(role::REGISTRY_READ), read, Limits::PLAIN)
            .unwrap()
            .descriptors(
                open,
                move |conversation, _| answer_open(Arc::clone(&models), conversation),
                Limits::PLAIN,
            )
            .unwrap();
        self.runtime.spawn(server.run());
    }

    fn serve_recorder(&self) {
        let _inside = self.runtime.enter();
        let appended = Appended {
            index: 0,
            leaf: Digest::from_bytes([0; 32]),
        };
        let ledger = Arc::clone(&self.ledger);
        let append = Router::new().route(
            "/v1/entries",
            post(move |Json(entry): Json<Append>| {
                let mut ledger = ledger.lock().unwrap();
                let taken = ledger.refuses != Some(entry.event);
                if taken {
                    ledger.entries.push(entry);
                }
                let full = Failure(Problem::new(ProblemKind::NoSpace, "the ledger takes no more"));
                async move { if taken { Ok(Json(appended)) } else { Err(full) } }
            }),
        );
        let ledger = Arc::clone(&self.ledger);
        let report = Router::new().route(
            "/v1/reports",
            post(move |Json(incident): Json<IncidentReport>| {
                ledger.lock().unwrap().incidents.push(incident);
                async move { Json(appended) }
            }),
        );
        let server = Server::new(Service::IncidentRecorder)
            .http(self.listener(role::RECORDER_APPEND), append, Limits::PLAIN)
            .unwrap()
            .http(self.listener(role::RECORDER_REPORT), report, Limits::PLAIN)
            .unwrap();
        self.runtime.spawn(server.run());
    }

    /// Puts a model into the registry.
    pub fn admit(&self, number: u8, format: &str, conditions: Vec<Condition>, bytes: &[u8]) -> Digest {
        let digest = Digest::from_bytes([number; 32]);
        let path = self.directory.path().join(format!("model-{number}"));
        std::fs::write(&path, bytes).unwrap();
        let summary = ModelSummary {
            digest,
            name: format!("model-{number}"),
            size_bytes: bytes.len() as u64,
            format: format.to_owned(),
            verdict: if conditions.is_empty() {
                Verdict::Admit
            } else {
                Verdict::Conditional
            },
            conditions,
            model: None,
            admitted_at: Timestamp::UNIX_EPOCH,
            availability: Availability::Ready,
        };
        self.models.lock().unwrap().insert(digest, (summary, path));
        digest
    }

    /// Takes a model out of the registry.
    pub fn remove(&self, model: Digest) {
        self.models.lock().unwrap().remove(&model);
    }

    /// The ledger takes no entries about this.
    pub fn ledger_refuses(&self, event: Event) {
        self.ledger.lock().unwrap().refuses = Some(event);
    }

    pub fn entries(&self, event: Event) -> Vec<Append> {
        let ledger = self.ledger.lock().unwrap();
        ledger
            .entries
            .iter()
            .filter(|entry| entry.event == event)
            .cloned()
            .collect()
    }

    pub fn incidents(&self) -> Vec<IncidentReport> {
        self.ledger.lock().unwrap().incidents.clone()
    }

    /// Serves the daemon's own routes in this process, without a sandbox, with `program` as worker.
    pub fn serve(&self, config: Config, program: &Path) {
        let _inside = self.runtime.enter();
        let surroundings = Surroundings::client(self.run());
        let server = Server::new(Service::Inference);
        let pool = Pool::new(
            config,
            Machine {
                cores: 2,
                memory_bytes: 1 << 33,
            },
            program.to_owned(),
            Registry::new(&surroundings),
            Evidence::new(Recorder::new(&surroundings)),
            server.stopping(),
        );
        let confinement = Confinement {
            landlock_abi: 0,
            syscalls: 0,
            grants: Vec::new(),
            missing: Vec::new(),
        };
        let inference = Inference::new(pool, confinement, "cpu".to_owned());
        let server = server
            .http(
                self.listener(role::INFERENCE_GENERATE),
                http::generate_routes(inference.clone()),
                Limits::PLAIN,
            )
            .unwrap()
            .http(
                self.listener(role::INFERENCE_ADMIN),
                http::admin_routes(inference),
                Limits::PLAIN,
            )
            .unwrap();
        self.runtime.spawn(server.run());
    }

    /// Starts the real daemon as a supervisor does: sockets inherited, surroundings in the environment.
    pub fn start(&self, daemon: &Path, worker: &Path, arguments: &[&str]) -> Daemon {
        let sockets: Vec<(Role, OwnedFd)> = [role::INFERENCE_GENERATE, role::INFERENCE_ADMIN]
            .into_iter()
            .map(|role| (role, self.listener(role).into()))
            .collect();
        let names: Vec<_> = sockets.iter().map(|(role, _)| role.name).collect();
        // High numbers, so that the shell can put them where the daemon looks without overwriting one of them.
        let copies: Vec<OwnedFd> = sockets
            .iter()
            .map(|(_, socket)| rustix::io::fcntl_dupfd_cloexec(socket.as_fd(), 100).unwrap())
            .collect();
        let moves: Vec<String> = (3..)
            .zip(&copies)
            .map(|(to, from)| format!("{to}<&{}", from.as_raw_fd()))
            .collect();
        let script = format!(
            "exec {}; export LISTEN_PID=$$; exec \"$0\" \"$@\"",
            moves.join(" ")
        );
        let mut command = Command::new("bash");
        command
            .arg("-c")
            .arg(script)
            .arg(daemon)
            .arg("--worker")
            .arg(worker)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LISTEN_FDS", "2")
            .env("LISTEN_FDNAMES", names.join(":"))
            .env("HOLDFAST_RUN", self.run())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let guard = ONE_AT_A_TIME.lock().unwrap();
        for copy in &copies {
            rustix::io::fcntl_setfd(copy, rustix::io::FdFlags::empty()).unwrap();
        }
        let child = command.spawn().unwrap();
        drop(copies);
        drop(guard);
        Daemon { child }
    }

    pub fn generate(&self, request: &GenerateRequest) -> Result<Answering<'_>, Problem> {
        let client = Client::new(role::INFERENCE_GENERATE.path(&self.run()));
        let events = self
            .runtime
            .block_on(client.post_events("/v1/generate", request))?;
        Ok(Answering { place: self, events })
    }

    pub fn embed(
        &self,
        model: Digest,
        input: &[&str],
    ) -> Result<holdfast_contract::inference::Embeddings, Problem> {
        let client = Client::new(role::INFERENCE_GENERATE.path(&self.run()));
        let input = input.iter().map(|text| (*text).to_owned()).collect();
        let request = holdfast_contract::inference::EmbedRequest { model, input };
        self.runtime.block_on(client.post("/v1/embed", &request))
    }

    pub fn admin(&self) -> Client {
        Client::new(role::INFERENCE_ADMIN.path(&self.run()))
    }

    pub fn engines(&self) -> Engines {
        self.runtime.block_on(self.admin().get("/v1/engines")).unwrap()
    }

    pub fn unload(&self, model: Digest) -> Result<Engines, Problem> {
        self.runtime
            .block_on(self.admin().post("/v1/unload", &Unload { model }))
    }
}

/// A daemon that is killed with the test.
pub struct Daemon {
    pub child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer that is being made.
pub struct Answering<'p> {
    place: &'p Place,
    events: Events<GenerateEvent>,
}

impl Answering<'_> {
    pub fn next(&mut self) -> Option<GenerateEvent> {
        self.place
            .runtime
            .block_on(self.events.next())
            .map(|event| event.unwrap())
    }

    /// All events to the end.
    pub fn all(mut self) -> Vec<GenerateEvent> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The text, and the last event.
    pub fn text(self) -> (String, GenerateEvent) {
        let mut all = self.all();
        let last = all.pop().unwrap();
        let text = all
            .iter()
            .filter_map(|event| match event {
                GenerateEvent::Token { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        (text, last)
    }

    /// The problem at the end.
    pub fn problem(self) -> Problem {
        match self.text().1 {
            GenerateEvent::Failed { problem } => problem,
            other => panic!("{other:?}"),
        }
    }
}

/// A worker that is a shell script. It has the model as standard input and the socket as standard output.
pub fn script(place: &Place, name: &str, body: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = place.directory.path().join(name);
    let text = format!(
        r#"#!/bin/bash
directory={}
say() {{ printf '%s\n' "$1"; }}
hear() {{ IFS= read -r heard <&1; }}
id() {{ id=${{heard#*'"id":'}}; id=${{id%%[!0-9]*}}; }}
load() {{
    hear
    say '{{"report":"confined","landlock_abi":1,"syscalls":1,"grants":[],"missing":[]}}'
    say '{{"report":"loaded","slots":'${{1:-2}}',"context_tokens":100,"format":"plain"}}'
}}
token() {{ say '{{"report":"token","id":'$id',"tokens":'${{2:-1}}',"text":"'$1'"}}'; }}
done_() {{ say '{{"report":"done","id":'$id',"finish":"stop","prompt_tokens":3,"completion_tokens":'$1'}}'; }}
{body}
"#,
        place.directory.path().display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

pub fn request(model: Digest) -> GenerateRequest {
    GenerateRequest {
        model,
        prompt: Prompt::Text("the one".to_owned()),
        sampling: Sampling {
            temperature: 0.0,
            ..Sampling::default()
        },
        max_tokens: None,
        stop: Vec::new(),
        logprobs: None,
    }
}

pub fn conversation(model: Digest, said: &str) -> GenerateRequest {
    let message = Message {
        role: Speaker::User,
        content: said.to_owned(),
    };
    GenerateRequest {
        prompt: Prompt::Messages(vec![message]),
        ..request(model)
    }
}

/// Waits until `holds`, which must be soon.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "did not happen: {what}");
        std::thread::yield_now();
        // A look at the daemon from time to time is enough; what is waited for is checked, not the time.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn missing() -> Problem {
    Problem::new(ProblemKind::NotFound, "there is no such model")
}

fn detail(summary: ModelSummary) -> ModelDetail {
    let zero = Digest::from_bytes([0; 32]);
    let report = Report {
        sha256: Some(summary.digest),
        size_bytes: summary.size_bytes,
        format: summary.format.clone(),
        verdict: summary.verdict,
        conditions: summary.conditions.clone(),
        findings: Vec::new(),
        findings_omitted: 0,
        model: None,
        converted_from: None,
        inspector: "test".to_owned(),
        rules: None,
    };
    ModelDetail {
        summary,
        report,
        manifest: zero,
        statement: zero,
    }
}

async fn answer_open(models: Models, conversation: Conversation) {
    while let Ok(Some((OpenRequest { digest }, _))) = conversation.receive().await {
        let found = models.lock().unwrap().get(&digest).cloned();
        let (answer, file) = match found {
            Some((summary, path)) => (
                OpenAnswer::Opened {
                    model: Box::new(summary),
                },
                Some(OwnedFd::from(File::open(path).unwrap())),
            ),
            None => (OpenAnswer::Problem { problem: missing() }, None),
        };
        if conversation
            .send(&answer, file.as_ref().map(|file| file.as_fd()))
            .await
            .is_err()
        {
            return;
        }
    }
}
