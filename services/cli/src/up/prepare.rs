//! Everything that must be there before the first daemon starts.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use rustix::fs::Mode;
use tokio::net::UnixDatagram;
use zeroize::Zeroizing;

use super::executor::{Orders, Owner, give, start};
use super::identities::Identities;
use super::layout::{Shipped, make_directory};
use super::log::Log;
use super::plan::{Address, Plan, ServicePlan};
use super::supervise::Supervised;
use super::{credentials, posture, sockets};

/// What was prepared.
pub struct Prepared {
    identities: Identities,
    /// Where the page listens, once its socket is bound.
    pub page: Cell<Option<SocketAddr>>,
    /// The set-up token of this start.
    pub setup_token: Zeroizing<String>,
    /// The weaknesses of this mode.
    pub posture: holdfast_contract::status::Posture,
}

/// Prepares the working directory, which is the state directory, for `plan`.
///
/// # Errors
///
/// When something cannot be made.
pub fn prepare(plan: &Plan, shipped: &Shipped) -> anyhow::Result<Prepared> {
    // Files that services and commands share are made readable one by one.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    if Path::new("run").exists() {
        std::fs::remove_dir_all("run").context("remove what an earlier run left")?;
    }
    make_directory(Path::new("run"), 0o711)?;
    make_directory(Path::new("lib"), 0o711)?;
    let identities = if rustix::process::geteuid().is_root() {
        Identities::assign(plan)?
    } else {
        Identities::single()
    };
    let keys = Path::new("lib/credentials");
    credentials::create_missing(keys)?;
    let setup_token = credentials::renew_setup_token(keys)?;
    for public in ["ledger.pub", "statement.pub"] {
        std::fs::copy(keys.join(public), public).with_context(|| format!("publish {public}"))?;
        super::layout::readable(Path::new(public))?;
    }
    shipped.bring(&plan.programs())?;
    let posture = posture::evaluation(&identities);
    posture::publish(&posture)?;
    let prepared = Prepared {
        identities,
        page: Cell::new(None),
        setup_token,
        posture,
    };
    for service in plan.services.iter().chain(&plan.oneshots) {
        prepared.state_directories(service)?;
    }
    Ok(prepared)
}

impl Prepared {
    fn owner(&self, service: &ServicePlan) -> Option<Owner> {
        let user = service.user.as_ref()?;
        let uid = *self.identities.users.get(user)?;
        let gid = *self.identities.groups.get(user)?;
        Some(Owner { uid, gid })
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.identities.groups.get(name).copied()
    }

    fn state_directories(&self, service: &ServicePlan) -> anyhow::Result<()> {
        for directory in &service.state {
            let mut above = std::path::PathBuf::new();
            for part in directory.parent().into_iter().flat_map(Path::components) {
                above.push(part);
                make_directory(&above, 0o711)?;
            }
            make_directory(directory, service.state_mode)?;
            let Some(owner) = self.owner(service) else {
                continue;
            };
            let metadata = std::fs::metadata(directory).context("look at a state directory")?;
            if metadata.uid() != owner.uid {
                // Made just now, or by a start with other identities.
                give_all(directory, owner)?;
            }
        }
        Ok(())
    }

    /// A service ready to be kept running: sockets bound, credentials in place.
    ///
    /// # Errors
    ///
    /// When a socket cannot be bound or a credential is missing.
    pub fn supervised(&self, service: &ServicePlan) -> anyhow::Result<Supervised> {
        make_directory(Path::new("run/notify"), 0o711)?;
        let notify_path = format!("run/notify/{}.sock", service.name);
        let notify = UnixDatagram::bind(&notify_path).with_context(|| format!("bind {notify_path}"))?;
        give(Path::new(&notify_path), self.owner(service))?;
        let mut sockets = Vec::new();
        for socket in &service.sockets {
            let bound = sockets::bind(
                socket,
                socket.group.as_deref().and_then(|group| self.group(group)),
            )?;
            if let Address::Tcp(_) = socket.address {
                // Port 0 asks the kernel for a free one.
                self.page
                    .set(SocketAddr::try_from(rustix::net::getsockname(&bound)?).ok());
            }
            sockets.push(bound);
        }
        let mut orders = self.orders(service)?;
        orders.environment.insert("NOTIFY_SOCKET".to_owned(), notify_path);
        if let Some(watchdog) = service.watchdog {
            orders
                .environment
                .insert("WATCHDOG_USEC".to_owned(), watchdog.as_micros().to_string());
        }
        Ok(Supervised {
            plan: service.clone(),
            orders,
            sockets,
            notify,
        })
    }

    /// What a child of `service` is told.
    ///
    /// # Errors
    ///
    /// When a credential is missing.
    pub fn orders(&self, service: &ServicePlan) -> anyhow::Result<Orders> {
        let owner = self.owner(service);
        let mut environment: BTreeMap<String, String> = service.environment.iter().cloned().collect();
        environment.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        environment.insert("LANG".to_owned(), "C.UTF-8".to_owned());
        if self.identities.are_distinct() {
            environment.insert("HOLDFAST_USERS".to_owned(), self.identities.users_variable());
        }
        if let Ok(level) = std::env::var("HOLDFAST_LOG") {
            environment.insert("HOLDFAST_LOG".to_owned(), level);
        }
        let state: Vec<_> = service
            .state
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        if !state.is_empty() {
            environment.insert("STATE_DIRECTORY".to_owned(), state.join(":"));
        }
        if let Some(directory) = credentials::provide(service, owner)? {
            environment.insert("CREDENTIALS_DIRECTORY".to_owned(), directory);
        }
        Ok(Orders {
            command: service.command.clone(),
            environment,
            sockets: service.sockets.iter().map(|socket| socket.name.clone()).collect(),
            owner,
            groups: service
                .groups
                .iter()
                .filter_map(|group| self.group(group))
                .collect(),
            umask: service.umask,
            open_files: service.open_files,
        })
    }

    /// Runs a one-shot service to its end. Its failure is told and does not stop the suite.
    pub async fn once(&self, service: &ServicePlan, log: &Log) {
        let run = async {
            let orders = self.orders(service)?;
            let mut child = start(&orders, &[], Stdio::null(), Stdio::piped())?;
            if let Some(stderr) = child.stderr.take() {
                tokio::task::spawn_local(log.clone().follow(service.name.clone(), stderr));
            }
            tokio::time::timeout(service.start_within, child.wait())
                .await
                .context("took too long")?
                .context("wait")
        };
        match run.await {
            Ok(status) if status.success() => log.line(&service.name, "done"),
            Ok(status) => log.notice(&service.name, &format!("failed: {status}")),
            Err(error) => log.notice(&service.name, &format!("failed: {error:#}")),
        }
    }
}

/// Gives a directory and everything below it to a service, links themselves and not what they point to.
fn give_all(directory: &Path, owner: Owner) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_dir() {
            give_all(&path, owner)?;
        } else {
            std::os::unix::fs::lchown(&path, Some(owner.uid), Some(owner.gid))?;
        }
    }
    std::os::unix::fs::lchown(directory, Some(owner.uid), Some(owner.gid))?;
    Ok(())
}
