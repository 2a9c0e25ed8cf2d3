//! The System page: how far the whole can be trusted, each service and its confinement, engines, and the ledger's head.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use holdfast_contract::inference::{Engine, Engines};
use holdfast_contract::ledger::{Entries, IndexedEntry};
use holdfast_contract::profile::Profile;
use holdfast_contract::registry::ModelSummary;
use holdfast_contract::role::Service;
use holdfast_contract::status::{Confinement, Mode, Posture, ServiceStatus};
use holdfast_contract::{Digest, Problem, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Frame, PageError, Place, away, badge, form_token, note};
use crate::app::App;
use crate::auth::{Form, SignedIn};
use crate::session::Session;
use crate::words::{self, Tone};

/// So many of the newest ledger entries are shown.
const ENTRIES: u64 = 20;

/// `GET /system`
pub async fn page(State(app): State<Arc<App>>, SignedIn(session): SignedIn) -> Html<String> {
    let (statuses, engines, models, checkpoint, entries) = tokio::join!(
        app.neighbours.statuses(),
        app.neighbours.engines(),
        app.neighbours.models(),
        app.neighbours.checkpoint(),
        app.neighbours.entries(ENTRIES),
    );
    let names = models.unwrap_or_default();
    let content = html! {
        div.column.wide {
            h1 { "System" }
            (posture(app.neighbours.posture().as_ref()))
            (profile(Profile::current()))
            section aria-labelledby="services-title" {
                h2 #services-title { "Services" }
                ul.cards.services {
                    @for (role, status) in &statuses { (service(role.service, status.as_ref())) }
                    (service(Service::Console, Ok(&app.status())))
                }
            }
            section aria-labelledby="engines-title" {
                h2 #engines-title { "Engines" }
                @match &engines {
                    Err(problem) => (away(problem)),
                    Ok(engines) => (engine_list(engines, &names, &session)),
                }
            }
            (ledger(&checkpoint, &entries))
            p.hint { "Holdfast " (env!("CARGO_PKG_VERSION")) }
        }
    };
    Frame {
        title: "System",
        place: Place::System,
        scripts: &[],
        aside: html! {},
    }
    .page(&app, &session, &content)
}

fn posture(posture: Option<&Posture>) -> Markup {
    html! {
        section #posture aria-labelledby="posture-title" {
            @match posture {
                None => {
                    div.line { h2 #posture-title { "Posture" } (badge(("Unknown", Tone::Warn))) }
                    (note(Tone::Warn, "The supervisor left no posture file, so it is not known how far this machine can be trusted."))
                }
                Some(posture) => {
                    div.line {
                        h2 #posture-title { "Posture" }
                        (badge(match posture.mode { Mode::Appliance => ("Appliance", Tone::Good), Mode::Evaluation => ("Evaluation", Tone::Warn) }))
                    }
                    @if posture.weaknesses.is_empty() {
                        p { "Nothing is weaker here than on the appliance." }
                    } @else {
                        p {
                            @match posture.mode {
                                Mode::Appliance => "What this appliance does not do yet:",
                                Mode::Evaluation => "Weaker here than on the appliance:",
                            }
                        }
                        ul.weaknesses { @for weakness in &posture.weaknesses { li { (words::sentence(weakness)) } } }
                    }
                }
            }
        }
    }
}

/// What the machine is for, and what else there will be.
fn profile(current: Profile) -> Markup {
    html! {
        section #profile aria-labelledby="profile-title" {
            h2 #profile-title { "Profile: " (current.name()) }
            p { (words::sentence(current.meaning())) }
            @for other in Profile::ALL { @if let Some(missing) = other.missing() {
                p.hint { strong { (other.name()) } " (" (other.meaning()) ") needs " (missing) ", which this version does not have." }
            } }
        }
    }
}

fn service(service: Service, status: Result<&ServiceStatus, &Problem>) -> Markup {
    let (name, does) = words::service(service);
    html! {
        li.card data-service=(service.name()) {
            div.line {
                h3 { (name) }
                @match status {
                    Ok(_) => (badge(("Running", Tone::Good))),
                    Err(_) => (badge(("Away", Tone::Bad))),
                }
            }
            p.hint { (words::sentence(does)) }
            @match status {
                Err(problem) => (away(problem)),
                Ok(status) => {
                    @if !status.summary.is_empty() { p { (words::sentence(&status.summary)) } }
                    (confinement(&status.confinement))
                    p.hint { "Up for " (words::duration(since(status.started_at))) " · process " (status.pid) " · version " (status.version) }
                }
            }
        }
    }
}

fn confinement(confinement: &Confinement) -> Markup {
    let grants = confinement.grants.len();
    html! {
        p {
            @if confinement.landlock_abi == 0 {
                (badge(("No Landlock", Tone::Bad)))
            } @else {
                (badge(("Landlock", Tone::Good))) " ABI " (confinement.landlock_abi)
            }
            " · "
            @if confinement.syscalls == 0 {
                (badge(("No seccomp", Tone::Bad)))
            } @else {
                (badge(("seccomp", Tone::Good))) " " (confinement.syscalls) " system calls allowed"
            }
        }
        @for missing in &confinement.missing {
            p.hint { (badge(("Not enforced", Tone::Warn))) " " (words::sentence(missing)) }
        }
        details {
            summary { (grants) @if grants == 1 { " path" } @else { " paths" } " left to it" }
            ul.code { @for grant in &confinement.grants { li { (grant) } } }
        }
    }
}

fn engine_list(engines: &Engines, models: &[ModelSummary], session: &Session) -> Markup {
    html! {
        p.hint { "llama.cpp, built for " (engines.backend) ". An engine holds one model and is stopped when it is not used." }
        @if engines.engines.is_empty() {
            p.empty { "No model is loaded." }
        } @else {
            ul.cards {
                @for engine in &engines.engines { (engine_card(engine, models, session)) }
            }
        }
    }
}

fn engine_card(engine: &Engine, models: &[ModelSummary], session: &Session) -> Markup {
    let name = models
        .iter()
        .find(|model| model.digest == engine.model)
        .map(|model| model.name.as_str());
    html! {
        li.card {
            div.line {
                h3 { @match name { Some(name) => (name), None => span.code { (engine.model) } } }
                @if engine.active > 0 { (badge(("Generating", Tone::Good))) } @else { (badge(("Idle", Tone::Plain))) }
            }
            p.hint {
                (engine.active) " of " (engine.slots) " places in use · " (engine.queued) " waiting · "
                (words::grouped(u64::from(engine.context_tokens))) " tokens of context each · process " (engine.pid)
                @if engine.active == 0 { " · idle for " (words::duration(Duration::from_secs(engine.idle_seconds))) }
            }
            form.actions method="post" action="/system/unload" {
                (form_token(session))
                input type="hidden" name="model" value=(engine.model);
                button type="submit" { "Unload" }
            }
        }
    }
}

fn ledger(checkpoint: &Result<String, Problem>, entries: &Result<Entries, Problem>) -> Markup {
    html! {
        section #ledger aria-labelledby="ledger-title" {
            h2 #ledger-title { "Ledger" }
            p { "Every decision is an entry in an append-only Merkle tree. The checkpoint below is signed and covers all of it." }
            @match checkpoint {
                Err(problem) => (away(problem)),
                Ok(text) => (head(text)),
            }
            p { "Check it on this machine or any other, with the public key alone:" }
            figure.code { figcaption { "shell" } pre tabindex="0" { code { "holdfast ledger verify\n" } } }
            p.hint { "Add " code { "--state DIR" } " if the suite was started with another state directory." }
            @match entries {
                Err(problem) => (away(problem)),
                Ok(entries) => (entry_table(entries)),
            }
        }
    }
}

/// The lines of a checkpoint: origin, size, root hash; then signatures (C2SP tlog-checkpoint).
fn head(note: &str) -> Markup {
    let mut lines = note.lines();
    let (origin, size, root) = (lines.next(), lines.next(), lines.next());
    let size: Option<u64> = size.and_then(|size| size.parse().ok());
    html! {
        dl.facts {
            @if let Some(origin) = origin { dt { "Log" } dd.code { (origin) } }
            @if let Some(size) = size { dt { "Entries" } dd #ledger-size { (words::grouped(size)) } }
            @if let Some(root) = root { dt { "Root hash" } dd.code #ledger-root { (root) } }
        }
        details {
            summary { "The signed checkpoint" }
            pre.plain tabindex="0" { (note) }
        }
    }
}

fn entry_table(entries: &Entries) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label="Newest ledger entries" {
            table {
                thead { tr { th scope="col" { "No." } th scope="col" { "Time" } th scope="col" { "What" } th scope="col" { "How it went" } th scope="col" { "By" } th scope="col" { "To what" } } }
                tbody { @for one in entries.entries.iter().rev() { (entry_row(one)) } }
            }
        }
        p.hint { "All entries: " code { "holdfast ledger log" } }
    }
}

fn entry_row(one: &IndexedEntry) -> Markup {
    let entry = &one.entry;
    html! {
        tr {
            td.right { (words::grouped(one.index)) }
            td { (words::time(entry.time)) }
            td { (words::event(entry.event)) }
            td { (badge(words::outcome(entry.outcome))) }
            td { (entry.source) }
            td.code { (subject(&entry.subject)) }
        }
    }
}

/// A digest is cut in the table; its beginning tells models apart.
fn subject(text: &str) -> String {
    match text.parse::<Digest>() {
        Ok(_) => text.chars().take(19).chain(['…']).collect(),
        Err(_) => text.to_owned(),
    }
}

fn since(start: Timestamp) -> Duration {
    Timestamp::now()
        .duration_since(start)
        .try_into()
        .unwrap_or_default()
}

/// The form of the unload button.
#[derive(Debug, Deserialize)]
pub struct UnloadForm {
    model: Digest,
}

/// `POST /system/unload`
///
/// # Errors
///
/// When the model is not loaded, or inference is away.
pub async fn unload(
    State(app): State<Arc<App>>,
    Form(_, form): Form<UnloadForm>,
) -> Result<Response, PageError> {
    app.neighbours.unload(form.model).await?;
    Ok(Redirect::to("/system").into_response())
}
