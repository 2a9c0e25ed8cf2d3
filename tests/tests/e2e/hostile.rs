//! Callers that mean ill, on every socket of a running suite: they are answered with an error or hung up on, within a time, and
//! cost nobody anything.

use std::io::{IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_contract::limits::{HEADER_DEADLINE, MAX_JSON_BYTES, MAX_PACKET_BYTES};
use holdfast_contract::role::{self, Protocol, Role, Service};
use holdfast_tests::http::{Address, Connection, Request};
use holdfast_tests::process::Process;
use holdfast_tests::suite::{Shared, Suite};
use holdfast_tests::tools::say;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use serde_json::json;

/// A daemon may have so much more memory resident after all of it than before, in bytes.
const GROWTH: u64 = 8 << 20;
/// How many connections are held open without a word on each socket.
const IDLE: usize = 200;
/// Whoever says nothing, or not enough, is hung up on after this at the latest.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every place that speaks HTTP, and its name.
fn places(suite: &Suite) -> Vec<(String, Address)> {
    let roles = role::ALL.iter().filter(|role| role.protocol == Protocol::Http);
    roles
        .map(|role| (role.to_string(), suite.role(*role)))
        .chain([("the page".to_owned(), suite.page())])
        .collect()
}

/// Sends bytes and returns the status code of the answer; none where the other side hung up without one.
#[track_caller]
fn status_of(name: &str, address: &Address, bytes: &[u8]) -> Option<u16> {
    let mut connection = address.connect().unwrap();
    connection.patience(PATIENCE).unwrap();
    let _ = connection.write_all(bytes);
    answer(name, &mut connection)
}

#[track_caller]
fn answer(name: &str, connection: &mut Connection) -> Option<u16> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!(
                    "{name} neither answers nor hangs up within {PATIENCE:?}: {}",
                    String::from_utf8_lossy(&answer)
                )
            }
            Err(_) => break,
        }
        assert!(answer.len() < 1 << 20, "{name} answers a lot");
    }
    let text = String::from_utf8_lossy(&answer);
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// Everybody still gets their answer.
#[track_caller]
fn assert_useful(shared: &Shared, after: &str) {
    for (name, address) in places(&shared.suite) {
        let begun = Instant::now();
        let answer = Request::get("/v1/status").send(&address);
        let answer = answer.unwrap_or_else(|error| panic!("{name} after {after}: {error}"));
        assert!(answer.status < 500, "{name} after {after}: {}", answer.status);
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{name} after {after}: {:?}",
            begun.elapsed()
        );
    }
    shared.suite.cli(&["status"]).expect(0);
}

struct Memory(Vec<(Service, Process, u64)>);

impl Memory {
    fn of(suite: &Suite) -> Self {
        let now = |service: Service| {
            let process = suite.process(service);
            (service, process, process.resident_bytes())
        };
        Self(Service::ALL.into_iter().map(now).collect())
    }

    /// No daemon has gone down, and none has grown.
    #[track_caller]
    fn assert_flat(&self, suite: &Suite, after: &str) {
        let mut grown = Vec::new();
        for (service, process, before) in &self.0 {
            assert_eq!(suite.process(*service), *process, "{service} went down: {after}");
            let growth = process.resident_bytes().saturating_sub(*before);
            assert!(growth < GROWTH, "{service} grew by {growth} bytes: {after}");
            grown.push(format!("{service} {:.1}", growth as f64 / 1024.0 / 1024.0));
        }
        say(&format!(
            "[measured] after {after}, daemons have grown by (MiB): {}",
            grown.join(", ")
        ));
    }
}

/// A suite that has done everything once, so that it has the memory it needs.
fn used() -> Shared {
    let suite = Suite::start();
    let person = holdfast_tests::page::Person::set_up(&suite);
    let token = person.api_token("laptop");
    suite.import(&crate::files::guide()).expect(0);
    let (question, _) = crate::chat::questions().swap_remove(0);
    suite.cli(&["chat", &question]).expect(0);
    Shared { suite, person, token }
}

#[test]
fn garbage_is_answered_with_an_error_or_hung_up_on() {
    let shared = Suite::shared();
    let head_too_large = format!(
        "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    let too_many_headers = format!(
        "GET /v1/status HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "A: b\r\n".repeat(1000)
    );
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let garbage: &[(&str, &[u8])] = &[
        ("noise", &[0xff; 4096]),
        ("zeros", &[0; 4096]),
        ("a line of no protocol", b"HELO mail.example\r\n\r\n"),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on, for a while, as clients do\r\n\r\n",
        ),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("an unknown version", b"GET / HTTP/9.9\r\n\r\n"),
        ("no path", b"GET\r\n\r\n"),
        ("a NUL in the path", b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a header without a colon", b"GET / HTTP/1.1\r\nHost x\r\n\r\n"),
        (
            "a negative length",
            b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        ),
        (
            "two lengths",
            b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "an endless chunk",
            b"POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        ),
        ("a large head", head_too_large.as_bytes()),
        ("many headers", too_many_headers.as_bytes()),
        ("a long path", long_path.as_bytes()),
    ];
    for (name, address) in places(&shared.suite) {
        for (what, bytes) in garbage {
            let status = status_of(&format!("{name} ({what})"), &address, bytes);
            assert!(
                status.is_none_or(|status| (400..500).contains(&status) || status == 505),
                "{name} answers {what} with {status:?}"
            );
        }
    }
    assert_useful(&shared, "garbage");
}

#[test]
fn unknown_paths_methods_and_bodies_are_problems_that_say_what_is_wrong() {
    let suite = &Suite::shared().suite;
    for role in role::ALL.iter().filter(|role| role.protocol == Protocol::Http) {
        let address = suite.role(*role);
        for (request, statuses) in [
            (Request::get("/"), [404, 404]),
            (Request::get("/v1/../../etc/passwd"), [404, 400]),
            (Request::new("BREW", "/v1/status"), [404, 405]),
            (Request::json("/v1/nothing", &json!({})), [404, 405]),
        ] {
            let answer = request.clone().ask(&address);
            assert!(
                statuses.contains(&answer.status),
                "{role}: {request:?}: {}",
                answer.status
            );
            if answer.status == 404 {
                assert_eq!(
                    answer.header("content-type"),
                    Some("application/problem+json"),
                    "{role}"
                );
                assert_eq!(answer.value()["type"], "urn:holdfast:problem:not-found", "{role}");
            }
        }
    }
    // What takes JSON takes only what it knows.
    for (role, path) in [
        (role::RECORDER_APPEND, "/v1/entries"),
        (role::RECORDER_REPORT, "/v1/reports"),
        (role::INFERENCE_GENERATE, "/v1/generate"),
        (role::INFERENCE_GENERATE, "/v1/embed"),
        (role::INFERENCE_ADMIN, "/v1/unload"),
    ] {
        let address = suite.role(role);
        for body in [
            "",
            "{",
            "[]",
            "null",
            "{\"unknown\":1}",
            "\u{0}",
            &"[".repeat(100_000),
        ] {
            let answer = Request::post(path, "application/json", body).ask(&address);
            assert!(
                (400..500).contains(&answer.status),
                "{role}: {body:.20}: {}",
                answer.status
            );
            assert!(answer.value()["detail"].as_str().unwrap().len() > 5);
        }
        let large = json!({ "text": "x".repeat(MAX_JSON_BYTES + 1) });
        let answer = Request::json(path, &large).ask(&address);
        assert_eq!(answer.status, 413, "{role}: {}", answer.text());
    }
    // So do paths with parameters.
    for (role, path) in [
        (role::REGISTRY_READ, "/v1/models/sha256:zz"),
        (role::REGISTRY_READ, "/v1/models/%2e%2e%2fetc"),
        (role::QUARANTINE_READ, "/v1/submissions/..%2f..%2fetc"),
        (role::RECORDER_READ, "/v1/entries?limit=-1"),
        (role::RECORDER_READ, "/v1/entries?limit=99999999999999999999"),
        (role::RECORDER_READ, "/v1/proofs/inclusion?index=5&size=1"),
    ] {
        let answer = Request::get(path).ask(&suite.role(role));
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
    }
}

#[test]
fn whoever_sends_slowly_is_hung_up_on_and_holds_nobody_up() {
    let shared = used();
    let memory = Memory::of(&shared.suite);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for (name, address) in places(&shared.suite) {
            // A head that never ends, a byte now and then.
            let (slow, at) = (name.clone(), address.clone());
            scope.spawn(move || {
                let mut connection = at.connect().unwrap();
                connection.patience(Duration::from_millis(250)).unwrap();
                let _ = connection.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n");
                let mut byte = [0; 256];
                loop {
                    let sent = connection.write_all(b"X");
                    match connection.read(&mut byte) {
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && sent.is_ok() => {}
                        _ => break,
                    }
                    assert!(begun.elapsed() < PATIENCE, "{slow} waits for ever for a head");
                }
            });
            // A body that was announced and never comes.
            scope.spawn(move || {
                let head = "POST /v1/entries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
                status_of(&format!("{name} (a body that does not come)"), &address, head.as_bytes());
            });
        }
        // Meanwhile.
        assert_useful(&shared, "slow callers");
    });
    say(&format!(
        "[measured] slow callers: all hung up on within {:.1} s (heads have {HEADER_DEADLINE:?})",
        begun.elapsed().as_secs_f64()
    ));
    memory.assert_flat(&shared.suite, "slow callers on every socket");
}

#[test]
fn hundreds_of_silent_connections_do_not_shut_others_out() {
    let shared = used();
    let memory = Memory::of(&shared.suite);
    let mut held = Vec::new();
    for (_, address) in places(&shared.suite) {
        for _ in 0..IDLE {
            // Beyond the places there is the socket's queue; beyond that the kernel says no.
            match address.connect() {
                Ok(connection) => held.push(connection),
                Err(_) => break,
            }
        }
    }
    assert!(held.len() > 1000, "{}", held.len());
    // The silent are hung up on in their time, then it is the turn of those who speak.
    for (name, address) in places(&shared.suite) {
        let answer = Request::get("/v1/status").send(&address);
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(answer.status < 500, "{name}: {}", answer.status);
    }
    drop(held);
    assert_useful(&shared, "silent connections");
    memory.assert_flat(
        &shared.suite,
        &format!("{IDLE} silent connections on every socket"),
    );
}

#[test]
fn large_bodies_are_refused_and_not_kept() {
    let shared = used();
    let memory = Memory::of(&shared.suite);
    let lump = vec![b' '; 4 << 20];
    for (name, address) in places(&shared.suite) {
        for path in [
            "/v1/entries",
            "/v1/generate",
            "/v1/chat/completions",
            "/chat/answer",
            "/sign-in",
            "/v1/submissions?name=x",
        ] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
                 Content-Length: 99999999999999\r\n\r\n",
                shared.suite.address(),
                shared.suite.url(),
                shared.token,
            );
            let mut connection = address.connect().unwrap();
            let _ = connection.write_all(head.as_bytes());
            for _ in 0..16 {
                if connection.write_all(&lump).is_err() {
                    break;
                }
            }
            connection.shut(std::net::Shutdown::Write);
            let status = answer(&format!("{name}{path}"), &mut connection);
            assert!(
                status.is_none_or(|status| (300..500).contains(&status)),
                "{name}{path}: {status:?}"
            );
        }
    }
    assert_useful(&shared, "large bodies");
    memory.assert_flat(&shared.suite, "endless bodies on every socket");
}

fn packets(path: &Path) -> OwnedFd {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))
        .unwrap();
    socket
}

/// Sends a packet with descriptors and waits until the other side answers or hangs up. Returns what it answered.
#[track_caller]
fn packet(path: &Path, bytes: &[u8], descriptors: usize) -> String {
    let socket = packets(path);
    let file = tempfile::tempfile().unwrap();
    let passed = vec![file.as_fd(); descriptors];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if descriptors > 0 {
        assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
    }
    let _ = rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
    let mut answer = vec![0; MAX_PACKET_BYTES];
    let count = match rustix::net::recv(&socket, &mut answer[..], rustix::net::RecvFlags::empty()) {
        Ok((count, _)) => count,
        Err(rustix::io::Errno::AGAIN) => panic!("{} neither answers nor hangs up", path.display()),
        Err(_) => 0,
    };
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

#[test]
fn malformed_packets_on_descriptor_sockets_are_refused() {
    let shared = used();
    let suite = &shared.suite;
    let memory = Memory::of(suite);
    let roles: Vec<Role> = role::ALL
        .iter()
        .copied()
        .filter(|role| role.protocol == Protocol::Descriptors)
        .collect();
    assert_eq!(roles.len(), 2);
    let registry = suite.process(Service::Registry);
    let open_files = || std::fs::read_dir(format!("/proc/{}/fd", registry.pid)).map_or(0, Iterator::count);
    let before = open_files();
    let guide = suite.model("guide").digest.to_string();
    let large = format!("\"{}\"", "x".repeat(MAX_PACKET_BYTES - 10));
    let forged = json!({ "name": "forged", "envelope": "{\"payload\":\"e30=\",\"payloadType\":\"application/vnd.in-toto+json\",\"signatures\":[]}" });
    for role in roles {
        let path = suite.socket(role);
        for (bytes, descriptors) in [
            (&b"\xff\xfe{"[..], 0),
            (b"", 0),
            (b"{}", 0),
            (b"null", 1),
            (b"[]", 20),
            (large.as_bytes(), 0),
            (json!({ "digest": "sha256:zz" }).to_string().as_bytes(), 0),
            (json!({ "digest": guide, "more": 1 }).to_string().as_bytes(), 0),
            (forged.to_string().as_bytes(), 0),
            (forged.to_string().as_bytes(), 1),
            (forged.to_string().as_bytes(), 3),
        ] {
            let answer = packet(&path, bytes, descriptors);
            assert!(
                !answer.contains("\"admitted\"") && !answer.contains("\"opened\""),
                "{role}: {answer}"
            );
        }
        let silent: Vec<_> = (0..IDLE / 2).map(|_| packets(&path)).collect();
        drop(silent);
    }
    // A model that is not there is said not to be there.
    let nowhere = json!({ "digest": format!("sha256:{}", "0".repeat(64)) });
    let answer = packet(
        &suite.socket(role::REGISTRY_OPEN),
        nowhere.to_string().as_bytes(),
        0,
    );
    assert!(answer.contains("urn:holdfast:problem:not-found"), "{answer}");

    assert_eq!(suite.models().len(), 1, "nothing came in");
    assert_useful(&shared, "malformed packets");
    suite.import(&crate::files::guide()).expect(0);
    let (question, _) = crate::chat::questions().swap_remove(0);
    suite.cli(&["chat", &question]).expect(0);
    holdfast_tests::wait::until("its descriptors are closed", Duration::from_secs(10), || {
        (open_files() <= before + 4).then_some(())
    });
    memory.assert_flat(suite, "malformed packets");
}

#[test]
fn the_page_answers_to_its_own_names_only() {
    let shared = Suite::shared();
    let (suite, page) = (&shared.suite, shared.suite.page());
    let port = suite.address().port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1.nip.io:{port}"),
        String::new(),
    ] {
        for path in ["/", "/healthz", "/v1/models", "/static/page.js", "/nothing"] {
            let answer = Request::get(path).header("Host", &host).ask(&page);
            assert_eq!(answer.status, 421, "{host}{path}");
            assert!(!answer.text().contains("set_up"));
        }
    }
    let answer = Request::get("/healthz")
        .header("Host", &format!("localhost:{port}"))
        .ask(&page);
    assert_eq!(answer.status, 200);
}

#[test]
fn no_other_site_can_make_a_browser_change_anything() {
    let shared = Suite::shared();
    let (suite, person, page) = (&shared.suite, &shared.person, shared.suite.page());
    let guide = suite.model("guide").digest;
    let token = person.form_token();
    let body = holdfast_tests::page::form(&[("form_token", token.as_str()), ("name", "stolen")]);
    let post = |path: &str, body: &str, headers: &[(&str, &str)]| {
        let mut request = Request::post(path, "application/x-www-form-urlencoded", body);
        for (name, value) in [&[("Cookie", person.cookie())], headers].concat() {
            request = request.header(name, value);
        }
        request.ask(&page)
    };
    // Even with the cookie and the form token.
    for headers in [
        &[][..],
        &[("Origin", "http://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://127.0.0.1:1")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", suite.url())],
        &[("Sec-Fetch-Site", "same-site")],
    ] {
        for path in [
            "/api/tokens",
            "/sign-out",
            "/chat/delete-all",
            &format!("/models/{guide}/delete"),
        ] {
            assert_eq!(post(path, &body, headers).status, 403, "{path} {headers:?}");
        }
    }
    // And from here without the form token, or with another's.
    let here = [("Origin", suite.url())];
    for body in [
        "name=stolen",
        "form_token=&name=stolen",
        "form_token=AAAA&name=stolen",
    ] {
        assert_eq!(post("/api/tokens", body, &here).status, 403, "{body}");
    }
    assert_eq!(suite.model("guide").digest, guide);
    let tokens = person.get("/api").expect(200).text();
    assert!(!tokens.contains("stolen"));
    // The session of a cookie that was guessed does not exist.
    let name = person.cookie().split('=').next().unwrap();
    let guessed = Request::get("/chat").header(
        "Cookie",
        &format!("{name}=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    );
    assert_eq!(guessed.ask(&page).status, 303);
}

#[test]
fn every_answer_of_the_page_carries_its_protection() {
    let shared = Suite::shared();
    let page = shared.suite.page();
    for path in [
        "/",
        "/chat",
        "/models",
        "/system",
        "/api",
        "/sign-in",
        "/nothing",
        "/static/page.js",
        "/v1/models",
        "/healthz",
    ] {
        let answer = shared.person.get(path);
        let header = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{path}");
        let text = answer.text();
        let scripts = text.split("<script").skip(1);
        for script in scripts.filter(|_| header("content-type").contains("html")) {
            assert!(
                script.split('>').next().unwrap().contains(" src=\"/static/"),
                "{path}: an inline script"
            );
        }
        assert!(
            !text.contains(" style=\"") && !text.contains("onclick="),
            "{path}"
        );
    }
    let cookie = holdfast_tests::page::post(
        &shared.suite,
        "/sign-in",
        &[("passphrase", holdfast_tests::page::PASSPHRASE)],
    );
    let cookie = cookie.expect(303).header("set-cookie").unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    assert!(Request::get("/static/../main.rs").ask(&page).status >= 400);
}

#[test]
fn oversized_requests_of_the_page_are_refused() {
    let shared = Suite::shared();
    let (person, page) = (&shared.person, shared.suite.page());
    let guide = shared.suite.model("guide").digest;
    let large = json!({ "model": guide, "text": "x".repeat(200_000) });
    let answer = person.script(Request::json("/chat/answer", &large)).ask(&page);
    assert_eq!(answer.status, 413, "{}", answer.text());
    let larger = json!({ "model": guide, "text": "x".repeat(2_000_000) });
    assert_eq!(
        person
            .script(Request::json("/chat/answer", &larger))
            .ask(&page)
            .status,
        413
    );
    let passphrase = "x".repeat(100_000);
    let form = holdfast_tests::page::post(&shared.suite, "/sign-in", &[("passphrase", &passphrase)]);
    assert_eq!(form.status, 413);
    let with_token = Request::json(
        "/v1/chat/completions",
        &json!({ "model": "guide", "x": "y".repeat(MAX_JSON_BYTES) }),
    );
    let answer = with_token
        .header("Authorization", &format!("Bearer {}", shared.token))
        .ask(&page);
    assert_eq!(answer.status, 413, "{}", answer.text());
    let name = "n".repeat(5000);
    let upload = Request::post(
        &format!("/models/upload?name={name}"),
        "application/octet-stream",
        "x",
    );
    let answer = person.script(upload).ask(&page);
    assert!((400..500).contains(&answer.status), "{}", answer.text());
}
