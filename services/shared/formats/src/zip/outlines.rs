//! HDF5 files that lie in an archive as they are: their structure is read first, as that of the archive is.

use std::collections::BTreeMap;

use super::directory::Directory;
use super::entry::{LOCAL_BYTES, local_bytes};
use super::judge::STORED;
use crate::ahead::Peek;
use crate::hdf5::{Allowance, Outline, SIGNATURE};

/// Extensions of HDF5 files, with which the names of members are compared.
const EXTENSIONS: [&[u8]; 3] = [b".h5", b".hdf5", b".keras"];
/// The most members that are read ahead.
const MAX_MEMBERS: usize = 256;

/// The structure of members, by where they begin in the archive, and where their data begins.
#[derive(Debug, Default)]
pub struct Outlines(BTreeMap<u64, (u64, Box<Outline>)>);

impl Outlines {
    /// Reads the structure of all members that are HDF5 and not compressed.
    pub fn read(directory: &Directory, peek: Peek<'_>) -> Self {
        let mut outlines = BTreeMap::new();
        let mut allowance = Allowance::default();
        let candidates = directory.entries().filter(|entry| {
            let named = EXTENSIONS
                .iter()
                .any(|end| entry.name.to_ascii_lowercase().ends_with(end));
            named && entry.method == STORED && entry.packed == entry.size
        });
        for entry in candidates.take(MAX_MEMBERS) {
            let mut local = [0; LOCAL_BYTES];
            let mut head = [0; SIGNATURE.len()];
            let data_at = peek(entry.at, &mut local)
                .then(|| local_bytes(&local))
                .flatten()
                .and_then(|length| entry.at.checked_add(length as u64));
            let Some(data_at) = data_at else {
                continue;
            };
            let is_hdf5 = entry.size >= head.len() as u64 && peek(data_at, &mut head) && head == *SIGNATURE;
            if !is_hdf5 {
                continue;
            }
            let mut within = |at: u64, buffer: &mut [u8]| {
                let at = data_at.checked_add(at);
                at.is_some_and(|at| peek(at, buffer))
            };
            let outline = Outline::read(entry.size, &mut within, &mut allowance);
            outlines.insert(entry.at, (data_at, Box::new(outline)));
        }
        Self(outlines)
    }

    /// The structure of the member that begins at `at` and has its data at `data_at`.
    pub fn take(&mut self, at: u64, data_at: u64) -> Option<Box<Outline>> {
        let (found, outline) = self.0.remove(&at)?;
        (found == data_at).then_some(outline)
    }
}
