//! From a conversation to one text: the model's own template first, and what to do when it cannot be used.
//!
//! Every way but the last can fail, and each failure leads to the next, more general one: the template as it is; the
//! template with the conversation adapted to what many templates insist on; llama.cpp's format for the family; plain
//! lines. Which way was gone is reported with the answer.

use std::fmt::Write as _;
use std::ops::Range;

use holdfast_contract::engine::ChatFormat;
use holdfast_contract::inference::{Message, Speaker};
use llama_cpp_2::model::{LlamaChatMessage, LlamaChatTemplate, LlamaModel};

use crate::vocabulary::{Marked, Vocabulary};
use holdfast_chat_template::{ChatMessage, ChatTemplate};

/// Texts that end an answer in the plain format: the model must not go on to write the person's part.
pub const PLAIN_STOPS: [&str; 2] = ["\nUser:", "\nSystem:"];

/// Families that are recognised by a control token of their vocabulary, with llama.cpp's name for their format.
const FAMILIES: [(&str, &str); 6] = [
    ("<|im_start|>", "chatml"),
    ("<|start_header_id|>", "llama3"),
    ("<start_of_turn>", "gemma"),
    ("<\u{ff5c}User\u{ff5c}>", "deepseek3"),
    ("<|assistant|>", "phi3"),
    ("[INST]", "mistral-v3"),
];

/// The ways in which conversations of one model can be formatted.
#[derive(Debug)]
pub struct Chat {
    template: Option<ChatTemplate>,
    family: Option<LlamaChatTemplate>,
    nonce: u64,
}

/// A formatted conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formatted {
    /// The text, with the parts that are the messages' own.
    pub marked: Marked,
    /// How it was made.
    pub format: ChatFormat,
}

type Rendered = Result<String, String>;

impl Chat {
    /// The ways that `model` offers. With `template` false, the one in the file is not looked at.
    pub fn new(model: &LlamaModel, vocabulary: &Vocabulary<'_>, template: bool) -> Self {
        let source = template
            .then(|| model.chat_template(None).ok())
            .flatten()
            .and_then(|template| template.to_str().ok().map(str::to_owned));
        let compiled = source.as_deref().and_then(|source| {
            ChatTemplate::compile(source, &vocabulary.bos_text(), &vocabulary.eos_text())
                .inspect_err(|error| tracing::warn!(%error, "chat template not used"))
                .ok()
        });
        // llama.cpp recognises a template by its text; without one, the vocabulary shows the family.
        let by_template = source.as_deref().filter(|source| known(model, source));
        let by_vocabulary = || {
            FAMILIES
                .iter()
                .find(|(token, _)| vocabulary.has_control(token))
                .map(|(_, name)| *name)
        };
        let family = by_template
            .or_else(by_vocabulary)
            .and_then(|name| LlamaChatTemplate::new(name).ok());
        Self {
            template: compiled,
            family,
            nonce: getrandom::u64().unwrap_or(0x5eed),
        }
    }

    /// How an ordinary conversation would be formatted.
    pub fn expected(&self, model: &LlamaModel, vocabulary: &Vocabulary<'_>) -> ChatFormat {
        let message = |role, content: &str| Message {
            role,
            content: content.to_owned(),
        };
        let sample = [
            message(Speaker::System, "Be brief."),
            message(Speaker::User, "Hello."),
            message(Speaker::Assistant, "Hello!"),
            message(Speaker::User, "Who are you?"),
        ];
        self.format(model, vocabulary, &sample).format
    }

    /// Formats a conversation. There is always a way.
    pub fn format(&self, model: &LlamaModel, vocabulary: &Vocabulary<'_>, messages: &[Message]) -> Formatted {
        let given: Vec<ChatMessage> = messages.iter().map(chat_message).collect();
        if let Some(template) = &self.template {
            let render =
                |messages: &[ChatMessage]| template.render(messages).map_err(|error| error.to_string());
            match self.marked(vocabulary, &given, &render) {
                Ok(marked) => {
                    return Formatted {
                        marked,
                        format: ChatFormat::Template,
                    };
                }
                Err(error) => tracing::info!(error, "chat template failed, adapting the conversation"),
            }
            let adapted = adapted(&given);
            if adapted != given {
                match self.marked(vocabulary, &adapted, &render) {
                    Ok(marked) => {
                        return Formatted {
                            marked,
                            format: ChatFormat::Adapted,
                        };
                    }
                    Err(error) => tracing::info!(error, "chat template failed for the adapted conversation"),
                }
            }
        }
        if let Some(family) = &self.family {
            let render = |messages: &[ChatMessage]| built_in(model, family, messages);
            match self.marked(vocabulary, &given, &render) {
                Ok(marked) => {
                    return Formatted {
                        marked,
                        format: ChatFormat::Family,
                    };
                }
                Err(error) => tracing::info!(error, "llama.cpp's own format failed"),
            }
        }
        Formatted {
            marked: plain(&given),
            format: ChatFormat::Plain,
        }
    }

    /// Renders, and finds out which parts of the text are the messages'. They are found by rendering a second time with
    /// marks around each message; the marks are taken out again, and the result must be the first text.
    fn marked(
        &self,
        vocabulary: &Vocabulary<'_>,
        messages: &[ChatMessage],
        render: &dyn Fn(&[ChatMessage]) -> Rendered,
    ) -> Result<Marked, String> {
        let text = render(messages)?;
        let trimmed: Vec<ChatMessage> = messages
            .iter()
            .map(|message| ChatMessage {
                content: message.content.trim().to_owned(),
                ..message.clone()
            })
            .collect();
        for variant in [messages, &trimmed] {
            let marked = render(&self.mark(variant))
                .ok()
                .and_then(|text| self.unmark(&text));
            if let Some(marked) = marked.filter(|marked| marked.text == text) {
                return Ok(marked);
            }
        }
        // The template changes what it is given. Control tokens in the messages are broken up instead.
        let harmless: Vec<ChatMessage> = messages
            .iter()
            .map(|message| match vocabulary.broken_up(&message.content) {
                Some(content) => ChatMessage {
                    content,
                    ..message.clone()
                },
                None => message.clone(),
            })
            .collect();
        let text = if harmless == messages {
            text
        } else {
            render(&harmless)?
        };
        Ok(Marked {
            text,
            contents: Vec::new(),
        })
    }

    fn open(&self) -> String {
        format!("HFo{:016x}h", self.nonce)
    }

    fn close(&self) -> String {
        format!("HFc{:016x}h", self.nonce)
    }

    fn mark(&self, messages: &[ChatMessage]) -> Vec<ChatMessage> {
        let (open, close) = (self.open(), self.close());
        messages
            .iter()
            .map(|message| ChatMessage {
                content: format!("{open}{}{close}", message.content),
                ..message.clone()
            })
            .collect()
    }

    /// Takes the marks out. `None` when they do not pair up.
    fn unmark(&self, text: &str) -> Option<Marked> {
        let (open, close) = (self.open(), self.close());
        let mut marked = Marked {
            text: String::with_capacity(text.len()),
            contents: Vec::new(),
        };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(&open) {
            let (content, after) = after.split_once(&close)?;
            if before.contains(&close) || content.contains(&open) {
                return None;
            }
            marked.text.push_str(before);
            let start = marked.text.len();
            marked.text.push_str(content);
            marked.contents.push(Range {
                start,
                end: marked.text.len(),
            });
            rest = after;
        }
        marked.text.push_str(rest);
        (!rest.contains(&close)).then_some(marked)
    }
}

fn chat_message(message: &Message) -> ChatMessage {
    ChatMessage {
        role: role(message.role),
        content: message.content.clone(),
    }
}

const fn role(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::System => "system",
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
    }
}

/// The conversation as the strictest templates want it: no system message, speakers alternating, the user first.
fn adapted(messages: &[ChatMessage]) -> Vec<ChatMessage> {
    let mut adapted: Vec<ChatMessage> = Vec::with_capacity(messages.len());
    for message in messages {
        let role = if message.role == "assistant" {
            "assistant"
        } else {
            "user"
        };
        match adapted.last_mut() {
            Some(last) if last.role == role => {
                let _ = write!(last.content, "\n\n{}", message.content);
            }
            None if role == "assistant" => {
                adapted.push(ChatMessage {
                    role: "user",
                    content: String::new(),
                });
                adapted.push(message.clone());
            }
            _ => adapted.push(ChatMessage {
                role,
                content: message.content.clone(),
            }),
        }
    }
    adapted
}

fn built_in(model: &LlamaModel, family: &LlamaChatTemplate, messages: &[ChatMessage]) -> Rendered {
    let messages = messages
        .iter()
        .map(|message| LlamaChatMessage::new(message.role.to_owned(), message.content.clone()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    model
        .apply_chat_template(family, &messages, true)
        .map_err(|error| error.to_string())
}

fn known(model: &LlamaModel, source: &str) -> bool {
    let sample = [ChatMessage {
        role: "user",
        content: "Hello.".to_owned(),
    }];
    LlamaChatTemplate::new(source).is_ok_and(|template| built_in(model, &template, &sample).is_ok())
}

/// Plain lines, for models and conversations that nothing else fits.
fn plain(messages: &[ChatMessage]) -> Marked {
    let mut marked = Marked {
        text: String::new(),
        contents: Vec::new(),
    };
    for message in messages {
        let label = match message.role {
            "system" => "System: ",
            "assistant" => "Assistant: ",
            _ => "User: ",
        };
        marked.text.push_str(label);
        let start = marked.text.len();
        marked.text.push_str(&message.content);
        marked.contents.push(start..marked.text.len());
        marked.text.push('\n');
    }
    marked.text.push_str("Assistant:");
    marked
}
