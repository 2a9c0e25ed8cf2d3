//! Which engines there are: at most so many, the one that was idle longest makes room, one that failed is not started again
//! at once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdfast_contract::problem::ProblemKind;
use holdfast_contract::{Digest, Problem, inference};
use tokio::sync::{mpsc, watch};

use crate::config::{Config, Machine};
use crate::engine::{Ask, Engine, Facts, Stop, Waiting};
use crate::evidence::Evidence;
use crate::registry::Registry;

/// How long an engine that failed twice is not started again: doubled with each further failure in a row, up to the second value.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The most failures that are remembered. Beyond that the oldest are forgotten.
const REMEMBERED: usize = 256;
/// How long an operator waits for an engine to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(8);

/// What all engines share.
#[derive(Debug)]
pub struct Shared {
    /// What the operator decided.
    pub config: Config,
    /// What the machine has.
    pub machine: Machine,
    /// The worker program.
    pub program: PathBuf,
    /// Where models come from.
    pub registry: Registry,
    /// Where what happened goes.
    pub evidence: Evidence,
    /// Becomes true when the daemon is asked to stop.
    pub stopping: watch::Receiver<bool>,
    engines: Mutex<Engines>,
}

#[derive(Debug, Default)]
struct Engines {
    running: HashMap<Digest, Handle>,
    failures: HashMap<Digest, Failure>,
}

#[derive(Debug)]
struct Handle {
    asks: mpsc::UnboundedSender<Ask>,
    facts: watch::Receiver<Facts>,
    last_ask: Instant,
}

#[derive(Debug)]
struct Failure {
    in_a_row: u32,
    until: Instant,
    problem: Problem,
}

/// All engines.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Shared>);

/// Cancels a request when it is dropped, because then nobody waits for it.
#[derive(Debug)]
pub struct Ticket {
    shared: Arc<Shared>,
    model: Digest,
    id: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(handle) = self.shared.engines().running.get(&self.model) {
            let _ = handle.asks.send(Ask::Cancel(self.id));
        }
    }
}

impl Pool {
    /// No engines yet.
    pub fn new(
        config: Config,
        machine: Machine,
        program: PathBuf,
        registry: Registry,
        evidence: Evidence,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let engines = Mutex::default();
        Self(Arc::new(Shared {
            config,
            machine,
            program,
            registry,
            evidence,
            stopping,
            engines,
        }))
    }

    /// Gives a request to the engine of its model, which is started if there is none.
    ///
    /// # Errors
    ///
    /// When the engine failed a moment ago, or there is no room for it.
    pub fn submit(&self, model: Digest, waiting: Waiting) -> Result<Ticket, Problem> {
        let ticket = Ticket {
            shared: Arc::clone(&self.0),
            model,
            id: waiting.id,
        };
        let mut engines = self.0.engines();
        let mut ask = Ask::Work(Box::new(waiting));
        if let Some(handle) = engines.running.get_mut(&model) {
            handle.last_ask = Instant::now();
            match handle.asks.send(ask) {
                Ok(()) => return Ok(ticket),
                // It is ending; the next takes its place.
                Err(mpsc::error::SendError(unsent)) => ask = unsent,
            }
        }
        engines.may_start(model)?;
        let ending = engines.running.remove(&model).map(|handle| handle.facts);
        let before = match ending {
            Some(facts) => Some(facts),
            None => engines.make_room(self.0.config.max_engines as usize)?,
        };
        let (asks, receiver) = mpsc::unbounded_channel();
        let (facts, seen) = watch::channel(Engine::first_facts());
        let _ = asks.send(ask);
        engines.running.insert(
            model,
            Handle {
                asks,
                facts: seen,
                last_ask: Instant::now(),
            },
        );
        drop(engines);
        tokio::spawn(Engine::new(model, Arc::clone(&self.0), receiver, facts).run(before));
        Ok(ticket)
    }

    /// The engines, as they stand.
    pub fn engines(&self) -> Vec<inference::Engine> {
        let engines = self.0.engines();
        let mut list: Vec<_> = engines
            .running
            .iter()
            .map(|(model, handle)| {
                let facts = *handle.facts.borrow();
                inference::Engine {
                    model: *model,
                    pid: facts.pid,
                    active: facts.active,
                    queued: facts.queued,
                    slots: facts.slots,
                    context_tokens: facts.context_tokens,
                    idle_seconds: facts.idle_since.map_or(0, |since| since.elapsed().as_secs()),
                }
            })
            .collect();
        list.sort_by_key(|engine| engine.model);
        list
    }

    /// Ends the engine of a model, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none; `Deadline` when it does not go away.
    pub async fn unload(&self, model: Digest) -> Result<(), Problem> {
        let handle = self.0.engines().running.remove(&model);
        let Some(handle) = handle else {
            return Err(Problem::new(
                ProblemKind::NotFound,
                format!("{model} is not loaded"),
            ));
        };
        let _ = handle.asks.send(Ask::Stop(Stop::Asked));
        if gone(handle.facts).await {
            Ok(())
        } else {
            Err(Problem::new(
                ProblemKind::Deadline,
                "the engine is told to end, but is not gone yet",
            ))
        }
    }

    /// Ends all engines, and waits until they are gone.
    pub async fn shut_down(&self) {
        let handles: Vec<_> = self
            .0
            .engines()
            .running
            .drain()
            .map(|(_, handle)| handle)
            .collect();
        for handle in &handles {
            let _ = handle.asks.send(Ask::Stop(Stop::Asked));
        }
        for handle in handles {
            gone(handle.facts).await;
        }
    }
}

/// Waits until an engine's task has ended.
async fn gone(mut facts: watch::Receiver<Facts>) -> bool {
    tokio::time::timeout(GONE_WITHIN, async { while facts.changed().await.is_ok() {} })
        .await
        .is_ok()
}

impl Shared {
    fn engines(&self) -> MutexGuard<'_, Engines> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an engine off the list that has nothing to do. False when somebody has just asked for something.
    pub fn retire_idle(&self, model: Digest, asks: &mpsc::UnboundedReceiver<Ask>) -> bool {
        let mut engines = self.engines();
        // While the list is held nobody can ask.
        let idle = asks.is_empty();
        if idle {
            engines.running.remove(&model);
        }
        idle
    }

    /// Takes an engine off the list that has ended, unless another has taken its place.
    pub fn retire(&self, model: Digest, facts: &watch::Sender<Facts>) {
        let mut engines = self.engines();
        let own = facts.subscribe();
        if engines
            .running
            .get(&model)
            .is_some_and(|handle| handle.facts.same_channel(&own))
        {
            engines.running.remove(&model);
        }
    }

    /// Remembers that a model's engine failed.
    pub fn remember_failure(&self, model: Digest, problem: &Problem) {
        let mut engines = self.engines();
        if engines.failures.len() >= REMEMBERED
            && let Some(oldest) = engines
                .failures
                .iter()
                .min_by_key(|(_, failure)| failure.until)
                .map(|(m, _)| *m)
        {
            engines.failures.remove(&oldest);
        }
        let in_a_row = engines
            .failures
            .get(&model)
            .map_or(1, |failure| failure.in_a_row.saturating_add(1));
        let until = Instant::now() + pause(in_a_row);
        engines.failures.insert(
            model,
            Failure {
                in_a_row,
                until,
                problem: problem.clone(),
            },
        );
    }

    /// Forgets a model's failures: its engine works.
    pub fn forgive(&self, model: Digest) {
        self.engines().failures.remove(&model);
    }
}

impl Engines {
    fn may_start(&self, model: Digest) -> Result<(), Problem> {
        let Some(failure) = self.failures.get(&model) else {
            return Ok(());
        };
        let left = failure.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let seconds = left.as_millis().div_ceil(1000);
        let mut problem = failure.problem.clone();
        problem.next = Some(format!(
            "It is tried again with a request in {seconds} s or later."
        ));
        Err(problem)
    }

    /// Makes room for one more engine. Returns the one that must be gone first.
    fn make_room(&mut self, most: usize) -> Result<Option<watch::Receiver<Facts>>, Problem> {
        if self.running.len() < most {
            return Ok(None);
        }
        let idlest = self
            .running
            .iter()
            .filter_map(|(model, handle)| {
                let since = handle.facts.borrow().idle_since?;
                // A request that its task has not seen yet keeps it.
                (since >= handle.last_ask).then_some((since, *model))
            })
            .min()
            .map(|(_, model)| model);
        let Some(handle) = idlest.and_then(|model| self.running.remove(&model)) else {
            let detail = format!("{most} models are in use, and no more may be loaded at once");
            return Err(Problem::new(ProblemKind::Busy, detail)
                .next("Wait until one of them is idle, or raise max_engines in inference.toml."));
        };
        let _ = handle.asks.send(Ask::Stop(Stop::MakeRoom));
        Ok(Some(handle.facts))
    }
}

/// How long to wait before an engine that failed is started again. The first failure may have been an accident (somebody killed
/// it, the memory was short for a moment), so that whoever asks next is not made to wait for it.
fn pause(failures_in_a_row: u32) -> Duration {
    let Some(doublings) = failures_in_a_row.checked_sub(2) else {
        return Duration::ZERO;
    };
    (FIRST_PAUSE * (1 << doublings.min(16))).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let seconds: Vec<u64> = [1, 2, 3, 4, 8, 100]
            .into_iter()
            .map(|n| pause(n).as_secs())
            .collect();
        assert_eq!(seconds, [0, 1, 2, 4, 60, 60]);
    }

    #[test]
    fn the_engine_that_was_idle_longest_makes_room() {
        // Later than the machine's start, so that there is something to go back to.
        let base = Instant::now();
        let now = base + Duration::from_mins(2);
        let ago = |seconds: u64| base + Duration::from_secs(120 - seconds);
        assert_eq!(ago(0), now);
        let mut engines = Engines::default();
        let mut senders = Vec::new();
        for (number, idle_for, asked) in [(1, Some(5), 9), (2, Some(7), 9), (3, None, 0), (4, Some(60), 1)] {
            let idle_since = idle_for.map(ago);
            let (asks, receiver) = mpsc::unbounded_channel();
            let (facts, seen) = watch::channel(Facts {
                idle_since,
                ..Engine::first_facts()
            });
            senders.push((facts, receiver));
            let last_ask = ago(asked);
            engines.running.insert(
                Digest::from_bytes([number; 32]),
                Handle {
                    asks,
                    facts: seen,
                    last_ask,
                },
            );
        }
        assert!(engines.make_room(5).unwrap().is_none());
        // The fourth was idle longest, but somebody has just asked it.
        assert!(engines.make_room(4).unwrap().is_some());
        let left: Vec<u8> = (1..=4)
            .filter(|n| engines.running.contains_key(&Digest::from_bytes([*n; 32])))
            .collect();
        assert_eq!(left, [1, 3, 4]);
        assert!(engines.make_room(3).unwrap().is_some());
        assert_eq!(engines.make_room(2).unwrap_err().kind, ProblemKind::Busy);
    }
}
