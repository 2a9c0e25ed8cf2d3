//! One engine: a worker with a loaded model, the requests it answers, and those that wait.
//!
//! A task of its own owns all of it. It trusts what the kernel says of callers and what the registry says of models, and nothing
//! that the worker says: see `jobs.rs`.

mod ask;
mod end;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use holdfast_contract::engine::{Command, GenerateJob, Report};
use holdfast_contract::inference::GenerateEvent;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::{Digest, Problem};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use crate::jobs::{Job, Jobs, Kind};
use crate::pool::Shared;
use crate::registry::Opened;
use crate::worker::{Breach, Worker};

pub use self::ask::{Ask, Stop, Waiting, Work};
use self::end::{End, unloaded};

/// How an engine stands, for listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The worker's process id; 0 while there is none.
    pub pid: u32,
    /// Requests being answered.
    pub active: u32,
    /// Requests waiting.
    pub queued: u32,
    /// Requests that can be answered at once; 0 while it loads.
    pub slots: u32,
    /// Context of each slot, in tokens.
    pub context_tokens: u32,
    /// When the last request ended; none while there is one.
    pub idle_since: Option<Instant>,
}

/// The task that runs an engine.
#[derive(Debug)]
pub struct Engine {
    model: Digest,
    shared: Arc<Shared>,
    asks: mpsc::UnboundedReceiver<Ask>,
    facts: watch::Sender<Facts>,
    queue: VecDeque<Waiting>,
    jobs: Jobs,
    loaded: bool,
    heard: Instant,
}

/// Either an ask that ends the engine, or a report.
enum Heard {
    Stop(Stop),
    Report(Result<Report, Breach>),
}

impl Engine {
    /// An engine for `model` that is not there yet.
    pub fn new(
        model: Digest,
        shared: Arc<Shared>,
        asks: mpsc::UnboundedReceiver<Ask>,
        facts: watch::Sender<Facts>,
    ) -> Self {
        Self {
            model,
            shared,
            asks,
            facts,
            queue: VecDeque::new(),
            jobs: Jobs::default(),
            loaded: false,
            heard: Instant::now(),
        }
    }

    /// How an engine stands at first.
    pub const fn first_facts() -> Facts {
        Facts {
            pid: 0,
            active: 0,
            queued: 0,
            slots: 0,
            context_tokens: 0,
            idle_since: None,
        }
    }

    /// Runs until there is nothing more to do for this model. `before` is waited for: the engine that makes room.
    pub async fn run(mut self, before: Option<watch::Receiver<Facts>>) {
        if let Some(mut before) = before {
            // It is gone when its sender is.
            while before.changed().await.is_ok() {}
        }
        let mut worker = None;
        let end = match self.live(&mut worker).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.conclude(end, worker).await;
    }

    async fn live(&mut self, worker: &mut Option<Worker>) -> Result<std::convert::Infallible, End> {
        let asked = Instant::now();
        let opened = self.open().await?;
        for waiting in &self.queue {
            waiting.tell(GenerateEvent::Loading);
        }
        self.loaded = true;
        let settings = self
            .shared
            .config
            .engine(self.shared.machine, opened.chat_template);
        let running = worker.insert(self.start(opened)?);
        let pid = running.pid();
        self.facts.send_modify(|facts| facts.pid = pid);
        running.send(&Command::Load(settings)).map_err(End::Broken)?;
        self.load(running, asked).await?;
        self.serve(running).await
    }

    /// Asks the registry for the model, while requests come in.
    async fn open(&mut self) -> Result<Opened, End> {
        let registry = self.shared.registry.clone();
        let model = self.model;
        let opening = registry.open(model);
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => return opened.map_err(End::Problem),
                ask = self.asks.recv() => self.hear(ask)?,
            }
        }
    }

    fn start(&self, opened: Opened) -> Result<Worker, End> {
        tracing::info!(model = %self.model, name = opened.name, "loading");
        Worker::start(&self.shared.program, opened.descriptor).map_err(|error| {
            tracing::error!(%error, program = %self.shared.program.display(), "engine not started");
            End::Problem(Problem::new(
                ProblemKind::Internal,
                "the engine's program cannot be started",
            ))
        })
    }

    /// Waits until the worker has confined itself and loaded the model.
    async fn load(&mut self, worker: &mut Worker, asked: Instant) -> Result<(), End> {
        let deadline = tokio::time::Instant::from_std(asked + self.shared.config.load_timeout());
        let mut confinement = None;
        loop {
            let report = tokio::select! {
                report = worker.receive() => report.map_err(End::Broken)?,
                ask = self.asks.recv() => { self.hear(ask)?; continue }
                () = tokio::time::sleep_until(deadline) => return Err(End::Silent("loading the model took too long")),
            };
            match report {
                Report::Confined(found) if confinement.is_none() => {
                    for missing in &found.missing {
                        tracing::debug!(missing, "engine confined in part");
                    }
                    confinement = Some(found);
                }
                Report::Refused { reason } => return Err(End::Refused(reason)),
                Report::Loaded {
                    slots,
                    context_tokens,
                    format,
                } if confinement.is_some() => {
                    let limits = &self.shared.config;
                    let sound = (1..=limits.slots).contains(&slots)
                        && (1..=limits.context_tokens).contains(&context_tokens);
                    if !sound {
                        return Err(End::Broken(Breach::Impossible("more room than it was given")));
                    }
                    self.jobs.set_room(slots, context_tokens);
                    let took = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(model = %self.model, pid = worker.pid(), took_ms = took, format = format.name(), "loaded");
                    let detail = json!({
                        "action": "started", "pid": worker.pid(), "slots": slots, "context_tokens": context_tokens,
                        "format": format.name(), "took_ms": took,
                    });
                    self.shared
                        .evidence
                        .started(self.model, detail)
                        .await
                        .map_err(End::Problem)?;
                    self.facts.send_modify(|facts| {
                        facts.slots = slots;
                        facts.context_tokens = context_tokens;
                    });
                    return Ok(());
                }
                _ => return Err(End::Broken(Breach::Impossible("something out of turn"))),
            }
        }
    }

    /// Serves requests until there is a reason to end.
    async fn serve(&mut self, worker: &mut Worker) -> Result<std::convert::Infallible, End> {
        let mut ask_registry = tokio::time::interval(self.shared.config.registry_check());
        ask_registry.reset();
        let mut stopping = self.shared.stopping.clone();
        let mut inquiry = Inquiry::default();
        self.heard = Instant::now();
        loop {
            self.dispatch(worker)?;
            self.publish();
            let patience = self.patience();
            let at_rest = self.jobs.is_empty() && self.queue.is_empty();
            let heard = tokio::select! {
                // Reports first: an answer under way goes before new work.
                biased;
                report = worker.receive() => Heard::Report(report),
                ask = self.asks.recv() => match self.take(ask, worker)? {
                    Some(stop) => Heard::Stop(stop),
                    None => continue,
                },
                _ = stopping.wait_for(|stop| *stop), if at_rest => {
                    return Err(End::Sound("stopping"));
                }
                _ = ask_registry.tick() => {
                    inquiry.begin(&self.shared, self.model);
                    continue;
                }
                withdrawn = inquiry.result() => {
                    if withdrawn {
                        return Err(End::Sound("withdrawn"));
                    }
                    continue;
                }
                () = sleep_until(patience) => {
                    self.lose_patience()?;
                    continue;
                }
            };
            match heard {
                Heard::Stop(stop) => return Err(End::Sound(stop.name())),
                Heard::Report(report) => {
                    self.heard = Instant::now();
                    let report = report.map_err(End::Broken)?;
                    self.report(report, worker)?;
                }
            }
        }
    }

    /// When something must have happened: a report of an engine with work, a request for an idle one.
    fn patience(&self) -> Option<Instant> {
        if self.jobs.is_empty() {
            self.shared.config.idle().map(|idle| self.heard + idle)
        } else {
            Some(self.heard + self.shared.config.stall_timeout())
        }
    }

    fn lose_patience(&mut self) -> Result<(), End> {
        if !self.jobs.is_empty() {
            return Err(End::Silent("it gave no sign of life for too long"));
        }
        // A request may have come in this moment; then the engine stays.
        if self.shared.retire_idle(self.model, &self.asks) {
            Err(End::Sound("idle"))
        } else {
            Ok(())
        }
    }

    /// Takes an ask while there is no worker to pass it to.
    fn hear(&mut self, ask: Option<Ask>) -> Result<(), End> {
        match ask {
            Some(Ask::Work(waiting)) => self.enqueue(*waiting),
            Some(Ask::Cancel(id)) => self.queue.retain(|waiting| waiting.id != id),
            Some(Ask::Stop(stop)) => return Err(End::Sound(stop.name())),
            None => return Err(End::Sound("stopping")),
        }
        self.publish();
        Ok(())
    }

    fn take(&mut self, ask: Option<Ask>, worker: &Worker) -> Result<Option<Stop>, End> {
        match ask {
            Some(Ask::Stop(stop)) => Ok(Some(stop)),
            Some(Ask::Cancel(id)) if self.jobs.cancel(id) => {
                worker.send(&Command::Cancel { id }).map_err(End::Broken)?;
                Ok(None)
            }
            other => self.hear(other).map(|()| None),
        }
    }

    fn enqueue(&mut self, waiting: Waiting) {
        let free = self.jobs.free() as usize;
        if self.queue.len() >= self.shared.config.queue as usize + free {
            let detail = format!("{} requests wait for this model already", self.queue.len());
            waiting.fail(
                Problem::new(ProblemKind::Busy, detail)
                    .next("Try again when some of them have been answered."),
            );
            return;
        }
        if self.jobs.free() == 0 && self.loaded {
            let event = if self.jobs.has_room() {
                GenerateEvent::Queued {
                    ahead: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
                }
            } else {
                GenerateEvent::Loading
            };
            waiting.tell(event);
        }
        self.queue.push_back(waiting);
    }

    /// Gives waiting requests to free slots, and tells the others where they stand.
    fn dispatch(&mut self, worker: &Worker) -> Result<(), End> {
        let mut moved = false;
        while self.jobs.free() > 0
            && let Some(waiting) = self.queue.pop_front()
        {
            moved = true;
            if self.jobs.is_empty() {
                self.heard = Instant::now();
            }
            let Waiting { id, caller, work } = waiting;
            let (command, kind, most) = match work {
                Work::Generate(request, answer) => {
                    let most = request.max_tokens;
                    let job = GenerateJob {
                        id,
                        prompt: request.prompt,
                        sampling: request.sampling,
                        max_tokens: most,
                        stop: request.stop,
                        logprobs: request.logprobs,
                    };
                    (Command::Generate(Box::new(job)), Kind::Generate(answer), most)
                }
                Work::Embed(request, vectors) => (
                    Command::Embed {
                        id,
                        input: request.input,
                    },
                    Kind::Embed(vectors),
                    None,
                ),
            };
            self.jobs.add(id, Job::new(caller, kind, most));
            worker.send(&command).map_err(End::Broken)?;
        }
        if moved {
            for (ahead, waiting) in (0..).zip(&self.queue) {
                waiting.tell(GenerateEvent::Queued { ahead });
            }
        }
        Ok(())
    }

    /// Believes a report as far as it can be true.
    fn report(&mut self, report: Report, worker: &Worker) -> Result<(), End> {
        let outcome = self.jobs.report(report).map_err(End::Broken)?;
        if let Some(id) = outcome.cancel {
            worker.send(&Command::Cancel { id }).map_err(End::Broken)?;
        }
        if let Some(finished) = outcome.finished {
            self.shared.forgive(self.model);
            let evidence = self.shared.evidence.clone();
            let model = self.model;
            tokio::spawn(async move { finished.conclude(&evidence, model).await });
        }
        Ok(())
    }

    fn publish(&self) {
        let active = self.jobs.active();
        let queued = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        self.facts.send_if_modified(|facts| {
            let busy = active + queued > 0;
            let changed =
                facts.active != active || facts.queued != queued || facts.idle_since.is_none() != busy;
            facts.active = active;
            facts.queued = queued;
            if busy {
                facts.idle_since = None;
            } else if facts.idle_since.is_none() {
                facts.idle_since = Some(Instant::now());
            }
            changed
        });
    }

    /// Ends the worker, answers everybody, writes it down.
    async fn conclude(mut self, end: End, worker: Option<Worker>) {
        let was_loaded = self.jobs.has_room();
        let exit = match (worker, &end) {
            (Some(worker), End::Broken(Breach::Ended)) => Some(worker.end().await),
            (Some(worker), _) => {
                worker.kill().await;
                None
            }
            (None, _) => None,
        };
        let problem = end.explain(exit.as_ref(), !was_loaded);
        if let (End::Refused(_) | End::Broken(_) | End::Silent(_), Some(problem)) = (&end, &problem) {
            self.shared.remember_failure(self.model, problem);
        }
        self.shared.retire(self.model, &self.facts);
        self.asks.close();
        while let Some(ask) = self.asks.recv().await {
            if let Ask::Work(waiting) = ask {
                self.queue.push_back(*waiting);
            }
        }
        let problem = problem.unwrap_or_else(unloaded);
        for waiting in self.queue.drain(..) {
            waiting.fail(problem.clone());
        }
        for finished in self.jobs.fail_all(&problem) {
            finished.conclude(&self.shared.evidence, self.model).await;
        }
        end.record(
            &self.shared.evidence,
            self.model,
            &problem,
            exit.as_ref(),
            was_loaded,
        )
        .await;
        // The sender of `facts` goes last: who waits for this engine's memory goes on now.
    }
}

/// A question to the registry, while the engine goes on.
#[derive(Default)]
struct Inquiry(Option<Pin<Box<dyn Future<Output = bool> + Send>>>);

impl Inquiry {
    fn begin(&mut self, shared: &Shared, model: Digest) {
        let registry = shared.registry.clone();
        self.0
            .get_or_insert_with(|| Box::pin(async move { registry.has_withdrawn(model).await }));
    }

    /// Whether the model was withdrawn; waits for ever while nothing was asked.
    async fn result(&mut self) -> bool {
        let Some(asking) = &mut self.0 else {
            return std::future::pending().await;
        };
        let withdrawn = asking.await;
        self.0 = None;
        withdrawn
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
