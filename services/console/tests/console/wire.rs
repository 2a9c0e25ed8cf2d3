//! The console on a real TCP socket: garbage, slow senders, and browsers that hang up.

use std::net::SocketAddr;

use holdfast_console::routes;
use holdfast_contract::role::Service;
use holdfast_ipc::{Limits, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::browser::{Console, HOST};

fn serve(console: &Console) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let router = routes::sealed(console.router.clone());
    let server = Server::new(Service::Console)
        .tcp(
            listener,
            router,
            Limits {
                connections: 16,
                answer_within: None,
            },
        )
        .unwrap();
    tokio::spawn(server.run());
    address
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn every_path_is_answered_behind_the_guard() {
    let console = Console::new();
    let address = serve(&console);
    for path in [
        "/",
        "/healthz",
        "/nothing",
        "/a/b/c/d",
        "/v1/nothing",
        "/chat/0123456789abcdef0123456789abcdef",
        "//",
        "/%00",
    ] {
        let answer = exchange(address, &get(path)).await;
        assert!(
            answer
                .to_lowercase()
                .contains("content-security-policy: default-src 'none'"),
            "{path}: {answer}"
        );
    }
    let answer = exchange(address, &get("/static/logo.svg")).await;
    assert!(
        answer.contains("200 OK") && answer.contains("image/svg+xml"),
        "{answer}"
    );
}

#[tokio::test]
async fn garbage_is_closed_or_answered_with_an_error() {
    let console = Console::new();
    let address = serve(&console);
    for garbage in [
        "\r\n\r\n\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \u{1}\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
        &format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
        "GET / HTTP/1.0\r\n\r\n",
        &format!("OPTIONS * HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"),
        &format!("CONNECT evil.example:443 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"),
        &format!("GET http://evil.example/ HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"),
        &format!("GET /{} HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "a".repeat(100_000)),
        &format!(
            "POST /sign-in HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n"
        ),
    ] {
        let answer = exchange(address, garbage).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4"),
            "{garbage:?}: {answer}"
        );
    }
    assert!(
        exchange(address, &get("/healthz"))
            .await
            .contains("\"ready\":true")
    );
}
