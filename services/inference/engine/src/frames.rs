//! Lines of JSON between the worker and its daemon. The daemon is trusted; its lines are bounded all the same.

use std::io::{self, BufRead, Read as _, Write};

use holdfast_contract::engine::{Command, MAX_COMMAND_BYTES, Report};

/// Reads the next command, or `None` when the daemon has gone.
///
/// # Errors
///
/// When the socket fails, or a line is too long or not a command.
pub fn read(from: &mut impl BufRead) -> io::Result<Option<Command>> {
    let mut line = Vec::new();
    from.take(MAX_COMMAND_BYTES as u64).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a command is too long or broke off",
        )),
    }
}

/// Reports that wait to be written. They leave in one write.
#[derive(Debug)]
pub struct Outbox<W> {
    to: W,
    waiting: Vec<u8>,
}

impl<W: Write> Outbox<W> {
    /// An outbox that writes to `to`.
    pub const fn new(to: W) -> Self {
        Self {
            to,
            waiting: Vec::new(),
        }
    }

    /// Adds a report.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    pub fn push(&mut self, report: &Report) -> io::Result<()> {
        serde_json::to_writer(&mut self.waiting, report)?;
        self.waiting.push(b'\n');
        Ok(())
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes everything that waits.
    ///
    /// # Errors
    ///
    /// When the daemon has gone.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_command_a_line_until_the_end() {
        let mut input = &b"{\"command\":\"cancel\",\"id\":1}\n{\"command\":\"cancel\",\"id\":2}\n"[..];
        assert_eq!(read(&mut input).unwrap(), Some(Command::Cancel { id: 1 }));
        assert_eq!(read(&mut input).unwrap(), Some(Command::Cancel { id: 2 }));
        assert_eq!(read(&mut input).unwrap(), None);
    }

    #[test]
    fn refuses_a_line_that_breaks_off_is_too_long_or_is_no_command() {
        assert!(read(&mut &b"{\"command\":"[..]).is_err());
        assert!(read(&mut &b"{\"command\":\"dance\"}\n"[..]).is_err());
        let long = vec![b' '; MAX_COMMAND_BYTES + 1];
        assert!(read(&mut long.as_slice()).is_err());
    }

    #[test]
    fn reports_leave_together() {
        let mut outbox = Outbox::new(Vec::new());
        assert!(outbox.is_empty());
        outbox
            .push(&Report::Refused {
                reason: "one".to_owned(),
            })
            .unwrap();
        outbox
            .push(&Report::Refused {
                reason: "two".to_owned(),
            })
            .unwrap();
        assert!(outbox.to.is_empty());
        outbox.flush().unwrap();
        assert_eq!(String::from_utf8(outbox.to.clone()).unwrap().lines().count(), 2);
        assert!(outbox.is_empty());
    }
}
