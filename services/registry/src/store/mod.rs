//! The model store: an OCI image layout that only this process writes, and the one place where a model's file is opened.
//!
//! Everything is content-addressed; `index.json` alone says which models exist, and replacing it is the one step that makes
//! a model exist or not. It trusts no byte that it did not hash itself, and believes about a model what its signed
//! statement says. Nothing here decides whether a model may come in, and nothing here talks to anybody.

mod bytes;
mod change;
mod directory;
mod load;
mod model;
pub mod name;
mod oci;
mod opening;
mod seal;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use holdfast_contract::Digest;
use holdfast_contract::registry::{ModelDetail, ModelSummary};
use holdfast_statement::{VerifyError, Vkey};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use bytes::{BytesError, Watch};
pub use change::{Addition, Received, Removal};
pub use load::{Reconciled, Undone, Withheld};
pub use model::{Damage, Model, Trust};
pub use opening::Shut;
pub use seal::Stamp;

use directory::Directory;
use oci::{Descriptor, Index};

/// The most models in a store, whatever the configuration says.
pub const MOST_MODELS: usize = 1024;

/// File names in the root of the store.
const INDEX: &str = "index.json";
/// The index that is about to take the place of [`INDEX`].
const NEXT_INDEX: &str = "index.json.next";

/// Why the store did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("{action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The artifact could not be copied.
    #[error(transparent)]
    Bytes(#[from] BytesError),
    /// Another process uses the store.
    #[error("another process uses the store")]
    Locked,
    /// There are blobs but no index.
    #[error(
        "index.json is missing although there are blobs: restore it, or empty the directory to start anew"
    )]
    IndexMissing,
    /// The index is not one.
    #[error("index.json is not an OCI image index as this registry writes it: restore it")]
    IndexUnreadable(#[source] serde_json::Error),
    /// The artifact is not the one that was inspected.
    #[error("the artifact has the digest {found}, the statement is about {expected}")]
    OtherBytes {
        /// What the statement says.
        expected: Digest,
        /// What the bytes give.
        found: Digest,
    },
    /// The descriptor reads something else than a file.
    #[error("the artifact is not a regular file that can be read")]
    NotAFile,
    /// There is no room for another model.
    #[error("the store holds {0} models, which is the most it takes")]
    TooMany(usize),
    /// A statement of the store does not verify any more.
    #[error("the statement of a model in the store does not verify")]
    Statement(#[from] VerifyError),
    /// A document could not be written as JSON.
    #[error("write a document as JSON")]
    Json(#[from] serde_json::Error),
}

impl StoreError {
    /// Whether the device is full, or the user's part of it.
    pub fn is_full(&self) -> bool {
        let (Self::Io { source, .. } | Self::Bytes(BytesError::Write(source))) = self else {
            return false;
        };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// Says what was being done when the file system refused.
trait During<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { action, source })
    }
}

/// The points at which the process may end or the file system fail without leaving more than litter. Each names what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named for the action before which it stands")]
pub enum Step {
    CreateDraft,
    CopyBytes,
    FinishDraft,
    PublishFile,
    WriteSeal,
    WriteDocuments,
    SyncBlobs,
    WriteNextIndex,
    ReplaceIndex,
    RemoveBlobs,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 10] = [
        Self::CreateDraft,
        Self::CopyBytes,
        Self::FinishDraft,
        Self::PublishFile,
        Self::WriteSeal,
        Self::WriteDocuments,
        Self::SyncBlobs,
        Self::WriteNextIndex,
        Self::ReplaceIndex,
        Self::RemoveBlobs,
    ];
}

/// Called before each step. The tests make it fail, or end the process.
pub type OnStep = Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>;

/// The store.
pub struct Store {
    root: Directory,
    blobs: Directory,
    seals: Directory,
    catalogue: RwLock<Catalogue>,
    /// Held by whoever is about to replace the index.
    turn: Arc<Mutex<()>>,
    trusted: Vec<Vkey>,
    max_models: usize,
    on_step: OnStep,
}

/// What the index says, held in memory.
#[derive(Default)]
struct Catalogue {
    models: BTreeMap<Digest, Arc<Model>>,
    /// Entries that cannot be served, by manifest. They keep their blobs, and their place in the index.
    withheld: BTreeMap<Digest, Withheld>,
    /// Whether names of models are taken, without regard to case.
    names: HashSet<String>,
}

/// The right to replace the index; only one exists at a time.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

impl Store {
    /// Opens the store in the directory at `path`, makes it where there is none, and clears away what an earlier run left
    /// half-done. `trusted` are the keys whose statements are believed.
    ///
    /// # Errors
    ///
    /// When another process uses it, its index is missing or unreadable, or the file system refuses.
    pub fn open(path: &Path, trusted: Vec<Vkey>) -> Result<(Self, Reconciled), StoreError> {
        Self::open_with_steps(path, trusted, Arc::new(|_| Ok(())))
    }

    /// Like [`Store::open`], with `on_step` called before each step of a change.
    ///
    /// # Errors
    ///
    /// Like [`Store::open`].
    pub fn open_with_steps(
        path: &Path,
        trusted: Vec<Vkey>,
        on_step: OnStep,
    ) -> Result<(Self, Reconciled), StoreError> {
        load::load(path, trusted, on_step)
    }

    /// The same store, taking at most `max_models` models.
    #[must_use]
    pub fn limited_to(self, max_models: usize) -> Self {
        Self {
            max_models: max_models.min(MOST_MODELS),
            ..self
        }
    }

    fn step(&self, step: Step) -> Result<(), StoreError> {
        (self.on_step)(step).during("take the next step")
    }

    /// The models, by name.
    pub fn models(&self) -> Vec<ModelSummary> {
        let mut models: Vec<_> = self
            .catalogue()
            .models
            .values()
            .map(|model| model.summary())
            .collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        models
    }

    /// How many models there are, how many bytes their files have together, and how many entries are withheld.
    pub fn totals(&self) -> (usize, u64, usize) {
        let catalogue = self.catalogue();
        let bytes = catalogue.models.values().map(|model| model.size_bytes()).sum();
        (catalogue.models.len(), bytes, catalogue.withheld.len())
    }

    /// The model with `digest`.
    pub fn model(&self, digest: Digest) -> Option<Arc<Model>> {
        self.catalogue().models.get(&digest).cloned()
    }

    /// The models whose files have to be read before they can be opened.
    pub fn unverified(&self) -> Vec<Arc<Model>> {
        let catalogue = self.catalogue();
        catalogue
            .models
            .values()
            .filter(|model| model.trust() == Trust::Unverified)
            .cloned()
            .collect()
    }

    /// Everything that is known about a model. Its statement is read from the store and verified once more.
    ///
    /// # Errors
    ///
    /// When the statement cannot be read or does not verify.
    pub fn detail(&self, model: &Model) -> Result<ModelDetail, StoreError> {
        let envelope = self
            .blobs
            .read(&model.envelope.hex(), holdfast_statement::MAX_ENVELOPE_BYTES)
            .during("read a statement")?;
        let statement = holdfast_statement::verify(&envelope, &self.trusted)?;
        if statement.digest != model.digest() {
            return Err(StoreError::OtherBytes {
                expected: model.digest(),
                found: statement.digest,
            });
        }
        Ok(ModelDetail {
            summary: model.summary(),
            report: statement.report,
            manifest: model.manifest.digest,
            statement: model.envelope,
        })
    }

    /// Waits for the right to replace the index.
    pub async fn turn(&self) -> Turn {
        Turn(Arc::clone(&self.turn).lock_owned().await)
    }

    fn catalogue(&self) -> std::sync::RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_catalogue(&self) -> std::sync::RwLockWriteGuard<'_, Catalogue> {
        self.catalogue.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalogue {
    fn add(&mut self, model: Model) -> Arc<Model> {
        let model = Arc::new(model);
        self.names.insert(model.name().to_lowercase());
        self.models.insert(model.digest(), Arc::clone(&model));
        model
    }

    fn remove(&mut self, digest: Digest) {
        if let Some(model) = self.models.remove(&digest) {
            self.names.remove(&model.name().to_lowercase());
        }
    }

    /// The name of the model, or of the withheld entry, with this manifest.
    fn name_of(&self, manifest: Digest) -> String {
        let of_models = self.models.values().map(|model| &model.manifest);
        let of_withheld = self.withheld.values().flat_map(|withheld| &withheld.entries);
        let entry = of_models
            .chain(of_withheld)
            .find(|entry| entry.digest == manifest);
        entry.and_then(Descriptor::name).unwrap_or_default().to_owned()
    }

    /// The index entries in a stable order, without those of the manifest `but`, and with `and`.
    fn index(&self, but: Option<Digest>, and: Option<[&Descriptor; 2]>) -> Index {
        let mut entries: Vec<[&Descriptor; 2]> = self
            .models
            .values()
            .map(|model| [&model.manifest, &model.referrer])
            .collect();
        entries.extend(and);
        entries.retain(|[manifest, _]| Some(manifest.digest) != but);
        entries.sort_by_key(|[manifest, _]| manifest.name().unwrap_or_default().to_owned());
        let withheld = self
            .withheld
            .iter()
            .filter(|(manifest, _)| Some(**manifest) != but);
        let withheld = withheld.flat_map(|(_, withheld)| &withheld.entries);
        Index::new(entries.into_iter().flatten().chain(withheld).cloned().collect())
    }
}
