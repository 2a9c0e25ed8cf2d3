//! Getting a model from the registry: a descriptor that reads verified bytes, with the conditions that bind its use.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{Availability, ModelDetail, ModelSummary, OpenAnswer, OpenRequest};
use holdfast_contract::report::{Condition, Verdict};
use holdfast_contract::role;
use holdfast_contract::{Digest, Problem};
use holdfast_ipc::descriptor::{Conversation, ConversationError};
use holdfast_ipc::{Client, Surroundings};

/// How long the registry may take to open a model. The first opening of a large one verifies its bytes.
const OPEN_WITHIN: Duration = Duration::from_mins(2);

/// A model that may be loaded.
#[derive(Debug)]
pub struct Opened {
    /// Reads the model.
    pub descriptor: OwnedFd,
    /// Its name for people.
    pub name: String,
    /// Whether the chat template in the file may be used.
    pub chat_template: bool,
}

/// A way to the registry.
#[derive(Debug, Clone)]
pub struct Registry {
    open: PathBuf,
    read: Client,
}

impl Registry {
    /// The registry of these surroundings. Nothing is connected yet.
    pub fn new(surroundings: &Surroundings) -> Self {
        Self {
            open: surroundings.role(role::REGISTRY_OPEN),
            read: Client::new(surroundings.role(role::REGISTRY_READ)),
        }
    }

    /// Opens a model.
    ///
    /// # Errors
    ///
    /// The registry's own problem; `Unavailable` when it does not answer; `Conflict` when the model cannot be run here.
    pub async fn open(&self, model: Digest) -> Result<Opened, Problem> {
        let answer = tokio::time::timeout(OPEN_WITHIN, self.ask(model)).await;
        let (answer, descriptor) = answer
            .map_err(|_| {
                Problem::new(
                    ProblemKind::Deadline,
                    "the registry did not open the model in time",
                )
            })?
            .map_err(|error| unavailable(&error))?
            .ok_or_else(|| Problem::new(ProblemKind::Unavailable, "the registry hung up"))?;
        match (answer, descriptor) {
            (OpenAnswer::Problem { problem }, _) => Err(problem),
            (OpenAnswer::Opened { model: summary }, Some(descriptor)) => usable(model, &summary, descriptor),
            (OpenAnswer::Opened { .. }, None) => Err(Problem::new(
                ProblemKind::Internal,
                "the registry opened the model and sent no descriptor",
            )),
        }
    }

    async fn ask(&self, digest: Digest) -> Result<Option<(OpenAnswer, Option<OwnedFd>)>, ConversationError> {
        let conversation = Conversation::connect(&self.open)?;
        conversation.send(&OpenRequest { digest }, None).await?;
        conversation.receive().await
    }

    /// Whether the registry says that the model is gone or damaged. When it does not answer, nothing is known.
    pub async fn has_withdrawn(&self, model: Digest) -> bool {
        let found: Result<ModelDetail, Problem> = self.read.get(&format!("/v1/models/{model}")).await;
        match found {
            Ok(detail) => detail.summary.availability == Availability::Damaged,
            Err(problem) => problem.kind == ProblemKind::NotFound,
        }
    }
}

fn usable(asked: Digest, summary: &ModelSummary, descriptor: OwnedFd) -> Result<Opened, Problem> {
    if summary.digest != asked {
        return Err(Problem::new(
            ProblemKind::Internal,
            "the registry opened another model than was asked for",
        ));
    }
    if summary.verdict == Verdict::Refuse {
        return Err(Problem::new(
            ProblemKind::Refused,
            format!("{} was refused", summary.name),
        ));
    }
    if summary.format != "gguf" {
        let detail = format!(
            "{} is in the {} format, and only GGUF models can be run",
            summary.name, summary.format
        );
        return Err(Problem::new(ProblemKind::Conflict, detail)
            .next("Convert it with llama.cpp's convert_hf_to_gguf.py and import the GGUF file."));
    }
    Ok(Opened {
        descriptor,
        name: summary.name.clone(),
        // Tools are never given to a model here; that condition binds the tool firewall.
        chat_template: !summary.conditions.contains(&Condition::NoChatTemplate),
    })
}

fn unavailable(error: &ConversationError) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("the registry does not answer: {error}"),
    )
    .next("See `holdfast status`; a service that failed is started again by itself.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(format: &str, conditions: Vec<Condition>) -> ModelSummary {
        ModelSummary {
            digest: Digest::from_bytes([1; 32]),
            name: "sample".to_owned(),
            size_bytes: 1,
            format: format.to_owned(),
            verdict: Verdict::Conditional,
            conditions,
            model: None,
            admitted_at: holdfast_contract::Timestamp::UNIX_EPOCH,
            availability: Availability::Ready,
        }
    }

    fn open(summary: &ModelSummary) -> Result<Opened, Problem> {
        usable(
            Digest::from_bytes([1; 32]),
            summary,
            std::fs::File::open("/dev/null").unwrap().into(),
        )
    }

    #[test]
    fn only_gguf_can_be_run() {
        assert!(open(&summary("gguf", Vec::new())).is_ok());
        let problem = open(&summary("safetensors", Vec::new())).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Conflict);
        assert!(problem.detail.contains("safetensors") && problem.next.is_some());
    }

    #[test]
    fn the_condition_on_the_chat_template_is_kept() {
        assert!(
            open(&summary("gguf", vec![Condition::NoTools]))
                .unwrap()
                .chat_template
        );
        assert!(
            !open(&summary("gguf", vec![Condition::NoChatTemplate]))
                .unwrap()
                .chat_template
        );
    }

    #[test]
    fn another_model_or_a_refused_one_is_not_run() {
        let other = ModelSummary {
            digest: Digest::from_bytes([2; 32]),
            ..summary("gguf", Vec::new())
        };
        assert_eq!(open(&other).unwrap_err().kind, ProblemKind::Internal);
        let refused = ModelSummary {
            verdict: Verdict::Refuse,
            ..summary("gguf", Vec::new())
        };
        assert_eq!(open(&refused).unwrap_err().kind, ProblemKind::Refused);
    }
}
