//! A new version that does not start: the machine tries it as often as the boot loader allows, goes back to the one that was good, and says why.

use serde_json::Value;

use crate::APPLIANCE;
use crate::boot::status;
use crate::machine::Running;
use crate::tampering::{BOOT_PARTITION, REFUSED, changed, other_command_line_signed};

/// How often a version may be started before it is given up (`os-image/mkosi.extra/etc/kernel/tries`).
const TRIES: u32 = 3;

/// What the posture says about versions.
fn weakness(status: &Value) -> Option<&str> {
    let weaknesses = status["posture"]["weaknesses"].as_array().unwrap();
    let mut said = weaknesses.iter().map(|weakness| weakness.as_str().unwrap());
    said.find(|weakness| weakness.starts_with("version "))
}

fn kernel_images(running: &mut Running) -> Vec<String> {
    let listed = running.run("ls /boot/EFI/Linux").ok();
    listed.lines().map(str::to_owned).collect()
}

/// Signed by the owner, newer, and with another command line than the one that the volumes are sealed to: an update that was made wrong.
#[test]
fn a_new_version_that_does_not_start() {
    let machine = changed(
        "slots",
        &format!(
            "{} mcopy -o -i $partition /tmp/image.efi ::/EFI/Linux/holdfast_9.9.9+{TRIES}.efi",
            other_command_line_signed()
        ),
    );
    for start in 1..=TRIES {
        let console = machine.boot_that_ends();
        assert!(console.contains(REFUSED), "start {start}: {console}");
        assert!(console.contains("PCR 11 differs"), "start {start}: {console}");
    }

    let mut running = machine.boot();
    running.await_suite();
    let said = running.until(
        "what was given up to be told",
        "systemctl is-active --quiet holdfast-remember && holdfast status --json",
    );
    let said: Value = serde_json::from_str(said.trim()).unwrap();
    let weakness = weakness(&said).unwrap_or_else(|| panic!("{said}"));
    println!("[refused] {weakness}");
    assert!(
        weakness.starts_with("version 9.9.9 was given up after 3 starts")
            && weakness.contains("PCR 11 differs"),
        "{weakness}"
    );
    let journal = running.run("journalctl -b -u holdfast-remember -o cat").ok();
    assert!(journal.contains("holdfast_9.9.9"), "{journal}");
    assert_eq!(
        kernel_images(&mut running),
        ["holdfast_0.1.0.efi", "holdfast_9.9.9+0-3.efi"]
    );
    running.shut_down();
}

/// The only version, in its last counted start, with a ledger that the recorder refuses: it does not count as good, the machine starts again by
/// itself, and as there is no other version it stays on then, for a person to look at.
#[test]
fn a_start_that_is_not_good() {
    let machine = APPLIANCE.copy("not-good");
    let mut running = machine.boot();
    running.await_suite();
    assert_eq!(weakness(&status(&mut running)), None);
    running
        .run("systemctl stop holdfast-incident-recorder && find /var/lib/holdfast/incident-recorder -type f -exec cp /etc/hostname {} \\;")
        .ok();
    running.shut_down();
    machine.tools(&format!(
        "{BOOT_PARTITION} mren -i $partition \"$image\" ::/EFI/Linux/holdfast_0.1.0+1-2.efi"
    ));
    let console = machine.boot_that_ends();
    assert!(!console.contains(REFUSED), "{console}");

    let mut running = machine.boot();
    let why = running.until(
        "the reason to be told",
        "systemctl is-active --quiet holdfast-remember && grep -o 'version [^\"]*' /run/holdfast/posture.json",
    );
    println!("[refused] {}", why.trim());
    assert!(
        why.contains("version 0.1.0 was given up after 3 starts that were not good, and there is no other")
            && why.contains("holdfast-incident-recorder failed"),
        "{why}"
    );
    running.until(
        "this start not to be good either",
        "systemctl is-failed holdfast-started",
    );
    let said = running.run("journalctl -b -u holdfast-started -o cat").ok();
    assert!(
        said.contains("This start is not good") && !said.contains("starts again"),
        "{said}"
    );
    assert_ne!(
        running.run("systemctl list-jobs --no-legend | grep reboot").code,
        0
    );
    assert_eq!(kernel_images(&mut running), ["holdfast_0.1.0+0-4.efi"]);
    running.shut_down();
}
