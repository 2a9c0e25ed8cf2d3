//! Handing an inspected file to the registry, with the statement about it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::{AdmitAnswer, AdmitRequest, ModelSummary};
use holdfast_ipc::descriptor::{Conversation, ConversationError};
use tokio::time::{sleep, timeout};

/// How long the registry may be silent. While it works it says something every tenth of a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a full backlog is waited for.
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(10);

/// Asks the registry at `socket` to admit the file that `reader` reads. `progress` hears how many bytes it copied.
///
/// # Errors
///
/// The registry's own problem, or that it does not answer.
pub async fn admit(
    socket: &Path,
    request: &AdmitRequest,
    reader: &File,
    progress: impl Fn(u64),
) -> Result<ModelSummary, Problem> {
    let conversation = timeout(PATIENCE_TO_CONNECT, connect(socket))
        .await
        .map_err(|_| silent())??;
    let sent = timeout(PATIENCE, conversation.send(request, Some(reader.as_fd()))).await;
    sent.map_err(|_| silent())?.map_err(|error| gone(&error))?;
    loop {
        let received = timeout(PATIENCE, conversation.receive::<AdmitAnswer>())
            .await
            .map_err(|_| silent())?;
        match received.map_err(|error| gone(&error))? {
            Some((AdmitAnswer::Progress { done_bytes, .. }, _)) => progress(done_bytes),
            Some((AdmitAnswer::Admitted { model, .. }, _)) => return Ok(*model),
            Some((AdmitAnswer::Problem { problem }, _)) => return Err(problem),
            None => return Err(unavailable("the registry ended before it answered")),
        }
    }
}

async fn connect(socket: &Path) -> Result<Conversation, Problem> {
    loop {
        match Conversation::connect(socket) {
            Ok(conversation) => return Ok(conversation),
            Err(ConversationError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(gone(&error)),
        }
    }
}

fn silent() -> Problem {
    unavailable("the registry does not answer")
}

fn gone(error: &ConversationError) -> Problem {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the registry cannot be talked to"
    );
    unavailable("the registry does not answer")
}

fn unavailable(detail: &str) -> Problem {
    Problem::new(ProblemKind::Unavailable, detail)
        .next("See whether the model is in the list; if not, import the file again.")
}
