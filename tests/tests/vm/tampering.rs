//! Somebody with the machine in their hands changes something while it is off. Nothing may open that is not as it was, and the screen says
//! what differs.

use crate::APPLIANCE;
use crate::machine::Machine;

/// The words with which the initrd ends a boot.
pub const REFUSED: &str = "nothing was opened";

/// What the firmware says when it starts nothing; it waits for somebody then.
const NOT_STARTED: &str = "No bootable option";

/// What all scripts for a machine that is off begin with: the boot partition, and the kernel image on it.
pub const BOOT_PARTITION: &str = "
    partition=$1/disk.raw@@$(sfdisk --json $1/disk.raw | jq '.partitiontable.partitions[0].start * 512')
    image=$(mdir -b -i $partition ::/EFI/Linux | tr -d '\\r' | grep '\\.efi$')
";

/// A copy of the appliance on whose boot partition something was changed.
pub fn changed(name: &str, script: &str) -> Machine {
    let copy = APPLIANCE.copy(name);
    copy.tools(&format!("{BOOT_PARTITION}\n{script}"));
    copy
}

/// Puts the owner's key for Secure Boot, with its certificate, where scripts sign with it.
fn owners_key() -> String {
    let keys = std::env::var("HOLDFAST_KEYS").expect("run this through `make vm-test`");
    let [key, certificate] =
        ["key", "crt"].map(|end| std::fs::read_to_string(format!("{keys}/secure-boot.{end}")).unwrap());
    format!("cat >/tmp/key <<<'{key}'\ncat >/tmp/certificate <<<'{certificate}'\n")
}

/// The suite never came up.
fn assert_shut(what: &str, console: &str) {
    for sign in ["Reached target holdfast.target", "Holdfast runs"] {
        assert!(!console.contains(sign), "{what}: {console}");
    }
    for line in console.lines() {
        if line.starts_with("holdfast:") || line.contains("Access Denied") || line.contains("Kernel panic") {
            println!("refused, {what}: {}", line.trim());
        }
    }
}

/// The initrd ended the boot, and said which of the registers differ: those and no others.
fn assert_refused(what: &str, console: &str, differing: &[u32]) {
    assert!(console.contains(REFUSED), "{what}: {console}");
    assert_shut(what, console);
    for register in [7, 11, 12, 13, 15] {
        assert_eq!(
            console.contains(&format!("PCR {register} differs")),
            differing.contains(&register),
            "{what}, PCR {register}: {console}"
        );
    }
}

/// The boot stub takes credentials from the boot partition, where nothing is signed; it measures them into PCR 12.
#[test]
fn a_credential_on_the_boot_partition() {
    let copy = changed(
        "credential",
        "echo hello >/tmp/greeting.cred
        mmd -D s -i $partition ::/loader/credentials || true
        mcopy -o -i $partition /tmp/greeting.cred ::/loader/credentials/greeting.cred",
    );
    let console = copy.boot_that_ends();
    assert_refused("a credential on the boot partition", &console, &[12]);
    assert!(console.contains("new event"), "{console}");
}

/// A command line that the owner's own key signed, beside the kernel image: it is used, so it is measured, so nothing opens.
#[test]
fn a_command_line_in_a_signed_addon() {
    let copy = changed(
        "addon",
        &format!(
            "{}
        ukify build --cmdline 'systemd.unit=rescue.target' --secureboot-private-key /tmp/key --secureboot-certificate /tmp/certificate --output /tmp/more.addon.efi >&2
        mmd -D s -i $partition ::/loader/addons || true
        mcopy -o -i $partition /tmp/more.addon.efi ::/loader/addons/more.addon.efi",
            owners_key()
        ),
    );
    let console = copy.boot_that_ends();
    assert_refused("a signed command line beside the kernel image", &console, &[12]);
}

/// The boot loader's own entry, with options, its editor allowed: the boot stub measures what it is given, so nothing opens.
#[test]
fn a_command_line_from_the_boot_loader() {
    let copy = changed(
        "loader-command-line",
        "printf 'title Another\\nefi %s\\noptions systemd.unit=rescue.target from_entry\\n' \"${image#::}\" >/tmp/another.conf
        printf 'default another.conf\\neditor yes\\ntimeout 0\\n' >/tmp/loader.conf
        mcopy -o -i $partition /tmp/another.conf ::/loader/entries/another.conf
        mcopy -o -i $partition /tmp/loader.conf ::/loader/loader.conf",
    );
    let console = copy.boot_that_ends();
    assert_refused("a command line from the boot loader", &console, &[12]);
    assert!(
        console.contains("from_entry"),
        "it says which command line: {console}"
    );
}

/// An addon that nobody signed is not even read: the machine boots as ever, with the command line that is in the signed image.
#[test]
fn a_command_line_that_nobody_signed() {
    let copy = changed(
        "unsigned-command-line",
        "ukify build --cmdline 'systemd.unit=rescue.target from_addon' --output /tmp/more.addon.efi >&2
        mmd -D s -i $partition ::/loader/addons || true
        mcopy -o -i $partition /tmp/more.addon.efi ::/loader/addons/more.addon.efi",
    );
    let mut running = copy.boot();
    running.await_suite();
    let line = running.run("cat /proc/cmdline").ok();
    assert!(!line.contains("from_addon"), "{line}");
    let console = copy.console();
    assert!(console.contains("more.addon.efi"), "{console}");
    println!("ignored, a command line that nobody signed");
    running.shut_down();
}

/// Changes the command line inside the kernel image; every byte stays in its place.
const OTHER_COMMAND_LINE: &str = "
    mcopy -i $partition \"$image\" /tmp/image.efi
    LC_ALL=C sed -i 's/lockdown=confidentiality/lockdown=integrity      /' /tmp/image.efi
";

/// Signs the kernel image that a script has changed or taken out, in place of the signature that it has.
const SIGN_AGAIN: &str = "
    sbattach --remove /tmp/image.efi 2>/dev/null
    sbsign --key /tmp/key --cert /tmp/certificate --output /tmp/image.efi /tmp/image.efi 2>/dev/null
";

/// The kernel image with another command line, signed with the owner's key for Secure Boot.
pub fn other_command_line_signed() -> String {
    format!("{OTHER_COMMAND_LINE}{}{SIGN_AGAIN}", owners_key())
}

/// The command line inside the kernel image is changed, and its signature left as it was: the firmware does not start it.
#[test]
fn another_command_line_in_the_kernel_image() {
    let copy = changed(
        "command-line",
        &format!("{OTHER_COMMAND_LINE} mcopy -o -i $partition /tmp/image.efi \"$image\""),
    );
    let console = copy.boot_that_says(NOT_STARTED);
    assert_shut("another command line in the kernel image", &console);
    assert!(!console.contains("EFI stub"), "the kernel ran: {console}");
}

/// The same, signed by somebody who has the owner's key for Secure Boot, but not the one for the volumes.
#[test]
fn another_command_line_signed_with_a_stolen_key() {
    let copy = changed(
        "stolen-key",
        &format!(
            "{} mcopy -o -i $partition /tmp/image.efi \"$image\"",
            other_command_line_signed()
        ),
    );
    let console = copy.boot_that_ends();
    assert_refused("another command line, signed with a stolen key", &console, &[11]);
}

/// The same kernel image, signed with a key that the firmware does not know.
#[test]
fn a_kernel_image_signed_by_somebody_else() {
    let copy = changed(
        "resigned",
        &format!(
            "mcopy -i $partition \"$image\" /tmp/image.efi
            openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj '/CN=Somebody else/' -keyout /tmp/key -out /tmp/certificate 2>/dev/null
            {SIGN_AGAIN} mcopy -o -i $partition /tmp/image.efi \"$image\""
        ),
    );
    let console = copy.boot_that_says(NOT_STARTED);
    assert_shut("a kernel image signed by somebody else", &console);
    assert!(!console.contains("EFI stub"), "the kernel ran: {console}");
}

/// One byte of the root partition, in the middle of what is read at every boot.
#[test]
fn a_flipped_byte_of_the_root() {
    let copy = APPLIANCE.copy("flipped");
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
        "{console}"
    );
}

/// The disk in another machine: the same firmware and keys, another TPM.
#[test]
fn another_tpm() {
    let copy = APPLIANCE.copy("another-tpm");
    std::fs::remove_dir_all(copy.tpm()).unwrap();
    std::fs::create_dir(copy.tpm()).unwrap();
    copy.tools("swtpm_setup --tpm2 --tpmstate $1/tpm --create-ek-cert --create-platform-cert --pcr-banks sha256 --lock-nvram --overwrite >/dev/null");
    let console = copy.boot_that_ends();
    assert_refused("the disk in another machine", &console, &[]);
    assert!(console.contains("another one"), "{console}");
}

/// What the boot partition says of the last good boot is nobody's word: whatever is written there, nothing opens, and nothing of it
/// reaches the screen but a wrong comparison.
#[test]
fn a_forged_memory_of_the_last_boot() {
    let copy = changed(
        "forged",
        "{ printf 'register 12 %064d\\nregister 7 \\033[2J$(reboot)\\n' 1; head -c 3000000 /dev/urandom; } >/tmp/forged
        mcopy -o -i $partition /tmp/forged ::/loader/holdfast-registers
        echo hello >/tmp/greeting.cred
        mmd -D s -i $partition ::/loader/credentials || true
        mcopy -o -i $partition /tmp/greeting.cred ::/loader/credentials/greeting.cred",
    );
    let console = copy.boot_that_ends();
    assert!(console.contains(REFUSED), "{console}");
    assert!(console.contains("PCR 12 differs"), "{console}");
    assert!(!console.contains("$(reboot)"), "{console}");
    assert_shut("a forged memory of the last boot", &console);
}

/// The TPM is emptied, as its owner's hierarchy is when the machine changes hands: the volume stays shut. Then its earlier state is put back.
///
/// Where the TPM is a program, whoever can replace its state brings back every key that it ever held. Its counter tells: the vault stays shut.
/// The state volume, which is opened before anything can remember the counter, opens.
#[test]
fn an_old_tpm_state() {
    let copy = APPLIANCE.copy("old-tpm");
    copy.tools(
        "cp -a $1/tpm $1/tpm.old
        swtpm socket --tpm2 --tpmstate dir=$1/tpm --server type=unixio,path=/tmp/tpm --ctrl type=unixio,path=/tmp/tpm.ctrl --flags not-need-init,startup-clear --daemon
        export TPM2TOOLS_TCTI=swtpm:path=/tmp/tpm
        tpm2_clear -c platform
        tpm2_shutdown",
    );
    let console = copy.boot_that_ends();
    assert_refused("an emptied TPM", &console, &[]);

    let put_back = "rm -r $1/tpm && cp -a $1/tpm.old $1/tpm";
    copy.tools(put_back);
    let mut running = copy.boot();
    running.await_suite();
    running.shut_down();

    copy.tools(put_back);
    let mut running = copy.boot();
    running.await_shut();
    let said = running.run("holdfast vault").output;
    assert!(said.contains("it was put back to an earlier state"), "{said}");
    let again = running.run("holdfast unlock");
    assert_ne!(again.code, 0, "{}", again.output);
    println!(
        "refused, the TPM's own earlier state: {}",
        said.lines().nth(1).unwrap_or_default().trim()
    );
    running.shut_down();
}
