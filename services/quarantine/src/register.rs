//! The submissions: those on their way, and the last ones that came to an end. Each is a record on disk, so that a person sees
//! what became of a file although the daemon was killed meanwhile.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdfast_contract::problem::ProblemKind;
use holdfast_contract::quarantine::{Stage, Submission, SubmissionEvent};
use holdfast_contract::registry::ModelSummary;
use holdfast_contract::report::Report;
use holdfast_contract::{Problem, Timestamp};
use tokio::sync::watch;

use crate::directory::{Directory, random_id};

/// The largest record, in bytes.
const MAX_RECORD_BYTES: usize = 512 << 10;
/// How often followers hear of progress while bytes come in. Rarely, because whoever sends a file may not read meanwhile.
const RECEIVING_EVERY: Duration = Duration::from_secs(1);
/// How often they hear of it later.
const WORKING_EVERY: Duration = Duration::from_millis(100);

/// The submissions, by time and id.
pub struct Register {
    records: Directory,
    kept: usize,
    submissions: Mutex<BTreeMap<(Timestamp, String), Arc<Entry>>>,
}

/// A submission that can be followed.
pub struct Entry {
    id: String,
    state: Mutex<State>,
    events: watch::Sender<Option<SubmissionEvent>>,
}

struct State {
    submission: Submission,
    told: Instant,
}

impl Register {
    /// Opens the register in `records` and keeps the last `kept` submissions. Those that an earlier run left on their way have
    /// failed; they are returned.
    ///
    /// # Errors
    ///
    /// When the records cannot be read or written.
    pub fn open(records: Directory, kept: usize, now: Timestamp) -> io::Result<(Self, Vec<Submission>)> {
        let mut submissions = BTreeMap::new();
        let mut interrupted = Vec::new();
        let (names, _) = records.names_without_drafts()?;
        for name in names {
            let record = records.read(&name, MAX_RECORD_BYTES);
            let record = record.and_then(|bytes| Ok(serde_json::from_slice::<Submission>(&bytes)?));
            let mut submission = match record {
                Ok(submission) if submission.id == name => submission,
                unreadable => {
                    tracing::warn!(
                        ?unreadable,
                        name,
                        "a record of a submission is unreadable and is removed"
                    );
                    records.remove(&name)?;
                    continue;
                }
            };
            if submission.ended_at.is_none() {
                interrupt(&mut submission, now);
                write(&records, &submission)?;
                interrupted.push(submission.clone());
            }
            let key = (submission.received_at, submission.id.clone());
            submissions.insert(key, Arc::new(Entry::new(submission)));
        }
        let register = Self {
            records,
            kept,
            submissions: Mutex::new(submissions),
        };
        register.forget_old();
        Ok((register, interrupted))
    }

    /// Begins a submission of the file `name`, which is to be converted where `disarm` says so.
    ///
    /// # Errors
    ///
    /// When its record cannot be written.
    pub fn begin(
        &self,
        name: &str,
        disarm: bool,
        total_bytes: Option<u64>,
        now: Timestamp,
    ) -> io::Result<Arc<Entry>> {
        let submission = Submission {
            id: random_id()?,
            name: name.to_owned(),
            disarm,
            stage: Stage::Receiving,
            done_bytes: 0,
            total_bytes,
            received_at: now,
            ended_at: None,
            report: None,
            model: None,
            problem: None,
        };
        write(&self.records, &submission)?;
        let key = (now, submission.id.clone());
        let entry = Arc::new(Entry::new(submission));
        self.submissions().insert(key, Arc::clone(&entry));
        self.forget_old();
        Ok(entry)
    }

    /// Moves a submission on to `stage`, with the report where there is one by now.
    pub fn advance(&self, entry: &Entry, stage: Stage, total_bytes: u64, report: Option<&Report>) {
        let event = entry.change(|submission| {
            submission.stage = stage;
            submission.done_bytes = 0;
            submission.total_bytes = Some(total_bytes);
            if let Some(report) = report {
                submission.report = Some(report.clone());
            }
            progress(submission)
        });
        entry.events.send_replace(Some(event));
        self.keep(entry);
    }

    /// Ends a submission, and tells its followers.
    pub fn end(
        &self,
        entry: &Entry,
        stage: Stage,
        model: Option<ModelSummary>,
        problem: Option<Problem>,
        now: Timestamp,
    ) {
        let event = entry.change(|submission| {
            submission.stage = stage;
            submission.model = model;
            submission.problem = problem;
            submission.ended_at = Some(now);
            SubmissionEvent::Ended {
                submission: Box::new(submission.clone()),
            }
        });
        self.keep(entry);
        entry.events.send_replace(Some(event));
        self.forget_old();
    }

    /// The submissions, the most recent first.
    pub fn list(&self) -> Vec<Submission> {
        self.submissions()
            .values()
            .rev()
            .map(|entry| entry.submission())
            .collect()
    }

    /// The submission `id`.
    pub fn find(&self, id: &str) -> Option<Submission> {
        self.submissions()
            .values()
            .find(|entry| entry.id == id)
            .map(|entry| entry.submission())
    }

    /// A record that cannot be written is not the submission's fault: what it says then is what the last one said.
    fn keep(&self, entry: &Entry) {
        if let Err(error) = write(&self.records, &entry.submission()) {
            tracing::warn!(%error, submission = entry.id, "the record of a submission was not written");
        }
    }

    fn forget_old(&self) {
        let mut submissions = self.submissions();
        let ended = |entry: &Entry| entry.lock().submission.ended_at.is_some();
        let surplus = submissions
            .values()
            .filter(|entry| ended(entry))
            .count()
            .saturating_sub(self.kept);
        let old: Vec<_> = submissions
            .iter()
            .filter(|(_, entry)| ended(entry))
            .take(surplus)
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            submissions.remove(&key);
            if let Err(error) = self.records.remove(&key.1) {
                tracing::warn!(%error, submission = key.1, "an old record was not removed");
            }
        }
    }

    fn submissions(&self) -> MutexGuard<'_, BTreeMap<(Timestamp, String), Arc<Entry>>> {
        self.submissions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(submission: Submission) -> Self {
        let event = progress(&submission);
        Self {
            id: submission.id.clone(),
            state: Mutex::new(State {
                submission,
                told: Instant::now(),
            }),
            events: watch::Sender::new(Some(event)),
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it stands.
    pub fn submission(&self) -> Submission {
        self.lock().submission.clone()
    }

    /// Notes how many bytes of the present stage are done, and tells followers from time to time.
    pub fn progress(&self, done_bytes: u64) {
        let mut state = self.lock();
        state.submission.done_bytes = done_bytes;
        let every = if state.submission.stage == Stage::Receiving {
            RECEIVING_EVERY
        } else {
            WORKING_EVERY
        };
        if state.told.elapsed() >= every {
            state.told = Instant::now();
            let event = progress(&state.submission);
            drop(state);
            self.events.send_replace(Some(event));
        }
    }

    /// The latest event, now and whenever there is a newer one; the last is `Ended`.
    pub fn follow(&self) -> watch::Receiver<Option<SubmissionEvent>> {
        let mut events = self.events.subscribe();
        events.mark_changed();
        events
    }

    fn change<T>(&self, change: impl FnOnce(&mut Submission) -> T) -> T {
        change(&mut self.lock().submission)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn progress(submission: &Submission) -> SubmissionEvent {
    SubmissionEvent::Progress {
        id: submission.id.clone(),
        stage: submission.stage,
        done_bytes: submission.done_bytes,
        total_bytes: submission.total_bytes.unwrap_or(0),
    }
}

fn interrupt(submission: &mut Submission, now: Timestamp) {
    let (doing, next) = match submission.stage {
        Stage::Receiving => ("received", "Import the file again."),
        Stage::Inspecting => ("inspected", "Import the file again."),
        Stage::Converting => ("converted", "Import the file again."),
        // The registry may have carried out what was asked of it; importing again does no harm.
        _ => (
            "admitted",
            "See whether the model is in the list; if not, import the file again.",
        ),
    };
    let detail = format!("interrupted while the file was being {doing}: quarantine was stopped");
    submission.stage = Stage::Failed;
    submission.problem = Some(Problem::new(ProblemKind::Internal, detail).next(next));
    submission.ended_at = Some(now);
}

fn write(records: &Directory, submission: &Submission) -> io::Result<()> {
    records.write(&submission.id, &serde_json::to_vec(submission)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn open(path: &std::path::Path, kept: usize) -> (Register, Vec<Submission>) {
        Register::open(Directory::open(path).unwrap(), kept, at(1000)).unwrap()
    }

    fn failed() -> Problem {
        Problem::new(ProblemKind::Invalid, "x")
    }

    #[test]
    fn a_submission_that_was_on_its_way_is_interrupted_at_the_next_start() {
        let temp = tempfile::tempdir().unwrap();
        let (register, _) = open(temp.path(), 10);
        let receiving = register.begin("a.gguf", false, Some(7), at(1)).unwrap();
        let admitting = register.begin("b.gguf", false, Some(7), at(2)).unwrap();
        register.advance(&admitting, Stage::Admitting, 7, None);
        let ended = register.begin("c.gguf", false, None, at(3)).unwrap();
        register.end(&ended, Stage::Failed, None, Some(failed()), at(4));
        drop(register);

        let (register, interrupted) = open(temp.path(), 10);
        assert_eq!(interrupted.len(), 2);
        let of = |entry: &Entry| register.find(entry.id()).unwrap();
        assert_eq!(of(&receiving).stage, Stage::Failed);
        assert_eq!(of(&receiving).ended_at, Some(at(1000)));
        let problem = of(&receiving).problem.unwrap();
        assert!(
            problem
                .detail
                .contains("interrupted while the file was being received")
        );
        assert_eq!(problem.next.as_deref(), Some("Import the file again."));
        assert!(
            of(&admitting)
                .problem
                .unwrap()
                .next
                .unwrap()
                .contains("See whether the model is in the list")
        );
        assert_eq!(of(&ended), ended.submission());
        let (_, again) = open(temp.path(), 10);
        assert_eq!(again, [], "it is told once");
    }

    #[test]
    fn only_so_many_ended_submissions_are_kept_and_none_that_is_on_its_way_is_forgotten() {
        let temp = tempfile::tempdir().unwrap();
        let (register, _) = open(temp.path(), 2);
        let first = register.begin("on-its-way", false, None, at(0)).unwrap();
        for second in 1..=5 {
            let entry = register
                .begin(&format!("n{second}"), false, None, at(second))
                .unwrap();
            register.end(&entry, Stage::Failed, None, Some(failed()), at(second));
        }
        let names: Vec<_> = register
            .list()
            .into_iter()
            .map(|submission| submission.name)
            .collect();
        assert_eq!(names, ["n5", "n4", "on-its-way"]);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 3);
        assert_eq!(register.find(first.id()).unwrap().stage, Stage::Receiving);
    }

    #[test]
    fn a_record_that_is_not_one_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("garbage"), b"{").unwrap();
        let (register, interrupted) = open(temp.path(), 2);
        assert_eq!((register.list(), interrupted), (vec![], vec![]));
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn followers_hear_the_latest_and_the_end() {
        let temp = tempfile::tempdir().unwrap();
        let (register, _) = open(temp.path(), 2);
        let entry = register.begin("a", false, Some(7), at(1)).unwrap();
        let mut events = entry.follow();
        events.changed().await.unwrap();
        assert!(matches!(
            *events.borrow_and_update(),
            Some(SubmissionEvent::Progress { done_bytes: 0, .. })
        ));
        register.advance(&entry, Stage::Inspecting, 7, None);
        register.end(&entry, Stage::Failed, None, Some(failed()), at(2));
        events.changed().await.unwrap();
        let Some(SubmissionEvent::Ended { submission }) = events.borrow_and_update().clone() else {
            panic!()
        };
        assert_eq!(*submission, register.find(entry.id()).unwrap());
    }
}
