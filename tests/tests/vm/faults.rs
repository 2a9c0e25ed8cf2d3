//! What happens to machines without anybody meaning it: daemons are killed, the disk fills up or is gone, the clock is wrong. What is
//! documented must happen (docs/operations.md), and the data must be whole.

use std::time::Duration;

use crate::APPLIANCE;
use crate::inside::SERVICES;
use crate::machine::{Machine, Running, SERVING};
use crate::vault;

/// The suite serves, and its ledger is whole.
fn assert_whole(running: &mut Running, after: &str) {
    running.until(&format!("serving again after {after}"), SERVING);
    running.until(
        &format!("an answer after {after}"),
        "holdfast chat --model guide 'What is a verdict?'",
    );
    running.run("holdfast ledger verify").ok();
    println!("whole after {after}");
}

/// Each daemon is killed, and is there again by itself.
pub fn daemons_are_killed(running: &mut Running) {
    for service in SERVICES {
        let pid = running
            .run(&format!("systemctl show -P MainPID holdfast-{service}"))
            .ok();
        let pid = pid.trim();
        assert_ne!(pid, "0", "{service} runs");
        running.run(&format!("kill -9 {pid}")).ok();
        running.until(
            &format!("{service} after it was killed"),
            &format!(
                "now=$(systemctl show -P MainPID holdfast-{service}); systemctl is-active --quiet holdfast-{service} && [[ $now != 0 && $now != {pid} ]]"
            ),
        );
    }
    assert_whole(running, "each daemon was killed");
}

/// The state volume has not a byte left; then it has.
pub fn the_disk_is_full(running: &mut Running) {
    let filled = running
        .run(
            "fallocate --length $(($(df --output=avail -B1 /var | tail -n 1) - 4096)) /var/filling
            # What root may still write is kept for nobody else: fill that too.
            dd if=/dev/zero of=/var/filling-2 bs=64K 2>&1 | tail -n 1
            df --output=avail -B1 /var | tail -n 1",
        )
        .ok();
    println!(
        "[measured] left on the full disk: {} bytes",
        filled.trim().lines().last().unwrap_or_default()
    );
    let refused = running
        .run("head -c 3000000 /dev/urandom >/tmp/file.gguf; holdfast import --name filled /tmp/file.gguf");
    assert_ne!(refused.code, 0, "an import on a full disk: {}", refused.output);
    println!(
        "refused, an import on a full disk: {}",
        refused.output.trim().lines().last().unwrap_or_default()
    );
    running.run("rm /var/filling /var/filling-2 /tmp/file.gguf").ok();
    assert_whole(running, "the disk was full");
    let models = running.run("holdfast models --json").ok();
    assert!(!models.contains("filled"), "{models}");
}

/// The clock jumps ten years ahead, then to long before the machine was made.
pub fn the_clock_is_far_off(running: &mut Running) {
    for moment in ["+10 years", "2001-02-03 04:05:06"] {
        running.run(&format!("date --set '{moment}'")).ok();
        assert_whole(running, &format!("the clock was set to {moment}"));
    }
}

/// Waits until a program of this name (the kernel keeps fifteen letters of it) runs, stops it where it is, and pulls the machine's plug.
pub fn power_is_lost_during(mut running: Running, program: &str) {
    running
        .run(&format!(
            "renice --priority 19 --pid $BASHPID >/dev/null
            until [[ ${{stopped:-}} ]]; do
                for process in /proc/[0-9]*; do
                    read -r name 2>/dev/null <$process/comm && [[ $name == {program} ]] && kill -STOP ${{process#/proc/}} && stopped=1
                done
            done
            true"
        ))
        .ok();
    drop(running);
}

/// The power goes twice while the vault is made at the first boot: it is begun again, and the ledger says how often.
#[test]
fn power_is_lost_while_a_vault_is_made() {
    let machine = Machine::new("power");
    for program in ["mke2fs", "systemd-crypten"] {
        power_is_lost_during(machine.boot(), program);
        vault::assert_unfinished(&machine);
        println!("the power was lost while {program} made the vault");
    }
    let mut running = machine.boot();
    running.await_suite();
    vault::is_made_sealed_and_mounted(&mut running);
    let log = running.run("holdfast ledger log --limit 200 --json").ok();
    assert_eq!(log.matches("being made").count(), 3, "{log}");
    assert_eq!(log.matches("made and open").count(), 1, "{log}");
    assert_whole(&mut running, "the power was lost while the vault was made");
    running.shut_down();
}

/// The disk is pulled out while the suite writes to it, and put back while the machine is off.
#[test]
fn the_disk_is_removed_under_load() {
    let copy = APPLIANCE.copy("disk-removed");
    let mut running = copy.boot();
    running.await_suite();
    running
        .run("nohup setsid bash -c 'while :; do holdfast chat --model guide \"What is a verdict?\"; echo >>/run/chats; done' >/dev/null 2>&1 </dev/null &")
        .ok();
    running.until("load", "[[ $(wc -l </run/chats) -ge 3 ]]");
    running.monitor("drive_del disk");
    // docs/operations.md: it stays on without serving. Off it would be if somebody pulled its plug, which happens here.
    let ended = running.ends(Duration::from_mins(2));
    assert!(!ended, "the machine turned itself off:\n{}", copy.console());
    println!("the disk was removed: the machine stayed on");
    let mut running = copy.boot();
    running.await_suite();
    assert_whole(&mut running, "the disk was removed under load");
    running.shut_down();
}
