//! The text the guide model is made from: questions with one answer each, and the words that vary them.
//!
//! The files are compiled in, so a trained file depends on nothing but the program and the seed.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

const FILES: &[(&str, &str)] = &[
    ("about.toml", include_str!("../corpus/about.toml")),
    ("start.toml", include_str!("../corpus/start.toml")),
    ("import.toml", include_str!("../corpus/import.toml")),
    ("verdicts.toml", include_str!("../corpus/verdicts.toml")),
    ("models.toml", include_str!("../corpus/models.toml")),
    ("chat.toml", include_str!("../corpus/chat.toml")),
    ("api.toml", include_str!("../corpus/api.toml")),
    ("access.toml", include_str!("../corpus/access.toml")),
    ("ledger.toml", include_str!("../corpus/ledger.toml")),
    ("status.toml", include_str!("../corpus/status.toml")),
    ("confinement.toml", include_str!("../corpus/confinement.toml")),
    ("commands.toml", include_str!("../corpus/commands.toml")),
    ("trouble.toml", include_str!("../corpus/trouble.toml")),
    ("later.toml", include_str!("../corpus/later.toml")),
    ("guide.toml", include_str!("../corpus/guide.toml")),
    ("off-topic.toml", include_str!("../corpus/off-topic.toml")),
];
const VARIATIONS: &str = include_str!("../corpus/variations.toml");

/// Every so many items, one is part of [`Corpus::spread`].
const SPREAD: usize = 8;

/// One answer with the questions it answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Stable name.
    pub id: String,
    /// Questions to train on. `{slot}` stands for any word of that slot.
    pub ask: Vec<String>,
    /// Questions that are never trained on, to measure how well others are understood.
    #[serde(default)]
    pub held_out: Vec<String>,
    /// How often each question is trained on in a round.
    #[serde(default = "once")]
    pub weight: usize,
    /// The answer.
    pub answer: String,
}

const fn once() -> usize {
    1
}

/// How questions are varied in training.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variations {
    /// What people put before a question.
    pub before: Vec<String>,
    /// What people put after a question.
    pub after: Vec<String>,
    /// Groups of words or phrases, in lower case, that may stand for each other.
    pub synonyms: Vec<Vec<String>>,
    /// Words that may be left out.
    pub optional: Vec<String>,
    /// System messages that other programs send.
    pub system: Vec<String>,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The question, as trained.
    pub question: String,
    /// The answer, word for word.
    pub answer: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    slots: BTreeMap<String, Vec<String>>,
    item: Vec<Item>,
}

/// The whole corpus.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// All items, in the order of the files.
    pub items: Vec<Item>,
    /// What a `{slot}` in a question may stand for.
    pub slots: BTreeMap<String, Vec<String>>,
    /// How questions are varied.
    pub variations: Variations,
}

/// Why the corpus cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file is not what it should be.
    #[error("corpus file {file} cannot be read")]
    Read {
        /// Which file.
        file: &'static str,
        /// What is wrong.
        #[source]
        source: toml::de::Error,
    },
    /// An item breaks a rule.
    #[error("corpus item {id}: {fault}")]
    Item {
        /// Which item.
        id: String,
        /// Which rule.
        fault: String,
    },
}

impl Corpus {
    /// Reads and checks the corpus that is compiled in.
    ///
    /// # Errors
    /// When a file or an item breaks a rule; the tests make sure that none does.
    pub fn shipped() -> Result<Self, CorpusError> {
        let mut items = Vec::new();
        let mut slots = BTreeMap::new();
        for &(file, text) in FILES {
            let mut content: File =
                toml::from_str(text).map_err(|source| CorpusError::Read { file, source })?;
            items.append(&mut content.item);
            slots.append(&mut content.slots);
        }
        let variations = toml::from_str(VARIATIONS).map_err(|source| CorpusError::Read {
            file: "variations.toml",
            source,
        })?;
        let corpus = Self {
            items,
            slots,
            variations,
        };
        corpus.check()?;
        Ok(corpus)
    }

    /// A question with each slot filled: with the word that `choose` takes from the slot's words.
    pub fn fill(&self, question: &str, mut choose: impl FnMut(&[String]) -> usize) -> String {
        let mut out = String::new();
        let mut rest = question;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').unwrap_or((after, ""));
            let words = self.slots.get(name).map_or(&[][..], Vec::as_slice);
            out.push_str(before);
            out.push_str(words.get(choose(words)).map_or("", String::as_str));
            rest = tail;
        }
        out + rest
    }

    /// The questions of an item as trained, with fixed words in the slots.
    pub fn questions(&self, item: &Item) -> Vec<String> {
        let fixed = |(index, question): (usize, &String)| {
            self.fill(question, |words| {
                (index * 7 + question.len()) % words.len().max(1)
            })
        };
        item.ask.iter().enumerate().map(fixed).collect()
    }

    /// Questions from all over the corpus with their answers, always the same: what tests ask a guide model.
    pub fn spread(&self) -> Vec<Exchange> {
        let asked = self.items.iter().step_by(SPREAD).filter_map(|item| {
            Some(Exchange {
                question: self.questions(item).into_iter().next()?,
                answer: item.answer.clone(),
            })
        });
        asked.collect()
    }

    fn check(&self) -> Result<(), CorpusError> {
        let mut ids = HashSet::new();
        let mut asked: HashMap<String, &str> = HashMap::new();
        for item in &self.items {
            let fail = |fault: &str| {
                Err(CorpusError::Item {
                    id: item.id.clone(),
                    fault: fault.to_owned(),
                })
            };
            if !ids.insert(&item.id) {
                return fail("the id is used twice");
            }
            if !(1..=9).contains(&item.weight) {
                return fail("the weight is 1 to 9");
            }
            if item.ask.len() < 3 {
                return fail("it needs at least three phrasings");
            }
            let answer = item.answer.as_str();
            if answer.len() > 400 || answer.trim() != answer || !answer.ends_with(['.', '!', '?']) {
                return fail("the answer is one to three sentences, at most 400 bytes");
            }
            for question in item.ask.iter().chain(&item.held_out) {
                if question.len() > 120 || question.trim() != question || question.is_empty() {
                    return fail("a question has 1 to 120 bytes and no space around it");
                }
                if let Some(slot) = slots_of(question).find(|slot| !self.slots.contains_key(*slot)) {
                    return fail(&format!("there is no slot {slot:?}"));
                }
                if let Some(other) = asked.insert(plain(question), &item.id) {
                    return fail(&format!("{question:?} is asked by {other} too"));
                }
            }
        }
        Ok(())
    }
}

fn slots_of(question: &str) -> impl Iterator<Item = &str> {
    question
        .split('{')
        .skip(1)
        .filter_map(|part| part.split('}').next())
}

/// A question without what does not change its meaning: case, punctuation, spacing.
fn plain(question: &str) -> String {
    let keep = |c: char| c.is_alphanumeric() || "{}-/.".contains(c);
    let kept: String = question
        .chars()
        .map(|c| if keep(c) { c.to_ascii_lowercase() } else { ' ' })
        .collect();
    let words: Vec<&str> = kept
        .split_whitespace()
        .map(|word| word.trim_matches('.'))
        .collect();
    let plain = words.join(" ");
    if plain.is_empty() {
        question.to_owned()
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(items: &str) -> Result<Corpus, CorpusError> {
        let file: File = toml::from_str(items).unwrap();
        let corpus = Corpus {
            items: file.item,
            slots: file.slots,
            ..Corpus::shipped().unwrap()
        };
        corpus.check().map(|()| corpus)
    }

    #[test]
    fn the_shipped_corpus_keeps_the_rules() {
        let corpus = Corpus::shipped().unwrap();
        assert!(corpus.items.len() >= 250, "{} items", corpus.items.len());
        assert!(corpus.items.iter().map(|item| item.held_out.len()).sum::<usize>() >= 200);
        let text = corpus.items.iter().map(|item| &item.answer);
        assert!(
            text.clone().all(|answer| answer.is_ascii()),
            "answers are plain ASCII"
        );
    }

    #[test]
    fn refuses_the_same_question_with_two_answers() {
        let first = "[[item]]\nid = \"a\"\nask = [\"What is it?\", \"b\", \"c\"]\nanswer = \"A.\"\n";
        let second = "[[item]]\nid = \"b\"\nask = [\"what is it\", \"d\", \"e\"]\nanswer = \"B.\"\n";
        assert!(corpus(first).is_ok());
        assert!(
            matches!(corpus(&format!("{first}{second}")), Err(CorpusError::Item { id, .. }) if id == "b")
        );
    }

    #[test]
    fn refuses_an_unknown_slot_and_fills_a_known_one() {
        let items = "[slots]\ncity = [\"Oslo\", \"Lima\"]\n[[item]]\nid = \"a\"\nanswer = \"A.\"\n";
        let good = corpus(&format!("{items}ask = [\"Where is {{city}}?\", \"b\", \"c\"]")).unwrap();
        assert_eq!(good.fill("Where is {city}?", |_| 1), "Where is Lima?");
        assert!(corpus(&format!("{items}ask = [\"Where is {{town}}?\", \"b\", \"c\"]")).is_err());
    }
}
