//! A FIDO2 security key made of software: a HID device through `/dev/uhid`, CTAPHID and CTAP 2.0 with `hmac-secret`.
//!
//! For the tests of the booted image, and in no release: what it keeps secret lies in a file, and a file is its button. It knows what
//! opening a disk takes: `authenticatorGetInfo`, `MakeCredential`, `GetAssertion`, and of `ClientPIN` what using a PIN takes.

mod crypto;
mod ctap;
mod hid;
mod key;
mod pin;
mod uhid;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use ctap::Authenticator;
use key::Settings;

const USAGE: &str = "holdfast-authenticator --secret FILE [--button FILE] [--pin PIN] [--without-hmac-secret] [--patience SECONDS]

  --secret FILE          32 bytes that everything is derived from; made if it is not there. The same file is the same key
  --button FILE          touched for as long as this file is there; without it always
  --pin PIN              it has this PIN
  --without-hmac-secret  it lacks the extension
  --patience SECONDS     how long it waits to be touched [30]";

fn settings() -> anyhow::Result<Settings> {
    let mut settings = Settings::default();
    let mut secret = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .with_context(|| format!("{argument} takes a value"))
        };
        match argument.as_str() {
            "--secret" => secret = Some(PathBuf::from(value()?)),
            "--button" => settings.button = Some(PathBuf::from(value()?)),
            "--pin" => settings.pin = Some(value()?),
            "--patience" => settings.patience = std::time::Duration::from_secs(value()?.parse()?),
            "--without-hmac-secret" => settings.hmac_secret = false,
            other => bail!("no such argument: {other}\n{USAGE}"),
        }
    }
    settings.secret = key::secret(&secret.context(USAGE)?)?;
    Ok(settings)
}

fn main() -> anyhow::Result<()> {
    let device = uhid::Device::create()?;
    hid::serve(&device, &mut Authenticator::new(settings()?))
}
