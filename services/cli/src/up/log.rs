//! The one log of the suite: every line of every service with its time, in a file of bounded size; what a person must
//! see at once also goes to standard error.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;

use anyhow::Context as _;
use holdfast_contract::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

/// The file, relative to the state directory.
pub const FILE: &str = "log/holdfast.log";
/// The file before it.
const PREVIOUS: &str = "log/holdfast.log.1";
/// When the file is put aside, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// The longest line, in bytes; the rest of a longer one follows as a line of its own.
const MAX_LINE_BYTES: u64 = 8 << 10;

/// The log. Clones write to the same file.
#[derive(Clone)]
pub struct Log {
    inner: Rc<RefCell<Inner>>,
    verbose: bool,
}

struct Inner {
    file: File,
    bytes: u64,
}

impl Log {
    /// Opens the log in the state directory. `verbose` also shows every line on standard error.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn open(verbose: bool) -> anyhow::Result<Self> {
        super::layout::make_directory(Path::new("log"), 0o700)?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(FILE)
            .context("open the log")?;
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        Ok(Self {
            inner: Rc::new(RefCell::new(Inner { file, bytes })),
            verbose,
        })
    }

    /// A line of a service.
    pub fn line(&self, service: &str, text: &str) {
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        if self.verbose {
            eprintln!("{service:>18}  {text}");
        }
        let line = format!("{:.3} {service} {text}\n", Timestamp::now());
        let mut inner = self.inner.borrow_mut();
        if inner.bytes > MAX_BYTES
            && std::fs::rename(FILE, PREVIOUS).is_ok()
            && let Ok(file) = File::options().create(true).append(true).open(FILE)
        {
            *inner = Inner { file, bytes: 0 };
        }
        inner.bytes += line.len() as u64;
        // A full disk must not stop the supervisor.
        let _ = inner.file.write_all(line.as_bytes());
    }

    /// A line that the person in front of the terminal should see.
    pub fn notice(&self, service: &str, text: &str) {
        if !self.verbose {
            eprintln!("holdfast: {service} {text}");
        }
        self.line(service, text);
    }

    /// Writes what a service says until it says no more.
    pub async fn follow(self, service: String, output: impl AsyncRead + Unpin) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut output)
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut line)
                .await
            {
                Ok(0) | Err(_) => return,
                Ok(_) => self.line(&service, String::from_utf8_lossy(&line).trim_end()),
            }
        }
    }
}
