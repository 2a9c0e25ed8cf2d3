//! `kill -9` at any moment: every process in turn, and all at once. Afterwards everything comes back by itself, what is kept is
//! consistent, what was acknowledged is there, and whoever waited was told.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use holdfast_contract::quarantine::{Stage, Submissions};
use holdfast_contract::role::{self, Service};
use holdfast_tests::http::Request;
use holdfast_tests::page::Person;
use holdfast_tests::run::{ended, program};
use holdfast_tests::store;
use holdfast_tests::suite::Suite;
use holdfast_tests::wait;
use serde_json::{Value, json};

use crate::files;
use crate::models::Parrot;

/// How large the file is during whose import something is killed, in bytes.
const LARGE: u64 = 96 << 20;
/// How often each service is killed. Its pauses before it is started again double.
const KILLS: u32 = 3;

/// Moments that are different in each run.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Self(now.subsec_nanos().into())
    }

    /// A part of a duration.
    fn part_of(&mut self, whole: Duration) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        whole * u32::try_from(self.0 >> 44).unwrap() / (1 << 20)
    }
}

#[track_caller]
fn submissions(suite: &Suite) -> Submissions {
    let answer = Request::get("/v1/submissions").ask(&suite.role(role::QUARANTINE_READ));
    serde_json::from_slice(&answer.expect(200).body).unwrap()
}

/// Everything runs, and everything that is kept is as if nobody had killed anybody.
#[track_caller]
fn assert_sound(suite: &Suite, when: &str) {
    wait::until(
        &format!("everything runs again: {when}"),
        Duration::from_secs(45),
        || (suite.cli(&["status"]).code == Some(0)).then_some(()),
    );
    let exit = suite.cli(&["ledger", "verify"]);
    assert_eq!(exit.code, Some(0), "{when}: {exit:?}");
    let names = store::check(&store::of(suite.state()));
    let models = suite.models();
    for model in &models {
        assert!(names.contains(&model.name), "{when}: {} in {names:?}", model.name);
        assert!(model.availability.is_ready(), "{when}: {model:?}");
    }
    // What is said about each file is true, and nothing is said to go on that does not.
    wait::until(
        &format!("no submission hangs: {when}"),
        Duration::from_secs(20),
        || {
            let Submissions { submissions } = submissions(suite);
            let goes_on = |stage| !matches!(stage, Stage::Admitted | Stage::Refused | Stage::Failed);
            (!submissions.iter().any(|one| goes_on(one.stage))).then_some(())
        },
    );
    for one in submissions(suite).submissions {
        match one.stage {
            Stage::Admitted => assert!(one.model.is_some(), "{when}: {one:?}"),
            Stage::Failed => assert!(one.problem.is_some(), "{when}: {one:?}"),
            stage => assert_eq!(stage, Stage::Refused, "{when}: {one:?}"),
        }
    }
    // The bytes of what did not come in are gone.
    let intake = suite.state().join("lib/quarantine");
    let left: Vec<_> = store::files(&intake)
        .into_iter()
        .filter(|file| std::fs::metadata(intake.join(file)).is_ok_and(|file| file.len() > 1 << 20))
        .collect();
    assert!(left.is_empty(), "{when}: {left:?}");
}

/// How long an import takes when nothing is killed.
fn undisturbed(suite: &Suite, directory: &Path) -> Duration {
    let exit = suite.import(&files::large(directory, "undisturbed.gguf", LARGE, 1000));
    exit.expect(0).took
}

/// Kills what `kill` kills during imports; each time the person is told, everything comes back, and the file can be brought in.
fn killed_during_imports(service: Service, kill: impl Fn(&Suite)) {
    let suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let whole = undisturbed(&suite, directory.path());
    let mut chance = Chance::new();
    for round in 0..KILLS {
        let file = files::large(directory.path(), &format!("round-{round}.gguf"), LARGE, round);
        let moment = chance.part_of(whole);
        let when = format!("{service} killed {moment:?} into an import of {whole:?}");
        let was = suite.process(service);
        let exit = std::thread::scope(|scope| {
            let import = scope.spawn(|| suite.import(&file));
            std::thread::sleep(moment);
            kill(&suite);
            import.join().unwrap()
        });
        let answer = exit.json();
        match exit.code {
            Some(0) => assert_eq!(answer["stage"], "admitted", "{when}: {answer}"),
            // A worker that is killed is a refusal, never a pass.
            Some(1) => assert_eq!(answer["stage"], "refused", "{when}: {answer}"),
            Some(2 | 3) => assert!(
                answer["stage"] == "failed" || answer["error"].as_str().is_some_and(|why| why.len() > 10),
                "{when}: {answer}"
            ),
            _ => panic!("{when}: {exit:?}"),
        }
        if !was.is_alive() {
            suite.await_restarted(service, was);
        }
        assert_sound(&suite, &when);
        let digest = suite.import(&file).expect(0).json()["report"]["sha256"].clone();
        let found = suite
            .models()
            .iter()
            .any(|model| digest == model.digest.to_string());
        assert!(found, "{when}");
    }
    let (question, answer) = crate::chat::questions().swap_remove(0);
    let said = suite
        .cli(&["chat", "--model", "guide", &question])
        .expect(0)
        .json();
    assert_eq!(said["answer"].as_str().unwrap().trim(), answer);
}

#[test]
fn quarantine_killed_during_imports() {
    killed_during_imports(Service::Quarantine, |suite| {
        suite.kill(Service::Quarantine);
    });
}

#[test]
fn the_registry_killed_during_imports() {
    killed_during_imports(Service::Registry, |suite| {
        suite.kill(Service::Registry);
    });
}

#[test]
fn the_incident_recorder_killed_during_imports() {
    killed_during_imports(Service::IncidentRecorder, |suite| {
        suite.kill(Service::IncidentRecorder);
    });
}

#[test]
fn the_scanner_killed_during_imports() {
    killed_during_imports(Service::Quarantine, |suite| {
        let workers = suite.process(Service::Quarantine).descendants();
        workers
            .into_iter()
            .for_each(holdfast_tests::process::Process::kill);
    });
}

#[test]
fn everything_killed_at_once_during_imports() {
    let mut suite = Suite::start();
    let directory = tempfile::tempdir().unwrap();
    let whole = undisturbed(&suite, directory.path());
    let mut chance = Chance::new();
    for round in 0..6 {
        let file = files::large(directory.path(), &format!("round-{round}.gguf"), LARGE, round);
        let moment = chance.part_of(whole);
        let when = format!("everything killed {moment:?} into an import of {whole:?}");
        let mut import = suite
            .command()
            .arg("import")
            .arg(&file)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moment);
        suite.kill_up();
        let code = ended(&mut import, Duration::from_secs(20)).map(|status| status.code());
        if code.is_none() {
            let _ = import.kill();
        }
        assert!(code.is_some(), "the command waits for ever: {when}");
        suite.start_again();
        assert_sound(&suite, &when);
        if code != Some(Some(0)) {
            suite.import(&file).expect(0);
        }
        assert!(
            suite
                .models()
                .iter()
                .any(|model| model.name == format!("round-{round}")),
            "{when}"
        );
    }
    suite.stop();
}

/// Appends entries, each with a subject of its own, until told to stop. Returns those that were acknowledged.
fn append(suite: &Suite, who: u32, stop: &AtomicBool, done: &AtomicU64) -> Vec<(u64, String)> {
    let address = suite.role(role::RECORDER_APPEND);
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let subject = format!("appender-{who}-{number}");
        let body = json!({ "event": "engine.lifecycle", "outcome": "noted", "subject": subject });
        // While the recorder is away, connections wait for it; the one that it was answering breaks off.
        if let Ok(answer) = Request::json("/v1/entries", &body).send(&address)
            && answer.status == 200
        {
            acknowledged.push((answer.value()["index"].as_u64().unwrap(), subject));
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    acknowledged
}

#[test]
fn no_acknowledged_entry_is_lost_when_the_recorder_is_killed() {
    let suite = Suite::start();
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut chance = Chance::new();
    let acknowledged: Vec<_> = std::thread::scope(|scope| {
        let appenders: Vec<_> = (0..4)
            .map(|who| {
                let (suite, stop, done) = (&suite, &stop, &done);
                scope.spawn(move || append(suite, who, stop, done))
            })
            .collect();
        for _ in 0..KILLS {
            let before = done.load(Ordering::Relaxed);
            wait::until("entries are appended", Duration::from_secs(30), || {
                (done.load(Ordering::Relaxed) > before + 50).then_some(())
            });
            std::thread::sleep(chance.part_of(Duration::from_millis(50)));
            let killed = suite.kill(Service::IncidentRecorder);
            suite.await_restarted(Service::IncidentRecorder, killed);
        }
        stop.store(true, Ordering::Relaxed);
        appenders
            .into_iter()
            .flat_map(|appender| appender.join().unwrap())
            .collect()
    });
    let ledger = suite.ledger();
    assert!(acknowledged.len() > 150, "{}", acknowledged.len());
    for (index, subject) in &acknowledged {
        let entry = &ledger[usize::try_from(*index).unwrap()];
        assert_eq!((entry.index, &entry.entry.subject), (*index, subject));
    }
    assert_sound(&suite, "the recorder was killed while four appended");
}

/// A suite with the model that ticks, and somebody who is being answered by it.
struct Chatting {
    suite: Suite,
    person: Person,
    clock: String,
}

impl Chatting {
    fn start() -> Self {
        let suite = Suite::start();
        let person = Person::set_up(&suite);
        let ended = person.upload("clock.gguf", &Parrot::ticking().gguf());
        assert_eq!(
            ended.last().unwrap()["submission"]["stage"],
            "admitted",
            "{ended:?}"
        );
        let clock = suite.model("clock").digest.to_string();
        Self { suite, person, clock }
    }

    /// Lets the clock tick, kills something, and returns what was told after that; none where the connection broke.
    fn killed(&self, kill: impl FnOnce(&Suite)) -> Option<Vec<Value>> {
        let mut answer = self.person.say(&self.clock, "How late is it?");
        let mut texts = 0;
        while texts < 3 {
            let event = answer.event().unwrap();
            assert_ne!(event["event"], "ended", "{event}");
            texts += usize::from(event["event"] == "text");
        }
        kill(&self.suite);
        let begun = Instant::now();
        let mut told = Vec::new();
        loop {
            match answer.line() {
                Ok(Some(line)) => told.push(serde_json::from_str(&line).unwrap()),
                Ok(None) => return Some(told),
                Err(_) => return None,
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "it goes on as if nothing had happened"
            );
        }
    }

    /// The next chat works.
    fn works(&self, person: &Person) {
        let (question, expected) = crate::chat::questions().swap_remove(0);
        let guide = self.suite.model("guide").digest.to_string();
        let events = person.say(&guide, &question).events();
        let last = events.last().unwrap();
        assert_eq!(last["state"], "complete", "{last}");
        let text: String = events.iter().filter_map(|event| event["text"].as_str()).collect();
        assert_eq!(text.trim(), expected);
        let said = self
            .suite
            .cli(&["chat", "--model", "clock", "--max-tokens", "4", "And now?"]);
        assert_eq!(
            said.expect(0).json()["answer"].as_str().unwrap().trim(),
            "tick tock tick tock"
        );
    }
}

#[track_caller]
fn assert_interrupted(told: Option<Vec<Value>>) {
    let told = told.unwrap_or_default();
    let last = told.last().cloned().unwrap_or_default();
    assert_eq!(last["event"], "ended", "{told:?}");
    assert_eq!(last["state"], "interrupted", "{last}");
    let note = last["note"].as_str().unwrap();
    assert!(
        note.starts_with("This answer was interrupted.") && note.len() > 40,
        "{note}"
    );
}

#[test]
fn an_engine_killed_during_a_chat_is_told_plainly_and_the_next_chat_works() {
    let chatting = Chatting::start();
    for _ in 0..2 {
        let told = chatting.killed(|suite| {
            let engines = suite.engines();
            let busy = engines.iter().find(|engine| engine["active"] == 1).unwrap();
            let pid = i32::try_from(busy["pid"].as_i64().unwrap()).unwrap();
            holdfast_tests::process::Process::of(pid).unwrap().kill();
        });
        assert_interrupted(told);
        chatting.works(&chatting.person);
    }
    assert_sound(&chatting.suite, "an engine was killed during a chat");
    // Nobody else went down with it.
    let status = chatting.suite.cli(&["status"]).expect(0).json();
    for service in status["services"].as_array().unwrap() {
        assert_eq!(service["restarts"], 0, "{service}");
    }
}

#[test]
fn inference_killed_during_a_chat_takes_its_engines_with_it_and_comes_back() {
    let chatting = Chatting::start();
    let suite = &chatting.suite;
    let daemon = suite.process(Service::Inference);
    let mut engines = Vec::new();
    let told = chatting.killed(|suite| {
        engines = daemon.descendants();
        suite.kill(Service::Inference);
    });
    assert_interrupted(told);
    assert_eq!(engines.len(), 1);
    wait::until("its engine is gone", Duration::from_secs(5), || {
        (!engines[0].is_alive()).then_some(())
    });
    suite.await_restarted(Service::Inference, daemon);
    chatting.works(&chatting.person);
    assert_sound(suite, "inference was killed during a chat");
}

#[test]
fn the_console_killed_during_a_chat_keeps_what_there_was_and_frees_the_engine() {
    let chatting = Chatting::start();
    let suite = &chatting.suite;
    let console = suite.process(Service::Console);
    let told = chatting.killed(|suite| {
        // What is written is on disk every two seconds.
        let conversations = suite.state().join("lib/vault/console/conversations");
        wait::until("the answer is on disk", Duration::from_secs(10), || {
            let files = store::files(&conversations);
            // A temporary file has it a moment before.
            let kept = files
                .iter()
                .find(|file| !file.to_string_lossy().starts_with(".tmp-"))?;
            let text = std::fs::read_to_string(conversations.join(kept)).ok()?;
            text.contains("tick tock").then_some(())
        });
        suite.kill(Service::Console);
    });
    assert!(told.is_none(), "{told:?}");
    suite.await_restarted(Service::Console, console);
    wait::until("the engine is idle", Duration::from_secs(10), || {
        (suite.engine_load() == 0).then_some(())
    });
    // Sessions are gone, the passphrase is not.
    chatting.person.get("/chat").expect(303);
    let person = Person::sign_in(suite);
    let list = person.get("/chat").expect(200).text();
    let id = holdfast_tests::page::between(&list, "<a href=\"/chat/", "\"")
        .unwrap()
        .to_owned();
    let mut conversation = String::new();
    for link in list.split("href=\"/chat/").skip(1) {
        let id = link.split('"').next().unwrap();
        if id.len() == 32 {
            conversation = person.get(&format!("/chat/{id}")).expect(200).text();
        }
    }
    assert!(!id.is_empty());
    assert!(
        conversation.contains("data-state=\"interrupted\""),
        "{conversation}"
    );
    assert!(conversation.contains("tick tock"), "{conversation}");
    chatting.works(&person);
    assert_sound(suite, "the console was killed during a chat");
}

#[test]
fn the_recorder_killed_during_a_chat_loses_nothing() {
    let chatting = Chatting::start();
    let suite = &chatting.suite;
    let mut answer = chatting.person.say(&chatting.clock, "How late is it?");
    let begun = answer.event().unwrap();
    assert_eq!(begun["event"], "begun");
    while answer.event().unwrap()["event"] != "text" {}
    let killed = suite.kill(Service::IncidentRecorder);
    suite.await_restarted(Service::IncidentRecorder, killed);
    let id = begun["conversation"].as_str().unwrap();
    let stop = chatting
        .person
        .script(Request::new("POST", &format!("/chat/{id}/stop")));
    stop.ask(&suite.page()).expect(200);
    let ended = answer.events();
    assert_eq!(ended.last().unwrap()["event"], "ended", "{ended:?}");
    chatting.works(&chatting.person);
    assert_sound(suite, "the recorder was killed during a chat");
}

#[test]
fn without_the_recorder_nothing_is_done_that_would_have_to_be_recorded() {
    let suite = Suite::start();
    let person = Person::set_up(&suite);
    let recorder = suite.process(Service::IncidentRecorder);
    // Stopped, not killed: nobody answers, and nobody is there to take its place.
    recorder.signal(rustix::process::Signal::STOP);
    let models = suite.models().len();
    let directory = tempfile::tempdir().unwrap();
    let file = files::write(directory.path(), "unrecorded.gguf", &files::small(70));
    let exit = suite.import(&file);
    assert!(matches!(exit.code, Some(2 | 3)), "{exit:?}");
    let token = person.post("/api/tokens", &[("name", "unrecorded")]);
    assert!(
        token.status >= 500 && !token.text().contains("hf_"),
        "{}",
        token.status
    );
    assert_eq!(suite.models().len(), models);
    recorder.signal(rustix::process::Signal::CONT);
    wait::until("it answers again", Duration::from_secs(45), || {
        (suite.cli(&["status"]).code == Some(0)).then_some(())
    });
    suite.import(&file).expect(0);
    let page = person.get("/api").expect(200).text();
    assert!(!page.contains("unrecorded"), "the token does not exist");
}

#[test]
fn a_killed_worker_program_is_not_left_in_the_process_table() {
    let suite = Suite::start();
    let daemon = suite.process(Service::Quarantine);
    suite.import(&files::guide()).expect(0);
    assert!(program("holdfast-inspect").is_file());
    wait::until("its worker is gone", Duration::from_secs(10), || {
        let children =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid)).unwrap_or_default();
        children.trim().is_empty().then_some(())
    });
}
