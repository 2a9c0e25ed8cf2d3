//! Starting and stopping: what a person sees, that nothing is left behind, and that everything is found again.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_contract::role::Service;
use holdfast_tests::http::Request;
use holdfast_tests::page::Person;
use holdfast_tests::process::{Process, working_in};
use holdfast_tests::run::run;
use holdfast_tests::suite::{Options, START_DEADLINE, Suite, command};
use holdfast_tests::tools::say;
use holdfast_tests::wait;
use rustix::process::Signal;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn options(state: &Path) -> Options {
    Options {
        state: Some(state.to_owned()),
        ..Options::default()
    }
}

#[test]
fn one_line_says_that_everything_is_ready_and_where() {
    let mut suite = Suite::start();
    let ready = &suite.ready;
    assert_eq!(ready["event"], "ready");
    assert_eq!(ready["pid"], suite.up().pid);
    assert_eq!(ready["state"], suite.state().display().to_string());
    let token = suite.setup_token().unwrap();
    assert!(token.len() >= 32, "{token}");
    assert_eq!(ready["setup_url"], format!("{}/setup?token={token}", suite.url()));
    assert!(suite.address().ip().is_loopback());
    for service in Service::ALL {
        assert_eq!(
            ready["services"][service.name()],
            suite.process(service).pid,
            "{service}"
        );
    }
    let weaknesses = ready["weaknesses"].to_string();
    for word in ["TPM", "not encrypted"] {
        assert!(weaknesses.contains(word), "{weaknesses}");
    }

    let status = suite.cli(&["status"]).expect(0).json();
    assert_eq!(status["running"], true);
    assert_eq!(status["posture"]["mode"], "evaluation");
    let services = status["services"].as_array().unwrap();
    assert_eq!(services.len(), Service::ALL.len());
    for service in services {
        assert_eq!(service["running"], true, "{service}");
    }
    assert!(status["ledger"]["size"].as_u64().unwrap() > 0);
    let text = suite.cli_text(&["status"]).expect(0).stdout.clone();
    for word in ["Landlock", "evaluation", "not encrypted", "Ledger:"] {
        assert!(text.contains(word), "{word} in {text}");
    }

    let took = suite.stop();
    say(&format!(
        "[measured] start: first start ready in {:?}, stop in {took:?}",
        suite.started_in
    ));
    suite.cli(&["status"]).expect(3);
    let exit = suite.cli(&["chat", "Hello?"]);
    let error = exit.expect(3).json();
    assert!(error["next"].as_str().unwrap().contains("holdfast"), "{error}");
}

#[test]
fn a_second_start_finds_models_passphrase_and_ledger_and_is_quick() {
    let mut suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let file = crate::files::write(directory.path(), "small.gguf", &crate::files::small(1));
    suite.import(&file).expect(0);
    let person = Person::set_up(&suite);
    let token = person.api_token("laptop");
    let models = suite.models();
    assert_eq!(models.len(), 2, "{models:?}");
    let before = suite.ledger();
    let checkpoint = suite.cli(&["ledger", "checkpoint"]).expect(0).json();
    suite.stop_by(Signal::TERM);
    suite.start_again();

    say(&format!(
        "[measured] start: second start ready in {:?}",
        suite.started_in
    ));
    assert!(
        suite.started_in < Duration::from_secs(10),
        "{:?}",
        suite.started_in
    );
    assert!(
        suite.setup_token().is_none(),
        "the passphrase was chosen: {}",
        suite.ready
    );
    assert_eq!(suite.models(), models);
    let after = suite.ledger();
    assert_eq!(after[..before.len()], before[..]);
    // The checkpoint of the first run is a beginning of the second run's ledger.
    let checkpoint = checkpoint["checkpoint"].as_str().unwrap();
    let earlier = crate::files::write(directory.path(), "checkpoint", checkpoint.as_bytes());
    suite
        .cli(&["ledger", "verify", "--since", earlier.to_str().unwrap()])
        .expect(0);
    Person::sign_in(&suite);
    Request::get("/v1/models")
        .header("Authorization", &format!("Bearer {token}"))
        .ask(&suite.page())
        .expect(200);
    // The guide model is not brought in twice.
    let imports = |entries: &[_]| {
        let received = |one: &&holdfast_contract::ledger::IndexedEntry| {
            one.entry.event == holdfast_contract::ledger::Event::IntakeReceived
        };
        entries.iter().filter(received).count()
    };
    assert_eq!(imports(&after), imports(&before));
    suite.stop();
}

#[test]
fn one_suite_runs_on_a_state_directory_at_a_time() {
    let suite = Suite::start();
    let exit = Suite::try_start(&options(suite.state())).unwrap_err();
    assert_eq!(exit.code, Some(2), "{exit:?}");
    let said = format!("{}{}", exit.stdout, exit.stderr);
    assert!(
        said.contains("in use") && said.contains(&suite.up().pid.to_string()),
        "{said}"
    );
    // The one that runs has not noticed.
    suite.cli(&["status"]).expect(0);
}

#[test]
fn a_port_that_is_taken_is_a_clear_error_and_leaves_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let exit = Suite::try_start(&Options {
        listen: taken.local_addr().unwrap().to_string(),
        ..options(&state)
    })
    .unwrap_err();
    assert_eq!(exit.code, Some(2), "{exit:?}");
    let said = format!("{}{}", exit.stdout, exit.stderr);
    assert!(
        said.contains("--listen") && said.contains(&taken.local_addr().unwrap().to_string()),
        "{said}"
    );
    assert!(working_in(&state).is_empty());
    assert!(!state.join("run").exists(), "run/ is left");
}

#[test]
fn a_signal_at_any_moment_of_the_start_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let mut suite = Suite::start_in(&state);
    let whole = suite.started_in;
    suite.stop();
    drop(suite);
    for (step, signal) in [Signal::INT, Signal::TERM, Signal::HUP, Signal::INT, Signal::TERM]
        .into_iter()
        .enumerate()
    {
        let mut child = command(&state)
            .args(["up", "--listen", "127.0.0.1:0", "--json", "--root"])
            .arg(holdfast_tests::source())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * u32::try_from(step + 1).unwrap() / 6);
        let up = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
        let processes = up.descendants();
        up.signal(signal);
        let ended = holdfast_tests::run::ended(&mut child, START_DEADLINE);
        if ended.is_none() {
            let _ = child.kill();
        }
        assert!(
            ended.is_some(),
            "{signal:?} after {step}/6 of the start does not end it"
        );
        let left: Vec<_> = processes.iter().filter(|process| process.is_alive()).collect();
        assert!(
            left.is_empty(),
            "{signal:?} after {step}/6 of the start leaves {left:?}"
        );
        assert!(working_in(&state).is_empty());
        assert!(
            !state.join("run").exists(),
            "{signal:?} after {step}/6 of the start leaves run/"
        );
    }
    Suite::start_in(&state).stop();
}

#[test]
fn killing_the_supervisor_takes_everything_with_it_and_the_next_start_works() {
    let mut suite = Suite::start();
    let person = Person::set_up(&suite);
    drop(person);
    // With an engine at work, so that there is a grandchild as well.
    let (question, answer) = crate::chat::questions().swap_remove(0);
    suite.cli(&["chat", &question]).expect(0);
    assert!(!suite.engines().is_empty());
    suite.kill_up();
    assert!(
        suite.state().join("run").exists(),
        "there is something left to cope with"
    );
    suite.start_again();
    Person::sign_in(&suite);
    let said = suite.cli(&["chat", &question]).expect(0).json();
    assert_eq!(said["answer"].as_str().unwrap().trim(), answer);
    suite.cli(&["ledger", "verify"]).expect(0);
    suite.stop();
}

#[test]
fn stale_sockets_and_a_stale_lock_do_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let sockets = state.join("run/registry");
    std::fs::create_dir_all(&sockets).unwrap();
    drop(std::os::unix::net::UnixListener::bind(sockets.join("read.sock")).unwrap());
    std::fs::write(state.join("lock"), "1\n").unwrap();
    let mut suite = Suite::start_in(&state);
    assert_eq!(suite.models().len(), 1);
    suite.stop();
}

#[test]
fn a_state_directory_below_one_that_only_its_owner_may_enter_works() {
    let directory = tempfile::tempdir().unwrap();
    let closed = directory.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut suite = Suite::start_in(&closed.join("state"));
    let (question, answer) = crate::chat::questions().swap_remove(0);
    let said = suite.cli(&["chat", &question]).expect(0).json();
    assert_eq!(said["answer"].as_str().unwrap().trim(), answer);
    if is_root() {
        let mode = std::fs::metadata(&closed).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "somebody opened the directory");
    }
    suite.stop();
}

#[test]
fn a_state_directory_whose_path_is_longer_than_a_sockets_name_works() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory
        .path()
        .join("a-long-name-".repeat(6))
        .join("and-another-long-name-".repeat(3));
    assert!(state.as_os_str().len() > 150);
    let mut suite = Suite::start_in(&state);
    let status = suite.cli(&["status"]).expect(0).json();
    assert_eq!(status["running"], true);
    suite.import(&crate::files::guide()).expect(0);
    suite.stop();
}

#[test]
fn a_state_directory_with_odd_characters_works() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("Zoë's state: 100 %");
    let mut suite = Suite::start_in(&state);
    suite.cli(&["status"]).expect(0);
    suite.stop();
}

#[test]
fn a_state_directory_that_cannot_be_one_is_a_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = crate::files::write(directory.path(), "file", b"");
    let exit = Suite::try_start(&options(&file)).unwrap_err();
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert!(
        exit.stderr.contains("file") || exit.stdout.contains("file"),
        "{exit:?}"
    );
    let dangling = directory.path().join("dangling");
    symlink(directory.path().join("nowhere"), &dangling).unwrap();
    let exit = Suite::try_start(&options(&dangling)).unwrap_err();
    assert_eq!(exit.code, Some(2), "{exit:?}");
}

/// The built programs and what they ship with, as far as `holdfast up` needs it, below `tree`. Returns the path of `holdfast` there.
fn copy_of_the_suite(tree: &Path) -> PathBuf {
    let source = holdfast_tests::source();
    let copy = |from: &Path, to: &Path| {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    };
    for part in ["systemd", "services/guide-model/guide.gguf"] {
        let from = source.join(part);
        if from.is_file() {
            copy(&from, &tree.join(part));
        }
        for file in holdfast_tests::store::files(&from) {
            copy(&from.join(&file), &tree.join(part).join(&file));
        }
    }
    for name in ["", "-inspect", "-engine"]
        .map(str::to_owned)
        .into_iter()
        .chain(Service::ALL.map(|service| format!("-{service}")))
    {
        let name = format!("holdfast{name}");
        copy(
            &holdfast_tests::run::program(&name),
            &tree.join("programs").join(&name),
        );
    }
    tree.join("programs/holdfast")
}

#[test]
fn without_root_it_runs_as_the_one_user_and_says_so() {
    if !is_root() {
        let suite = Suite::shared();
        assert!(suite.suite.ready["weaknesses"].to_string().contains("one user"));
        return;
    }
    let Some(setpriv) = holdfast_tests::tools::program("setpriv") else {
        return;
    };
    // Somebody else needs to reach the programs and the source.
    let nobody = 65_534;
    let reachable = |path: &Path| {
        let mut test = std::process::Command::new(&setpriv);
        test.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "test",
            "-r",
        ])
        .arg(path);
        run(&mut test, Duration::from_secs(10)).code == Some(0)
    };
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(nobody), Some(nobody)).unwrap();
    // The build may lie where only root may look.
    let tree = directory.path().join("tree");
    let program = copy_of_the_suite(&tree);
    assert!(reachable(&program) && reachable(&tree.join("systemd/holdfast-registry.service")));
    let state = directory.path().join("state");
    let as_nobody = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&setpriv);
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
            .arg(&program)
            .arg("--state")
            .arg(&state)
            .args(arguments)
            .env("HOME", directory.path())
            .stdin(std::process::Stdio::null());
        command
    };
    let mut command = as_nobody(&["up", "--listen", "127.0.0.1:0", "--json", "--root"]);
    let mut up = command
        .arg(&tree)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let status = wait::maybe(START_DEADLINE, || {
        let exit = run(&mut as_nobody(&["--json", "status"]), Duration::from_secs(20));
        (exit.code == Some(0)).then(|| exit.json())
    });
    let said = status
        .as_ref()
        .map(|status| status["posture"]["weaknesses"].to_string());
    let chat = run(&mut as_nobody(&["--json", "models"]), Duration::from_secs(20));
    let process = Process::of(i32::try_from(up.id()).unwrap()).unwrap();
    process.signal(Signal::INT);
    assert!(holdfast_tests::run::ended(&mut up, START_DEADLINE).is_some());
    assert!(said.unwrap().contains("one user"));
    assert_eq!(chat.code, Some(0), "{chat:?}");
    assert!(working_in(&state).is_empty());
}

#[test]
fn without_a_suite_every_command_says_so_and_how_to_begin() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"GGUF").unwrap();
    let file = file.to_str().unwrap();
    for arguments in [
        &["models"][..],
        &["chat", "Hello"],
        &["import", file],
        &["ledger", "log"],
    ] {
        let mut command = command(&directory.path().join("no-suite"));
        let exit = run(command.args(arguments), Duration::from_secs(20));
        assert_eq!(exit.code, Some(3), "{arguments:?}: {exit:?}");
        assert!(
            exit.stderr.contains("does not run here") && exit.stderr.contains("holdfast up"),
            "{arguments:?}: {exit:?}"
        );
    }
}

#[test]
fn a_service_that_fails_is_started_again_and_counted() {
    let suite = Suite::start();
    let killed = suite.kill(Service::Registry);
    suite.await_restarted(Service::Registry, killed);
    assert_eq!(suite.models().len(), 1);
    let status = suite.cli(&["status"]).expect(0).json();
    let services = status["services"].as_array().unwrap();
    let registry = services.iter().find(|one| one["service"] == "registry").unwrap();
    assert_eq!(registry["restarts"], 1, "{registry}");
}
