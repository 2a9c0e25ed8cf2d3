//! The checkpoints that the entries are measured by: those of the history in their order, and one from elsewhere.

use std::collections::VecDeque;
use std::io;

use super::report::{FindingKind, VerifyReport};
use super::{VerifyOptions, in_parallel};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::history::{Record, Records};
use crate::storage::Storage;
use holdfast_signed_note::Vkey;

/// Records whose signatures are checked at a time.
const BATCH_RECORDS: usize = 512;

/// A size at which the root must be a signed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub checkpoint: Checkpoint,
    /// Whether it is the one that was kept elsewhere.
    pub is_witness: bool,
}

/// Reads checkpoints up to the newest one, checks their signatures and order, and hands them out by size.
pub(super) struct Checkpoints<'a> {
    records: Records,
    key: &'a Vkey,
    threads: usize,
    newest: Checkpoint,
    last: Option<Checkpoint>,
    ready: VecDeque<Stop>,
    witness: Option<Checkpoint>,
    ended: bool,
}

impl<'a> Checkpoints<'a> {
    pub fn open(
        storage: &dyn Storage,
        key: &'a Vkey,
        options: &VerifyOptions<'_>,
        newest: Checkpoint,
        report: &mut VerifyReport,
    ) -> io::Result<Self> {
        let witness = options
            .witness
            .and_then(|note| witness(note, key, newest, report));
        let records = Records::open(storage)?;
        let threads = options.threads();
        Ok(Self {
            records,
            key,
            threads,
            newest,
            last: None,
            ready: VecDeque::new(),
            witness,
            ended: false,
        })
    }

    /// The checkpoints over more than `after` and at most `end` entries, in ascending order.
    pub fn up_to(&mut self, end: u64, report: &mut VerifyReport) -> io::Result<Vec<Stop>> {
        while !self.ended && self.ready.back().is_none_or(|stop| stop.checkpoint.size <= end) {
            self.fill(report)?;
        }
        let count = self
            .ready
            .iter()
            .take_while(|stop| stop.checkpoint.size <= end)
            .count();
        let mut stops: Vec<Stop> = self.ready.drain(..count).collect();
        if let Some(checkpoint) = self.witness.take_if(|witness| witness.size <= end) {
            let place = stops.partition_point(|stop| stop.checkpoint.size <= checkpoint.size);
            stops.insert(
                place,
                Stop {
                    checkpoint,
                    is_witness: true,
                },
            );
        }
        Ok(stops)
    }

    fn fill(&mut self, report: &mut VerifyReport) -> io::Result<()> {
        let mut records = Vec::with_capacity(BATCH_RECORDS);
        while records.len() < BATCH_RECORDS {
            match self.records.read_next()? {
                Some(record) => records.push(record),
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        let key = self.key;
        let opened = in_parallel(&records, self.threads, |record| open(record, key));
        for (record, opened) in records.iter().zip(opened) {
            match opened {
                Some(Ok(checkpoint)) => self.accept(checkpoint, record.offset, report),
                Some(Err(error)) => report.find(
                    FindingKind::HistoryInvalid,
                    place(record.offset),
                    error.to_string(),
                ),
                None => {
                    let message = "from here on it is not built like a history of checkpoints";
                    report.find(FindingKind::HistoryInvalid, place(record.offset), message);
                    self.ended = true;
                    break;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, checkpoint: Checkpoint, offset: u64, report: &mut VerifyReport) {
        match self.last {
            Some(last) if last.size == checkpoint.size && last.root != checkpoint.root => {
                let message = format!("two different ledgers of {} entries were signed", last.size);
                report.find(FindingKind::Fork, place(offset), message);
            }
            Some(last) if last.size >= checkpoint.size => {
                let message = "the checkpoint is not larger than the one before it";
                report.find(FindingKind::HistoryIncomplete, place(offset), message);
            }
            _ => {
                self.last = Some(checkpoint);
                // What a running recorder adds while this runs is not part of this verification.
                if checkpoint.size <= self.newest.size {
                    self.ready.push_back(Stop {
                        checkpoint,
                        is_witness: false,
                    });
                    report.checkpoints += 1;
                }
            }
        }
    }
}

fn place(offset: u64) -> String {
    format!("checkpoints, byte {offset}")
}

fn open(record: &Record, key: &Vkey) -> Option<Result<Checkpoint, CheckpointError>> {
    record.note.as_deref().map(|note| Checkpoint::open(note, key))
}

fn witness(note: &str, key: &Vkey, newest: Checkpoint, report: &mut VerifyReport) -> Option<Checkpoint> {
    const PLACE: &str = "the checkpoint kept elsewhere";
    match Checkpoint::open(note, key) {
        Ok(checkpoint) if checkpoint.size > newest.size => {
            let message = format!(
                "it covers {} entries, but this ledger has only {}: entries were taken away",
                checkpoint.size, newest.size
            );
            report.find(FindingKind::Rollback, PLACE, message);
            None
        }
        Ok(checkpoint) => Some(checkpoint),
        Err(error) => {
            report.find(FindingKind::WitnessInvalid, PLACE, error.to_string());
            None
        }
    }
}
