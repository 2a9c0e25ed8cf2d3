//! One search over every byte, whatever the format, that several searchers share.
//!
//! Each [`Search`] names the atoms without which nothing of what it looks for can be there. The bytes are searched for all
//! atoms at once, and at each hit the searcher gets a window of bytes around it. Windows go over the borders of chunks,
//! and what a searcher sees does not depend on how the bytes were cut. Trust boundary: every byte.

mod table;

use std::sync::{Arc, LazyLock};

use holdfast_contract::Digest;

use crate::finding::Findings;
use crate::format::Format;
use crate::signatures::Signatures;
pub use table::Atom;
use table::Table;

/// How much of what is before an atom a searcher sees.
pub const BEFORE_BYTES: usize = 2 << 10;
/// How much of what follows an atom's first byte a searcher sees.
pub const AFTER_BYTES: usize = 4 << 10;
/// How much of the start of the bytes is kept to the end.
pub const HEAD_BYTES: usize = 4 << 10;
/// Bytes that are held before they are searched together.
const HELD_BYTES: usize = 4 * (BEFORE_BYTES + AFTER_BYTES);

/// Something to search for: made once, for any number of files.
pub trait Search: Send + Sync {
    /// The atoms; hits name them by their place in this list.
    fn atoms(&self) -> Vec<Atom>;

    /// Begins to search in one file, or in one member of an archive.
    fn begin(self: Arc<Self>) -> Box<dyn Searching>;
}

/// A search in one file.
pub trait Searching: Send {
    /// An atom is there.
    fn hit(&mut self, hit: &Hit<'_>);

    /// The bytes have ended.
    fn finish(self: Box<Self>, whole: &Whole<'_>) -> Findings;
}

/// A place where an atom begins.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// Which atom of the searcher's list.
    pub atom: usize,
    /// Where it begins, in bytes from the start of the file.
    pub at: u64,
    /// The bytes from [`BEFORE_BYTES`] before the atom to [`AFTER_BYTES`] behind its start, as far as they are there.
    pub window: &'a [u8],
    /// Where in the window the atom begins.
    pub index: usize,
}

/// What is known when the bytes have ended.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'a> {
    /// How many bytes there were.
    pub size: u64,
    /// What they are.
    pub format: Format,
    /// What in them is accounted for.
    pub own: &'a Own,
    /// The first bytes, at most [`HEAD_BYTES`].
    pub head: &'a [u8],
    /// The last bytes, at most [`BEFORE_BYTES`].
    pub tail: &'a [u8],
}

/// What of a file other inspectors have accounted for, so that it is no surprise to find it there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Own {
    /// Nothing but the start of the file, by which its format was told.
    #[default]
    Start,
    /// Not even that: the bytes were taken for numbers or a pickle without a look at what they begin with.
    Nothing,
    /// What begins at these places, in order, besides the start: members of an archive.
    At(Vec<u64>),
    /// Everything: each part is inspected as a file of its own.
    All,
}

impl Own {
    /// Whether something that begins there is accounted for.
    pub fn covers(&self, at: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Start => at == 0,
            Self::At(places) => at == 0 || places.binary_search(&at).is_ok(),
            Self::All => true,
        }
    }
}

/// The searchers that share one pass over the bytes.
pub struct Scanner {
    searches: Vec<Arc<dyn Search>>,
    table: Table,
    /// For each user of an atom in the table: which searcher, and which of its atoms.
    users: Vec<(usize, usize)>,
    rules: Option<Digest>,
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner")
            .field("searches", &self.searches.len())
            .field("atoms", &self.users.len())
            .finish_non_exhaustive()
    }
}

impl Scanner {
    /// A scanner for signatures alone.
    pub fn plain() -> Arc<Self> {
        static PLAIN: LazyLock<Arc<Scanner>> = LazyLock::new(|| Arc::new(Scanner::new(Vec::new(), None)));
        Arc::clone(&PLAIN)
    }

    /// A scanner for signatures and for what else is to be searched for. `rules` says in reports which rules these are.
    pub fn new(further: Vec<Arc<dyn Search>>, rules: Option<Digest>) -> Self {
        let mut searches: Vec<Arc<dyn Search>> = vec![Arc::new(Signatures)];
        searches.extend(further);
        let mut users = Vec::new();
        let mut atoms = Vec::new();
        for (searcher, search) in searches.iter().enumerate() {
            for (index, atom) in search.atoms().into_iter().enumerate() {
                atoms.push((atom, u32::try_from(users.len()).unwrap_or(u32::MAX)));
                users.push((searcher, index));
            }
        }
        Self {
            table: Table::new(atoms.into_iter()),
            searches,
            users,
            rules,
        }
    }

    /// Which rules are searched for, besides signatures.
    pub fn rules(&self) -> Option<Digest> {
        self.rules
    }
}

/// The bytes of one file, or of one member, on their way through the searchers.
pub struct Scan {
    scanner: Arc<Scanner>,
    searching: Vec<Box<dyn Searching>>,
    /// The last bytes, up to the end of what came so far.
    held: Vec<u8>,
    head: Vec<u8>,
    /// How many bytes came so far.
    end: u64,
    /// Every atom that begins before this place was found.
    done: u64,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Scan {
    /// Begins with the first byte.
    pub fn new(scanner: &Arc<Scanner>) -> Self {
        Self {
            searching: scanner
                .searches
                .iter()
                .map(|search| Arc::clone(search).begin())
                .collect(),
            scanner: Arc::clone(scanner),
            held: Vec::new(),
            head: Vec::new(),
            end: 0,
            done: 0,
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(chunk.iter().take(room));
        let begin = self.end;
        // The windows at the start of the chunk reach back into what is held, and those at its end wait for what follows.
        let (near, _) = chunk.split_at(chunk.len().min(BEFORE_BYTES + AFTER_BYTES));
        let whole = near.len() == chunk.len();
        if whole && self.held.len() + chunk.len() <= HELD_BYTES {
            self.held.extend_from_slice(chunk);
            self.end += chunk.len() as u64;
            return;
        }
        self.held.extend_from_slice(near);
        self.end += near.len() as u64;
        let far = if whole {
            u64::MAX
        } else {
            begin + BEFORE_BYTES as u64
        };
        self.search_held(self.end.saturating_sub(AFTER_BYTES as u64).min(far));
        if whole {
            let keep = BEFORE_BYTES as u64 + (self.end - self.done);
            let drop = (self.held.len() as u64).saturating_sub(keep);
            self.held.drain(..usize::try_from(drop).unwrap_or(0));
            return;
        }
        self.end = begin + chunk.len() as u64;
        let to = self.end.saturating_sub(AFTER_BYTES as u64);
        search(&self.scanner, &mut self.searching, chunk, begin, self.done, to);
        self.done = self.done.max(to);
        let keep = chunk.len().saturating_sub(BEFORE_BYTES + AFTER_BYTES);
        self.held.clear();
        self.held.extend_from_slice(chunk.get(keep..).unwrap_or_default());
    }

    /// Searches in what is held, up to the place `to`.
    fn search_held(&mut self, to: u64) {
        let begin = self.end - self.held.len() as u64;
        search(
            &self.scanner,
            &mut self.searching,
            &self.held,
            begin,
            self.done,
            to,
        );
        self.done = self.done.max(to);
    }

    /// The bytes have ended.
    pub fn finish(mut self, format: Format, own: &Own) -> Findings {
        self.search_held(self.end);
        let tail = self.held.len().saturating_sub(BEFORE_BYTES);
        let whole = Whole {
            size: self.end,
            format,
            own,
            head: &self.head,
            tail: self.held.get(tail..).unwrap_or_default(),
        };
        let mut findings = Findings::default();
        for searching in self.searching {
            findings.append(searching.finish(&whole));
        }
        findings
    }
}

/// Finds the atoms that begin at the places `from` up to `to` of the file, in bytes that begin at the place `begin`.
fn search(
    scanner: &Scanner,
    searching: &mut [Box<dyn Searching>],
    bytes: &[u8],
    begin: u64,
    from: u64,
    to: u64,
) {
    let index = |place: u64| usize::try_from(place.saturating_sub(begin)).unwrap_or(usize::MAX);
    scanner
        .table
        .find(bytes, begin, index(from), index(to), |found, users| {
            let first = found.saturating_sub(BEFORE_BYTES);
            let end = bytes.len().min(found + AFTER_BYTES);
            for user in users {
                let user = usize::try_from(*user).unwrap_or(usize::MAX);
                if let Some((searcher, atom)) = scanner.users.get(user)
                    && let Some(searching) = searching.get_mut(*searcher)
                {
                    searching.hit(&Hit {
                        atom: *atom,
                        at: begin + found as u64,
                        window: bytes.get(first..end).unwrap_or_default(),
                        index: found - first,
                    });
                }
            }
        });
}
