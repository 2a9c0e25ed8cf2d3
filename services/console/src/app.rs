//! Everything that a request may need, opened once.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use holdfast_contract::status::{Confinement, ServiceStatus};
use holdfast_contract::{Timestamp, role::Service};
use holdfast_ipc::{Surroundings, SurroundingsError};
use tokio::sync::{Semaphore, watch};

use crate::account::{Account, AccountError};
use crate::config::Config;
use crate::guard::Hosts;
use crate::history::{Found, History, HistoryError};
use crate::neighbours::Neighbours;
use crate::places::Places;
use crate::session::Sessions;
use crate::tokens::{Tokens, TokensError};
use holdfast_daemon::Throttle;

/// Uploads at once; further ones are asked to wait.
const MAX_UPLOADS: usize = 4;

/// Why the console could not open what it needs.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The supervisor gave no state directory.
    #[error("find the state directory")]
    Surroundings(#[from] SurroundingsError),
    /// The state directory cannot be used.
    #[error("prepare the state directory")]
    State(#[from] crate::store::StoreError),
    /// The account cannot be opened.
    #[error("open the account")]
    Account(#[from] AccountError),
    /// The API tokens cannot be opened.
    #[error("open the API tokens")]
    Tokens(#[from] TokensError),
    /// The conversations cannot be opened.
    #[error("open the conversations")]
    History(#[from] HistoryError),
}

/// What the console is started with.
#[derive(Debug)]
pub struct Start {
    /// What the operator decided.
    pub config: Config,
    /// Where state and other services are.
    pub surroundings: Surroundings,
    /// Where the account and the conversations are.
    pub places: Places,
    /// Allows to choose the passphrase while there is none.
    pub setup_token: Option<zeroize::Zeroizing<Vec<u8>>>,
    /// The address that the supervisor bound.
    pub address: SocketAddr,
    /// How this process is confined.
    pub confinement: Confinement,
    /// Becomes true when the daemon is asked to stop.
    pub stopping: watch::Receiver<bool>,
}

/// The console.
#[derive(Debug)]
pub struct App {
    /// Names it answers to.
    pub hosts: Hosts,
    /// Name of the session cookie. Cookies are shared between ports, so the port is in it.
    pub cookie: String,
    /// The one account.
    pub account: Account,
    /// Open sessions.
    pub sessions: Sessions,
    /// API tokens.
    pub tokens: Tokens,
    /// Counts wrong API tokens.
    pub wrong_tokens: Mutex<Throttle>,
    /// Conversations.
    pub history: History,
    /// The other services.
    pub neighbours: Neighbours,
    /// Places for uploads.
    pub uploads: Arc<Semaphore>,
    /// Becomes true when the daemon is asked to stop.
    pub stopping: watch::Receiver<bool>,
    status: ServiceStatus,
}

impl App {
    /// Opens the state directory and everything in it.
    ///
    /// # Errors
    ///
    /// When something in it cannot be read. A damaged credentials or tokens file is never taken for an absent one.
    pub fn open(start: Start) -> Result<(Self, Found), AppError> {
        let places = &start.places;
        let state = &places.account;
        crate::store::prepare(state)?;
        let (history, found) = if places.vault_is_shut() {
            (History::shut(), Found::default())
        } else {
            crate::store::prepare(&places.conversations)?;
            History::open(
                places.conversations.join("conversations"),
                start.config.max_conversations,
            )?
        };
        let app = Self {
            hosts: Hosts::new(start.address.port(), &start.config.allowed_hosts),
            cookie: format!("holdfast-session-{}", start.address.port()),
            account: Account::open(
                state.join("credentials.json"),
                start.setup_token.as_ref().map(|token| token.as_slice()),
            )?,
            sessions: Sessions::new(start.config.session_idle(), start.config.session_absolute()),
            tokens: Tokens::open(state.join("tokens.json"), start.config.max_tokens)?,
            wrong_tokens: Mutex::default(),
            history,
            neighbours: Neighbours::new(&start.surroundings),
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
            stopping: start.stopping,
            status: ServiceStatus {
                service: Service::Console,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                started_at: Timestamp::now(),
                confinement: start.confinement,
                summary: String::new(),
            },
        };
        Ok((app, found))
    }

    /// The console's own status.
    pub fn status(&self) -> ServiceStatus {
        let conversations = self.history.list().len();
        let sessions = self.sessions.count(std::time::Instant::now());
        let tokens = self.tokens.list().len();
        let summary = format!("{conversations} conversations, {sessions} sessions, {tokens} API tokens");
        ServiceStatus {
            summary,
            ..self.status.clone()
        }
    }
}
