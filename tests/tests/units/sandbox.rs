//! The outer sandbox and the limits: each unit has all of them, written out.

use crate::{daemons, services};

/// What every service has, to the letter. An empty value is one that takes everything away.
const SANDBOX: &[(&str, &[&str])] = &[
    ("AmbientCapabilities", &[""]),
    ("CapabilityBoundingSet", &[""]),
    ("DevicePolicy", &["closed"]),
    ("IPAddressDeny", &["any"]),
    (
        "InaccessiblePaths",
        &["-/boot -/efi -/etc/ssh -/var/lib/holdfast/credentials -/var/log"],
    ),
    ("KeyringMode", &["private"]),
    ("LimitCORE", &["0"]),
    ("LockPersonality", &["yes"]),
    ("MemoryDenyWriteExecute", &["yes"]),
    ("MemorySwapMax", &["0"]),
    ("NoExecPaths", &["/"]),
    ("NoNewPrivileges", &["yes"]),
    ("PrivateDevices", &["yes"]),
    ("PrivateIPC", &["yes"]),
    ("PrivateMounts", &["yes"]),
    ("PrivateNetwork", &["yes"]),
    ("PrivateTmp", &["yes"]),
    ("ProcSubset", &["pid"]),
    ("ProtectClock", &["yes"]),
    ("ProtectControlGroups", &["yes"]),
    ("ProtectHome", &["yes"]),
    ("ProtectHostname", &["yes"]),
    ("ProtectKernelLogs", &["yes"]),
    ("ProtectKernelModules", &["yes"]),
    ("ProtectKernelTunables", &["yes"]),
    ("ProtectProc", &["invisible"]),
    ("ProtectSystem", &["strict"]),
    ("ReadOnlyPaths", &["/run"]),
    ("RemoveIPC", &["yes"]),
    ("RestrictAddressFamilies", &["AF_UNIX"]),
    ("RestrictNamespaces", &["yes"]),
    ("RestrictRealtime", &["yes"]),
    ("RestrictSUIDSGID", &["yes"]),
    ("Slice", &["holdfast.slice"]),
    ("SystemCallArchitectures", &["native"]),
    ("SystemCallErrorNumber", &["EPERM"]),
    (
        "SystemCallFilter",
        &[
            "@system-service landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp",
            "~@privileged @resources @setuid @keyring @memlock",
        ],
    ),
    ("UMask", &["0077"]),
];

/// What would take part of the sandbox back, or hide who calls. No service has any of these.
const FORBIDDEN: &[&str] = &[
    "BindPaths",
    "DeviceAllow",
    "DynamicUser",
    "EnvironmentFile",
    "ExecStartPost",
    "ExecStartPre",
    "IPAddressAllow",
    "PassEnvironment",
    "PermissionsStartOnly",
    "PrivateUsers",
    "ReadWritePaths",
    "SetCredential",
];

#[test]
fn every_service_has_the_whole_sandbox_and_nothing_that_takes_from_it() {
    for unit in services() {
        for (key, values) in SANDBOX {
            assert_eq!(unit.all("Service", key), *values, "{}: {key}=", unit.name);
        }
        for key in FORBIDDEN {
            assert!(unit.all("Service", key).is_empty(), "{}: {key}=", unit.name);
        }
        let program = if unit.stem() == "holdfast-guide" {
            "/usr/bin/holdfast"
        } else {
            "/usr/libexec/holdfast"
        };
        let executable = format!("{program} /usr/lib -/usr/lib64");
        assert_eq!(
            unit.one("Service", "ExecPaths"),
            Some(executable.as_str()),
            "{}",
            unit.name
        );
    }
}

#[test]
fn every_service_has_limits() {
    for unit in services() {
        for key in [
            "MemoryMax",
            "TasksMax",
            "LimitNOFILE",
            "CPUWeight",
            "OOMScoreAdjust",
            "TimeoutStartSec",
        ] {
            let value = unit.one("Service", key).unwrap_or_default();
            assert!(
                !value.is_empty() && value != "infinity",
                "{}: {key}={value}",
                unit.name
            );
        }
    }
}

#[test]
fn a_daemon_that_fails_or_hangs_is_started_again_for_ever_with_growing_pauses() {
    for unit in daemons() {
        for (section, key, value) in [
            ("Unit", "StartLimitIntervalSec", "0"),
            ("Service", "Restart", "on-failure"),
            ("Service", "RestartSec", "500ms"),
            ("Service", "RestartSteps", "6"),
            ("Service", "RestartMaxDelaySec", "30s"),
            ("Service", "WatchdogSec", "30s"),
            ("Service", "NotifyAccess", "main"),
            ("Service", "TimeoutStopSec", "15s"),
        ] {
            assert_eq!(unit.one(section, key), Some(value), "{}: {key}=", unit.name);
        }
    }
}

#[test]
fn a_worker_that_runs_out_of_memory_does_not_stop_its_daemon() {
    for unit in daemons() {
        let has_worker = unit
            .one("Service", "ExecStart")
            .is_some_and(|start| start.contains(" --worker "));
        let policy = unit.one("Service", "OOMPolicy");
        assert_eq!(
            policy == Some("continue"),
            has_worker,
            "{}: OOMPolicy={policy:?}",
            unit.name
        );
        let kill = unit.one("Service", "KillMode");
        assert_eq!(
            kill == Some("mixed"),
            has_worker,
            "{}: KillMode={kill:?}",
            unit.name
        );
    }
}
