//! Finding a running suite: its state directory, its sockets, and the models it has.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{ModelSummary, Models};
use holdfast_contract::role::{self, Role};
use holdfast_ipc::Client;

/// A suite on this machine, whether it runs or not.
#[derive(Debug, Clone)]
pub struct Suite {
    state: Option<PathBuf>,
    /// Where the role sockets are.
    pub run: PathBuf,
}

impl Suite {
    /// The suite with state directory `state`; else the one whose unit started this command (`HOLDFAST_RUN`); else the
    /// appliance's, where there is one; else that of the default state directory.
    pub fn find(state: Option<&Path>) -> Self {
        let below = |state: PathBuf| Self {
            run: state.join("run"),
            state: Some(state),
        };
        if let Some(state) = state {
            return below(std::path::absolute(state).unwrap_or_else(|_| state.to_owned()));
        }
        if let Some(run) = std::env::var_os("HOLDFAST_RUN") {
            return Self {
                state: None,
                run: run.into(),
            };
        }
        let default = default_state();
        let appliance = Path::new("/run/holdfast");
        match default {
            Some(default) if default.join("run").is_dir() || !appliance.is_dir() => below(default),
            _ => Self {
                state: None,
                run: appliance.to_owned(),
            },
        }
    }

    /// The state directory for `holdfast up`.
    ///
    /// # Errors
    ///
    /// When none was given and there is no home directory.
    pub fn state(&self) -> anyhow::Result<PathBuf> {
        self.state
            .clone()
            .or_else(default_state)
            .context("no home directory: give a state directory with --state DIR")
    }

    /// Where the services keep their state.
    pub fn lib(&self) -> PathBuf {
        match &self.state {
            Some(state) => state.join("lib"),
            None => "/var/lib/holdfast".into(),
        }
    }

    /// A public key that the supervisor or the first boot published.
    pub fn public_key(&self, name: &str) -> PathBuf {
        match &self.state {
            Some(state) => state.join(name),
            None => Path::new("/var/lib/holdfast/credentials").join(name),
        }
    }

    /// A file that the supervisor publishes, for example the posture.
    pub fn published(&self, name: &str) -> PathBuf {
        self.run.join(name)
    }

    /// Puts the failure of a command into better words where a service does not answer because no suite runs here at all.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let unavailable = error
            .downcast_ref::<Problem>()
            .is_some_and(|problem| problem.kind == ProblemKind::Unavailable);
        // A socket that may not be looked for may be there.
        let absent = |role: &Role| matches!(role.path(&self.run).try_exists(), Ok(false));
        if !unavailable || !role::ALL.iter().all(absent) {
            return error;
        }
        let place = match &self.state {
            Some(state) => format!(" in the state directory {}", state.display()),
            None => String::new(),
        };
        Problem::new(
            ProblemKind::Unavailable,
            format!("Holdfast does not run here{place}"),
        )
        .next("Start it with `holdfast up`, or name its state directory with --state DIR.")
        .into()
    }

    /// A client of a role socket.
    pub fn client(&self, role: Role) -> Client {
        Client::new(role.path(&self.run))
    }

    /// All admitted models.
    ///
    /// # Errors
    ///
    /// When the registry does not answer.
    pub async fn models(&self) -> Result<Vec<ModelSummary>, Problem> {
        let answer: Models = self.client(role::REGISTRY_READ).get("/v1/models").await?;
        Ok(answer.models)
    }

    /// The model with this name or digest.
    ///
    /// # Errors
    ///
    /// When there is none, or the registry does not answer.
    pub async fn model(&self, name: &str) -> Result<ModelSummary, Problem> {
        let models = self.models().await?;
        let known: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        let next = if known.is_empty() {
            "Bring one in with `holdfast import FILE`.".to_owned()
        } else {
            format!("The models are: {}.", known.join(", "))
        };
        let found = models
            .iter()
            .find(|model| model.name == name || model.digest.to_string() == name)
            .cloned();
        found.ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, format!("there is no model {name:?}")).next(next)
        })
    }
}

fn default_state() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/holdfast-evaluation".into());
    }
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .and_then(absolute)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state")))
        .map(|directory| directory.join("holdfast"))
}
