//! Somebody with the machine in their hands puts a vault of their own beside the machine's, or in its place: with a key that they know, and
//! the note in its header that it is finished. Nothing of it may be opened, and nothing of the machine's may be lost.

use crate::APPLIANCE;
use crate::machine::Running;
use crate::vault::{on_the_disk, vault};

/// Makes such a volume in `/tmp/theirs.raw`.
const THEIRS: &str = "
    truncate -s 64M /tmp/theirs.raw
    printf 'their own passphrase' | cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file=- /tmp/theirs.raw
    echo '{\"type\":\"holdfast-vault\",\"keyslots\":[],\"state\":\"ready\"}' | cryptsetup token import --token-id 0 --json-file=- /tmp/theirs.raw
    echo '{\"type\":\"holdfast-passphrase\",\"keyslots\":[\"0\"],\"holdfast-generation\":1}' | cryptsetup token import --token-id 1 --json-file=- /tmp/theirs.raw
    printf 'their own passphrase' | cryptsetup open --test-passphrase --key-file=- /tmp/theirs.raw
";

/// With none of the ways to open a vault is theirs opened.
fn assert_theirs_stays_shut(running: &mut Running) {
    for unlock in [
        "holdfast unlock",
        "echo 'their own passphrase' | holdfast unlock --secret",
    ] {
        let answer = running.run(unlock);
        assert_ne!(answer.code, 0, "{unlock}: {}", answer.output);
    }
    let mapped = running.run("dmsetup info --columns --noheadings -o name").ok();
    assert!(!mapped.contains("holdfast-vault"), "{mapped}");
    let mounts = running.run("findmnt --raw --noheadings -o TARGET").ok();
    assert!(!mounts.contains("/var/lib/holdfast/vault"), "{mounts}");
}

#[test]
fn another_volume_in_place_of_the_machines() {
    let copy = APPLIANCE.copy("replaced");
    on_the_disk(
        &copy,
        &format!(
            "{THEIRS}
            cp /tmp/vault.raw $1/kept.raw
            dd if=/tmp/theirs.raw of=$1/disk.raw bs=512 seek=$start count=65536 conv=notrunc status=none"
        ),
    );
    let mut running = copy.boot();
    running.await_shut();
    let status = vault(&mut running);
    assert_eq!(status["state"], "foreign", "{status}");
    let problem = status["problem"].as_str().unwrap();
    assert!(
        problem.contains("another volume lies in the vault's place"),
        "{status}"
    );
    println!("refused, another volume in the vault's place: {problem}");
    assert_theirs_stays_shut(&mut running);
    running.shut_down();

    // With its own put back everything is as it was.
    on_the_disk(
        &copy,
        "dd if=$1/kept.raw of=$1/disk.raw bs=512 seek=$start count=65536 conv=notrunc status=none; rm $1/kept.raw",
    );
    let mut running = copy.boot();
    running.await_suite();
    assert_eq!(vault(&mut running)["state"], "open");
    let models = running.run("holdfast models --json").ok();
    assert!(models.contains("guide"), "{models}");
    running.shut_down();
}

/// A second disk has a partition of the vault's name. Which of the two gets the name is up to the order in which they are found, so the vault may
/// stay shut; but whatever is open is the machine's own, and theirs is not touched.
#[test]
fn a_second_disk_with_a_partition_of_the_same_name() {
    let copy = APPLIANCE.copy("second-disk");
    let their_bytes = "sha256sum <$1/second.raw";
    let before = copy.tools(&format!(
        "{THEIRS}
        kind=$(sfdisk --json $1/disk.raw | jq -r '.partitiontable.partitions[] | select(.name == \"holdfast-vault\").type')
        truncate -s 128M $1/second.raw
        echo \"start=1MiB, size=100MiB, name=holdfast-vault, type=$kind\" | sfdisk --quiet --label gpt $1/second.raw
        dd if=/tmp/theirs.raw of=$1/second.raw bs=1M seek=1 conv=notrunc status=none
        {their_bytes}"
    ));
    let mut running = copy.boot();
    running.until(
        "the vault, opened or refused",
        "holdfast vault --json | grep -e '\"state\":\"open\"' -e '\"problem\":\"'",
    );
    let second = running
        .run("lsblk --raw --noheadings --output NAME,PARTLABEL /dev/vdb")
        .ok();
    assert!(second.contains("holdfast-vault"), "the machine sees it: {second}");
    let status = vault(&mut running);
    let name = running
        .run("readlink -f /dev/disk/by-partlabel/holdfast-vault")
        .ok();
    println!(
        "[measured] a second disk with the vault's name: the name is {}, the vault {}",
        name.trim(),
        status["state"]
    );
    if status["state"] == "open" {
        let below = running
            .run("lsblk --raw --noheadings --inverse --output NAME /dev/mapper/holdfast-vault")
            .ok();
        assert!(below.contains("vda") && !below.contains("vdb"), "{below}");
        let models = running.run("holdfast models --json").ok();
        assert!(models.contains("guide"), "{models}");
    } else {
        assert_eq!(status["state"], "foreign", "{status}");
        assert_theirs_stays_shut(&mut running);
    }
    running.shut_down();
    assert_eq!(copy.tools(their_bytes), before, "their disk was written to");

    // Without it everything is as it was.
    copy.tools("rm $1/second.raw");
    let mut running = copy.boot();
    running.await_suite();
    assert_eq!(vault(&mut running)["state"], "open");
    running.shut_down();
}
