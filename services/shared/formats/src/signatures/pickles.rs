//! Pickles that take control: the name of a module that does, written as pickles write names, in opcodes that call what is in it.
//!
//! A pickle can begin with almost any byte, so the search is for what it needs. The names of dangerous modules are looked for by
//! four of their letters; where an opcode and a length fit them, the symbolic machine runs what is there.

use super::view::View;
use super::{Class, Seen, Signature};
use crate::inspector::Inspector as _;
use crate::pickle::{Context, Pickle, is_opcode, opcode_length};
use crate::scan::Atom;

/// The pickles.
pub const ALL: &[Signature] = &[Signature { atoms, check: pickle }];

/// What is in the names of modules that run commands or code, or load what does.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "posix", "builtin", "subprocess", "importlib", "runpy", "shutil", "socket", "operator", "codeop", "timeit",
    "marshal", "types", "webbrowser", "commands", "pickle", "cloudpickle", "dill", "profile", "pydoc", "urllib",
    "requests", "pkgutil", "threading", "multiprocessing", "asyncio", "ensurepip", "functools", "httplib", "smtplib",
    "platform", "tempfile", "_inductor", "_dynamo", "hub", "serialization", "testing", "f2py", "jit", "IPython",
    "setuptools", "distutils", "doctest", "inspect", "idlelib", "zipimport", "popen2", "getpass",
];
/// Names of modules that are too short for four letters.
const SHORT: &[&str] = &[
    "os", "nt", "sys", "pty", "pdb", "bdb", "pip", "cmd", "imp", "io", "gc", "cgi", "code", "site", "trace",
];

/// How far before the name a pickle's own first opcode is looked for, in bytes.
const REACH_BYTES: usize = 1 << 10;
/// The most places that a pickle is tried from.
const MAX_TRIES: usize = 6;
/// The longest name of a module.
const MAX_NAME_BYTES: usize = 64;

/// The atoms: the last letters of a long name, a short one with the opcodes and lengths that come before it.
fn atoms() -> Vec<Atom> {
    let long = WORDS
        .iter()
        .map(|word| word.as_bytes())
        .filter_map(|word| word.last_chunk().copied().or_else(|| before(b"", word)));
    let short = SHORT.iter().flat_map(|word| {
        let length = u8::try_from(word.len()).unwrap_or(0);
        let word = word.as_bytes();
        let mut atoms = vec![
            before(b"c", word),
            before(b"i", word),
            before(b"V", word),
            before(b"S'", word),
            before(&[0x8c, length], word),
            before(&[b'U', length], word),
        ];
        // A longer length ends in zeros. What follows two letters then is the next opcode, of which these are usual.
        match *word {
            [a, b] => atoms.extend([b'X', 0x8c, b'q', 0x94, b'U', b'T'].map(|next| Some([0, a, b, next]))),
            _ => atoms.push(before(b"\0", word)),
        }
        atoms.into_iter().flatten()
    });
    long.chain(short).collect()
}

/// The last four bytes up to the end of a name, and the end of its line if there are less.
fn before(prefix: &[u8], word: &[u8]) -> Option<Atom> {
    let all = [prefix, word].concat();
    match all.last_chunk() {
        Some(atom) => Some(*atom),
        None => [all.as_slice(), b"\n"].concat().last_chunk().copied(),
    }
}

fn pickle(view: View<'_>) -> Option<Seen> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let first = view.bytes.iter().take(4).position(is_letter)?;
    // The name reaches to the left as far as letters do; before it stand an opcode and perhaps a length.
    let near = view.before.len().saturating_sub(MAX_NAME_BYTES + 16);
    let near = [
        view.before.get(near..)?,
        view.bytes.get(..view.bytes.len().min(2 * MAX_NAME_BYTES))?,
    ]
    .concat();
    let atom = near.len() - view.bytes.len().min(2 * MAX_NAME_BYTES);
    let left = near
        .get(..atom + first)?
        .iter()
        .rev()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| is_letter(byte))
        .count();
    // How far before the atom an opcode is that has a name with the atom in it.
    let openers: Vec<usize> = (atom + first - left..atom + 4)
        .filter_map(|at| atom.checked_sub(opcode(&near, at)?))
        .collect();
    if openers.is_empty() {
        return None;
    }
    let whole = [view.before, view.bytes].concat();
    let begin = view.before.len();
    let mut tries: Vec<usize> = Vec::new();
    for back in &openers {
        let start = begin.checked_sub(*back)?;
        tries.push(start);
        let protocols = (start.saturating_sub(REACH_BYTES)..start)
            .rev()
            .filter(|at| matches!(whole.get(*at..*at + 2), Some([0x80, 2..=5])));
        tries.extend(protocols.take(MAX_TRIES - 1));
    }
    let opened: Vec<usize> = openers
        .iter()
        .filter_map(|back| begin.checked_sub(*back))
        .filter(|start| is_followed(&whole, *start))
        .collect();
    tries.sort_unstable();
    tries.dedup();
    let start = tries
        .into_iter()
        .take(2 * MAX_TRIES)
        .chain(opened.into_iter().flat_map(|start| marks(&whole, start)))
        .find(|start| whole.get(*start..).is_some_and(takes_control))?;
    Some(Seen {
        class: Class::Pickle,
        what: "a pickle that takes control",
        before: begin.checked_sub(start)?,
    })
}

/// Where a mark is from which whole opcodes lead to `start`: the nearest ones and the farthest. INST and OBJ take everything from a mark
/// on, so a pickle that calls with them cannot be read from the name.
fn marks(bytes: &[u8], start: usize) -> Vec<usize> {
    let first = start.saturating_sub(REACH_BYTES);
    let near = bytes.get(first..start).unwrap_or_default();
    let mut leads = vec![false; near.len()];
    leads.push(true);
    for at in (0..near.len()).rev() {
        let end = near.get(at..).and_then(opcode_length).map(|length| at + length);
        let whole = end.and_then(|end| leads.get(end)).copied().unwrap_or(false);
        if let Some(place) = leads.get_mut(at) {
            *place = whole;
        }
    }
    let marks: Vec<usize> = (0..near.len())
        .rev()
        .filter(|at| near.get(*at) == Some(&b'(') && leads.get(*at) == Some(&true))
        .map(|at| first + at)
        .collect();
    let far = marks.len().saturating_sub(MAX_TRIES / 2).max(MAX_TRIES / 2);
    let nearest = marks.iter().take(MAX_TRIES / 2);
    nearest.chain(marks.iter().skip(far)).copied().collect()
}

/// Whether another opcode follows an INST. Words that stand in lines of their own are followed by anything.
fn is_followed(bytes: &[u8], start: usize) -> bool {
    let opcode = bytes.get(start..).unwrap_or_default();
    opcode.first() != Some(&b'i')
        || opcode_length(opcode).is_some_and(|length| opcode.get(length).is_none_or(|next| is_opcode(*next)))
}

/// Where the opcode is that has the name which begins at `at` as its argument.
fn opcode(bytes: &[u8], at: usize) -> Option<usize> {
    let before = bytes.get(..at)?;
    let name = bytes.get(at..)?;
    let fits = |length: usize| length > 0 && length <= MAX_NAME_BYTES && length <= name.len();
    let back = match before {
        [.., b'c' | b'i' | b'V'] if is_line(name) => 1,
        [.., b'S', b'\'' | b'"'] if is_line(name) => 2,
        [.., 0x8c | b'U', length] if fits(usize::from(*length)) => 2,
        [.., b'X' | b'T', length, 0, 0, 0] if fits(usize::from(*length)) => 5,
        [.., 0x8d, length, 0, 0, 0, 0, 0, 0, 0] if fits(usize::from(*length)) => 9,
        _ => return None,
    };
    at.checked_sub(back)
}

/// Whether the name is a whole line.
fn is_line(name: &[u8]) -> bool {
    let end = name
        .iter()
        .take(MAX_NAME_BYTES)
        .find(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'.' | b'\'' | b'"' | b'\r'));
    end == Some(&b'\n')
}

/// Whether the symbolic machine, started here, comes to a call of something that is known to be dangerous.
fn takes_control(bytes: &[u8]) -> bool {
    let mut pickle = Pickle::new(Context::Member);
    pickle.feed(0, bytes);
    pickle.takes_control(bytes.len() as u64)
}
