//! Taking in the bytes of a submission: within a limit, without waiting for ever, into a file that has no name.
//!
//! Nothing is believed about the bytes, and nothing of them is looked at.

use std::fs::File;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::directory::Nameless;

/// Pieces of the body that may wait to be written.
const PIECES: usize = 16;
/// How long the sender may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// In every window of this length at least [`LEAST_BYTES`] have to come.
const WINDOW: Duration = Duration::from_mins(1);
/// See [`WINDOW`].
const LEAST_BYTES: u64 = 64 << 10;
/// How long what is still coming is thrown away after a failure, so that the sender hears the reason instead of a broken pipe.
const DRAIN: Duration = Duration::from_secs(10);

/// Limits of one upload.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes.
    pub max_bytes: u64,
    /// How long the sender may be silent.
    pub patience: Duration,
    /// The window in which [`LEAST_BYTES`] have to come.
    pub window: Duration,
}

impl Limits {
    /// The usual patience, and `max_bytes`.
    pub fn of(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            patience: PATIENCE,
            window: WINDOW,
        }
    }
}

/// Writes `body` into `file` and returns its reader, with the number of bytes. `progress` hears how many there are so far.
///
/// # Errors
///
/// When the body breaks off, stalls or is too large, or the device is full. The file is gone then.
pub async fn receive(
    file: Nameless,
    mut body: Body,
    limits: Limits,
    progress: impl Fn(u64),
) -> Result<(File, u64), Problem> {
    let Nameless { writer, reader } = file;
    let (pieces, queue) = mpsc::channel(PIECES);
    let writing = tokio::task::spawn_blocking(move || write(writer, queue));
    let received = pump(&mut body, &pieces, limits, progress).await;
    drop(pieces);
    // The writer's error is the cause where the pump only saw that nobody takes its pieces.
    let written = match writing.await {
        Ok(written) => written.map_err(|error| write_problem(&error)),
        Err(_) => Err(Problem::new(
            ProblemKind::Internal,
            "writing the file ended without a result",
        )),
    };
    match written.and(received) {
        Ok(bytes) => Ok((reader, bytes)),
        Err(problem) => {
            drain(body);
            Err(problem)
        }
    }
}

async fn pump(
    body: &mut Body,
    pieces: &mpsc::Sender<Bytes>,
    limits: Limits,
    progress: impl Fn(u64),
) -> Result<u64, Problem> {
    let mut total = 0_u64;
    let mut window = (Instant::now(), 0_u64);
    loop {
        let frame = timeout(limits.patience, body.frame())
            .await
            .map_err(|_| stalled(total))?;
        let Some(frame) = frame else { return Ok(total) };
        let frame = frame.map_err(|_| {
            let detail = format!("the upload broke off after {total} bytes");
            Problem::new(ProblemKind::Invalid, detail).next("Import the file again.")
        })?;
        let Ok(piece) = frame.into_data() else { continue };
        total += piece.len() as u64;
        if total > limits.max_bytes {
            return Err(too_large(limits.max_bytes));
        }
        if window.0.elapsed() >= limits.window {
            if total - window.1 < LEAST_BYTES {
                return Err(stalled(total));
            }
            window = (Instant::now(), total);
        }
        if pieces.send(piece).await.is_err() {
            // The writer has ended, and knows why.
            return Ok(total);
        }
        progress(total);
    }
}

fn write(mut file: File, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(piece) = pieces.blocking_recv() {
        file.write_all(&piece)?;
    }
    Ok(())
}

/// Reads the rest of a body that nobody wants, for a while.
pub fn drain(mut body: Body) {
    tokio::spawn(timeout(DRAIN, async move {
        while let Some(Ok(_)) = body.frame().await {}
    }));
}

fn stalled(total: u64) -> Problem {
    Problem::new(
        ProblemKind::Deadline,
        format!("the upload stalled after {total} bytes"),
    )
    .next("Import the file again.")
}

/// The problem of a file that is larger than `max_bytes`.
pub fn too_large(max_bytes: u64) -> Problem {
    Problem::new(
        ProblemKind::TooLarge,
        format!("a file may have at most {max_bytes} bytes"),
    )
}

/// The problem of a file that cannot be kept.
pub fn write_problem(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Problem::new(ProblemKind::NoSpace, "there is no room left to take the file in").next(
                "Free some space on the device of the state directory, or remove a model, and try again.",
            )
        }
        _ => {
            tracing::error!(%error, "a file was not taken in");
            Problem::new(
                ProblemKind::Internal,
                "quarantine could not write the file; its log has the cause",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Directory;
    use futures_util::stream;
    use std::io::Read as _;

    fn nameless() -> Nameless {
        let temp = tempfile::tempdir().unwrap();
        Directory::open(temp.path()).unwrap().nameless(None).unwrap()
    }

    fn limits(max_bytes: u64) -> Limits {
        Limits {
            max_bytes,
            patience: Duration::from_millis(50),
            window: Duration::from_mins(1),
        }
    }

    fn body(pieces: Vec<Result<&'static [u8], io::Error>>) -> Body {
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn takes_in_every_byte() {
        let pieces = vec![Ok(&b"abc"[..]), Ok(b""), Ok(b"defg")];
        let (mut file, bytes) = receive(nameless(), body(pieces), limits(7), |_| ())
            .await
            .unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert_eq!((content.as_str(), bytes), ("abcdefg", 7));
        assert_eq!(
            receive(nameless(), body(vec![]), limits(7), |_| ())
                .await
                .unwrap()
                .1,
            0
        );
    }

    #[tokio::test]
    async fn one_byte_too_many_is_too_large() {
        let problem = receive(nameless(), body(vec![Ok(b"abcdefgh")]), limits(7), |_| ())
            .await
            .unwrap_err();
        assert_eq!(problem.kind, ProblemKind::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_file() {
        let pieces = vec![Ok(&b"abc"[..]), Err(io::Error::other("gone"))];
        let problem = receive(nameless(), body(pieces), limits(7), |_| ())
            .await
            .unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Invalid);
        assert!(problem.detail.contains("after 3 bytes"));
    }

    #[tokio::test]
    async fn a_silent_sender_is_not_waited_for() {
        let silent = stream::once(async { Ok::<_, io::Error>(&b"abc"[..]) });
        let silent = futures_util::StreamExt::chain(silent, stream::pending());
        let problem = receive(nameless(), Body::from_stream(silent), limits(7), |_| ())
            .await
            .unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Deadline);
    }

    #[tokio::test]
    async fn a_sender_that_trickles_is_not_waited_for() {
        let trickle = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, io::Error>(&b"a"[..]), ()))
        });
        let limits = Limits {
            window: Duration::from_millis(40),
            ..limits(1 << 30)
        };
        let problem = receive(nameless(), Body::from_stream(trickle), limits, |_| ())
            .await
            .unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Deadline);
    }

    #[tokio::test]
    async fn a_device_that_is_full_is_said_to_be_full() {
        let full = Nameless {
            writer: File::options().write(true).open("/dev/full").unwrap(),
            reader: File::open("/dev/full").unwrap(),
        };
        let problem = receive(full, body(vec![Ok(b"abc")]), limits(7), |_| ())
            .await
            .unwrap_err();
        assert_eq!(problem.kind, ProblemKind::NoSpace);
        assert!(problem.next.is_some());
    }
}
