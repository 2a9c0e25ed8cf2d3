//! The worker that holds one loaded model.
//!
//! `holdfast-inference` starts it with the model as standard input and a socket as standard output. It confines itself
//! before it reads a byte of the model: no files, no network, no new programs. llama.cpp then reads the untrusted file in a
//! process that can do nothing but compute and talk to its daemon, and the daemon believes nothing it says.

pub mod chat;
pub mod confine;
pub mod embed;
pub mod engine;
pub mod frames;
pub mod load;
pub mod log;
pub mod pace;
pub mod processor;
pub mod sampling;
pub mod session;
pub mod text;
pub mod vocabulary;

#[cfg(test)]
#[path = "../tests/support/gguf.rs"]
mod fixture;
#[cfg(test)]
mod model_tests;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use holdfast_contract::engine::{Command, EngineSettings, JobFailure, MAX_REASON_BYTES, Report};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;

use crate::chat::Chat;
use crate::engine::{Engine, Work};
use crate::frames::Outbox;
use crate::log::LastError;
use crate::session::Session;
use crate::vocabulary::Vocabulary;

/// Stacks of the threads that run llama.cpp's tokenizers and templates: some recurse over their input.
const STACK_BYTES: usize = 256 << 20;
/// What a template, a tokenizer or an embedding may allocate once the model is loaded, in bytes.
const HEADROOM_BYTES: u64 = 2 << 30;
/// Jobs that may wait between the reader and the decode loop.
const WAITING_JOBS: usize = 64;
/// Architectures that turn text into vectors and cannot continue it.
const EMBEDDING_ONLY: [&str; 12] = [
    "bert",
    "modern-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "neo-bert",
    "jina-bert-v2",
    "jina-bert-v3",
    "eurobert",
    "gemma-embedding",
    "llama-embed",
    "t5encoder",
    "wavtokenizer-dec",
];

/// Why the worker ended early.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The control socket failed or the daemon broke the protocol.
    #[error("talk to the daemon")]
    Socket(#[from] io::Error),
    /// The process could not be confined.
    #[error("confine the worker")]
    Confine(#[from] confine::ConfineError),
    /// The daemon did not begin with `load`.
    #[error("the daemon did not begin with a load command")]
    NoLoad,
    /// llama.cpp could not be initialised.
    #[error("initialise llama.cpp")]
    Backend(#[source] llama_cpp_2::LlamaCppError),
}

/// Serves one model until the daemon goes away. The control socket is a `File` because a worker may `read` and `write`, and
/// makes none of the calls that belong to sockets.
///
/// # Errors
///
/// When the process cannot be confined, the daemon breaks the protocol, or the context cannot be kept clean. A model that
/// cannot be loaded is reported and is no error.
pub fn work(model: OwnedFd, control: File, errors: &LastError) -> Result<(), WorkerError> {
    let mut commands = BufReader::new(control.try_clone()?);
    let mut outbox = Outbox::new(control);
    let Some(Command::Load(settings)) = frames::read(&mut commands)? else {
        return Err(WorkerError::NoLoad);
    };
    let confinement = confine::confine(&model, &settings)?;
    outbox.push(&Report::Confined(confinement))?;
    outbox.flush()?;
    // From here on the process has threads; llama.cpp makes and ends some in every step.
    thread::scope(|scope| {
        thread::Builder::new()
            .name("engine".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || serve(model, &settings, commands, outbox, errors))?
            .join()
            .unwrap_or_else(|_| Err(WorkerError::Socket(io::Error::other("the engine panicked"))))
    })
}

fn serve(
    descriptor: OwnedFd,
    settings: &EngineSettings,
    commands: BufReader<File>,
    mut outbox: Outbox<File>,
    errors: &LastError,
) -> Result<(), WorkerError> {
    let backend = LlamaBackend::init().map_err(WorkerError::Backend)?;
    let mut refuse = |reason: String| -> Result<(), WorkerError> {
        outbox.push(&Report::Refused {
            reason: bounded(reason),
        })?;
        Ok(outbox.flush()?)
    };
    let loaded = load::load(&backend, descriptor.as_fd(), settings.accelerator_layers);
    drop(descriptor);
    let model = match loaded {
        Ok(model) => model,
        Err(error) => return refuse(errors.take().unwrap_or_else(|| error.to_string())),
    };
    if model.n_vocab() <= 0 {
        return refuse("the model has no vocabulary".to_owned());
    }
    let vocabulary = Vocabulary::new(&model);
    let chat = Chat::new(&model, &vocabulary, settings.chat_template);
    let mut engine = match Engine::new(&backend, &model, &vocabulary, settings, outbox) {
        Ok(engine) => engine,
        Err((error, mut outbox)) => {
            let reason = errors.take().unwrap_or_else(|| error.to_string());
            outbox.push(&Report::Refused {
                reason: bounded(reason),
            })?;
            return Ok(outbox.flush()?);
        }
    };
    confine::leave_headroom(HEADROOM_BYTES)?;
    let context_tokens = engine.context_tokens();
    let format = chat.expected(&model, &vocabulary);
    engine.report(&Report::Loaded {
        slots: engine.slots(),
        context_tokens,
        format,
    })?;

    let reader = Reader {
        model: &model,
        vocabulary: &vocabulary,
        chat: &chat,
        context_tokens,
    };
    let (sender, receiver) = sync_channel(WAITING_JOBS);
    thread::scope(|scope| {
        let reading = thread::Builder::new()
            .name("reader".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, move || reader.read(commands, &sender))?;
        let ran = engine.run(&receiver);
        // Without a receiver the reader ends at its next command; when the socket is gone, at once.
        drop(receiver);
        if ran.is_err() {
            // The daemon may still be there, and must not wait for a worker that has stopped.
            std::process::exit(1);
        }
        reading
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the reader panicked")))?;
        Ok(())
    })
}

/// Turns commands into work, so that formatting and tokenising a long prompt does not hold up those who are being answered.
struct Reader<'m> {
    model: &'m LlamaModel,
    vocabulary: &'m Vocabulary<'m>,
    chat: &'m Chat,
    context_tokens: u32,
}

impl Reader<'_> {
    fn read(&self, mut commands: BufReader<File>, work: &SyncSender<Work>) -> io::Result<()> {
        let writes_text = writes_text(self.model);
        while let Some(command) = frames::read(&mut commands)? {
            let item = match command {
                Command::Load(_) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a second load command",
                    ));
                }
                Command::Cancel { id } => Work::Cancel(id),
                Command::Embed { id, input } => {
                    let texts: VecDeque<_> =
                        input.iter().map(|text| self.vocabulary.embedding(text)).collect();
                    Work::Embed { id, texts }
                }
                Command::Generate(job) if !writes_text => Work::Fail(job.id, JobFailure::NoText),
                Command::Generate(job) => {
                    let id = job.id;
                    Session::prepare(*job, self.model, self.vocabulary, self.chat, self.context_tokens)
                        .map_or_else(
                            |failure| Work::Fail(id, failure),
                            |session| Work::Start(Box::new(session)),
                        )
                }
            };
            if work.send(item).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn writes_text(model: &LlamaModel) -> bool {
    let architecture = model.meta_val_str("general.architecture").unwrap_or_default();
    !EMBEDDING_ONLY.contains(&architecture.as_str())
}

/// A reason that fits into a report.
fn bounded(mut reason: String) -> String {
    reason.retain(|character| !character.is_control());
    let end = (0..=MAX_REASON_BYTES.min(reason.len()))
        .rev()
        .find(|at| reason.is_char_boundary(*at))
        .unwrap_or(0);
    reason.truncate(end);
    reason
}
