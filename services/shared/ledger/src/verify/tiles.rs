//! Checking the tiles above the leaves, level by level, as the walk fills them.

use super::leaves::unreadable;
use super::report::{FindingKind, VerifyReport};
use crate::hash::Hash;
use crate::reader;
use crate::storage::Storage;
use crate::tile::{self, Kind, Tile, WIDTH};
use crate::tree::{self, Frontier};

/// The tree above the bundles.
#[derive(Default)]
pub(super) struct Levels {
    /// Roots of full bundles.
    frontier: Frontier,
    /// For each level from 1 on, the hashes of its unfinished tile.
    unfinished: Vec<Vec<Hash>>,
    /// How many tiles each level has finished.
    finished: Vec<u64>,
    /// A bundle's leaves could not be had, so nothing above them can be known.
    is_blind: bool,
}

impl Levels {
    /// Root of all full bundles with the part of one after them.
    pub fn root_with(&self, rest: Hash) -> Option<Hash> {
        if self.is_blind {
            None
        } else {
            self.frontier.root_with(Some(rest))
        }
    }

    /// Whether entries are missing, so that no root can be known any more.
    pub const fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// Adds the root of a full bundle.
    pub fn push(&mut self, storage: &dyn Storage, root: Option<Hash>, report: &mut VerifyReport) {
        let Some(root) = root else {
            self.is_blind = true;
            return;
        };
        if self.is_blind {
            return;
        }
        self.frontier.push(root);
        let mut hash = root;
        for place in 0..usize::from(tile::LEVELS) - 1 {
            if self.unfinished.len() <= place {
                self.unfinished.push(Vec::new());
                self.finished.push(0);
            }
            let (Some(hashes), Some(finished)) =
                (self.unfinished.get_mut(place), self.finished.get_mut(place))
            else {
                return;
            };
            hashes.push(hash);
            if hashes.len() < usize::from(WIDTH) {
                return;
            }
            compare(storage, level(place), *finished, hashes, report);
            *finished += 1;
            let Some(above) = tree::root_of(hashes, None) else {
                return;
            };
            hashes.clear();
            hash = above;
        }
    }

    /// Compares the partial tiles of the tree with `size` entries.
    pub fn finish(self, storage: &dyn Storage, size: u64, report: &mut VerifyReport) {
        if self.is_blind {
            report
                .remarks
                .push("tiles above the missing ones were not compared".to_owned());
            return;
        }
        for (place, hashes) in self.unfinished.iter().enumerate() {
            let index = tile::extent(level(place), size).0;
            if !hashes.is_empty() {
                compare(storage, level(place), index, hashes, report);
            }
        }
    }
}

fn level(place: usize) -> u8 {
    u8::try_from(place + 1).unwrap_or(u8::MAX)
}

fn compare(storage: &dyn Storage, level: u8, index: u64, hashes: &[Hash], report: &mut VerifyReport) {
    let width = u16::try_from(hashes.len()).unwrap_or(WIDTH);
    let tile = Tile {
        kind: Kind::Hashes { level },
        index,
        width,
    };
    match reader::load(storage, tile) {
        Ok(bytes) if bytes == hashes.concat() => {}
        Ok(_) => report.find(
            FindingKind::TileChanged,
            tile.path(),
            "it is not what the entries below it make it",
        ),
        Err(error) => report.add([unreadable(&error, tile)]),
    }
}
