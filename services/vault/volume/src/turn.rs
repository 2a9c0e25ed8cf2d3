//! One change at a time: the daemon gives up on a request after a while, or is started again, and what it began goes on here.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use holdfast_contract::vault::VolumeRequest;
use rustix::fs::FlockOperation;

/// How long a change waits for the one before it, which may be making a file system.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long what makes things safer waits: then it is done all the same.
const URGENT_PATIENCE: Duration = Duration::from_secs(5);

/// Waits for whoever holds the lock of the file at `path`. The turn ends when what is returned is dropped; none where no turn is needed, or
/// the request is too urgent to wait any longer.
///
/// # Errors
///
/// When the file cannot be opened, or the change before this one takes too long.
pub fn wait(path: &Path, request: &VolumeRequest) -> io::Result<Option<File>> {
    let urgent = match request {
        VolumeRequest::Look => return Ok(None),
        VolumeRequest::Suspend | VolumeRequest::RemoveTpm | VolumeRequest::Erase => true,
        _ => false,
    };
    let file = File::open(path)?;
    let (sender, receiver) = mpsc::channel();
    // A system call that waits cannot be given a deadline.
    std::thread::spawn(move || {
        let locked = rustix::fs::flock(&file, FlockOperation::LockExclusive);
        let _ = sender.send(locked.map(|()| file));
    });
    match receiver.recv_timeout(if urgent { URGENT_PATIENCE } else { PATIENCE }) {
        Ok(locked) => Ok(Some(locked?)),
        Err(_) if urgent => {
            tracing::warn!("the change before this one is not done; not waiting for it");
            Ok(None)
        }
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the change before this one is not done",
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use super::*;

    #[test]
    fn a_change_waits_for_the_one_before_it_and_a_look_for_nobody() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = wait(file.path(), &VolumeRequest::RemovePassphrase).unwrap();
        assert!(first.is_some());
        assert!(wait(file.path(), &VolumeRequest::Look).unwrap().is_none());
        let path = file.path().to_owned();
        let (sender, receiver) = mpsc::channel();
        let second = std::thread::spawn(move || {
            let turn = wait(&path, &VolumeRequest::AddRecoveryKey).unwrap();
            sender.send(()).unwrap();
            drop(turn);
        });
        assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err());
        drop(first);
        receiver.recv().unwrap();
        second.join().unwrap();
    }

    #[test]
    fn what_is_urgent_does_not_wait_for_ever() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let _first = wait(file.path(), &VolumeRequest::RemovePassphrase).unwrap();
        assert!(wait(file.path(), &VolumeRequest::Suspend).unwrap().is_none());
    }
}
