//! Unit files (systemd.syntax(7)), as far as the evaluation supervisor understands them.
//!
//! Every key is either honoured, or one that the daemons' own sandbox stands in for, or one that only orders or
//! describes. A key that is none of these is an error: a unit is never run with part of its meaning lost unnoticed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Why a unit cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// The file cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is not a section, an assignment or a comment.
    #[error("{}:{line}: neither a [Section] nor Key=value", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// A key that `holdfast up` does not know how to treat.
    #[error("{}: {section}.{key}= is not understood by `holdfast up`", path.display())]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// Its section.
        section: String,
        /// The key.
        key: String,
    },
    /// A key that must be there is not, or its value is not usable.
    #[error("{}: {key}= {problem}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// What `holdfast up` does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It does what systemd would do.
    Honoured,
    /// Not done here; the process confines itself, or the posture names the weakness.
    Confinement,
    /// Order, description, installation: without meaning here.
    Descriptive,
}

const HONOURED: &[&str] = &[
    "Service.Type",
    "Service.User",
    "Service.Group",
    "Service.SupplementaryGroups",
    "Service.ExecStart",
    "Service.Environment",
    "Service.StateDirectory",
    "Service.StateDirectoryMode",
    "Service.LoadCredential",
    "Service.Restart",
    "Service.RestartSec",
    "Service.RestartSteps",
    "Service.RestartMaxDelaySec",
    "Service.TimeoutStopSec",
    "Service.TimeoutStartSec",
    "Service.UMask",
    "Service.LimitNOFILE",
    "Service.LimitCORE",
    "Service.WatchdogSec",
    "Service.NoNewPrivileges",
    "Service.NotifyAccess",
    "Service.CapabilityBoundingSet",
    "Service.AmbientCapabilities",
    "Service.RemainAfterExit",
    "Service.Sockets",
    "Service.KillMode",
    "Socket.ListenStream",
    "Socket.ListenSequentialPacket",
    "Socket.FileDescriptorName",
    "Socket.Service",
    "Socket.SocketUser",
    "Socket.SocketGroup",
    "Socket.SocketMode",
    "Socket.Backlog",
    "Socket.RemoveOnStop",
    "Socket.Accept",
    "Socket.DirectoryMode",
];

/// Sandboxing that systemd does from outside and the daemons repeat from inside, and limits of control groups, which the
/// posture names as missing.
const CONFINEMENT: &[&str] = &[
    "Service.BindReadOnlyPaths",
    "Service.BindPaths",
    "Service.DeviceAllow",
    "Service.DevicePolicy",
    "Service.ExecPaths",
    "Service.InaccessiblePaths",
    "Service.IPAddressAllow",
    "Service.IPAddressDeny",
    "Service.IPCNamespace",
    "Service.KeyringMode",
    "Service.LimitMEMLOCK",
    "Service.LimitNPROC",
    "Service.LimitAS",
    "Service.LimitFSIZE",
    "Service.LockPersonality",
    "Service.MemoryDenyWriteExecute",
    "Service.MemoryHigh",
    "Service.MemoryMax",
    "Service.MemorySwapMax",
    "Service.MemoryZSwapMax",
    "Service.CPUQuota",
    "Service.CPUWeight",
    "Service.IOWeight",
    "Service.Nice",
    "Service.NoExecPaths",
    "Service.OOMPolicy",
    "Service.OOMScoreAdjust",
    "Service.PrivateDevices",
    "Service.PrivateIPC",
    "Service.PrivateMounts",
    "Service.PrivateNetwork",
    "Service.PrivateTmp",
    "Service.PrivateUsers",
    "Service.PrivatePIDs",
    "Service.ProcSubset",
    "Service.ProtectClock",
    "Service.ProtectControlGroups",
    "Service.ProtectHome",
    "Service.ProtectHostname",
    "Service.ProtectKernelLogs",
    "Service.ProtectKernelModules",
    "Service.ProtectKernelTunables",
    "Service.ProtectProc",
    "Service.ProtectSystem",
    "Service.ReadOnlyPaths",
    "Service.ReadWritePaths",
    "Service.RemoveIPC",
    "Service.RestrictAddressFamilies",
    "Service.RestrictFileSystems",
    "Service.RestrictNamespaces",
    "Service.RestrictNetworkInterfaces",
    "Service.RestrictRealtime",
    "Service.RestrictSUIDSGID",
    "Service.RootDirectory",
    "Service.RootImage",
    "Service.SecureBits",
    "Service.SocketBindAllow",
    "Service.SocketBindDeny",
    "Service.SystemCallArchitectures",
    "Service.SystemCallErrorNumber",
    "Service.SystemCallFilter",
    "Service.SystemCallLog",
    "Service.TasksMax",
    "Service.TemporaryFileSystem",
    "Service.CoredumpFilter",
    "Service.Delegate",
    "Socket.MaxConnections",
    "Socket.MaxConnectionsPerSource",
    "Socket.PassCredentials",
    "Socket.TriggerLimitBurst",
    "Socket.TriggerLimitIntervalSec",
    "Socket.PollLimitBurst",
    "Socket.PollLimitIntervalSec",
    "Socket.KeepAlive",
    "Socket.NoDelay",
    "Socket.FreeBind",
];

const DESCRIPTIVE: &[&str] = &[
    "Service.Slice",
    "Socket.Slice",
    "Service.StandardOutput",
    "Service.StandardError",
    "Service.StandardInput",
    "Service.SyslogIdentifier",
    "Service.LogLevelMax",
    "Service.LogRateLimitIntervalSec",
    "Service.LogRateLimitBurst",
    "Service.FinalKillSignal",
    "Service.LogsDirectory",
];

impl Treatment {
    /// How a key is treated, or `None` when it is not known.
    pub fn of(section: &str, key: &str) -> Option<Self> {
        if section == "Unit" || section == "Install" {
            return Some(Self::Descriptive);
        }
        let name = format!("{section}.{key}");
        let listed = |list: &[&str]| list.contains(&name.as_str());
        if listed(HONOURED) {
            Some(Self::Honoured)
        } else if listed(CONFINEMENT) {
            Some(Self::Confinement)
        } else if listed(DESCRIPTIVE) {
            Some(Self::Descriptive)
        } else {
            None
        }
    }
}

/// A parsed unit file.
#[derive(Debug)]
pub struct Unit {
    /// Where it was read from.
    pub path: PathBuf,
    /// The file name, for example `holdfast-registry.service`.
    pub name: String,
    values: HashMap<(String, String), Vec<String>>,
}

impl Unit {
    /// Reads and checks a unit file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is not a unit file, or has a key that is not understood.
    pub fn read(path: &Path) -> Result<Self, UnitError> {
        let text = std::fs::read_to_string(path).map_err(|source| UnitError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, UnitError> {
        let mut values: HashMap<(String, String), Vec<String>> = HashMap::new();
        let mut section = String::new();
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            let mut line = line.trim().to_owned();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            while let Some(kept) = line.strip_suffix('\\') {
                let next = lines.next().map(|(_, next)| next.trim()).unwrap_or_default();
                line = format!("{} {next}", kept.trim_end());
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| !section.is_empty()) else {
                return Err(UnitError::Syntax {
                    path: path.to_owned(),
                    line: at + 1,
                });
            };
            let (key, value) = (key.trim(), value.trim());
            if !key.starts_with("X-") && Treatment::of(&section, key).is_none() {
                let (section, key) = (section, key.to_owned());
                return Err(UnitError::Unknown {
                    path: path.to_owned(),
                    section,
                    key,
                });
            }
            let list = values.entry((section.clone(), key.to_owned())).or_default();
            // An empty value takes back what was assigned before.
            if value.is_empty() {
                list.clear();
            } else {
                list.push(value.to_owned());
            }
        }
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            name,
            values,
        })
    }

    /// Every value that was assigned to a key.
    pub fn all(&self, section: &str, key: &str) -> &[String] {
        self.values
            .get(&(section.to_owned(), key.to_owned()))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The last value that was assigned to a key.
    pub fn last(&self, section: &str, key: &str) -> Option<&str> {
        self.all(section, key).last().map(String::as_str)
    }

    /// The words of all values of a key.
    pub fn words(&self, section: &str, key: &str) -> Vec<&str> {
        self.all(section, key)
            .iter()
            .flat_map(|value| value.split_whitespace())
            .collect()
    }

    /// A value that must be there.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn required(&self, section: &str, key: &'static str) -> Result<&str, UnitError> {
        self.last(section, key)
            .ok_or_else(|| self.value(key, "is missing"))
    }

    /// An error about a value of this unit.
    pub fn value(&self, key: &'static str, problem: impl Into<String>) -> UnitError {
        UnitError::Value {
            path: self.path.clone(),
            key,
            problem: problem.into(),
        }
    }

    /// An octal mode.
    ///
    /// # Errors
    ///
    /// When it is not octal.
    pub fn mode(&self, section: &str, key: &'static str, default: u32) -> Result<u32, UnitError> {
        match self.last(section, key) {
            None => Ok(default),
            Some(text) => u32::from_str_radix(text, 8).map_err(|_| self.value(key, "is not an octal mode")),
        }
    }

    /// A time span: seconds, or with one of the units `ms`, `s`, `min`.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn duration(
        &self,
        section: &str,
        key: &'static str,
        default: std::time::Duration,
    ) -> Result<std::time::Duration, UnitError> {
        let Some(text) = self.last(section, key) else {
            return Ok(default);
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor_ms = match &text[digits.len()..] {
            "ms" => 1,
            "" | "s" => 1_000,
            "min" => 60_000,
            _ => return Err(self.value(key, "is not a time span in ms, s or min")),
        };
        let number: u64 = digits
            .trim()
            .parse()
            .map_err(|_| self.value(key, "is not a time span"))?;
        Ok(std::time::Duration::from_millis(number.saturating_mul(factor_ms)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(text: &str) -> Result<Unit, UnitError> {
        Unit::parse(Path::new("holdfast-x.service"), text)
    }

    #[test]
    fn reads_continued_lines_lists_resets_and_comments() {
        let unit = parse(
            "# why\n[Service]\nExecStart=/a \\\n  --b\nSupplementaryGroups=one\nSupplementaryGroups=two three\n\
             Environment=A=1\nEnvironment=\nEnvironment=B=2\nRestartSec=250ms\n",
        )
        .unwrap();
        assert_eq!(unit.last("Service", "ExecStart"), Some("/a --b"));
        assert_eq!(
            unit.words("Service", "SupplementaryGroups"),
            ["one", "two", "three"]
        );
        assert_eq!(unit.all("Service", "Environment"), ["B=2"]);
        let default = Duration::from_secs(1);
        assert_eq!(
            unit.duration("Service", "RestartSec", default).unwrap(),
            Duration::from_millis(250)
        );
    }

    #[test]
    fn refuses_a_key_that_it_would_not_honour_and_a_line_that_is_none() {
        assert!(matches!(
            parse("[Service]\nExecStartPre=/bin/true\n"),
            Err(UnitError::Unknown { .. })
        ));
        assert!(matches!(
            parse("[Service]\nnonsense\n"),
            Err(UnitError::Syntax { line: 2, .. })
        ));
        assert!(matches!(
            parse("Type=simple\n"),
            Err(UnitError::Syntax { line: 1, .. })
        ));
    }
}
