//! What belongs to whom: users, groups, state directories, keys.

use std::collections::BTreeSet;

use holdfast_contract::status::{Mode, Posture};
use holdfast_tests::unit_file::UnitFile;

use crate::{daemons, services, sockets};

/// The longest name of a user or group that Linux tools agree on.
const MAX_NAME: usize = 31;

fn declared(kind: &str) -> BTreeSet<String> {
    let text =
        std::fs::read_to_string(holdfast_tests::source().join("systemd/sysusers.d/holdfast.conf")).unwrap();
    text.lines()
        .filter_map(|line| {
            line.strip_prefix(kind)?
                .split_whitespace()
                .next()
                .map(str::to_owned)
        })
        .collect()
}

#[test]
fn exactly_the_users_and_groups_that_units_name_are_made() {
    let appliance = holdfast_tests::source().join("systemd/appliance");
    let users: BTreeSet<String> = services()
        .iter()
        .chain(&UnitFile::read_all(&appliance, "service").unwrap())
        .filter_map(|unit| unit.one("Service", "User").map(str::to_owned))
        .collect();
    assert_eq!(declared("u "), users);
    let groups: BTreeSet<String> = sockets()
        .iter()
        .filter_map(|unit| unit.one("Socket", "SocketGroup").map(str::to_owned))
        .collect();
    assert_eq!(declared("g "), groups);
    for name in users.iter().chain(&groups) {
        assert!(name.len() <= MAX_NAME, "{name} has {} characters", name.len());
    }
}

#[test]
fn a_state_directory_belongs_to_one_service_and_is_closed_to_others() {
    let mut seen = BTreeSet::new();
    for unit in services() {
        for directory in unit.all("Service", "StateDirectory") {
            assert!(seen.insert(directory.to_owned()), "{directory} is given twice");
            assert_eq!(
                unit.one("Service", "StateDirectoryMode"),
                Some("0700"),
                "{}",
                unit.name
            );
            // The console serves while the vault is shut, so that somebody can open it.
            let in_vault = directory.starts_with("holdfast/vault/") && unit.stem() != "holdfast-console";
            let mounts = unit.one("Unit", "RequiresMountsFor");
            assert_eq!(
                mounts == Some("/var/lib/holdfast/vault"),
                in_vault,
                "{}",
                unit.name
            );
        }
    }
    let wanted = [
        "holdfast/console",
        "holdfast/incident-recorder",
        "holdfast/quarantine",
        "holdfast/vault-control",
        "holdfast/vault/console",
        "holdfast/vault/registry",
    ];
    assert_eq!(seen, wanted.map(str::to_owned).into());
}

#[test]
fn a_key_is_given_to_the_one_service_that_signs_with_it() {
    let mut seen = BTreeSet::new();
    for unit in services() {
        let makers = unit
            .words("Unit", "Requires")
            .contains("holdfast-credentials.service")
            && unit
                .words("Unit", "After")
                .contains("holdfast-credentials.service");
        let credentials = unit.all("Service", "LoadCredential");
        assert_eq!(
            makers,
            !credentials.is_empty(),
            "{}: keys are made before they are loaded",
            unit.name
        );
        for credential in credentials {
            let (name, path) = credential.split_once(':').unwrap();
            assert_eq!(path, format!("/var/lib/holdfast/credentials/{name}"));
            seen.insert(format!("{name} {}", unit.stem()));
        }
    }
    let wanted = [
        "ledger-key holdfast-incident-recorder",
        "setup-token holdfast-console",
        "statement-key holdfast-quarantine",
        "statement.pub holdfast-registry",
    ];
    assert_eq!(seen, wanted.map(str::to_owned).into());
}

#[test]
fn when_memory_runs_out_guards_outlive_what_they_guard() {
    let order = [
        "incident-recorder",
        "vault",
        "registry",
        "console",
        "quarantine",
        "inference",
    ];
    let units = daemons();
    let scores: Vec<i32> = order
        .iter()
        .map(|service| {
            let unit = units
                .iter()
                .find(|unit| unit.stem() == format!("holdfast-{service}"))
                .unwrap();
            unit.one("Service", "OOMScoreAdjust").unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(scores.len(), units.len());
    assert!(
        scores.is_sorted_by(|guard, guarded| guard < guarded),
        "{order:?} {scores:?}"
    );
}

#[test]
fn a_services_configuration_is_shipped() {
    for unit in daemons() {
        let service = unit.stem().trim_start_matches("holdfast-");
        let file = holdfast_tests::source().join(format!("systemd/etc/{service}.toml"));
        assert!(file.is_file(), "{} is missing", file.display());
    }
}

#[test]
fn an_installation_without_the_image_does_not_call_itself_the_appliance() {
    let file = holdfast_tests::source().join("systemd/tmpfiles.d/holdfast-posture.conf");
    let text = std::fs::read_to_string(file).unwrap();
    let json = text
        .lines()
        .find_map(|line| line.strip_prefix("f+ /run/holdfast/posture.json 0644 root root - "))
        .unwrap();
    let posture: Posture = serde_json::from_str(json).unwrap();
    assert_eq!(posture.mode, Mode::Evaluation);
    assert!(!posture.weaknesses.is_empty());
}
