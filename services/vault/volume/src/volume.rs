//! The volume: how it is, making it, opening it and shutting it. What else can be asked of it is beside this: `keys`, `seal`, `security_key`,
//! `destroy`; one function for each request. Each is read back by [`Volume::look`] afterwards.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use holdfast_contract::Digest;
use holdfast_contract::vault::{self, Firmware, Keys, Secret, SecurityKeyTrouble, VolumeState};
use libcryptsetup_rs::consts::flags::{CryptActivate, CryptDeactivate};
use libcryptsetup_rs::{CryptInit, LibcryptErr};
use zeroize::Zeroizing;

use crate::asker::Asker;
use crate::counter::Counter;
use crate::firmware::Source;
use crate::header::{self, Header};
use crate::raw::Key;
use crate::{mapped, measured, programs, raw, recovery};

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The secret does not fit.
    #[error("the key or passphrase does not fit")]
    WrongSecret,
    /// The TPM does not give the key.
    #[error("the TPM does not give the key: {0}")]
    TpmRefused(String),
    /// The security key was of no use.
    #[error("the security key was of no use: {0:?}")]
    SecurityKey(SecurityKeyTrouble),
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<SecurityKeyTrouble> for VolumeError {
    fn from(trouble: SecurityKeyTrouble) -> Self {
        Self::SecurityKey(trouble)
    }
}

/// What can be asked of the volume comes to this.
pub type Result<T> = std::result::Result<T, VolumeError>;

/// The partition and the name it is mapped under.
#[derive(Debug, Clone)]
pub struct Volume {
    /// The partition.
    pub device: PathBuf,
    /// Its name below `/dev/mapper`.
    pub name: String,
    /// The public key of PCR 11's signature.
    pub public_key: PathBuf,
    /// PCR 11's signatures.
    pub signature: PathBuf,
    /// The TPM.
    pub tpm: PathBuf,
    /// The policy about the firmware.
    pub firmware: Source,
    /// Where the kernel shows HID devices, security keys among them.
    pub hid_devices: PathBuf,
    /// Whoever asked for what is to be done.
    pub asker: Asker,
}

/// A volume that is about to be opened.
pub struct Opening<'a> {
    /// Its header.
    pub header: Header,
    /// Whether it is mapped, or let go on.
    pub how: How<'a>,
}

/// Whether a volume is mapped, or let go on where it was suspended.
pub struct How<'a> {
    name: &'a str,
    resume: bool,
}

impl How<'_> {
    /// Opens the volume with `key`.
    ///
    /// # Errors
    ///
    /// When it does not fit.
    pub fn attempt(&self, header: &mut Header, key: Key<'_>) -> std::result::Result<(), LibcryptErr> {
        if self.resume {
            header.device.resume(self.name, key)
        } else {
            activate(header, self.name, key)
        }
    }
}

impl Volume {
    pub(crate) fn header(&self) -> anyhow::Result<Option<Header>> {
        Header::open(&self.device).with_context(|| format!("read the header of {}", self.device.display()))
    }

    /// The header of a volume that is whole.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn ready(&self) -> anyhow::Result<Header> {
        let mut header = self
            .header()?
            .with_context(|| format!("{} holds no LUKS2 header", self.device.display()))?;
        ensure!(header.state() == VolumeState::Ready, "the volume is not whole");
        Ok(header)
    }

    /// How the volume is.
    ///
    /// # Errors
    ///
    /// When the device cannot be read.
    pub fn look(&self) -> Result<vault::Volume> {
        let (state, keys, identity, firmware) = match self.header()? {
            None => (VolumeState::None, Keys::default(), None, None),
            Some(mut header) => {
                let identity = header.identity().context("find out which volume it is")?;
                let firmware = header
                    .firmware()
                    .map(|firmware| self.firmware.with_policy(firmware));
                (header.state(), header.keys(), Some(identity), firmware)
            }
        };
        let mapped = mapped::find(&self.name);
        Ok(vault::Volume {
            state,
            keys,
            firmware,
            identity,
            active: mapped.is_some(),
            suspended: mapped.as_ref().is_some_and(mapped::Mapped::is_suspended),
            transfers: mapped.as_ref().map_or(0, mapped::Mapped::transfers),
        })
    }

    /// Makes the volume anew: header, file system, TPM. Nothing counts before the last step, and every earlier one can be begun again.
    /// Returns how far the TPM's counter is.
    ///
    /// # Errors
    ///
    /// When the partition holds something that may not be overwritten, the TPM measured nothing, or a step fails.
    pub fn create(&self, replace: bool, identity: Option<Digest>) -> Result<Option<u64>> {
        if let Some(objection) = measured::objection(Path::new(measured::REGISTERS)) {
            return Err(VolumeError::TpmRefused(objection));
        }
        ensure_inactive(&self.name)?;
        let there = self.look()?;
        let may = match there.state {
            VolumeState::None | VolumeState::Unfinished => true,
            VolumeState::Erased | VolumeState::Foreign => replace,
            VolumeState::Ready => replace && identity.is_some() && there.identity != identity,
        };
        if !may {
            return Err(
                anyhow::anyhow!("the partition holds a volume already: destroy its keys first").into(),
            );
        }
        let making = format!("{}-new", self.name);
        if mapped::find(&making).is_some() {
            let mut left = Header::open(&self.device)
                .context("read the header")?
                .context("no header")?;
            deactivate(&mut left, &making)?;
        }
        let key = random_key()?;
        let mut header = Header::format(&self.device, key.as_bytes()).context("write the header")?;
        let temporary = header.slot_of(key.as_bytes()).context("find the first keyslot")?;
        activate(&mut header, &making, Key::Passphrase(key.as_bytes())).context("map the new volume")?;
        let made = programs::make_file_system(&mapped::path(&making));
        deactivate(&mut header, &making)?;
        made.context("make the file system")?;
        self.seal(key.as_bytes())?;
        let mut header = self.header()?.context("the header is gone")?;
        header.destroy(temporary).context("remove the first key")?;
        header.set_state("ready").context("finish the header")?;
        self.open(None, None, None)
    }

    /// Opens the volume, or lets it go on where it was suspended. Without a secret the TPM has to give the key, and its counter has to be
    /// at `at_least`; where it opened the volume, returns how far the counter is now.
    ///
    /// # Errors
    ///
    /// When the secret does not fit, or the TPM refuses.
    pub fn open(
        &self,
        secret: Option<&Secret>,
        at_least: Option<u64>,
        identity: Option<Digest>,
    ) -> Result<Option<u64>> {
        let Some(Opening { mut header, how }) = self.opening(identity)? else {
            return Ok(None);
        };
        let pinned = header.firmware().is_some_and(Firmware::is_pinned);
        let mut attempt = |key: Key<'_>| how.attempt(&mut header, key);
        match secret.map(|secret| variants(secret.expose())) {
            None => {
                if !how.resume {
                    self.vouch(at_least)?;
                }
                attempt(Key::Token(header::TPM_C)).map_err(|error| self.explain(refused(&error), pinned))?;
                if how.resume {
                    return Ok(None);
                }
                // The volume is open whatever becomes of the counter, which then stays where it was.
                let advanced = self.advance();
                if let Err(error) = &advanced {
                    tracing::warn!(%error, "the TPM's counter was not moved on");
                }
                Ok(advanced.ok())
            }
            Some(secrets) => first(&secrets, |secret| attempt(Key::Passphrase(secret))).map(|()| None),
        }
    }

    /// What opening begins with, whatever it is opened with. None when it is open.
    ///
    /// # Errors
    ///
    /// When the volume is not whole, or not the one of this identity.
    pub fn opening(&self, identity: Option<Digest>) -> Result<Option<Opening<'_>>> {
        let mut header = self.ready()?;
        let found = header.identity().context("find out which volume it is")?;
        if identity.is_some_and(|identity| identity != found) {
            return Err(anyhow::anyhow!("it is another volume than the one that was made here").into());
        }
        let strays = header
            .remove_strays()
            .context("remove what an interrupted change left")?;
        if strays > 0 {
            tracing::warn!(strays, "keyslots that belonged to nothing were removed");
        }
        let state = mapped::find(&self.name);
        if state.as_ref().is_some_and(|mapped| !mapped.is_suspended()) {
            return Ok(None);
        }
        let how = How {
            name: &self.name,
            resume: state.is_some(),
        };
        Ok(Some(Opening { header, how }))
    }

    /// Refuses a TPM whose counter is not as far as it was.
    fn vouch(&self, at_least: Option<u64>) -> Result<()> {
        let Some(at_least) = at_least else {
            return Ok(());
        };
        let value = Counter::of(&self.tpm).and_then(|mut counter| counter.value());
        let why = match value {
            Ok(Some(value)) if value >= at_least => return Ok(()),
            Ok(Some(value)) => format!(
                "it was put back to an earlier state: its counter is at {value}, and has been at {at_least}"
            ),
            Ok(None) => "it has no counter any more: it was emptied, or it is another one".to_owned(),
            Err(error) => format!("its counter cannot be read: {error}"),
        };
        Err(VolumeError::TpmRefused(why))
    }

    pub(crate) fn advance(&self) -> std::result::Result<u64, tss_esapi::Error> {
        Counter::of(&self.tpm)?.advance()
    }

    /// Takes the volume's key out of the kernel. What is being written is written first; who reads or writes afterwards waits.
    ///
    /// # Errors
    ///
    /// When the kernel does not.
    pub fn suspend(&self) -> Result<()> {
        let Some(mapped) = mapped::find(&self.name) else {
            // Whoever wants it locked must not depend on knowing whether it is open.
            return Ok(());
        };
        if !mapped.is_suspended() {
            self.suspend_mapped()?;
        }
        // What was read stays in memory, decrypted, until it is thrown away.
        if let Err(error) = std::fs::write("/proc/sys/vm/drop_caches", "1") {
            tracing::warn!(%error, "what had been read from the volume stays in memory");
        }
        let suspended = mapped::find(&self.name).is_some_and(|mapped| mapped.is_suspended());
        Ok(ensure_that(suspended, "the kernel still has the key")?)
    }

    /// Whatever is on the disk, or is not to be read any more: the key has to go.
    fn suspend_mapped(&self) -> anyhow::Result<()> {
        let by_header = match self.header() {
            Ok(Some(mut header)) => header.device.device.context_handle().suspend(&self.name),
            Ok(None) | Err(_) => Err(LibcryptErr::Other("there is no header".to_owned())),
        };
        if let Err(error) = by_header {
            tracing::warn!(%error, "the header is of no use; the volume is locked by its name");
            let mut device =
                CryptInit::init_by_name_and_header(&self.name, None).context("find the mapped volume")?;
            let suspended = device.context_handle().suspend(&self.name);
            suspended.context("take the key out of the kernel")?;
        }
        Ok(())
    }

    /// Lets go of a volume that is locked, because the machine is being turned off. Its file system was written out before it was locked; who
    /// waits for it gets an error instead, and can end.
    ///
    /// # Errors
    ///
    /// When the mapped device still waits afterwards.
    pub fn release(&self) -> anyhow::Result<()> {
        let Some(mapped) = mapped::find(&self.name).filter(mapped::Mapped::is_suspended) else {
            return Ok(());
        };
        // libcryptsetup does this for a device that is in use (CRYPT_DEACTIVATE_FORCE), but not for one that is suspended.
        let sectors = mapped.sectors().context("find out how large the volume is")?;
        programs::answer_with_errors(&self.name, sectors)?;
        let suspended = mapped::find(&self.name).is_some_and(|mapped| mapped.is_suspended());
        ensure_that(!suspended, "the locked volume still waits for its key")
    }
}

/// How a secret may have been meant: as a recovery key, and as it stands.
pub fn variants(secret: &str) -> Vec<Zeroizing<String>> {
    recovery::normalize(secret)
        .into_iter()
        .chain([Zeroizing::new(secret.to_owned())])
        .collect()
}

/// Tries each form of a secret.
///
/// # Errors
///
/// The last one's.
pub fn first(
    secrets: &[Zeroizing<String>],
    mut attempt: impl FnMut(&[u8]) -> std::result::Result<(), LibcryptErr>,
) -> Result<()> {
    let mut last = VolumeError::WrongSecret;
    for secret in secrets {
        match attempt(secret.as_bytes()) {
            Ok(()) => return Ok(()),
            Err(error) => last = wrong(&error),
        }
        if !matches!(last, VolumeError::WrongSecret) {
            break;
        }
    }
    Err(last)
}

/// The number of an error of the system's, as libcryptsetup passes it on.
pub fn code(error: &LibcryptErr) -> Option<i32> {
    match error {
        LibcryptErr::IOError(error) => error.raw_os_error(),
        _ => None,
    }
}

/// Why a secret did not open it.
pub fn wrong(error: &LibcryptErr) -> VolumeError {
    match code(error) {
        Some(libc::EPERM | libc::ENOENT) => VolumeError::WrongSecret,
        _ => VolumeError::Other(anyhow::anyhow!("{error}: {}", raw::last_error())),
    }
}

/// Why the TPM did not open it. Every way in which a token can fail means that the TPM does not give the key; what it said last tells which.
pub fn refused(error: &LibcryptErr) -> VolumeError {
    let why = match code(error) {
        Some(libc::ENOENT) => "the volume is not sealed to a TPM".to_owned(),
        _ => match raw::last_error() {
            said if said.is_empty() => error.to_string(),
            said => said,
        },
    };
    VolumeError::TpmRefused(why)
}

fn activate(header: &mut Header, name: &str, key: Key<'_>) -> std::result::Result<(), LibcryptErr> {
    let flags = CryptActivate::empty();
    let device = &mut header.device.device;
    match key {
        Key::Token(_) => device
            .token_handle()
            .activate_by_token_pin::<()>(Some(name), Some(header::TPM), None, &[], None, flags)
            .map(|_| ()),
        Key::Volume(bytes) => device
            .activate_handle()
            .activate_by_volume_key(Some(name), Some(bytes), flags),
        Key::Passphrase(bytes) => device
            .activate_handle()
            .activate_by_passphrase(Some(name), None, bytes, flags)
            .map(|_| ()),
    }
}

fn deactivate(header: &mut Header, name: &str) -> anyhow::Result<()> {
    let mut handle = header.device.device.activate_handle();
    handle
        .deactivate(name, CryptDeactivate::empty())
        .with_context(|| format!("unmap {name}"))
}

fn ensure_inactive(name: &str) -> anyhow::Result<()> {
    if mapped::find(name).is_some() {
        bail!("the volume is in use: start the machine again first");
    }
    Ok(())
}

/// An error with these words where something does not hold.
///
/// # Errors
///
/// When it does not hold.
pub fn ensure_that(holds: bool, otherwise: &'static str) -> anyhow::Result<()> {
    ensure!(holds, "{otherwise}");
    Ok(())
}

/// A key of 512 random bits. It is text, because a key file with a zero byte or a line's end would be cut by some readers.
///
/// # Errors
///
/// When the kernel gives no random bytes.
pub fn random_key() -> anyhow::Result<Zeroizing<String>> {
    let mut key = Zeroizing::new([0_u8; 64]);
    getrandom::fill(key.as_mut()).map_err(|error| anyhow::anyhow!("read random bytes: {error}"))?;
    Ok(hex(key.as_ref()))
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(half.into(), 16).unwrap_or('0'));
        }
    }
    text
}
