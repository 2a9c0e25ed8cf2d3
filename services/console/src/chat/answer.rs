//! Writing one answer: from the engine to the browser and to disk at once.
//!
//! What was generated is kept whatever ends it: its own end, the person, a lost connection, a crash (then up to the last
//! two seconds are lost). The job lives longer than the request it belongs to, by as long as the last write takes.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use holdfast_contract::inference::{GenerateEvent, GenerateRequest, Prompt, Sampling, Speaker, Usage};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::ModelSummary;
use holdfast_contract::{Problem, Timestamp};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::app::App;
use crate::conversation::{Conversation, Cost, MAX_ANSWER_BYTES, State, Turn};
use crate::history::Answering;
use crate::markdown::{self, Node};
use crate::words;

/// How often an unfinished answer is written to disk.
const KEPT_EVERY: Duration = Duration::from_secs(2);
/// Models with fewer weights are sampled greedily unless the person decides otherwise: chance makes them ramble.
const SMALL_MODEL: u64 = 50_000_000;
/// The temperature for all others.
const USUAL_TEMPERATURE: f32 = 0.7;

/// What the page is told, one line of JSON each. The last is `ended`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Told {
    /// The question is kept.
    Begun {
        /// In this conversation.
        conversation: String,
        /// Which is called so.
        title: String,
        /// This model will answer.
        model: String,
    },
    /// Others are ahead.
    Queued {
        /// How many.
        ahead: u32,
    },
    /// The model is being loaded.
    Loading,
    /// The conversation is longer than the model's context; so many messages were left out.
    Shortened {
        /// How many.
        omitted: usize,
    },
    /// More text.
    Text {
        /// The text.
        text: String,
    },
    /// That was it.
    Ended {
        /// How it ended.
        state: State,
        /// The whole answer as a tree.
        nodes: Vec<Node>,
        /// What to say about how it ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// The line below the answer.
        caption: String,
    },
}

/// An answer that is to be written.
#[derive(Debug)]
pub struct Job {
    app: Arc<App>,
    conversation: Conversation,
    model: ModelSummary,
    out: mpsc::Sender<Told>,
    ends: Ends,
    /// Where in the conversation the answer goes.
    place: usize,
    /// Whether an older answer stands there until this one has begun.
    replaces: bool,
    turn: Turn,
}

/// Everything that can end an answer from outside.
#[derive(Debug)]
struct Ends {
    answering: Answering,
    browser: mpsc::Sender<Told>,
    stopping: watch::Receiver<bool>,
}

impl Ends {
    async fn wait(&mut self) -> State {
        tokio::select! {
            () = self.answering.stopped() => State::Stopped,
            () = self.browser.closed() => State::Interrupted,
            _ = self.stopping.wait_for(|stopping| *stopping) => State::Interrupted,
        }
    }
}

/// How one try to generate went.
enum Try {
    Ended(State, Option<Problem>),
    /// The conversation does not fit into the model's context.
    TooLong(Problem),
}

impl Job {
    /// A job for the last turn of `conversation`, which is an empty answer or one that is to be replaced.
    pub fn new(
        app: Arc<App>,
        conversation: Conversation,
        answering: Answering,
        model: ModelSummary,
        out: mpsc::Sender<Told>,
    ) -> Self {
        let place = conversation.turns.len().saturating_sub(1);
        let replaces = conversation
            .turns
            .last()
            .is_some_and(|turn| turn.state != State::Generating);
        let turn = Turn {
            role: Speaker::Assistant,
            text: String::new(),
            at: Timestamp::now(),
            state: State::Generating,
            model: Some(model.name.clone()),
            problem: None,
            cost: None,
        };
        let ends = Ends {
            answering,
            browser: out.clone(),
            stopping: app.stopping.clone(),
        };
        Self {
            app,
            conversation,
            model,
            out,
            ends,
            place,
            replaces,
            turn,
        }
    }

    /// Writes the answer to its end.
    pub async fn run(mut self) {
        self.tell(Told::Begun {
            conversation: self.conversation.id.to_string(),
            title: self.conversation.title.clone(),
            model: self.model.name.clone(),
        })
        .await;
        let (state, problem) = self.generate().await;
        self.turn.state = state;
        self.turn.problem = problem.as_ref().map(words::problem);
        self.conversation.updated_at = Timestamp::now();
        // An older answer is not given up for nothing.
        let kept = if self.replaces && self.turn.text.is_empty() {
            Ok(())
        } else {
            self.keep().await
        };
        if let Err(problem) = kept {
            self.turn.problem = Some(words::problem(&problem));
        }
        let told = Told::Ended {
            state,
            nodes: markdown::tree(&self.turn.text),
            note: note(&self.turn),
            caption: caption(&self.turn),
        };
        // The conversation is free before the page hears of it: the next question may follow at once.
        let Self { out, ends, .. } = self;
        drop(ends);
        let _ = out.send(told).await;
    }

    async fn generate(&mut self) -> (State, Option<Problem>) {
        let mut from = 0;
        loop {
            match self.attempt(from).await {
                Try::Ended(state, problem) => return (state, problem),
                Try::TooLong(problem) => match self.conversation.shortened(from, self.place) {
                    Some(later) => {
                        from = later;
                        self.tell(Told::Shortened { omitted: from }).await;
                    }
                    None => return (State::Failed, Some(problem)),
                },
            }
        }
    }

    async fn attempt(&mut self, from: usize) -> Try {
        let request = self.request(from);
        let client = self.app.neighbours.generate.clone();
        let answered = tokio::select! {
            biased;
            state = self.ends.wait() => return Try::Ended(state, None),
            answered = client.post_events::<_, GenerateEvent>("/v1/generate", &request) => answered,
        };
        let mut events = match answered {
            Ok(events) => events,
            Err(problem) => return self.broken(problem),
        };
        let mut keep = tokio::time::interval_at(tokio::time::Instant::now() + KEPT_EVERY, KEPT_EVERY);
        keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut kept_bytes = 0;
        loop {
            let event = tokio::select! {
                biased;
                state = self.ends.wait() => return Try::Ended(state, None),
                _ = keep.tick() => {
                    if self.turn.text.len() > kept_bytes {
                        kept_bytes = self.turn.text.len();
                        // The end of the answer tells the person if it still cannot be kept then.
                        let _ = self.keep().await;
                    }
                    continue;
                }
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    if let Some(end) = self.take(event).await {
                        return end;
                    }
                }
                Some(Err(problem)) => return self.broken(problem),
                None => {
                    let detail = "the engine ended in the middle of the answer";
                    return self.broken(Problem::new(ProblemKind::Unavailable, detail));
                }
            }
        }
    }

    fn request(&self, from: usize) -> GenerateRequest {
        let settings = &self.conversation.settings;
        let small = self
            .model
            .model
            .as_ref()
            .is_some_and(|facts| facts.parameters < SMALL_MODEL);
        let temperature = settings
            .temperature
            .unwrap_or(if small { 0.0 } else { USUAL_TEMPERATURE });
        GenerateRequest {
            model: self.model.digest,
            prompt: Prompt::Messages(self.conversation.messages(from, self.place)),
            sampling: Sampling {
                temperature,
                ..Sampling::default()
            },
            max_tokens: settings.max_tokens,
            stop: Vec::new(),
            logprobs: None,
        }
    }

    async fn take(&mut self, event: GenerateEvent) -> Option<Try> {
        match event {
            GenerateEvent::Queued { ahead } => self.tell(Told::Queued { ahead }).await,
            GenerateEvent::Loading => self.tell(Told::Loading).await,
            GenerateEvent::Token { text, .. } => {
                if self.turn.text.len() + text.len() > MAX_ANSWER_BYTES {
                    return Some(Try::Ended(State::Length, None));
                }
                self.turn.text.push_str(&text);
                self.tell(Told::Text { text }).await;
            }
            GenerateEvent::Done { finish, usage } => {
                self.turn.cost = Some(cost(&usage));
                return Some(Try::Ended(finish.into(), None));
            }
            GenerateEvent::Failed { problem } => return Some(self.broken(problem)),
        }
        None
    }

    /// The engine gave up. What it had written stays.
    fn broken(&self, problem: Problem) -> Try {
        tracing::warn!(%problem, "an answer could not be generated to its end");
        match (self.turn.text.is_empty(), problem.kind) {
            (true, ProblemKind::TooLarge) => Try::TooLong(problem),
            (true, _) => Try::Ended(State::Failed, Some(problem)),
            (false, _) => Try::Ended(State::Interrupted, Some(problem)),
        }
    }

    async fn keep(&mut self) -> Result<(), Problem> {
        match self.conversation.turns.get_mut(self.place) {
            Some(place) => *place = self.turn.clone(),
            None => self.conversation.turns.push(self.turn.clone()),
        }
        Ok(self
            .app
            .history
            .save(&self.conversation, &self.ends.answering)
            .await?)
    }

    /// A browser that went away is noticed by [`Ends::wait`].
    async fn tell(&self, told: Told) {
        let _ = self.out.send(told).await;
    }
}

const fn cost(usage: &Usage) -> Cost {
    Cost {
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        generation_ms: usage.generation_ms,
    }
}

/// What to say about how an answer ended, where it is not simply whole.
pub fn note(turn: &Turn) -> Option<String> {
    let said = match turn.state {
        State::Generating => "This answer is being written.",
        State::Complete => "",
        State::Length => "The answer ended at its limit of tokens.",
        State::Stopped => "You stopped this answer.",
        State::Interrupted => "This answer was interrupted.",
        State::Failed => "There is no answer.",
    };
    let text = match &turn.problem {
        Some(problem) => format!("{said} {problem}"),
        None => said.to_owned(),
    };
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The line below an answer: who gave it and how fast.
pub fn caption(turn: &Turn) -> String {
    let mut caption = turn.model.clone().unwrap_or_default();
    if let Some(cost) = &turn.cost {
        let _ = write!(caption, " · {} tokens", cost.completion_tokens);
        if cost.completion_tokens > 1 && cost.generation_ms > 0.0 {
            let speed = f64::from(cost.completion_tokens - 1) * 1_000.0 / cost.generation_ms;
            let _ = write!(caption, " · {speed:.1} tokens/s");
        }
    }
    caption
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(state: State, problem: Option<&str>) -> Turn {
        Turn {
            role: Speaker::Assistant,
            text: String::new(),
            at: Timestamp::UNIX_EPOCH,
            state,
            model: Some("guide".into()),
            problem: problem.map(str::to_owned),
            cost: None,
        }
    }

    #[test]
    fn every_end_but_a_good_one_has_a_note() {
        assert_eq!(note(&turn(State::Complete, None)), None);
        for state in [
            State::Length,
            State::Stopped,
            State::Interrupted,
            State::Failed,
            State::Generating,
        ] {
            assert!(note(&turn(state, None)).is_some());
        }
        let said = note(&turn(State::Failed, Some("Inference does not answer."))).unwrap();
        assert_eq!(said, "There is no answer. Inference does not answer.");
        assert_eq!(
            note(&turn(State::Complete, Some("It was not kept."))).unwrap(),
            "It was not kept."
        );
    }

    #[test]
    fn the_caption_tells_model_and_speed() {
        let mut turn = turn(State::Complete, None);
        turn.cost = Some(Cost {
            prompt_tokens: 9,
            completion_tokens: 101,
            generation_ms: 2_000.0,
        });
        assert_eq!(caption(&turn), "guide · 101 tokens · 50.0 tokens/s");
        turn.cost = Some(Cost {
            prompt_tokens: 9,
            completion_tokens: 1,
            generation_ms: 0.0,
        });
        assert_eq!(caption(&turn), "guide · 1 tokens");
    }
}
