//! The programs of the system that are run: `mke2fs`, `systemd-cryptenroll`, and `dmsetup` while the machine is being turned off.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// What a program may print before it is cut, in bytes.
const MAX_OUTPUT_BYTES: usize = 2000;
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
    run(command, key)
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

fn run(mut command: Command, input: &[u8]) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .env("PATH", "/usr/sbin:/usr/bin")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {program}"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not want its input has its reasons, and says them.
        let _ = pipe.write_all(input);
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("wait for {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(MAX_OUTPUT_BYTES).collect();
        bail!("{program} failed ({}): {said}", output.status);
    }
    Ok(())
}
