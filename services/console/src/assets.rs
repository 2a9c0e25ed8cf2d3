//! The page's style, scripts and pictures, compiled in. They are the same for everybody and need no session.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::secret;

const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: [(&str, &str, &str); 8] = [
    (
        "holdfast.css",
        "text/css; charset=utf-8",
        include_str!("assets/holdfast.css"),
    ),
    ("logo.svg", "image/svg+xml", include_str!("assets/logo.svg")),
    ("access.js", SCRIPT, include_str!("assets/access.js")),
    ("chat.js", SCRIPT, include_str!("assets/chat.js")),
    ("dom.js", SCRIPT, include_str!("assets/dom.js")),
    ("lines.js", SCRIPT, include_str!("assets/lines.js")),
    ("models.js", SCRIPT, include_str!("assets/models.js")),
    ("page.js", SCRIPT, include_str!("assets/page.js")),
];

static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |(_, _, text): &(&str, &str, &str)| {
        let digest = Sha256::digest(text.as_bytes());
        let hex = secret::hex(digest.get(..16).unwrap_or_default());
        HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""))
    };
    FILES.iter().map(tag).collect()
});

/// `GET /static/{name}`
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let found = FILES
        .iter()
        .zip(TAGS.iter())
        .find(|((file, ..), _)| *file == name);
    let Some(((_, kind, text), tag)) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // Asked each time, answered with 304 unless the console was updated: a page never meets another version's script.
    let caching = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if headers.get(header::IF_NONE_MATCH) == Some(tag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (
        caching,
        [(header::CONTENT_TYPE, HeaderValue::from_static(kind))],
        *text,
    )
        .into_response()
}
