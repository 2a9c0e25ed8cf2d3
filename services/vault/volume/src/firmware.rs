//! Whether the key in the TPM is bound to the firmware too: asks the unit that makes the policy, and says what differs where the TPM refuses.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_contract::vault::{FIRMWARE_POLICY, Firmware};
use serde_json::Value;

/// How long the other unit is waited for, which gives `systemd-pcrlock` less.
const PATIENCE: Duration = Duration::from_secs(50);
/// How often the other unit is asked while it is still about an earlier request, which was called off, and how long lies between.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes of an answer at most.
const MAX_ANSWER_BYTES: u64 = 1 << 10;

/// Where the policy comes from, and what it is about.
#[derive(Debug, Clone)]
pub struct Source {
    /// The socket of the unit that makes it.
    pub socket: PathBuf,
    /// The policy.
    pub policy: PathBuf,
    /// Where the kernel shows the PCRs.
    pub registers: PathBuf,
}

impl Source {
    /// Has a new policy made. Whatever goes wrong, the vault is sealed without it.
    pub fn ask(&self) -> Firmware {
        self.ask_until_free(PAUSE).unwrap_or_else(|error| {
            tracing::warn!(%error, "no answer about the firmware");
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Firmware::ProgramHung,
                _ => Firmware::ProgramFailed,
            }
        })
    }

    /// One connection is served at a time; another one is closed at once.
    fn ask_until_free(&self, pause: Duration) -> io::Result<Firmware> {
        for _ in 1..ATTEMPTS {
            match self.try_to_ask(PATIENCE) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    std::thread::sleep(pause);
                }
                answer => return answer,
            }
        }
        self.try_to_ask(PATIENCE)
    }

    fn try_to_ask(&self, patience: Duration) -> io::Result<Firmware> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(patience))?;
        let mut text = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut text)?;
        if text.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it hung up without an answer",
            ));
        }
        let firmware: Firmware = serde_json::from_slice(&text).map_err(io::Error::other)?;
        // Nothing may be bound to a policy that is not there.
        if firmware.is_pinned() && !self.policy.exists() {
            return Err(io::Error::other("there is no policy"));
        }
        Ok(firmware)
    }

    /// What a key that is bound to the policy comes to while that is there, or is not.
    pub fn with_policy(&self, firmware: Firmware) -> Firmware {
        if firmware.is_pinned() && !self.policy.exists() {
            return Firmware::PolicyGone;
        }
        firmware
    }

    /// What is not as it was when the vault was sealed, in words; none where all that was pinned is the same.
    pub fn difference(&self) -> Option<String> {
        let policy: Value = match std::fs::read(&self.policy).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(policy)) => policy,
            _ => {
                return Some(format!(
                    "the policy that it was sealed under ({}) is gone",
                    self.policy.display()
                ));
            }
        };
        let changed: Vec<_> = Firmware::REGISTERS
            .into_iter()
            .filter(|register| {
                let now = std::fs::read_to_string(self.registers.join(register.to_string()));
                let now = now.unwrap_or_default();
                !Firmware::allowed(&policy, *register)
                    .iter()
                    .any(|value| value.eq_ignore_ascii_case(now.trim()))
            })
            .map(|register| format!("{} (PCR {register})", meaning(register)))
            .collect();
        if changed.is_empty() {
            return None;
        }
        Some(format!(
            "not as when the vault was sealed: {}",
            changed.join(", ")
        ))
    }
}

const fn meaning(register: u8) -> &'static str {
    match register {
        0 => "the firmware",
        2 => "the firmware of cards",
        3 => "the settings of cards",
        _ => "the boot",
    }
}

/// Where everything is on the appliance.
pub fn on_the_appliance() -> Source {
    Source {
        socket: PathBuf::from("/run/holdfast/vault/firmware.sock"),
        policy: Path::new(FIRMWARE_POLICY).to_owned(),
        registers: Path::new(crate::measured::REGISTERS).to_owned(),
    }
}

#[cfg(test)]
#[path = "firmware_tests.rs"]
#[allow(clippy::unwrap_used, reason = "these are tests")]
mod tests;
