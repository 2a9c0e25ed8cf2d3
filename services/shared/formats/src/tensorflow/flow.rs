//! Where the names of the files come from that a graph saves its numbers to and loads them from.
//!
//! Every `SavedModel` has steps that do this, and TensorFlow hands them the directory when it loads or saves the model. So each such step is
//! followed backwards: over what joins and picks texts, to the arguments of the function it stands in and from there to the steps that call
//! it, until the name comes from whoever runs the graph, or from the graph itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::text::Fingerprint;

/// The most steps of a graph or function.
pub const MAX_NODES: usize = 1 << 18;
/// The most inputs of a step that are followed. A saver of a model on several machines joins a few dozen.
const MAX_INPUTS: usize = 64;
/// How many of such inputs a graph keeps in all.
const MAX_KEPT_INPUTS: usize = 1 << 18;
/// How many steps the name of a file is followed back, and how many each argument of a call.
const MAX_STEPS: usize = 256;
const MAX_ARGUMENT_STEPS: usize = 16;
/// How many arguments of a function are told apart.
const MAX_ARGUMENTS: u8 = 32;
/// The most calls of functions in all graphs, and the most steps that save or load.
const MAX_CALLS: usize = 1 << 14;

/// Where a value comes from, as far as it can be the name of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Whoever runs the graph.
    Given,
    /// The argument of this number.
    Argument(u8),
    /// A constant text that leads nowhere else.
    Text,
    /// Whoever runs the graph, or else these other values.
    Default(Box<[Fingerprint]>),
    /// These other values together.
    From(Box<[Fingerprint]>),
    /// Anything else.
    Other,
}

/// A step that needs to know where some of its inputs come from.
#[derive(Debug)]
pub struct Use {
    /// The function that is called; none for a step that saves or loads itself.
    pub callee: Option<Fingerprint>,
    /// Its inputs.
    pub inputs: Vec<Fingerprint>,
    /// Where it stands in the file.
    pub at: u64,
}

/// A graph or function while it is read.
#[derive(Debug, Default)]
pub struct Flow {
    origins: BTreeMap<Fingerprint, Origin>,
    arguments: u8,
    kept_inputs: usize,
    uses: Vec<Use>,
}

impl Flow {
    /// Takes the next argument of the function. What has more of them than can be counted takes no file name in one of those.
    pub fn argument(&mut self, name: Fingerprint) {
        if self.arguments < MAX_ARGUMENTS {
            self.origins.insert(name, Origin::Argument(self.arguments));
            self.arguments += 1;
        }
    }

    /// Takes a step. Returns false if there is one of this name already.
    pub fn step(&mut self, name: Fingerprint, mut origin: Origin) -> bool {
        if let Origin::From(values) | Origin::Default(values) = &origin {
            self.kept_inputs += values.len();
            if self.kept_inputs > MAX_KEPT_INPUTS {
                origin = Origin::Other;
            }
        }
        self.origins.insert(name, origin).is_none()
    }

    /// Takes a step that saves, loads or calls. Returns whether there is room for it.
    pub fn uses(&mut self, mut used: Use) -> bool {
        used.inputs.truncate(MAX_ARGUMENTS.into());
        used.inputs.shrink_to_fit();
        self.uses.push(used);
        self.uses.len() <= MAX_CALLS
    }

    /// Whether there is room for another step.
    pub fn has_room(&self) -> bool {
        self.origins.len() < MAX_NODES
    }

    /// The arguments, as bits, that decide on a value; none if the graph itself does.
    fn roots(&self, value: Fingerprint, steps: usize) -> Option<u32> {
        let mut roots = 0;
        let mut pending = vec![value];
        let mut seen = BTreeSet::new();
        let mut single = true;
        let mut given = false;
        while let Some(value) = pending.pop() {
            if !seen.insert(value) {
                continue;
            }
            if seen.len() > steps {
                return None;
            }
            match self.origins.get(&value)? {
                Origin::Given => given = true,
                Origin::Argument(number) => roots |= 1_u32.checked_shl(u32::from(*number))?,
                Origin::Text => {}
                Origin::Default(values) => {
                    given = true;
                    pending.extend(values.iter().copied());
                }
                Origin::From(values) => {
                    single &= values.len() == 1;
                    pending.extend(values.iter().copied());
                }
                Origin::Other => return None,
            }
        }
        // Texts that are only joined with each other may make a path that none of them is.
        (given || roots != 0 || single).then_some(roots)
    }
}

/// The calls of all graphs of a file.
#[derive(Debug, Default)]
pub struct Calls {
    /// For each function, the arguments that name files, as bits, and whether a name comes from the function itself.
    needs: BTreeMap<Fingerprint, u32>,
    made: Vec<Call>,
    /// Where a step is whose file name the graph decides on.
    pub wrong: BTreeSet<u64>,
    /// Whether there are more than are remembered.
    pub too_many: bool,
}

#[derive(Debug)]
struct Call {
    caller: Option<Fingerprint>,
    callee: Fingerprint,
    at: u64,
    /// For each input that could be the name of a file, its number and the arguments that decide on it.
    known: Vec<(u8, u32)>,
}

impl Calls {
    /// A graph has been read to its end, or the function of this name.
    pub fn add(&mut self, function: Option<Fingerprint>, flow: &Flow) {
        for used in &flow.uses {
            match used.callee {
                None => {
                    for input in &used.inputs {
                        match (flow.roots(*input, MAX_STEPS), function) {
                            (None, _) => {
                                self.wrong.insert(used.at);
                            }
                            (Some(roots), Some(function)) if roots != 0 => {
                                *self.needs.entry(function).or_default() |= roots;
                            }
                            (Some(_), _) => {}
                        }
                    }
                }
                Some(_) if self.made.len() >= MAX_CALLS => self.too_many = true,
                Some(callee) => {
                    let numbered = used.inputs.iter().zip(0..MAX_ARGUMENTS);
                    self.made.push(Call {
                        caller: function,
                        callee,
                        at: used.at,
                        known: numbered
                            .filter_map(|(input, number)| {
                                Some((number, flow.roots(*input, MAX_ARGUMENT_STEPS)?))
                            })
                            .collect(),
                    });
                }
            }
        }
        self.too_many |= self.wrong.len() > MAX_CALLS || self.needs.len() > MAX_CALLS;
    }

    /// Follows the names of files from functions to their callers, until nothing new comes up.
    pub fn resolve(&mut self) {
        // Each round adds at least one of 32 arguments to a function; real models need two or three rounds.
        for _ in 0..MAX_STEPS {
            let mut changed = false;
            for call in &self.made {
                let Some(needs) = self.needs.get(&call.callee).copied() else {
                    continue;
                };
                for number in (0..MAX_ARGUMENTS).filter(|number| needs >> number & 1 == 1) {
                    let known = call.known.iter().find(|(known, _)| *known == number);
                    match (known, call.caller) {
                        (None, _) => changed |= self.wrong.insert(call.at),
                        (Some((_, roots)), Some(caller)) if *roots != 0 => {
                            let before = self.needs.entry(caller).or_default();
                            changed |= *before | roots != *before;
                            *before |= roots;
                        }
                        (Some(_), _) => {}
                    }
                }
            }
            if !changed {
                return;
            }
        }
        self.too_many = true;
    }
}

/// The origin of what a step of this operator makes.
pub fn origin(operator: &str, inputs: &[Fingerprint], constant: Option<bool>) -> Origin {
    let from = |inputs: &[Fingerprint]| {
        if inputs.is_empty() || inputs.len() > MAX_INPUTS {
            Origin::Other
        } else {
            Origin::From(inputs.into())
        }
    };
    match operator {
        "Placeholder" | "PlaceholderV2" => Origin::Given,
        "Const" if constant == Some(true) => Origin::Text,
        "PlaceholderWithDefault" => Origin::Default(inputs.get(..1).unwrap_or_default().into()),
        "StringJoin" | "Pack" | "Concat" | "ConcatV2" => from(inputs),
        // The first input decides which of the others it is.
        "Select" | "SelectV2" => from(inputs.get(1..).unwrap_or_default()),
        // What follows is a number or a shape.
        "Identity" | "ShardedFilename" | "ShardedFilespec" | "ExpandDims" | "Reshape" | "Squeeze" => {
            from(inputs.get(..1).unwrap_or_default())
        }
        _ => Origin::Other,
    }
}

/// Whether a constant text is a piece of a file name that does not lead anywhere else.
pub fn stays(text: &[u8]) -> bool {
    let plain = text
        .iter()
        .all(|byte| !matches!(byte, b'\\' | b':' | b'$' | b'%' | ..=0x1f));
    let start = !matches!(text.first(), Some(b'/' | b'~')) || text == b"/part";
    let parts = text
        .split(|byte| *byte == b'/')
        .all(|part| part != b".." && part != b".");
    plain && start && parts && !text.ends_with(b".")
}
