//! The first boot makes and seals the volumes; every later one opens them unattended.

use serde_json::Value;

use crate::APPLIANCE;
use crate::machine::{Machine, Running, SERVING};

/// What `holdfast status` says in the machine.
pub fn status(running: &mut Running) -> Value {
    serde_json::from_str(running.run("holdfast status --json").ok().trim()).unwrap()
}

fn entries(running: &mut Running) -> u64 {
    status(running)["ledger"]["size"].as_u64().unwrap()
}

/// The first boot of a new machine.
pub fn first(machine: &Machine) -> Running {
    let mut running = machine.boot();
    let took = running.await_suite();
    println!(
        "[measured] first boot, power to serving: {:.0} s",
        took.as_secs_f64()
    );
    println!(
        "[measured] {}",
        running
            .run("systemd-analyze time | head -n 1; systemd-analyze blame | head -n 5")
            .output
            .trim()
    );

    let failed = running.run("systemctl --failed --plain --no-legend").ok();
    assert_eq!(failed.trim(), "", "units failed");
    assert_eq!(
        running.run("cat /sys/kernel/security/lockdown").ok().trim(),
        "none integrity [confidentiality]"
    );

    let mounts = running
        .run("findmnt --real --noheadings --raw -o TARGET,FSTYPE,OPTIONS")
        .ok();
    let root = mounts.lines().find(|line| line.starts_with("/ ")).unwrap();
    assert!(root.starts_with("/ erofs ro"), "{root}");
    for line in mounts.lines().filter(|line| line.contains(" ext4 ")) {
        for option in ["nodev", "nosuid", "noexec"] {
            assert!(line.contains(option), "{line}");
        }
    }
    let header = running
        .run("cryptsetup luksDump --dump-json-metadata /dev/disk/by-partlabel/holdfast-state")
        .ok();
    let header: Value = serde_json::from_str(&header).unwrap();
    let tokens: Vec<&Value> = header["tokens"].as_object().unwrap().values().collect();
    assert_eq!(tokens.len(), 1, "one way to open it");
    assert_eq!(tokens[0]["type"], "systemd-tpm2");
    assert_eq!(tokens[0]["tpm2-pcrs"], serde_json::json!([7, 12, 13, 15]));
    assert_eq!(tokens[0]["tpm2_pubkey_pcrs"], serde_json::json!([11]));

    running.until("every service", SERVING);
    let status = status(&mut running);
    assert_eq!(status["posture"]["mode"], "appliance");
    for service in status["services"].as_array().unwrap() {
        assert_eq!(service["running"], true, "{service}");
    }
    let resident: u64 = running
        .run("for pid in $(systemctl show -P MainPID 'holdfast-*.service' | grep -v '^0$'); do awk '/^VmRSS/ { print $2 }' /proc/$pid/status; done")
        .ok()
        .lines()
        .filter_map(|line| line.trim().parse::<u64>().ok())
        .sum();
    println!(
        "[measured] suite at rest: {} MiB resident",
        resident.div_ceil(1024)
    );
    assert!(resident < 100 * 1024, "{resident} KiB");

    let answer = running
        .run("holdfast chat --model guide 'What is a verdict?'")
        .ok();
    assert!(answer.to_lowercase().contains("verdict"), "{answer}");
    // The boot loader counted this start. From now on it does not any more, because it was good.
    running.until(
        "the boot loader to be told",
        "test -e /boot/EFI/Linux/holdfast_*[0-9].efi && ! ls /boot/EFI/Linux | grep +",
    );
    let welcome = machine.console();
    assert!(welcome.contains("/setup?token="), "{welcome}");
    running
}

/// A later boot.
pub fn again(machine: &Machine) -> Running {
    let mut running = machine.boot();
    let took = running.await_suite();
    println!(
        "[measured] later boot, power to serving: {:.0} s",
        took.as_secs_f64()
    );
    running.until("every service", SERVING);
    assert!(entries(&mut running) > 3, "the ledger goes on");
    let models = running.run("holdfast models --json").ok();
    assert!(models.contains("guide"), "{models}");
    running.run("holdfast ledger verify").ok();
    running
}

/// When the machine had started everything, by its own clock: from the start of its kernel.
fn started(running: &mut Running) -> f64 {
    let moment = running.until(
        "everything has started",
        "systemctl is-active --quiet multi-user.target && systemctl show -P ActiveEnterTimestampMonotonic multi-user.target",
    );
    moment.trim().parse::<f64>().unwrap() / 1e6
}

/// The figure: from the start of the kernel until everything serves, not half as long again as the same image takes without Holdfast.
#[test]
fn boot_to_serving_beside_the_same_image_without_holdfast() {
    let machine = APPLIANCE.copy("timed");
    let mut running = machine.boot();
    running.await_suite();
    let with = started(&mut running);
    running.run("touch /var/lib/without-holdfast").ok();
    running.shut_down();

    let mut running = machine.boot();
    let without = started(&mut running);
    let units = running
        .run("systemctl list-units --state=active --plain --no-legend 'holdfast*' | grep -v holdfast-test || true")
        .ok();
    assert_eq!(units.trim(), "", "nothing of Holdfast runs");
    running.shut_down();
    println!(
        "[measured] kernel to serving: {with:.1} s, without Holdfast {without:.1} s, ratio {:.2}",
        with / without
    );
    assert!(with <= 1.5 * without, "{with} s, without Holdfast {without} s");
}
