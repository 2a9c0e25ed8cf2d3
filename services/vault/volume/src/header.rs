//! The LUKS2 header: which keyslot is what, by the tokens in it.
//!
//! The tokens of the TPM, the recovery key and the security keys are systemd's own (`systemd-tpm2`, `systemd-recovery`, `systemd-fido2`), so
//! that its tools understand the volume.
//! Three are Holdfast's: one says which keyslot is the passphrase's, one how far the making or destroying of the volume has come, one why the
//! firmware is not pinned.

use std::path::Path;

use holdfast_contract::Digest;
use holdfast_contract::vault::{Firmware, Keys, VolumeState};
use libcryptsetup_rs::consts::flags::{CryptActivate, CryptPbkdf, CryptVolumeKey};
use libcryptsetup_rs::consts::vals::{CryptKdf, EncryptionFormat, KeyslotInfo};
use libcryptsetup_rs::{
    CryptParamsLuks2, CryptParamsLuks2Ref, CryptPbkdfType, Either, LibcryptErr, TokenInput,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::raw::{Device, Key};

/// Type of the token of a key sealed to a TPM.
pub const TPM: &str = "systemd-tpm2";
/// The same for libcryptsetup.
pub const TPM_C: &std::ffi::CStr = c"systemd-tpm2";
const SECURITY_KEY: &str = "systemd-fido2";
const RECOVERY: &str = "systemd-recovery";
const PASSPHRASE: &str = "holdfast-passphrase";
const STATE: &str = "holdfast-vault";
const FIRMWARE: &str = "holdfast-firmware";
/// Of the TPM's token, systemd's: whether the key is bound to a policy of `systemd-pcrlock`.
const PCRLOCK: &str = "tpm2_pcrlock";
/// Of the recovery key's token: whether somebody proved that they have the key.
const CONFIRMED: &str = "holdfast-confirmed";
/// Of a passphrase's token: a number that goes up, so that an interrupted change leaves no doubt which passphrase counts.
const GENERATION: &str = "holdfast-generation";

/// LUKS2 has room for so many of each.
const SLOTS: u32 = 32;
/// Bytes of the volume key: XTS takes two AES-256 keys.
const VOLUME_KEY_BYTES: usize = 64;

/// A token as it stands in the header.
struct Token {
    number: u32,
    json: Value,
}

impl Token {
    fn is(&self, kind: &str) -> bool {
        self.json["type"] == kind
    }

    fn slots(&self) -> Vec<u32> {
        let slots = self.json["keyslots"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        slots
            .iter()
            .filter_map(|slot| slot.as_str()?.parse().ok())
            .collect()
    }

    fn asks(&self, what: &str) -> bool {
        self.json[what] == true
    }

    fn confirmed(&self) -> bool {
        self.json[CONFIRMED] == true
    }

    fn generation(&self) -> u64 {
        self.json[GENERATION].as_u64().unwrap_or(0)
    }
}

/// A security key that opens the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityKey {
    /// Its token's number.
    pub token: u32,
    /// Whether it asks for its PIN.
    pub pin: bool,
    /// Whether it has to be touched.
    pub touch: bool,
}

/// An open header.
pub struct Header {
    /// The device, for what needs more than the header.
    pub device: Device,
}

impl Header {
    /// Opens the header of the volume at `path`; none when there is no LUKS2 header.
    ///
    /// # Errors
    ///
    /// When the device cannot be read.
    pub fn open(path: &Path) -> Result<Option<Self>, LibcryptErr> {
        let mut device = Device::open(path)?;
        let loaded = device
            .device
            .context_handle()
            .load::<()>(Some(EncryptionFormat::Luks2), None);
        match loaded {
            Ok(()) => Ok(Some(Self { device })),
            Err(LibcryptErr::IOError(error)) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a new header, with a new random volume key and `key` as the only one that opens it.
    ///
    /// # Errors
    ///
    /// When the device cannot be written.
    pub fn format(path: &Path, key: &[u8]) -> Result<Self, LibcryptErr> {
        let mut header = Self {
            device: Device::open(path)?,
        };
        let parameters = CryptParamsLuks2 {
            pbkdf: None,
            integrity: None,
            integrity_params: None,
            data_alignment: 0,
            data_device: None,
            sector_size: 4096,
            label: Some("holdfast-vault".to_owned()),
            subsystem: None,
        };
        let mut parameters: CryptParamsLuks2Ref<'_> = (&parameters).try_into()?;
        let device = &mut header.device.device;
        device.context_handle().format(
            EncryptionFormat::Luks2,
            ("aes", "xts-plain64"),
            None,
            Either::Right(VOLUME_KEY_BYTES),
            Some(&mut parameters),
        )?;
        header.set_state("unfinished")?;
        header.derive_quickly()?;
        let mut slots = header.device.device.keyslot_handle();
        slots.add_by_key(None, None, key, CryptVolumeKey::empty())?;
        Ok(header)
    }

    /// The next key is 256 random bits: stretching it would only cost time.
    ///
    /// # Errors
    ///
    /// Never in practice.
    fn derive_quickly(&mut self) -> Result<(), LibcryptErr> {
        self.derive(&CryptPbkdfType {
            type_: CryptKdf::Pbkdf2,
            hash: Some("sha512".to_owned()),
            time_ms: 0,
            iterations: 1000,
            max_memory_kb: 0,
            parallel_threads: 0,
            flags: CryptPbkdf::NO_BENCHMARK,
        })
    }

    /// The next key is one that a person made up: Argon2id with 64 MiB and four passes, above the floor of RFC 9106's second choice.
    fn derive_slowly(&mut self) -> Result<(), LibcryptErr> {
        self.derive(&CryptPbkdfType {
            type_: CryptKdf::Argon2Id,
            hash: Some("sha512".to_owned()),
            time_ms: 0,
            iterations: 4,
            max_memory_kb: 64 << 10,
            parallel_threads: 2,
            flags: CryptPbkdf::NO_BENCHMARK,
        })
    }

    fn derive(&mut self, how: &CryptPbkdfType) -> Result<(), LibcryptErr> {
        self.device.device.settings_handle().set_pbkdf_type(how)
    }

    fn tokens(&mut self) -> Vec<Token> {
        let mut handle = self.device.device.token_handle();
        (0..SLOTS)
            .filter_map(|number| {
                let json = handle.json_get(number).ok()?;
                Some(Token { number, json })
            })
            .collect()
    }

    /// The keyslots that are in use.
    pub fn slots(&mut self) -> Vec<u32> {
        let mut handle = self.device.device.keyslot_handle();
        (0..SLOTS)
            .filter(|slot| {
                matches!(
                    handle.status(*slot),
                    Ok(KeyslotInfo::Active | KeyslotInfo::ActiveLast)
                )
            })
            .collect()
    }

    /// Where a keyslot lies on the device: offset and length in bytes.
    ///
    /// # Errors
    ///
    /// When it is not in use.
    pub fn area(&mut self, slot: u32) -> Result<(u64, u64), LibcryptErr> {
        self.device.device.keyslot_handle().area(slot)
    }

    /// How far the volume has come.
    pub fn state(&mut self) -> VolumeState {
        let tokens = self.tokens();
        match tokens.iter().find(|token| token.is(STATE)) {
            // Power was lost between the header and the first token.
            None if self.slots().is_empty() => VolumeState::Unfinished,
            None => VolumeState::Foreign,
            Some(token) => match token.json["state"].as_str() {
                Some("unfinished") => VolumeState::Unfinished,
                Some("ready") => VolumeState::Ready,
                Some("erased") => VolumeState::Erased,
                _ => VolumeState::Foreign,
            },
        }
    }

    /// Notes how far it has come.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn set_state(&mut self, state: &str) -> Result<(), LibcryptErr> {
        self.note(&json!({ "type": STATE, "keyslots": [], "state": state }))
    }

    /// Notes whether the firmware is pinned, and if not, why.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn set_firmware(&mut self, firmware: Firmware) -> Result<(), LibcryptErr> {
        self.note(&json!({ "type": FIRMWARE, "keyslots": [], "firmware": firmware }))
    }

    /// Whether the firmware is pinned: as systemd's tokens have it. Only why it is not comes from the note.
    pub fn firmware(&mut self) -> Option<Firmware> {
        let tokens = self.tokens();
        let mut keys = tokens.iter().filter(|token| token.is(TPM)).peekable();
        keys.peek()?;
        if keys.all(|token| token.json[PCRLOCK] == true) {
            return Some(Firmware::Pinned);
        }
        let note = tokens.iter().find(|token| token.is(FIRMWARE));
        let noted = note.and_then(|token| serde_json::from_value(token.json["firmware"].clone()).ok());
        Some(
            noted
                .filter(|firmware: &Firmware| !firmware.is_pinned())
                .unwrap_or(Firmware::NotAsked),
        )
    }

    /// Puts a token in the place of the one of its type, if there is one.
    fn note(&mut self, json: &Value) -> Result<(), LibcryptErr> {
        let old = self
            .tokens()
            .into_iter()
            .find(|token| token.json["type"] == json["type"]);
        let mut handle = self.device.device.token_handle();
        match old {
            Some(token) => handle.json_set(TokenInput::ReplaceToken(token.number, json))?,
            None => handle.json_set(TokenInput::AddToken(json))?,
        };
        Ok(())
    }

    /// What opens it.
    pub fn keys(&mut self) -> Keys {
        let tokens = self.tokens();
        let active = self.slots();
        let has = |which: &dyn Fn(&Token) -> bool| {
            tokens
                .iter()
                .any(|token| which(token) && token.slots().iter().any(|slot| active.contains(slot)))
        };
        Keys {
            tpm: has(&|token| token.is(TPM)),
            recovery_key: has(&|token| token.is(RECOVERY) && token.confirmed()),
            passphrase: has(&|token| token.is(PASSPHRASE)),
            security_key: has(&|token| token.is(SECURITY_KEY)),
            security_key_pin: self.security_keys().iter().any(|key| key.pin),
        }
    }

    /// The security keys that open it.
    pub fn security_keys(&mut self) -> Vec<SecurityKey> {
        let active = self.slots();
        self.tokens()
            .iter()
            .filter(|token| token.is(SECURITY_KEY) && token.slots().iter().any(|slot| active.contains(slot)))
            .map(|token| SecurityKey {
                token: token.number,
                // Tokens of systemd before 249 do not say; their keys ask for both.
                pin: token.json.get("fido2-clientPin-required").is_none()
                    || token.asks("fido2-clientPin-required"),
                touch: token.json.get("fido2-up-required").is_none() || token.asks("fido2-up-required"),
            })
            .collect()
    }

    /// Removes the security keys, or the one of this token.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn remove_security_keys(&mut self, only: Option<u32>) -> Result<(), LibcryptErr> {
        self.remove(|token| token.is(SECURITY_KEY) && only.is_none_or(|only| only == token.number))
    }

    /// Adds 256 random bits that open it for a moment. No token names them: what is left of them by an accident is removed when the volume is
    /// opened next.
    ///
    /// # Errors
    ///
    /// When `key` does not open the volume, or the header cannot be written.
    pub fn add_temporary(&mut self, key: Key<'_>, new: &[u8]) -> Result<u32, LibcryptErr> {
        self.derive_quickly()?;
        self.device.add_keyslot(key, new)
    }

    /// Which volume it is: SHA-256 of what the header's digests say, which fit one volume key and no other.
    ///
    /// # Errors
    ///
    /// When libcryptsetup cannot show the header.
    pub fn identity(&mut self) -> Result<Digest, LibcryptErr> {
        let header = self.device.device.status_handle().dump_json()?;
        let mut hasher = Sha256::new();
        for digest in header["digests"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.values())
        {
            // Besides these a digest says which keyslots it is for, and they come and go.
            for part in ["type", "hash", "iterations", "salt", "digest"] {
                hasher.update(digest[part].to_string());
                hasher.update([0]);
            }
        }
        Ok(Digest::from_bytes(hasher.finalize().into()))
    }

    /// Whether the TPM gives the key now: any of its keys, or the one of this token.
    pub fn tpm_opens(&mut self, token: Option<u32>) -> bool {
        let mut handle = self.device.device.token_handle();
        handle
            .activate_by_token_pin::<()>(None, Some(TPM), token, &[], None, CryptActivate::empty())
            .is_ok()
    }

    /// Which keyslot `secret` opens.
    ///
    /// # Errors
    ///
    /// `EPERM` when none.
    pub fn slot_of(&mut self, secret: &[u8]) -> Result<u32, LibcryptErr> {
        let mut handle = self.device.device.activate_handle();
        handle.activate_by_passphrase(None, None, secret, CryptActivate::empty())
    }

    /// Adds a recovery key that is not confirmed yet, in place of those that never were.
    ///
    /// # Errors
    ///
    /// When nothing opens the volume, or the header cannot be written.
    pub fn add_recovery(&mut self, key: Key<'_>, new: &[u8]) -> Result<(), LibcryptErr> {
        self.remove(|token| token.is(RECOVERY) && !token.confirmed())?;
        self.derive_quickly()?;
        let slot = self.device.add_keyslot(key, new)?;
        self.add_token(&json!({ "type": RECOVERY, "keyslots": [slot.to_string()], (CONFIRMED): false }))
    }

    /// Confirms the recovery key `secret`, and removes every other one first: where power is lost between the two, somebody has to confirm it
    /// again, and nothing opens the volume that ought not to.
    ///
    /// # Errors
    ///
    /// `EPERM` when `secret` is no recovery key of this volume.
    pub fn confirm_recovery(&mut self, secret: &[u8]) -> Result<(), LibcryptErr> {
        let slot = self.slot_of(secret)?;
        let tokens = self.tokens();
        let Some(token) = tokens
            .iter()
            .find(|token| token.is(RECOVERY) && token.slots().contains(&slot))
        else {
            return Err(LibcryptErr::IOError(std::io::Error::from_raw_os_error(
                libc::EPERM,
            )));
        };
        let number = token.number;
        let json = json!({ "type": RECOVERY, "keyslots": [slot.to_string()], (CONFIRMED): true });
        self.remove(|token| token.is(RECOVERY) && token.number != number)?;
        let mut handle = self.device.device.token_handle();
        handle
            .json_set(TokenInput::ReplaceToken(number, &json))
            .map(|_| ())
    }

    /// Sets the passphrase, in place of one from before.
    ///
    /// # Errors
    ///
    /// When nothing opens the volume, or the header cannot be written.
    pub fn set_passphrase(&mut self, key: Key<'_>, new: &[u8]) -> Result<(), LibcryptErr> {
        let generation = self.newest_passphrase().map_or(1, |newest| newest + 1);
        self.derive_slowly()?;
        let slot = self.device.add_keyslot(key, new)?;
        let token = json!({ "type": PASSPHRASE, "keyslots": [slot.to_string()], (GENERATION): generation });
        self.add_token(&token)?;
        self.remove_older_passphrases()
    }

    fn newest_passphrase(&mut self) -> Option<u64> {
        let tokens = self.tokens();
        let passphrases = tokens.iter().filter(|token| token.is(PASSPHRASE));
        passphrases.map(Token::generation).max()
    }

    fn remove_older_passphrases(&mut self) -> Result<(), LibcryptErr> {
        let newest = self.newest_passphrase().unwrap_or(0);
        self.remove(|token| token.is(PASSPHRASE) && token.generation() < newest)
    }

    /// Removes the passphrase.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn remove_passphrase(&mut self) -> Result<(), LibcryptErr> {
        self.remove(|token| token.is(PASSPHRASE))
    }

    /// The numbers of the TPM's tokens.
    pub fn tpm_tokens(&mut self) -> Vec<u32> {
        self.numbers(TPM)
    }

    /// Removes the TPM's keys, or those among them with these numbers.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn remove_tpm(&mut self, only: Option<&[u32]>) -> Result<(), LibcryptErr> {
        self.remove(|token| token.is(TPM) && only.is_none_or(|only| only.contains(&token.number)))
    }

    /// Destroys a keyslot.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn destroy(&mut self, slot: u32) -> Result<(), LibcryptErr> {
        self.device.device.keyslot_handle().destroy(slot)
    }

    /// Removes what an interrupted change left: keyslots that no token names, and passphrases from before the newest. Returns how many
    /// keyslots belonged to nothing.
    ///
    /// # Errors
    ///
    /// When the header cannot be written.
    pub fn remove_strays(&mut self) -> Result<usize, LibcryptErr> {
        let named: Vec<u32> = self.tokens().iter().flat_map(Token::slots).collect();
        let strays: Vec<u32> = self
            .slots()
            .into_iter()
            .filter(|slot| !named.contains(slot))
            .collect();
        for slot in &strays {
            self.destroy(*slot)?;
        }
        self.remove_older_passphrases()?;
        Ok(strays.len())
    }

    fn numbers(&mut self, kind: &str) -> Vec<u32> {
        let tokens = self.tokens();
        tokens
            .iter()
            .filter(|token| token.is(kind))
            .map(|token| token.number)
            .collect()
    }

    fn add_token(&mut self, json: &Value) -> Result<(), LibcryptErr> {
        let mut handle = self.device.device.token_handle();
        handle.json_set(TokenInput::AddToken(json)).map(|_| ())
    }

    /// Keyslots first: a token without its keyslot is harmless, a keyslot without its token opens the volume unseen.
    fn remove(&mut self, which: impl Fn(&Token) -> bool) -> Result<(), LibcryptErr> {
        let active = self.slots();
        for token in self.tokens().into_iter().filter(|token| which(token)) {
            for slot in token.slots().into_iter().filter(|slot| active.contains(slot)) {
                self.destroy(slot)?;
            }
            self.device
                .device
                .token_handle()
                .json_set(TokenInput::RemoveToken(token.number))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
#[allow(clippy::unwrap_used, reason = "these are tests")]
pub mod tests;
