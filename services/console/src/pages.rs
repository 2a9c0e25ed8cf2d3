//! The pages: their common frame, and the page that says what went wrong. maud escapes everything that is put in.

pub mod access;
pub mod chat;
pub mod models;
pub mod report;
pub mod system;
pub mod tokens;
pub mod vault;

use axum::response::{Html, IntoResponse, Response};
use holdfast_contract::Problem;
use holdfast_contract::status::{Mode, Posture};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use crate::app::App;
use crate::session::Session;
use crate::words::{self, Tone};

/// Where in the navigation a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Conversations.
    Chat,
    /// Models and what was handed in.
    Models,
    /// The encrypted volume.
    Vault,
    /// Services, posture, ledger.
    System,
    /// API tokens.
    Api,
}

impl Place {
    const ALL: [Self; 5] = [Self::Chat, Self::Models, Self::Vault, Self::System, Self::Api];

    const fn name(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::Models => "Models",
            Self::Vault => "Vault",
            Self::System => "System",
            Self::Api => "API",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat",
            Self::Models => "/models",
            Self::Vault => "/vault",
            Self::System => "/system",
            Self::Api => "/api",
        }
    }

    /// The lines of its picture, 20 by 20. Constants of this file, never anything from outside.
    const fn picture(self) -> &'static str {
        match self {
            Self::Chat => "M3.5 4.5h13v9h-7l-3.5 3v-3h-2.5z",
            Self::Models => "M10 2.8l6.5 3.6v7.2L10 17.2l-6.5-3.6V6.4zM3.5 6.4L10 10l6.5-3.6M10 10v7.2",
            Self::Vault => "M4.5 9h11v7.5h-11zM6.5 9V6.5a3.5 3.5 0 0 1 7 0V9M10 12v1.8",
            Self::System => {
                "M10 2.8l6 2.2v4.6c0 3.7-2.5 6.2-6 7.6-3.5-1.4-6-3.9-6-7.6V5zM7.4 10l1.9 1.9 3.4-3.6"
            }
            Self::Api => "M7 6l-4 4 4 4M13 6l4 4-4 4M11.2 4.5l-2.4 11",
        }
    }
}

/// The frame around a page of somebody who signed in.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Title of the page.
    pub title: &'a str,
    /// Where it is in the navigation.
    pub place: Place,
    /// The page's own scripts, besides the common one.
    pub scripts: &'static [&'static str],
    /// What stands below the navigation.
    pub aside: Markup,
}

impl Frame<'_> {
    /// The whole page.
    pub fn page(self, app: &App, session: &Session, content: &Markup) -> Html<String> {
        let mode = app.neighbours.posture();
        let body = html! {
            a.skip href="#content" { "Skip to the content" }
            div.shell {
                header.side {
                    a.brand href="/chat" { (mark()) span { "Holdfast" } }
                    nav.places aria-label="Main" {
                        @for place in Place::ALL {
                            a href=(place.path()) aria-current=[(place == self.place).then_some("page")] {
                                svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" {
                                    path d=(place.picture()) {}
                                }
                                span { (place.name()) }
                            }
                        }
                    }
                    (self.aside)
                    div.foot {
                        (mode_link(mode.as_ref()))
                        form method="post" action="/sign-out" {
                            (form_token(session))
                            button.quiet type="submit" { "Sign out" }
                        }
                    }
                }
                main #content tabindex="-1" { (content) }
            }
            dialog #ask aria-labelledby="ask-title" {
                form method="dialog" {
                    h2 #ask-title {}
                    p #ask-text {}
                    div.actions {
                        button type="submit" value="no" { "Cancel" }
                        button.danger #ask-yes type="submit" value="yes" {}
                    }
                }
            }
        };
        document(self.title, Some(session), self.scripts, &body)
    }
}

fn mode_link(posture: Option<&Posture>) -> Markup {
    let (text, more, tone) = match posture.map(|posture| posture.mode) {
        Some(Mode::Appliance) => ("Appliance", "", Tone::Good),
        Some(Mode::Evaluation) => ("Evaluation", " mode", Tone::Warn),
        None => ("Unknown", " posture", Tone::Warn),
    };
    html! { a.badge.(tone.class()) href="/system#posture" { (text) span.more { (more) } } }
}

/// A page outside a session: one card.
pub fn card(title: &str, scripts: &'static [&'static str], content: &Markup) -> Html<String> {
    let body = html! {
        main.card #content {
            div.brand { (mark()) span { "Holdfast" } }
            (content)
        }
    };
    document(title, None, scripts, &body)
}

fn document(title: &str, session: Option<&Session>, scripts: &[&str], body: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(session) = session {
                    meta name="form-token" content=(session.form_token());
                }
                title { (title) " · Holdfast" }
                link rel="icon" href="/static/logo.svg" type="image/svg+xml";
                link rel="stylesheet" href="/static/holdfast.css";
                @if session.is_some() {
                    script type="module" src="/static/page.js" {}
                }
                @for script in scripts {
                    script type="module" src={ "/static/" (script) } {}
                }
            }
            body { (body) }
        }
    };
    Html(page.into_string())
}

fn mark() -> Markup {
    html! { img src="/static/logo.svg" alt="" width="28" height="28"; }
}

/// The hidden field that proves that a form is from a page of this session.
pub fn form_token(session: &Session) -> Markup {
    html! { input type="hidden" name="form_token" value=(session.form_token()); }
}

/// A badge with a word in it.
pub fn badge((text, tone): (&str, Tone)) -> Markup {
    html! { span.badge.(tone.class()) { (text) } }
}

/// A note that something is away or went wrong.
pub fn note(tone: Tone, text: &str) -> Markup {
    html! { p.note.(tone.class()) role=[(tone == Tone::Bad).then_some("alert")] { (text) } }
}

/// A problem in place of what could not be shown.
pub fn away(problem: &Problem) -> Markup {
    note(Tone::Bad, &words::problem(problem))
}

/// Asks whether something should really be done, for browsers in which the page's script did not ask already.
pub fn confirm(app: &App, session: &Session, place: Place, question: &Question<'_>) -> Html<String> {
    let content = html! {
        div.column {
            h1 { (question.title) }
            p { (question.text) }
            form.actions method="post" action=(question.action) {
                (form_token(session))
                a.button href=(question.back) { "Cancel" }
                button.danger type="submit" { (question.yes) }
            }
        }
    };
    Frame {
        title: question.title,
        place,
        scripts: &[],
        aside: html! {},
    }
    .page(app, session, &content)
}

/// What [`confirm`] asks.
#[derive(Debug)]
pub struct Question<'a> {
    /// The question.
    pub title: &'a str,
    /// What follows from a yes.
    pub text: &'a str,
    /// What the yes button says.
    pub yes: &'a str,
    /// Where the yes is posted.
    pub action: &'a str,
    /// Where a no leads.
    pub back: &'a str,
}

/// A link that asks before it acts: with the page's script in a dialog, without it on a page of its own.
pub fn asking(label: &str, question: &Question<'_>) -> Markup {
    html! {
        a.button.quiet href=(question.action) data-ask=(question.title) data-text=(question.text) data-yes=(question.yes) {
            (label)
        }
    }
}

/// A problem as a page.
#[derive(Debug)]
pub struct PageError(pub Problem);

impl From<Problem> for PageError {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content = html! {
            h1 { (self.0.title) }
            p { (words::problem(&self.0)) }
            p { a.button href="/" { "Back to the start" } }
        };
        (status, card(&self.0.title, &[], &content)).into_response()
    }
}
