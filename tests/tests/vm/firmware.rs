//! The vault's key in the TPM depends on the firmware: `systemd-pcrlock` says what will be measured, another firmware is refused until its owner
//! says that it was meant, and where nothing can be said in advance the vault is sealed without.

use std::time::Instant;

use serde_json::json;

use crate::machine::{Machine, Running};
use crate::vault::{begin, header, lock_ends_what_was_begun, of_type, vault};

/// Another build of the same firmware: with the same keys for Secure Boot, and other code.
const OTHER_FIRMWARE: &str = "OVMF_CODE_4M.secboot.strictnx.fd";

/// What the first boot sealed, and this one was opened with.
pub fn is_pinned(running: &mut Running) {
    let status = vault(running);
    assert_eq!(status["state"], "open", "{status}");
    assert_eq!(status["firmware"], "pinned", "{status}");
    let said = running.run("holdfast vault").ok();
    assert!(said.contains("firmware pinned"), "{said}");
    assert_bound(running, true);
    // systemd-stub would hand it on at the next start and measure it into PCR 12, to which both volumes are sealed.
    running
        .run("ls /boot/loader && test -z \"$(find /boot -iname 'pcrlock*')\"")
        .ok();
    // Nobody else makes policies.
    assert_ne!(running.run("systemctl is-active systemd-pcrlock.socket").code, 0);
    // Nothing but the TPM and two places to write.
    let unit = running
        .run("systemctl show -P CapabilityBoundingSet -P ReadWritePaths holdfast-vault-firmware@x.service")
        .ok();
    assert_eq!(unit.trim(), "/var/lib/systemd", "{unit}");
}

/// Whether the one key in the TPM is bound to a policy besides the one that is signed.
fn assert_bound(running: &mut Running, bound: bool) {
    let header = header(running);
    let tpm = of_type(&header, "systemd-tpm2");
    assert_eq!(tpm.len(), 1, "{header}");
    let hashes = tpm[0]["tpm2-policy-hash"].as_array().map_or(1, Vec::len);
    assert_eq!(
        (tpm[0]["tpm2_pcrlock"] == true, hashes),
        if bound { (true, 2) } else { (false, 1) }
    );
    assert_eq!(tpm[0]["tpm2-pcrs"], json!([7, 12, 13, 15]));
    assert_eq!(tpm[0]["tpm2_pubkey_pcrs"], json!([11]));
}

/// A PCR of the firmware's changes while the vault is locked: the TPM does not give the key, and the recovery key opens it.
pub fn refuses_another_firmware_and_says_what_to_do(running: &mut Running) -> String {
    let made = running.run("holdfast vault recovery-key --json").ok();
    let made: serde_json::Value = serde_json::from_str(made.trim()).unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    running
        .run(&format!("echo {key} | holdfast vault confirm-recovery-key"))
        .ok();
    running.run("holdfast lock").ok();
    running
        .run("/usr/lib/systemd/systemd-pcrextend --pcr=0 another-firmware")
        .ok();
    let refused = running.run("holdfast unlock");
    assert_ne!(refused.code, 0, "{}", refused.output);
    println!("[refused] {}", refused.output.trim().replace('\n', " | "));
    assert!(
        refused.output.contains("the firmware (PCR 0)"),
        "{}",
        refused.output
    );
    assert!(refused.output.contains("recovery key"), "{}", refused.output);
    assert_eq!(vault(running)["state"], "locked");
    running
        .run(&format!("echo {key} | holdfast unlock --secret"))
        .ok();
    assert_eq!(vault(running)["state"], "open");
    key
}

/// In the same boot PCR 0 holds what no firmware measured. The vault is sealed without the firmware, and says so.
pub fn falls_back_where_nothing_can_be_said_in_advance(running: &mut Running, key: &str) {
    let sealed = running.run(&format!("echo {key} | holdfast vault seal")).ok();
    println!("[sealed] {}", sealed.trim().replace('\n', " | "));
    assert!(sealed.contains("firmware not pinned: PCR 0"), "{sealed}");
    assert_eq!(
        vault(running)["firmware"],
        json!({ "not-covered": { "register": 0 } })
    );
    let said = running.run("holdfast vault").ok();
    assert!(said.contains("firmware not pinned: PCR 0"), "{said}");
    assert_bound(running, false);
    running.run("holdfast lock && holdfast unlock").ok();
}

/// At the next start it opens unattended, and one command pins the firmware.
pub fn is_pinned_again_by_one_command(machine: &Machine, running: Running, key: &str) -> Running {
    running.shut_down();
    let mut running = machine.boot();
    running.await_suite();
    assert_eq!(
        vault(&mut running)["firmware"],
        json!({ "not-covered": { "register": 0 } })
    );
    let begun = Instant::now();
    let sealed = running.run(&format!("echo {key} | holdfast vault seal")).ok();
    println!(
        "[measured] seal with the firmware: {} ms",
        begun.elapsed().as_millis()
    );
    assert!(sealed.contains("firmware pinned"), "{sealed}");
    assert_bound(&mut running, true);
    running.run("holdfast lock").ok();
    let begun = Instant::now();
    running.run("holdfast unlock").ok();
    println!(
        "[measured] unlock with the firmware: {} ms",
        begun.elapsed().as_millis()
    );
    running
}

/// A lock does not wait for a seal, which is over then; what was sealed before still opens.
pub fn a_lock_ends_a_seal(running: &mut Running, key: &str) {
    const SLOW: &str = "/run/systemd/system/holdfast-vault-firmware@.service.d/slow.conf";
    let before = header(running);
    // What makes the policy is held up before it has begun.
    running
        .run(&format!(
            "mkdir -p $(dirname {SLOW}) && printf '[Service]\nExecStartPre=/usr/bin/sleep infinity\nExecPaths=/usr/bin\n' >{SLOW} && systemctl daemon-reload"
        ))
        .ok();
    begin(running, &format!("echo {key} | holdfast vault seal"));
    running.until(
        "the policy to be asked for",
        "systemctl list-units --no-legend --state=activating 'holdfast-vault-firmware@*' | grep -q .",
    );
    lock_ends_what_was_begun(running, "holdfast lock", "the vault is being sealed");
    running
        .run(&format!(
            "rm {SLOW} && systemctl daemon-reload && systemctl stop 'holdfast-vault-firmware@*'"
        ))
        .ok();
    assert_eq!(vault(running)["state"], "locked");
    assert_eq!(header(running)["tokens"], before["tokens"]);
    running.run("holdfast unlock").ok();
    assert_eq!(vault(running)["state"], "open");
}

/// Another firmware is started: the state volume opens, the vault does not; its owner seals it anew, and it opens unattended.
pub fn another_firmware_is_refused_until_it_is_meant(machine: &mut Machine, key: &str) {
    machine.flash(OTHER_FIRMWARE);
    let mut running = machine.boot();
    running.await_shut();
    let status = vault(&mut running);
    assert_eq!(status["state"], "shut", "{status}");
    let problem = status["problem"].as_str().unwrap();
    println!("[refused] {problem}");
    assert!(problem.contains("the firmware (PCR 0)"), "{problem}");
    running
        .run(&format!("echo {key} | holdfast unlock --secret"))
        .ok();
    let sealed = running.run(&format!("echo {key} | holdfast vault seal")).ok();
    assert!(sealed.contains("firmware pinned"), "{sealed}");
    running.await_suite();
    running.shut_down();

    let mut running = machine.boot();
    running.await_suite();
    let status = vault(&mut running);
    assert_eq!(
        (&status["state"], &status["firmware"]),
        (&json!("open"), &json!("pinned"))
    );
    running.shut_down();
}
