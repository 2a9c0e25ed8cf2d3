//! The keys that services are given. They are made once, at first start, and never leave the machine.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use holdfast_statement::StatementKey;
use zeroize::Zeroizing;

use super::executor::{Owner, give};
use super::layout::make_directory;
use super::plan::ServicePlan;

/// The file of the set-up token.
const SETUP_TOKEN: &str = "setup-token";

/// Signing keys: file, public file, name in the public key's text.
const KEYS: [(&str, &str, &str); 2] = [
    ("ledger-key", "ledger.pub", "holdfast/ledger"),
    ("statement-key", "statement.pub", "holdfast/quarantine"),
];

/// Makes the keys that are missing in `directory`. Public halves are always written anew from the secret ones.
///
/// # Errors
///
/// When the directory cannot be written or there is no randomness.
pub fn create_missing(directory: &Path) -> anyhow::Result<()> {
    make_directory(directory, 0o700)?;
    for (secret, public, name) in KEYS {
        let path = directory.join(secret);
        if !path.exists() {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(seed.as_mut()).context("draw random bytes for a key")?;
            write(&path, seed.as_ref(), 0o600)?;
        }
        let seed = Zeroizing::new(std::fs::read(&path).with_context(|| format!("read {}", path.display()))?);
        let key = StatementKey::from_seed(name, &seed).with_context(|| format!("use {}", path.display()))?;
        write(
            &directory.join(public),
            format!("{}\n", key.vkey()).as_bytes(),
            0o644,
        )?;
    }
    Ok(())
}

/// Draws a set-up token if there is none. It lets somebody choose a passphrase once; after that it opens nothing.
///
/// # Errors
///
/// When it cannot be written or there is no randomness.
pub fn create_missing_setup_token(directory: &Path) -> anyhow::Result<()> {
    if directory.join(SETUP_TOKEN).exists() {
        return Ok(());
    }
    renew_setup_token(directory).map(drop)
}

/// Reads the set-up token.
///
/// # Errors
///
/// When it cannot be read.
pub fn read_setup_token(directory: &Path) -> anyhow::Result<Zeroizing<String>> {
    let path = directory.join(SETUP_TOKEN);
    let token = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(Zeroizing::new(token))
}

/// Draws a new set-up token: 160 random bits in base 32, which a person can type.
///
/// # Errors
///
/// When it cannot be written or there is no randomness.
pub fn renew_setup_token(directory: &Path) -> anyhow::Result<Zeroizing<String>> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut()).context("draw random bytes for the set-up token")?;
    let token: Zeroizing<String> = Zeroizing::new(
        random
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
            .collect(),
    );
    write(&directory.join(SETUP_TOKEN), token.as_bytes(), 0o600)?;
    Ok(token)
}

/// Copies the credentials of `service` to where only it can read them, and returns that directory.
///
/// # Errors
///
/// When one is missing.
pub fn provide(service: &ServicePlan, owner: Option<Owner>) -> anyhow::Result<Option<String>> {
    if service.credentials.is_empty() {
        return Ok(None);
    }
    make_directory(Path::new("run/credentials"), 0o711)?;
    let directory = format!("run/credentials/{}", service.name);
    let path = Path::new(&directory);
    // The service may read them by way of its group; directory and files stay root's, so that it cannot put something else
    // in their place.
    let group = owner.map(|owner| Owner {
        uid: 0,
        gid: owner.gid,
    });
    make_directory(path, if group.is_some() { 0o710 } else { 0o700 })?;
    give(path, group)?;
    for (name, from) in &service.credentials {
        let bytes = Zeroizing::new(
            std::fs::read(from).with_context(|| format!("credential {name} of {}", service.name))?,
        );
        let to = path.join(name);
        write(&to, &bytes, if group.is_some() { 0o440 } else { 0o400 })?;
        give(&to, group)?;
    }
    Ok(Some(directory))
}

/// Replaces a file that only its owner may read, without a moment in which another could.
fn write(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(bytes)?;
        // The umask may have taken the group's right away.
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    written().with_context(|| format!("write {}", path.display()))
}
