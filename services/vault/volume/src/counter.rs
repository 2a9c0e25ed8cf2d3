//! A counter in the TPM that only goes up (TPM 2.0 library, part 1, "NV counter index"): how an earlier copy of the TPM's state is noticed.
//!
//! What was sealed to a TPM opens with an earlier copy of that TPM's state just as well. Each opening of the vault moves the counter on, and the
//! daemon remembers, on another volume, how far it was. A counter that is made anew begins beyond every counter that the TPM ever
//! had, so that removing it gains nothing.

use std::path::Path;

use tss_esapi::attributes::NvIndexAttributes;
use tss_esapi::constants::{CapabilityType, NvIndexType};
use tss_esapi::handles::{NvIndexHandle, NvIndexTpmHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::{NvAuth, Provision};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{CapabilityData, NvPublic};
use tss_esapi::tcti_ldr::{DeviceConfig, TctiNameConf};
use tss_esapi::{Context, Error};

/// The counter's place among those that the owner may define.
const INDEX: u32 = 0x0180_4846;
/// Bytes of a counter.
const BYTES: u16 = 8;

/// The counter of a TPM.
pub struct Counter {
    context: Context,
    index: NvIndexTpmHandle,
}

impl Counter {
    /// The counter of the TPM behind `device`. It need not exist yet.
    ///
    /// # Errors
    ///
    /// When the TPM does not answer.
    pub fn of(device: &Path) -> Result<Self, Error> {
        let device: DeviceConfig = device.to_string_lossy().parse()?;
        Ok(Self {
            context: Context::new(TctiNameConf::Device(device))?,
            index: NvIndexTpmHandle::new(INDEX)?,
        })
    }

    /// How far it is; none where there is no counter.
    ///
    /// # Errors
    ///
    /// When the TPM does not answer, or something else has the counter's place.
    pub fn value(&mut self) -> Result<Option<u64>, Error> {
        let Some(handle) = self.handle()? else {
            return Ok(None);
        };
        let (public, _) = self
            .context
            .execute_without_session(|context| context.nv_read_public(handle))?;
        // Power was lost between making it and its first step.
        if !public.attributes().written() {
            return Ok(None);
        }
        self.read(handle).map(Some)
    }

    /// Moves it on, and makes it first where there is none. Returns how far it is then.
    ///
    /// # Errors
    ///
    /// When the TPM does not.
    pub fn advance(&mut self) -> Result<u64, Error> {
        let handle = match self.handle()? {
            Some(handle) => handle,
            None => self.define()?,
        };
        self.with_empty_password(|context| context.nv_increment(NvAuth::NvIndex(handle), handle))?;
        self.read(handle)
    }

    /// Asks the TPM for a list, because asking for a place that is empty is an error, which the TPM's library would log.
    fn handle(&mut self) -> Result<Option<NvIndexHandle>, Error> {
        let (found, _) = self.context.get_capability(CapabilityType::Handles, INDEX, 1)?;
        let wanted = TpmHandle::NvIndex(self.index);
        match found {
            CapabilityData::Handles(handles) if handles.as_ref().contains(&wanted) => {}
            _ => return Ok(None),
        }
        let handle = self
            .context
            .execute_without_session(|context| context.tr_from_tpm_public(wanted))?;
        Ok(Some(handle.into()))
    }

    /// Whoever reaches the TPM may read it and move it on: that only makes more of the earlier copies useless.
    fn define(&mut self) -> Result<NvIndexHandle, Error> {
        let attributes = NvIndexAttributes::builder()
            .with_nv_index_type(NvIndexType::Counter)
            .with_auth_read(true)
            .with_auth_write(true)
            .with_no_da(true)
            .build()?;
        let public = NvPublic::builder()
            .with_nv_index(self.index)
            .with_index_name_algorithm(HashingAlgorithm::Sha256)
            .with_index_attributes(attributes)
            .with_data_area_size(BYTES.into())
            .build()?;
        self.with_empty_password(|context| context.nv_define_space(Provision::Owner, None, public))
    }

    fn read(&mut self, handle: NvIndexHandle) -> Result<u64, Error> {
        let bytes =
            self.with_empty_password(|context| context.nv_read(NvAuth::NvIndex(handle), handle, BYTES, 0))?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn with_empty_password<T>(
        &mut self,
        work: impl FnOnce(&mut Context) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.context
            .execute_with_session(Some(AuthSession::Password), work)
    }
}
