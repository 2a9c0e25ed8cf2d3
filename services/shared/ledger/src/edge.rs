//! The right edge of the tiles: every bundle and tile that is not full yet, and nothing else of the tree.
//!
//! At most 255 entries and 255 hashes a level, however large the ledger.

use crate::bundle;
use crate::hash::{self, Hash};
use crate::reader::{ReadError, Tiles};
use crate::storage::Storage;
use crate::tile::{self, HASH_BYTES, Kind, Tile, WIDTH};
use crate::tree;

/// A tile with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filled {
    pub tile: Tile,
    pub bytes: Vec<u8>,
}

/// The unfinished tiles of a growing tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    size: u64,
    bundle: Vec<u8>,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of the tree with the first `size` entries, which must be a multiple of 256, from its full tiles.
    pub fn load(storage: &dyn Storage, size: u64) -> Result<Self, ReadError> {
        let tiles = Tiles::new(storage, size);
        let mut levels = vec![Vec::new()];
        for level in 1..tile::LEVELS {
            let (full, partial) = tile::extent(level, size);
            let first = full * u64::from(WIDTH);
            let below = Kind::Hashes { level: level - 1 };
            let mut hashes = Vec::with_capacity(usize::from(WIDTH));
            for index in first..first + u64::from(partial) {
                let bytes = tiles.load(below, index)?;
                hashes.extend(tree::root_of(&crate::reader::hashes_of(&bytes), None));
            }
            levels.push(hashes);
        }
        Ok(Self {
            size,
            bundle: Vec::new(),
            levels,
        })
    }

    /// Number of entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The entries of the unfinished bundle, in bundle form.
    pub fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// Adds an entry; tiles that it fills are appended to `filled`.
    pub fn push(&mut self, entry: &[u8], leaf: Hash, filled: &mut impl Extend<Filled>) {
        bundle::push(&mut self.bundle, entry);
        self.size += 1;
        let mut hash = leaf;
        for level in 0..tile::LEVELS {
            let place = usize::from(level);
            if self.levels.len() <= place {
                self.levels
                    .resize_with(place + 1, || Vec::with_capacity(usize::from(WIDTH)));
            }
            let Some(hashes) = self.levels.get_mut(place) else {
                return;
            };
            hashes.push(hash);
            if hashes.len() < usize::from(WIDTH) {
                return;
            }
            let (full, _) = tile::extent(level, self.size);
            let tile = |kind| Tile {
                kind,
                index: full.saturating_sub(1),
                width: WIDTH,
            };
            filled.extend([Filled {
                tile: tile(Kind::Hashes { level }),
                bytes: hashes.concat(),
            }]);
            if level == 0 {
                let bytes = std::mem::take(&mut self.bundle);
                filled.extend([Filled {
                    tile: tile(Kind::Entries),
                    bytes,
                }]);
            }
            hash = tree::root_of(hashes, None).unwrap_or_else(hash::empty);
            hashes.clear();
        }
    }

    /// Root of the whole tree.
    pub fn root(&self) -> Hash {
        let root = self
            .levels
            .iter()
            .fold(None, |rest, hashes| tree::root_of(hashes, rest));
        root.unwrap_or_else(hash::empty)
    }

    /// The partial tiles as they are now.
    pub fn partials(&self) -> impl Iterator<Item = Filled> {
        tile::partials(self.size).map(|tile| {
            let bytes = match tile.kind {
                Kind::Entries => self.bundle.clone(),
                Kind::Hashes { level } => self
                    .levels
                    .get(usize::from(level))
                    .map_or(Vec::new(), |all| all.concat()),
            };
            debug_assert!(tile.kind == Kind::Entries || bytes.len() == usize::from(tile.width) * HASH_BYTES);
            Filled { tile, bytes }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof;
    use crate::storage::{self, Disk, TEMPORARY};
    use crate::tree::Frontier;

    fn leaf(index: u64) -> Vec<u8> {
        format!("entry {index}").into_bytes()
    }

    #[test]
    fn fills_the_tiles_that_the_tree_has_and_knows_its_root_at_every_size() {
        let directory = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::exclusive(directory.path()).unwrap();
        disk.create_directory(TEMPORARY).unwrap();
        let (mut edge, mut frontier) = (Edge::default(), Frontier::default());
        let mut filled = Vec::new();
        // Beyond 256 * 256, so that a second level fills.
        for index in 0..66_000u64 {
            let hash = hash::leaf(&leaf(index));
            edge.push(&leaf(index), hash, &mut filled);
            frontier.push(hash);
            if index % 97 == 0 || index > 65_500 {
                assert_eq!(edge.root(), frontier.root(), "size {}", index + 1);
            }
        }
        let paths: Vec<String> = filled.iter().map(|filled| filled.tile.path()).collect();
        assert_eq!(
            paths.iter().filter(|path| path.starts_with("tile/0/")).count(),
            257
        );
        assert_eq!(
            paths
                .iter()
                .filter(|path| path.starts_with("tile/entries/"))
                .count(),
            257
        );
        assert!(paths.contains(&"tile/1/000".to_owned()));
        let partials: Vec<(String, usize)> = edge
            .partials()
            .map(|filled| (filled.tile.path(), filled.bytes.len() / HASH_BYTES))
            .collect();
        assert_eq!(partials[0], ("tile/0/257.p/208".to_owned(), 208));
        assert_eq!(partials[1], ("tile/1/001.p/1".to_owned(), 1));
        assert_eq!(partials[2], ("tile/2/000.p/1".to_owned(), 1));
        for filled in filled.iter().chain(&edge.partials().collect::<Vec<_>>()) {
            storage::place(&disk, &filled.tile.path(), &filled.bytes).unwrap();
        }
        // What is on disk leads to the same root, and an edge that is loaded goes on to it as well.
        assert_eq!(
            proof::root(&mut Tiles::new(&disk, 66_000), 66_000).unwrap(),
            frontier.root()
        );
        for start in [0, 256, 65_280, 65_536, 65_792] {
            let mut loaded = Edge::load(&disk, start).unwrap();
            for index in start..66_000 {
                loaded.push(&leaf(index), hash::leaf(&leaf(index)), &mut Vec::new());
            }
            assert_eq!(loaded.root(), frontier.root(), "from {start}");
            assert_eq!(loaded.bundle(), edge.bundle());
        }
    }
}
