//! The conversation: one request, the work, one answer.

use std::io::{Read as _, Write as _};

use anyhow::Context as _;
use holdfast_contract::vault::{Secret, VolumeAnswer, VolumeRequest};
use rustix::fd::AsFd as _;
use zeroize::Zeroizing;

use crate::asker::{self, Asker};
use crate::turn;
use crate::volume::{Volume, VolumeError};

/// The longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 8 << 10;

/// Reads the request from standard input, a connected socket, and answers on it.
///
/// # Errors
///
/// When there is no request, or the answer cannot be written.
pub fn converse(volume: &mut Volume) -> anyhow::Result<()> {
    let socket = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("take the socket")?;
    let mut socket = std::fs::File::from(socket);
    // The capacity is fixed first: growing would leave copies of a secret behind.
    let mut text = Zeroizing::new(Vec::with_capacity(16 << 10));
    (&mut socket)
        .take(MAX_REQUEST_BYTES)
        .read_to_end(&mut text)
        .context("read the request")?;
    let request: VolumeRequest = serde_json::from_slice(&text).context("understand the request")?;
    if request.can_be_called_off() {
        let watched = socket.try_clone().context("watch the socket")?;
        volume.asker = Asker::behind(watched.into(), asker::end);
    }
    // Its own program is a file that every instance has.
    let _turn =
        turn::wait("/proc/self/exe".as_ref(), &request).context("wait for the change before this one")?;
    let answer = match work(volume, &request) {
        Ok(made) => match volume.look() {
            Ok(volume) => VolumeAnswer::Done {
                volume,
                recovery_key: made.recovery_key,
                counter: made.counter,
            },
            Err(error) => answer_of(&error),
        },
        Err(error) => {
            tracing::warn!(error = %format_args!("{error:#}"), "not done");
            answer_of(&error)
        }
    };
    let mut text = Zeroizing::new(Vec::with_capacity(16 << 10));
    serde_json::to_writer(&mut *text, &answer).context("write the answer")?;
    socket.write_all(&text).context("send the answer")
}

fn answer_of(error: &VolumeError) -> VolumeAnswer {
    match error {
        VolumeError::WrongSecret => VolumeAnswer::WrongSecret,
        VolumeError::TpmRefused(why) => VolumeAnswer::TpmRefused { why: why.clone() },
        VolumeError::SecurityKey(trouble) => VolumeAnswer::SecurityKey { trouble: *trouble },
        VolumeError::Other(error) => VolumeAnswer::Failed {
            why: format!("{error:#}"),
        },
    }
}

/// What a request made, besides the change of the volume.
#[derive(Default)]
struct Made {
    recovery_key: Option<Secret>,
    counter: Option<u64>,
}

impl Made {
    fn counted(counter: Option<u64>) -> Self {
        Self {
            counter,
            recovery_key: None,
        }
    }
}

fn work(volume: &Volume, request: &VolumeRequest) -> Result<Made, VolumeError> {
    match request {
        VolumeRequest::Look => Ok(()),
        VolumeRequest::Create { replace, identity } => {
            return volume.create(*replace, *identity).map(Made::counted);
        }
        VolumeRequest::Open {
            secret,
            at_least,
            identity,
        } => {
            let opened = volume.open(secret.as_ref(), *at_least, *identity);
            return opened.map(Made::counted);
        }
        VolumeRequest::OpenWithSecurityKey { pin, identity } => {
            volume.open_with_security_key(pin.as_ref(), *identity)
        }
        VolumeRequest::Suspend => volume.suspend(),
        VolumeRequest::AddRecoveryKey => {
            return volume.add_recovery_key().map(|key| Made {
                recovery_key: Some(key),
                counter: None,
            });
        }
        VolumeRequest::ConfirmRecoveryKey { secret } => volume.confirm_recovery_key(secret),
        VolumeRequest::SetPassphrase { secret } => volume.set_passphrase(secret),
        VolumeRequest::RemovePassphrase => volume.remove_passphrase(),
        VolumeRequest::EnrolTpm { secret } => return volume.enrol_tpm(secret).map(Made::counted),
        VolumeRequest::EnrolTpmWithSecurityKey { pin } => {
            return volume
                .enrol_tpm_with_security_key(pin.as_ref())
                .map(Made::counted);
        }
        VolumeRequest::AddSecurityKey { pin } => volume.add_security_key(pin.as_ref()),
        VolumeRequest::RemoveSecurityKeys => volume.remove_security_keys(),
        VolumeRequest::RemoveTpm => volume.remove_tpm(),
        VolumeRequest::Erase => volume.erase(),
    }
    .map(|()| Made::default())
}
