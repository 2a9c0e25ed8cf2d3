//! A conversation as it is kept: who said what, with which model and settings, and how each answer ended.

use std::fmt;
use std::str::FromStr;

use holdfast_contract::Digest;
use holdfast_contract::inference::{FinishReason, Message, Speaker};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::secret::{self, RandomError};

/// The most messages in a conversation.
pub const MAX_MESSAGES: usize = 400;
/// The largest message of a person, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 128 << 10;
/// The largest answer that is kept, in bytes. Generation ends there.
pub const MAX_ANSWER_BYTES: usize = 256 << 10;
/// The largest system prompt, in bytes.
pub const MAX_SYSTEM_BYTES: usize = 16 << 10;
/// The most characters of a title.
pub const MAX_TITLE_CHARACTERS: usize = 80;

/// Names a conversation: 32 lower-case hex digits, 128 random bits. Nothing else becomes a file name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ConversationId(String);

/// A text is not a conversation's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a conversation's id has 32 lower-case hex digits")]
pub struct IdError;

impl ConversationId {
    /// A new id.
    ///
    /// # Errors
    ///
    /// When the kernel gives no random bytes.
    pub fn random() -> Result<Self, RandomError> {
        secret::id().map(Self)
    }

    /// The 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConversationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 32 && text.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError)
        }
    }
}

impl TryFrom<String> for ConversationId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ConversationId> for String {
    fn from(id: ConversationId) -> Self {
        id.0
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is being generated. Found on disk at start-up, it was cut off by a crash.
    Generating,
    /// It is whole.
    Complete,
    /// The limit on tokens or the model's context ended it.
    Length,
    /// The person stopped it.
    Stopped,
    /// The connection, the console or the engine went away in the middle.
    Interrupted,
    /// It could not be generated.
    Failed,
}

impl From<FinishReason> for State {
    fn from(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop => Self::Complete,
            FinishReason::Length => Self::Length,
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// `user` or `assistant`; the system prompt is a setting.
    pub role: Speaker,
    /// What was said.
    pub text: String,
    /// When it was begun.
    pub at: Timestamp,
    /// How an answer stands; `complete` for what a person said.
    pub state: State,
    /// The answering model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What went wrong, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What an answer cost, for display.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Tokens read.
    pub prompt_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
    /// Time from the first to the last token, in milliseconds.
    pub generation_ms: f64,
}

/// What a person may set for a conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// 0 to 2; none lets the console choose by the model's size.
    pub temperature: Option<f32>,
    /// 1 to 131072; none means up to the context's end.
    pub max_tokens: Option<u32>,
    /// Instructions before the conversation.
    pub system: String,
}

/// Why settings were not taken. Each is a sentence for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The temperature is out of range.
    #[error("The temperature must be between 0 and 2.")]
    Temperature,
    /// The number of tokens is out of range.
    #[error("The longest answer must be between 1 and 131072 tokens.")]
    MaxTokens,
    /// The system prompt is too long.
    #[error("The system prompt is too long: it may have at most 16 KiB.")]
    System,
}

impl Settings {
    /// Whether every value is in its range.
    ///
    /// # Errors
    ///
    /// Names the first value that is not.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self
            .temperature
            .is_some_and(|temperature| !(0.0..=2.0).contains(&temperature))
        {
            return Err(SettingsError::Temperature);
        }
        if self
            .max_tokens
            .is_some_and(|tokens| !(1..=131_072).contains(&tokens))
        {
            return Err(SettingsError::MaxTokens);
        }
        if self.system.len() > MAX_SYSTEM_BYTES {
            return Err(SettingsError::System);
        }
        Ok(())
    }
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// Version of this form; 1.
    pub version: u32,
    /// Its id.
    pub id: ConversationId,
    /// What it is called in the list.
    pub title: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When something was said last.
    pub updated_at: Timestamp,
    /// The model that was chosen last.
    pub model: Digest,
    /// What was set last.
    pub settings: Settings,
    /// What was said, in order.
    pub turns: Vec<Turn>,
}

impl Conversation {
    /// A conversation in which nothing was said yet, with a title made of what is about to be.
    pub fn new(id: ConversationId, model: Digest, settings: Settings, first: &str, now: Timestamp) -> Self {
        Self {
            version: 1,
            id,
            title: title_of(first),
            created_at: now,
            updated_at: now,
            model,
            settings,
            turns: Vec::new(),
        }
    }

    /// What the model is given: the system prompt, and what was said in the turns `from` to `before`.
    pub fn messages(&self, from: usize, before: usize) -> Vec<Message> {
        let system = (!self.settings.system.trim().is_empty()).then(|| Message {
            role: Speaker::System,
            content: self.settings.system.clone(),
        });
        let said = self
            .turns
            .iter()
            .take(before)
            .skip(from)
            .filter(|turn| !turn.text.is_empty());
        system
            .into_iter()
            .chain(said.map(|turn| Message {
                role: turn.role,
                content: turn.text.clone(),
            }))
            .collect()
    }

    /// A later turn to begin with, where the turns `from` to `before` are more than the model's context takes: about half
    /// of them, beginning with the person. None where only the last question is left.
    pub fn shortened(&self, from: usize, before: usize) -> Option<usize> {
        let middle = from + before.checked_sub(from)?.div_ceil(2);
        let last_question = self
            .turns
            .iter()
            .take(before)
            .rposition(|turn| turn.role == Speaker::User)?;
        let next = (middle..=last_question)
            .find(|at| self.turns.get(*at).is_some_and(|turn| turn.role == Speaker::User));
        next.or(Some(last_question)).filter(|next| *next > from)
    }

    /// Marks an answer that a crash cut off. Returns whether there was one.
    pub fn mark_interrupted(&mut self) -> bool {
        let mut found = false;
        for turn in self
            .turns
            .iter_mut()
            .filter(|turn| turn.state == State::Generating)
        {
            turn.state = State::Interrupted;
            found = true;
        }
        found
    }
}

/// A title from what was said first: its first line, cut at a word.
pub fn title_of(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    if line.is_empty() {
        return "New conversation".to_owned();
    }
    if line.chars().count() <= 60 {
        return line;
    }
    let cut: String = line.chars().take(60).collect();
    let cut = cut
        .rsplit_once(' ')
        .map_or(cut.as_str(), |(whole_words, _)| whole_words);
    format!("{cut}…")
}

/// A title as a person typed it, made fit to be shown.
pub fn clean_title(text: &str) -> Option<String> {
    let title: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_TITLE_CHARACTERS)
        .collect();
    let title = title.trim();
    (!title.is_empty()).then(|| title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_hex_digits_are_an_id() {
        assert!(
            "0123456789abcdef0123456789abcdef"
                .parse::<ConversationId>()
                .is_ok()
        );
        for text in [
            "",
            "../../etc/passwd",
            "0123456789ABCDEF0123456789ABCDEF",
            "0123456789abcdef0123456789abcde/",
            "0123456789abcdef0123456789abcdef0",
            ".tmp-0",
        ] {
            assert_eq!(text.parse::<ConversationId>(), Err(IdError), "{text}");
        }
    }

    #[test]
    fn titles_are_the_first_line_cut_at_a_word() {
        assert_eq!(
            title_of("\n  What is a checkpoint?\nmore"),
            "What is a checkpoint?"
        );
        assert_eq!(title_of("\u{1b}[31m"), "[31m");
        assert_eq!(title_of("  \n"), "New conversation");
        let long = title_of(&"word ".repeat(40));
        assert!(long.ends_with("word…") && long.chars().count() <= 61, "{long}");
    }

    #[test]
    fn settings_out_of_range_are_refused_and_those_at_the_edge_taken() {
        let with = |temperature| Settings {
            temperature: Some(temperature),
            ..Settings::default()
        };
        assert!(with(2.0).check().is_ok() && with(0.0).check().is_ok());
        assert_eq!(with(2.1).check(), Err(SettingsError::Temperature));
        assert_eq!(with(f32::NAN).check(), Err(SettingsError::Temperature));
        let tokens = |tokens| Settings {
            max_tokens: Some(tokens),
            ..Settings::default()
        };
        assert_eq!(tokens(0).check(), Err(SettingsError::MaxTokens));
        assert!(tokens(1).check().is_ok());
    }

    #[test]
    fn a_conversation_is_shortened_by_halves_down_to_the_last_question() {
        let id = ConversationId::random().unwrap();
        let now = Timestamp::now();
        let mut conversation =
            Conversation::new(id, Digest::from_bytes([1; 32]), Settings::default(), "x", now);
        for at in 0..9 {
            let role = if at % 2 == 0 {
                Speaker::User
            } else {
                Speaker::Assistant
            };
            conversation.turns.push(Turn {
                role,
                text: "x".into(),
                at: now,
                state: State::Complete,
                model: None,
                problem: None,
                cost: None,
            });
        }
        assert_eq!(conversation.shortened(0, 9), Some(6));
        assert_eq!(conversation.shortened(6, 9), Some(8));
        assert_eq!(conversation.shortened(8, 9), None);
        assert_eq!(conversation.shortened(0, 1), None);
        assert_eq!(conversation.shortened(0, 0), None);
    }

    #[test]
    fn the_model_gets_the_system_prompt_and_no_empty_answers() {
        let now = Timestamp::now();
        let settings = Settings {
            system: "Be brief.".into(),
            ..Settings::default()
        };
        let id = ConversationId::random().unwrap();
        let mut conversation = Conversation::new(id, Digest::from_bytes([1; 32]), settings, "hi", now);
        let turn = |role, text: &str, state| Turn {
            role,
            text: text.into(),
            at: now,
            state,
            model: None,
            problem: None,
            cost: None,
        };
        conversation.turns = vec![
            turn(Speaker::User, "hi", State::Complete),
            turn(Speaker::Assistant, "", State::Generating),
            turn(Speaker::User, "hi again", State::Complete),
        ];
        let said: Vec<_> = conversation
            .messages(0, 3)
            .into_iter()
            .map(|message| message.content)
            .collect();
        assert_eq!(said, ["Be brief.", "hi", "hi again"]);
        assert_eq!(conversation.messages(2, 3).len(), 2);
        assert!(conversation.mark_interrupted());
        assert_eq!(conversation.turns[1].state, State::Interrupted);
        assert!(!conversation.mark_interrupted());
    }
}
