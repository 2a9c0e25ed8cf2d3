//! What systemd itself says about the units, asked offline about a root directory that holds them and little else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_tests::tools;
use holdfast_tests::unit_file::UnitFile;

/// The most that `systemd-analyze security` may say, from 0 (confined) to 10. The design allows 1.0, and 0.5 without a device or a
/// network.
const CEILINGS: &[(&str, f32)] = &[
    ("holdfast-console.service", 0.4),
    ("holdfast-credentials.service", 0.5),
    // Sets up the network's filter: it is in the network that it filters, and has the right to.
    ("holdfast-firewall.service", 1.1),
    ("holdfast-guide.service", 0.4),
    ("holdfast-incident-recorder.service", 0.4),
    ("holdfast-inference.service", 0.4),
    ("holdfast-quarantine.service", 0.4),
    ("holdfast-registry.service", 0.4),
    // Root with devices, for the length of one change; who serves sockets has neither. The one that lets go runs while the machine is going off.
    ("holdfast-vault-firmware@.service", 0.9),
    ("holdfast-vault-volume-release.service", 1.2),
    ("holdfast-vault-volume@.service", 1.2),
    // Nobody in particular, who may turn the machine off.
    ("holdfast-vault-off@.service", 0.7),
    ("holdfast-vault.service", 0.4),
    // Is handed the set-up token, asks the page over the loopback and writes to the screen; then it is gone.
    ("holdfast-welcome.service", 0.9),
];

/// Keys that systemd 254 brought. Older ones say that they ignore them.
const NEWER_KEYS: &[&str] = &[
    "RestartSteps",
    "RestartMaxDelaySec",
    "PollLimitIntervalSec",
    "PollLimitBurst",
];

/// Units of systemd's own that ours refer to.
const FOREIGN: &[&str] = &[
    "basic.target",
    "multi-user.target",
    "paths.target",
    "shutdown.target",
    "sockets.target",
    "sysinit.target",
    "systemd-pcrphase.service",
];

/// A root directory as after an installation, with empty programs.
fn installed() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("usr/lib/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    std::fs::create_dir_all(root.path().join("etc")).unwrap();
    for name in FOREIGN {
        let mut text = "[Unit]\nDescription=stands for systemd's own\n".to_owned();
        if name.ends_with(".service") {
            text.push_str("[Service]\nExecStart=/usr/bin/systemds-own\n");
            program(&root.path().join("usr/bin/systemds-own"));
        }
        std::fs::write(units.join(name), text).unwrap();
    }
    for path in unit_files() {
        std::fs::copy(&path, units.join(path.file_name().unwrap())).unwrap();
    }
    let appliance = holdfast_tests::source().join("systemd/appliance");
    let appliance = UnitFile::read_all(&appliance, "service").unwrap();
    for service in crate::services().into_iter().chain(appliance) {
        for word in service.one("Service", "ExecStart").unwrap().split(' ') {
            if word.starts_with("/usr/") {
                program(&root.path().join(word.trim_start_matches('/')));
            }
        }
    }
    root
}

fn program(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "#!/bin/false\n").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn unit_files() -> Vec<PathBuf> {
    let systemd = holdfast_tests::source().join("systemd");
    let is_unit = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("service" | "socket" | "target" | "slice"))
    };
    let mut files: Vec<PathBuf> = [systemd.clone(), systemd.join("appliance")]
        .iter()
        .flat_map(|directory| std::fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(is_unit)
        .collect();
    files.sort();
    files
}

/// What a command wrote on both streams, and whether it succeeded.
fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// What `systemd-analyze verify` says, without what an older systemd says about keys of a newer.
fn verify(analyze: &Path, root: &Path) -> Vec<String> {
    let units = root.join("usr/lib/systemd/system");
    let paths = std::fs::read_dir(&units)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let ours = paths.filter(|path| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("holdfast")
    });
    let (_, said) = run(Command::new(analyze)
        .args(["verify", "--man=no", "--recursive-errors=yes"])
        .arg(format!("--root={}", root.display()))
        .args(ours));
    let is_about_a_newer_key = |line: &&str| {
        NEWER_KEYS
            .iter()
            .any(|key| line.contains(&format!("Unknown key '{key}' in section ")))
    };
    said.lines()
        .filter(|line| !is_about_a_newer_key(line))
        .map(str::to_owned)
        .collect()
}

/// The overall exposure of one unit.
fn exposure(analyze: &Path, unit: &Path) -> f32 {
    let (_, said) = run(Command::new(analyze)
        .args(["security", "--no-pager", "--offline=yes"])
        .arg(unit));
    let overall = said
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for ")?.1.split_once(": "));
    let figure = overall.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    figure.unwrap_or_else(|| panic!("no exposure in what systemd-analyze said:\n{said}"))
}

#[test]
fn systemd_finds_nothing_to_say_about_the_units() {
    let Some(analyze) = tools::program("systemd-analyze") else {
        return;
    };
    let root = installed();
    assert_eq!(verify(&analyze, root.path()), [""; 0]);
}

#[test]
fn a_mistake_in_a_unit_is_found() {
    let Some(analyze) = tools::program("systemd-analyze") else {
        return;
    };
    let root = installed();
    let unit = root
        .path()
        .join("usr/lib/systemd/system/holdfast-registry.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    std::fs::write(&unit, text.replace("ProtectClock=yes", "ProtectClok=yes")).unwrap();
    let said = verify(&analyze, root.path());
    assert!(said.iter().any(|line| line.contains("ProtectClok")), "{said:?}");
}

#[test]
fn no_service_is_more_exposed_than_its_ceiling() {
    let Some(analyze) = tools::program("systemd-analyze") else {
        return;
    };
    let services: Vec<PathBuf> = unit_files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "service"))
        .collect();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let names: BTreeSet<String> = services.iter().map(|path| name(path)).collect();
    assert_eq!(
        names,
        CEILINGS.iter().map(|(unit, _)| (*unit).to_owned()).collect(),
        "the table has every service"
    );
    for path in services {
        let (_, ceiling) = CEILINGS.iter().find(|(unit, _)| *unit == name(&path)).unwrap();
        let measured = exposure(&analyze, &path);
        tools::say(&format!(
            "[measured] {}: exposure {measured}, ceiling {ceiling}",
            name(&path)
        ));
        assert!(
            measured <= *ceiling,
            "{}: exposure {measured} is above {ceiling}",
            name(&path)
        );
    }
}

#[test]
fn a_service_that_lost_part_of_its_sandbox_is_above_the_ceiling() {
    let Some(analyze) = tools::program("systemd-analyze") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("holdfast-registry.service");
    let text =
        std::fs::read_to_string(holdfast_tests::source().join("systemd/holdfast-registry.service")).unwrap();
    for lost in [
        "PrivateNetwork=yes\n",
        "CapabilityBoundingSet=\n",
        "ProtectSystem=strict\n",
    ] {
        std::fs::write(&unit, text.replace(lost, "")).unwrap();
        assert!(exposure(&analyze, &unit) > 0.4, "without {lost}");
    }
}

#[test]
fn users_groups_and_directories_can_be_made() {
    let (Some(sysusers), Some(tmpfiles)) = (
        tools::program("systemd-sysusers"),
        tools::program("systemd-tmpfiles"),
    ) else {
        return;
    };
    let root = installed();
    let prefix = format!("--root={}", root.path().display());
    let systemd = holdfast_tests::source().join("systemd");
    let made = run(Command::new(sysusers)
        .arg(&prefix)
        .arg(systemd.join("sysusers.d/holdfast.conf")));
    assert!(made.0, "{}", made.1);
    let passwd = std::fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    for service in crate::services() {
        let user = service.one("Service", "User").unwrap();
        assert!(
            passwd.lines().any(|line| line.starts_with(&format!("{user}:"))),
            "{user} was not made"
        );
    }
    if !rustix::process::geteuid().is_root() {
        return tools::skip("only root can make directories for others, so tmpfiles.d was not tried");
    }
    let made = run(Command::new(tmpfiles)
        .arg(&prefix)
        .arg("--create")
        .arg(systemd.join("tmpfiles.d/holdfast.conf"))
        .arg(systemd.join("tmpfiles.d/holdfast-posture.conf")));
    assert!(made.0, "{}", made.1);
    assert!(root.path().join("run/holdfast/posture.json").is_file());
}
