//! Security keys on the booted machine: enrolled by systemd's own program, used through its plug-in, over a HID device. The key is one made
//! of software (`tests/authenticator`), which the kernel cannot tell from one that is plugged in, except that no USB is tried here.

use std::time::Instant;

use crate::machine::{Machine, Running};
use crate::vault::{begin, header, lock_ends_what_was_begun, of_type, vault};

const PIN: &str = "2741828-pin";

/// Plugs a key in. Each number is a key of its own, for all time.
fn plug(running: &mut Running, number: u32, arguments: &str) {
    let before = keys(running);
    running
        .run(&format!(
            "modprobe uhid && systemd-run --quiet --collect --unit=key-{number} \
             /usr/libexec/holdfast-authenticator --secret /var/lib/key-{number} {arguments}"
        ))
        .ok();
    running.until(
        "the key to be plugged in",
        &format!("test $(ls /sys/class/hidraw | wc -l) -gt {before} && udevadm settle"),
    );
}

/// Pulls it out.
fn pull(running: &mut Running, number: u32) {
    let before = keys(running);
    running.run(&format!("systemctl stop key-{number}")).ok();
    running.until(
        "the key to be gone",
        &format!("test $(ls /sys/class/hidraw | wc -l) -lt {before}"),
    );
}

fn keys(running: &mut Running) -> usize {
    let listed = running.run("ls /sys/class/hidraw 2>/dev/null | wc -l").ok();
    listed.trim().parse().unwrap()
}

/// What must be refused, with these words.
fn refused(running: &mut Running, command: &str, words: &str) {
    let answer = running.run(command);
    assert_ne!(answer.code, 0, "{command}: {}", answer.output);
    assert!(answer.output.contains(words), "{command}: {}", answer.output);
    println!(
        "[refused] {command}: {}",
        answer.output.trim().replace('\n', " | ")
    );
}

/// A key is enrolled, opens the vault when it is touched, and nothing else does in its place.
pub fn is_enrolled_and_opens(running: &mut Running) {
    // The key that opens the vault for enrolling another is bound to the firmware.
    assert_eq!(vault(running)["firmware"], "pinned");
    refused(
        running,
        "holdfast vault security-key",
        "no security key is plugged in",
    );
    plug(running, 9, "--without-hmac-secret");
    refused(running, "holdfast vault security-key", "hmac-secret");
    pull(running, 9);

    plug(running, 1, "--button /run/button --patience 3");
    running.run("holdfast lock").ok();
    refused(
        running,
        "holdfast unlock --security-key",
        "no security key was enrolled",
    );
    running.run("holdfast unlock").ok();
    refused(running, "holdfast vault security-key", "nobody touched");
    assert_eq!(vault(running)["keys"]["security_key"], false);
    let begun = Instant::now();
    running
        .run("touch /run/button && holdfast vault security-key")
        .ok();
    println!(
        "[measured] enrolling a security key: {} ms",
        begun.elapsed().as_millis()
    );
    let status = vault(running);
    assert_eq!(status["keys"]["security_key"], true, "{status}");
    assert_eq!(status["keys"]["security_key_pin"], false, "{status}");
    let found = header(running);
    let tokens = of_type(&found, "systemd-fido2");
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0]["fido2-up-required"], true);
    assert_eq!(tokens[0]["fido2-clientPin-required"], false);

    running.run("holdfast lock").ok();
    running.run("rm /run/button").ok();
    let untouched = running.run("holdfast unlock --security-key");
    assert_ne!(untouched.code, 0, "{}", untouched.output);
    assert_eq!(vault(running)["state"], "locked");
    running.run("touch /run/button").ok();
    let begun = Instant::now();
    running.run("holdfast unlock --security-key").ok();
    println!(
        "[measured] unlock with a security key: {} ms",
        begun.elapsed().as_millis()
    );
    assert_eq!(vault(running)["state"], "open");
    running.run("ls /var/lib/holdfast/vault/registry/index.json").ok();

    running.run("holdfast lock").ok();
    pull(running, 1);
    refused(
        running,
        "holdfast unlock --security-key",
        "no security key is plugged in",
    );
    plug(running, 2, "");
    refused(
        running,
        "holdfast unlock --security-key",
        "not enrolled for this vault",
    );
    assert_eq!(vault(running)["state"], "locked");
    running.run("holdfast unlock").ok();
    plug(running, 1, "--button /run/button");
    refused(running, "holdfast vault security-key", "several security keys");
    pull(running, 2);
    // The first is found where another one is plugged in besides.
    plug(running, 2, "");
    running
        .run("holdfast lock && holdfast unlock --security-key")
        .ok();
    pull(running, 1);
    pull(running, 2);
}

/// Whoever locks the vault while a key blinks need not fear that somebody touches it afterwards.
pub fn is_touched_too_late(running: &mut Running) {
    running.run("rm -f /run/button").ok();
    plug(running, 1, "--button /run/button");
    for lock in ["holdfast lock", "holdfast panic"] {
        let blinked = said(running, 1, "^blinks");
        running.run("holdfast lock").ok();
        begin(running, "holdfast unlock --security-key");
        running.until("the key to blink", &says(1, "^blinks", blinked + 1));
        let dark = said(running, 1, "^does not blink");
        lock_ends_what_was_begun(running, lock, "a key blinks");
        running.run("touch /run/button").ok();
        running.until("the key to be touched", &says(1, "^does not blink", dark + 1));
        let suspended = running
            .run("cat \"$(dirname \"$(grep -lx holdfast-vault /sys/block/dm-*/dm/name)\")/suspended\"")
            .ok();
        assert_eq!(suspended.trim(), "1", "the touch opened it");
        assert_eq!(vault(running)["state"], "locked");
        running.run("holdfast unlock --security-key").ok();
        assert_eq!(vault(running)["state"], "open");
        running.run("rm /run/button").ok();
    }
    pull(running, 1);
}

/// How often a key has said so.
fn said(running: &mut Running, key: u32, words: &str) -> u32 {
    let count = running.run(&format!("journalctl -b -o cat -u key-{key} | grep -c '{words}'"));
    count.output.trim().parse().unwrap()
}

fn says(key: u32, words: &str, times: u32) -> String {
    format!("test $(journalctl -b -o cat -u key-{key} | grep -c '{words}') -ge {times}")
}

/// A key that asks for its PIN: a wrong one is tried once, and it is nowhere afterwards.
pub fn asks_for_its_pin(running: &mut Running) {
    plug(running, 3, "");
    refused(
        running,
        &format!("echo {PIN} | holdfast vault security-key --pin"),
        "has no PIN yet",
    );
    pull(running, 3);
    assert_eq!(
        of_type(&header(running), "systemd-fido2").len(),
        1,
        "the key without a PIN is not kept"
    );

    plug(running, 4, &format!("--pin {PIN}"));
    refused(running, "holdfast vault security-key", "asks for its PIN");
    refused(
        running,
        "echo 1111 | holdfast vault security-key --pin",
        "PIN is wrong",
    );
    running
        .run(&format!("echo {PIN} | holdfast vault security-key --pin"))
        .ok();
    assert_eq!(vault(running)["keys"]["security_key_pin"], true);
    running.run("holdfast lock").ok();
    refused(
        running,
        "echo 2222 | holdfast unlock --security-key",
        "PIN is wrong",
    );
    running
        .run(&format!("echo {PIN} | holdfast unlock --security-key"))
        .ok();
    assert_eq!(vault(running)["state"], "open");
    let wrong = running
        .run("journalctl -b -o cat -u key-4 | grep -c 'a wrong PIN'")
        .output;
    assert_eq!(wrong.trim(), "2", "each wrong PIN is tried once");
    let sealed = running
        .run(&format!("echo {PIN} | holdfast vault seal --security-key"))
        .ok();
    assert!(sealed.contains("firmware pinned"), "{sealed}");
    running.run("holdfast lock && holdfast unlock").ok();
    assert_eq!(of_type(&header(running), "systemd-tpm2").len(), 1);
    let slots = header(running)["keyslots"].as_object().unwrap().len();
    assert_eq!(
        slots, 3,
        "the TPM's and two keys'; what stood in for a key is gone"
    );

    running.run("holdfast lock").ok();
    for wrong in ["3333", "4444"] {
        refused(
            running,
            &format!("echo {wrong} | holdfast unlock --security-key"),
            "PIN is wrong",
        );
    }
    let blocked = running.run("echo 5555 | holdfast unlock --security-key");
    assert_ne!(blocked.code, 0, "{}", blocked.output);
    println!(
        "[refused] the third wrong PIN: {}",
        blocked.output.trim().replace('\n', " | ")
    );
    running.run("holdfast unlock").ok();
    pull(running, 4);

    for log in [
        "holdfast ledger log --limit 200 --json",
        "journalctl -b -o cat --no-pager",
    ] {
        let said = running.run(&format!(
            "{log} | grep -v 'holdfast-authenticator' | grep -c -e {PIN}"
        ));
        assert_eq!(said.output.trim(), "0", "the PIN is in {log}");
    }
}

/// Panic level 2 leaves the security key, which opens the vault after a boot too, and seals it anew.
pub fn opens_after_panic_level_2(machine: &Machine, mut running: Running) {
    running
        .run("holdfast panic remove-tpm --phrase 'remove the tpm key'")
        .ok();
    let status = vault(&mut running);
    assert_eq!(status["keys"]["tpm"], false, "{status}");
    assert_eq!(status["keys"]["security_key"], true, "{status}");
    running.shut_down();

    let mut running = machine.boot();
    running.await_shut();
    assert_eq!(vault(&mut running)["state"], "shut");
    plug(&mut running, 1, "");
    // One of the enrolled keys asks for its PIN, so one is asked for; this one does without.
    running.run("echo unused | holdfast unlock --security-key").ok();
    running.await_suite();
    let sealed = running
        .run("echo unused | holdfast vault seal --security-key")
        .ok();
    assert!(sealed.contains("firmware pinned"), "{sealed}");
    running.run("holdfast lock && holdfast unlock").ok();

    running.run("holdfast vault security-key --remove").ok();
    assert!(of_type(&header(&mut running), "systemd-fido2").is_empty());
    running.run("holdfast lock").ok();
    refused(
        &mut running,
        "holdfast unlock --security-key",
        "no security key was enrolled",
    );
    running.run("holdfast unlock").ok();
    let log: String = running.run("holdfast ledger log --limit 200 --json").ok();
    for change in [
        "security key enrolled",
        "security keys removed",
        "\"security key\"",
    ] {
        assert!(log.contains(change), "{change}: {log}");
    }
    running.shut_down();
}
