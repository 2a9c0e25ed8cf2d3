//! The SELinux policy as it is compiled and joined with all of the distribution's: who can do what, asked of the result.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use holdfast_tests::tools;

use crate::selinux::{Call, calls_of_units};

/// How `scripts/selinux-policy` ends where there is no policy to join with.
const MISSING: i32 = 3;

/// The joined policy.
struct Joined {
    directory: PathBuf,
}

/// The policy joined with that of this machine, once for all tests; none where the tools for it are missing, which is said.
fn joined() -> Option<&'static Joined> {
    static JOINED: OnceLock<Result<Joined, String>> = OnceLock::new();
    for tool in ["checkmodule", "semodule_package", "secilc", "sesearch", "seinfo"] {
        tools::program(tool)?;
    }
    let joined = JOINED.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("selinux");
        let output = Command::new(holdfast_tests::source().join("scripts/selinux-policy"))
            .arg("--link")
            .arg(&directory)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() == Some(MISSING) {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{said}");
            return Err(said);
        }
        assert!(output.status.success(), "{said}");
        Ok(Joined { directory })
    });
    joined.as_ref().inspect_err(|why| tools::skip(why.trim())).ok()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

impl Joined {
    /// Joins further rules, in CIL. Whether that succeeded, and what was said.
    fn with(&self, name: &str, rules: &str) -> (Result<PathBuf, String>, PathBuf) {
        let file = self.directory.join(format!("{name}.cil"));
        let policy = self.directory.join(format!("{name}.policy"));
        std::fs::write(&file, rules).unwrap();
        let base = std::fs::read_dir(self.directory.join("base"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "cil"));
        let output = Command::new("secilc")
            .args(["--multiple-decls", "-o"])
            .arg(&policy)
            .args(["-f", "/dev/null"])
            .args(base)
            .arg(self.directory.join("holdfast.cil"))
            .arg(holdfast_tests::source().join("policies/selinux/holdfast_port.cil"))
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let result = if output.status.success() {
            Ok(policy)
        } else {
            Err(said)
        };
        (result, file)
    }
}

/// A compiled policy, and the types that each of its attributes stands for.
struct Policy {
    file: PathBuf,
    attributes: BTreeMap<String, BTreeSet<String>>,
}

impl Policy {
    fn read(file: PathBuf) -> Self {
        let listing = run(Command::new("seinfo").args(["-a", "-x"]).arg(&file));
        let mut attributes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut current = String::new();
        for line in listing.lines().map(str::trim) {
            if let Some(attribute) = line.strip_prefix("attribute ") {
                attribute.trim_end_matches(';').clone_into(&mut current);
            } else if !line.is_empty() && !current.is_empty() {
                attributes
                    .entry(current.clone())
                    .or_default()
                    .insert(line.to_owned());
            }
        }
        assert!(attributes.contains_key("domain"), "{listing}");
        Self { file, attributes }
    }

    fn types(&self, name: &str) -> BTreeSet<String> {
        let alone = || [name.to_owned()].into();
        self.attributes.get(name).cloned().unwrap_or_else(alone)
    }

    /// The pairs of types for which some rule, conditional or not, allows `permission` on `class`; targets begin with `holdfast_`.
    fn allowed(&self, class: &str, permission: &str) -> BTreeSet<(String, String)> {
        let rules = run(Command::new("sesearch")
            .args(["-A", "-rt", "-t", "^holdfast_", "-c", class, "-p", permission])
            .arg(&self.file));
        let mut pairs = BTreeSet::new();
        for rule in rules.lines().filter_map(|line| line.strip_prefix("allow ")) {
            let (source, rest) = rule.split_once(' ').unwrap();
            let target = rest.split(':').next().unwrap();
            let sources = self.types(source);
            let targets = match target {
                "self" => sources.clone(),
                target => self.types(target),
            };
            for source in &sources {
                for target in targets.iter().filter(|target| target.starts_with("holdfast_")) {
                    pairs.insert((source.clone(), target.clone()));
                }
            }
        }
        assert!(!pairs.is_empty(), "nobody may {permission} a {class}");
        pairs
    }

    /// Domains that the distribution confines in nothing, the kernel among them, and systemd, which makes the sockets.
    fn mighty(&self) -> BTreeSet<String> {
        let mut mighty: BTreeSet<String> = ["files_unconfined_type", "unconfined_domain_type"]
            .iter()
            .flat_map(|attribute| self.types(attribute))
            .collect();
        mighty.extend(["kernel_t", "init_t"].map(str::to_owned));
        mighty
    }

    /// Who can call whom, of all domains of the policy that are confined: it takes writing to the socket's file and connecting to who
    /// listens on it.
    fn calls(&self) -> BTreeSet<Call> {
        let mighty = self.mighty();
        let writes = self.allowed("sock_file", "write");
        let connects = self.allowed("unix_stream_socket", "connectto");
        let mut calls = BTreeSet::new();
        for (caller, file) in writes {
            let Some(socket) = file
                .strip_prefix("holdfast_")
                .and_then(|rest| rest.strip_suffix("_sock_t"))
            else {
                continue;
            };
            let (service, role) = socket.rsplit_once('_').unwrap();
            let listens = format!("holdfast_{service}_t");
            if connects.contains(&(caller.clone(), listens)) && !mighty.contains(&caller) {
                let caller = caller.trim_start_matches("holdfast_").trim_end_matches("_t");
                calls.insert((caller.to_owned(), service.to_owned(), role.to_owned()));
            }
        }
        calls
    }
}

#[test]
fn in_the_joined_policy_nobody_can_call_whom_the_units_do_not_let_them() {
    let Some(joined) = joined() else { return };
    let policy = Policy::read(joined.directory.join("policy"));
    let calls = policy.calls();
    assert_eq!(calls, calls_of_units());

    let (more, _) = joined.with(
        "more",
        "(typeattributeset holdfast_registry_admit_caller (holdfast_inference_t))",
    );
    let more = Policy::read(more.unwrap());
    let seen: Vec<Call> = more.calls().difference(&calls).cloned().collect();
    assert_eq!(
        seen,
        [("inference".to_owned(), "registry".to_owned(), "admit".to_owned())],
        "a call that another module adds is seen"
    );
}

#[test]
fn in_the_joined_policy_state_is_written_by_whose_it_is() {
    let Some(joined) = joined() else { return };
    let policy = Policy::read(joined.directory.join("policy"));
    let writes: BTreeSet<(String, String)> = policy
        .allowed("file", "write")
        .into_iter()
        .filter(|(writer, kept)| writer.starts_with("holdfast_") && kept.ends_with("_var_lib_t"))
        .collect();
    let wanted = [
        ("console", "accounts"),
        ("console", "conversations"),
        ("credentials", "keys"),
        ("incident_recorder", "ledger"),
        ("quarantine", "intake"),
        ("registry", "models"),
        ("vault", "vault_control"),
    ];
    let wanted: BTreeSet<(String, String)> = wanted
        .iter()
        .map(|(writer, kept)| {
            (
                format!("holdfast_{writer}_t"),
                format!("holdfast_{kept}_var_lib_t"),
            )
        })
        .collect();
    assert_eq!(writes, wanted);
}

#[test]
fn rules_that_the_policy_forbids_cannot_be_joined_to_it() {
    let Some(joined) = joined() else { return };
    let rules = [
        "(allow holdfast_inference_t holdfast_registry_admit_sock_t (sock_file (write)))",
        "(allow holdfast_engine_t holdfast_incident_recorder_append_sock_t (sock_file (write)))",
        "(allow holdfast_registry_t holdfast_ledger_var_lib_t (file (write)))",
        "(allow holdfast_console_t holdfast_models_var_lib_t (dir (search)))",
        "(allow holdfast_inspect_t holdfast_intake_var_lib_t (file (open)))",
        "(allow holdfast_quarantine_t holdfast_keys_var_lib_t (file (read)))",
        "(allow holdfast_registry_t self (capability (dac_override)))",
        "(allow holdfast_engine_t self (process (execmem)))",
        "(allow holdfast_quarantine_t shell_exec_t (file (execute)))",
        "(allow holdfast_console_t self (tcp_socket (create)))",
        "(allow holdfast_welcome_t http_port_t (tcp_socket (name_connect)))",
        "(allow holdfast_inference_t holdfast_registry_exec_t (file (write)))",
        "(allow holdfast_quarantine_t fixed_disk_device_t (blk_file (read)))",
        "(allow holdfast_inspect_t unconfined_t (process (transition)))",
        "(allow holdfast_console_t holdfast_registry_t (process (ptrace)))",
    ];
    let (result, file) = joined.with("forbidden", &rules.join("\n"));
    let said = result.unwrap_err();
    for (number, rule) in rules.iter().enumerate() {
        let place = format!("{}:{}\n", file.display(), number + 1);
        assert!(said.contains(&place), "{rule} was let in:\n{said}");
    }
}
