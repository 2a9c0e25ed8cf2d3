//! The vault on the booted machine: sealed at the first boot, locked, unlocked, opened with the recovery key; and the three levels of panic,
//! each looked at from outside, on the disk of the machine that is off.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine::{BOOT, Machine, Running};

/// A passphrase for the tests.
const PASSPHRASE: &str = "four words that do not belong";

/// What `holdfast vault` says.
pub fn vault(running: &mut Running) -> Value {
    let said = running.run("holdfast vault --json").output;
    serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{said}"))
}

pub fn header(running: &mut Running) -> Value {
    let header = running
        .run("cryptsetup luksDump --dump-json-metadata /dev/disk/by-partlabel/holdfast-vault")
        .ok();
    serde_json::from_str(&header).unwrap()
}

pub fn of_type<'a>(header: &'a Value, kind: &str) -> Vec<&'a Value> {
    let tokens = header["tokens"].as_object().unwrap();
    tokens.values().filter(|token| token["type"] == kind).collect()
}

/// What the first boot made.
pub fn is_made_sealed_and_mounted(running: &mut Running) {
    let status = vault(running);
    assert_eq!(status["backend"], "luks2", "{status}");
    assert_eq!(status["state"], "open", "{status}");
    assert_eq!(status["keys"]["tpm"], true, "{status}");
    let header = header(running);
    let tpm = of_type(&header, "systemd-tpm2");
    assert_eq!(tpm.len(), 1);
    assert_eq!(tpm[0]["tpm2-pcrs"], serde_json::json!([7, 12, 13, 15]));
    assert_eq!(tpm[0]["tpm2_pubkey_pcrs"], serde_json::json!([11]));
    assert_eq!(
        header["keyslots"].as_object().unwrap().len(),
        1,
        "the key it was made with is gone"
    );
    let mount = running
        .run("findmnt -no SOURCE,FSTYPE,OPTIONS /var/lib/holdfast/vault")
        .ok();
    assert!(mount.starts_with("/dev/mapper/holdfast-vault ext4"), "{mount}");
    for option in ["nodev", "nosuid", "noexec"] {
        assert!(mount.contains(option), "{mount}");
    }
    running.run("ls /var/lib/holdfast/vault/registry/index.json").ok();
}

/// Locked, its key is not in the kernel, and who reads waits; unlocked, everything goes on where it was.
pub fn locks_and_unlocks_without_losing_state(running: &mut Running) {
    let pid = "systemctl show -P MainPID holdfast-registry";
    let before = running.run(pid).ok();
    let begun = Instant::now();
    running.run("holdfast lock").ok();
    println!("[measured] lock: {} ms", begun.elapsed().as_millis());
    assert_eq!(vault(running)["state"], "locked");
    let table = running.run("dmsetup table --showkeys holdfast-vault; dmsetup info -c --noheadings -o suspended holdfast-vault").output;
    assert!(table.contains("Suspended"), "{table}");
    // The mapper itself refuses to go on without a key, even for root.
    let resumed = running.run("timeout 10 dmsetup resume holdfast-vault");
    assert_ne!(resumed.code, 0, "the kernel still had the key");
    assert_eq!(vault(running)["state"], "locked");
    // Who writes waits in the kernel, where nothing but the key helps.
    running
        .run(
            "systemd-run --quiet --unit=writer bash -c 'echo written >/var/lib/holdfast/vault/waits'
            for attempt in {1..100}; do
                grep -q ' (bash) D ' /proc/$(systemctl show -P MainPID writer)/stat && exit 0
            done
            exit 1",
        )
        .ok();
    // Everything that is not in the vault goes on.
    running.run("holdfast ledger checkpoint").ok();

    let begun = Instant::now();
    let said = running.run("holdfast unlock").ok();
    println!("[measured] unlock: {} ms", begun.elapsed().as_millis());
    assert!(said.contains("open"), "{said}");
    assert_eq!(vault(running)["state"], "open");
    assert_eq!(running.run(pid).ok(), before, "the registry went on");
    running
        .run("for attempt in {1..100}; do grep -q written /var/lib/holdfast/vault/waits && exit 0; done; exit 1")
        .ok();
    let models = running.run("holdfast models --json").ok();
    assert!(models.contains("guide"), "{models}");
}

/// A recovery key is shown once, counts when it was typed in, and opens the vault; so does a passphrase. Guessing is slowed down.
pub fn has_a_recovery_key_and_a_passphrase(running: &mut Running) -> String {
    let made = running.run("holdfast vault recovery-key --json").ok();
    let made: Value = serde_json::from_str(made.trim()).unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    assert_eq!(
        vault(running)["keys"]["recovery_key"],
        false,
        "nobody proved that they have it"
    );
    let wrong = running.run(&format!(
        "echo {} | holdfast vault confirm-recovery-key",
        key.replace(&key[..8], "cccccccc")
    ));
    assert_eq!(wrong.code, 1, "{}", wrong.output);
    running
        .run(&format!("echo {key} | holdfast vault confirm-recovery-key"))
        .ok();
    assert_eq!(vault(running)["keys"]["recovery_key"], true);
    running
        .run(&format!("echo '{PASSPHRASE}' | holdfast vault passphrase"))
        .ok();
    assert_eq!(vault(running)["keys"]["passphrase"], true);

    // Sealed anew where nothing has changed, the TPM still opens it. The passphrase takes more memory than the recovery key.
    for secret in [key.as_str(), PASSPHRASE] {
        running
            .run(&format!(
                "echo '{secret}' | holdfast vault seal && holdfast lock && holdfast unlock"
            ))
            .ok();
    }
    let tpm = of_type(&header(running), "systemd-tpm2").len();
    assert_eq!(tpm, 1, "one key of the TPM's");

    for secret in [key.to_uppercase(), PASSPHRASE.to_owned()] {
        running.run("holdfast lock").ok();
        running
            .run(&format!("echo '{secret}' | holdfast unlock --secret"))
            .ok();
        assert_eq!(vault(running)["state"], "open");
    }
    running.run("holdfast lock").ok();
    let mut slowed = false;
    for _ in 0..5 {
        let answer = running.run("echo 'not the passphrase' | holdfast unlock --secret");
        assert_ne!(answer.code, 0);
        slowed |= answer.output.contains("too many wrong keys");
    }
    assert!(slowed, "guessing is not slowed down");
    running.run("holdfast unlock").ok();
    let log = running.run("holdfast ledger log --limit 200 --json").ok();
    assert!(
        !log.contains(&key) && !log.contains(PASSPHRASE),
        "a secret is in the ledger"
    );
    let journal = running.run("journalctl -b -o cat --no-pager").ok();
    assert!(
        !journal.contains(&key) && !journal.contains(PASSPHRASE),
        "a secret is in the journal"
    );
    key
}

/// Begins a command and does not wait for it.
pub fn begin(running: &mut Running, command: &str) {
    running
        .run(&format!(
            "({command} >/run/begun 2>&1; echo \"ended $?\" >>/run/begun) </dev/null >/dev/null 2>&1 &"
        ))
        .ok();
}

/// A lock does not wait for what was begun, which is over then, as is what the device does for it.
pub fn lock_ends_what_was_begun(running: &mut Running, lock: &str, meanwhile: &str) {
    let begun = Instant::now();
    running.run(lock).ok();
    println!(
        "[measured] `{lock}` while {meanwhile}: {} ms",
        begun.elapsed().as_millis()
    );
    running.until("what was begun to end", "grep -q '^ended' /run/begun");
    let said = running.run("cat /run/begun").ok();
    println!("[refused] {}", said.trim().replace('\n', " | "));
    assert!(
        said.contains("locked meanwhile") && !said.contains("ended 0"),
        "{said}"
    );
    running.until(
        "the device to be let go of",
        "! systemctl is-active --quiet 'holdfast-vault-volume@*'",
    );
}

/// A script as a service runs it, with the groups that its unit gives it.
fn as_service(service: &str, script: &str) -> String {
    format!(
        "groups=$(systemctl show -P SupplementaryGroups holdfast-{service} | tr ' ' ,)
        setpriv --reuid holdfast-{service} --regid holdfast-{service} --groups ${{groups:-holdfast-{service}}} bash -c '{script}'"
    )
}

/// To connect is to write to a socket. Who may shows that who may not is not kept away by the way of asking.
pub fn its_sockets_are_closed_to_others(running: &mut Running) {
    for (service, socket, may) in [
        ("console", "operate.sock", true),
        ("registry", "operate.sock", false),
        ("vault", "contain.sock", true),
        ("console", "contain.sock", false),
        ("vault", "volume.sock", true),
        ("console", "volume.sock", false),
        ("inference", "volume.sock", false),
        // Only the half that has the device asks for a policy: root.
        ("console", "firmware.sock", false),
        ("vault", "firmware.sock", false),
        ("vault", "off.sock", true),
        ("console", "off.sock", false),
        ("vault-off", "volume.sock", false),
    ] {
        running.run(&format!("test -S /run/holdfast/vault/{socket}")).ok();
        let answer = running.run(&as_service(
            service,
            &format!("test -w /run/holdfast/vault/{socket}"),
        ));
        assert_eq!(answer.code == 0, may, "{service}, {socket}: {}", answer.output);
    }
}

/// Nobody but the console and the operator reaches the vault, and nobody but its daemon the program that has the device.
pub fn is_closed_to_others(running: &mut Running) {
    its_sockets_are_closed_to_others(running);
    // Where a connection is made, somebody answers, or nobody does.
    for (service, may) in [("console", true), ("registry", false)] {
        let answer = running.run(&as_service(service, "holdfast vault --json"));
        let answered = answer.code == 0 && answer.output.contains("\"state\":\"open\"");
        assert_eq!(answered, may, "{service}: {}", answer.output);
    }
    // The daemon itself, were it taken over, has no device.
    for device in [
        "/dev/disk/by-partlabel/holdfast-vault",
        "/dev/mapper/holdfast-vault",
        "/dev/mapper/control",
        "/dev/tpmrm0",
    ] {
        let script = crate::inside::as_root_of("vault", &format!("head -c 1 {device}"));
        let answer = running.run(&script);
        assert_ne!(
            answer.code, 0,
            "the vault's daemon reads {device}: {}",
            answer.output
        );
    }
}

/// Level 1: locked; the TPM opens it again.
pub fn panic_level_1(running: &mut Running) {
    let begun = Instant::now();
    let said = running.run("holdfast panic").ok();
    assert!(said.contains("LOCKED"), "{said}");
    println!(
        "[measured] panic level 1: {} ms with its countdown",
        begun.elapsed().as_millis()
    );
    running.run("holdfast unlock").ok();
    let refused = running.run("holdfast panic erase --phrase 'remove the tpm key'");
    assert_ne!(refused.code, 0, "{}", refused.output);
    // Called off in time, nothing happens.
    let called_off = running
        .run("(holdfast panic erase --phrase 'erase everything' & sleep 2; holdfast panic --call-off; wait)");
    println!("called off: {}", called_off.output.trim().replace('\n', " | "));
    assert_eq!(vault(running)["state"], "open");
}

/// The page comes back though the vault is locked: it is how a vault is unlocked.
pub fn the_page_comes_back_while_locked(running: &mut Running) {
    running.run("holdfast lock").ok();
    running.run("systemctl kill -s KILL holdfast-console").ok();
    running.until("the page, while the vault is locked", "systemctl is-active --quiet holdfast-console && [[ $(systemctl show -P SubState holdfast-console) == running ]]");
    assert_eq!(vault(running)["state"], "locked");
    let pid = "systemctl show -P MainPID holdfast-console";
    let before = running.run(pid).ok();
    running.run("holdfast unlock").ok();
    running.until(
        "a console that has the conversations",
        &format!(
            "systemctl is-active --quiet holdfast-console && [[ $({pid}) != {} ]]",
            before.trim()
        ),
    );
}

/// A machine whose vault is locked is turned off in the time of any other, though somebody waits for the vault; nothing that was written is lost.
pub fn is_turned_off_while_locked(machine: &Machine, mut running: Running) {
    running
        .run("echo 'written before' >/var/lib/holdfast/vault/before; holdfast lock")
        .ok();
    running
        .run("systemd-run --quiet --unit=waiting bash -c 'echo late >/var/lib/holdfast/vault/late'")
        .ok();
    let begun = Instant::now();
    running.shut_down();
    let took = begun.elapsed();
    println!("[measured] turned off while locked: {} ms", took.as_millis());
    assert!(took < Duration::from_mins(1), "{took:?}");
    let mut running = machine.boot();
    running.await_suite();
    let kept = running.run("cat /var/lib/holdfast/vault/before").ok();
    assert_eq!(kept.trim(), "written before");
    let models = running.run("holdfast models --json").ok();
    assert!(models.contains("guide"), "{models}");
    running.shut_down();
}

/// Level 2 on a copy of the machine: afterwards its own TPM does not open the disk, and the recovery key does.
pub fn panic_level_2(machine: &Machine, key: &str) {
    let copy = machine.copy("panic-2");
    let mut running = copy.boot();
    running.await_suite();
    let refused = running.run("holdfast panic remove-tpm --phrase please");
    assert_ne!(refused.code, 0, "{}", refused.output);
    running
        .run("holdfast panic remove-tpm --phrase 'remove the tpm key'")
        .ok();
    let status = vault(&mut running);
    assert_eq!(status["state"], "locked", "{status}");
    assert_eq!(status["keys"]["tpm"], false, "{status}");
    let answer = running.run("holdfast unlock");
    assert_ne!(answer.code, 0, "{}", answer.output);
    drop(running);

    let dump = on_the_disk(&copy, "cryptsetup luksDump --dump-json-metadata /tmp/vault.raw");
    let header: Value = serde_json::from_str(&dump).unwrap();
    assert!(of_type(&header, "systemd-tpm2").is_empty(), "{header}");
    let opens = format!(
        "printf %s '{key}' | cryptsetup open --test-passphrase --key-file=- /tmp/vault.raw && echo opens"
    );
    assert!(on_the_disk(&copy, &opens).contains("opens"));

    // The next boot comes up with the vault shut, and the recovery key opens it and seals it anew.
    let mut running = copy.boot();
    running.await_shut();
    let status = vault(&mut running);
    assert_eq!(status["state"], "shut", "{status}");
    running
        .run(&format!("echo {key} | holdfast unlock --secret"))
        .ok();
    running.run(&format!("echo {key} | holdfast vault seal")).ok();
    running.run("holdfast lock && holdfast unlock").ok();
    running.await_suite();
    let models = running.run("holdfast models --json").ok();
    assert!(models.contains("guide"), "{models}");
}

/// Level 3 on a copy: the machine turns itself off, and neither TPM, nor recovery key, nor passphrase opens what is on the disk.
pub fn panic_level_3(machine: &Machine, key: &str) {
    let copy = machine.copy("panic-3");
    let opens = |file: &str| {
        format!(
            "for secret in '{key}' '{PASSPHRASE}'; do
                printf %s \"$secret\" | cryptsetup open --test-passphrase --key-file=- {file} 2>/dev/null && echo opens
            done || true"
        )
    };
    // Each opens it before, else that they do not open it afterwards would say nothing.
    let before = on_the_disk(
        &copy,
        &format!("cp /tmp/vault.raw $1/before.raw; {}", opens("/tmp/vault.raw")),
    );
    assert_eq!(before, "opens\nopens\n");

    let mut running = copy.boot();
    running.await_suite();
    running.leave("holdfast panic erase --phrase 'erase everything'");
    assert!(running.ends(BOOT), "the machine stays on:\n{}", copy.console());
    let dump = on_the_disk(&copy, "cryptsetup luksDump --dump-json-metadata /tmp/vault.raw");
    let header: Value = serde_json::from_str(&dump).unwrap();
    assert!(header["keyslots"].as_object().unwrap().is_empty(), "{header}");
    assert_eq!(on_the_disk(&copy, &opens("/tmp/vault.raw")), "");
    // The keyslots themselves are destroyed, not only what says where they are: of every keyslot's place no sector is as it was ...
    let left = on_the_disk(
        &copy,
        "cryptsetup luksDump --dump-json-metadata $1/before.raw | jq -r '.keyslots[].area | \"\\(.offset) \\(.size)\"' >/tmp/areas
        while read -r offset size; do
            for file in $1/before.raw /tmp/vault.raw; do
                tail -c +$((offset + 1)) $file | head -c $size | od -An -v -w512 -tx1 >/tmp/sectors.$(basename $file)
            done
            echo $(wc -l </tmp/sectors.vault.raw) $(paste -d = /tmp/sectors.before.raw /tmp/sectors.vault.raw | awk -F = '$1 == $2' | wc -l)
        done </tmp/areas",
    );
    assert_eq!(
        left.lines().count(),
        3,
        "the TPM's keyslot, the recovery key's and the passphrase's: {left}"
    );
    for area in left.lines() {
        let (sectors, same) = area.split_once(' ').unwrap();
        assert!(sectors.parse::<u32>().unwrap() > 100, "{left}");
        assert_eq!(same, "0", "sectors that are as they were: {left}");
    }
    // ... and whoever kept the header's description, but not the keyslots, opens nothing.
    let described = format!(
        "first=$(cryptsetup luksDump --dump-json-metadata $1/before.raw | jq '[.keyslots[].area.offset | tonumber] | min')
        head -c $first $1/before.raw | dd of=/tmp/vault.raw conv=notrunc status=none
        cryptsetup luksDump --dump-json-metadata /tmp/vault.raw | jq '.keyslots | length'
        {}",
        opens("/tmp/vault.raw")
    );
    assert_eq!(on_the_disk(&copy, &described), "3\n");
    // And the ledger, on the other volume, says what happened.
    let mut running = copy.boot();
    running.await_shut();
    assert_eq!(vault(&mut running)["state"], "erased");
    let log = running.run("holdfast ledger log --limit 100").ok();
    assert!(log.contains("vault.panic"), "{log}");
    running.run("holdfast ledger verify").ok();
    let again = running.run("holdfast vault create --phrase 'yes please'");
    assert_ne!(again.code, 0, "{}", again.output);
    // Power is lost while the new one is made: it is not begun again by itself, because there was one here, and the next boot says so.
    let create = "holdfast vault create --phrase 'make a new vault'";
    running
        .run(&format!("setsid {create} >/dev/null 2>&1 </dev/null &"))
        .ok();
    crate::faults::power_is_lost_during(running, "systemd-crypten");
    assert_unfinished(&copy);
    let mut running = copy.boot();
    running.await_shut();
    let said = running.run("holdfast vault").output;
    assert!(said.contains("make a new vault"), "{said}");
    println!("after a loss of power: {}", said.trim().replace('\n', " | "));
    running.run(create).ok();
    running.await_suite();
    assert_eq!(vault(&mut running)["state"], "open");
}

/// The vault on the disk of a machine that is off was begun and not finished.
pub fn assert_unfinished(machine: &Machine) {
    let dump = on_the_disk(machine, "cryptsetup luksDump --dump-json-metadata /tmp/vault.raw");
    let header: Value = serde_json::from_str(&dump).unwrap();
    let states = of_type(&header, "holdfast-vault");
    assert_eq!(states.len(), 1, "{header}");
    assert_eq!(states[0]["state"], "unfinished", "{header}");
}

/// Runs a script on the tools' side with the beginning of the vault's partition in `/tmp/vault.raw`: header, keyslots, and a bit.
pub fn on_the_disk(machine: &Machine, script: &str) -> String {
    machine.tools(&format!(
        "start=$(sfdisk --json $1/disk.raw | jq '[.partitiontable.partitions[] | select(.name == \"holdfast-vault\")][0].start')
        dd if=$1/disk.raw of=/tmp/vault.raw bs=512 skip=$start count=65536 status=none
        {script}"
    ))
}
