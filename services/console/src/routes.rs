//! Every path of the console, and the guard around all of them.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_ipc::Json;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::app::App;
use crate::pages::{self, PageError, access, models, system, tokens, vault};
use crate::{assets, auth, chat, guard, openai, upload};

/// The whole console as a router.
pub fn router(app: Arc<App>) -> Router {
    let pages = Router::new()
        .route("/", get(start))
        .route("/healthz", get(health))
        .route("/static/{name}", get(assets::file))
        .route("/setup", get(access::set_up_page).post(access::set_up))
        .route("/sign-in", get(access::sign_in_page).post(access::sign_in))
        .route("/sign-out", post(access::sign_out))
        .route("/chat", get(pages::chat::begin))
        .route("/chat/all", get(pages::chat::all))
        .route("/chat/answer", post(chat::answer))
        .route(
            "/chat/delete-all",
            get(pages::chat::ask_delete_all).post(chat::delete_all),
        )
        .route("/chat/{id}", get(pages::chat::open))
        .route("/chat/{id}/stop", post(chat::stop))
        .route("/chat/{id}/rename", post(chat::rename))
        .route(
            "/chat/{id}/delete",
            get(pages::chat::ask_delete).post(chat::delete),
        )
        .route("/models", get(models::list))
        .route("/models/upload", post(upload::upload))
        .route("/models/submissions/{id}", get(models::submission))
        .route("/models/{digest}", get(models::detail))
        .route(
            "/models/{digest}/delete",
            get(models::ask_delete).post(models::delete),
        )
        .route("/vault", get(vault::page))
        .route("/vault/lock", post(vault::lock))
        .route("/vault/unlock", post(vault::unlock))
        .route("/vault/recovery-key", post(vault::recovery_key))
        .route("/vault/recovery-key/confirm", post(vault::confirm))
        .route("/vault/passphrase", post(vault::passphrase))
        .route("/vault/passphrase/remove", post(vault::remove_passphrase))
        .route("/vault/security-key", post(vault::enrol_security_key))
        .route(
            "/vault/security-key/unlock",
            post(vault::unlock_with_security_key),
        )
        .route("/vault/security-key/seal", post(vault::seal_with_security_key))
        .route("/vault/security-key/remove", post(vault::remove_security_keys))
        .route("/vault/seal", post(vault::seal))
        .route("/vault/create", post(vault::create))
        .route("/vault/panic", post(vault::panic))
        .route("/vault/panic/call-off", post(vault::call_off))
        .route("/system", get(system::page))
        .route("/system/unload", post(system::unload))
        .route("/api", get(tokens::page))
        .route("/api/tokens", post(tokens::create))
        .route(
            "/api/tokens/{id}/revoke",
            get(tokens::ask_revoke).post(tokens::revoke),
        )
        .fallback(no_such_page);
    pages
        .merge(openai::routes())
        // Every handler that reads a body sets its own limit.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::guard))
        .with_state(app)
}

async fn start(State(app): State<Arc<App>>, headers: HeaderMap) -> Redirect {
    match (auth::session(&app, &headers), app.account.is_set_up()) {
        (Some(_), _) => Redirect::to("/chat"),
        (None, true) => Redirect::to("/sign-in"),
        (None, false) => Redirect::to("/setup"),
    }
}

/// `GET /healthz`, for the supervisor.
async fn health(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "ready": true, "set_up": app.account.is_set_up() }))
}

async fn no_such_page() -> PageError {
    Problem::new(ProblemKind::NotFound, "there is no such page").into()
}

/// The router as the server takes it: one that answers every path itself, so that nothing is answered without the guard.
pub fn sealed(router: Router) -> Router {
    let whole = async move |request: axum::extract::Request| -> Response {
        use tower_service::Service as _;
        // A fresh request: what the outer router noted about the path must not reach the inner one.
        let (parts, body) = request.into_parts();
        let mut inner = http::Request::new(body);
        *inner.method_mut() = parts.method;
        *inner.uri_mut() = parts.uri;
        *inner.version_mut() = parts.version;
        *inner.headers_mut() = parts.headers;
        match router.clone().call(inner).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    Router::new()
        .route("/", axum::routing::any(whole.clone()))
        .route("/{*path}", axum::routing::any(whole))
        .fallback(async || StatusCode::BAD_REQUEST.into_response())
}
