//! A headless Chromium, driven over W3C `WebDriver` by `chromedriver`, with what tests of a page need.
//!
//! Each browser has a fresh profile. It is told to leave the network alone; the pages it is led to are on the loopback address.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test whose browser does not do as it is told has failed"
)]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Address, Request};
use crate::process::Process;
use crate::run::{ended, keep, kept_command};
use crate::{tools, wait};

/// How long a page may take to become what a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The key of an element's id in answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys without a character.
pub mod keys {
    /// The Tab key.
    pub const TAB: &str = "\u{e004}";
    /// The Enter key.
    pub const ENTER: &str = "\u{e007}";
    /// The Escape key.
    pub const ESCAPE: &str = "\u{e00c}";
}

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    address: Address,
    session: String,
    _profile: TempDir,
}

/// An element of the page that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element(String);

impl Browser {
    /// Starts a browser; none where there is no Chromium, which is said.
    #[track_caller]
    pub fn start() -> Option<Self> {
        let driver = tools::program("chromedriver")?;
        let binary = ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find_map(tools::find);
        let binary = binary.or_else(|| tools::program("chromium"))?;
        let profile = tempfile::tempdir().unwrap();
        let mut command = kept_command(&driver);
        command
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut driver = keep(command).unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let (sender, port) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.by_ref().map_while(Result::ok) {
                // An earlier line names the port that was asked for, which is 0.
                let port = line.split("started successfully on port ").nth(1);
                let port = port.map(|rest| rest.trim_end_matches('.').to_owned());
                if let Some(port) = port.and_then(|port| port.parse::<u16>().ok()) {
                    let _ = sender.send(port);
                }
            }
        });
        let port = port.recv_timeout(PATIENCE).unwrap();
        let address = Address::from(SocketAddr::from(([127, 0, 0, 1], port)));
        let user_data = format!("--user-data-dir={}", profile.path().join("profile").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--window-size=1280,900",
            &user_data,
        ];
        let chrome = json!({ "args": arguments, "binary": binary });
        let wanted = json!({ "alwaysMatch": {
            "browserName": "chrome",
            "unhandledPromptBehavior": "ignore",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": chrome,
        } });
        let answer = Request::json("/session", &json!({ "capabilities": wanted })).ask(&address);
        let answer = answer.expect(200).value();
        let browser = Self {
            driver,
            address,
            session: answer["value"]["sessionId"].as_str().unwrap().to_owned(),
            _profile: profile,
        };
        // The page is to have the focus, as it has before a person, even where the window of a new profile keeps it.
        let focus = json!({ "cmd": "Emulation.setFocusEmulationEnabled", "params": { "enabled": true } });
        browser.call("POST", "/goog/cdp/execute", &focus);
        Some(browser)
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let path = format!("/session/{}{path}", self.session);
        let request = match method {
            "POST" => Request::json(&path, body),
            other => Request::new(other, &path),
        };
        let answer = request.ask(&self.address);
        let mut value = answer.value();
        let value = value["value"].take();
        if answer.status == 200 {
            Ok(value)
        } else {
            Err(value)
        }
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    /// Loads an address.
    #[track_caller]
    pub fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    /// The address of what is loaded.
    #[track_caller]
    pub fn url(&self) -> String {
        self.call("GET", "/url", &Value::Null)
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits until the address ends so.
    #[track_caller]
    pub fn until_at(&self, path: &str) {
        wait::until(&format!("the page {path}"), PATIENCE, || {
            self.url().contains(path).then_some(())
        });
    }

    /// The first element that a selector names, if there is one.
    #[track_caller]
    pub fn find(&self, selector: &str) -> Option<Element> {
        self.all(selector).into_iter().next()
    }

    /// The elements that a selector names.
    #[track_caller]
    pub fn all(&self, selector: &str) -> Vec<Element> {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.call("POST", "/elements", &query);
        let ids = found.as_array().unwrap().iter();
        ids.map(|one| Element(one[ELEMENT].as_str().unwrap().to_owned()))
            .collect()
    }

    /// Waits for an element.
    #[track_caller]
    pub fn until(&self, selector: &str) -> Element {
        wait::until(&format!("{selector} on {}", self.url()), PATIENCE, || {
            self.find(selector)
        })
    }

    /// Waits until an element is shown.
    #[track_caller]
    pub fn until_shown(&self, selector: &str) -> Element {
        wait::until(&format!("{selector} shown on {}", self.url()), PATIENCE, || {
            self.find(selector).filter(|element| self.is_shown(element))
        })
    }

    /// Waits until the text of an element holds `part`, and returns the text.
    #[track_caller]
    pub fn until_text(&self, selector: &str, part: &str) -> String {
        let mut last = String::new();
        let found = wait::maybe(PATIENCE, || {
            last = self.page_text(selector);
            last.contains(part).then_some(())
        });
        assert!(found.is_some(), "{selector} never says {part:?}, but {last:?}");
        last
    }

    /// The texts of all elements that a selector names, in one look: an element that the page replaces meanwhile does no harm.
    #[track_caller]
    pub fn page_text(&self, selector: &str) -> String {
        let script =
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText).join('\\n')";
        let text = self.script(script, &json!([selector]));
        text.as_str().unwrap().to_owned()
    }

    /// Whether a person sees the element.
    pub fn is_shown(&self, element: &Element) -> bool {
        self.try_call("GET", &format!("/element/{}/displayed", element.0), &Value::Null)
            .is_ok_and(|shown| shown == true)
    }

    /// Clicks.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        // An element may be covered for a moment by what closes.
        let mut last = Value::Null;
        let clicked = wait::maybe(PATIENCE, || {
            let element = self.find(selector)?;
            let path = format!("/element/{}/click", element.0);
            match self.try_call("POST", &path, &json!({})) {
                Ok(_) => Some(()),
                Err(error) => {
                    last = error;
                    None
                }
            }
        });
        assert!(clicked.is_some(), "{selector} cannot be clicked: {last}");
    }

    /// Types into an element, or names a file to a file input.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.until(selector);
        self.call(
            "POST",
            &format!("/element/{}/value", element.0),
            &json!({ "text": text }),
        );
    }

    /// Presses keys, wherever the focus is.
    #[track_caller]
    pub fn press(&self, text: &str) {
        let actions: Vec<Value> = text
            .chars()
            .flat_map(|key| {
                ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
            })
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.call("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    /// Runs a script with arguments and returns what it returns.
    #[track_caller]
    pub fn script(&self, script: &str, arguments: &Value) -> Value {
        self.call(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": arguments }),
        )
    }

    /// Runs an expression and returns its value.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        self.script(&format!("return ({expression})"), &json!([]))
    }

    /// The text of an open `alert`, if one is open.
    pub fn alert(&self) -> Option<String> {
        let text = self.try_call("GET", "/alert/text", &Value::Null).ok()?;
        Some(text.as_str().unwrap_or_default().to_owned())
    }

    /// Accepts an open question of the browser itself.
    pub fn accept_alert(&self) {
        let _ = self.try_call("POST", "/alert/accept", &json!({}));
    }

    #[track_caller]
    fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.call("POST", "/goog/cdp/execute", &body);
    }

    /// What the page's console said since the last call: errors of scripts, and what the page's policy forbade.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().unwrap().iter();
        entries
            .map(|entry| {
                format!(
                    "{} {}",
                    entry["level"].as_str().unwrap_or_default(),
                    entry["message"]
                )
            })
            .collect()
    }

    /// Makes the page so many pixels wide and high.
    #[track_caller]
    pub fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Tells the page that the person likes it dark, or light.
    #[track_caller]
    pub fn dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Keeps a picture of the page in `tests/artifacts/<name>.png`.
    #[track_caller]
    pub fn picture(&self, name: &str) -> PathBuf {
        let picture = self.call("GET", "/screenshot", &Value::Null);
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture.as_str().unwrap())
            .unwrap();
        let directory = crate::source().join("tests/artifacts");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name).with_extension("png");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Forgets all cookies of the page that is loaded.
    #[track_caller]
    pub fn forget_cookies(&self) {
        self.call("DELETE", "/cookie", &Value::Null);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let url = self.try_call("GET", "/url", &Value::Null);
            let picture = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.picture("failed")));
            eprintln!("the browser was at {url:?}, pictured in {picture:?}");
        }
        let path = format!("/session/{}", self.session);
        let _ = Request::new("DELETE", &path).send(&self.address);
        if let Some(driver) = i32::try_from(self.driver.id()).ok().and_then(Process::of) {
            let browsers = driver.descendants();
            driver.signal(Signal::TERM);
            let _ = ended(&mut self.driver, Duration::from_secs(5));
            browsers.into_iter().for_each(Process::kill);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
