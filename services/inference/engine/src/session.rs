//! One request while it holds a slot: its prompt, its place in the context, its samplers, its text.

use holdfast_contract::engine::{ChatFormat, GenerateJob, JobFailure};
use holdfast_contract::inference::{FinishReason, Prompt};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;

use crate::chat::{Chat, PLAIN_STOPS};
use crate::sampling;
use crate::text::AnswerText;
use crate::vocabulary::{Marked, Vocabulary};

/// A request that is ready for a slot.
#[derive(Debug)]
pub struct Session {
    /// Names the job in reports.
    pub id: u64,
    /// The prompt's tokens.
    pub prompt: Vec<LlamaToken>,
    /// How many of them have been computed.
    pub fed: usize,
    /// The generated token that is to be computed next.
    pub next: Option<LlamaToken>,
    /// Tokens in the context: computed prompt and generated tokens.
    pub position: i32,
    /// Chooses tokens.
    pub sampler: LlamaSampler,
    /// The answer so far.
    pub text: AnswerText,
    /// How many alternatives to report, where probabilities are asked for.
    pub logprobs: Option<u32>,
    /// Tokens generated.
    pub generated: u32,
    /// The most tokens to generate.
    pub limit: u32,
    /// How the conversation was formatted; none for plain text.
    pub format: Option<ChatFormat>,
}

impl Session {
    /// Prepares a job: formats, tokenises, checks that it fits.
    ///
    /// # Errors
    ///
    /// When the prompt is empty or does not fit, or a parameter is impossible.
    pub fn prepare(
        job: GenerateJob,
        model: &LlamaModel,
        vocabulary: &Vocabulary<'_>,
        chat: &Chat,
        context_tokens: u32,
    ) -> Result<Self, JobFailure> {
        let mut stops = job.stop;
        let (marked, format) = match job.prompt {
            Prompt::Messages(messages) => {
                let formatted = chat.format(model, vocabulary, &messages);
                if formatted.format == ChatFormat::Plain {
                    stops.extend(PLAIN_STOPS.map(str::to_owned));
                }
                (formatted.marked, Some(formatted.format))
            }
            Prompt::Text(text) => {
                let contents = vec![std::ops::Range {
                    start: 0,
                    end: text.len(),
                }];
                (Marked { text, contents }, None)
            }
        };
        let prompt = vocabulary.prompt(&marked);
        if prompt.is_empty() {
            return Err(JobFailure::PromptEmpty);
        }
        // One place must be left for an answer.
        let limit = context_tokens.saturating_sub(1);
        let length = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        if length > limit {
            return Err(JobFailure::PromptTooLong {
                tokens: prompt.len() as u64,
                limit: limit.into(),
            });
        }
        let room = context_tokens - length;
        let sampler = sampling::sampler(&job.sampling, vocabulary.size(), context_tokens, &prompt)?;
        Ok(Self {
            id: job.id,
            fed: 0,
            next: None,
            position: 0,
            sampler,
            text: AnswerText::new(stops),
            logprobs: job.logprobs,
            generated: 0,
            limit: job.max_tokens.map_or(room, |most| most.min(room)),
            format,
            prompt,
        })
    }

    /// Prompt tokens that are not computed yet.
    pub fn unread(&self) -> &[LlamaToken] {
        self.prompt.get(self.fed..).unwrap_or_default()
    }

    /// Why the answer has ended after `token`, if it has.
    pub fn ended(&self, is_end: bool) -> Option<FinishReason> {
        if is_end || self.text.is_stopped() {
            Some(FinishReason::Stop)
        } else if self.generated >= self.limit {
            Some(FinishReason::Length)
        } else {
            None
        }
    }
}
