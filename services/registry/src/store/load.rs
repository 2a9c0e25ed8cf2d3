//! Start-up: the index is read, every model is believed again from its signed statement, and what an earlier run left
//! half-done is cleared away.
//!
//! An entry that cannot be believed is withheld: not served, not deleted, and nothing that might be its is collected.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, RwLock};

use holdfast_contract::limits::MAX_NAME_BYTES;
use holdfast_contract::registry::{Availability, ModelSummary};
use holdfast_contract::report::Verdict;
use holdfast_contract::{Digest, Timestamp};
use holdfast_statement::{MAX_ENVELOPE_BYTES, ScanStatement, Vkey};
use rustix::fs::Mode;

use crate::store::directory::Directory;
use crate::store::model::{Model, Trust};
use crate::store::oci::{self, Descriptor, Index};
use crate::store::seal::{MAX_SEAL_BYTES, Seal};
use crate::store::{Catalogue, During as _, INDEX, MOST_MODELS, NEXT_INDEX, OnStep, Store, StoreError};

/// Mode of blobs: nobody writes, and whoever is handed a descriptor may open it again by `/proc/self/fd`.
pub const BLOB_MODE: Mode = Mode::from_raw_mode(0o444);
/// Mode of the other files.
pub const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
/// The largest index, in bytes.
const MAX_INDEX_BYTES: usize = MOST_MODELS * 2 * 1024;
/// The largest manifest or configuration, in bytes.
const MAX_DOCUMENT_BYTES: usize = 64 << 10;
/// How many names of removed blobs are kept for the record.
const MAX_LISTED: usize = 32;

/// What start-up found half-done and dealt with.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// A change that was prepared but not carried out.
    pub undone: Option<Undone>,
    /// Drafts that were removed.
    pub drafts: u64,
    /// Blobs that belonged to no model and were removed; at most 32 of them are named.
    pub blobs: Vec<Digest>,
    /// How many blobs were removed.
    pub blobs_removed: u64,
    /// Entries that are not served, by manifest.
    pub withheld: Vec<(Digest, String)>,
}

/// A change that was prepared but not carried out. The ledger may hold an entry that says it was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// `admission` or `removal`.
    pub change: &'static str,
    /// The model's name.
    pub name: String,
    /// The model's manifest.
    pub manifest: Digest,
}

impl Reconciled {
    /// Whether nothing was half-done.
    pub fn is_empty(&self) -> bool {
        self.undone.is_none() && self.drafts == 0 && self.blobs_removed == 0 && self.withheld.is_empty()
    }
}

/// Index entries that are not served.
#[derive(Debug)]
pub struct Withheld {
    /// The entries, as they stand in the index.
    pub(super) entries: Vec<Descriptor>,
}

/// Why an index entry is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unbelievable {
    Foreign,
    NoStatement,
    Unreadable,
    Statement,
    Verdict,
    Twice,
}

impl fmt::Display for Unbelievable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "the entry is not one that this registry writes",
            Self::NoStatement => "no scan statement refers to it",
            Self::Unreadable => "one of its documents is missing or was changed",
            Self::Statement => {
                "its scan statement is not signed by a key that is trusted here, or is about another file"
            }
            Self::Verdict => "its scan statement refuses it",
            Self::Twice => "another entry has the same file or the same name",
        })
    }
}

/// Opens the store; see [`Store::open`].
pub fn load(path: &Path, trusted: Vec<Vkey>, on_step: OnStep) -> Result<(Store, Reconciled), StoreError> {
    let root = Directory::open(path).during("open the store")?;
    root.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StoreError::Locked,
        _ => StoreError::Io {
            action: "lock the store",
            source: error,
        },
    })?;
    let algorithms = root.beneath("blobs").during("make the directory for blobs")?;
    let blobs = algorithms
        .beneath("sha256")
        .during("make the directory for blobs")?;
    let seals = root.beneath("seals").during("make the directory for seals")?;
    let mut reconciled = Reconciled::default();
    lay_out(&root, &blobs).during("lay out the store")?;
    let index = read_index(&root, &blobs, &mut reconciled)?;
    let store = Store {
        root,
        blobs,
        seals,
        catalogue: RwLock::default(),
        turn: Arc::default(),
        trusted,
        max_models: MOST_MODELS,
        on_step,
    };
    store.stock(index, &mut reconciled)?;
    store.clear_away(&mut reconciled)?;
    Ok((store, reconciled))
}

/// Writes the two files of the layout that never change, where they are missing.
fn lay_out(root: &Directory, blobs: &Directory) -> io::Result<()> {
    let empty = oci::digest_of(oci::EMPTY_JSON).hex();
    if blobs.read(&empty, 2).ok().as_deref() != Some(oci::EMPTY_JSON) {
        blobs.write(&empty, oci::EMPTY_JSON, BLOB_MODE)?;
        blobs.sync()?;
    }
    if root.read("oci-layout", oci::LAYOUT.len()).ok().as_deref() != Some(oci::LAYOUT) {
        root.write("oci-layout", oci::LAYOUT, FILE_MODE)?;
        root.sync()?;
    }
    Ok(())
}

/// Reads the index, or starts an empty store. A prepared index is not carried out: whether it was recorded is not known here.
fn read_index(root: &Directory, blobs: &Directory, reconciled: &mut Reconciled) -> Result<Index, StoreError> {
    let parse = |bytes: Vec<u8>| serde_json::from_slice::<Index>(&bytes);
    let index = match root.read(INDEX, MAX_INDEX_BYTES) {
        Ok(bytes) => parse(bytes).map_err(StoreError::IndexUnreadable)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut finished = 0_usize;
            let empty = oci::digest_of(oci::EMPTY_JSON).hex();
            blobs
                .names(|name| finished += usize::from(!Directory::is_draft(name) && name != empty))
                .during("list the blobs")?;
            if finished > 0 {
                return Err(StoreError::IndexMissing);
            }
            let empty = Index::new(Vec::new());
            let bytes = serde_json::to_vec(&empty)?;
            root.write(INDEX, &bytes, FILE_MODE)
                .and_then(|()| root.sync())
                .during("start the store")?;
            empty
        }
        Err(source) => {
            return Err(StoreError::Io {
                action: "read index.json",
                source,
            });
        }
    };
    if let Ok(next) = root.read(NEXT_INDEX, MAX_INDEX_BYTES) {
        reconciled.undone = parse(next).ok().and_then(|next| undone(&index, &next));
    }
    root.remove(NEXT_INDEX).during("remove a prepared index")?;
    Ok(index)
}

fn undone(index: &Index, next: &Index) -> Option<Undone> {
    let missing = |from: &Index, of: &Index, change| {
        let found = of
            .manifests
            .iter()
            .find(|entry| entry.is_model() && !from.manifests.contains(entry))?;
        Some(Undone {
            change,
            name: found.name().unwrap_or_default().to_owned(),
            manifest: found.digest,
        })
    };
    missing(index, next, "admission").or_else(|| missing(next, index, "removal"))
}

impl Store {
    /// Puts the models of the index on the catalogue, or withholds them.
    fn stock(&self, index: Index, reconciled: &mut Reconciled) -> Result<(), StoreError> {
        let mut catalogue = self.change_catalogue();
        let mut referrers = HashMap::new();
        let mut others = BTreeMap::new();
        let mut manifests = Vec::new();
        for entry in index.manifests {
            if entry.is_model() {
                manifests.push(entry);
                continue;
            }
            match self.document(&entry).during("read a statement's manifest")? {
                Some(bytes) if entry.is_statement() => match oci::subject_of(&bytes) {
                    Some(subject) => drop(referrers.insert(subject, (entry, bytes))),
                    None => drop(others.insert(entry.digest, entry)),
                },
                _ => drop(others.insert(entry.digest, entry)),
            }
        }
        for manifest in manifests {
            let referrer = referrers.remove(&manifest.digest);
            let mut entries = vec![manifest.clone()];
            entries.extend(referrer.as_ref().map(|(entry, _)| entry.clone()));
            match self.believe(manifest, referrer, &catalogue)? {
                Ok(model) => drop(catalogue.add(model)),
                Err(why) => withhold(&mut catalogue, reconciled, entries, why),
            }
        }
        let orphans = referrers.into_values().map(|(entry, _)| entry);
        for entry in orphans.chain(others.into_values()) {
            withhold(&mut catalogue, reconciled, vec![entry], Unbelievable::Foreign);
        }
        Ok(())
    }

    /// The model of an index entry, as its statement tells, or why it cannot be believed.
    fn believe(
        &self,
        manifest: Descriptor,
        referrer: Option<(Descriptor, Vec<u8>)>,
        catalogue: &Catalogue,
    ) -> Result<Result<Model, Unbelievable>, StoreError> {
        let Some((referrer, referrer_bytes)) = referrer else {
            return Ok(Err(Unbelievable::NoStatement));
        };
        let Some(bytes) = self.document(&manifest).during("read a manifest")? else {
            return Ok(Err(Unbelievable::Unreadable));
        };
        let Some(recovered) = oci::recover(&manifest, &bytes, &referrer_bytes) else {
            return Ok(Err(Unbelievable::Unreadable));
        };
        let envelope = self
            .small(recovered.envelope, MAX_ENVELOPE_BYTES)
            .during("read a statement")?;
        let config = self
            .small(recovered.config, MAX_DOCUMENT_BYTES)
            .during("read a configuration")?;
        let (Some(envelope), Some(_)) = (envelope, config) else {
            return Ok(Err(Unbelievable::Unreadable));
        };
        let statement = match holdfast_statement::verify(&envelope, &self.trusted) {
            Ok(statement) if statement.digest == recovered.weights => statement,
            _ => return Ok(Err(Unbelievable::Statement)),
        };
        if statement.report.verdict == Verdict::Refuse || statement.report.size_bytes != recovered.size_bytes
        {
            return Ok(Err(Unbelievable::Verdict));
        }
        let name = manifest.name().unwrap_or_default().to_owned();
        let is_new = !catalogue.models.contains_key(&statement.digest)
            && !catalogue.names.contains(&name.to_lowercase());
        if !is_new || name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Ok(Err(Unbelievable::Twice));
        }
        let trust = self.recall(statement.digest);
        let summary = summary_of(&statement, name, recovered.admitted_at);
        Ok(Ok(Model::new(
            summary,
            manifest,
            referrer,
            recovered.envelope,
            recovered.config,
            trust,
        )))
    }

    /// The seal of an earlier run, where it still holds.
    fn recall(&self, digest: Digest) -> Trust {
        let recalled = || {
            let bytes = self.seals.read(&digest.hex(), MAX_SEAL_BYTES).ok()?;
            let seal: Seal = serde_json::from_slice(&bytes).ok()?;
            let file = self.blobs.read_only(&digest.hex()).ok()?;
            seal.holds(file, digest).ok()?.then_some(Trust::Sealed(seal))
        };
        recalled().unwrap_or(Trust::Unverified)
    }

    fn document(&self, entry: &Descriptor) -> io::Result<Option<Vec<u8>>> {
        self.small(entry.digest, MAX_DOCUMENT_BYTES)
    }

    /// A small blob, or `None` when it is missing or is not what its name says.
    fn small(&self, digest: Digest, max: usize) -> io::Result<Option<Vec<u8>>> {
        match self.blobs.read(&digest.hex(), max) {
            Ok(bytes) => Ok((oci::digest_of(&bytes) == digest).then_some(bytes)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput
                ) =>
            {
                Ok(None)
            }
            // A device that fails today may work tomorrow: nothing is concluded from it.
            Err(error) => Err(error),
        }
    }

    /// Removes drafts, blobs of no model, and seals of no model.
    fn clear_away(&self, reconciled: &mut Reconciled) -> Result<(), StoreError> {
        let catalogue = self.catalogue();
        let mut drafts = Vec::new();
        let mut unneeded = Vec::new();
        let needed: HashSet<Digest> = catalogue
            .models
            .values()
            .flat_map(|model| model.blobs())
            .collect();
        let keep_all = !catalogue.withheld.is_empty();
        self.blobs
            .names(|name| match format!("sha256:{name}").parse::<Digest>() {
                Ok(digest) if needed.contains(&digest) || keep_all => {}
                Ok(digest) if digest == oci::digest_of(oci::EMPTY_JSON) => {}
                Ok(digest) => unneeded.push(digest),
                Err(_) if Directory::is_draft(name) => drafts.push(name.to_owned()),
                Err(_) => tracing::warn!(name, "a file in the store is not the store's; it is left alone"),
            })
            .during("list the blobs")?;
        for digest in &unneeded {
            self.blobs.remove(&digest.hex()).during("remove a blob")?;
        }
        for name in &drafts {
            self.blobs.remove(name).during("remove a draft")?;
        }
        reconciled.drafts = drafts.len() as u64 + clear(&self.root, Directory::is_draft)?;
        reconciled.blobs_removed = unneeded.len() as u64;
        unneeded.truncate(MAX_LISTED);
        reconciled.blobs = unneeded;
        if !keep_all {
            let sealed: HashSet<String> = catalogue.models.keys().map(Digest::hex).collect();
            clear(&self.seals, |name| !sealed.contains(name))?;
        }
        Ok(())
    }
}

/// Removes the files whose name `is_litter` and says how many they were.
fn clear(directory: &Directory, is_litter: impl Fn(&str) -> bool) -> Result<u64, StoreError> {
    let mut litter = Vec::new();
    directory
        .names(|name| {
            if is_litter(name) {
                litter.push(name.to_owned());
            }
        })
        .during("list the store")?;
    for name in &litter {
        directory.remove(name).during("remove litter")?;
    }
    Ok(litter.len() as u64)
}

fn withhold(
    catalogue: &mut Catalogue,
    reconciled: &mut Reconciled,
    entries: Vec<Descriptor>,
    why: Unbelievable,
) {
    let Some(first) = entries.first() else { return };
    tracing::warn!(manifest = %first.digest, %why, "an entry of the store is withheld");
    reconciled.withheld.push((first.digest, why.to_string()));
    catalogue.withheld.insert(first.digest, Withheld { entries });
}

/// What is said about a model that was admitted at `admitted_at`.
pub fn summary_of(statement: &ScanStatement, name: String, admitted_at: Timestamp) -> ModelSummary {
    let report = &statement.report;
    ModelSummary {
        digest: statement.digest,
        name,
        size_bytes: report.size_bytes,
        format: report.format.clone(),
        verdict: report.verdict,
        conditions: report.conditions.clone(),
        model: report.model.clone(),
        admitted_at,
        availability: Availability::Ready,
    }
}
