use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Mutex;

use holdfast_contract::Digest;
use holdfast_contract::status::Confinement;
use holdfast_contract::vault::{Secret, TURN_OFF, Volume, VolumeAnswer, VolumeState};
use holdfast_ipc::{Recorder, Surroundings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

use super::*;
use crate::config::Config;
use crate::notes::Notes;
use crate::service::Parts;
use crate::settle::settle;
use crate::volume::VolumeClient;

const RECOVERABLE: Keys = Keys {
    tpm: true,
    recovery_key: true,
    passphrase: false,
    security_key: false,
    security_key_pin: false,
};

#[test]
fn what_destroys_needs_its_own_phrase() {
    assert!(permitted(PanicLevel::Lock, None, Keys::default()).is_ok());
    assert!(permitted(PanicLevel::RemoveTpm, None, RECOVERABLE).is_err());
    assert!(permitted(PanicLevel::RemoveTpm, Some("erase everything"), RECOVERABLE).is_err());
    assert!(permitted(PanicLevel::RemoveTpm, Some(" remove the tpm key\n"), RECOVERABLE).is_ok());
    assert!(permitted(PanicLevel::Erase, Some("remove the tpm key"), RECOVERABLE).is_err());
    assert!(permitted(PanicLevel::Erase, Some("erase everything"), Keys::default()).is_ok());
}

#[test]
fn the_tpms_key_is_not_removed_where_it_is_the_only_one() {
    let only_tpm = Keys {
        tpm: true,
        ..Keys::default()
    };
    let refused = permitted(PanicLevel::RemoveTpm, Some("remove the tpm key"), only_tpm).unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Conflict);
    let passphrase = Keys {
        passphrase: true,
        ..only_tpm
    };
    assert!(permitted(PanicLevel::RemoveTpm, Some("remove the tpm key"), passphrase).is_ok());
    let security_key = Keys {
        security_key: true,
        ..only_tpm
    };
    assert!(permitted(PanicLevel::RemoveTpm, Some("remove the tpm key"), security_key).is_ok());
}

/// Stands for the privileged program: a volume in memory, and what was asked of it.
#[derive(Debug)]
struct Device {
    volume: Mutex<Volume>,
    asked: Mutex<Vec<VolumeRequest>>,
    /// The kernel keeps the key whatever is asked.
    stubborn: bool,
    /// [`VolumeRequest::AddRecoveryKey`] is answered after this.
    held: Notify,
    begun: Notify,
    /// [`VolumeRequest::OpenWithSecurityKey`] and [`VolumeRequest::EnrolTpm`] are answered after this.
    touched: Notify,
    /// Somebody has hung up before the answer.
    gone: Notify,
    off: Notify,
}

impl Device {
    async fn answer(&self, request: VolumeRequest) -> VolumeAnswer {
        self.asked.lock().unwrap().push(request.clone());
        match request {
            VolumeRequest::AddRecoveryKey => {
                self.begun.notify_one();
                self.held.notified().await;
            }
            VolumeRequest::OpenWithSecurityKey { .. } | VolumeRequest::EnrolTpm { .. } => {
                self.begun.notify_one();
                self.touched.notified().await;
            }
            _ => {}
        }
        let mut volume = self.volume.lock().unwrap();
        match request {
            VolumeRequest::Suspend => volume.suspended = volume.active && !self.stubborn,
            VolumeRequest::Open { .. } | VolumeRequest::OpenWithSecurityKey { .. } => {
                (volume.active, volume.suspended) = (true, false);
            }
            VolumeRequest::EnrolTpm { .. } => volume.keys.tpm = true,
            VolumeRequest::RemoveTpm => volume.keys.tpm = false,
            VolumeRequest::Erase => (volume.state, volume.keys) = (VolumeState::Erased, Keys::default()),
            _ => {}
        }
        VolumeAnswer::Done {
            volume: *volume,
            recovery_key: None,
            counter: None,
        }
    }

    fn asked(&self) -> Vec<VolumeRequest> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|request| **request != VolumeRequest::Look)
            .cloned()
            .collect()
    }
}

struct Place {
    directory: tempfile::TempDir,
    device: Arc<Device>,
    vault: Arc<Vault>,
}

const OPEN: Volume = Volume {
    state: VolumeState::Ready,
    keys: RECOVERABLE,
    firmware: None,
    identity: None,
    active: true,
    suspended: false,
    transfers: 0,
};

/// A vault on a device like this, without a ledger: none of what is tested here may depend on one.
fn place(volume: Volume, stubborn: bool) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("volume.sock");
    let device = Arc::new(Device {
        volume: Mutex::new(volume),
        asked: Mutex::default(),
        stubborn,
        held: Notify::new(),
        begun: Notify::new(),
        touched: Notify::new(),
        gone: Notify::new(),
        off: Notify::new(),
    });
    let listener = UnixListener::bind(&socket).unwrap();
    let switch = UnixListener::bind(directory.path().join("off.sock")).unwrap();
    let switched = Arc::clone(&device);
    tokio::spawn(async move {
        let (mut stream, _) = switch.accept().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, TURN_OFF);
        switched.off.notify_one();
    });
    let served = Arc::clone(&device);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let device = Arc::clone(&served);
            tokio::spawn(async move {
                let mut text = Vec::new();
                let watched = stream.as_fd().try_clone_to_owned().unwrap();
                stream.read_to_end(&mut text).await.unwrap();
                // As the program does it: with whoever has hung up before the touch it is over.
                let answer = tokio::select! {
                    biased;
                    () = hung_up(watched) => return device.gone.notify_one(),
                    answer = device.answer(serde_json::from_slice(&text).unwrap()) => answer,
                };
                let _ = stream.write_all(&serde_json::to_vec(&answer).unwrap()).await;
            });
        }
    });
    let vault = vault_in(&directory);
    Place {
        directory,
        device,
        vault,
    }
}

fn vault_in(directory: &tempfile::TempDir) -> Arc<Vault> {
    let run = directory.path().to_owned();
    Vault::new(Parts {
        config: Config {
            countdown_lock_seconds: 0,
            countdown_remove_tpm_seconds: 0,
            countdown_erase_seconds: 0,
            ..Config::default()
        },
        volume: Some(VolumeClient::new(&run)),
        state: run.clone(),
        recorder: Recorder::new(&Surroundings::client(run)),
        confinement: Confinement {
            landlock_abi: 0,
            syscalls: 0,
            grants: Vec::new(),
            missing: Vec::new(),
        },
    })
}

#[tokio::test]
async fn what_waited_when_a_panic_came_is_not_done_after_it() {
    let Place { device, vault, .. } = &place(OPEN, false);
    let first = Arc::clone(vault);
    let first = tokio::spawn(async move { first.ask(VolumeRequest::AddRecoveryKey).await });
    device.begun.notified().await;
    let open = VolumeRequest::Open {
        secret: None,
        at_least: None,
        identity: None,
    };
    let mut waiting = Box::pin(vault.ask(open));
    // It has asked for its turn, and does not have it.
    assert!(futures_now(&mut waiting).await.is_none());
    let panicking = Arc::clone(vault);
    let panic = tokio::spawn(async move {
        let turn = panicking.turns.panic().await;
        finish(&panicking, &turn, PanicLevel::RemoveTpm, true, "test").await
    });
    let refused = async {
        let refused = waiting.await.unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Conflict);
    };
    // The change that is being made is waited for, but not for long.
    tokio::join!(refused, async {
        assert!(panic.await.unwrap());
        device.held.notify_one();
        first.await.unwrap().unwrap();
    });
    assert!(
        !device
            .asked()
            .iter()
            .any(|request| matches!(request, VolumeRequest::Open { .. }))
    );
    let status = vault.status();
    assert_eq!(status.state, VaultState::Locked);
    assert!(!status.keys.tpm);
}

/// Until the other end is closed, and not only done with what it had to say.
async fn hung_up(socket: OwnedFd) {
    let stream = UnixStream::from_std(socket.into()).unwrap();
    loop {
        let ready = stream.ready(Interest::WRITABLE).await.unwrap();
        if ready.is_write_closed() {
            return;
        }
        // That it can be written to is not news any more.
        let _ = stream.try_io(Interest::WRITABLE, || {
            Err::<(), _>(std::io::ErrorKind::WouldBlock.into())
        });
    }
}

const TOUCH: VolumeRequest = VolumeRequest::OpenWithSecurityKey {
    pin: None,
    identity: None,
};

/// A vault that is locked, and somebody who is asked to touch the key.
async fn waits_for_a_touch() -> (Place, tokio::task::JoinHandle<Result<(), Problem>>) {
    let locked = Volume {
        suspended: true,
        ..OPEN
    };
    let place = place(locked, false);
    let vault = Arc::clone(&place.vault);
    let unlock = tokio::spawn(async move { vault.ask(TOUCH).await.map(|_| ()) });
    place.device.begun.notified().await;
    (place, unlock)
}

#[tokio::test]
async fn a_key_that_is_touched_opens_the_vault() {
    let (Place { device, vault, .. }, unlock) = &mut waits_for_a_touch().await;
    device.touched.notify_one();
    unlock.await.unwrap().unwrap();
    assert_eq!(vault.status().state, VaultState::Open);
}

#[tokio::test]
async fn a_key_that_is_touched_after_a_lock_opens_nothing() {
    let (Place { device, vault, .. }, unlock) = &mut waits_for_a_touch().await;
    vault.lock("test", "test").await.unwrap();
    assert_eq!(unlock.await.unwrap().unwrap_err().kind, ProblemKind::Conflict);
    device.gone.notified().await;
    device.touched.notify_one();
    vault.ask(VolumeRequest::Look).await.unwrap();
    assert_eq!(vault.status().state, VaultState::Locked);
    assert_eq!(device.asked(), [TOUCH, VolumeRequest::Suspend]);
}

#[tokio::test]
async fn a_key_that_is_touched_after_a_panic_opens_nothing() {
    let (Place { device, vault, .. }, unlock) = &mut waits_for_a_touch().await;
    vault
        .panic("test", PanicLevel::Erase, Some("erase everything"))
        .await
        .unwrap();
    assert_eq!(unlock.await.unwrap().unwrap_err().kind, ProblemKind::Conflict);
    device.gone.notified().await;
    device.off.notified().await;
    assert_eq!(
        device.asked(),
        [TOUCH, VolumeRequest::Suspend, VolumeRequest::Erase]
    );
}

#[tokio::test]
async fn a_seal_puts_nothing_back_that_a_panic_has_removed() {
    let Place { device, vault, .. } = &place(OPEN, false);
    // Level 2 has to know that something else opens it.
    vault.ask(VolumeRequest::Look).await.unwrap();
    let seal = VolumeRequest::EnrolTpm {
        secret: Secret::new("the recovery key".to_owned()),
    };
    let (sealing, request) = (Arc::clone(vault), seal.clone());
    let sealing = tokio::spawn(async move { sealing.ask(request).await.map(|_| ()) });
    device.begun.notified().await;
    vault
        .panic("test", PanicLevel::RemoveTpm, Some("remove the tpm key"))
        .await
        .unwrap();
    let refused = sealing.await.unwrap().unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Conflict);
    assert!(refused.next.unwrap().contains("Seal it again"));
    device.gone.notified().await;
    device.touched.notify_one();
    // A change waits until the panic is over.
    vault.ask(VolumeRequest::RemovePassphrase).await.unwrap();
    assert_eq!(
        device.asked(),
        [
            seal,
            VolumeRequest::Suspend,
            VolumeRequest::RemoveTpm,
            VolumeRequest::RemovePassphrase
        ]
    );
    assert!(!vault.status().keys.tpm);
}

#[tokio::test]
async fn a_key_that_waits_for_its_turn_is_not_asked_for_after_a_lock() {
    let Place { device, vault, .. } = &place(OPEN, false);
    let first = Arc::clone(vault);
    let first = tokio::spawn(async move { first.ask(VolumeRequest::AddRecoveryKey).await });
    device.begun.notified().await;
    let mut waiting = Box::pin(vault.ask(TOUCH));
    assert!(futures_now(&mut waiting).await.is_none());
    let mut lock = Box::pin(vault.ask(VolumeRequest::Suspend));
    assert!(futures_now(&mut lock).await.is_none());
    assert_eq!(waiting.await.unwrap_err().kind, ProblemKind::Conflict);
    device.held.notify_one();
    lock.await.unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(
        device.asked(),
        [VolumeRequest::AddRecoveryKey, VolumeRequest::Suspend]
    );
}

/// Polls once.
async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_vault_that_is_open_all_the_same_is_not_called_locked() {
    let Place { vault, .. } = &place(OPEN, true);
    let turn = vault.turns.panic().await;
    assert!(carry_out(vault, &turn, PanicLevel::Lock).await.is_err());
    drop(turn);
    let Place { vault, .. } = &place(OPEN, false);
    let turn = vault.turns.panic().await;
    carry_out(vault, &turn, PanicLevel::Lock).await.unwrap();
}

#[tokio::test]
async fn a_graver_panic_does_not_wait_for_a_milder_one_to_end() {
    let Place { device, vault, .. } = &place(OPEN, false);
    let first = Arc::clone(vault);
    let first = tokio::spawn(async move { first.ask(VolumeRequest::AddRecoveryKey).await });
    device.begun.notified().await;
    vault.panic("test", PanicLevel::Lock, None).await.unwrap();
    let again = vault.panic("test", PanicLevel::Lock, None).await;
    assert_eq!(again.unwrap_err().kind, ProblemKind::Conflict);
    vault
        .panic("test", PanicLevel::Erase, Some("erase everything"))
        .await
        .unwrap();
    device.off.notified().await;
    assert_eq!(vault.status().state, VaultState::Erased);
    assert_eq!(
        vault.notes.panic(),
        None,
        "the next start would begin with it again"
    );
    device.held.notify_one();
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn opening_the_vault_does_not_make_a_panic_forgotten_that_is_under_way() {
    let Place { device, vault, .. } = &place(OPEN, false);
    let first = Arc::clone(vault);
    let first = tokio::spawn(async move { first.ask(VolumeRequest::AddRecoveryKey).await });
    device.begun.notified().await;
    vault
        .panic("test", PanicLevel::Erase, Some("erase everything"))
        .await
        .unwrap();
    vault.looked_after();
    assert!(vault.notes.panic().is_some());
    device.off.notified().await;
    vault.looked_after();
    assert_eq!(vault.notes.panic(), None);
    device.held.notify_one();
    first.await.unwrap().unwrap();
}

const SHUT: Volume = Volume {
    active: false,
    ..OPEN
};

/// A daemon that was started on a volume that is shut, with what the one before it had noted.
async fn started_again(volume: Volume, note: impl FnOnce(&Notes)) -> (Place, Arc<Vault>) {
    let place = place(volume, false);
    note(&place.vault.notes);
    let started = vault_in(&place.directory);
    settle(Arc::clone(&started)).await;
    (place, started)
}

/// The same where the power was lost during a panic, which had begun or was still counted down.
async fn started_during(level: PanicLevel, committed: bool) -> (Place, Arc<Vault>) {
    started_again(SHUT, |notes| notes.panic_is(UnderWay { level, committed })).await
}

#[tokio::test]
async fn a_panic_that_had_begun_is_carried_out_at_the_next_start() {
    let (place, started) = started_during(PanicLevel::RemoveTpm, true).await;
    assert_eq!(
        place.device.asked(),
        [VolumeRequest::Suspend, VolumeRequest::RemoveTpm],
        "and nothing was opened"
    );
    assert_eq!(started.notes.panic(), None);
}

#[tokio::test]
async fn an_erasure_that_had_begun_does_not_turn_the_next_start_off() {
    let (place, started) = started_during(PanicLevel::Erase, true).await;
    assert_eq!(
        place.device.asked(),
        [VolumeRequest::Suspend, VolumeRequest::Erase]
    );
    assert_eq!(started.status().state, VaultState::Erased);
    assert_eq!(started.notes.panic(), None);
}

#[tokio::test]
async fn a_countdown_that_was_interrupted_destroys_nothing_and_opens_nothing() {
    let (place, started) = started_during(PanicLevel::Erase, false).await;
    assert_eq!(place.device.asked(), []);
    assert!(started.status().problem.is_some());
    assert!(
        started.notes.panic().is_some(),
        "until somebody has looked after it"
    );
}

#[tokio::test]
async fn a_volume_that_was_not_made_here_is_not_opened() {
    let another = Volume {
        identity: Some(Digest::from_bytes([1; 32])),
        ..SHUT
    };
    let (place, started) =
        started_again(another, |notes| notes.identified(Digest::from_bytes([2; 32]))).await;
    assert_eq!(place.device.asked(), []);
    assert_eq!(started.status().state, VaultState::Foreign);
}
