//! `holdfast-vault-volume`: one request on standard input, one answer back, end.
//!
//! `holdfast-vault-volume --release`: while the machine is being turned off, whoever waits for a locked volume gets errors instead.
//!
//! It runs as root with the right to map devices, the vault's partition, the TPM and security keys, for as long as one change takes. Whoever serves
//! sockets (`holdfast-vault`) has none of that. The supervisor starts it for each connection to a socket that only `holdfast-vault`
//! can reach.

mod answer;
mod asker;
mod counter;
mod destroy;
mod firmware;
mod header;
mod hid;
mod keys;
mod mapped;
mod measured;
mod programs;
mod raw;
mod recovery;
mod seal;
mod security_key;
mod turn;
mod volume;

use std::path::PathBuf;
use std::process::ExitCode;

use asker::Asker;
use volume::Volume;

fn main() -> ExitCode {
    holdfast_telemetry::init("vault-volume");
    raw::listen();
    let mut volume = Volume {
        device: PathBuf::from("/dev/disk/by-partlabel/holdfast-vault"),
        name: "holdfast-vault".to_owned(),
        public_key: PathBuf::from("/usr/share/holdfast/keys/vault.pub"),
        signature: PathBuf::from("/run/systemd/tpm2-pcr-signature.json"),
        hid_devices: PathBuf::from(security_key::DEVICES),
        tpm: PathBuf::from("/dev/tpmrm0"),
        firmware: firmware::on_the_appliance(),
        asker: Asker::default(),
    };
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [] => answer::converse(&mut volume),
        [only] if only == "--release" => volume.release(),
        _ => Err(anyhow::anyhow!("there is one argument, --release")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format_args!("{error:#}"), "not done");
            ExitCode::FAILURE
        }
    }
}
