//! A `systemd-pcrlock` made of a script that does what the test says, and notes what it was asked.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use super::*;

const ALL: &str = r#"[{"pcr":0,"values":["aa","a0"]},{"pcr":2,"values":["cc"]},{"pcr":3,"values":["dd"]}]"#;
const WITHOUT_2: &str = r#"[{"pcr":0,"values":["aa"]},{"pcr":2,"values":[]},{"pcr":3,"values":["dd"]}]"#;

struct Machine {
    directory: tempfile::TempDir,
    pcrlock: Pcrlock,
}

/// `predict` and `make-policy` are what the script does then; every other command succeeds.
fn machine(predict: &str, make_policy: &str) -> Machine {
    machine_that("true", predict, make_policy)
}

fn machine_that(lock: &str, predict: &str, make_policy: &str) -> Machine {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("log"), "events").unwrap();
    let script = format!(
        "#!/bin/bash\ncd '{}'\necho \"$*\" >>asked\ncase $1 in\nlock-*) {lock} ;;\npredict) {predict} ;;\nremove-policy) rm -f policy ;;\nmake-policy) {make_policy} ;;\nesac\n",
        directory.path().display()
    );
    // Renamed into place: a file that is still open for writing in another test's child cannot be run.
    std::fs::write(at("script"), script).unwrap();
    std::fs::set_permissions(at("script"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let pcrlock = Pcrlock {
        program: at("script"),
        log: at("log"),
        policy: at("policy"),
        patience: Duration::from_secs(30),
    };
    Machine { directory, pcrlock }
}

impl Machine {
    /// For somebody who waits for the answer.
    fn pin(&self) -> Firmware {
        let (_theirs, ours) = UnixStream::pair().unwrap();
        self.pcrlock.pin(ours.as_fd())
    }

    /// A pipe with this name, by which the script and the test wait for each other.
    fn pipe(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        path
    }

    fn asked(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("asked")).unwrap_or_default()
    }
}

fn predicts(registers: &str) -> String {
    format!("echo '{{\"sha256\":{registers}}}'")
}

fn makes(registers: &str) -> String {
    format!("echo '{{\"pcrBank\":\"sha256\",\"pcrValues\":{registers}}}' >policy")
}

#[test]
fn every_pcr_is_said_in_advance_and_pinned() {
    let machine = machine(&predicts(ALL), &makes(ALL));
    assert_eq!(machine.pin(), Firmware::Pinned);
    let asked = machine.asked();
    let asked: Vec<_> = asked.lines().collect();
    assert_eq!(
        asked,
        [
            "lock-firmware-code",
            "lock-firmware-config",
            "predict --pcr=0+2+3 --json=short",
            "remove-policy",
            "make-policy --pcr=0+2+3 --recovery-pin=hide",
        ]
    );
}

#[test]
fn without_the_firmwares_log_nothing_is_run() {
    let machine = machine(&predicts(ALL), &makes(ALL));
    for log in [None, Some("")] {
        std::fs::remove_file(&machine.pcrlock.log).unwrap();
        if let Some(log) = log {
            std::fs::write(&machine.pcrlock.log, log).unwrap();
        }
        assert_eq!(machine.pin(), Firmware::NoEventLog);
        std::fs::write(&machine.pcrlock.log, "").unwrap();
    }
    // Even root cannot read a directory.
    std::fs::remove_file(&machine.pcrlock.log).unwrap();
    std::fs::create_dir(&machine.pcrlock.log).unwrap();
    assert_eq!(machine.pin(), Firmware::NoEventLog);
    assert_eq!(machine.asked(), "");
}

#[test]
fn a_pcr_that_is_not_covered_leaves_the_policy_before_in_place() {
    for predicted in [
        predicts(WITHOUT_2),
        "echo '{}'".to_owned(),
        "echo nonsense".to_owned(),
        "true".to_owned(),
    ] {
        let machine = machine(&predicted, &makes(ALL));
        std::fs::write(&machine.pcrlock.policy, "the one before").unwrap();
        let register = if predicted == predicts(WITHOUT_2) { 2 } else { 0 };
        assert_eq!(machine.pin(), Firmware::NotCovered { register }, "{predicted}");
        assert_eq!(
            std::fs::read_to_string(&machine.pcrlock.policy).unwrap(),
            "the one before"
        );
        assert!(!machine.asked().contains("policy"), "{}", machine.asked());
    }
}

#[test]
fn a_policy_that_says_less_than_the_prediction_is_not_used() {
    let machine = machine(&predicts(ALL), &makes(WITHOUT_2));
    assert_eq!(machine.pin(), Firmware::NotCovered { register: 2 });
}

#[test]
fn where_noting_fails_the_prediction_decides() {
    let fails = machine_that("false", &predicts(WITHOUT_2), &makes(ALL));
    assert_eq!(fails.pin(), Firmware::NotCovered { register: 2 });
}

#[test]
fn a_program_that_fails_or_is_not_there_is_said_to() {
    let machine = machine("exit 3", &makes(ALL));
    assert_eq!(machine.pin(), Firmware::ProgramFailed);
    let machine = self::machine(&predicts(ALL), "exit 3");
    assert_eq!(machine.pin(), Firmware::ProgramFailed);
    let machine = self::machine(&predicts(ALL), "true");
    assert_eq!(machine.pin(), Firmware::ProgramFailed, "it says that it made one");
    let mut machine = self::machine(&predicts(ALL), &makes(ALL));
    machine.pcrlock.program = "/nonexistent".into();
    // Whether noting worked does not matter; that there is no prediction does.
    assert_eq!(machine.pin(), Firmware::ProgramFailed);
}

#[test]
fn a_policy_from_before_that_does_not_go_is_not_taken_for_a_new_one() {
    let machine = machine(&predicts(ALL), "true");
    std::fs::create_dir(&machine.pcrlock.policy).unwrap();
    assert_eq!(machine.pin(), Firmware::ProgramFailed);
}

#[test]
fn a_program_that_hangs_is_ended() {
    // It would wait for ever: nobody writes to the pipe. The second hands its output on to a child, which holds it open.
    for hangs in ["mkfifo pipe; exec cat pipe", "mkfifo pipe; cat pipe & wait"] {
        let mut machine = machine(hangs, &makes(ALL));
        machine.pcrlock.patience = Duration::from_secs(2);
        assert_eq!(machine.pin(), Firmware::ProgramHung);
        let mut machine = machine_that(hangs, &predicts(ALL), &makes(ALL));
        machine.pcrlock.patience = Duration::from_millis(300);
        assert_eq!(machine.pin(), Firmware::ProgramHung);
    }
}

#[test]
fn more_output_than_a_pipe_holds_is_read() {
    let long = format!("{}; printf '%*s' 200000 ''", predicts(ALL));
    let machine = machine(&long, &makes(ALL));
    assert_eq!(machine.pin(), Firmware::Pinned);
}

#[test]
fn who_calls_it_off_in_time_keeps_the_policy_from_before() {
    let machine = machine(&predicts(ALL), &makes(ALL));
    assert_eq!(machine.pin(), Firmware::Pinned);
    let before = std::fs::read(&machine.pcrlock.policy).unwrap();
    std::fs::remove_file(machine.directory.path().join("asked")).unwrap();
    let (theirs, ours) = UnixStream::pair().unwrap();
    drop(theirs);
    assert_eq!(machine.pcrlock.pin(ours.as_fd()), Firmware::ProgramFailed);
    assert!(!machine.asked().contains("-policy"), "{}", machine.asked());
    assert_eq!(std::fs::read(&machine.pcrlock.policy).unwrap(), before);
}

#[test]
fn a_program_that_nobody_waits_for_any_more_is_ended() {
    // It says that it has begun, and would then wait for ever.
    let machine = machine("mkfifo pipe; echo >begun; cat <pipe", &makes(ALL));
    let begun = machine.pipe("begun");
    let (theirs, ours) = UnixStream::pair().unwrap();
    let hangs_up = std::thread::spawn(move || {
        std::fs::read(begun).unwrap();
        drop(theirs);
    });
    let started = Instant::now();
    assert_eq!(machine.pcrlock.pin(ours.as_fd()), Firmware::ProgramFailed);
    assert!(started.elapsed() < machine.pcrlock.patience);
    hangs_up.join().unwrap();
}

#[test]
fn what_has_begun_to_replace_a_policy_is_gone_on_with() {
    let machine = machine(
        &predicts(ALL),
        &format!("echo >begun; read <gone; {}", makes(ALL)),
    );
    let (begun, gone) = (machine.pipe("begun"), machine.pipe("gone"));
    let (theirs, ours) = UnixStream::pair().unwrap();
    let hangs_up = std::thread::spawn(move || {
        std::fs::read(begun).unwrap();
        drop(theirs);
        std::fs::write(gone, "\n").unwrap();
    });
    assert_eq!(machine.pcrlock.pin(ours.as_fd()), Firmware::Pinned);
    hangs_up.join().unwrap();
}
