//! A unit on the other side of the socket that answers what the test says, and registers in files.

use std::io::Write as _;
use std::os::unix::net::UnixListener;

use super::*;

struct Machine {
    directory: tempfile::TempDir,
    source: Source,
}

fn machine() -> Machine {
    let directory = tempfile::tempdir().unwrap();
    let source = Source {
        socket: directory.path().join("socket"),
        policy: directory.path().join("policy"),
        registers: directory.path().to_owned(),
    };
    Machine { directory, source }
}

impl Machine {
    fn policy(&self) {
        let policy = r#"{"pcrBank":"sha256","pcrValues":[{"pcr":0,"values":["a0","a1"]},{"pcr":2,"values":["c0"]},{"pcr":3,"values":["d0"]}]}"#;
        std::fs::write(&self.source.policy, policy).unwrap();
    }

    fn registers(&self, values: [&str; 3]) {
        for (register, value) in Firmware::REGISTERS.into_iter().zip(values) {
            std::fs::write(self.directory.path().join(register.to_string()), value).unwrap();
        }
    }

    /// What comes of an answer.
    fn answered(&self, answer: &str) -> Firmware {
        self.answered_in_turn(&[answer])
    }

    /// What comes of one answer after the other, each to a connection of its own.
    fn answered_in_turn(&self, answers: &[&str]) -> Firmware {
        let listener = UnixListener::bind(&self.source.socket).unwrap();
        let answers: Vec<_> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let other = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                // Whoever asked may have hung up before all of a long answer was written.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let firmware = self.source.ask_until_free(Duration::from_millis(1));
        other.join().unwrap();
        std::fs::remove_file(&self.source.socket).unwrap();
        firmware.unwrap_or(Firmware::ProgramFailed)
    }
}

#[test]
fn an_answer_is_taken_as_it_is() {
    let machine = machine();
    machine.policy();
    for firmware in [
        Firmware::Pinned,
        Firmware::NoEventLog,
        Firmware::NotCovered { register: 2 },
        Firmware::ProgramHung,
    ] {
        assert_eq!(
            machine.answered(&serde_json::to_string(&firmware).unwrap()),
            firmware
        );
    }
}

#[test]
fn nothing_is_bound_to_a_policy_that_is_not_there() {
    assert_eq!(machine().answered(r#""pinned""#), Firmware::ProgramFailed);
}

#[test]
fn no_unit_and_no_answer_mean_that_it_is_not_pinned() {
    let machine = machine();
    machine.policy();
    assert_eq!(machine.source.ask(), Firmware::ProgramFailed, "no socket");
    for answer in ["{", "[]", r#"{"pinned":"and more"}"#, r#""surely""#] {
        assert_eq!(machine.answered(answer), Firmware::ProgramFailed, "{answer}");
    }
    let long = format!("{}{}", " ".repeat(4096), r#""pinned""#);
    assert_eq!(machine.answered(&long), Firmware::ProgramFailed);
}

#[test]
fn a_unit_that_is_still_about_an_earlier_request_is_asked_again() {
    let machine = machine();
    machine.policy();
    assert_eq!(
        machine.answered_in_turn(&["", "", r#""pinned""#]),
        Firmware::Pinned
    );
    let never = vec![""; ATTEMPTS as usize];
    assert_eq!(machine.answered_in_turn(&never), Firmware::ProgramFailed);
}

#[test]
fn a_key_whose_policy_is_gone_is_not_called_pinned() {
    let machine = machine();
    assert_eq!(machine.source.with_policy(Firmware::Pinned), Firmware::PolicyGone);
    assert_eq!(
        machine.source.with_policy(Firmware::NoEventLog),
        Firmware::NoEventLog
    );
    machine.policy();
    assert_eq!(machine.source.with_policy(Firmware::Pinned), Firmware::Pinned);
}

#[test]
fn a_unit_that_does_not_answer_is_not_waited_for_for_ever() {
    let machine = machine();
    let _listener = UnixListener::bind(&machine.source.socket).unwrap();
    let error = machine.source.try_to_ask(Duration::from_millis(200)).unwrap_err();
    assert!(
        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        "{error}"
    );
}

#[test]
fn what_differs_is_named() {
    let machine = machine();
    machine.policy();
    machine.registers(["A1\n", "C0\n", "D0\n"]);
    assert_eq!(machine.source.difference(), None);
    machine.registers(["A2\n", "C0\n", "\n"]);
    let difference = machine.source.difference().unwrap();
    assert!(
        difference.contains("PCR 0") && difference.contains("PCR 3"),
        "{difference}"
    );
    assert!(!difference.contains("PCR 2"), "{difference}");
    for register in Firmware::REGISTERS {
        std::fs::remove_file(machine.directory.path().join(register.to_string())).unwrap();
    }
    assert!(machine.source.difference().unwrap().contains("PCR 2"));
}

#[test]
fn a_policy_that_is_gone_or_damaged_is_named() {
    let machine = machine();
    machine.registers(["A0", "C0", "D0"]);
    assert!(machine.source.difference().unwrap().contains("is gone"));
    std::fs::write(&machine.source.policy, "{").unwrap();
    assert!(machine.source.difference().unwrap().contains("is gone"));
}
