//! The conversations on disk, one file each, and which of them is being answered.
//!
//! A list with titles is kept in memory. Whoever changes a conversation holds the gate, and while one is being answered only
//! its answer may change it. A file that cannot be read is left alone, counted and said so.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::conversation::{Conversation, ConversationId, MAX_ANSWER_BYTES};
use crate::store::{self, StoreError};

/// The largest conversation, in bytes of JSON.
pub const MAX_CONVERSATION_BYTES: usize = 4 << 20;
/// An answer is begun only where so much room is left for it.
const ROOM_FOR_AN_ANSWER: usize = 2 * MAX_ANSWER_BYTES;

/// Why a conversation could not be kept, read or changed. Each is a sentence for the person.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file could not be written, read or removed.
    #[error("The conversation could not be kept on disk.")]
    Store(#[from] StoreError),
    /// The file is damaged.
    #[error("The conversation could not be read: its file is damaged.")]
    Decode(#[from] serde_json::Error),
    /// There is no such conversation.
    #[error("There is no such conversation. It may have been deleted.")]
    Absent,
    /// It is being answered.
    #[error("An answer is being written in this conversation. Stop it first.")]
    Answering,
    /// There are as many as may be kept.
    #[error("There are {0} conversations already. Delete some first.")]
    TooMany(usize),
    /// It has grown as large as it may.
    #[error("This conversation has become too long to be kept. Begin a new one.")]
    TooLarge,
    /// The vault, in which conversations are kept, has not been opened.
    #[error("Conversations are kept in the vault, which is shut. Open it on the page \"Vault\".")]
    Shut,
    /// A worker thread ended before its time.
    #[error("The conversation could not be kept: the console is stopping.")]
    Ended,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which conversation.
    pub id: ConversationId,
    /// What it is called.
    pub title: String,
    /// When something was said last.
    pub updated_at: Timestamp,
}

/// What start-up found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Conversations that can be read.
    pub conversations: usize,
    /// Answers that a crash had cut off; they are marked as interrupted now.
    pub interrupted: usize,
    /// Files that cannot be read.
    pub damaged: usize,
}

/// All conversations.
#[derive(Debug)]
pub struct History {
    directory: PathBuf,
    shut: bool,
    limit: usize,
    damaged: AtomicUsize,
    list: Mutex<HashMap<ConversationId, (String, Timestamp)>>,
    gate: tokio::sync::Mutex<()>,
    answering: Arc<Mutex<HashMap<ConversationId, watch::Sender<Signal>>>>,
}

/// What is said to an answer that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Go on.
    Go,
    /// The person wants it to stop.
    Stop,
}

/// The right to write an answer into a conversation. While it is held nothing else changes the conversation.
#[derive(Debug)]
pub struct Answering {
    id: ConversationId,
    signal: watch::Receiver<Signal>,
    all: Arc<Mutex<HashMap<ConversationId, watch::Sender<Signal>>>>,
}

impl Answering {
    /// Resolves when the person wants the answer to stop.
    pub async fn stopped(&mut self) {
        if self
            .signal
            .wait_for(|signal| *signal == Signal::Stop)
            .await
            .is_err()
        {
            // INVARIANT: the sender lives in the map until this value is dropped. Should it not, nobody can stop the answer.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

impl History {
    /// Opens the conversations in `directory` and deals with what an earlier run left half done.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made, listed or written.
    pub fn open(directory: PathBuf, limit: usize) -> Result<(Self, Found), HistoryError> {
        store::prepare(&directory)?;
        let mut found = Found::default();
        let mut list = HashMap::new();
        let entries = std::fs::read_dir(&directory).map_err(|source| StoreError::Io {
            action: "list",
            path: directory.clone(),
            source,
        })?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(id) = name
                .to_str()
                .and_then(|name| name.strip_suffix(".json"))
                .and_then(|id| id.parse().ok())
            else {
                continue;
            };
            match read(&directory, &id) {
                Ok(Some(mut conversation)) => {
                    if conversation.mark_interrupted() {
                        found.interrupted += 1;
                        write(&directory, &conversation)?;
                    }
                    found.conversations += 1;
                    list.insert(id, (conversation.title, conversation.updated_at));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%id, error = &error as &dyn std::error::Error, "a conversation cannot be read");
                    found.damaged += 1;
                }
            }
        }
        let history = Self {
            directory,
            shut: false,
            limit,
            damaged: AtomicUsize::new(found.damaged),
            list: Mutex::new(list),
            gate: tokio::sync::Mutex::default(),
            answering: Arc::default(),
        };
        Ok((history, found))
    }

    /// The conversations of a vault that is shut: there are none to be seen, and none can be begun.
    pub fn shut() -> Self {
        Self {
            directory: PathBuf::new(),
            shut: true,
            limit: 0,
            damaged: AtomicUsize::new(0),
            list: Mutex::default(),
            gate: tokio::sync::Mutex::default(),
            answering: Arc::default(),
        }
    }

    /// The conversations, most recent first.
    pub fn list(&self) -> Vec<Summary> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let mut summaries: Vec<_> = list
            .iter()
            .map(|(id, (title, updated_at))| Summary {
                id: id.clone(),
                title: title.clone(),
                updated_at: *updated_at,
            })
            .collect();
        drop(list);
        summaries.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.id.cmp(&b.id)));
        summaries
    }

    /// Whether there is such a conversation.
    pub fn contains(&self, id: &ConversationId) -> bool {
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(id)
    }

    /// How many files could not be read at start-up.
    pub fn damaged(&self) -> usize {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Reads a conversation.
    ///
    /// # Errors
    ///
    /// When there is none with this id, or its file is damaged.
    pub async fn load(&self, id: &ConversationId) -> Result<Conversation, HistoryError> {
        let (directory, id) = (self.directory.clone(), id.clone());
        blocking(move || read(&directory, &id))
            .await?
            .ok_or(HistoryError::Absent)
    }

    /// Keeps a new conversation and begins its first answer.
    ///
    /// # Errors
    ///
    /// When there are too many, or it cannot be kept.
    pub async fn begin(&self, conversation: &Conversation) -> Result<Answering, HistoryError> {
        if self.shut {
            return Err(HistoryError::Shut);
        }
        let _gate = self.gate.lock().await;
        let count = self.list.lock().unwrap_or_else(PoisonError::into_inner).len();
        if count >= self.limit {
            return Err(HistoryError::TooMany(count));
        }
        let answering = self.answer(&conversation.id)?;
        self.put(conversation, ROOM_FOR_AN_ANSWER).await?;
        Ok(answering)
    }

    /// Begins another answer: reads the conversation, lets `change` prepare it, and keeps it.
    ///
    /// # Errors
    ///
    /// When it is being answered already, does not exist, or cannot be kept.
    pub async fn resume<E: From<HistoryError>>(
        &self,
        id: &ConversationId,
        change: impl FnOnce(&mut Conversation) -> Result<(), E>,
    ) -> Result<(Conversation, Answering), E> {
        let _gate = self.gate.lock().await;
        let answering = self.answer(id)?;
        let mut conversation = self.load(id).await?;
        change(&mut conversation)?;
        self.put(&conversation, ROOM_FOR_AN_ANSWER).await?;
        Ok((conversation, answering))
    }

    /// Keeps a conversation as it is now. For whoever holds [`Answering`] for it.
    ///
    /// # Errors
    ///
    /// When it is too large or the disk does not take it.
    pub async fn save(&self, conversation: &Conversation, _: &Answering) -> Result<(), HistoryError> {
        self.put(conversation, 0).await
    }

    /// Gives a conversation another title.
    ///
    /// # Errors
    ///
    /// When it is being answered, does not exist, or cannot be kept.
    pub async fn rename(&self, id: &ConversationId, title: String) -> Result<(), HistoryError> {
        let _gate = self.gate.lock().await;
        if self.is_answering(id) {
            return Err(HistoryError::Answering);
        }
        let mut conversation = self.load(id).await?;
        conversation.title = title;
        self.put(&conversation, 0).await
    }

    /// Deletes a conversation.
    ///
    /// # Errors
    ///
    /// When it is being answered, does not exist, or its file cannot be removed.
    pub async fn delete(&self, id: &ConversationId) -> Result<(), HistoryError> {
        let _gate = self.gate.lock().await;
        if self.is_answering(id) {
            return Err(HistoryError::Answering);
        }
        if !self.contains(id) {
            return Err(HistoryError::Absent);
        }
        let path = path(&self.directory, id);
        blocking(move || Ok(store::remove(&path)?)).await?;
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        Ok(())
    }

    /// Deletes every conversation, damaged ones included, and returns how many there were.
    ///
    /// # Errors
    ///
    /// When one is being answered (nothing is deleted then), or a file cannot be removed.
    pub async fn delete_all(&self) -> Result<usize, HistoryError> {
        if self.shut {
            return Err(HistoryError::Shut);
        }
        let _gate = self.gate.lock().await;
        if !self
            .answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
        {
            return Err(HistoryError::Answering);
        }
        let directory = self.directory.clone();
        let removed = blocking(move || {
            let entries = std::fs::read_dir(&directory).map_err(|source| StoreError::Io {
                action: "list",
                path: directory.clone(),
                source,
            })?;
            let mut removed = 0;
            for entry in entries.flatten() {
                store::remove(&entry.path())?;
                removed += 1;
            }
            Ok(removed)
        })
        .await?;
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.damaged.store(0, Ordering::Relaxed);
        Ok(removed)
    }

    /// Asks the answer in this conversation to stop. Returns whether there was one.
    pub fn stop(&self, id: &ConversationId) -> bool {
        let answering = self.answering.lock().unwrap_or_else(PoisonError::into_inner);
        answering.get(id).is_some_and(|signal| {
            signal.send_replace(Signal::Stop);
            true
        })
    }

    /// Asks the answer in this conversation to stop, and waits until it has.
    pub async fn stop_and_wait(&self, id: &ConversationId) {
        let signal = {
            let answering = self.answering.lock().unwrap_or_else(PoisonError::into_inner);
            answering.get(id).map(|signal| {
                signal.send_replace(Signal::Stop);
                signal.subscribe()
            })
        };
        // The sender is dropped with the answer.
        if let Some(mut signal) = signal {
            while signal.changed().await.is_ok() {}
        }
    }

    /// Asks every answer to stop, and waits until all have.
    pub async fn stop_all(&self) {
        let ids: Vec<_> = self
            .answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect();
        futures_util::future::join_all(ids.iter().map(|id| self.stop_and_wait(id))).await;
    }

    /// Whether an answer is being written.
    pub fn is_answering(&self, id: &ConversationId) -> bool {
        self.answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(id)
    }

    fn answer(&self, id: &ConversationId) -> Result<Answering, HistoryError> {
        let mut answering = self.answering.lock().unwrap_or_else(PoisonError::into_inner);
        if answering.contains_key(id) {
            return Err(HistoryError::Answering);
        }
        let (sender, signal) = watch::channel(Signal::Go);
        answering.insert(id.clone(), sender);
        Ok(Answering {
            id: id.clone(),
            signal,
            all: Arc::clone(&self.answering),
        })
    }

    async fn put(&self, conversation: &Conversation, room: usize) -> Result<(), HistoryError> {
        let bytes = serde_json::to_vec(conversation)?;
        if bytes.len() + room > MAX_CONVERSATION_BYTES {
            return Err(HistoryError::TooLarge);
        }
        let path = path(&self.directory, &conversation.id);
        blocking(move || Ok(store::write(&path, &bytes)?)).await?;
        let entry = (conversation.title.clone(), conversation.updated_at);
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(conversation.id.clone(), entry);
        Ok(())
    }
}

fn path(directory: &std::path::Path, id: &ConversationId) -> PathBuf {
    directory.join(id.as_str()).with_extension("json")
}

fn read(directory: &std::path::Path, id: &ConversationId) -> Result<Option<Conversation>, HistoryError> {
    let Some(bytes) = store::read(&path(directory, id), MAX_CONVERSATION_BYTES)? else {
        return Ok(None);
    };
    Ok(Some(serde_json::from_slice(&bytes)?))
}

fn write(directory: &std::path::Path, conversation: &Conversation) -> Result<(), HistoryError> {
    Ok(store::write(
        &path(directory, &conversation.id),
        &serde_json::to_vec(conversation)?,
    )?)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, HistoryError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| HistoryError::Ended)?
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        let kind = match &error {
            HistoryError::Absent => ProblemKind::NotFound,
            HistoryError::Answering | HistoryError::Shut => ProblemKind::Conflict,
            HistoryError::TooMany(_) | HistoryError::TooLarge => ProblemKind::TooLarge,
            HistoryError::Store(store) if store.is_no_space() => ProblemKind::NoSpace,
            HistoryError::Store(_) | HistoryError::Decode(_) | HistoryError::Ended => ProblemKind::Internal,
        };
        if kind.status() >= 500 {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a conversation could not be kept or read"
            );
        }
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests;
