//! The programs of the system that are run: `mke2fs`, `systemd-cryptenroll`, and `dmsetup` while the machine is being turned off.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow};
use holdfast_contract::vault::Secret;

use crate::asker::Asker;
use crate::security_key;
use crate::volume::Result;

/// What a program may print before no more of it is kept, in bytes.
const MAX_OUTPUT_BYTES: usize = 4000;

/// A directory of credentials whose one, the PIN of a security key, is a link to standard input.
///
/// `systemd-cryptenroll` takes a security key's PIN from its environment, from a credential, or from a terminal or an agent. The first
/// can be read in `/proc` for as long as it runs. As a credential that is a pipe the PIN is nowhere but in the two processes, and can be
/// read once: a wrong one cannot be tried again until the key blocks itself, which is what would be done with a file.
const CREDENTIALS: &str = "/usr/share/holdfast/security-key";
const DMSETUP: &str = "/usr/sbin/dmsetup";

/// Makes the file system on `device`.
///
/// # Errors
///
/// When `mke2fs` fails, with what it said.
pub fn make_file_system(device: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("/usr/sbin/mke2fs");
    command
        .args(["-q", "-F", "-t", "ext4", "-L", "holdfast-vault", "-m", "1"])
        // Models are protected with fs-verity.
        .args([
            "-O",
            "verity",
            "-E",
            "root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1",
        ])
        .arg(device);
    run(command, b"")
}

/// Seals the volume to the TPM: to the values of `registers`, to PCR 11 as `public_key` signed it, and to the policy `pcrlock` where there is one.
///
/// # Errors
///
/// When `systemd-cryptenroll` fails, with what it said.
pub fn enrol(
    device: &Path,
    key: &[u8],
    registers: &str,
    public_key: &Path,
    signature: &Path,
    pcrlock: Option<&Path>,
    asker: &Asker,
) -> anyhow::Result<()> {
    let mut command = Command::new("/usr/bin/systemd-cryptenroll");
    command
        .arg("--tpm2-device=auto")
        .arg(format!("--tpm2-pcrs={registers}"))
        .arg(format!("--tpm2-public-key={}", public_key.display()))
        .arg("--tpm2-public-key-pcrs=11")
        .arg(format!("--tpm2-signature={}", signature.display()))
        // Said even where there is none: it would take one that it finds.
        .arg(format!(
            "--tpm2-pcrlock={}",
            pcrlock.unwrap_or_else(|| Path::new("")).display()
        ))
        .arg("--unlock-key-file=/dev/stdin")
        .arg(device)
        .env("SYSTEMD_LOG_LEVEL", "info");
    done(&start(command, key, |_| false, Some(asker))?)
}

/// Enrols the security key that is plugged in: its touch is asked for each time, its PIN where one is given. The TPM opens the volume.
///
/// # Errors
///
/// When `systemd-cryptenroll` fails, with the reason.
pub fn enrol_security_key(device: &Path, pin: Option<&Secret>, asker: &Asker) -> Result<()> {
    let mut command = Command::new("/usr/bin/systemd-cryptenroll");
    command
        .arg("--fido2-device=auto")
        .arg("--fido2-with-user-presence=yes")
        .arg("--fido2-with-user-verification=no")
        .arg(if pin.is_some() {
            "--fido2-with-client-pin=yes"
        } else {
            "--fido2-with-client-pin=no"
        })
        .arg("--unlock-tpm2-device=auto")
        .arg(device)
        .env("CREDENTIALS_DIRECTORY", CREDENTIALS)
        .env("SYSTEMD_LOG_LEVEL", "info");
    // A credential of one empty string is refused by a sentence where a PIN is needed; without any the program would wait for somebody to ask.
    let pin = pin.map_or("\0", Secret::expose).as_bytes();
    let ended = start(command, pin, security_key::ends, Some(asker))?;
    if ended.well {
        return Ok(());
    }
    Err(security_key::reason(&ended.said).unwrap_or_else(|| ended.failure().into()))
}

/// Replaces a mapped device of `sectors` sectors by one that answers every request with an error.
///
/// # Errors
///
/// When `dmsetup` fails, with what it said.
pub fn answer_with_errors(name: &str, sectors: u64) -> anyhow::Result<()> {
    let mut load = Command::new(DMSETUP);
    load.args([
        "load",
        "--noudevsync",
        "--table",
        &format!("0 {sectors} error"),
        name,
    ]);
    run(load, b"")?;
    let mut resume = Command::new(DMSETUP);
    resume.args(["resume", "--noudevsync", name]);
    run(resume, b"")
}

fn run(command: Command, input: &[u8]) -> anyhow::Result<()> {
    done(&start(command, input, |_| false, None)?)
}

fn done(ended: &Ended) -> anyhow::Result<()> {
    if ended.well { Ok(()) } else { Err(ended.failure()) }
}

/// How a program ended.
struct Ended {
    program: String,
    well: bool,
    status: String,
    said: String,
}

impl Ended {
    fn failure(&self) -> anyhow::Error {
        anyhow!("{} failed ({}): {}", self.program, self.status, self.said.trim())
    }
}

/// Runs a program to its end, or until it says a line after which it is not to go on, or the asker calls it off.
fn start(
    mut command: Command,
    input: &[u8],
    ends: impl Fn(&str) -> bool,
    asker: Option<&Asker>,
) -> anyhow::Result<Ended> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .env("PATH", "/usr/sbin:/usr/bin")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {program}"))?;
    let runs = |pid| asker.iter().for_each(|asker| asker.program(pid));
    runs(Some(child.id()));
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not want its input has its reasons, and says them.
        let _ = pipe.write_all(input);
    }
    let mut said = String::new();
    let mut ended = false;
    let lines = child.stderr.take().map(BufReader::new);
    for line in lines.into_iter().flat_map(|lines| lines.split(b'\n')) {
        let line = line.with_context(|| format!("hear {program}"))?;
        let line = String::from_utf8_lossy(&line);
        if said.len() < MAX_OUTPUT_BYTES {
            said.extend(line.chars().chain(['\n']));
        }
        if !ended && ends(&line) {
            ended = true;
            let _ = child.kill();
        }
    }
    let status = child.wait().with_context(|| format!("wait for {program}"))?;
    // Its number may be another's from now on.
    runs(None);
    Ok(Ended {
        program,
        well: status.success(),
        status: status.to_string(),
        said,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_pin_is_read_once_and_from_nowhere_else() {
        let credentials = tempfile::tempdir().unwrap();
        // As `scripts/install` makes it.
        let link = credentials.path().join("cryptenroll.fido2-pin");
        std::os::unix::fs::symlink("/dev/stdin", link).unwrap();
        let mut command = shell(
            "for _ in 1 2; do echo \"<$(cat \"$CREDENTIALS_DIRECTORY/cryptenroll.fido2-pin\")>\" >&2; done; env >&2; exit 1",
        );
        command.env("CREDENTIALS_DIRECTORY", credentials.path());
        let ended = start(command, b"274 1828", |_| false, None).unwrap();
        let mut lines = ended.said.lines();
        assert_eq!(lines.next(), Some("<274 1828>"));
        assert_eq!(lines.next(), Some("<>"), "it could be tried again");
        assert!(
            lines.all(|line| !line.contains("274")),
            "it is in the environment"
        );
    }

    #[test]
    fn a_program_that_says_its_last_line_is_ended() {
        let ended = start(
            shell("echo 'PIN incorrect, please try again.' >&2; exec sleep 1000"),
            b"",
            security_key::ends,
            None,
        )
        .unwrap();
        assert!(!ended.well);
        assert!(ended.said.contains("PIN incorrect"));
    }

    #[test]
    fn what_a_program_says_is_kept_up_to_a_bound() {
        let ended = start(
            shell("i=0; while [ $i -lt 2000 ]; do echo 0123456789 >&2; i=$((i+1)); done; exit 3"),
            b"",
            |_| false,
            None,
        )
        .unwrap();
        assert!(!ended.well && ended.said.len() < MAX_OUTPUT_BYTES + 100);
    }
}
