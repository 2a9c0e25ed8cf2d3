//! From inside the booted machine: what each service may do, and what root of a compromised one may not.

use serde_json::Value;

use crate::machine::Running;

const SERVICES: [&str; 6] = [
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
              -e '/^\\(Requires\\|Wants\\|After\\|PartOf\\|Restart.*\\|WatchdogSec\\|StartLimitIntervalSec\\|NotifyAccess\\)=/d' \
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
    let script = script.replace('\'', "'\\''");
    format!(
        "unit=/run/systemd/system/attack.service
        sed -e \"s|^ExecStart=.*|ExecStart=/bin/bash -c '{script}'|\" -e 's/^Type=.*/Type=oneshot/' -e 's/^User=.*/User=root/' -e 's/^Group=.*/Group=root/' \
          -e '/^\\(Requires\\|Wants\\|After\\|PartOf\\|Restart.*\\|WatchdogSec\\|StartLimitIntervalSec\\|NotifyAccess\\|StateDirectory.*\\|ExecPaths\\|NoExecPaths\\)=/d' \
          -e '/^\\[Service\\]/aStandardOutput=file:/run/attack' -e '/^\\[Service\\]/aStandardError=file:/run/attack' \
          /usr/lib/systemd/system/holdfast-{service}.service >$unit
        rm -f /run/attack
        systemctl daemon-reload
        systemctl start attack.service
        status=$?
        cat /run/attack
        exit $status"
    )
}

/// Root of a compromised service tries the network, the disks, the system's files, the kernel and its neighbours.
pub fn root_of_a_service_reaches_nothing(running: &mut Running) {
    let harmless = running.run(&as_root_of("inference", "echo alive"));
    assert_eq!(harmless.output.trim(), "alive", "the attack itself works");
    assert_eq!(harmless.code, 0);

    let attempts = [
        ("the network", "exec 3<>/dev/tcp/10.0.2.2/80"),
        ("the state volume's device", "head -c 1 /dev/vda"),
        ("the opened state volume", "head -c 1 /dev/mapper/state"),
        ("a program", "echo >>/usr/libexec/holdfast/holdfast-registry"),
        ("a unit", "echo >/run/systemd/system/holdfast-registry.service"),
        ("a policy", "echo >>/etc/holdfast/registry.toml"),
        ("another's state", "ls /var/lib/holdfast/incident-recorder/wal"),
        ("the keys", "cat /var/lib/holdfast/credentials/ledger-key"),
        ("a kernel module", "echo >/sys/module/loop/parameters/max_loop"),
        ("the kernel's settings", "echo 0 >/proc/sys/kernel/kptr_restrict"),
        ("the TPM", "head -c 1 /dev/tpmrm0"),
        (
            "another service's memory",
            "head -c 1 /proc/$(</run/attack-pid)/mem",
        ),
    ];
    running
        .run("systemctl show -P MainPID holdfast-registry >/run/attack-pid; chmod 644 /run/attack-pid")
        .ok();
    for (what, script) in attempts {
        let answer = running.run(&as_root_of("inference", script));
        assert_ne!(answer.code, 0, "{what} was reached: {}", answer.output);
        println!(
            "denied, {what}: {}",
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
