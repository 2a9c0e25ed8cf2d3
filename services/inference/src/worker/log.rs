//! What a worker writes to standard error: the end of it is kept, for the case that it crashes.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;

/// How much of the log is kept, in bytes.
const KEPT_BYTES: usize = 4 << 10;
/// How many lines of it are shown.
const SHOWN_LINES: usize = 6;
/// The longest line that is shown, in characters.
const SHOWN_CHARACTERS: usize = 300;

/// The end of a worker's log.
#[derive(Debug)]
pub struct LogTail(Option<JoinHandle<Vec<u8>>>);

impl LogTail {
    /// Reads the log to its end in the background, keeping the last of it.
    pub fn follow(stderr: Option<ChildStderr>) -> Self {
        Self(stderr.map(|mut stderr| {
            tokio::spawn(async move {
                let mut kept = Vec::with_capacity(2 * KEPT_BYTES);
                while let Ok(read) = stderr.read_buf(&mut kept).await
                    && read > 0
                {
                    let excess = kept.len().saturating_sub(KEPT_BYTES);
                    kept.drain(..excess);
                }
                kept
            })
        }))
    }

    /// The last lines, once the worker has ended.
    pub async fn take(self) -> Vec<String> {
        let Some(reading) = self.0 else { return Vec::new() };
        let stop = reading.abort_handle();
        // A process that the worker left behind could hold the pipe open.
        match tokio::time::timeout(Duration::from_secs(1), reading).await {
            Ok(Ok(kept)) => shown(&kept),
            _ => {
                stop.abort();
                Vec::new()
            }
        }
    }
}

/// The last lines as text without control characters.
fn shown(kept: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(kept);
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            line.chars()
                .filter(|c| !c.is_control())
                .take(SHOWN_CHARACTERS)
                .collect::<String>()
        })
        .filter(|line| !line.trim().is_empty())
        .collect();
    let excess = lines.len().saturating_sub(SHOWN_LINES);
    lines.drain(..excess);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_last_lines_as_harmless_text() {
        let log = b"one\n\n\x1b[31mtwo\x07\nthree\nfour\nfive\nsix\nseven \xff\n";
        assert_eq!(
            shown(log),
            ["[31mtwo", "three", "four", "five", "six", "seven \u{fffd}"]
        );
        assert_eq!(shown(&vec![b'x'; 5000])[0].len(), SHOWN_CHARACTERS);
        assert!(shown(b"").is_empty());
    }
}
