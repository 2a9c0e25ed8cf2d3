//! The decode loop: every step computes the next token of each request that is being answered and a piece of the prompts
//! of those that are not there yet, all in one batch.
//!
//! A slot is a sequence of llama.cpp's context with memory of its own. It is emptied when its request ends; if that ever
//! failed the process would end rather than let one request see another's text.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use holdfast_contract::engine::{EngineSettings, JobFailure, Report};
use holdfast_contract::inference::{FinishReason, TokenLogprob};
use llama_cpp_2::LlamaContextLoadError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use crate::embed::Embedder;
use crate::frames::Outbox;
use crate::pace::Pace;
use crate::sampling;
use crate::session::Session;
use crate::text::Piece;
use crate::vocabulary::Vocabulary;

/// Steps at least this long are reported at once; the tokens of shorter ones are reported together.
const LONG_STEP: Duration = Duration::from_millis(1);
/// A token waits at most about this long for others.
const PATIENCE: Duration = Duration::from_millis(3);
/// How often the daemon hears that a prompt is being read.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// Models up to this size are computed by one thread: handing work to a second costs more than it saves.
const SMALL_MODEL_BYTES: u64 = 48 << 20;

/// Something for the loop to do.
#[derive(Debug)]
pub enum Work {
    /// Answer this.
    Start(Box<Session>),
    /// Embed these texts.
    Embed {
        /// Names the job.
        id: u64,
        /// The texts' tokens.
        texts: VecDeque<Vec<LlamaToken>>,
    },
    /// Forget this job.
    Cancel(u64),
    /// Say that this job failed.
    Fail(u64, JobFailure),
}

/// A model with its context and the requests in it.
#[derive(Debug)]
pub struct Engine<'m, W> {
    vocabulary: &'m Vocabulary<'m>,
    context: LlamaContext<'m>,
    context_tokens: u32,
    embedder: Embedder<'m>,
    embeddings: VecDeque<(u64, VecDeque<Vec<LlamaToken>>)>,
    slots: Vec<Slot>,
    batch: LlamaBatch<'static>,
    pace: Pace,
    /// The slot whose prompt is read first in the next step.
    turn: usize,
    outbox: Outbox<W>,
    flushed: Instant,
    /// When the daemon last heard of this worker, or a request came in.
    alive: Instant,
}

#[derive(Debug, Default)]
struct Slot {
    session: Option<Session>,
    /// Text that is not reported yet.
    unsent: Piece,
    /// Where the batch holds the token whose successor is to be chosen.
    output: Option<i32>,
}

/// What a step did.
#[derive(Debug, Default)]
struct Step {
    prompt_tokens: u32,
    /// Something happened that should be reported at once.
    urgent: bool,
}

impl<'m, W: Write> Engine<'m, W> {
    /// Makes the context and computes one token, so that the first request does not pay for it.
    ///
    /// # Errors
    ///
    /// When llama.cpp cannot make a context of this size; the outbox comes back with the error.
    pub fn new(
        backend: &'m LlamaBackend,
        model: &'m LlamaModel,
        vocabulary: &'m Vocabulary<'m>,
        settings: &EngineSettings,
        outbox: Outbox<W>,
    ) -> Result<Self, (LlamaContextLoadError, Outbox<W>)> {
        let slots = settings.slots.max(1);
        let wanted = settings.context_tokens.min(model.n_ctx_train()).max(1);
        let batch_tokens = settings.batch_tokens.max(slots).max(1);
        let threads = if model.size() <= SMALL_MODEL_BYTES {
            1
        } else {
            settings.threads.max(1)
        };
        let threads = i32::try_from(threads).unwrap_or(1);
        let parameters = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(wanted.saturating_mul(slots)))
            .with_n_seq_max(slots)
            .with_kv_unified(false)
            .with_n_batch(batch_tokens)
            .with_n_ubatch(batch_tokens)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_no_perf(true);
        let mut context = match model.new_context(backend, parameters) {
            Ok(context) => context,
            Err(error) => return Err((error, outbox)),
        };
        let capacity = usize::try_from(batch_tokens).unwrap_or(1);
        let mut batch = LlamaBatch::new(capacity, 1);
        if batch.add(LlamaToken(0), 0, &[0], true).is_ok() && context.decode(&mut batch).is_err() {
            tracing::warn!("the warm-up step failed");
        }
        context.clear_kv_cache();
        Ok(Self {
            vocabulary,
            context_tokens: wanted.min(context.n_ctx() / slots),
            context,
            embedder: Embedder::new(backend, model, threads),
            embeddings: VecDeque::new(),
            slots: (0..slots).map(|_| Slot::default()).collect(),
            batch,
            pace: Pace::new(batch_tokens),
            turn: 0,
            outbox,
            flushed: Instant::now(),
            alive: Instant::now(),
        })
    }

    /// Context of each slot, in tokens.
    pub const fn context_tokens(&self) -> u32 {
        self.context_tokens
    }

    /// Requests that can be answered at once.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// Sends a report at once.
    ///
    /// # Errors
    ///
    /// When the daemon has gone.
    pub fn report(&mut self, report: &Report) -> io::Result<()> {
        self.outbox.push(report)?;
        self.outbox.flush()
    }

    /// Works until there is nobody left to give work.
    ///
    /// # Errors
    ///
    /// When the daemon has gone, or a slot could not be emptied.
    pub fn run(&mut self, work: &Receiver<Work>) -> io::Result<()> {
        loop {
            if self.is_idle() {
                self.flush()?;
                match work.recv() {
                    Ok(item) => self.take(item)?,
                    Err(_) => return Ok(()),
                }
            }
            loop {
                match work.try_recv() {
                    Ok(item) => self.take(item)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.advance()?;
        }
    }

    fn is_idle(&self) -> bool {
        self.embeddings.is_empty() && self.slots.iter().all(|slot| slot.session.is_none())
    }

    fn take(&mut self, work: Work) -> io::Result<()> {
        match work {
            Work::Start(session) => match self.slots.iter_mut().find(|slot| slot.session.is_none()) {
                Some(slot) => {
                    self.alive = Instant::now();
                    slot.session = Some(*session);
                }
                None => self.fail(session.id, JobFailure::Full)?,
            },
            Work::Embed { id, texts } if self.embeddings.len() < self.slots.len() => {
                self.embeddings.push_back((id, texts));
            }
            Work::Embed { id, .. } => self.fail(id, JobFailure::Full)?,
            Work::Fail(id, failure) => self.fail(id, failure)?,
            Work::Cancel(id) => {
                let embedding = self.embeddings.iter().position(|(job, _)| *job == id);
                let slot = (0..self.slots.len())
                    .find(|index| self.session(*index).is_some_and(|session| session.id == id));
                match (embedding, slot) {
                    (Some(at), _) => {
                        self.embeddings.remove(at);
                    }
                    (None, Some(index)) => self.vacate(index)?,
                    // It ended before.
                    (None, None) => return Ok(()),
                }
                self.fail(id, JobFailure::Cancelled)?;
            }
        }
        Ok(())
    }

    /// One step, and what follows from it.
    fn advance(&mut self) -> io::Result<()> {
        if self
            .slots
            .iter()
            .flat_map(|slot| &slot.session)
            .any(|session| session.next.is_none())
        {
            // A step that reads a prompt may be long; nobody's text waits for it.
            self.flush()?;
        }
        let started = Instant::now();
        let mut step = self.step()?;
        let took = started.elapsed();
        self.pace.observe(step.prompt_tokens, took);
        if step.prompt_tokens > 0
            && self.alive.elapsed() >= SIGN_OF_LIFE
            && let Some(session) = self.slots.iter().find_map(|slot| slot.session.as_ref())
        {
            self.outbox.push(&Report::Reading { id: session.id })?;
            step.urgent = true;
        }
        if step.urgent || took >= LONG_STEP || self.flushed.elapsed() >= PATIENCE {
            self.flush()?;
        }
        self.embed_one()
    }

    fn step(&mut self) -> io::Result<Step> {
        let mut step = Step::default();
        let shares = self.shares();
        self.batch.clear();
        // llama.cpp computes neighbouring sequences together if they come in order.
        for (index, share) in shares.into_iter().enumerate() {
            step.prompt_tokens += self.fill(index, share)?;
        }
        if self.batch.n_tokens() == 0 {
            return Ok(step);
        }
        if let Err(error) = self.context.decode(&mut self.batch) {
            tracing::error!(%error, "step failed");
            step.urgent = true;
            for index in 0..self.slots.len() {
                if let Some(id) = self.session(index).map(|session| session.id) {
                    self.vacate(index)?;
                    self.fail(id, JobFailure::Failed)?;
                }
            }
            return Ok(step);
        }
        for index in 0..self.slots.len() {
            step.urgent |= self.choose(index)?;
        }
        Ok(step)
    }

    /// How many prompt tokens each slot may read in this step. The room is shared out fairly: what one does not need
    /// goes to the next, and who comes first changes with every step.
    fn shares(&mut self) -> Vec<usize> {
        let unread: Vec<usize> = self
            .slots
            .iter()
            .map(|slot| slot.session.as_ref().map_or(0, |session| session.unread().len()))
            .collect();
        let generating = self
            .slots
            .iter()
            .filter(|slot| {
                slot.session
                    .as_ref()
                    .is_some_and(|session| session.next.is_some())
            })
            .count();
        let room = usize::try_from(self.pace.prompt_tokens(generating > 0)).unwrap_or(1);
        self.turn = (self.turn + 1) % self.slots.len();
        share_out(&unread, room.saturating_sub(generating).max(1), self.turn)
    }

    /// Adds a slot's tokens to the batch; returns how many of them are of its prompt.
    fn fill(&mut self, index: usize, share: usize) -> io::Result<u32> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(0);
        };
        slot.output = None;
        let Some(session) = &mut slot.session else {
            return Ok(0);
        };
        let sequence = [i32::try_from(index).map_err(io::Error::other)?];
        if let Some(token) = session.next {
            slot.output = Some(self.batch.n_tokens());
            self.batch
                .add(token, session.position, &sequence, true)
                .map_err(io::Error::other)?;
            session.position += 1;
            return Ok(0);
        }
        let mut read = 0;
        while let Some(token) = session
            .unread()
            .first()
            .copied()
            .filter(|_| (read as usize) < share)
        {
            session.fed += 1;
            let last = session.unread().is_empty();
            if last {
                slot.output = Some(self.batch.n_tokens());
            }
            self.batch
                .add(token, session.position, &sequence, last)
                .map_err(io::Error::other)?;
            session.position += 1;
            read += 1;
        }
        Ok(read)
    }

    /// Chooses a slot's next token from what the step computed. Returns whether that should be reported at once.
    fn choose(&mut self, index: usize) -> io::Result<bool> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(false);
        };
        let (Some(session), Some(output)) = (&mut slot.session, slot.output.take()) else {
            return Ok(false);
        };
        let token = session.sampler.sample(&self.context, output);
        let first = session.next.is_none();
        let is_end = self.vocabulary.is_end(token);
        if !is_end {
            session.generated += 1;
            session.next = Some(token);
            let logprob = session.logprobs.map(|top| {
                let logits = self.context.get_logits_ith(output);
                sampling::logprobs(logits, token, top as usize, |token| self.vocabulary.bytes(token))
            });
            if let Some(piece) = session.text.push(&self.vocabulary.piece(token), logprob) {
                slot.unsent.add(piece);
            }
        }
        match session.ended(is_end) {
            Some(finish) => self.finish(index, finish).map(|()| true),
            // Probabilities are bulky: they are not collected.
            None => Ok(first || session.logprobs.is_some()),
        }
    }

    fn finish(&mut self, index: usize, finish: FinishReason) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(());
        };
        let Some(session) = &mut slot.session else {
            return Ok(());
        };
        if let Some(piece) = session.text.finish() {
            slot.unsent.add(piece);
        }
        let done = Report::Done {
            id: session.id,
            finish,
            prompt_tokens: u32::try_from(session.prompt.len()).unwrap_or(u32::MAX),
            completion_tokens: session.generated,
            format: session.format,
        };
        slot.send(&mut self.outbox)?;
        self.outbox.push(&done)?;
        self.vacate(index)
    }

    fn embed_one(&mut self) -> io::Result<()> {
        let Some((id, texts)) = self.embeddings.front_mut() else {
            return Ok(());
        };
        let id = *id;
        let result = texts
            .pop_front()
            .map(|tokens| (self.embedder.embed(&tokens), tokens.len()));
        if texts.is_empty() || matches!(result, Some((Err(_), _))) {
            self.embeddings.pop_front();
        }
        match result {
            Some((Ok(vector), tokens)) => {
                let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
                self.outbox.push(&Report::Vector { id, vector, tokens })?;
            }
            Some((Err(failure), _)) => self.fail(id, failure)?,
            None => self.fail(id, JobFailure::PromptEmpty)?,
        }
        self.flush()
    }

    fn session(&self, index: usize) -> Option<&Session> {
        self.slots.get(index)?.session.as_ref()
    }

    /// Empties a slot.
    fn vacate(&mut self, index: usize) -> io::Result<()> {
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot::default();
        }
        let sequence = u32::try_from(index).map_err(io::Error::other)?;
        match self.context.clear_kv_cache_seq(Some(sequence), None, None) {
            Ok(true) => Ok(()),
            _ => Err(io::Error::other(
                "a finished request could not be removed from the context",
            )),
        }
    }

    fn fail(&mut self, id: u64, failure: JobFailure) -> io::Result<()> {
        self.outbox.push(&Report::Failed { id, failure })?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        for slot in &mut self.slots {
            slot.send(&mut self.outbox)?;
        }
        self.flushed = Instant::now();
        if self.outbox.is_empty() {
            return Ok(());
        }
        self.alive = self.flushed;
        self.outbox.flush()
    }
}

impl Slot {
    fn send<W: Write>(&mut self, outbox: &mut Outbox<W>) -> io::Result<()> {
        let Some(session) = &self.session else {
            return Ok(());
        };
        if self.unsent.tokens == 0 && self.unsent.text.is_empty() {
            return Ok(());
        }
        let Piece {
            text,
            tokens,
            logprobs,
        } = std::mem::take(&mut self.unsent);
        let logprobs: Vec<TokenLogprob> = logprobs;
        outbox.push(&Report::Token {
            id: session.id,
            tokens,
            text,
            logprobs,
        })
    }
}

/// Shares `room` out among those who have `unread` prompt tokens, beginning with `first`: each gets an equal part, and what is
/// left over goes round again.
fn share_out(unread: &[usize], room: usize, first: usize) -> Vec<usize> {
    let mut shares = vec![0; unread.len()];
    let mut room = room;
    loop {
        let waiting: Vec<usize> = (0..unread.len())
            .map(|step| (first + step) % unread.len())
            .filter(|index| shares.get(*index) < unread.get(*index))
            .collect();
        if room == 0 || waiting.is_empty() {
            return shares;
        }
        let part = (room / waiting.len()).max(1);
        for index in waiting {
            if let (Some(share), Some(unread)) = (shares.get_mut(index), unread.get(index)) {
                let more = part.min(unread - *share).min(room);
                *share += more;
                room -= more;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_prompt_gets_all_the_room() {
        assert_eq!(share_out(&[0, 900, 0], 512, 0), [0, 512, 0]);
        assert_eq!(share_out(&[0, 9, 0], 512, 0), [0, 9, 0]);
    }

    #[test]
    fn a_short_prompt_is_not_starved_by_a_long_one() {
        assert_eq!(share_out(&[10_000, 30], 512, 0), [482, 30]);
        assert_eq!(share_out(&[10_000, 10_000], 100, 0), [50, 50]);
    }

    #[test]
    fn who_comes_first_takes_what_cannot_be_shared() {
        assert_eq!(share_out(&[5, 5], 1, 0), [1, 0]);
        assert_eq!(share_out(&[5, 5], 1, 1), [0, 1]);
        assert_eq!(share_out(&[0, 0], 10, 0), [0, 0]);
    }
}
