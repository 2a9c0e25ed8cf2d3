//! The lint of the finished, signed image (`os-image/lint`): one bad image for each rule, of which exactly that is said.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use holdfast_tests::tools;

/// Where images for the lint are made, with keys of their own.
struct Workshop(tempfile::TempDir);

impl Workshop {
    /// None where the image's tools are not: making them takes root, Debian's archive and minutes.
    fn open() -> Option<Self> {
        let home = std::env::var_os("HOME").unwrap_or_default();
        let root = std::env::var_os("HOLDFAST_IMAGE_TOOLS").map_or_else(
            || {
                let cache = std::env::var_os("XDG_CACHE_HOME")
                    .map_or_else(|| Path::new(&home).join(".cache"), Into::into);
                cache.join("holdfast-image/tools")
            },
            Into::into,
        );
        let made = root.join("etc/holdfast-tools").exists();
        if !made || std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            tools::skip("the image's tools are not there: `make image-test` makes them, as root");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let keys = Command::new(holdfast_tests::source().join("scripts/keys"))
            .arg(directory.path().join("keys"))
            .output()
            .unwrap();
        assert!(keys.status.success(), "{keys:?}");
        Some(Self(directory))
    }

    /// What the lint refuses of the image that this script makes (`finished_image.sh`).
    fn refusals(&self, script: &str) -> Vec<String> {
        let source = holdfast_tests::source();
        let output = Command::new(source.join("os-image/tools"))
            .arg("--read-write")
            .arg(self.0.path())
            .args([
                "bash",
                "-euc",
                &format!(". \"$1/tests/tests/units/finished_image.sh\"; {script}"),
                "lint",
            ])
            .arg(&source)
            .arg(self.0.path())
            .output()
            .unwrap();
        let problems = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {problems}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines()
            .map(|line| line.strip_prefix("image lint: ").unwrap().to_owned())
            .collect()
    }

    fn check(&self, cases: &[(&str, &[&str])]) {
        for (script, wanted) in cases {
            assert_eq!(self.refusals(script), *wanted, "{script}");
        }
    }
}

#[test]
fn a_finished_image_is_accepted_and_one_that_cannot_be_looked_at_is_not() {
    let Some(workshop) = Workshop::open() else { return };
    let without = "
        mkdir \"$work/few\" && ln -s /usr/bin/* /usr/sbin/* \"$work/few/\" 2>/dev/null || true
        rm \"$work/few/sbverify\"
        made; PATH=$work/few lint";
    let extra = "options=(--section .extra:more); make";
    let twice = format!("{extra}; edited 's/\\.extra\\x00/.uname\\x00/'; lint");
    workshop.check(&[
        ("made; lint", &[]),
        (
            without,
            &["sbverify is missing, without which the image cannot be looked at"],
        ),
        (
            &format!("{extra}; lint"),
            &["the kernel image has a section that nothing asked for: .extra"],
        ),
        (
            &twice,
            &["the kernel image has the section .uname more than once"],
        ),
        (
            "made; edited 's/\\.pcrsig/.sbat\\x00\\x00/'; lint",
            &[
                "the kernel image has the section .sbat more than once",
                "the kernel image lacks the section .pcrsig",
                "the check \"signed-policies\" could not be made",
            ],
        ),
    ]);
}

#[test]
fn another_command_line_is_refused() {
    let Some(workshop) = Workshop::open() else { return };
    workshop.check(&[
        (
            "command_line+=' init=/bin/sh'; make; lint",
            &["kernel command line: not asked for here: init=/bin/sh"],
        ),
        (
            "command_line=${command_line/ lockdown=confidentiality/}; make; lint",
            &["kernel command line: missing here: lockdown=confidentiality"],
        ),
        // Of some words the last one counts.
        (
            "command_line=${command_line/ ro / }' ro'; make; lint",
            &[
                "kernel command line: missing here: ro",
                "kernel command line: not asked for here: ro",
            ],
        ),
        (
            "command_line=${command_line/$root/$(printf %064d 8)}; make; lint",
            &["kernel command line: the hash is of another root than the one on the disk"],
        ),
        (
            "command_line=\"$command_line roothash=$root\"; make; lint",
            &["kernel command line: there is not one hash of the root"],
        ),
    ]);
}

#[test]
fn a_policy_for_another_phase_key_or_kernel_image_is_refused() {
    let Some(workshop) = Workshop::open() else { return };
    let other = |edit: &str| {
        format!(
            "sed \"{edit}\" \"$ukify\" >\"$work/ukify\"; cmp -s \"$ukify\" \"$work/ukify\" && exit 1; ukify=$work/ukify; make; lint"
        )
    };
    let state = "the policy for the state volume is not for enter-initrd of this kernel image";
    let vault = "the policy for the vault volume is not for enter-initrd:leave-initrd:sysinit:ready of this kernel image";
    workshop.check(&[
        (&other("s/^IN_INITRD = .*/IN_INITRD = 'enter-initrd:leave-initrd'/"), &[state]),
        (&other("s/^RUNNING = .*/RUNNING = 'enter-initrd'/"), &[vault]),
        (
            &other("s/{IN_INITRD}/{IN_INITRD},enter-initrd:leave-initrd/"),
            &[state, "2 signed policies for the state volume where there must be one"],
        ),
        (
            &other("s/'vault\\.pub'/'state.pub'/; s/'vault\\.key'/'..\\/..\\/keys\\/state.key'/"),
            &[
                state,
                "2 signed policies for the state volume where there must be one",
                "0 signed policies for the vault volume where there must be one",
            ],
        ),
        (
            &other("s/--pcrpkey={keys \\/ 'state.pub'}/--pcrpkey={keys \\/ 'vault.pub'}/"),
            &["the key in the kernel image is not the owner's key for the state volume"],
        ),
        (
            "\"$source/scripts/keys\" \"$work/keys\" >/dev/null
            eval \"made_$(declare -f kernel_image)\"; kernel_image() { (keys=$work/keys; made_kernel_image) }; make; signed_again \"$image.efi\" \"$image.efi\"
            esp \"$image.efi\" ::/EFI/Linux/holdfast_9+3.efi; lint",
            &[
                "a policy is signed for a key that is not the owner's",
                "a policy is signed for a key that is not the owner's",
                "0 signed policies for the state volume where there must be one",
                "0 signed policies for the vault volume where there must be one",
                "the key in the kernel image is not the owner's key for the state volume",
            ],
        ),
        (
            "banks=sha256,sha384; make; lint",
            &["there are policies for the bank sha384, to which nothing is sealed"],
        ),
        (
            "made; edited 's/\"pcrs\": \\[11\\]/\"pcrs\": [12]/'; lint",
            &["the policy for the state volume is about the registers [12]"],
        ),
        // Signed by somebody else in the owner's name.
        (
            "made; edited 's/\"sig\": \"\\(......\\)\\(......\\)/\"sig\": \"\\2\\1/'; lint",
            &["the policy for the state volume is not signed with the owner's key"],
        ),
        (
            "made; edited 's/\"pcrs\": \\[11\\]/\"pol\": \"\"   /'; lint",
            &[
                "the check \"signed-policies\" could not be made",
                "a name is there twice among the signed policies",
            ],
        ),
        // Whoever can sign for the firmware, and has policies that the owner signed for the kernel image as it was.
        (
            "made; edited 's/ID=debian/ID=fedora/'; lint",
            &[state, vault],
        ),
    ]);
}

#[test]
fn what_the_firmware_would_not_start_is_refused() {
    let Some(workshop) = Workshop::open() else { return };
    let first = "not signed with the owner's key: EFI/BOOT/BOOTX64.EFI on the boot partition";
    workshop.check(&[
        ("made; esp \"$loader\" ::/EFI/BOOT/BOOTX64.EFI; lint", &[first]),
        (
            "made; \"$source/scripts/keys\" \"$work/keys\" >/dev/null; keys=$work/keys signed_again \"$loader\" \"$work/other.efi\"
            esp \"$work/other.efi\" ::/EFI/BOOT/BOOTX64.EFI; lint",
            &[first],
        ),
        (
            "made; sbattach --remove \"$image.efi\"; esp \"$image.efi\" ::/EFI/Linux/holdfast_9+3.efi; lint",
            &[
                "not signed with the owner's key: EFI/Linux/holdfast_9+3.efi on the boot partition",
                "not signed with the owner's key: the kernel image",
            ],
        ),
        (
            "made; esp \"$work/loader.efi\" ::/EFI/Linux/holdfast_9+3.efi; lint",
            &["the kernel image is another one than that on the boot partition"],
        ),
        (
            "made; mdel -i \"$image.raw@@1048576\" ::/EFI/systemd/systemd-bootx64.efi; lint",
            &["the boot partition lacks EFI/systemd/systemd-bootx64.efi"],
        ),
        (
            "made; esp \"$work/loader.efi\" ::/EFI/Linux/more.efi; echo hello >\"$work/a.cred\"; esp \"$work/a.cred\" ::/loader/a.cred; lint",
            &[
                "the boot partition has a file that nothing asked for: EFI/Linux/more.efi",
                "the boot partition has a file that nothing asked for: loader/a.cred",
            ],
        ),
        (
            "made; enrolled \"$keys/state\"; lint",
            &["other keys than the owner's would be enrolled: loader/keys/auto/db.auth"],
        ),
        // Another's certificate before the owner's.
        (
            "cert-to-efi-sig-list() { command cert-to-efi-sig-list \"$keys/state.crt\" \"$work/more\"; command cert-to-efi-sig-list \"$@\"
                cat \"$work/more\" \"$2\" >\"$work/both\"; mv \"$work/both\" \"$2\"; }; make; lint",
            &["other keys than the owner's would be enrolled: loader/keys/auto/db.auth"],
        ),
    ]);
}

#[test]
fn an_initrd_without_what_measures_and_mounts_is_refused() {
    let Some(workshop) = Workshop::open() else { return };
    let tree = |change: &str| {
        format!("initrd_tree; cd \"$work/initrd/usr/lib/modules/$release\"; {change}; cd /; finish; lint")
    };
    let measured = "the initrd has another usr/libexec/holdfast-measured, or none";
    let all: Vec<String> = [
        "autofs4",
        "dm_crypt",
        "dm_mod",
        "dm_verity",
        "efivarfs",
        "erofs",
        "ext4",
        "nvme",
        "overlay",
        "tpm_crb",
        "tpm_tis",
        "vfat",
        "virtio_blk",
        "virtio_pci",
        "x_tables",
    ]
    .map(|name| format!("the initrd lacks the module {name}"))
    .into();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    workshop.check(&[
        // A name by itself is no module.
        (&tree("rm kernel/tpm_crb.ko.xz"), &["the initrd lacks the module tpm_crb"]),
        (&tree(": >kernel/tpm_crb.ko.xz"), &["the initrd lacks the module tpm_crb"]),
        (&tree("sed -i /nvme/d modules.dep"), &["the initrd lacks the module nvme"]),
        (&tree("rm kernel/jbd2.ko.xz"), &["the initrd lacks the module ext4"]),
        (&tree("rm modules.builtin"), &["the initrd lacks the module autofs4"]),
        (&tree("release=6.2.0"), &all),
        (&tree("echo exit >>../../../libexec/holdfast-measured"), &[measured]),
        // What a later archive has is what the kernel unpacks over it.
        (
            "initrd_tree; eval \"made_$(declare -f initrd_file)\"
            initrd_file() { made_initrd_file; mkdir -p \"$work/over/usr/libexec\"; echo exit >\"$work/over/usr/libexec/holdfast-measured\"
                (cd \"$work/over\" && find . -type f | cpio -o -H newc --quiet | zstd -q) >>\"$work/initrd.file\"; }
            finish; lint",
            &[measured],
        ),
        (
            "eval \"made_$(declare -f initrd_file)\"; initrd_file() { made_initrd_file; echo more >>\"$work/initrd.file\"; }; make; lint",
            &[
                "the check \"initrd\" could not be made",
                "there is no etc/passwd",
                "there is no etc/shadow",
            ],
        ),
        (
            &tree("echo 'root:$6$x$y:1::::::' >../../../../etc/shadow"),
            &["root has a password in etc/shadow"],
        ),
        (
            &tree("mkdir ../../userdb; echo '{}' >../../userdb/me.user"),
            &["an account beside etc/passwd: usr/lib/userdb/me.user"],
        ),
    ]);
}

#[test]
fn packages_that_nobody_named_are_refused() {
    let Some(workshop) = Workshop::open() else { return };
    let built = "made; lists=$source/os-image/packages; more=$work/more.list";
    let said = |script: &str| workshop.refusals(&format!("{built}; {script}"));
    let more =
        said("echo telnetd >\"$more\"; installed \"$image.manifest\" \"$lists/debian.list\" \"$more\"; lint");
    assert_eq!(
        more,
        [
            "the image has the package telnetd, which os-image/packages does not name: see what drew it in; if it belongs there, name it"
        ]
    );
    let fewer = said(
        "sed 's/ nftables / /; s/ nftables$//' \"$lists/debian.list\" >\"$more\"; installed \"$image.manifest\" \"$more\"; lint",
    );
    assert_eq!(
        fewer,
        [
            "the image lacks the package nftables, which os-image/packages names: see why, or take it out there"
        ]
    );
    let initrd = said(
        "echo telnetd >\"$more\"; installed \"${image%/*}/initrd.manifest\" \"$lists/debian-initrd.list\" \"$more\"; lint",
    );
    assert_eq!(
        initrd,
        [
            "the initrd has the package telnetd, which os-image/packages does not name: see what drew it in; if it belongs there, name it"
        ]
    );
    // The tests' own packages belong into the tests' image only.
    let test = "installed \"$image.manifest\" \"$lists/debian.list\" \"$lists/debian-test.list\"; lint";
    assert!(
        said(test)
            .iter()
            .any(|line| line.contains("the package strace, "))
    );
    assert_eq!(said(&format!("{test} test vm")), [""; 0]);
    assert_eq!(
        said("rm \"${image%/*}/initrd.manifest\"; lint"),
        ["the initrd has no manifest of its packages"]
    );
    assert_eq!(
        said("rm \"$image.manifest\"; lint"),
        ["the check \"packages\" could not be made"]
    );
}

/// Fedora's lists cannot be made where Fedora's packages are not: the first build proposes them, and is refused until they are committed.
#[test]
fn a_distribution_without_a_list_is_refused_with_a_proposal() {
    let Some(workshop) = Workshop::open() else { return };
    let said = workshop.refusals("made; sed -i s/debian/fedora/ \"$image.manifest\"; lint");
    assert_eq!(said.len(), 2, "{said:?}");
    for (line, list) in said.iter().zip(["fedora.list", "fedora-initrd.list"]) {
        assert!(
            line.starts_with("nobody has said which packages belong into the i"),
            "{line}"
        );
        assert!(
            line.ends_with(&format!("put it into os-image/packages/{list}, build again")),
            "{line}"
        );
        let proposed = workshop.0.path().join(format!("out/packages-{list}"));
        let proposed = std::fs::read_to_string(proposed).unwrap();
        assert!(proposed.lines().any(|line| line == "systemd"), "{proposed}");
    }
}
