//! What the unit files ask for, as the supervisor will do it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::layout::relocate;
use super::unit::Unit;

/// Everything that is to run.
#[derive(Debug)]
pub struct Plan {
    /// The daemons.
    pub services: Vec<ServicePlan>,
    /// What runs once when the daemons are ready.
    pub oneshots: Vec<ServicePlan>,
}

/// One service unit with its sockets.
#[derive(Debug, Clone)]
pub struct ServicePlan {
    /// Unit name without `holdfast-` and `.service`.
    pub name: String,
    /// User, where the unit names one.
    pub user: Option<String>,
    /// Further groups.
    pub groups: Vec<String>,
    /// Program and arguments, relocated.
    pub command: Vec<String>,
    /// Environment of the unit, relocated.
    pub environment: Vec<(String, String)>,
    /// State directories, relative to the state directory.
    pub state: Vec<PathBuf>,
    /// Their mode.
    pub state_mode: u32,
    /// Credentials: name and relocated file.
    pub credentials: Vec<(String, PathBuf)>,
    /// Sockets it is given, in order.
    pub sockets: Vec<SocketPlan>,
    /// How failures are met.
    pub restart: Restart,
    /// How long it has to become ready.
    pub start_within: Duration,
    /// How long it has to stop.
    pub stop_within: Duration,
    /// How often it must say that it is alive.
    pub watchdog: Option<Duration>,
    /// Its umask.
    pub umask: u32,
    /// The most descriptors it may have.
    pub open_files: u64,
}

/// When a service is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// After a failure.
    pub on_failure: bool,
    /// After an orderly end that nobody asked for.
    pub on_success: bool,
    /// The first pause; it doubles up to `longest`.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// One socket unit.
#[derive(Debug, Clone)]
pub struct SocketPlan {
    /// `FileDescriptorName=`.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// Group that may connect.
    pub group: Option<String>,
    /// Mode of the socket file.
    pub mode: u32,
    /// Length of its queue.
    pub backlog: i32,
}

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix stream socket, relative to the state directory.
    Stream(PathBuf),
    /// A Unix sequenced-packet socket, relative to the state directory.
    Packets(PathBuf),
    /// A TCP socket.
    Tcp(SocketAddr),
}

impl Plan {
    /// Reads `holdfast-*.service` and `holdfast-*.socket` in `directory`. `listen` replaces the TCP address.
    ///
    /// # Errors
    ///
    /// When a unit cannot be honoured or the units contradict each other.
    pub fn read(directory: &Path, listen: Option<SocketAddr>) -> anyhow::Result<Self> {
        let mut names: Vec<PathBuf> = std::fs::read_dir(directory)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .with_context(|| format!("list {}", directory.display()))?;
        names.sort();
        let with = |extension: &str| -> anyhow::Result<Vec<Unit>> {
            let is_ours = |path: &&PathBuf| {
                path.extension().is_some_and(|e| e == extension)
                    && path
                        .file_name()
                        .is_some_and(|name| name.to_string_lossy().starts_with("holdfast-"))
            };
            names
                .iter()
                .filter(is_ours)
                .map(|path| Ok(Unit::read(path)?))
                .collect()
        };
        let sockets = with("socket")?;
        let mut plan = Self {
            services: Vec::new(),
            oneshots: Vec::new(),
        };
        for unit in with("service")? {
            let service = ServicePlan::of(&unit, &sockets, listen)?;
            match unit.last("Service", "Type") {
                Some("notify") => plan.services.push(service),
                Some("oneshot") => plan.oneshots.push(service),
                _ => return Err(unit.value("Type", "must be notify or oneshot").into()),
            }
        }
        if plan.services.is_empty() {
            bail!("no services in {}", directory.display());
        }
        Ok(plan)
    }

    /// The names of all programs that the units start or hand to a service.
    pub fn programs(&self) -> Vec<String> {
        let programs: BTreeSet<&str> = self
            .services
            .iter()
            .chain(&self.oneshots)
            .flat_map(|service| &service.command)
            .filter_map(|word| word.strip_prefix("run/programs/"))
            .collect();
        programs.into_iter().map(str::to_owned).collect()
    }

    /// All users and groups that the units name.
    pub fn principals(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let services = || self.services.iter().chain(&self.oneshots);
        let users = services().filter_map(|service| service.user.as_deref()).collect();
        let socket_groups = services()
            .flat_map(|service| &service.sockets)
            .filter_map(|socket| socket.group.as_deref());
        let groups = services()
            .flat_map(|service| &service.groups)
            .map(String::as_str)
            .chain(socket_groups);
        (users, groups.collect())
    }
}

impl ServicePlan {
    fn of(unit: &Unit, sockets: &[Unit], listen: Option<SocketAddr>) -> anyhow::Result<Self> {
        let section = "Service";
        let name = unit
            .name
            .trim_start_matches("holdfast-")
            .trim_end_matches(".service")
            .to_owned();
        let command: Vec<String> = unit
            .required(section, "ExecStart")?
            .split_whitespace()
            .map(relocate)
            .collect();
        if !command
            .first()
            .is_some_and(|program| program.starts_with("run/programs/"))
        {
            return Err(unit
                .value("ExecStart", "must start a program of Holdfast's")
                .into());
        }
        let environment = unit.words(section, "Environment").into_iter().map(|assignment| {
            let (name, value) = assignment
                .split_once('=')
                .ok_or_else(|| unit.value("Environment", "is not NAME=value"))?;
            Ok((name.to_owned(), relocate(value)))
        });
        let credentials = unit.all(section, "LoadCredential").iter().map(|value| {
            let (name, path) = value
                .split_once(':')
                .ok_or_else(|| unit.value("LoadCredential", "is not name:path"))?;
            Ok((name.to_owned(), PathBuf::from(relocate(path))))
        });
        let first = unit.duration(section, "RestartSec", Duration::from_millis(100))?;
        let always = unit.last(section, "Restart") == Some("always");
        let own = |socket: &&Unit| match socket.last("Socket", "Service") {
            Some(service) => service == unit.name,
            None => socket.name.trim_end_matches(".socket") == unit.name.trim_end_matches(".service"),
        };
        Ok(Self {
            user: unit.last(section, "User").map(str::to_owned),
            groups: unit
                .words(section, "SupplementaryGroups")
                .into_iter()
                .map(str::to_owned)
                .collect(),
            command,
            environment: environment.collect::<anyhow::Result<_>>()?,
            state: unit
                .words(section, "StateDirectory")
                .into_iter()
                .map(|path| PathBuf::from(relocate(&format!("/var/lib/{path}"))))
                .collect(),
            state_mode: unit.mode(section, "StateDirectoryMode", 0o700)?,
            credentials: credentials.collect::<anyhow::Result<_>>()?,
            sockets: sockets
                .iter()
                .filter(own)
                .map(|unit| SocketPlan::of(unit, listen))
                .collect::<Result<_, _>>()?,
            restart: Restart {
                on_failure: always || unit.last(section, "Restart") == Some("on-failure"),
                on_success: always,
                first,
                longest: unit
                    .duration(section, "RestartMaxDelaySec", Duration::from_secs(10))?
                    .max(first),
            },
            start_within: unit.duration(section, "TimeoutStartSec", Duration::from_mins(1))?,
            stop_within: unit.duration(section, "TimeoutStopSec", Duration::from_secs(15))?,
            watchdog: Some(unit.duration(section, "WatchdogSec", Duration::ZERO)?)
                .filter(|time| !time.is_zero()),
            umask: unit.mode(section, "UMask", 0o077)?,
            open_files: unit
                .last(section, "LimitNOFILE")
                .and_then(|text| text.parse().ok())
                .unwrap_or(1024),
            name,
        })
    }
}

impl SocketPlan {
    fn of(unit: &Unit, listen: Option<SocketAddr>) -> anyhow::Result<Self> {
        let section = "Socket";
        let below_run = |path: &str| {
            let path = PathBuf::from(relocate(path));
            if path.starts_with("run") && path.is_relative() {
                Some(path)
            } else {
                None
            }
        };
        let address = match (
            unit.last(section, "ListenStream"),
            unit.last(section, "ListenSequentialPacket"),
        ) {
            (Some(path), None) if path.starts_with('/') => below_run(path).map(Address::Stream),
            (Some(address), None) => {
                let declared: SocketAddr = address
                    .parse()
                    .map_err(|_| unit.value("ListenStream", "is not an address"))?;
                Some(Address::Tcp(listen.unwrap_or(declared)))
            }
            (None, Some(path)) => below_run(path).map(Address::Packets),
            _ => None,
        };
        Ok(Self {
            name: unit.required(section, "FileDescriptorName")?.to_owned(),
            address: address.ok_or_else(|| {
                unit.value(
                    "ListenStream",
                    "must be one path below /run/holdfast or an address",
                )
            })?,
            group: unit.last(section, "SocketGroup").map(str::to_owned),
            mode: unit.mode(section, "SocketMode", 0o660)?,
            backlog: unit
                .last(section, "Backlog")
                .and_then(|text| text.parse().ok())
                .unwrap_or(128),
        })
    }
}
