//! Whether the vault's key in the TPM depends on the firmware too.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The policy. systemd's plug-in for libcryptsetup looks for it here.
pub const FIRMWARE_POLICY: &str = "/var/lib/systemd/pcrlock.json";

/// Whether the TPM gives the vault's key only where the firmware and its settings are those that the vault was sealed under, and if not,
/// why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Firmware {
    /// It does.
    Pinned,
    /// The vault was sealed without asking, by an earlier version.
    NotAsked,
    /// The firmware hands over no log of what it measured.
    NoEventLog,
    /// What the log says of a PCR is not what is in it, or is nothing that could be said in advance of the next boot.
    NotCovered {
        /// The first such PCR.
        register: u8,
    },
    /// The program that makes the policy is not there, or failed.
    ProgramFailed,
    /// It did not end in time.
    ProgramHung,
    /// A policy was made, and the TPM did not give a key that was bound to it.
    NotAccepted,
    /// The key is bound to a policy that is not there any more: a seal was ended by a lock, or by a loss of power, before it had another one.
    PolicyGone,
}

impl Firmware {
    /// The PCRs that are pinned: the firmware's code, and code and settings of the cards in the machine. PCR 1 is not among them: the list of what can be
    /// started from is in it, which a stick that is plugged in changes. The boot loader and what comes after it are the owner's
    /// signatures' matter (PCR 7 and 11): they change with each update.
    pub const REGISTERS: [u8; 3] = [0, 2, 3];

    /// The values that a prediction of `systemd-pcrlock` (`predict --json`) or a policy (`pcrlock.json`) allows a PCR, in hexadecimal digits.
    pub fn allowed(json: &Value, register: u8) -> Vec<&str> {
        let registers = json.get("pcrValues").or_else(|| json.get("sha256"));
        let registers = registers.and_then(Value::as_array).map(Vec::as_slice);
        registers
            .unwrap_or_default()
            .iter()
            .filter(|entry| entry["pcr"] == register)
            .filter_map(|entry| entry["values"].as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// Whether it is pinned.
    pub const fn is_pinned(self) -> bool {
        matches!(self, Self::Pinned)
    }
}

/// A sentence without its capital and its full stop.
impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::Pinned => return f.write_str("firmware pinned"),
            Self::NotAsked => "the vault was sealed before this was possible; seal it anew",
            Self::NoEventLog => "the firmware hands over no log of what it measured",
            Self::NotCovered { register } => {
                return write!(
                    f,
                    "firmware not pinned: PCR {register} is not what the firmware's log says, or the log does not say what it will be at the next boot"
                );
            }
            Self::ProgramFailed => {
                "systemd-pcrlock failed; the journal of holdfast-vault-firmware has the cause"
            }
            Self::ProgramHung => "systemd-pcrlock did not end in time",
            Self::NotAccepted => "the TPM did not give the key that was bound to it",
            Self::PolicyGone => {
                "the policy that the TPM's key is bound to is gone, so that the TPM gives it no more; seal the vault anew"
            }
        };
        write!(f, "firmware not pinned: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_them_says_that_it_is_pinned() {
        let all = [
            Firmware::NotAsked,
            Firmware::NoEventLog,
            Firmware::NotCovered { register: 2 },
            Firmware::ProgramFailed,
            Firmware::ProgramHung,
            Firmware::NotAccepted,
            Firmware::PolicyGone,
        ];
        for one in all {
            assert!(!one.is_pinned());
            assert!(one.to_string().starts_with("firmware not pinned: "), "{one}");
        }
        assert_eq!(Firmware::Pinned.to_string(), "firmware pinned");
        assert!(Firmware::NotCovered { register: 2 }.to_string().contains("PCR 2"));
    }
}
