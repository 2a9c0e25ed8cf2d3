//! Changing which models exist. Everything is prepared and durable before the change; the change itself is one rename of the index.
//!
//! Between preparing and carrying out, the caller records the decision. A change that is dropped before it is carried out
//! leaves nothing; one that a crash interrupts is undone at the next start, which says so.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use holdfast_contract::registry::ModelSummary;
use holdfast_contract::{Digest, Timestamp};
use holdfast_statement::ScanStatement;
use rustix::fs::{FallocateFlags, FileType, OFlags, fallocate, fcntl_getfl, fstat};
use rustix::io::{Errno, retry_on_intr};

use crate::store::bytes::{self, Watch};
use crate::store::directory::Finished;
use crate::store::load::{BLOB_MODE, FILE_MODE, summary_of};
use crate::store::model::{Model, Trust};
use crate::store::oci::{self, Index};
use crate::store::seal::{Seal, enable_verity};
use crate::store::{During as _, INDEX, NEXT_INDEX, Step, Store, StoreError, Turn, name};

/// An artifact in the store's file system: durable, not writable any more, and of the digest that its statement names. No model
/// yet; dropped, it is removed.
#[derive(Debug)]
pub struct Received {
    digest: Digest,
    file: OwnedFd,
    finished: Finished,
}

impl Store {
    /// Copies the artifact that `source` reads, and verifies that it is the one that `statement` is about.
    ///
    /// # Errors
    ///
    /// When `source` is no readable file, has other bytes, or there is no room.
    pub fn receive(
        &self,
        source: OwnedFd,
        statement: &ScanStatement,
        watch: &Watch,
    ) -> Result<Received, StoreError> {
        if !is_readable_file(&source) {
            return Err(StoreError::NotAFile);
        }
        let source = File::from(source);
        let size = statement.report.size_bytes;
        self.step(Step::CreateDraft)?;
        let draft = self.blobs.draft().during("create a draft")?;
        reserve(draft.file(), size).during("reserve room for the artifact")?;
        self.step(Step::CopyBytes)?;
        let found = bytes::copy(&source, draft.file(), size, watch)?;
        if found != statement.digest {
            return Err(StoreError::OtherBytes {
                expected: statement.digest,
                found,
            });
        }
        self.step(Step::FinishDraft)?;
        let finished = draft.finish(BLOB_MODE).during("make the copy durable")?;
        let file = finished.read_only().during("open the copy")?;
        enable_verity(&file);
        Ok(Received {
            digest: found,
            file,
            finished,
        })
    }

    /// Prepares that the received artifact becomes a model. `statement` is what `envelope` states.
    ///
    /// # Errors
    ///
    /// When the store is full in one sense or the other, or the file system refuses.
    pub fn prepare_addition(
        self: &Arc<Self>,
        turn: Turn,
        received: Received,
        statement: &ScanStatement,
        envelope: &str,
        now: Timestamp,
    ) -> Result<Addition, StoreError> {
        let name = {
            let catalogue = self.catalogue();
            if catalogue.models.len() + catalogue.withheld.len() >= self.max_models {
                return Err(StoreError::TooMany(self.max_models));
            }
            name::for_file(&statement.name, |name| {
                catalogue.names.contains(&name.to_lowercase())
            })
        };
        let documents = oci::describe(statement, envelope, &name, now)?;
        // From here on, dropping `undo` removes what was published.
        let mut undo = Undo {
            store: Arc::clone(self),
            published: vec![received.digest],
            seal: received.digest,
        };
        let seal = self.publish(received)?;
        self.step(Step::WriteDocuments)?;
        for (digest, bytes) in &documents.blobs {
            undo.published.push(*digest);
            self.blobs
                .write(&digest.hex(), bytes, BLOB_MODE)
                .during("write a document")?;
        }
        self.step(Step::SyncBlobs)?;
        self.blobs
            .sync()
            .and_then(|()| self.seals.sync())
            .during("make the model durable")?;
        let index = self
            .catalogue()
            .index(None, Some([&documents.model, &documents.statement]));
        self.write_next(&index)?;
        let config = documents
            .blobs
            .first()
            .map_or(documents.envelope, |(digest, _)| *digest);
        let model = Model::new(
            summary_of(statement, name, now),
            documents.model,
            documents.statement,
            documents.envelope,
            config,
            Trust::Sealed(seal),
        );
        Ok(Addition { model, undo, turn })
    }

    /// Puts a received artifact in the place of the damaged file of `model`, which has the same digest.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn repair(&self, model: &Model, received: Received) -> Result<ModelSummary, StoreError> {
        let seal = self.publish(received)?;
        self.blobs
            .sync()
            .and_then(|()| self.seals.sync())
            .during("make the model durable")?;
        model.set_trust(Trust::Sealed(seal));
        Ok(model.summary())
    }

    /// Prepares that a model, or an entry that is withheld, ceases to exist. `digest` is the model's, or the entry's manifest.
    ///
    /// # Errors
    ///
    /// When the file system refuses. `Ok(None)` when there is no such thing.
    pub fn prepare_removal(
        self: &Arc<Self>,
        turn: Turn,
        digest: Digest,
    ) -> Result<Option<Removal>, StoreError> {
        let (manifest, index, name) = {
            let catalogue = self.catalogue();
            let manifest = match catalogue.models.get(&digest) {
                Some(model) => model.manifest.digest,
                None if catalogue.withheld.contains_key(&digest) => digest,
                None => return Ok(None),
            };
            (
                manifest,
                catalogue.index(Some(manifest), None),
                catalogue.name_of(manifest),
            )
        };
        self.write_next(&index)?;
        Ok(Some(Removal {
            store: Arc::clone(self),
            digest,
            manifest,
            name,
            _turn: turn,
            done: false,
        }))
    }

    fn publish(&self, received: Received) -> Result<Seal, StoreError> {
        let hex = received.digest.hex();
        self.step(Step::PublishFile)?;
        received.finished.publish(&hex).during("give the copy its name")?;
        // The rename changed the file's change time; only now can the seal be taken.
        let seal = Seal::new(received.file.as_fd(), received.digest).during("seal the model's file")?;
        self.step(Step::WriteSeal)?;
        self.write_seal(received.digest, &seal)?;
        Ok(seal)
    }

    pub(super) fn write_seal(&self, digest: Digest, seal: &Seal) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(seal)?;
        self.seals
            .write(&digest.hex(), &bytes, FILE_MODE)
            .during("write a seal")
    }

    fn write_next(&self, index: &Index) -> Result<(), StoreError> {
        self.step(Step::WriteNextIndex)?;
        let bytes = serde_json::to_vec(index)?;
        self.root
            .write(NEXT_INDEX, &bytes, FILE_MODE)
            .and_then(|()| self.root.sync())
            .during("prepare the next index")
    }

    /// The one step that changes which models exist.
    fn replace_index(&self) -> Result<(), StoreError> {
        self.step(Step::ReplaceIndex)?;
        self.root.rename(NEXT_INDEX, INDEX).during("replace the index")
    }

    fn forget_next(&self) {
        if let Err(error) = self.root.remove(NEXT_INDEX) {
            tracing::warn!(%error, "a prepared index was not removed; the next start removes it");
        }
    }
}

/// A model that is about to exist.
#[derive(Debug)]
pub struct Addition {
    model: Model,
    undo: Undo,
    turn: Turn,
}

impl Addition {
    /// What will be said about the model.
    pub fn summary(&self) -> ModelSummary {
        self.model.summary()
    }

    /// Makes the model exist.
    ///
    /// # Errors
    ///
    /// When the index cannot be replaced: the model does not exist then.
    pub fn carry_out(self) -> Result<Arc<Model>, StoreError> {
        let Self {
            model,
            mut undo,
            turn,
        } = self;
        let store = Arc::clone(&undo.store);
        store.replace_index()?;
        undo.published.clear();
        let model = store.change_catalogue().add(model);
        drop(undo);
        drop(turn);
        store.root.sync().during("make the index durable")?;
        Ok(model)
    }
}

/// Removes what was published for a model that does not come to exist.
struct Undo {
    store: Arc<Store>,
    published: Vec<Digest>,
    seal: Digest,
}

impl std::fmt::Debug for Undo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Undo")
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if self.published.is_empty() {
            return;
        }
        let store = &self.store;
        store.forget_next();
        store.discard(&self.published, self.seal);
    }
}

impl Store {
    /// Removes blobs that belong to no model, and the seal of a model that is not there. What cannot be removed now is removed
    /// at the next start.
    fn discard(&self, blobs: &[Digest], seal: Digest) {
        let catalogue = self.catalogue();
        for digest in blobs {
            // While an entry is withheld nothing is collected, but these were published by this process.
            let belongs = catalogue
                .models
                .values()
                .any(|model| model.blobs().contains(digest));
            if !belongs && *digest != oci::digest_of(oci::EMPTY_JSON) {
                warn_of(self.blobs.remove(&digest.hex()));
            }
        }
        if !catalogue.models.contains_key(&seal) {
            warn_of(self.seals.remove(&seal.hex()));
        }
        warn_of(self.blobs.sync());
    }
}

fn warn_of(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a blob of no model was not removed; the next start removes it");
    }
}

/// A model that is about to cease to exist.
pub struct Removal {
    store: Arc<Store>,
    digest: Digest,
    manifest: Digest,
    name: String,
    _turn: Turn,
    done: bool,
}

impl Removal {
    /// The name that the model or the entry has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the model cease to exist. Who has its file open keeps it.
    ///
    /// # Errors
    ///
    /// When the index cannot be replaced: the model still exists then.
    pub fn carry_out(mut self) -> Result<(), StoreError> {
        self.store.replace_index()?;
        self.done = true;
        let blobs = {
            let mut catalogue = self.store.change_catalogue();
            catalogue.withheld.remove(&self.manifest);
            let blobs = catalogue.models.get(&self.digest).map(|model| model.blobs());
            catalogue.remove(self.digest);
            blobs
        };
        self.store.root.sync().during("make the index durable")?;
        self.store.step(Step::RemoveBlobs)?;
        if let Some(blobs) = blobs {
            self.store.discard(&blobs, self.digest);
        }
        Ok(())
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        if !self.done {
            self.store.forget_next();
        }
    }
}

fn is_readable_file(source: &OwnedFd) -> bool {
    let is_file =
        fstat(source).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let readable = fcntl_getfl(source).is_ok_and(|flags| {
        let mode = flags & OFlags::RWMODE;
        mode == OFlags::RDONLY || mode == OFlags::RDWR
    });
    is_file && readable
}

/// Takes the room for `size` bytes now, so that a full device is found out before the bytes are read.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    if size == 0 {
        return Ok(());
    }
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, size)) {
        // Not every file system can reserve; then the copy finds out.
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
