//! What each process may not do, tried from inside; and which process may reach which socket, asked of the kernel.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use holdfast_contract::role::{self, Protocol, Role, Service};
use holdfast_tests::process::Process;
use holdfast_tests::run::{program, run};
use holdfast_tests::suite::{COMMAND_DEADLINE, Suite, command};
use holdfast_tests::tools::skip;
use holdfast_tests::unit_file::UnitFile;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use rustix::process::{Gid, Uid};
use serde_json::Value;

/// What no process of Holdfast may do, whatever else it is for.
const NEVER: &[&str] = &[
    "open /etc/shadow",
    "open /etc/passwd",
    "create a file in /tmp",
    "connect to a TCP port",
    "listen on a TCP port",
    "run /bin/sh",
    "trace the parent process",
    "mount a file system",
];

#[track_caller]
fn assert_all_denied(who: &str, attempts: &[Value]) {
    for attempt in attempts {
        assert_eq!(attempt["denied"], true, "{who}: {attempt}");
    }
    let tried: Vec<&str> = attempts
        .iter()
        .filter_map(|attempt| attempt["attempt"].as_str())
        .collect();
    for never in NEVER {
        assert!(tried.contains(never), "{who} has not tried to {never}: {tried:?}");
    }
}

#[test]
fn every_daemon_is_denied_what_it_must_not_do() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let mut prove = command(&state);
    prove
        .args([
            "up",
            "--prove-confinement",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--root",
        ])
        .arg(holdfast_tests::source());
    let exit = run(&mut prove, COMMAND_DEADLINE);
    let proofs = exit.lines();
    let mut services: Vec<&str> = Vec::new();
    for proof in &proofs {
        let service = proof["service"].as_str().unwrap();
        assert_eq!(proof["confined"], true, "{proof}");
        let attempts = proof["attempts"].as_array().unwrap();
        assert_all_denied(service, attempts);
        let writes: Vec<&str> = attempts
            .iter()
            .filter_map(|attempt| attempt["attempt"].as_str()?.strip_suffix(" for writing"))
            .collect();
        // The state of the others, the keys among it.
        assert!(
            writes.iter().any(|what| what.ends_with("credentials")),
            "{service}: {writes:?}"
        );
        let store = writes.iter().any(|what| what.contains("vault/registry"));
        assert_eq!(store, service != "registry", "{service}: {writes:?}");
        services.push(service);
    }
    services.sort_unstable();
    let mut all: Vec<&str> = Service::ALL.iter().map(|service| service.name()).collect();
    all.sort_unstable();
    assert_eq!(services, all);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(!state.join("run").exists());
}

#[test]
fn every_worker_is_denied_what_it_must_not_do() {
    for worker in ["holdfast-inspect", "holdfast-engine"] {
        let mut prove = Command::new(program(worker));
        prove.arg("--prove-confinement").env_clear().stdin(Stdio::null());
        let exit = run(&mut prove, Duration::from_secs(30));
        assert_eq!(exit.code, Some(0), "{worker}: {exit:?}");
        let attempts = exit.lines();
        assert_all_denied(worker, &attempts);
    }
}

#[test]
fn every_running_daemon_is_confined_as_the_kernel_says() {
    let suite = Suite::start();
    let (question, _) = crate::chat::questions().swap_remove(0);
    suite.cli(&["chat", &question]).expect(0);
    let root = rustix::process::geteuid().is_root();
    let mut users = BTreeMap::new();
    for service in Service::ALL {
        let daemon = suite.process(service);
        let workers = daemon.descendants();
        assert_eq!(
            workers.len(),
            usize::from(service == Service::Inference),
            "{service}: {workers:?}"
        );
        for process in [daemon].into_iter().chain(workers) {
            let who = format!("{service} ({})", process.name());
            assert_eq!(process.status("NoNewPrivs").as_deref(), Some("1"), "{who}");
            assert_eq!(process.status("Seccomp").as_deref(), Some("2"), "{who}");
            for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
                assert_eq!(
                    process.status(set).as_deref(),
                    Some("0000000000000000"),
                    "{who}: {set}"
                );
            }
            if root {
                assert_eq!(
                    process.status("CapBnd").as_deref(),
                    Some("0000000000000000"),
                    "{who}"
                );
                let ids = process.numbers("Uid");
                assert!(
                    ids[0] != 0 && ids.iter().all(|id| *id == ids[0]),
                    "{who}: {ids:?}"
                );
                let ids = process.numbers("Gid");
                assert!(
                    ids[0] != 0 && ids.iter().all(|id| *id == ids[0]),
                    "{who}: {ids:?}"
                );
                users.insert(service, process.numbers("Uid")[0]);
            }
        }
    }
    if root {
        let distinct: std::collections::BTreeSet<_> = users.values().collect();
        assert_eq!(distinct.len(), Service::ALL.len(), "{users:?}");
    }
    // What the services say of themselves.
    let status = suite.cli(&["status"]).expect(0).json();
    for service in status["services"].as_array().unwrap() {
        let confinement = &service["status"]["confinement"];
        if confinement.is_object() {
            assert!(confinement["syscalls"].as_u64() > Some(10), "{service}");
            assert!(confinement["landlock_abi"].as_u64() > Some(0), "{service}");
            assert!(confinement["syscalls"].as_u64() < Some(250), "{service}");
            // What this kernel cannot enforce is said in words.
            for missing in confinement["missing"].as_array().unwrap() {
                assert!(missing.as_str().unwrap().len() > 20, "{service}");
            }
        }
    }
}

/// Who may call which role, as in the table of the design page. `guide` imports the guide model.
const CALLERS: &[(Role, &[&str])] = &[
    (role::REGISTRY_READ, &["console", "guide", "inference"]),
    (role::REGISTRY_OPEN, &["inference"]),
    (role::REGISTRY_ADMIT, &["quarantine"]),
    (role::REGISTRY_ADMIN, &["console"]),
    (role::QUARANTINE_SUBMIT, &["console", "guide"]),
    (role::QUARANTINE_READ, &["console", "guide"]),
    (role::INFERENCE_GENERATE, &["console"]),
    (role::INFERENCE_ADMIN, &["console"]),
    (
        role::RECORDER_APPEND,
        &["console", "inference", "quarantine", "registry", "vault"],
    ),
    (role::RECORDER_READ, &["console"]),
    (role::VAULT_OPERATE, &["console"]),
    (role::VAULT_CONTAIN, &[]),
];

/// Roles that detectors may call; every daemon may be one.
const DETECTORS: Role = role::RECORDER_REPORT;

#[derive(Debug, Clone)]
struct Identity {
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

impl Identity {
    fn of(process: Process) -> Self {
        Self {
            user: process.numbers("Uid")[1],
            group: process.numbers("Gid")[1],
            groups: process.numbers("Groups"),
        }
    }

    /// Whether a process with this identity is let to a socket. Asked of the kernel by a thread that takes the identity on,
    /// for good: it ends with the answer.
    fn reaches(&self, socket: &std::path::Path, protocol: Protocol) -> bool {
        let (identity, socket) = (self.clone(), socket.to_owned());
        let asking = std::thread::spawn(move || {
            let groups: Vec<Gid> = identity.groups.iter().map(|id| Gid::from_raw(*id)).collect();
            let (user, group) = (Uid::from_raw(identity.user), Gid::from_raw(identity.group));
            rustix::thread::set_thread_groups(&groups).unwrap();
            rustix::thread::set_thread_res_gid(group, group, group).unwrap();
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            let kind = match protocol {
                Protocol::Http => SocketType::STREAM,
                Protocol::Descriptors => SocketType::SEQPACKET,
            };
            let stream = rustix::net::socket(AddressFamily::UNIX, kind, None).unwrap();
            match rustix::net::connect(&stream, &SocketAddrUnix::new(&socket).unwrap()) {
                Ok(()) => true,
                Err(rustix::io::Errno::ACCESS) => false,
                Err(error) => panic!("{}: {error}", socket.display()),
            }
        });
        asking.join().unwrap()
    }
}

#[test]
fn who_reaches_which_socket_is_what_the_design_says() {
    if !rustix::process::geteuid().is_root() {
        skip("only root can take on the identities of the services");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // The sockets' own modes are to decide, not that of a directory above them.
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let suite = Suite::start_in(&directory.path().join("state"));
    let mut identities: BTreeMap<String, Identity> = Service::ALL
        .iter()
        .map(|service| (service.name().to_owned(), Identity::of(suite.process(*service))))
        .collect();
    let numbers = std::fs::read(suite.state().join("identities.json")).unwrap();
    let numbers: Value = serde_json::from_slice(&numbers).unwrap();
    let number = |kind: &str, name: &str| u32::try_from(numbers[kind][name].as_u64().unwrap()).unwrap();
    // It has run and ended.
    let guide = UnitFile::read(&holdfast_tests::source().join("systemd/holdfast-guide.service")).unwrap();
    identities.insert(
        "guide".to_owned(),
        Identity {
            user: number("users", "holdfast-guide"),
            group: number("groups", "holdfast-guide"),
            groups: guide
                .words("Service", "SupplementaryGroups")
                .into_iter()
                .map(|name| number("groups", name))
                .collect(),
        },
    );
    let stranger = Identity {
        user: 65_534,
        group: 65_534,
        groups: Vec::new(),
    };
    identities.insert("a stranger".to_owned(), stranger);
    for role in role::ALL {
        let Some((_, callers)) = CALLERS.iter().find(|(known, _)| known == role) else {
            assert_eq!(*role, DETECTORS, "a role that is not in the table");
            continue;
        };
        for (name, identity) in &identities {
            let reaches = identity.reaches(&suite.socket(*role), role.protocol);
            assert_eq!(reaches, callers.contains(&name.as_str()), "{name} and {role}");
        }
    }
    // Strangers do not report either, and nobody but its owner reaches a service's state or another's credentials.
    assert!(!identities["a stranger"].reaches(&suite.socket(DETECTORS), DETECTORS.protocol));
    suite.cli(&["status"]).expect(0);
}

#[test]
fn keys_and_state_can_be_read_by_their_service_only() {
    let suite = Suite::start();
    let state = suite.state();
    for (path, most) in [
        ("lib/credentials", 0o700),
        ("lib/credentials/ledger-key", 0o600),
        ("lib/credentials/statement-key", 0o600),
        ("lib/vault/registry", 0o700),
        ("lib/vault/console", 0o700),
        ("lib/vault-control", 0o700),
        ("lib/console", 0o700),
        ("lib/quarantine", 0o700),
        ("lib/incident-recorder", 0o700),
        ("log", 0o700),
    ] {
        let mode = std::fs::metadata(state.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & !most, 0, "{path} has mode {mode:o}");
    }
    for file in ["ledger.pub", "statement.pub"] {
        let mode = std::fs::metadata(state.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o644, "{file}");
    }
    // No secret in any environment or command line.
    for service in Service::ALL {
        let process = suite.process(service);
        let pid = process.pid;
        let token = suite.setup_token().unwrap();
        for file in ["environ", "cmdline"] {
            // As another user than root, a process that is not dumpable does not show its environment.
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(!text.contains(token), "{service}: {file}");
        }
    }
}
