//! Parameters of steps that name a file or a service. The operators that have them compute as long as they are left empty.
//!
//! Name and value come in either order, and the operator before or after both, so a value is judged without knowing whose it is, and
//! the name decides in the end. TensorFlow refuses parameters that an operator does not have, so a name belongs to one kind of operator.

use std::collections::BTreeSet;

use crate::protobuf::Text;

/// What a parameter has its step do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// It prints to a file.
    Prints,
    /// It sends what passes through to a file or a service.
    Sends,
    /// It reads a word list.
    Words,
    /// It reads descriptions of messages.
    Descriptions,
}

const ALL: [Reach; 4] = [Reach::Prints, Reach::Sends, Reach::Words, Reach::Descriptions];

impl Reach {
    /// The parameter that does it.
    fn name(self) -> &'static str {
        match self {
            Self::Prints => "output_stream",
            Self::Sends => "debug_ops_spec",
            Self::Words => "vocab_file",
            Self::Descriptions => "descriptor_source",
        }
    }

    /// Whether the parameter does it with this text.
    fn follows_from(self, text: &Text) -> bool {
        let whole = text.whole();
        let starts = |start: &[u8]| text.kept().starts_with(start);
        match self {
            // Loggers of the running program have names of this kind.
            Self::Prints => !matches!(whole, Some("" | "stdout" | "stderr")) && !starts(b"log("),
            Self::Sends => whole.is_none_or(|text| text.contains("://")),
            Self::Words => !text.is_empty(),
            // They are built in, or the text itself.
            Self::Descriptions => !matches!(whole, Some("" | "local://")) && !starts(b"bytes://"),
        }
    }
}

/// A parameter of a step.
#[derive(Debug, Default)]
pub struct Attribute {
    /// Its name.
    pub name: Text,
    /// What it has the step do, if its name is the one for that.
    reaches: BTreeSet<Reach>,
}

impl Attribute {
    /// Takes its text, or one of several.
    pub fn text(&mut self, text: &Text) {
        let follow = ALL.into_iter().filter(|reach| reach.follows_from(text));
        self.reaches.extend(follow);
    }

    /// The caller of the function that the step is in gives the value, which can be anything.
    pub fn left_open(&mut self) {
        self.reaches.extend(ALL);
    }

    /// What it has the step do.
    pub fn reach(&self) -> Option<Reach> {
        let name = self.name.whole()?;
        self.reaches.iter().copied().find(|reach| reach.name() == name)
    }
}
