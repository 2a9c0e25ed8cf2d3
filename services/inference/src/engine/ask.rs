//! What an engine is asked for, and what waits for it.

use holdfast_contract::Problem;
use holdfast_contract::inference::{EmbedRequest, GenerateEvent, GenerateRequest};

use crate::answer::{Answer, Vectors};

/// What an engine is asked for.
#[derive(Debug)]
pub enum Ask {
    /// Do this.
    Work(Box<Waiting>),
    /// Forget this request; nobody waits for it any more.
    Cancel(u64),
    /// End.
    Stop(Stop),
}

/// A request that waits for a slot.
#[derive(Debug)]
pub struct Waiting {
    /// Names the request, and the job that it becomes.
    pub id: u64,
    /// Whom the kernel named as the caller.
    pub caller: String,
    /// What is wanted, and where the answer goes.
    pub work: Work,
}

/// What is wanted of an engine.
#[derive(Debug)]
pub enum Work {
    /// Text.
    Generate(GenerateRequest, Answer),
    /// Vectors.
    Embed(EmbedRequest, Vectors),
}

/// Why an engine is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// An operator asked.
    Asked,
    /// It makes room for another.
    MakeRoom,
}

impl Waiting {
    /// Tells whoever waits for text.
    pub(super) fn tell(&self, event: GenerateEvent) {
        if let Work::Generate(_, answer) = &self.work {
            answer.tell(event);
        }
    }

    /// Answers with a problem.
    pub fn fail(self, problem: Problem) {
        match self.work {
            Work::Generate(_, answer) => answer.fail(problem),
            Work::Embed(_, vectors) => vectors.finish(Err(problem)),
        }
    }
}

impl Stop {
    /// As the ledger has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::MakeRoom => "make-room",
        }
    }
}
