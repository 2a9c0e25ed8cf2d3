//! Reading the published ledger: entries, proofs and raw tiles of a tree whose size is known.
//!
//! Nothing here trusts what it reads to be right, only to be bounded: whoever gets a proof or an entry checks it
//! against a signed checkpoint.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use holdfast_contract::ledger::{Entry, IndexedEntry};

use crate::bundle::{self, MAX_BUNDLE_BYTES};
use crate::checkpoint::Checkpoint;
use crate::entry::{self, EntryError};
use crate::hash::Hash;
use crate::proof::{self, Nodes};
use crate::storage::Storage;
use crate::tile::{HASH_BYTES, Kind, Tile, WIDTH};
use crate::tree;

/// Why the ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file that the tree must have is not there.
    #[error("{path} is missing")]
    Missing {
        /// Which file.
        path: String,
    },
    /// A file has another size or form than it must have.
    #[error("{path} is malformed")]
    Malformed {
        /// Which file.
        path: String,
    },
    /// The file system failed.
    #[error("read {path}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An entry is not what entries are.
    #[error("entry {index}")]
    Entry {
        /// Which.
        index: u64,
        /// Why.
        #[source]
        source: EntryError,
    },
}

/// The newest checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The signed note.
    pub note: String,
}

/// Reads the tiles of a tree of a given size. Keeps what it has read, so it is for one question at a time.
pub struct Tiles<'a> {
    storage: &'a dyn Storage,
    size: u64,
    kept: HashMap<(u8, u64), Vec<u8>>,
}

impl<'a> Tiles<'a> {
    /// Tiles of the tree with the first `size` entries.
    pub fn new(storage: &'a dyn Storage, size: u64) -> Self {
        Self {
            storage,
            size,
            kept: HashMap::new(),
        }
    }

    /// The tile or bundle at a place of this tree, as wide as this tree makes it.
    ///
    /// # Errors
    /// [`ReadError`] when the tree has nothing there, or it is not as it must be.
    pub fn load(&self, kind: Kind, index: u64) -> Result<Vec<u8>, ReadError> {
        let tile = Tile::of(kind, index, self.size).ok_or_else(|| ReadError::Missing {
            path: Tile {
                kind,
                index,
                width: WIDTH,
            }
            .path(),
        })?;
        load(self.storage, tile)
    }
}

impl Nodes for Tiles<'_> {
    type Error = ReadError;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, ReadError> {
        // Height 8 * level + rest: 2^rest neighbouring hashes of a tile at that level.
        let (level, rest) = (u8::try_from(height / 8).unwrap_or(u8::MAX), height % 8);
        let first = index << rest;
        let (tile, place) = (first >> 8, usize::try_from(first & 0xff).unwrap_or_default());
        if !self.kept.contains_key(&(level, tile)) {
            let bytes = self.load(Kind::Hashes { level }, tile)?;
            self.kept.insert((level, tile), bytes);
        }
        let hashes = self
            .kept
            .get(&(level, tile))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let range = hashes.get(place * HASH_BYTES..(place + (1 << rest)) * HASH_BYTES);
        let hashes: Option<Vec<Hash>> = range.map(hashes_of);
        hashes
            .and_then(|hashes| tree::root_of(&hashes, None))
            .ok_or_else(|| ReadError::Malformed {
                path: Tile {
                    kind: Kind::Hashes { level },
                    index: tile,
                    width: WIDTH,
                }
                .path(),
            })
    }
}

/// The hashes in a tile.
pub(crate) fn hashes_of(bytes: &[u8]) -> Vec<Hash> {
    bytes
        .chunks_exact(HASH_BYTES)
        .filter_map(|hash| hash.try_into().ok())
        .collect()
}

/// Reads a tile. Where a narrower one is asked for than there is by now, the start of the wider one is returned.
pub(crate) fn load(storage: &dyn Storage, tile: Tile) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    // The writer removes a partial tile only when a wider one is there, so another look finds that one.
    for _ in 0..3 {
        if read(storage, tile, &mut bytes)? {
            return cut(bytes, tile, tile);
        }
        if tile.is_full() {
            break;
        }
        if read(storage, tile.full(), &mut bytes)? {
            return cut(bytes, tile.full(), tile);
        }
        for wider in wider_partials(storage, tile)? {
            if read(storage, wider, &mut bytes)? {
                return cut(bytes, wider, tile);
            }
        }
    }
    Err(ReadError::Missing { path: tile.path() })
}

fn read(storage: &dyn Storage, tile: Tile, into: &mut Vec<u8>) -> Result<bool, ReadError> {
    let limit = match tile.kind {
        Kind::Entries => MAX_BUNDLE_BYTES,
        Kind::Hashes { .. } => usize::from(WIDTH) * HASH_BYTES,
    };
    let path = tile.path();
    storage
        .read(&path, limit, into)
        .map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => ReadError::Malformed { path },
            _ => ReadError::Io { path, source },
        })
}

/// The partial tiles at the same place that hold more.
fn wider_partials(storage: &dyn Storage, tile: Tile) -> Result<Vec<Tile>, ReadError> {
    let directory = format!("{}.p", tile.full().path());
    let names = storage.list(&directory).map_err(|source| ReadError::Io {
        path: directory,
        source,
    })?;
    let widths = names.iter().filter_map(|name| name.parse().ok());
    let wider = widths.filter(|width| (tile.width + 1..WIDTH).contains(width));
    Ok(wider.map(|width| Tile { width, ..tile }).collect())
}

/// The start of `found` that is `wanted`.
fn cut(mut bytes: Vec<u8>, found: Tile, wanted: Tile) -> Result<Vec<u8>, ReadError> {
    let malformed = || ReadError::Malformed { path: found.path() };
    let length = match wanted.kind {
        Kind::Hashes { .. } if bytes.len() == usize::from(found.width) * HASH_BYTES => {
            usize::from(wanted.width) * HASH_BYTES
        }
        Kind::Hashes { .. } => return Err(malformed()),
        Kind::Entries => bundle::prefix(&bytes, usize::from(wanted.width))
            .ok_or_else(malformed)?
            .len(),
    };
    if found.width == wanted.width && length != bytes.len() {
        return Err(malformed());
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Reads what the writer has published. Clones see the same.
#[derive(Clone)]
pub struct Reader {
    storage: Arc<dyn Storage>,
    head: Arc<RwLock<Arc<Head>>>,
}

impl Reader {
    pub(crate) fn new(storage: Arc<dyn Storage>, head: Head) -> Self {
        Self {
            storage,
            head: Arc::new(RwLock::new(Arc::new(head))),
        }
    }

    pub(crate) fn advance(&self, head: Head) {
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(head);
    }

    /// The newest checkpoint.
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn size(&self) -> u64 {
        self.head().checkpoint.size
    }

    /// Up to `limit` entries from `from` on, fewer at the end of the ledger or when their leaves would take more than
    /// `max_bytes` (but at least one).
    ///
    /// # Errors
    /// [`ReadError`] when they cannot be read.
    pub fn entries(&self, from: u64, limit: u64, max_bytes: usize) -> Result<Vec<IndexedEntry>, ReadError> {
        let size = self.size();
        let end = from.saturating_add(limit).min(size);
        let mut entries = Vec::new();
        let (mut next, mut bytes) = (from, 0);
        while next < end {
            let index = next / u64::from(WIDTH);
            let bundle = Tiles::new(&*self.storage, size).load(Kind::Entries, index)?;
            let skip = usize::try_from(next % u64::from(WIDTH)).unwrap_or_default();
            let before = next;
            for leaf in bundle::entries(&bundle).skip(skip) {
                let leaf = leaf.map_err(|_| malformed_bundle(index))?;
                bytes += leaf.len();
                if next == end || (bytes > max_bytes && !entries.is_empty()) {
                    return Ok(entries);
                }
                entries.push(IndexedEntry {
                    index: next,
                    entry: decode(next, leaf)?,
                });
                next += 1;
            }
            if next == before {
                return Err(malformed_bundle(index));
            }
        }
        Ok(entries)
    }

    /// Proof that entry `index` is among the first `size`; `None` when the ledger is smaller or has no such entry.
    ///
    /// # Errors
    /// [`ReadError`] when the tiles cannot be read.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Option<Vec<Hash>>, ReadError> {
        let published = self.size();
        if size > published {
            return Ok(None);
        }
        proof::inclusion(&mut Tiles::new(&*self.storage, published), index, size)
    }

    /// Proof that the first `to` entries begin with the first `from`; `None` when the ledger is smaller or `from` larger.
    ///
    /// # Errors
    /// [`ReadError`] when the tiles cannot be read.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Option<Vec<Hash>>, ReadError> {
        let published = self.size();
        if to > published {
            return Ok(None);
        }
        proof::consistency(&mut Tiles::new(&*self.storage, published), from, to)
    }

    /// A tile or bundle as tlog-tiles serves it; `None` when no published tree has it.
    ///
    /// # Errors
    /// [`ReadError`] when it should be there and cannot be read.
    pub fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, ReadError> {
        if tile.needs().is_none_or(|size| size > self.size()) {
            return Ok(None);
        }
        load(&*self.storage, tile).map(Some)
    }
}

fn malformed_bundle(index: u64) -> ReadError {
    ReadError::Malformed {
        path: Tile {
            kind: Kind::Entries,
            index,
            width: WIDTH,
        }
        .path(),
    }
}

fn decode(index: u64, leaf: &[u8]) -> Result<Entry, ReadError> {
    entry::decode(leaf).map_err(|source| ReadError::Entry { index, source })
}
