//! A console for one test, and somebody who uses it: keeps the cookie, sends the headers that a browser sends.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use holdfast_console::app::{App, Start};
use holdfast_console::config::Config;
use holdfast_console::places::Places;
use holdfast_console::routes;
use holdfast_contract::status::Confinement;
use holdfast_ipc::Surroundings;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower_service::Service as _;

use crate::fakes::House;

pub const HOST: &str = "127.0.0.1:8480";
pub const SETUP_TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub const PASSPHRASE: &str = "seven lamps by the sea";

pub struct Console {
    pub house: House,
    pub app: Arc<App>,
    pub router: Router,
    pub stop: tokio::sync::watch::Sender<bool>,
    pub directory: tempfile::TempDir,
}

impl Console {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path().join("run");
        std::fs::create_dir(&run).unwrap();
        let house = House::new(&run);
        let (app, stop) = open(&directory, config);
        let router = routes::router(Arc::clone(&app));
        Self {
            house,
            app,
            router,
            stop,
            directory,
        }
    }

    /// The same state in a new process, as after a crash.
    pub fn restarted(self) -> Self {
        let (app, stop) = open(&self.directory, Config::default());
        let router = routes::router(Arc::clone(&app));
        Self {
            app,
            router,
            stop,
            ..self
        }
    }

    pub fn browser(&self) -> Browser {
        Browser {
            router: self.router.clone(),
            cookie: None,
            form_token: String::new(),
        }
    }

    /// Somebody who chose the passphrase or knows it.
    pub async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let page = if self.app.account.is_set_up() {
            browser.post("/sign-in", &[("passphrase", PASSPHRASE)]).await
        } else {
            browser.set_up().await
        };
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        browser.get("/chat").await;
        assert!(!browser.form_token.is_empty());
        browser
    }

    /// A token for the API, made on the page.
    pub async fn api_token(&self) -> String {
        let mut browser = self.signed_in().await;
        let page = browser.post("/api/tokens", &[("name", "test")]).await;
        page.between("<code id=\"token\">", "</code>").to_owned()
    }
}

fn open(directory: &tempfile::TempDir, config: Config) -> (Arc<App>, tokio::sync::watch::Sender<bool>) {
    let mut surroundings = Surroundings::client(directory.path().join("run"));
    surroundings.state.push(directory.path().join("state"));
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let confinement = Confinement {
        landlock_abi: 0,
        syscalls: 0,
        grants: Vec::new(),
        missing: Vec::new(),
    };
    let (app, _) = App::open(Start {
        config,
        places: Places::of(&surroundings).unwrap(),
        surroundings,
        setup_token: Some(SETUP_TOKEN.as_bytes().to_vec().into()),
        address: HOST.parse::<SocketAddr>().unwrap(),
        confinement,
        stopping,
    })
    .unwrap();
    (Arc::new(app), stop)
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Page {
    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn between(&self, before: &str, after: &str) -> &str {
        between(&self.text, before, after).unwrap_or_else(|| panic!("no {before} in {}", self.text))
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// Reads an answer to its end.
pub async fn read(response: Response) -> Page {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Page {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

pub struct Browser {
    router: Router,
    pub cookie: Option<String>,
    pub form_token: String,
}

impl Browser {
    /// Sends a request exactly as it is.
    pub async fn raw(&self, request: Request<Body>) -> Response {
        self.router.clone().call(request).await.unwrap()
    }

    pub fn request(&self, method: &Method, path: &str) -> http::request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, HOST);
        if *method != Method::GET {
            request = request.header(header::ORIGIN, format!("http://{HOST}"));
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        request
    }

    pub async fn get(&mut self, path: &str) -> Page {
        let request = self.request(&Method::GET, path).body(Body::empty()).unwrap();
        let response = self.raw(request).await;
        self.remember(read(response).await)
    }

    /// Sends a form, with this session's form token.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut fields = fields.to_vec();
        fields.push(("form_token", &self.form_token));
        let body = serde_urlencoded::to_string(&fields).unwrap();
        let request = self
            .request(&Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        let response = self.raw(request).await;
        self.remember(read(response).await)
    }

    /// Sends what a script of a page sends.
    pub async fn script(&self, path: &str, body: &Value) -> Response {
        let request = self
            .request(&Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-form-token", &self.form_token)
            .body(Body::from(body.to_string()))
            .unwrap();
        self.raw(request).await
    }

    pub async fn set_up(&mut self) -> Page {
        let fields = [
            ("token", SETUP_TOKEN),
            ("passphrase", PASSPHRASE),
            ("confirmation", PASSPHRASE),
        ];
        self.post("/setup", &fields).await
    }

    fn remember(&mut self, page: Page) -> Page {
        if let Some(cookie) = page.headers.get(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        if let Some(token) = between(&page.text, "name=\"form-token\" content=\"", "\"") {
            token.clone_into(&mut self.form_token);
        }
        page
    }
}

/// An answer that comes as lines of JSON.
pub struct Lines {
    body: axum::body::BodyDataStream,
    rest: Vec<u8>,
}

impl Lines {
    pub fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        Self {
            body: response.into_body().into_data_stream(),
            rest: Vec::new(),
        }
    }

    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk: Bytes = self.body.next().await?.unwrap();
            self.rest.extend_from_slice(&chunk);
        }
    }

    /// The next line of this kind.
    pub async fn until(&mut self, event: &str) -> Value {
        loop {
            let line = self.next().await.unwrap_or_else(|| panic!("no {event} came"));
            if line["event"] == event {
                return line;
            }
        }
    }

    pub async fn all(mut self) -> Vec<Value> {
        let mut lines = Vec::new();
        while let Some(line) = self.next().await {
            lines.push(line);
        }
        lines
    }
}
