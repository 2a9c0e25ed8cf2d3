//! The way of an answer to its caller: events in a bounded channel, and what waits while the caller is slow.

use std::time::{Duration, Instant};

use holdfast_contract::Problem;
use holdfast_contract::inference::{Embeddings, FinishReason, GenerateEvent, TokenLogprob, Usage};
use holdfast_contract::problem::ProblemKind;
use tokio::sync::{mpsc, oneshot};

/// Events that may wait for a caller that does not read, besides the text below.
pub const WAITING_EVENTS: usize = 64;
/// Text that may wait for a caller that does not read, in bytes.
const WAITING_BYTES: usize = 1 << 20;
/// The largest event that is made of waiting text, in bytes.
const EVENT_BYTES: usize = 64 << 10;
/// How long the last events may wait for a caller that does not read.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where the events of one request go.
#[derive(Debug)]
pub struct Answer {
    events: mpsc::Sender<GenerateEvent>,
    text: String,
    logprobs: Vec<TokenLogprob>,
    asked: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// The caller does not read, and too much waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotRead;

impl Answer {
    /// To a caller that asked at `asked`.
    pub const fn new(events: mpsc::Sender<GenerateEvent>, asked: Instant) -> Self {
        Self {
            events,
            text: String::new(),
            logprobs: Vec::new(),
            asked,
            first: None,
            last: None,
        }
    }

    /// Tells the caller how things stand. It is no loss if that does not arrive.
    pub fn tell(&self, event: GenerateEvent) {
        let _ = self.events.try_send(event);
    }

    /// Takes text for the caller.
    ///
    /// # Errors
    ///
    /// When too much waits.
    pub fn token(&mut self, text: &str, logprobs: Vec<TokenLogprob>) -> Result<(), NotRead> {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.text.push_str(text);
        self.logprobs.extend(logprobs);
        match self.events.try_reserve() {
            Ok(place) => {
                place.send(next_event(&mut self.text, &mut self.logprobs));
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(())) if self.waiting_bytes() > WAITING_BYTES => Err(NotRead),
            // Closed: the caller is gone, and its cancellation is on the way.
            Err(_) => Ok(()),
        }
    }

    fn waiting_bytes(&self) -> usize {
        let entry = |entry: &TokenLogprob| 64 + entry.token.len() + entry.bytes.len();
        self.text.len()
            + self
                .logprobs
                .iter()
                .map(|e| entry(e) + e.top.iter().map(entry).sum::<usize>())
                .sum::<usize>()
    }

    /// What the request cost, as measured here.
    pub fn usage(&self, prompt_tokens: u32, completion_tokens: u32) -> Usage {
        let milliseconds = |from: Option<Instant>, to: Option<Instant>| match (from, to) {
            (Some(from), Some(to)) => to.saturating_duration_since(from).as_secs_f64() * 1e3,
            _ => 0.0,
        };
        Usage {
            prompt_tokens,
            completion_tokens,
            first_token_ms: milliseconds(Some(self.asked), self.first.or_else(|| Some(Instant::now()))),
            generation_ms: milliseconds(self.first, self.last),
        }
    }

    /// Sends what waits and then `last`, for as long as the caller may take to read it.
    pub async fn finish(mut self, last: GenerateEvent) {
        let send_all = async {
            while !self.text.is_empty() || !self.logprobs.is_empty() {
                let event = next_event(&mut self.text, &mut self.logprobs);
                self.events.send(event).await?;
            }
            self.events.send(last).await
        };
        let _ = tokio::time::timeout(PATIENCE, send_all).await;
    }

    /// Like [`Answer::finish`], with a problem, without waiting for it.
    pub fn fail(self, problem: Problem) {
        tokio::spawn(self.finish(GenerateEvent::Failed { problem }));
    }
}

/// The next event made of waiting text; large amounts are sent in parts.
fn next_event(text: &mut String, logprobs: &mut Vec<TokenLogprob>) -> GenerateEvent {
    const LOGPROBS: usize = 64;
    let end = (0..=EVENT_BYTES.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let rest = text.split_off(end);
    let rest_logprobs = logprobs.split_off(LOGPROBS.min(logprobs.len()));
    GenerateEvent::Token {
        text: std::mem::replace(text, rest),
        logprobs: std::mem::replace(logprobs, rest_logprobs),
    }
}

/// The end of a generated answer.
pub const fn done(finish: FinishReason, usage: Usage) -> GenerateEvent {
    GenerateEvent::Done { finish, usage }
}

/// Vectors as they come in.
#[derive(Debug)]
pub struct Vectors {
    reply: oneshot::Sender<Result<Embeddings, Problem>>,
    wanted: usize,
    found: Embeddings,
}

impl Vectors {
    /// For `wanted` texts.
    pub const fn new(reply: oneshot::Sender<Result<Embeddings, Problem>>, wanted: usize) -> Self {
        Self {
            reply,
            wanted,
            found: Embeddings {
                vectors: Vec::new(),
                prompt_tokens: 0,
            },
        }
    }

    /// Takes the next vector. Returns whether it was the last.
    pub fn add(&mut self, vector: Vec<f32>, tokens: u32) -> bool {
        self.found.vectors.push(vector);
        self.found.prompt_tokens = self.found.prompt_tokens.saturating_add(tokens);
        self.found.vectors.len() >= self.wanted
    }

    /// Length of the vectors so far, where there are any.
    pub fn length(&self) -> Option<usize> {
        self.found.vectors.first().map(Vec::len)
    }

    /// Tokens read so far.
    pub const fn prompt_tokens(&self) -> u32 {
        self.found.prompt_tokens
    }

    /// Answers.
    pub fn finish(self, result: Result<(), Problem>) {
        let _ = self.reply.send(result.map(|()| self.found));
    }
}

/// The problem of a caller that does not read.
pub fn not_read() -> Problem {
    Problem::new(
        ProblemKind::Deadline,
        "the answer was not read, so it was given up",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> GenerateEvent {
        GenerateEvent::Token {
            text: text.to_owned(),
            logprobs: Vec::new(),
        }
    }

    #[tokio::test]
    async fn text_waits_in_one_piece_while_the_caller_is_slow() {
        let (sender, mut events) = mpsc::channel(1);
        let mut answer = Answer::new(sender, Instant::now());
        for text in ["a", "b", "c"] {
            answer.token(text, Vec::new()).unwrap();
        }
        assert_eq!(events.recv().await, Some(token("a")));
        answer.token("d", Vec::new()).unwrap();
        assert_eq!(events.recv().await, Some(token("bcd")));
        let end = done(FinishReason::Stop, answer.usage(1, 4));
        answer.finish(end.clone()).await;
        assert_eq!(events.recv().await, Some(end));
        assert_eq!(events.recv().await, None);
    }

    #[tokio::test]
    async fn a_caller_that_never_reads_is_given_up() {
        let (sender, _events) = mpsc::channel(1);
        let mut answer = Answer::new(sender, Instant::now());
        let text = "x".repeat(100_000);
        let given_up = (0..100).any(|_| answer.token(&text, Vec::new()) == Err(NotRead));
        assert!(given_up && answer.waiting_bytes() < 2 * WAITING_BYTES);
    }

    #[tokio::test]
    async fn much_waiting_text_is_sent_in_parts() {
        let (sender, mut events) = mpsc::channel(16);
        let mut answer = Answer::new(sender, Instant::now());
        answer.text = "é".repeat(EVENT_BYTES);
        answer.finish(done(FinishReason::Stop, Usage::default())).await;
        let mut length = 0;
        while let Some(GenerateEvent::Token { text, .. }) = events.recv().await {
            assert!(text.len() <= EVENT_BYTES);
            length += text.len();
        }
        assert_eq!(length, 2 * EVENT_BYTES);
    }

    #[tokio::test]
    async fn a_caller_that_is_gone_costs_nothing() {
        let (sender, events) = mpsc::channel(1);
        drop(events);
        let mut answer = Answer::new(sender, Instant::now());
        assert_eq!(answer.token("a", Vec::new()), Ok(()));
        answer.finish(done(FinishReason::Stop, Usage::default())).await;
    }

    #[test]
    fn vectors_are_complete_when_all_are_there() {
        let (reply, mut result) = oneshot::channel();
        let mut vectors = Vectors::new(reply, 2);
        assert!(!vectors.add(vec![1.0], 3));
        assert!(vectors.add(vec![2.0], 4));
        vectors.finish(Ok(()));
        let found = result.try_recv().unwrap().unwrap();
        assert_eq!((found.vectors.len(), found.prompt_tokens), (2, 7));
    }
}
