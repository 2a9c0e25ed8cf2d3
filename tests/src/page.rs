//! Somebody in front of the page, without a browser: forms with their tokens, the session's cookie, uploads, chats.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test whose page does not answer as it should has failed"
)]

use serde_json::{Value, json};

use crate::http::{Address, Answer, Request, Response, encoded};
use crate::suite::Suite;

/// What people in tests choose.
pub const PASSPHRASE: &str = "seven lamps beside the cold sea";

/// Somebody with a session.
#[derive(Debug, Clone)]
pub struct Person {
    page: Address,
    origin: String,
    cookie: String,
}

/// What a form sends.
pub fn form(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    fields.join("&")
}

/// The text between two others.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

fn session(response: &Response) -> Option<String> {
    let cookie = response.header("set-cookie")?;
    Some(cookie.split(';').next()?.to_owned())
}

/// Posts a form as a browser does that has no session.
#[track_caller]
pub fn post(suite: &Suite, path: &str, fields: &[(&str, &str)]) -> Response {
    Request::post(path, "application/x-www-form-urlencoded", form(fields))
        .header("Origin", suite.url())
        .ask(&suite.page())
}

impl Person {
    /// Chooses [`PASSPHRASE`] with the set-up token.
    #[track_caller]
    pub fn set_up(suite: &Suite) -> Self {
        let token = suite.setup_token().unwrap();
        let fields = [
            ("token", token),
            ("passphrase", PASSPHRASE),
            ("confirmation", PASSPHRASE),
        ];
        Self::with_session(suite, &post(suite, "/setup", &fields))
    }

    /// Signs in with [`PASSPHRASE`].
    #[track_caller]
    pub fn sign_in(suite: &Suite) -> Self {
        Self::with_session(suite, &post(suite, "/sign-in", &[("passphrase", PASSPHRASE)]))
    }

    #[track_caller]
    fn with_session(suite: &Suite, response: &Response) -> Self {
        let cookie = session(response).filter(|_| response.status == 303);
        Self {
            page: suite.page(),
            origin: suite.url().to_owned(),
            cookie: cookie.unwrap_or_else(|| panic!("no session: {} {}", response.status, response.text())),
        }
    }

    /// The session's cookie as the browser sends it.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Loads a page.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        Request::get(path).header("Cookie", &self.cookie).ask(&self.page)
    }

    /// The session's form token.
    #[track_caller]
    pub fn form_token(&self) -> String {
        let page = self.get("/chat").expect(200).text();
        let token = between(&page, "<meta name=\"form-token\" content=\"", "\"");
        token
            .unwrap_or_else(|| panic!("no form token: {page}"))
            .to_owned()
    }

    /// Posts a form of a page.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let token = self.form_token();
        let fields = [&[("form_token", token.as_str())], fields].concat();
        Request::post(path, "application/x-www-form-urlencoded", form(&fields))
            .header("Cookie", &self.cookie)
            .header("Origin", &self.origin)
            .ask(&self.page)
    }

    /// Makes a token for the API and returns it.
    #[track_caller]
    pub fn api_token(&self, name: &str) -> String {
        let page = self.post("/api/tokens", &[("name", name)]).expect(200).text();
        let token = between(&page, "<code id=\"token\">", "<");
        token.unwrap_or_else(|| panic!("no token: {page}")).to_owned()
    }

    /// A request of a page's script.
    pub fn script(&self, request: Request) -> Request {
        request
            .header("Cookie", &self.cookie)
            .header("Origin", &self.origin)
            .header("X-Form-Token", &self.form_token())
    }

    /// Hands in a file as the Models page does and returns all events.
    #[track_caller]
    pub fn upload(&self, name: &str, bytes: &[u8]) -> Vec<Value> {
        let path = format!("/models/upload?name={}", encoded(name));
        let request = self.script(Request::post(&path, "application/octet-stream", bytes));
        request.open(&self.page).unwrap().events()
    }

    /// Says something in a new conversation; the answer comes as events.
    #[track_caller]
    pub fn say(&self, model: &str, text: &str) -> Answer {
        let body = json!({ "model": model, "text": text });
        let request = self.script(Request::json("/chat/answer", &body));
        request.open(&self.page).unwrap().expect(200)
    }
}
