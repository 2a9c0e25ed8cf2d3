//! What every request has to pass and every answer carries, whatever is behind it.
//!
//! Only known `Host` values are answered, which is what stops DNS rebinding. A change of state has to come from this very
//! origin. Every answer forbids scripts, styles, frames and requests from anywhere else.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

use crate::app::App;

/// The policy of every answer. `require-trusted-types-for` with no policy allowed makes each way by which a script
/// could turn text into markup throw.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const PERMISSIONS_POLICY: &str = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), clipboard-write=(self), \
    display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), \
    midi=(), payment=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()";

/// `Referrer-Policy: same-origin` and not `no-referrer`: with the latter, browsers send `Origin: null` with the page's own forms.
const HEADERS: [(HeaderName, HeaderValue); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY_POLICY),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-embedder-policy"),
        HeaderValue::from_static("require-corp"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(PERMISSIONS_POLICY),
    ),
];

/// The `Host` values that are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// The loopback names with `port`, and `further` ones.
    pub fn new(port: u16, further: &[String]) -> Self {
        let mut names = Vec::new();
        for name in ["127.0.0.1", "localhost", "[::1]"] {
            names.push(format!("{name}:{port}"));
            // A browser leaves out the port that the scheme implies.
            if port == 80 {
                names.push(name.to_owned());
            }
        }
        names.extend(further.iter().map(|name| name.to_ascii_lowercase()));
        Self(names)
    }

    fn allow(&self, host: &str) -> bool {
        self.0.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// The first name, for messages.
    pub fn main(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

/// Why a request was not looked at any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `Host`, several, or one that is not known.
    #[error("This address is not one the console answers to.")]
    Host,
    /// A request that another site made the browser send.
    #[error("The request came from another site and was refused.")]
    CrossSite,
}

impl Refusal {
    const fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::CrossSite => StatusCode::FORBIDDEN,
        }
    }
}

/// Middleware around everything.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match check(&app.hosts, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            tracing::warn!(%refusal, path = request.uri().path(), "request refused");
            let hint = format!("{refusal} Open http://{}/ instead.\n", app.hosts.main());
            (refusal.status(), hint).into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, value);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check<B>(hosts: &Hosts, request: &http::Request<B>) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = single(headers, &header::HOST)
        .filter(|host| hosts.allow(host))
        .ok_or(Refusal::Host)?;
    if request
        .uri()
        .authority()
        .is_some_and(|authority| !hosts.allow(authority.as_str()))
    {
        return Err(Refusal::Host);
    }
    // The API is called by programs and opened by a bearer token, which no site can make a browser send. A program sends
    // neither header; where a browser sends them, they must be right.
    let by_program = request.uri().path().starts_with("/v1/");
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let site = single(headers, &HeaderName::from_static("sec-fetch-site"));
    let origin = single(headers, &header::ORIGIN);
    let from_here = |origin: &str| {
        let name = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        name.is_some_and(|name| name.eq_ignore_ascii_case(host))
    };
    let allowed = match (site, origin) {
        (Some("same-origin"), None) => true,
        (Some("same-origin") | None, Some(origin)) => from_here(origin),
        // Typed into the address bar, or a bookmark.
        (Some("none"), None) => reads,
        // Somebody followed a link to here: they may read a page, and without a cookie (SameSite=Strict) at that.
        (Some(_), _) => reads && !by_program && is_navigation(headers),
        (None, None) => reads || by_program,
    };
    if allowed { Ok(()) } else { Err(Refusal::CrossSite) }
}

fn is_navigation(headers: &HeaderMap) -> bool {
    single(headers, &HeaderName::from_static("sec-fetch-mode")) == Some("navigate")
        && single(headers, &HeaderName::from_static("sec-fetch-dest")) == Some("document")
}

/// A header's value where it is there once, and is text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1:8480";

    fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(
            &Hosts::new(8480, &["box.lan:8480".to_owned()]),
            &request.body(()).unwrap(),
        )
    }

    #[test]
    fn answers_to_the_loopback_names_and_to_configured_ones() {
        for host in [
            "127.0.0.1:8480",
            "localhost:8480",
            "LOCALHOST:8480",
            "[::1]:8480",
            "box.lan:8480",
        ] {
            assert_eq!(ask("GET", "/", &[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn refuses_every_other_name() {
        for host in [
            "evil.example",
            "evil.example:8480",
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost.evil.example:8480",
            "127.0.0.1:8480.evil.example",
            "",
        ] {
            assert_eq!(
                ask("GET", "/healthz", &[("host", host)]),
                Err(Refusal::Host),
                "{host}"
            );
            assert_eq!(
                ask("POST", "/v1/chat/completions", &[("host", host)]),
                Err(Refusal::Host),
                "{host}"
            );
        }
        assert_eq!(ask("GET", "/", &[]), Err(Refusal::Host));
        assert_eq!(
            ask("GET", "/", &[("host", HERE), ("host", "evil.example")]),
            Err(Refusal::Host)
        );
        assert_eq!(
            ask("GET", "http://evil.example/", &[("host", HERE)]),
            Err(Refusal::Host)
        );
    }

    #[test]
    fn a_change_of_state_has_to_come_from_this_origin() {
        let post = |headers: &[(&str, &str)]| ask("POST", "/sign-in", &[&[("host", HERE)], headers].concat());
        assert_eq!(post(&[("origin", "http://127.0.0.1:8480")]), Ok(()));
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(
            post(&[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://127.0.0.1:8480")
            ]),
            Ok(())
        );
        for headers in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "http://evil.example")],
            &[("origin", "http://127.0.0.1:3000")],
            &[("origin", "http://localhost:8480")],
            &[("origin", "ftp://127.0.0.1:8480")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "http://127.0.0.1:8480"),
            ],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://evil.example"),
            ],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
        ] {
            assert_eq!(post(headers), Err(Refusal::CrossSite), "{headers:?}");
        }
    }

    #[test]
    fn another_site_may_link_to_a_page_but_not_load_it_as_a_part_of_itself() {
        let get = |path, mode, dest| {
            let headers = [
                ("host", HERE),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
            ];
            ask("GET", path, &headers)
        };
        assert_eq!(get("/chat", "navigate", "document"), Ok(()));
        assert_eq!(get("/chat", "navigate", "iframe"), Err(Refusal::CrossSite));
        assert_eq!(
            get("/static/logo.svg", "no-cors", "image"),
            Err(Refusal::CrossSite)
        );
        assert_eq!(get("/v1/models", "cors", "empty"), Err(Refusal::CrossSite));
    }

    #[test]
    fn programs_call_the_api_without_origin_but_other_sites_do_not() {
        assert_eq!(ask("POST", "/v1/chat/completions", &[("host", HERE)]), Ok(()));
        let foreign = [("host", HERE), ("origin", "http://evil.example")];
        assert_eq!(
            ask("POST", "/v1/chat/completions", &foreign),
            Err(Refusal::CrossSite)
        );
    }
}
