//! The jobs that a worker is doing, and what it may say about them.
//!
//! Every report is held against what was asked: an id that is not being worked on, more tokens than were allowed, a vector
//! that is none, a second end are impossible, and a worker that reports the impossible is ended.

use std::collections::HashMap;

use holdfast_contract::engine::{ChatFormat, JobFailure, MAX_EMBEDDING_LENGTH, Report};
use holdfast_contract::inference::{FinishReason, GenerateEvent};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::{Digest, Problem};

use crate::answer::{Answer, Vectors, done, not_read};
use crate::evidence::{Answered, Evidence};
use crate::worker::Breach;

/// A request that a worker is doing.
#[derive(Debug)]
pub struct Job {
    caller: String,
    /// None once it is cancelled: nobody waits for it.
    kind: Option<Kind>,
    name: &'static str,
    /// The most tokens that were asked for.
    most: Option<u32>,
    /// Tokens reported.
    tokens: u32,
}

/// What a job is for, and where its result goes.
#[derive(Debug)]
pub enum Kind {
    /// Text.
    Generate(Answer),
    /// Vectors.
    Embed(Vectors),
}

impl Job {
    /// A job for `caller` that may take `most` tokens.
    pub const fn new(caller: String, kind: Kind, most: Option<u32>) -> Self {
        let name = match &kind {
            Kind::Generate(_) => "generate",
            Kind::Embed(_) => "embed",
        };
        Self {
            caller,
            kind: Some(kind),
            name,
            most,
            tokens: 0,
        }
    }

    fn finished(self, end: &'static str, result: Result<Option<FinishReason>, Problem>) -> Finished {
        let prompt_tokens = match &self.kind {
            Some(Kind::Embed(vectors)) => vectors.prompt_tokens(),
            _ => 0,
        };
        Finished {
            answered: Answered {
                kind: self.name,
                caller: self.caller,
                end,
                prompt_tokens,
                completion_tokens: self.tokens,
                format: None,
            },
            kind: self.kind,
            result,
        }
    }
}

/// All jobs of one worker, and the room it has.
#[derive(Debug, Default)]
pub struct Jobs {
    under_way: HashMap<u64, Job>,
    slots: u32,
    context_tokens: u32,
}

/// What follows from a report.
#[derive(Debug, Default)]
pub struct Outcome {
    /// A job that ended.
    pub finished: Option<Finished>,
    /// A job that the worker must be told to stop.
    pub cancel: Option<u64>,
}

/// A job that ended, to be recorded and answered.
#[derive(Debug)]
pub struct Finished {
    answered: Answered,
    kind: Option<Kind>,
    result: Result<Option<FinishReason>, Problem>,
}

impl Jobs {
    /// The worker has loaded its model and has this room.
    pub const fn set_room(&mut self, slots: u32, context_tokens: u32) {
        self.slots = slots;
        self.context_tokens = context_tokens;
    }

    /// Whether the worker has loaded its model.
    pub const fn has_room(&self) -> bool {
        self.slots > 0
    }

    /// Whether the worker has nothing to do.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// How many jobs there are.
    pub fn active(&self) -> u32 {
        u32::try_from(self.under_way.len()).unwrap_or(u32::MAX)
    }

    /// How many more there may be.
    pub fn free(&self) -> u32 {
        self.slots.saturating_sub(self.active())
    }

    /// Adds a job that the worker is about to be given.
    pub fn add(&mut self, id: u64, job: Job) {
        self.under_way.insert(id, job);
    }

    /// Nobody waits for a job any more. Returns whether the worker must be told.
    pub fn cancel(&mut self, id: u64) -> bool {
        // The slot stays taken until the worker says that the job has ended.
        self.under_way
            .get_mut(&id)
            .is_some_and(|job| job.kind.take().is_some())
    }

    /// Takes a report.
    ///
    /// # Errors
    ///
    /// When it cannot be true.
    pub fn report(&mut self, report: Report) -> Result<Outcome, Breach> {
        match report {
            Report::Reading { id } => self.job(id).map(|_| Outcome::default()),
            Report::Token {
                id,
                tokens,
                text,
                logprobs,
            } => {
                let limit = self.context_tokens;
                let job = self.job(id)?;
                job.tokens = job
                    .tokens
                    .checked_add(tokens)
                    .ok_or(Breach::Impossible("too many tokens"))?;
                if tokens == 0 || job.tokens > job.most.unwrap_or(limit).min(limit) {
                    return Err(Breach::Impossible("more tokens than were asked for"));
                }
                match &mut job.kind {
                    Some(Kind::Generate(answer)) => {
                        if answer.token(&text, logprobs).is_ok() {
                            return Ok(Outcome::default());
                        }
                    }
                    Some(Kind::Embed(_)) => return Err(Breach::Impossible("text for an embedding")),
                    None => return Ok(Outcome::default()),
                }
                if let Some(Kind::Generate(answer)) = job.kind.take() {
                    answer.fail(not_read());
                }
                Ok(Outcome {
                    cancel: Some(id),
                    finished: None,
                })
            }
            Report::Done {
                id,
                finish,
                prompt_tokens,
                completion_tokens,
                format,
            } => {
                let limit = self.context_tokens;
                let job = self.job(id)?;
                let most = job.most.unwrap_or(limit).min(limit);
                if job.name != "generate"
                    || completion_tokens > most
                    || completion_tokens < job.tokens
                    || prompt_tokens > limit
                {
                    return Err(Breach::Impossible("an end that does not fit its beginning"));
                }
                Ok(self.done(id, finish, prompt_tokens, completion_tokens, format))
            }
            Report::Vector { id, vector, tokens } => self.vector(id, vector, tokens),
            Report::Failed { id, failure } => {
                let job = self.job(id)?;
                if failure == JobFailure::Cancelled && job.kind.is_some() {
                    return Err(Breach::Impossible("a cancellation that nobody asked for"));
                }
                Ok(self.failed(id, failure))
            }
            Report::Confined(_) | Report::Loaded { .. } | Report::Refused { .. } => {
                Err(Breach::Impossible("something out of turn"))
            }
        }
    }

    fn job(&mut self, id: u64) -> Result<&mut Job, Breach> {
        self.under_way.get_mut(&id).ok_or(Breach::Impossible(
            "something about a request that it does not have",
        ))
    }

    fn done(
        &mut self,
        id: u64,
        finish: FinishReason,
        prompt_tokens: u32,
        completion_tokens: u32,
        format: Option<ChatFormat>,
    ) -> Outcome {
        let Some(mut job) = self.under_way.remove(&id) else {
            return Outcome::default();
        };
        job.tokens = completion_tokens;
        let end = match (&job.kind, finish) {
            (None, _) => "cancelled",
            (_, FinishReason::Stop) => "stop",
            (_, FinishReason::Length) => "length",
        };
        let mut finished = job.finished(end, Ok(Some(finish)));
        finished.answered.prompt_tokens = prompt_tokens;
        finished.answered.format = format;
        Outcome {
            finished: Some(finished),
            cancel: None,
        }
    }

    fn vector(&mut self, id: u64, vector: Vec<f32>, tokens: u32) -> Result<Outcome, Breach> {
        let job = self.job(id)?;
        if job.name != "embed" {
            return Err(Breach::Impossible("a vector for a text"));
        }
        let Some(Kind::Embed(vectors)) = &mut job.kind else {
            return Ok(Outcome::default());
        };
        let fits = (1..=MAX_EMBEDDING_LENGTH).contains(&vector.len())
            && vectors.length().is_none_or(|length| length == vector.len())
            && vector
                .iter()
                .all(|value| value.is_finite() && value.abs() <= 1.001);
        if !fits {
            return Err(Breach::Impossible("a vector that is none"));
        }
        if !vectors.add(vector, tokens) {
            return Ok(Outcome::default());
        }
        let finished = self
            .under_way
            .remove(&id)
            .map(|job| job.finished("done", Ok(None)));
        Ok(Outcome {
            finished,
            cancel: None,
        })
    }

    fn failed(&mut self, id: u64, failure: JobFailure) -> Outcome {
        let finished = self.under_way.remove(&id).map(|job| {
            let end = if job.kind.is_none() { "cancelled" } else { "failed" };
            job.finished(end, Err(explain(failure)))
        });
        Outcome {
            finished,
            cancel: None,
        }
    }

    /// Ends every job with `problem`.
    pub fn fail_all(&mut self, problem: &Problem) -> Vec<Finished> {
        let ended = |(_, job): (u64, Job)| {
            let end = if job.kind.is_none() { "cancelled" } else { "failed" };
            job.finished(end, Err(problem.clone()))
        };
        self.under_way.drain().map(ended).collect()
    }
}

impl Finished {
    /// Writes the end down and answers. An end that cannot be written down is no good end.
    pub async fn conclude(self, evidence: &Evidence, model: Digest) {
        let (prompt_tokens, completion_tokens) =
            (self.answered.prompt_tokens, self.answered.completion_tokens);
        let recorded = evidence.answered(model, self.answered).await;
        let result = match (self.result, recorded) {
            (Ok(_), Err(problem)) => {
                tracing::error!(%problem, "an answer is not in the ledger");
                let detail = format!("the answer could not be recorded: {}", problem.detail);
                Err(Problem::new(ProblemKind::Unavailable, detail))
            }
            (result, _) => result,
        };
        match (self.kind, result) {
            (Some(Kind::Generate(answer)), Ok(finish)) => {
                let usage = answer.usage(prompt_tokens, completion_tokens);
                answer
                    .finish(done(finish.unwrap_or(FinishReason::Stop), usage))
                    .await;
            }
            (Some(Kind::Generate(answer)), Err(problem)) => {
                answer.finish(GenerateEvent::Failed { problem }).await;
            }
            (Some(Kind::Embed(vectors)), result) => vectors.finish(result.map(drop)),
            (None, _) => {}
        }
    }
}

/// A worker's reason in words.
fn explain(failure: JobFailure) -> Problem {
    use ProblemKind::{Busy, Conflict, Internal, Invalid, TooLarge};
    match failure {
        JobFailure::PromptTooLong { tokens, limit } => Problem::new(
            TooLarge,
            format!("the prompt has {tokens} tokens, and at most {limit} fit into this engine's context"),
        )
        .next("Shorten the conversation, or raise context_tokens in inference.toml."),
        JobFailure::PromptEmpty => Problem::new(Invalid, "there is nothing to continue"),
        JobFailure::UnknownToken { token } => Problem::new(
            Invalid,
            format!("logit_bias names token {token}, which this model does not have"),
        ),
        JobFailure::NoText => Problem::new(Conflict, "this model makes embeddings only"),
        JobFailure::NoEmbeddings => Problem::new(Conflict, "this model cannot make embeddings of this text"),
        JobFailure::OutOfRange => Problem::new(Invalid, "a sampling parameter is out of its range"),
        JobFailure::Cancelled => Problem::new(Internal, "the request was cancelled"),
        JobFailure::Full => Problem::new(Busy, "the engine had no free slot"),
        JobFailure::Failed => Problem::new(Internal, "the engine failed at this request"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use holdfast_contract::status::Confinement;
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    fn generating(most: Option<u32>) -> (Jobs, mpsc::Receiver<GenerateEvent>) {
        let (sender, events) = mpsc::channel(8);
        let mut jobs = Jobs::default();
        jobs.set_room(2, 100);
        let kind = Kind::Generate(Answer::new(sender, Instant::now()));
        jobs.add(1, Job::new("console".to_owned(), kind, most));
        (jobs, events)
    }

    fn embedding(wanted: usize) -> Jobs {
        let (reply, _) = oneshot::channel();
        let mut jobs = Jobs::default();
        jobs.set_room(2, 100);
        jobs.add(
            1,
            Job::new(
                "console".to_owned(),
                Kind::Embed(Vectors::new(reply, wanted)),
                None,
            ),
        );
        jobs
    }

    fn token(id: u64, tokens: u32) -> Report {
        Report::Token {
            id,
            tokens,
            text: "x".to_owned(),
            logprobs: Vec::new(),
        }
    }

    fn end(id: u64, prompt_tokens: u32, completion_tokens: u32) -> Report {
        Report::Done {
            id,
            finish: FinishReason::Stop,
            prompt_tokens,
            completion_tokens,
            format: None,
        }
    }

    #[test]
    fn an_answer_goes_its_way() {
        let (mut jobs, mut events) = generating(Some(3));
        assert!(jobs.report(Report::Reading { id: 1 }).unwrap().finished.is_none());
        assert!(jobs.report(token(1, 2)).unwrap().finished.is_none());
        assert!(matches!(events.try_recv(), Ok(GenerateEvent::Token { .. })));
        let finished = jobs.report(end(1, 5, 3)).unwrap().finished.unwrap();
        assert_eq!(
            (finished.answered.end, finished.answered.completion_tokens),
            ("stop", 3)
        );
        assert!(jobs.is_empty() && jobs.free() == 2);
    }

    #[test]
    fn the_impossible_is_not_believed() {
        let impossible: Vec<Report> = vec![
            token(2, 1),
            token(1, 0),
            token(1, 4),
            token(1, u32::MAX),
            end(2, 1, 1),
            end(1, 101, 1),
            end(1, 1, 4),
            Report::Reading { id: 7 },
            Report::Vector {
                id: 1,
                vector: vec![1.0],
                tokens: 1,
            },
            Report::Failed {
                id: 9,
                failure: JobFailure::Failed,
            },
            Report::Failed {
                id: 1,
                failure: JobFailure::Cancelled,
            },
            Report::Loaded {
                slots: 1,
                context_tokens: 1,
                format: ChatFormat::Plain,
            },
            Report::Refused {
                reason: String::new(),
            },
            Report::Confined(Confinement {
                landlock_abi: 7,
                syscalls: 1,
                grants: Vec::new(),
                missing: Vec::new(),
            }),
        ];
        for report in impossible {
            let (mut jobs, _events) = generating(Some(3));
            let breach = jobs.report(report.clone()).unwrap_err();
            assert!(breach.is_hostile(), "{report:?}");
        }
    }

    #[test]
    fn tokens_without_end_are_noticed_at_the_limit() {
        let (mut jobs, _events) = generating(None);
        let believed = (0..1000).take_while(|_| jobs.report(token(1, 1)).is_ok()).count();
        assert_eq!(believed, 100);
    }

    #[test]
    fn a_second_end_is_not_believed() {
        let (mut jobs, _events) = generating(None);
        assert!(jobs.report(end(1, 1, 0)).is_ok());
        assert!(jobs.report(end(1, 1, 0)).is_err());
    }

    #[test]
    fn a_cancelled_job_keeps_its_slot_until_it_has_ended() {
        let (mut jobs, _events) = generating(None);
        assert!(jobs.cancel(1));
        assert!(!jobs.cancel(1) && !jobs.cancel(2));
        assert_eq!(jobs.free(), 1);
        // What was on its way is no lie.
        assert!(jobs.report(token(1, 1)).is_ok());
        let finished = jobs
            .report(Report::Failed {
                id: 1,
                failure: JobFailure::Cancelled,
            })
            .unwrap()
            .finished;
        assert_eq!(finished.unwrap().answered.end, "cancelled");
        assert_eq!(jobs.free(), 2);
    }

    #[test]
    fn vectors_must_be_vectors() {
        let vector = |vector: Vec<f32>| Report::Vector {
            id: 1,
            vector,
            tokens: 1,
        };
        for bad in [
            vec![],
            vec![f32::NAN],
            vec![2.0],
            vec![0.0; MAX_EMBEDDING_LENGTH + 1],
        ] {
            assert!(embedding(2).report(vector(bad)).is_err());
        }
        let mut jobs = embedding(2);
        assert!(jobs.report(vector(vec![0.6, 0.8])).unwrap().finished.is_none());
        assert!(embedding(1).report(token(1, 1)).is_err() && embedding(1).report(end(1, 1, 0)).is_err());
        let finished = jobs.report(vector(vec![1.0, 0.0])).unwrap().finished.unwrap();
        assert_eq!(
            (finished.answered.end, finished.answered.prompt_tokens),
            ("done", 2)
        );
        let mut uneven = embedding(2);
        assert!(uneven.report(vector(vec![1.0])).is_ok());
        assert!(uneven.report(vector(vec![0.6, 0.8])).is_err());
    }

    #[test]
    fn every_failure_has_words() {
        for (failure, kind, word) in [
            (
                JobFailure::PromptTooLong { tokens: 9, limit: 4 },
                ProblemKind::TooLarge,
                "9 tokens",
            ),
            (
                JobFailure::UnknownToken { token: 7 },
                ProblemKind::Invalid,
                "token 7",
            ),
            (JobFailure::NoText, ProblemKind::Conflict, "embeddings only"),
            (JobFailure::Failed, ProblemKind::Internal, "failed"),
        ] {
            let problem = explain(failure);
            assert!(problem.kind == kind && problem.detail.contains(word), "{problem}");
        }
    }
}
