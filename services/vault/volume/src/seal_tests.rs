//! Who hangs up while the volume is being sealed. What a TPM does with a seal is tested in the virtual machine.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::time::Duration;

use crate::asker::Asker;
use crate::header::tests::{FIRST, made};
use crate::volume::Volume;

/// Answers about the firmware once whoever asked has hung up, and says whether that ended what was being done.
fn hangs_up_meanwhile(volume: &mut Volume, directory: &tempfile::TempDir) -> std::thread::JoinHandle<bool> {
    let (theirs, ours) = UnixStream::pair().unwrap();
    let (sender, ended) = mpsc::channel();
    // In the program this does not return.
    volume.asker = Asker::behind(ours.into(), move |program| {
        assert_eq!(program, None, "nothing is being run yet");
        sender.send(()).unwrap();
    });
    volume.firmware.socket = directory.path().join("firmware");
    let listener = UnixListener::bind(&volume.firmware.socket).unwrap();
    std::thread::spawn(move || {
        let (mut asked, _) = listener.accept().unwrap();
        drop(theirs);
        let was_ended = ended.recv_timeout(Duration::from_secs(20)).is_ok();
        asked.write_all(br#""no-event-log""#).unwrap();
        was_ended
    })
}

#[test]
fn a_lock_or_a_panic_ends_a_seal_that_waits_for_the_firmwares_policy() {
    let disk = made();
    let directory = tempfile::tempdir().unwrap();
    let mut volume = disk.volume();
    let hanging_up = hangs_up_meanwhile(&mut volume, &directory);
    assert!(volume.seal(FIRST).is_err());
    assert!(
        hanging_up.join().unwrap(),
        "it went on though nobody wanted it any more"
    );
    assert!(disk.header().tpm_tokens().is_empty());
}

#[test]
fn who_has_hung_up_before_it_does_not_even_lose_the_policy_from_before() {
    let disk = made();
    let directory = tempfile::tempdir().unwrap();
    let mut volume = disk.volume();
    let (theirs, ours) = UnixStream::pair().unwrap();
    volume.asker = Asker::behind(ours.into(), |_| ());
    drop(theirs);
    volume.asker.until_gone();
    volume.firmware.socket = directory.path().join("firmware");
    let listener = UnixListener::bind(&volume.firmware.socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(volume.seal(FIRST).is_err());
    let asked = listener.accept();
    assert!(asked.is_err(), "the firmware's policy was asked for");
}
