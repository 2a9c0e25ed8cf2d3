//! Whoever asked, while a security key waits to be touched or the volume is being sealed: a lock or a panic makes them hang up, and then nothing
//! is done any more. A key that is touched too late opens nothing, and what a panic has removed from the TPM is not put back.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::anyhow;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::volume::Result;

/// Whoever asked for what is being done.
#[derive(Debug, Clone, Default)]
pub struct Asker(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    hung_up: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The asker has hung up.
    gone: bool,
    /// What is being done may be called off.
    waiting: bool,
    /// The program that does it, where that is another one.
    program: Option<Pid>,
}

impl Asker {
    /// The one at the other end of `socket`. When they hang up in time, `end` is called with the program that is being run; until it returns
    /// nothing goes on.
    pub fn behind(socket: OwnedFd, end: impl FnOnce(Option<Pid>) + Send + 'static) -> Self {
        let asker = Self::default();
        let watched = asker.clone();
        std::thread::spawn(move || {
            wait_until_gone(&socket);
            let mut state = watched.state();
            state.gone = true;
            if state.waiting {
                end(state.program);
            }
            watched.0.hung_up.notify_all();
        });
        asker
    }

    /// Does what may be called off wherever it is: what waits for a touch, or adds a key. What comes after it is done whatever the asker does.
    ///
    /// # Errors
    ///
    /// As `work` has it, and when the asker has hung up before it was done.
    pub fn wait<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.begin()?;
        let done = work();
        let mut state = self.state();
        state.waiting = false;
        state.program = None;
        if state.gone {
            return Err(anyhow!(CALLED_OFF).into());
        }
        done
    }

    fn begin(&self) -> Result<()> {
        let mut state = self.state();
        if state.gone {
            return Err(anyhow!(CALLED_OFF).into());
        }
        state.waiting = true;
        Ok(())
    }

    /// It is this program that does it, or none any more.
    pub fn program(&self, pid: Option<u32>) {
        self.state().program = pid
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
    }

    /// Returns when they have hung up.
    #[cfg(test)]
    pub fn until_gone(&self) {
        let mut state = self.state();
        while !state.gone {
            state = self.0.hung_up.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a request whose asker hangs up.
const CALLED_OFF: &str = "whoever asked has called it off";

/// A socket whose other end is closed says so unasked. That nothing more is sent on it is no end: the request is over, the answer is not.
fn wait_until_gone(socket: &OwnedFd) {
    loop {
        let mut ends = [PollFd::new(socket, PollFlags::empty())];
        match poll(&mut ends, None) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) if ends[0].revents().is_empty() => {}
            // A socket that cannot be watched counts as one that nobody is behind.
            Ok(_) | Err(_) => return,
        }
    }
}

/// Ends this program, which waits inside libraries that nothing else would make stop, and the one that it runs. The header is written in two
/// copies, one after the other: wherever that is interrupted, one of them counts.
pub fn end(program: Option<Pid>) {
    tracing::warn!("{CALLED_OFF}; it is not gone on with");
    if let Some(program) = program {
        let _ = kill_process(program, Signal::KILL);
    }
    // To the supervisor this is no failure.
    let _ = kill_process(getpid(), Signal::TERM);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;

    use super::*;

    /// An asker, their end of the line, and what was to be ended.
    fn asker() -> (Asker, UnixStream, mpsc::Receiver<Option<Pid>>) {
        let (theirs, ours) = UnixStream::pair().unwrap();
        let (sender, ended) = mpsc::channel();
        let asker = Asker::behind(ours.into(), move |program| sender.send(program).unwrap());
        (asker, theirs, ended)
    }

    #[test]
    fn a_touch_after_the_asker_has_hung_up_does_nothing() {
        let (asker, theirs, ended) = asker();
        let touched = asker.wait(|| {
            asker.program(Some(4711));
            drop(theirs);
            asker.until_gone();
            Ok(())
        });
        assert!(touched.is_err());
        assert_eq!(ended.recv().unwrap(), Pid::from_raw(4711));
    }

    #[test]
    fn who_hangs_up_before_the_key_blinks_is_not_served() {
        let (asker, theirs, ended) = asker();
        drop(theirs);
        asker.until_gone();
        let mut begun = false;
        let touched = asker.wait(|| {
            begun = true;
            Ok(())
        });
        assert!(touched.is_err() && !begun);
        assert!(ended.recv().is_err(), "there was nothing to end");
    }

    #[test]
    fn what_comes_after_the_touch_is_not_ended() {
        let (asker, theirs, ended) = asker();
        assert!(asker.wait(|| Ok(())).is_ok());
        drop(theirs);
        asker.until_gone();
        assert!(ended.recv().is_err());
    }

    #[test]
    fn a_request_that_is_over_is_no_hanging_up() {
        let (asker, theirs, ended) = asker();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let touched = asker.wait(|| {
            assert!(ended.recv_timeout(std::time::Duration::from_millis(200)).is_err());
            Ok(())
        });
        assert!(touched.is_ok());
    }

    #[test]
    fn nobody_to_hang_up_is_waited_for_to_the_end() {
        assert!(Asker::default().wait(|| Ok(())).is_ok());
    }
}
