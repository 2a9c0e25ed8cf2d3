//! What Fedora's image and the bootc container are made from, neither of which is built by tests: that their recipes fit each other and
//! what they name, and that an image without its SELinux policy is refused.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use holdfast_tests::tools;

fn read(name: &str) -> String {
    std::fs::read_to_string(holdfast_tests::source().join(name)).unwrap()
}

/// The words of a setting of mkosi's that goes on over several lines.
fn setting(file: &str, key: &str) -> BTreeSet<String> {
    let text = read(file);
    let (_, rest) = text.split_once(&format!("\n{key}=\n")).unwrap();
    rest.lines()
        .take_while(|line| line.starts_with([' ', '#']))
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

/// The container's recipe, one instruction a line.
fn instructions() -> Vec<String> {
    read("os-image/Containerfile")
        .replace("\\\n", " ")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_container_is_made_of_files_that_exist_on_the_release_of_the_image() {
    let source = holdfast_tests::source();
    let mut copied = 0;
    for line in instructions() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "ARG" => {
                let release = read("os-image/mkosi.conf");
                let release = release.lines().find_map(|line| line.strip_prefix("Release="));
                let base = words[1].strip_prefix("BASE=").unwrap();
                assert_eq!(base.rsplit_once(':').map(|(_, tag)| tag), release);
            }
            "COPY" if words[1] == "--from=programs" || words[1] == "--from=policy" => {}
            "COPY" => {
                for file in &words[1..words.len() - 1] {
                    assert!(source.join(file).exists(), "{line}");
                    copied += 1;
                }
            }
            "RUN" | "FROM" => {
                for word in words {
                    if let Some(script) = word.strip_prefix("/run/os-image/") {
                        assert!(source.join("os-image").join(script).is_file(), "{line}");
                        copied += 1;
                    }
                }
            }
            other => panic!("{other} is new: say here what must hold of it"),
        }
    }
    assert_eq!(copied, 3, "what is copied or run is seen");
}

#[test]
fn the_container_has_the_packages_arguments_and_removals_of_the_image() {
    let listed = Command::new(holdfast_tests::source().join("os-image/bootc"))
        .arg("--list")
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let of = |kind: &str| -> BTreeSet<String> {
        let prefix = format!("{kind} ");
        listed
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
            .collect()
    };
    let without = |all: BTreeSet<String>, some: &[&str]| -> BTreeSet<String> {
        for one in some {
            assert!(all.contains(*one), "{one} is no longer in the image's list");
        }
        all.into_iter()
            .filter(|one| !some.contains(&one.as_str()))
            .collect()
    };
    let brought = ["kernel-core", "kernel-modules-core", "systemd-boot-unsigned"];
    let packages = setting("os-image/mkosi.conf.d/fedora.conf", "Packages");
    assert_eq!(of("package"), without(packages, &brought));
    let verity = ["systemd.verity_root_options=panic-on-corruption"];
    let arguments = setting("os-image/mkosi.conf", "KernelCommandLine");
    assert_eq!(of("argument"), without(arguments, &verity));
    assert_eq!(of("removed"), setting("os-image/mkosi.conf", "RemoveFiles"));
    let refused = of("refused");
    for program in ["dnf", "sshd", "sudo", "gcc"] {
        assert!(refused.contains(program), "{refused:?}");
    }
}

#[test]
fn the_containers_recipe_has_no_known_mistakes() {
    let python = std::env::var_os("HOLDFAST_PYTHON").unwrap_or_default();
    let hadolint = Path::new(&python).with_file_name("hadolint");
    if !hadolint.is_file() {
        tools::skip("there is no hadolint: run this through `scripts/test`");
        return;
    }
    let recipe = holdfast_tests::source().join("os-image/Containerfile");
    let output = Command::new(&hadolint).arg(&recipe).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");

    let directory = tempfile::tempdir().unwrap();
    let worse = directory.path().join("Containerfile");
    let text = read("os-image/Containerfile").replace("FROM ${BASE}\n", "FROM fedora\n");
    std::fs::write(&worse, text).unwrap();
    let output = Command::new(&hadolint).arg(&worse).output().unwrap();
    assert!(!output.status.success(), "a base without a version is a mistake");
}

/// The committed lists of packages: each name once, in order under its heading.
#[test]
fn lists_of_packages_are_in_order() {
    let mut seen = BTreeSet::new();
    for list in ["debian.list", "debian-test.list", "debian-initrd.list"] {
        let text = read(&format!("os-image/packages/{list}"));
        for group in text.split("\n\n").skip(1) {
            let (heading, names) = group.split_once('\n').unwrap();
            assert!(heading.starts_with("# "), "{list}: {heading}");
            let names: Vec<&str> = names.split_whitespace().collect();
            assert!(names.is_sorted(), "{list}: {heading}");
            for name in names {
                // What the profile adds is not in the list that it is added to; the initrd has one of its own.
                let of = if list == "debian-initrd.list" {
                    "initrd"
                } else {
                    "image"
                };
                assert!(
                    seen.insert((of, name.to_owned())),
                    "{list}: {name} is there twice"
                );
            }
        }
    }
    // What mkosi is told to install is in them.
    let image: BTreeSet<&str> = seen
        .iter()
        .filter(|(of, _)| *of == "image")
        .map(|(_, name)| name.as_str())
        .collect();
    for package in setting("os-image/mkosi.conf.d/debian.conf", "Packages") {
        // Debian kept the older names of some libraries for others to depend on.
        let renamed = format!("{package}t64");
        assert!(
            image.contains(package.as_str()) || image.contains(renamed.as_str()),
            "{package}"
        );
    }
}

/// A root with this distribution's name, SELinux's setting and policy, and little else.
fn root(distribution: &str, setting: &str, policy: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    put(&root, "etc/os-release", format!("ID={distribution}\n"));
    put(&root, "etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
    put(&root, "etc/shadow", "root:*:1::::::\n");
    let selinux = format!("SELINUX={setting}\nSELINUXTYPE=targeted\n");
    put(&root, "etc/selinux/config", &selinux);
    put(&root, "etc/selinux/targeted/policy/policy.33", policy);
    put(&root, "etc/selinux/targeted/contexts/files/file_contexts", policy);
    std::fs::create_dir_all(root.path().join("usr/bin")).unwrap();
    root
}

fn put(root: &tempfile::TempDir, path: &str, text: impl AsRef<[u8]>) {
    let path = root.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What `mkosi.finalize` says against a root.
fn against(root: &tempfile::TempDir) -> Vec<String> {
    let output = Command::new(holdfast_tests::source().join("os-image/mkosi.finalize"))
        .env("BUILDROOT", root.path())
        .env_remove("SRCDIR")
        .env_remove("PROFILES")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let refusals: Vec<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("image lint: ").map(str::to_owned))
        .collect();
    assert_eq!(output.status.success(), refusals.is_empty(), "{said}");
    refusals
}

fn refusals(distribution: &str, setting: &str, policy: &str) -> Vec<String> {
    against(&root(distribution, setting, policy))
}

#[test]
fn what_must_not_be_in_an_image_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    for (path, text, wanted) in [
        (
            "usr/bin/gcc",
            "",
            "a program that no appliance needs: usr/bin/gcc",
        ),
        (
            "usr/bin/python3.13",
            "",
            "a program that no appliance needs: usr/bin/python3.13",
        ),
        (
            "usr/sbin/sshd",
            "",
            "a program that no appliance needs: usr/sbin/sshd",
        ),
        (
            "etc/systemd/system/getty.target.wants/getty@tty1.service",
            "",
            "a way to log in: getty@tty1.service",
        ),
        (
            "usr/lib/systemd/system/holdfast-test.service",
            "",
            "a file of the profile test: usr/lib/systemd/system/holdfast-test.service",
        ),
        (
            "usr/lib/holdfast/nftables.d/10-forward.nft",
            "",
            "a file of the profile vm: usr/lib/holdfast/nftables.d/10-forward.nft",
        ),
    ] {
        let root = root("debian", "disabled", "none");
        put(&root, path, text);
        assert_eq!(against(&root), [wanted]);
    }
    let root = root("debian", "disabled", "none");
    put(&root, "etc/anything", "");
    let open = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(root.path().join("etc/anything"), open).unwrap();
    assert_eq!(against(&root), ["everybody may write: ./etc/anything"]);
}

/// Ways for somebody to be let in: a file, what is in it, and what is said of it.
const WAYS_IN: [(&str, &str, &str); 18] = [
    (
        "etc/shadow",
        "root:*:1::::::\nme:$y$j9T$x:1::::::\n",
        "me has a password in etc/shadow",
    ),
    (
        "etc/shadow",
        "root::1::::::\n",
        "root has an empty password in etc/shadow",
    ),
    // The last line counts, though it has no end.
    (
        "etc/shadow",
        "root:*:1::::::\nme:$y$j9T$x:1::::::",
        "me has a password in etc/shadow",
    ),
    // Locked by a sign before the hash: whoever takes it away has the password.
    (
        "etc/shadow",
        "root:!$y$j9T$x:1::::::\n",
        "root has a password in etc/shadow",
    ),
    (
        "etc/shadow-",
        "root:$y$j9T$x:1::::::\n",
        "root has a password in etc/shadow-",
    ),
    (
        "etc/passwd",
        "root:$y$j9T$x:0:0::/:/bin/sh\n",
        "root has a password in etc/passwd",
    ),
    (
        "etc/passwd",
        "root::0:0::/:/bin/sh\n",
        "root has an empty password in etc/passwd",
    ),
    (
        "etc/passwd-",
        "root::0:0::/:/bin/sh\n",
        "root has an empty password in etc/passwd-",
    ),
    (
        "etc/group",
        "wheel:$y$j9T$x:10:\n",
        "wheel has a password in etc/group",
    ),
    (
        "etc/gshadow",
        "wheel:$y$j9T$x::\n",
        "wheel has a password in etc/gshadow",
    ),
    (
        "etc/security/opasswd",
        "root:0:1:$1$x\n",
        "there are old passwords in etc/security/opasswd",
    ),
    (
        "etc/userdb/me.user",
        "{}",
        "an account beside etc/passwd: etc/userdb/me.user",
    ),
    (
        "usr/lib/userdb/me.user-privileged",
        "{}",
        "an account beside etc/passwd: usr/lib/userdb/me.user-privileged",
    ),
    (
        "usr/local/lib/userdb/me.user",
        "{}",
        "an account beside etc/passwd: usr/local/lib/userdb/me.user",
    ),
    (
        "run/userdb/1000.user",
        "{}",
        "an account beside etc/passwd: run/userdb/1000.user",
    ),
    (
        "run/host/userdb/me.user",
        "{}",
        "an account beside etc/passwd: run/host/userdb/me.user",
    ),
    (
        "var/lib/systemd/home/me.identity",
        "{}",
        "an account beside etc/passwd: var/lib/systemd/home/me.identity",
    ),
    (
        "usr/lib/credstore/passwd.hashed-password.root",
        "x",
        "a credential that sets passwords: usr/lib/credstore/passwd.hashed-password.root",
    ),
];

#[test]
fn whoever_could_be_let_in_is_refused() {
    for (path, text, wanted) in WAYS_IN {
        let root = root("debian", "disabled", "none");
        put(&root, path, text);
        assert_eq!(against(&root), [wanted]);
    }
    let root = root("debian", "disabled", "none");
    let shadow = root.path().join("etc/shadow");
    std::fs::remove_file(&shadow).unwrap();
    assert_eq!(against(&root), ["there is no etc/shadow"]);
    std::os::unix::fs::symlink("../run/shadow", &shadow).unwrap();
    assert_eq!(
        against(&root),
        ["there is no etc/shadow", "etc/shadow is no file"]
    );
}

#[test]
fn a_program_that_lacks_a_library_is_refused() {
    let root = root("debian", "disabled", "none");
    let program = std::fs::read("/bin/true").unwrap();
    put(&root, "usr/libexec/holdfast/holdfast-registry", program);
    let said = against(&root);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("usr/libexec/holdfast/holdfast-registry does not start:"),
        "{said:?}"
    );
}

#[test]
fn an_image_of_fedoras_that_does_not_enforce_the_policy_is_refused() {
    let ours = "\0holdfast_registry_admit_sock_t\0";
    assert_eq!(refusals("fedora", "enforcing", ours), [""; 0]);
    assert_eq!(
        refusals("fedora", "permissive", ours),
        ["SELinux does not enforce"]
    );
    assert_eq!(
        refusals("fedora", "enforcing", "another"),
        [
            "the SELinux policy lacks Holdfast's module",
            "files of Holdfast have no SELinux types"
        ]
    );
    assert_eq!(refusals("debian", "disabled", "none"), [""; 0]);
}
