//! Somebody with the machine in their hands changes one thing while it is off. Nothing may open.

use crate::machine::Machine;

/// The words with which the initrd ends a boot.
const REFUSED: &str = "nothing was opened";

/// The suite never came up.
fn assert_shut(what: &str, console: &str) {
    for sign in ["Reached target holdfast.target", "Holdfast runs"] {
        assert!(!console.contains(sign), "{what}: {console}");
    }
    let said = console
        .lines()
        .rev()
        .find(|line| line.contains("holdfast:") || line.contains("Access Denied") || line.contains("panic"))
        .unwrap_or_default();
    println!("refused, {what}: {}", said.trim());
}

/// The boot stub takes credentials from the boot partition, where nothing is signed; it measures them into PCR 12.
pub fn a_credential_on_the_boot_partition(machine: &Machine) {
    let copy = machine.copy("credential");
    copy.tools(
        "offset=$(sfdisk --json $1/disk.raw | jq '.partitiontable.partitions[0].start * 512')
        echo hello >/tmp/greeting.cred
        mmd -D s -i $1/disk.raw@@$offset ::/loader/credentials || true
        mcopy -o -i $1/disk.raw@@$offset /tmp/greeting.cred ::/loader/credentials/greeting.cred",
    );
    let console = copy.boot_that_ends();
    assert!(console.contains(REFUSED), "{}", console);
    assert_shut("a credential on the boot partition", &console);
}

/// The same kernel image, signed with a key that the firmware does not know.
pub fn a_kernel_image_signed_by_somebody_else(machine: &Machine) {
    let copy = machine.copy("resigned");
    copy.tools(
        "offset=$(sfdisk --json $1/disk.raw | jq '.partitiontable.partitions[0].start * 512')
        image=$(mdir -b -i $1/disk.raw@@$offset ::/EFI/Linux | tr -d '\\r' | grep '\\.efi$')
        mcopy -i $1/disk.raw@@$offset \"$image\" /tmp/image.efi
        openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj '/CN=Somebody else/' -keyout /tmp/key -out /tmp/certificate 2>/dev/null
        sbattach --remove /tmp/image.efi
        sbsign --key /tmp/key --cert /tmp/certificate --output /tmp/image.efi /tmp/image.efi 2>/dev/null
        mcopy -o -i $1/disk.raw@@$offset /tmp/image.efi \"$image\"",
    );
    let console = copy.boot_that_ends();
    assert_shut("a kernel image signed by somebody else", &console);
    assert!(!console.contains("EFI stub"), "the kernel ran: {}", console);
}

/// One byte of the root partition, in the middle of what is read at every boot.
pub fn a_flipped_byte_of_the_root(machine: &Machine) {
    let copy = machine.copy("flipped");
    copy.tools(
        "start=$(sfdisk --json $1/disk.raw | jq '[.partitiontable.partitions[] | select(.name | test(\"^holdfast_[0-9.]*$\"))][0].start * 512')
        at=$((start + 1024 + 11))
        byte=$(od -An -tu1 -j$at -N1 $1/disk.raw)
        printf \"\\\\x$(printf %x $((byte ^ 1)))\" | dd of=$1/disk.raw bs=1 seek=$at conv=notrunc status=none",
    );
    let console = copy.boot_that_ends();
    assert_shut("a flipped byte of the root", &console);
    assert!(
        console.contains("verity") || console.contains("panic"),
        "{}",
        console
    );
}

/// The disk in another machine: the same firmware and keys, another TPM.
pub fn another_tpm(machine: &Machine) {
    let copy = machine.copy("another-tpm");
    std::fs::remove_dir_all(copy.tpm()).unwrap();
    std::fs::create_dir(copy.tpm()).unwrap();
    copy.tools("swtpm_setup --tpm2 --tpmstate $1/tpm --create-ek-cert --create-platform-cert --pcr-banks sha256 --lock-nvram --overwrite >/dev/null");
    let console = copy.boot_that_ends();
    assert!(console.contains(REFUSED), "{}", console);
    assert_shut("the disk in another machine", &console);
}
