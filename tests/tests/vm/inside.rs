//! From inside the booted machine: what each service may do, and what root of a compromised one may not.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

use crate::machine::{Machine, Running};

pub const SERVICES: [&str; 6] = [
    "console",
    "incident-recorder",
    "inference",
    "quarantine",
    "registry",
    "vault",
];

/// Each daemon, started by its real unit, tries what it must not be able to do.
pub fn every_service_proves_its_confinement(running: &mut Running) {
    for service in SERVICES {
        let script = format!(
            "unit=/run/systemd/system/prove-{service}.service
            mkdir -p /run/systemd/system
            sed -e '/^ExecStart=/s/$/ --prove-confinement/' -e 's/^Type=.*/Type=oneshot/' \
              -e '/^\\(Requires\\|Wants\\|After\\|PartOf\\|Restart.*\\|WatchdogSec\\|NotifyAccess\\)=/d' \
              -e '/^\\[Service\\]/aStandardOutput=file:/run/prove-{service}' /usr/lib/systemd/system/holdfast-{service}.service >$unit
            systemctl daemon-reload
            systemctl start prove-{service}.service || journalctl -u prove-{service} -o cat -n 20
            cat /run/prove-{service}"
        );
        let said = running.run(&script).ok();
        let attempts: Vec<Value> = said
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        assert!(attempts.len() >= 8, "{service}: {said}");
        for attempt in attempts {
            assert_eq!(attempt["denied"], true, "{service}: {attempt}");
        }
    }
}

/// A script that is run as a service's unit would run it, but as root with every capability that the unit leaves: none. What a
/// compromised daemon could start is less than this, because its own sandbox is not even entered.
pub fn as_root_of(service: &str, script: &str) -> String {
    let script = BASE64_STANDARD.encode(format!("echo started\n{script}"));
    format!(
        "unit=/run/systemd/system/attack.service
        base64 -d <<<{script} >/run/attack-script
        sed -e 's|^ExecStart=.*|ExecStart=/bin/bash /run/attack-script|' -e 's/^Type=.*/Type=oneshot/' -e 's/^User=.*/User=root/' -e 's/^Group=.*/Group=root/' \
          -e '/^\\(Requires\\|Wants\\|After\\|PartOf\\|Restart.*\\|WatchdogSec\\|NotifyAccess\\|StateDirectory.*\\|ExecPaths\\|NoExecPaths\\)=/d' \
          -e '/^\\[Service\\]/aStandardOutput=file:/run/attack' -e '/^\\[Service\\]/aStandardError=file:/run/attack' \
          /usr/lib/systemd/system/holdfast-{service}.service >$unit
        rm -f /run/attack
        systemctl daemon-reload
        systemctl start attack.service
        status=$?
        grep -qx started /run/attack || {{ echo 'the attack did not even begin'; exit 0; }}
        sed 1d /run/attack
        exit $status"
    )
}

/// Something that root of a compromised service must not be able to do.
struct Attack {
    what: &'static str,
    script: &'static str,
    /// Whether it must succeed outside of the service's unit: else it would be no attack, and its failure would show nothing.
    works_outside: bool,
}

const fn attack(what: &'static str, script: &'static str) -> Attack {
    Attack {
        what,
        script,
        works_outside: true,
    }
}

/// Refused to everybody, so that there is nothing to compare with.
const fn refused_to_all(what: &'static str, script: &'static str) -> Attack {
    Attack {
        what,
        script,
        works_outside: false,
    }
}

const ATTACKS: [Attack; 21] = [
    refused_to_all("the network", "exec 3<>/dev/tcp/10.0.2.2/80"),
    attack("the host's network", "nsenter --net=/proc/1/ns/net true"),
    attack(
        "the state volume's device",
        "head -c 1 /dev/disk/by-partlabel/holdfast-state",
    ),
    attack("the opened state volume", "head -c 1 /dev/mapper/state"),
    attack(
        "the vault's device",
        "head -c 1 /dev/disk/by-partlabel/holdfast-vault",
    ),
    attack(
        "the vault's device, by a node of one's own",
        "numbers=$(tr : \" \" </run/attack-vault); rm -f /tmp/attack-node; mknod /tmp/attack-node b $numbers",
    ),
    refused_to_all("a program", "echo >>/usr/libexec/holdfast/holdfast-registry"),
    attack(
        "a unit",
        "echo >/run/systemd/system/attacked.service && rm /run/systemd/system/attacked.service",
    ),
    refused_to_all("a policy", "echo >>/etc/holdfast/registry.toml"),
    attack("another's state", "ls /var/lib/holdfast/incident-recorder/wal"),
    attack(
        "the keys",
        "cat /var/lib/holdfast/credentials/ledger-key >/dev/null",
    ),
    attack(
        "a kernel module, properly signed",
        "insmod $(</run/attack-module) && rmmod $(basename $(</run/attack-module) .ko.xz)",
    ),
    attack("the kernel's settings", "echo 2 >/proc/sys/kernel/kptr_restrict"),
    attack("the TPM", "exec 3</dev/tpmrm0"),
    attack("another service's memory", "exec 3</proc/$(</run/attack-pid)/mem"),
    attack(
        "tracing another service",
        "timeout 20 strace -o /dev/null -p $(</run/attack-pid) 2>&1 | grep --max-count=1 attached",
    ),
    attack("killing another service", "kill -0 $(</run/attack-pid)"),
    attack(
        "a variable of the firmware",
        "cd /sys/firmware/efi/efivars && name=HoldfastAttack-12345678-1234-1234-1234-123456789abc &&
         printf \"\\007\\000\\000\\000x\" >$name && chattr -i $name && rm $name",
    ),
    refused_to_all("the machine's memory", "head -c 4096 /dev/mem"),
    attack(
        "the key combinations of the kernel",
        "echo h >/proc/sysrq-trigger",
    ),
    refused_to_all("another kernel", "echo 0 >/proc/sys/kernel/kexec_load_disabled"),
];

/// Root of a compromised service tries the network, the disks, the system's files, the kernel and its neighbours.
pub fn root_of_a_service_reaches_nothing(running: &mut Running) {
    let harmless = running.run(&as_root_of("inference", "echo alive"));
    assert_eq!(harmless.output.trim(), "alive", "the attack itself works");
    assert_eq!(harmless.code, 0);
    running
        .run(
            "systemctl show -P MainPID holdfast-registry >/run/attack-pid
            lsblk --nodeps --noheadings --output MAJ:MIN /dev/disk/by-partlabel/holdfast-vault 2>/dev/null | tr -d ' ' >/run/attack-vault
            find /usr/lib/modules -name 'blowfish_common.ko*' >/run/attack-module
            chmod 644 /run/attack-*",
        )
        .ok();
    for attack in &ATTACKS {
        let what = attack.what;
        let outside = running.run(attack.script);
        if running.contained() && outside.code != 0 && attack.works_outside {
            println!("[skipped] {what}: a container has no such thing");
            continue;
        }
        assert_eq!(
            outside.code == 0,
            attack.works_outside,
            "{what}, outside of a service: {}",
            outside.output
        );
        let answer = running.run(&as_root_of("inference", attack.script));
        assert_ne!(answer.code, 0, "{what} was reached: {}", answer.output);
        println!(
            "denied, {what}: {}",
            answer.output.trim().lines().last().unwrap_or_default()
        );
    }
}

/// Whoever is root of the whole system is still outside of the kernel.
pub fn root_of_the_system_does_not_enter_the_kernel(machine: &Machine, running: &mut Running) {
    let module = running.run("base64 --wrap=0 $(</run/attack-module)").ok();
    let unsigned = machine.tools(&format!(
        "base64 -d <<<{} | xz -dc >/tmp/module.ko
        # The signature is at the end.
        head -c -512 /tmp/module.ko | base64 --wrap=0",
        module.trim()
    ));
    let insert = format!(
        "base64 -d <<<{} >/run/unsigned.ko; insmod /run/unsigned.ko",
        unsigned.trim()
    );
    let attempts = [
        ("a module without its signature", insert.as_str()),
        ("the kernel's memory", "head -c 4096 /proc/kcore >/dev/null"),
        ("the machine's memory", "head -c 4096 /dev/mem >/dev/null"),
        ("less lockdown", "echo none >/sys/kernel/security/lockdown"),
        ("a writable root", "mount -o remount,rw /"),
    ];
    for (what, script) in attempts {
        let answer = running.run(script);
        assert_ne!(answer.code, 0, "{what}: {}", answer.output);
        println!(
            "denied to root, {what}: {}",
            answer.output.trim().lines().last().unwrap_or_default()
        );
    }
}

/// The policy that opens the state volume is signed for the initrd: whoever is root later cannot unseal its key again.
pub fn the_running_system_cannot_open_the_state_volume_again(running: &mut Running) {
    let answer = running.run(
        "cryptsetup open --test-passphrase --token-only --verbose /dev/disk/by-partlabel/holdfast-state </dev/null",
    );
    assert_ne!(answer.code, 0, "{}", answer.output);
    println!(
        "denied, unsealing again: {}",
        answer.output.trim().lines().last().unwrap_or_default()
    );
}
