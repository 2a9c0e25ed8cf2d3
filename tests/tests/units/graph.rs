//! Who can reach whom: role sockets, their groups, and who is in them.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_cli::up::unit::Unit;
use holdfast_contract::role::{self, Protocol, Role, Service};

use crate::{daemons, services, sockets};

/// Who may call which role besides the operator's `holdfast` command, as in the table of the design page. `guide` is the service
/// that imports the guide model.
const CALLERS: &[(Role, &[&str])] = &[
    (role::REGISTRY_READ, &["console", "guide", "inference"]),
    (role::REGISTRY_OPEN, &["inference"]),
    (role::REGISTRY_ADMIT, &["quarantine"]),
    (role::REGISTRY_ADMIN, &["console"]),
    (role::QUARANTINE_SUBMIT, &["console", "guide"]),
    (role::QUARANTINE_READ, &["console", "guide"]),
    (role::INFERENCE_GENERATE, &["console"]),
    (role::INFERENCE_ADMIN, &["console"]),
    (
        role::RECORDER_APPEND,
        &["console", "inference", "quarantine", "registry", "vault"],
    ),
    (role::RECORDER_READ, &["console"]),
    (role::RECORDER_REPORT, &["inference", "quarantine", "registry"]),
    (role::VAULT_OPERATE, &["console"]),
    // The recorder, once it contains.
    (role::VAULT_CONTAIN, &[]),
];

fn socket_unit(role: Role) -> String {
    format!("holdfast-{}-{}.socket", role.service, role.name)
}

/// The group that may call a role. Names have at most 31 characters, so the incident recorder's say `recorder`.
fn group(role: Role) -> String {
    let service = match role.service {
        Service::IncidentRecorder => "recorder",
        other => other.name(),
    };
    format!("holdfast-{service}-{}", role.name)
}

#[test]
fn every_role_has_its_socket_and_no_other_socket_exists_but_the_consoles() {
    let mut units: BTreeMap<String, _> = sockets()
        .into_iter()
        .map(|unit| (unit.name.clone(), unit))
        .collect();
    for role in role::ALL {
        let name = socket_unit(*role);
        let unit = units.remove(&name).unwrap_or_else(|| panic!("{name} is missing"));
        let path = role.path(std::path::Path::new("/run/holdfast"));
        let (spoken, other) = match role.protocol {
            Protocol::Http => ("ListenStream", "ListenSequentialPacket"),
            Protocol::Descriptors => ("ListenSequentialPacket", "ListenStream"),
        };
        let service = format!("holdfast-{}.service", role.service);
        let user = format!("holdfast-{}", role.service);
        let group = group(*role);
        for (key, value) in [
            (spoken, path.to_str().unwrap()),
            ("FileDescriptorName", role.name),
            ("Service", &service),
            ("SocketUser", &user),
            ("SocketGroup", &group),
            ("SocketMode", "0660"),
            ("Accept", "no"),
            ("RemoveOnStop", "yes"),
        ] {
            assert_eq!(unit.one("Socket", key), Some(value), "{name}: {key}=");
        }
        assert!(unit.all("Socket", other).is_empty(), "{name} speaks one protocol");
    }
    let console = units.remove("holdfast-console-http.socket").unwrap();
    assert_eq!(console.one("Socket", "ListenStream"), Some("127.0.0.1:8480"));
    assert_eq!(console.one("Socket", "FileDescriptorName"), Some("http"));
    assert_eq!(
        units.keys().collect::<Vec<_>>(),
        [""; 0],
        "a socket without a role"
    );
}

#[test]
fn a_services_supplementary_groups_are_exactly_the_roles_that_the_design_lets_it_call() {
    let roles: BTreeSet<String> = CALLERS.iter().map(|(role, _)| role.to_string()).collect();
    assert_eq!(
        roles,
        role::ALL.iter().map(ToString::to_string).collect(),
        "the table names every role"
    );
    let names: BTreeSet<&str> = CALLERS
        .iter()
        .flat_map(|(_, callers)| *callers)
        .copied()
        .collect();
    let units = services();
    for unit in &units {
        let service = unit.stem().trim_start_matches("holdfast-");
        let allowed: BTreeSet<String> = CALLERS
            .iter()
            .filter(|(_, callers)| callers.contains(&service))
            .map(|(role, _)| group(*role))
            .collect();
        let granted: BTreeSet<String> = unit
            .words("Service", "SupplementaryGroups")
            .into_iter()
            .map(str::to_owned)
            .collect();
        assert_eq!(granted, allowed, "{}: SupplementaryGroups=", unit.name);
    }
    let known: BTreeSet<&str> = units
        .iter()
        .map(|unit| unit.stem().trim_start_matches("holdfast-"))
        .collect();
    assert!(
        names.is_subset(&known),
        "a caller in the table has no unit: {names:?}"
    );
}

#[test]
fn a_service_starts_after_its_own_sockets_and_those_it_calls() {
    for unit in services() {
        let service = unit.stem().trim_start_matches("holdfast-");
        let own: BTreeSet<String> = sockets()
            .iter()
            .filter(|socket| socket.one("Socket", "Service") == Some(unit.name.as_str()))
            .map(|socket| socket.name.clone())
            .collect();
        let called: BTreeSet<String> = CALLERS
            .iter()
            .filter(|(_, callers)| callers.contains(&service))
            .map(|(role, _)| socket_unit(*role))
            .collect();
        let words = |key| -> BTreeSet<String> {
            let is_socket = |word: &&str| word.rsplit_once('.').is_some_and(|(_, kind)| kind == "socket");
            unit.words("Unit", key)
                .into_iter()
                .filter(is_socket)
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(words("Requires"), own, "{}: Requires=", unit.name);
        assert_eq!(words("Wants"), called, "{}: Wants=", unit.name);
        assert_eq!(words("After"), &own | &called, "{}: After=", unit.name);
    }
}

#[test]
fn each_daemon_has_a_unit_that_starts_it_as_its_own_user() {
    let units = daemons();
    let names: BTreeSet<&str> = units
        .iter()
        .map(holdfast_tests::unit_file::UnitFile::stem)
        .collect();
    let wanted: Vec<String> = Service::ALL
        .iter()
        .map(|service| format!("holdfast-{service}"))
        .collect();
    assert_eq!(names, wanted.iter().map(String::as_str).collect());
    for unit in &units {
        let stem = unit.stem();
        let service = stem.trim_start_matches("holdfast-");
        let start = format!("/usr/libexec/holdfast/{stem} --config /etc/holdfast/{service}.toml");
        let actual = unit.one("Service", "ExecStart").unwrap();
        let worker = match service {
            "quarantine" => " --worker /usr/libexec/holdfast/holdfast-inspect",
            "inference" => " --worker /usr/libexec/holdfast/holdfast-engine",
            _ => "",
        };
        assert_eq!(actual, format!("{start}{worker}"));
        assert_eq!(unit.one("Service", "User"), Some(stem));
        assert_eq!(unit.one("Service", "Group"), Some(stem));
        assert_eq!(unit.one("Service", "Type"), Some("notify"));
        assert_eq!(
            unit.one("Service", "Environment"),
            Some("HOLDFAST_RUN=/run/holdfast")
        );
    }
}

#[test]
fn holdfast_up_understands_every_unit_that_it_reads() {
    let systemd = holdfast_tests::source().join("systemd");
    for unit in services().iter().chain(&sockets()) {
        Unit::read(&systemd.join(&unit.name)).unwrap();
    }
}

#[test]
fn everything_starts_and_stops_with_the_target() {
    for unit in services().iter().chain(&sockets()) {
        assert_eq!(
            unit.one("Unit", "PartOf"),
            Some("holdfast.target"),
            "{}",
            unit.name
        );
        assert_eq!(
            unit.one("Install", "WantedBy"),
            Some("holdfast.target"),
            "{}",
            unit.name
        );
    }
}
