//! The SELinux policy as it is written: that it names the calls, programs, sockets and directories that the units name, and no others.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_tests::unit_file::UnitFile;

/// One service calls another in a role, all by the policy's names: `console`, `incident_recorder`, `append`.
pub type Call = (String, String, String);

fn source(name: &str) -> String {
    let path = holdfast_tests::source().join("policies/selinux").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn units(extension: &str) -> Vec<UnitFile> {
    let systemd = holdfast_tests::source().join("systemd");
    [systemd.clone(), systemd.join("appliance")]
        .iter()
        .flat_map(|directory| UnitFile::read_all(directory, extension).unwrap())
        .collect()
}

/// `holdfast-incident-recorder` is `incident_recorder` to the policy, which has no hyphens; a unit for each connection is what it serves.
fn name(stem: &str) -> String {
    let stem = stem.trim_start_matches("holdfast-").trim_end_matches('@');
    stem.replace('-', "_")
}

/// A socket file, and who may write to it.
#[derive(Debug)]
struct Socket {
    service: String,
    role: String,
    path: String,
    callers: BTreeSet<String>,
}

/// The sockets in `/run/holdfast`, as the units make them. Who is in the group of one may call, and who owns another's socket; of those who are root, who comes
/// after a socket of root's.
fn sockets() -> Vec<Socket> {
    let services = units("service");
    let mut all = Vec::new();
    for socket in units("socket") {
        let listens = ["ListenStream", "ListenSequentialPacket"].map(|key| socket.all("Socket", key));
        let Some(path) = listens
            .concat()
            .into_iter()
            .find(|listen| listen.starts_with("/run/holdfast/"))
        else {
            continue;
        };
        let service = socket
            .one("Socket", "Service")
            .map_or(socket.stem(), |unit| unit.trim_end_matches(".service"));
        let service = name(service);
        let group = socket.one("Socket", "SocketGroup").unwrap();
        let owner = socket.one("Socket", "SocketUser").unwrap();
        let callers = services
            .iter()
            .filter(|unit| name(unit.stem()) != service)
            .filter(|unit| {
                unit.words("Service", "SupplementaryGroups").contains(group)
                    || unit.one("Service", "User") == Some(owner)
                    || owner == "root"
                        && unit.one("Service", "User").is_none()
                        && unit.words("Unit", "After").contains(socket.name.as_str())
            })
            .map(|unit| name(unit.stem()))
            .collect();
        all.push(Socket {
            role: socket
                .one("Socket", "FileDescriptorName")
                .unwrap_or("request")
                .to_owned(),
            path: path.to_owned(),
            service,
            callers,
        });
    }
    all
}

/// Who may call whom, as the units say.
pub fn calls_of_units() -> BTreeSet<Call> {
    sockets()
        .into_iter()
        .flat_map(|socket| {
            let Socket {
                service,
                role,
                callers,
                ..
            } = socket;
            callers
                .into_iter()
                .map(move |caller| (caller, service.clone(), role.clone()))
        })
        .collect()
}

/// The arguments of each use of a template in the policy.
fn uses<'a>(policy: &'a str, template: &str) -> Vec<Vec<&'a str>> {
    let open = format!("{template}(");
    policy
        .lines()
        .filter_map(|line| line.strip_prefix(&open)?.strip_suffix(')'))
        .map(|arguments| arguments.split(',').map(str::trim).collect())
        .collect()
}

/// Who may call whom, as the policy is written.
fn calls_of(policy: &str) -> BTreeSet<Call> {
    uses(policy, "holdfast_call")
        .into_iter()
        .map(|arguments| match arguments[..] {
            [caller, service, role] => (caller.to_owned(), service.to_owned(), role.to_owned()),
            _ => panic!("holdfast_call({arguments:?})"),
        })
        .collect()
}

/// The types of paths in `holdfast.fc`. Patterns for a directory and all below it are under the directory's path.
fn types() -> BTreeMap<String, String> {
    source("holdfast.fc")
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let pattern = line.split_whitespace().next().unwrap();
            let context = line.split_once("gen_context(").unwrap().1;
            let kind = context.split(':').nth(2).unwrap().split(',').next().unwrap();
            let path = pattern.trim_end_matches("(/.*)?").replace('\\', "");
            (path, kind.to_owned())
        })
        .collect()
}

#[test]
fn the_policy_allows_the_calls_that_the_units_allow_and_no_others() {
    let policy = source("holdfast.te");
    assert_eq!(calls_of(&policy), calls_of_units());
    let roles: BTreeSet<(String, String)> = uses(&policy, "holdfast_role_template")
        .into_iter()
        .map(|arguments| (arguments[0].to_owned(), arguments[1].to_owned()))
        .collect();
    let sockets: BTreeSet<(String, String)> = sockets()
        .into_iter()
        .map(|socket| (socket.service, socket.role))
        .collect();
    assert_eq!(roles, sockets, "each socket has a type of its own");
}

#[test]
fn a_call_too_many_or_too_few_is_seen() {
    let policy = source("holdfast.te");
    let line = "holdfast_call(quarantine, registry, admit)\n";
    assert!(policy.contains(line));
    let fewer = policy.replace(line, "");
    assert_eq!(
        calls_of_units().difference(&calls_of(&fewer)).count(),
        1,
        "one too few"
    );
    let more = policy.replace(
        line,
        &format!("{line}holdfast_call(inference, registry, admit)\n"),
    );
    assert_eq!(
        calls_of(&more).difference(&calls_of_units()).count(),
        1,
        "one too many"
    );
}

#[test]
fn every_program_of_a_unit_runs_in_a_domain_of_its_own() {
    let policy = source("holdfast.te");
    let types = types();
    let mut domains = BTreeSet::new();
    for unit in units("service") {
        let mut service = name(unit.stem());
        let start = unit.one("Service", "ExecStart").unwrap();
        let mut words = start.split(' ');
        let program = words.next().unwrap();
        let drop_in = format!("units/{}.d/10-selinux.conf", unit.name);
        let drop_in = holdfast_tests::source().join("policies/selinux").join(drop_in);
        match program.strip_prefix("/usr/libexec/holdfast/") {
            // Two units may start the same program.
            Some(file) => {
                service = name(file);
                assert_eq!(types[program], format!("holdfast_{service}_exec_t"));
                assert!(uses(&policy, "holdfast_service_template").contains(&vec![service.as_str()]));
            }
            None if program == "/usr/bin/holdfast" => {
                let context = UnitFile::read(&drop_in).unwrap();
                let context = context.one("Service", "SELinuxContext").map(str::to_owned);
                let wanted = format!("system_u:system_r:holdfast_{service}_t:s0");
                assert_eq!(context, Some(wanted), "{}", unit.name);
                assert!(uses(&policy, "holdfast_command_template").contains(&vec![service.as_str()]));
            }
            // The distribution has a domain for it.
            None => {
                assert_eq!(program, "/usr/sbin/nft", "{}", unit.name);
                continue;
            }
        }
        domains.insert(service.clone());
        if let Some(worker) = words.skip_while(|word| *word != "--worker").nth(1) {
            let kind = &types[worker];
            let worker = kind
                .trim_start_matches("holdfast_")
                .trim_end_matches("_exec_t")
                .to_owned();
            assert!(
                uses(&policy, "holdfast_worker_template").contains(&vec![worker.as_str(), service.as_str()])
            );
            domains.insert(worker);
        }
    }
    let made: BTreeSet<String> = ["service", "command", "worker"]
        .iter()
        .flat_map(|kind| uses(&policy, &format!("holdfast_{kind}_template")))
        .map(|arguments| arguments[0].to_owned())
        .collect();
    assert_eq!(made, domains, "a domain without a program");
}

#[test]
fn every_socket_and_directory_of_a_unit_has_its_own_type() {
    let policy = source("holdfast.te");
    let mut types = types();
    for socket in sockets() {
        let kind = types.remove(&socket.path);
        let wanted = format!("holdfast_{}_{}_sock_t", socket.service, socket.role);
        assert_eq!(kind, Some(wanted), "{}", socket.path);
    }
    for unit in units("service") {
        // A directory of the system's own has the distribution's type.
        let directories = unit.all("Service", "StateDirectory").into_iter();
        for directory in directories.filter(|directory| directory.starts_with("holdfast")) {
            let kind = types.remove(&format!("/var/lib/{directory}")).unwrap();
            let what = kind
                .trim_start_matches("holdfast_")
                .trim_end_matches("_var_lib_t");
            let service = name(unit.stem());
            let owner = uses(&policy, "holdfast_state_template")
                .into_iter()
                .any(|arguments| arguments[..2] == [what, service.as_str()]);
            assert!(owner, "{kind} is kept by {service}");
        }
    }
    let shared = [
        "/run/holdfast",
        "/var/lib/holdfast",
        "/var/lib/holdfast/credentials",
        "/var/lib/holdfast/vault",
    ];
    let left: Vec<&str> = types
        .keys()
        .map(String::as_str)
        .filter(|path| path.starts_with("/run") || path.starts_with("/var"))
        .filter(|path| !shared.contains(path))
        .collect();
    assert_eq!(left, [""; 0], "a path that no unit names");
}
