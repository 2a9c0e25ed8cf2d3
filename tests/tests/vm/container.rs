//! The fast tier for daily work: the image's root, started as a container in seconds (`make image-test`). Units, sockets, users, packet
//! filter and sandboxes are the image's; what needs its kernel, its volumes or a TPM is tried in virtual machines only.

use crate::machine::{Running, SERVING};
use crate::{faults, inside, vault};

#[test]
fn the_root_as_a_container() {
    let mut running = Running::container("container");
    let took = running.await_suite();
    println!(
        "[measured] container, start to serving: {:.1} s",
        took.as_secs_f64()
    );
    running.until("every service answers", SERVING);
    let failed = running.run("systemctl --failed --plain --no-legend").ok();
    assert_eq!(failed.trim(), "", "units failed");
    users(&mut running);
    sockets(&mut running);
    vault::its_sockets_are_closed_to_others(&mut running);
    packet_filter(&mut running);
    inside::every_service_proves_its_confinement(&mut running);
    inside::root_of_a_service_reaches_nothing(&mut running);
    faults::daemons_are_killed(&mut running);
}

/// Each daemon runs as a user of its own, which is not root.
fn users(running: &mut Running) {
    let mut users = Vec::new();
    for service in inside::SERVICES {
        let user = running
            .run(&format!(
                "stat --format=%U /proc/$(systemctl show -P MainPID holdfast-{service})"
            ))
            .ok();
        assert_ne!(user.trim(), "root", "{service}");
        assert!(!users.contains(&user), "{service} runs as another's {user}");
        users.push(user);
    }
}

/// Nobody but its user, or a group of Holdfast's, may connect to a socket.
fn sockets(running: &mut Running) {
    let sockets = running
        .run("find /run/holdfast -type s -printf '%m %g %p\\n'")
        .ok();
    assert!(sockets.lines().count() >= 10, "{sockets}");
    for line in sockets.lines() {
        assert!(
            line.starts_with("600 ") || line.starts_with("660 holdfast-"),
            "{line}"
        );
    }
}

/// Everything is dropped but what the machine says to itself, also when root wants to send it.
fn packet_filter(running: &mut Running) {
    let rules = running.run("nft list ruleset").ok();
    assert_eq!(rules.matches("policy drop").count(), 3, "{rules}");
    running
        .run(
            "ip link add attack0 type veth peer name attack1
            ip address add 10.9.9.1/24 dev attack0
            ip link set attack0 up
            ip link set attack1 up
            exec 3<>/dev/tcp/127.0.0.1/8480",
        )
        .ok();
    let sent = running.run("echo attack >/dev/udp/10.9.9.2/9");
    assert_ne!(sent.code, 0, "a packet went out: {}", sent.output);
    println!("denied to root, a packet to elsewhere: {}", sent.output.trim());
    // What it is that stops it: without the filter the same packet goes.
    running
        .run("nft flush ruleset && echo attack >/dev/udp/10.9.9.2/9")
        .ok();
    running
        .run("systemctl restart holdfast-firewall && ip link delete attack0")
        .ok();
}
