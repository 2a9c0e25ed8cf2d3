//! What `open` hands out, and what it does when somebody was at the model's file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::fs::{File, FileTimes, Permissions};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use holdfast_contract::ledger::{Event, Outcome};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{Availability, ModelDetail, ModelSummary, Models};
use holdfast_contract::{Digest, Problem};
use holdfast_tests::tools::say;
use support::daemon::Place;
use support::spawn::Daemon;
use support::{admit, blob, checker, content, digest_of, eventually, next_tick, open};

/// A daemon with one admitted model, and the path of its file.
async fn admitted(bytes: &[u8]) -> (Place, Daemon, ModelSummary, PathBuf) {
    let place = Place::new();
    let daemon = place.start();
    let (model, _) = admit(&place.run(), "tiny.gguf", bytes).await.unwrap();
    let path = blob(&place.state(), model.digest);
    next_tick(&place.state());
    (place, daemon, model, path)
}

async fn availability(place: &Place) -> Availability {
    place.read().get::<Models>("/v1/models").await.unwrap().models[0].availability
}

/// Opens until the answer is not that the file is being read anew.
async fn open_settled(place: &Place, digest: Digest) -> Result<Vec<u8>, Problem> {
    eventually("the file was read anew", async || {
        match open(&place.run(), digest).await {
            Ok((_, file)) => Some(Ok(content(file))),
            Err(problem) if problem.kind == ProblemKind::Busy => None,
            Err(problem) => Some(Err(problem)),
        }
    })
    .await
}

/// The model is refused, shown as damaged, recorded, reported; and admitting the same bytes repairs it.
async fn assert_damaged_and_repaired(place: &Place, model: &ModelSummary, bytes: &[u8], reason: &str) {
    let problem = open_settled(place, model.digest).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Conflict);
    assert!(
        problem.detail.contains(reason),
        "{:?} does not say {reason:?}",
        problem.detail
    );
    assert_eq!(availability(place).await, Availability::Damaged);
    let denied = (Outcome::Denied, model.digest.to_string());
    assert!(place.recorder.of(Event::ModelOpen).contains(&denied));
    let incident = eventually("the incident is reported", async || {
        place
            .recorder
            .incidents()
            .into_iter()
            .find(|incident| incident.class == "registry.model-damaged")
    })
    .await;
    assert_eq!(incident.subject, model.digest.to_string());
    let (repaired, already_present) = admit(&place.run(), "tiny.gguf", bytes).await.unwrap();
    assert!(already_present);
    assert_eq!(repaired, *model);
    assert_eq!(open_settled(place, model.digest).await.unwrap(), bytes);
    checker::check(&place.state());
}

#[tokio::test]
async fn the_descriptor_only_reads() {
    let (_place, _daemon, model, path) = {
        let (place, daemon, model, path) = admitted(b"weights").await;
        let (_, file) = open(&place.run(), model.digest).await.unwrap();
        assert_eq!(rustix::io::write(&file, b"x"), Err(rustix::io::Errno::BADF));
        assert_eq!(rustix::fs::ftruncate(&file, 0), Err(rustix::io::Errno::INVAL));
        let flags = rustix::fs::OFlags::WRONLY;
        assert!(
            rustix::fs::fcntl_setfl(&file, flags).is_ok(),
            "the kernel ignores the access mode here"
        );
        assert_eq!(rustix::io::write(&file, b"x"), Err(rustix::io::Errno::BADF));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o444);
        assert_reopening_only_reads(&file);
        (place, daemon, model, path)
    };
    assert_eq!(digest_of(&std::fs::read(path).unwrap()), model.digest);
}

/// As a user who is not the registry's: what `/proc/self/fd` opens again can be read and not written.
fn assert_reopening_only_reads(file: &OwnedFd) {
    let reopen = |script: &str| {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(script)
            .stdin(Stdio::from(file.as_fd().try_clone_to_owned().unwrap()));
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        command.output().unwrap()
    };
    assert_eq!(reopen("exec cat /proc/self/fd/0").stdout, b"weights");
    for script in [
        ": >> /proc/self/fd/0",
        ": > /proc/self/fd/0",
        ": <> /proc/self/fd/0",
    ] {
        let output = reopen(script);
        assert!(!output.status.success(), "{script}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("ermission denied"),
            "{output:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let (place, _daemon, ..) = admitted(b"weights").await;
    let digest = digest_of(b"other");
    assert_eq!(
        open(&place.run(), digest).await.unwrap_err().kind,
        ProblemKind::NotFound
    );
    assert_eq!(
        place.recorder.of(Event::ModelOpen),
        [(Outcome::Denied, digest.to_string())]
    );
}

#[tokio::test]
async fn one_conversation_opens_several_times() {
    use holdfast_contract::registry::{OpenAnswer, OpenRequest};
    let (place, _daemon, model, _) = admitted(b"weights").await;
    let path = holdfast_contract::role::REGISTRY_OPEN.path(&place.run());
    let conversation = holdfast_ipc::descriptor::Conversation::connect(&path).unwrap();
    for _ in 0..3 {
        conversation
            .send(&OpenRequest { digest: model.digest }, None)
            .await
            .unwrap();
        let (answer, file) = conversation.receive::<OpenAnswer>().await.unwrap().unwrap();
        assert!(matches!(answer, OpenAnswer::Opened { .. }));
        assert_eq!(content(file.unwrap()), b"weights");
    }
}

/// The file, open for writing, as root or its owner would do it. With fs-verity nobody can.
fn open_for_writing(path: &Path) -> Option<File> {
    std::fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let file = match File::options().write(true).open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(error) => panic!("{error}"),
    };
    std::fs::set_permissions(path, Permissions::from_mode(0o444)).unwrap();
    file
}

/// With fs-verity the kernel answers for every byte: nothing that is done to the file's names or times matters.
async fn assert_untouched(place: &Place, model: &ModelSummary) {
    say("[measured] registry: fs-verity is in force here, the file cannot be written to");
    assert_eq!(
        content(open(&place.run(), model.digest).await.unwrap().1),
        b"weights"
    );
    assert_eq!(place.recorder.incidents(), []);
}

#[tokio::test]
async fn an_edit_of_the_same_size_with_its_time_put_back_is_found() {
    let (place, _daemon, model, path) = admitted(b"weights").await;
    let modified = path.metadata().unwrap().modified().unwrap();
    let Some(file) = open_for_writing(&path) else {
        return assert_untouched(&place, &model).await;
    };
    file.write_all_at(b"W", 0).unwrap();
    file.set_times(FileTimes::new().set_modified(modified)).unwrap();
    assert_eq!(path.metadata().unwrap().modified().unwrap(), modified);
    let problem = open(&place.run(), model.digest).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Busy, "refused until it was read anew");
    assert_damaged_and_repaired(&place, &model, b"weights", "other content").await;
}

#[tokio::test]
async fn an_appended_byte_is_found() {
    let (place, _daemon, model, path) = admitted(b"weights").await;
    let Some(file) = open_for_writing(&path) else {
        return assert_untouched(&place, &model).await;
    };
    file.write_all_at(b"!", 7).unwrap();
    assert_damaged_and_repaired(&place, &model, b"weights", "another length").await;
}

#[tokio::test]
async fn a_replaced_file_is_found() {
    let (place, _daemon, model, path) = admitted(b"weights").await;
    replace(&path, |new| std::fs::write(new, b"Weights").unwrap());
    assert_damaged_and_repaired(&place, &model, b"weights", "other content").await;
}

#[tokio::test]
async fn a_symbolic_link_is_not_followed() {
    let (place, _daemon, model, path) = admitted(b"weights").await;
    let elsewhere = place.path().join("elsewhere");
    std::fs::copy(&path, &elsewhere).unwrap();
    replace(&path, |new| symlink(&elsewhere, new).unwrap());
    let problem = open(&place.run(), model.digest).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Conflict, "refused at once");
    std::fs::remove_file(elsewhere).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"Weights").unwrap();
    assert_damaged_and_repaired(&place, &model, b"weights", "other content").await;
}

#[tokio::test]
async fn a_fifo_and_a_directory_in_its_place_hold_nobody_up() {
    let (place, _daemon, model, path) = admitted(b"weights").await;
    replace(&path, |new| {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, new, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    });
    assert_eq!(
        open(&place.run(), model.digest).await.unwrap_err().kind,
        ProblemKind::Conflict
    );
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(
        open(&place.run(), model.digest).await.unwrap_err().kind,
        ProblemKind::Conflict
    );
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(
        open(&place.run(), model.digest).await.unwrap_err().kind,
        ProblemKind::Conflict
    );
    assert!(admit(&place.run(), "tiny.gguf", b"weights").await.unwrap().1);
    assert_eq!(open_settled(&place, model.digest).await.unwrap(), b"weights");
}

#[tokio::test]
async fn a_second_name_keeps_it_closed_until_the_name_is_gone() {
    let (place, _daemon, model, path) = admitted(b"weights").await;
    let has_verity = open_for_writing(&path).is_none();
    let second = place.path().join("second");
    std::fs::hard_link(&path, &second).unwrap();
    if has_verity {
        return assert_untouched(&place, &model).await;
    }
    let problem = open_settled(&place, model.digest).await.unwrap_err();
    assert!(problem.detail.contains("second name"), "{problem:?}");
    assert_eq!(availability(&place).await, Availability::Damaged);
    std::fs::remove_file(second).unwrap();
    assert_eq!(open_settled(&place, model.digest).await.unwrap(), b"weights");
    assert_eq!(availability(&place).await, Availability::Ready);
}

#[tokio::test]
async fn the_same_content_in_another_file_is_read_anew_and_good() {
    let (place, _daemon, model, path) = admitted(b"weights").await;
    replace(&path, |new| std::fs::write(new, b"weights").unwrap());
    assert_eq!(
        open(&place.run(), model.digest).await.unwrap_err().kind,
        ProblemKind::Busy
    );
    assert_eq!(open_settled(&place, model.digest).await.unwrap(), b"weights");
    assert_eq!(place.recorder.incidents(), []);
}

#[tokio::test]
async fn a_damage_done_while_the_daemon_was_away_is_found_at_its_start() {
    let (place, mut daemon, model, path) = admitted(b"weights").await;
    daemon.stop();
    replace(&path, |new| std::fs::write(new, b"Weights").unwrap());
    let _daemon = place.start();
    assert_damaged_and_repaired(&place, &model, b"weights", "other content").await;
}

#[tokio::test]
async fn a_store_that_was_copied_is_verified_and_then_serves() {
    let (place, mut daemon, model, path) = admitted(b"weights").await;
    daemon.stop();
    let seal = place.state().join("seals").join(model.digest.hex());
    for forged in ["", "{}", "null", "{\"digest\":1}"] {
        std::fs::write(&seal, forged).unwrap();
        let mut daemon = place.start();
        assert_eq!(open_settled(&place, model.digest).await.unwrap(), b"weights");
        daemon.stop();
    }
    let restored = place.path().join("restored");
    std::fs::copy(&path, &restored).unwrap();
    std::fs::rename(restored, &path).unwrap();
    let _daemon = place.start();
    assert_eq!(open_settled(&place, model.digest).await.unwrap(), b"weights");
}

#[tokio::test]
async fn a_changed_statement_is_not_shown() {
    let (place, _daemon, model, _) = admitted(b"weights").await;
    let detail: ModelDetail = place
        .read()
        .get(&format!("/v1/models/{}", model.digest))
        .await
        .unwrap();
    let statement = blob(&place.state(), detail.statement);
    let text = std::fs::read_to_string(&statement).unwrap();
    replace(&statement, |new| {
        std::fs::write(new, text.replace("\"sig\":\"", "\"sig\":\"A")).unwrap();
    });
    let result = place
        .read()
        .get::<ModelDetail>(&format!("/v1/models/{}", model.digest))
        .await;
    assert_eq!(result.unwrap_err().kind, ProblemKind::Internal);
}

/// Puts what `make` makes in the place of the file at `path`, as somebody with access to the directory would.
fn replace(path: &Path, make: impl FnOnce(&Path)) {
    let new = path.with_extension("new");
    make(&new);
    if new.is_dir() || path.is_dir() {
        std::fs::remove_file(path).unwrap();
    }
    std::fs::rename(new, path).unwrap();
}
