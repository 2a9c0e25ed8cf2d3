//! Checking bundles against their tiles. Bundles are independent of each other, so this is what runs in parallel.

use holdfast_contract::Timestamp;

use super::report::{Finding, FindingKind};
use crate::bundle;
use crate::entry;
use crate::hash::{self, Hash};
use crate::reader::{self, ReadError};
use crate::storage::Storage;
use crate::tile::{HASH_BYTES, Kind, Tile, WIDTH};
use crate::tree::Frontier;

/// The most findings from one bundle.
const MAX_FINDINGS: usize = 8;

/// What there is to do for one bundle.
#[derive(Debug, Clone, Default)]
pub(super) struct Task {
    /// The bundle.
    pub index: u64,
    /// Its width in the tree that is verified.
    pub width: u16,
    /// How many of its entries checkpoints end after, in ascending order.
    pub stops: Vec<u16>,
}

/// What the bundle's entries come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// Root over its leaves; `None` when they could not be had at all.
    pub root: Option<Hash>,
    /// Root over the leaves up to each stop.
    pub stop_roots: Vec<Hash>,
    /// Time of the first and of the last entry.
    pub times: Option<(Timestamp, Timestamp)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Checks one bundle and its tile of level 0.
pub(super) fn check(storage: &dyn Storage, task: &Task, check_entries: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let tile = |kind| Tile {
        kind,
        index: task.index,
        width: task.width,
    };
    let bundle = load(storage, tile(Kind::Entries), &mut outcome.findings);
    let hashes = load(storage, tile(Kind::Hashes { level: 0 }), &mut outcome.findings);
    let leaves: Vec<Hash> = match (&bundle, &hashes) {
        (Some(bundle), _) => bundle::entries(bundle).flatten().map(hash::leaf).collect(),
        // The finding is made. Going on with the stored hashes shows whether anything else is wrong.
        (None, Some(hashes)) => reader::hashes_of(hashes),
        (None, None) => return outcome,
    };
    if let (Some(bundle), Some(hashes)) = (&bundle, &hashes) {
        compare(task, &leaves, hashes, &mut outcome.findings);
        if check_entries {
            outcome.times = entries(task, bundle, &mut outcome.findings);
        }
    }
    let mut frontier = Frontier::default();
    let mut stops = task.stops.iter().peekable();
    for leaf in leaves {
        frontier.push(leaf);
        while stops
            .next_if(|stop| u64::from(**stop) == frontier.size())
            .is_some()
        {
            outcome.stop_roots.push(frontier.root());
        }
    }
    outcome.root = Some(frontier.root());
    outcome
}

fn load(storage: &dyn Storage, tile: Tile, findings: &mut Vec<Finding>) -> Option<Vec<u8>> {
    reader::load(storage, tile)
        .map_err(|error| findings.push(unreadable(&error, tile)))
        .ok()
}

/// A finding about a file that could not be had as it must be.
pub(super) fn unreadable(error: &ReadError, tile: Tile) -> Finding {
    let (kind, message) = match error {
        ReadError::Missing { .. } => (FindingKind::Missing, "it is missing".to_owned()),
        ReadError::Malformed { .. } | ReadError::Entry { .. } => (
            FindingKind::Malformed,
            "it is cut off or not built as it must be".to_owned(),
        ),
        ReadError::Io { source, .. } => (FindingKind::Unreadable, format!("it cannot be read: {source}")),
    };
    Finding {
        kind,
        place: tile.path(),
        message,
    }
}

fn compare(task: &Task, leaves: &[Hash], hashes: &[u8], findings: &mut Vec<Finding>) {
    let first = task.index * u64::from(WIDTH);
    let differing = (first..).zip(leaves.iter().zip(hashes.chunks_exact(HASH_BYTES)));
    let differing = differing.filter(|(_, (leaf, hash))| leaf.as_slice() != *hash);
    findings.extend(differing.take(MAX_FINDINGS).map(|(index, _)| Finding {
        kind: FindingKind::EntryChanged,
        place: format!("entry {index}"),
        message: "it is not the entry that its tile has the hash of".to_owned(),
    }));
}

fn entries(task: &Task, bundle: &[u8], findings: &mut Vec<Finding>) -> Option<(Timestamp, Timestamp)> {
    let mut times: Option<(Timestamp, Timestamp)> = None;
    let mut find = |index: u64, message: String| {
        if findings.len() < MAX_FINDINGS {
            findings.push(Finding {
                kind: FindingKind::EntryInvalid,
                place: format!("entry {index}"),
                message,
            });
        }
    };
    let mut scratch = Vec::new();
    for (index, leaf) in (task.index * u64::from(WIDTH)..).zip(bundle::entries(bundle).flatten()) {
        match entry::decode_canonical_with(leaf, &mut scratch) {
            Ok(entry) => {
                let (first, last) = times.unwrap_or((entry.time, entry.time));
                if entry.time < last {
                    find(
                        index,
                        format!("its time {} is before that of the entry before it", entry.time),
                    );
                }
                times = Some((first, entry.time));
            }
            Err(error) => find(index, error.to_string()),
        }
    }
    times
}
