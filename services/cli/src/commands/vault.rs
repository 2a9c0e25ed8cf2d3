//! `holdfast vault`, `lock`, `unlock` and `panic`: the encrypted volume, its keys, and the levels of panic.

use std::time::Duration;

use anyhow::bail;
use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::role;
use holdfast_contract::vault::{
    Backend, CREATE_PHRASE, Confirmed, Given, Panic, PanicLevel, RecoveryKey, Secret, SecurityKey, Unlock,
    VaultState, VaultStatus,
};
use holdfast_ipc::Client;
use serde_json::{Value, json};

use crate::args::{PanicArguments, VaultCommand};
use crate::exit;
use crate::output::Output;
use crate::suite::Suite;
use crate::terminal::{ask, ask_secret};

/// Sealing and stretching keys takes a while on a slow TPM; making a volume takes longer.
const PATIENCE: Duration = Duration::from_mins(11);

fn client(suite: &Suite) -> Client {
    suite.client(role::VAULT_OPERATE).with_deadline(PATIENCE)
}

/// Shows how the vault is, or changes its keys.
///
/// # Errors
///
/// When the vault does not answer or refuses.
pub async fn run(suite: &Suite, output: Output, command: Option<VaultCommand>) -> anyhow::Result<u8> {
    let client = client(suite);
    match command {
        None | Some(VaultCommand::Status) => {
            let status: VaultStatus = client.get("/v1/vault").await?;
            show(&status, output)?;
            Ok(if status.state == VaultState::Open {
                exit::OK
            } else {
                exit::NO
            })
        }
        Some(VaultCommand::RecoveryKey { no_proof }) => recovery_key(&client, output, no_proof).await,
        Some(VaultCommand::ConfirmRecoveryKey) => {
            let secret = ask_secret("Recovery key: ")?;
            let status = client.post("/v1/recovery-key/confirm", &Given { secret }).await?;
            changed(
                &status,
                "The recovery key opens the vault, and is the only one that does.",
                output,
            )
        }
        Some(VaultCommand::Passphrase { remove: true }) => {
            let status = client.delete("/v1/passphrase").await?;
            changed(&status, "The passphrase was removed.", output)
        }
        Some(VaultCommand::Passphrase { remove: false }) => {
            let secret = ask_secret("New passphrase: ")?;
            if crate::terminal::is_interactive() && secret != ask_secret("Once more: ")? {
                bail!("the two are not the same; nothing was changed");
            }
            let status = client.post("/v1/passphrase", &Given { secret }).await?;
            changed(&status, "The passphrase opens the vault.", output)
        }
        Some(VaultCommand::SecurityKey { remove: true, .. }) => {
            let status = client.delete("/v1/security-key").await?;
            changed(&status, "No security key opens the vault any more.", output)
        }
        Some(VaultCommand::SecurityKey { pin, .. }) => {
            let pin = pin.then(|| ask_secret("PIN of the security key: ")).transpose()?;
            output.line("Touch the security key when it blinks, and again when it blinks again.")?;
            let status = client.post("/v1/security-key", &SecurityKey { pin }).await?;
            changed(&status, "The security key opens the vault.", output)
        }
        Some(VaultCommand::Seal { security_key: true }) => {
            let key = touched(&client, output).await?;
            let status = client.post("/v1/security-key/seal", &key).await?;
            sealed(&status, output)
        }
        Some(VaultCommand::Seal { security_key: false }) => {
            let secret = ask_secret("Recovery key or passphrase: ")?;
            let status = client.post("/v1/tpm", &Given { secret }).await?;
            sealed(&status, output)
        }
        Some(VaultCommand::Create { phrase }) => {
            let phrase = typed(
                phrase,
                CREATE_PHRASE,
                "Whatever is in the vault's partition will be lost.",
            )?;
            let status = client.post("/v1/create", &Confirmed { phrase }).await?;
            changed(
                &status,
                "There is a new vault. Make a recovery key for it: holdfast vault recovery-key",
                output,
            )
        }
    }
}

/// What a new appliance needs once. Steps that are done already are left out.
///
/// # Errors
///
/// When there is no terminal, the vault is not open, or a step is not finished.
pub async fn setup(suite: &Suite, output: Output) -> anyhow::Result<u8> {
    if !crate::terminal::is_interactive() || output.json {
        bail!("setup asks questions: run it at a terminal, or use the page \"Vault\"");
    }
    let client = client(suite);
    let status: VaultStatus = client.get("/v1/vault").await?;
    show(&status, output)?;
    if status.backend == Backend::Directory {
        output.line("\nThere is nothing to set up in evaluation mode.")?;
        return Ok(exit::OK);
    }
    if status.state != VaultState::Open {
        bail!("the vault is not open; `holdfast unlock` first");
    }
    if !status.keys.recovery_key {
        output.line("\n1. The recovery key\n")?;
        recovery_key(&client, output, false).await?;
    }
    if !status.keys.passphrase {
        output.line("\n2. A passphrase, if you want one: it opens the vault like the recovery key, and can be remembered.\n")?;
        if ask("Set a passphrase? [y/n] ")?.trim().eq_ignore_ascii_case("y") {
            let secret = ask_secret("New passphrase: ")?;
            if secret != ask_secret("Once more: ")? {
                bail!("the two are not the same; no passphrase was set");
            }
            client
                .post::<_, VaultStatus>("/v1/passphrase", &Given { secret })
                .await?;
            output.line("The passphrase opens the vault.")?;
        }
    }
    output.line("\n3. What the machine is for\n")?;
    super::profile::choose(output)?;
    output.line("\nThis appliance is set up.")?;
    Ok(exit::OK)
}

/// Locks the vault.
///
/// # Errors
///
/// When it cannot be locked.
pub async fn lock(suite: &Suite, output: Output) -> anyhow::Result<u8> {
    let status: VaultStatus = client(suite).post("/v1/lock", &json!({})).await?;
    changed(
        &status,
        "The vault is locked: its key is out of the kernel.",
        output,
    )
}

/// Unlocks the vault: with the TPM, or with a secret that is asked for.
///
/// # Errors
///
/// When nothing opens it.
pub async fn unlock(suite: &Suite, output: Output, with_secret: bool) -> anyhow::Result<u8> {
    let secret = if with_secret {
        Some(ask_secret("Recovery key or passphrase: ")?)
    } else {
        None
    };
    let status: VaultStatus = client(suite).post("/v1/unlock", &Unlock { secret }).await?;
    changed(&status, "The vault is open.", output)
}

/// Unlocks the vault with the security key that is plugged in.
///
/// # Errors
///
/// When it is of no use.
pub async fn unlock_with_security_key(suite: &Suite, output: Output) -> anyhow::Result<u8> {
    let client = client(suite);
    let key = touched(&client, output).await?;
    let status: VaultStatus = client.post("/v1/security-key/unlock", &key).await?;
    changed(&status, "The vault is open.", output)
}

/// The security key as it is used: its PIN is asked for where an enrolled one wants it, and a person is told to touch it.
async fn touched(client: &Client, output: Output) -> anyhow::Result<SecurityKey> {
    let status: VaultStatus = client.get("/v1/vault").await?;
    let pin = status
        .keys
        .security_key_pin
        .then(|| ask_secret("PIN of the security key: "))
        .transpose()?;
    output.line("Touch the security key when it blinks.")?;
    Ok(SecurityKey { pin })
}

/// Begins a panic, counts it down, and calls it off on Ctrl-C.
///
/// # Errors
///
/// When it may not be begun, or was not carried out.
pub async fn panic(suite: &Suite, output: Output, arguments: PanicArguments) -> anyhow::Result<u8> {
    let client = client(suite);
    if arguments.call_off {
        let status: VaultStatus = client.delete("/v1/panic").await?;
        return changed(&status, "Called off.", output);
    }
    let level = arguments.level.map_or(PanicLevel::Lock, PanicLevel::from);
    let phrase = match level.phrase() {
        None => None,
        Some(wanted) => Some(typed(arguments.phrase, wanted, consequences(level))?),
    };
    let mut status: VaultStatus = client.post("/v1/panic", &Panic { level, phrase }).await?;
    let mut interrupted = Box::pin(tokio::signal::ctrl_c());
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.tick().await;
    while let Some(countdown) = status.panic {
        let counted_down = countdown.seconds <= 1;
        output.line(match countdown.seconds {
            0 => format!("Panic level {} …", level.number()),
            left => format!("Panic level {} in {left} s. Ctrl-C calls it off.", level.number()),
        })?;
        tokio::select! {
            _ = &mut interrupted => {
                let status: VaultStatus = client.delete("/v1/panic").await?;
                changed(&status, "Called off.", output)?;
                return Ok(exit::NO);
            }
            _ = seconds.tick() => {}
        }
        status = match client.get("/v1/vault").await {
            Ok(status) => status,
            // The machine turns itself off at the end.
            Err(problem) if level == PanicLevel::Erase && counted_down && is_gone(&problem) => {
                output.line("The keys were being destroyed when the machine went away. When it is on again, `holdfast vault` says what became of it.")?;
                return Ok(exit::OK);
            }
            Err(problem) => return Err(problem.into()),
        };
    }
    let done = match level {
        PanicLevel::Lock => status.state == VaultState::Locked || status.state == VaultState::Shut,
        PanicLevel::RemoveTpm => {
            !status.keys.tpm && (status.state == VaultState::Locked || status.state == VaultState::Shut)
        }
        PanicLevel::Erase => status.state == VaultState::Erased,
    };
    output.value(&status)?;
    if !done {
        bail!(
            "panic level {} was NOT carried out: {}",
            level.number(),
            status
                .problem
                .as_deref()
                .unwrap_or("it was called off, or the log of holdfast-vault has the cause")
        );
    }
    output.line(format!("Done, and read back: {}", state(&status)))?;
    Ok(exit::OK)
}

fn is_gone(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::Unavailable | ProblemKind::Deadline)
}

fn consequences(level: PanicLevel) -> &'static str {
    match level {
        PanicLevel::Lock => "The vault will be locked.",
        PanicLevel::RemoveTpm => {
            "The vault will be locked, and only the recovery key, the passphrase or a security key will open it."
        }
        PanicLevel::Erase => {
            "Every key of the vault will be destroyed. Nobody, you included, will be able to read it again."
        }
    }
}

/// The phrase as given, or typed now.
fn typed(given: Option<String>, wanted: &str, consequences: &str) -> anyhow::Result<String> {
    match given {
        Some(phrase) => Ok(phrase),
        None => ask(&format!("{consequences}\nType \"{wanted}\" to go on: ")),
    }
}

async fn recovery_key(client: &Client, output: Output, no_proof: bool) -> anyhow::Result<u8> {
    let made: RecoveryKey = client.post("/v1/recovery-key", &json!({})).await?;
    if output.json {
        output.value(&made)?;
        return Ok(exit::OK);
    }
    output.line(format!(
        "This key opens the vault without this machine's TPM. It is shown this once:\n\n    {}\n\n\
         Write it down, or print it, and keep it away from this machine.",
        made.key.expose()
    ))?;
    if no_proof || !crate::terminal::is_interactive() {
        output.line("It counts once you prove that you have it: holdfast vault confirm-recovery-key")?;
        return Ok(exit::OK);
    }
    for _ in 0..3 {
        let secret: Secret = ask_secret("Type it in to prove that you have it: ")?;
        let confirmed: Result<Value, Problem> =
            client.post("/v1/recovery-key/confirm", &Given { secret }).await;
        match confirmed {
            Ok(_) => {
                output.line("It is right. A recovery key from before does not open the vault any more.")?;
                return Ok(exit::OK);
            }
            Err(problem) if problem.kind == ProblemKind::Denied => output.line("That is not the key.")?,
            Err(problem) => return Err(problem.into()),
        }
    }
    bail!("the recovery key was not confirmed, so it does not count; make another one")
}

fn sealed(status: &VaultStatus, output: Output) -> anyhow::Result<u8> {
    if let Some(firmware) = status.firmware {
        output.line(format!("The TPM's key: {firmware}."))?;
    }
    changed(
        status,
        "The vault is sealed to this machine's TPM as it booted now.",
        output,
    )
}

fn changed(status: &VaultStatus, done: &str, output: Output) -> anyhow::Result<u8> {
    output.value(status)?;
    output.line(done)?;
    Ok(exit::OK)
}

fn state(status: &VaultStatus) -> &'static str {
    match (status.backend, status.state) {
        (Backend::Directory, _) => "a directory: NOT encrypted (evaluation mode)",
        (_, VaultState::Preparing) => "it is being prepared",
        (_, VaultState::Shut) => "SHUT: it has not been opened since the machine started",
        (_, VaultState::Open) => "open",
        (_, VaultState::Locked) => "LOCKED: its key is out of the kernel",
        (_, VaultState::Erased) => "ERASED: its keys were destroyed",
        (_, VaultState::Foreign) => "NOT this appliance's",
    }
}

fn show(status: &VaultStatus, output: Output) -> anyhow::Result<()> {
    output.value(status)?;
    output.line(format!("Vault: {}", state(status)))?;
    if let Some(problem) = &status.problem {
        output.line(format!("       {problem}"))?;
    }
    if status.backend == Backend::Directory {
        return Ok(());
    }
    let has = |has: bool| if has { "yes" } else { "no" };
    output.line(format!(
        "  opened by this machine's TPM  {}",
        has(status.keys.tpm)
    ))?;
    if let Some(firmware) = status.firmware {
        output.line(format!("  the TPM's key                 {firmware}"))?;
    }
    output.line(format!(
        "  opened by a recovery key      {}",
        has(status.keys.recovery_key)
    ))?;
    output.line(format!(
        "  opened by a passphrase        {}",
        has(status.keys.passphrase)
    ))?;
    output.line(format!(
        "  opened by a security key      {}",
        match (status.keys.security_key, status.keys.security_key_pin) {
            (false, _) => "no",
            (true, false) => "yes, when it is touched",
            (true, true) => "yes, with its PIN when it is touched",
        }
    ))?;
    output.line(match status.lock_after_minutes {
        Some(minutes) => format!("  locked after                  {minutes} minutes without use"),
        None => "  locked after                  never by itself".to_owned(),
    })?;
    if !status.keys.recovery_key && status.state == VaultState::Open {
        output.line("There is no recovery key: if the TPM stops agreeing, everything is lost. `holdfast vault recovery-key` makes one.")?;
    }
    if let Some(countdown) = status.panic {
        output.line(format!(
            "PANIC level {} in {} s; `holdfast panic --call-off` calls it off",
            countdown.level.number(),
            countdown.seconds
        ))?;
    }
    Ok(())
}
