//! Handing out a model's file, and reading it anew when the kernel says that it is not the one that was verified.
//!
//! Opening costs the same at any size. It never hands out a file that it has a doubt about: a doubt is a refusal until the
//! whole file was read again.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use holdfast_contract::Digest;

use crate::store::bytes::{self, BytesError, Watch};
use crate::store::model::{Damage, Model, Trust};
use crate::store::seal::{Seal, Stamp, enable_verity};
use crate::store::{During as _, Store, StoreError};

/// Longer than the tick in which kernels before 6.13 keep the time of a change.
const TICK: Duration = Duration::from_millis(20);

/// Why a model's file was not handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut {
    /// It is not the file that was verified, or none was: it has to be read anew first.
    Unverified,
    /// It is known not to be what was admitted.
    Damaged(Damage),
}

impl Store {
    /// Opens the model's file for reading only, if it is the one whose digest was verified. Costs the same at any size.
    ///
    /// # Errors
    ///
    /// When there is a doubt about the file. The model remembers it.
    pub fn open_model(&self, model: &Model) -> Result<OwnedFd, Shut> {
        let seal = match model.trust() {
            Trust::Sealed(seal) => seal,
            Trust::Unverified => return Err(Shut::Unverified),
            Trust::Damaged { damage, seen } => {
                let now = self
                    .blobs
                    .read_only(&model.digest().hex())
                    .and_then(Stamp::of)
                    .ok();
                if now == seen {
                    return Err(Shut::Damaged(damage));
                }
                // Somebody put another file there, or took the second name away.
                return Err(doubt(model));
            }
        };
        let file = match self.blobs.read_only(&model.digest().hex()) {
            Ok(file) => file,
            Err(error) => {
                let Some(damage) = damage_of(&error) else {
                    return Err(doubt(model));
                };
                model.set_trust(Trust::Damaged { damage, seen: None });
                return Err(Shut::Damaged(damage));
            }
        };
        match seal.holds(&file, model.digest()) {
            Ok(true) => Ok(file),
            Ok(false) | Err(_) => Err(doubt(model)),
        }
    }

    /// Reads the model's whole file and decides anew whether it can be trusted.
    ///
    /// # Errors
    ///
    /// When it was stopped, or the seal could not be written; the model is as it was then.
    pub fn verify(&self, model: &Model, watch: &Watch) -> Result<Trust, StoreError> {
        let trust = self.examine(model, watch)?;
        if let Trust::Sealed(seal) = &trust {
            self.write_seal(model.digest(), seal)?;
        } else {
            self.seals.remove(&model.digest().hex()).during("remove a seal")?;
        }
        model.set_trust(trust);
        Ok(trust)
    }

    fn examine(&self, model: &Model, watch: &Watch) -> Result<Trust, StoreError> {
        let damaged = |damage, seen| Ok(Trust::Damaged { damage, seen });
        let file = match self.blobs.read_only(&model.digest().hex()) {
            Ok(file) => File::from(file),
            Err(error) => match damage_of(&error) {
                Some(damage) => return damaged(damage, None),
                None => return Err(error).during("open a model's file"),
            },
        };
        settle(&file);
        let before = Stamp::of(&file).during("look at a model's file")?;
        if before.size_bytes() != model.size_bytes() {
            return damaged(Damage::Size, Some(before));
        }
        let found = match bytes::digest(&file, model.size_bytes(), watch) {
            Ok(found) => found,
            Err(BytesError::Shorter { .. } | BytesError::Longer { .. }) => {
                return damaged(Damage::Size, Some(before));
            }
            Err(BytesError::Read(_)) => return damaged(Damage::Unreadable, Some(before)),
            Err(error) => return Err(error.into()),
        };
        if found != model.digest() {
            return damaged(Damage::Content { found }, Some(before));
        }
        seal_anew(&file, before, found).during("seal a model's file")
    }
}

/// Seals a file that looked like `before` before it was found to have `digest`.
fn seal_anew(file: &File, before: Stamp, digest: Digest) -> io::Result<Trust> {
    if Stamp::of(file)? != before {
        // It changed while it was read: what was read proves nothing.
        return Ok(Trust::Unverified);
    }
    enable_verity(file);
    let seal = Seal::new(file, digest)?;
    if seal.is_verity() {
        return Ok(Trust::Sealed(seal));
    }
    if !before.has_one_name() {
        return Ok(Trust::Damaged {
            damage: Damage::Linked,
            seen: Some(before),
        });
    }
    Ok(if seal.has(&before) {
        Trust::Sealed(seal)
    } else {
        Trust::Unverified
    })
}

fn doubt(model: &Model) -> Shut {
    model.set_trust(Trust::Unverified);
    Shut::Unverified
}

/// What is wrong with the file, where the error says so. That this process has no descriptors left says nothing.
fn damage_of(error: &io::Error) -> Option<Damage> {
    match error.kind() {
        io::ErrorKind::NotFound => Some(Damage::Missing),
        // What `Directory::read_only` says of everything that is not a regular file.
        io::ErrorKind::InvalidInput => Some(Damage::NotAFile),
        _ => None,
    }
}

/// Waits until a change of the file would show in its change time.
fn settle(file: &File) {
    let changed = Stamp::of(file).ok().and_then(|stamp| stamp.changed_at());
    let is_recent = changed.is_some_and(|changed| {
        SystemTime::now()
            .duration_since(changed)
            .is_ok_and(|since| since < TICK)
    });
    if is_recent {
        std::thread::sleep(TICK);
    }
}
