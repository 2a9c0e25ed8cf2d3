//! A small HTTP/1.1 client over TCP and Unix sockets. One connection for each request; the answer can be read as it comes.
//!
//! Written for tests: it sends what it is told, right or wrong, and believes the answer's framing only as far as RFC 9112 does.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test whose peer does not speak HTTP has failed"
)]

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// A peer that says nothing for so long is given up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where to connect.
#[derive(Debug, Clone)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

/// A connection of either kind.
#[derive(Debug)]
pub enum Connection {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Address {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens or the kernel does not let this process.
    pub fn connect(&self) -> io::Result<Connection> {
        let connection = match self {
            Self::Tcp(address) => Connection::Tcp(TcpStream::connect(address)?),
            Self::Unix(path) => Connection::Unix(UnixStream::connect(path)?),
        };
        connection.patience(PATIENCE)?;
        Ok(connection)
    }
}

impl Connection {
    /// How long a read or write may take.
    ///
    /// # Errors
    ///
    /// When the socket is gone.
    pub fn patience(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))
            }
        }
    }

    /// Ends one or both directions.
    pub fn shut(&self, how: std::net::Shutdown) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A request. `Host`, `Content-Length` and `Connection: close` are added where the caller did not set them.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// `GET`.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// `POST` with a body.
    pub fn post(path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut request = Self::new("POST", path).header("Content-Type", kind);
        request.body = body.into();
        request
    }

    /// `POST` with JSON.
    pub fn json(path: &str, body: &Value) -> Self {
        Self::post(path, "application/json", body.to_string())
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The head as it is sent.
    pub fn head(&self, address: &Address) -> String {
        use std::fmt::Write as _;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.has("host") {
            let host = match address {
                Address::Tcp(address) => address.to_string(),
                Address::Unix(_) => "holdfast".to_owned(),
            };
            let _ = write!(head, "Host: {host}\r\n");
        }
        if !self.has("content-length")
            && !self.has("transfer-encoding")
            && (!self.body.is_empty() || self.method == "POST")
        {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        if !self.has("connection") {
            head += "Connection: close\r\n";
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    /// Sends it and reads the answer's head. The body can be read as it comes.
    ///
    /// # Errors
    ///
    /// When there is no connection or no answer.
    pub fn open(&self, address: &Address) -> io::Result<Answer> {
        let mut connection = address.connect()?;
        connection.write_all(self.head(address).as_bytes())?;
        // A server that has decided already may close before it has read everything; its answer can be read all the same.
        let sent = connection.write_all(&self.body);
        match Answer::read(connection) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                sent?;
                Err(error)
            }
            other => other,
        }
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    ///
    /// Like [`Request::open`].
    pub fn send(&self, address: &Address) -> io::Result<Response> {
        self.open(address)?.whole()
    }

    /// Sends it and reads the whole answer, or panics.
    #[track_caller]
    pub fn ask(&self, address: &Address) -> Response {
        self.send(address)
            .unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.path))
    }
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    body: BufReader<Body>,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

impl Answer {
    fn read(connection: Connection) -> io::Result<Self> {
        let mut reader = BufReader::new(connection);
        let mut line = || -> io::Result<String> {
            let mut line = String::new();
            if reader.by_ref().take(64 << 10).read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(line.trim_end().to_owned())
        };
        let first = line()?;
        let status = first
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| first.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("not HTTP: {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = line()?;
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
                None => break,
            }
        }
        let left = if value(&headers, "transfer-encoding").is_some() {
            Left::Chunk(0)
        } else {
            match value(&headers, "content-length") {
                Some(length) => Left::Bytes(length.parse().map_err(io::Error::other)?),
                None => Left::UntilClose,
            }
        };
        Ok(Self {
            status,
            headers,
            body: BufReader::new(Body { reader, left }),
        })
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The next line of the body; none at its end.
    ///
    /// # Errors
    ///
    /// When the connection breaks off before the body's end.
    pub fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        if self.body.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// The next line of the body as JSON; none at its end.
    #[track_caller]
    pub fn event(&mut self) -> Option<Value> {
        let line = self.line().unwrap()?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}")))
    }

    /// All further lines of the body as JSON.
    #[track_caller]
    pub fn events(self) -> Vec<Value> {
        let mut answer = self.expect(200);
        std::iter::from_fn(|| answer.event()).collect()
    }

    /// The same, after a check of the status.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the check may be all that is wanted"
    )]
    pub fn expect(self, status: u16) -> Self {
        let found = self.status;
        assert!(found == status, "{found} instead of {status}: {:?}", self.whole());
        self
    }

    /// The rest of the body.
    ///
    /// # Errors
    ///
    /// When the connection breaks off before its end.
    pub fn whole(mut self) -> io::Result<Response> {
        let mut body = Vec::new();
        self.body.read_to_end(&mut body)?;
        Ok(Response {
            status: self.status,
            headers: self.headers,
            body,
        })
    }
}

impl Response {
    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, after a check of the status.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the check may be all that is wanted"
    )]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

#[derive(Debug)]
enum Left {
    Bytes(u64),
    /// So many bytes of the chunk.
    Chunk(u64),
    UntilClose,
    Nothing,
}

#[derive(Debug)]
struct Body {
    reader: BufReader<Connection>,
    left: Left,
}

impl Body {
    /// The length of the next chunk; 0 for the last.
    fn next_chunk(&mut self) -> io::Result<u64> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let digits = line.split(';').next().unwrap_or_default().trim();
            if !digits.is_empty() {
                return u64::from_str_radix(digits, 16).map_err(io::Error::other);
            }
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Left::Chunk(0) = self.left {
            self.left = match self.next_chunk()? {
                0 => Left::Nothing,
                length => Left::Chunk(length),
            };
        }
        let most = match self.left {
            Left::Nothing | Left::Bytes(0) => return Ok(0),
            Left::UntilClose => buffer.len(),
            Left::Bytes(left) | Left::Chunk(left) => buffer.len().min(usize::try_from(left).unwrap()),
        };
        let count = self.reader.read(&mut buffer[..most])?;
        match &mut self.left {
            Left::Bytes(left) | Left::Chunk(left) => {
                if count == 0 && most > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *left -= count as u64;
            }
            Left::UntilClose | Left::Nothing => {}
        }
        Ok(count)
    }
}

/// A text as part of a query or a form.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out + char::from(byte).encode_utf8(&mut [0; 4])
        } else {
            out + &format!("%{byte:02X}")
        }
    })
}
