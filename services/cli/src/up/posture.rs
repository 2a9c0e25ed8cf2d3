//! What evaluation mode lacks, said plainly.

use std::path::Path;

use holdfast_contract::status::{Mode, Posture};

use super::identities::Identities;

/// The file, relative to the state directory.
pub const FILE: &str = "run/posture.json";

/// The posture of this machine in evaluation mode.
pub fn evaluation(identities: &Identities) -> Posture {
    let mut weaknesses = vec![
        "no TPM is used: nothing is measured or attested".to_owned(),
        "the vault is a directory and is not encrypted".to_owned(),
        "the signing keys lie unencrypted in the state directory".to_owned(),
        "no control groups: the memory and processor limits of the units are not enforced".to_owned(),
        "the host is not Holdfast's: whoever is root here can change everything".to_owned(),
    ];
    if !identities.are_distinct() {
        weaknesses.push(
            "all services run as one user: sockets and state are kept apart by each service's sandbox, \
             not by file permissions (start as root for a user per service)"
                .to_owned(),
        );
    }
    Posture {
        mode: Mode::Evaluation,
        weaknesses,
    }
}

/// Writes it where services and commands read it.
///
/// # Errors
///
/// When it cannot be written.
pub fn publish(posture: &Posture) -> anyhow::Result<()> {
    let path = Path::new(FILE);
    super::identities::write_atomically(path, &serde_json::to_vec(posture)?)?;
    super::layout::readable(path)?;
    Ok(())
}
