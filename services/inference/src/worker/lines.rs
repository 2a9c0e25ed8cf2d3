//! Reports from a worker, one JSON object a line, each of bounded length.

use bytes::BytesMut;
use holdfast_contract::engine::{MAX_REPORT_BYTES, Report};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Why a worker is not listened to any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// It closed its socket, as it does when it ends.
    #[error("the engine ended")]
    Ended,
    /// It does not read its commands.
    #[error("the engine does not read its commands")]
    Deaf,
    /// It sent a line longer than any report.
    #[error("the engine sent a line of more than {MAX_REPORT_BYTES} bytes")]
    TooLong,
    /// It sent a line that is no report.
    #[error("the engine sent something that is no report")]
    Nonsense,
    /// It sent a report that cannot be true.
    #[error("the engine reported {0}")]
    Impossible(&'static str),
}

impl Breach {
    /// Whether a worker that works as it should could have done this.
    pub const fn is_hostile(&self) -> bool {
        matches!(self, Self::TooLong | Self::Nonsense | Self::Impossible(_))
    }
}

/// Reads reports.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end of a line.
    searched: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: BytesMut::with_capacity(8 << 10),
            searched: 0,
        }
    }

    /// The next report. What was read stays in the buffer when the future is dropped.
    pub async fn next(&mut self) -> Result<Report, Breach> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + end + 1);
                self.searched = 0;
                return serde_json::from_slice(&line).map_err(|_| Breach::Nonsense);
            }
            self.searched = self.buffer.len();
            if self.searched >= MAX_REPORT_BYTES {
                return Err(Breach::TooLong);
            }
            match self.from.read_buf(&mut self.buffer).await {
                Ok(read) if read > 0 => {}
                _ => return Err(Breach::Ended),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Vec<Result<Report, Breach>> {
        let mut lines = Lines::new(bytes);
        let mut all = Vec::new();
        loop {
            all.push(lines.next().await);
            if matches!(all.last(), Some(Err(_))) {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn reads_reports_until_the_end() {
        let found = read(b"{\"report\":\"reading\",\"id\":1}\n{\"report\":\"reading\",\"id\":2}\n").await;
        assert_eq!(
            found,
            [
                Ok(Report::Reading { id: 1 }),
                Ok(Report::Reading { id: 2 }),
                Err(Breach::Ended)
            ]
        );
    }

    #[tokio::test]
    async fn a_line_that_never_ends_is_not_kept() {
        let endless = vec![b'x'; MAX_REPORT_BYTES * 2];
        assert_eq!(read(&endless).await, [Err(Breach::TooLong)]);
    }

    #[tokio::test]
    async fn what_is_no_report_is_a_breach() {
        for line in [
            &b"\n"[..],
            b"hello\n",
            b"{\"report\":\"dance\"}\n",
            b"\xff\xfe\n",
            b"{\"report\":\"reading\",\"id\":-1}\n",
        ] {
            assert_eq!(read(line).await, [Err(Breach::Nonsense)], "{line:?}");
        }
    }

    #[tokio::test]
    async fn a_line_that_breaks_off_is_the_end() {
        assert_eq!(read(b"{\"report\":\"read").await, [Err(Breach::Ended)]);
    }

    #[tokio::test]
    async fn a_dropped_wait_loses_nothing() {
        use tokio::io::AsyncWriteExt as _;
        let (mut write, from) = tokio::io::duplex(1024);
        let mut lines = Lines::new(from);
        write.write_all(b"{\"report\":\"reading\",").await.unwrap();
        let waited = tokio::time::timeout(std::time::Duration::from_millis(10), lines.next()).await;
        assert!(waited.is_err());
        write.write_all(b"\"id\":3}\n").await.unwrap();
        assert_eq!(lines.next().await, Ok(Report::Reading { id: 3 }));
    }
}
