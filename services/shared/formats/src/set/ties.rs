//! What ties a file to others of its directory, as the file itself says it. Collected only where somebody asks for it, bounded always.

use serde::{Deserialize, Serialize};

use crate::text;

/// The most entries that are kept of one file: tensors, places, parts.
pub const MAX_ENTRIES: usize = 200_000;
/// The most bytes of names that are kept of one file.
pub const MAX_TEXT_BYTES: usize = 12 << 20;
/// The longest name that is kept, in bytes. A file with a longer one cannot be compared with others.
pub const MAX_NAME_BYTES: usize = 512;
/// The most different files that one file may name. The largest published models have some hundred parts.
const MAX_FILES: usize = 4096;

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    /// Its name, exactly as in the file.
    pub name: String,
    /// How many bytes its numbers take.
    pub bytes: u64,
}

/// A tensor that an index says to be in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapped {
    /// The tensor's name, exactly as in the file.
    pub name: String,
    /// Which of [`Ties::files`].
    pub file: u32,
}

/// Numbers of a model that are in another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// Which of [`Ties::files`].
    pub file: u32,
    /// Where they begin there.
    pub at: u64,
    /// How many bytes they are said to be, if anything is said.
    pub length: Option<u64>,
    /// How many bytes the tensor's shape and type need.
    pub needed: u64,
}

/// What a part of a split GGUF model says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Its number, from 0.
    pub number: u64,
    /// How many parts there are.
    pub count: u64,
    /// How many tensors all parts have, if it says so.
    pub tensors: Option<u64>,
}

/// A part of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// The directory that it is loaded from.
    pub folder: String,
    /// The class that loads it.
    pub class: String,
}

/// What one file says about others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ties {
    #[serde(skip)]
    wanted: bool,
    #[serde(skip)]
    text_bytes: usize,
    /// There is more than is kept: nothing may be concluded from what is not here.
    #[serde(skip_serializing_if = "is_false")]
    pub incomplete: bool,
    /// The names of other files, in the order in which they first occur.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The tensors of this file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tensors: Vec<Tensor>,
    /// Of an index: which tensor is where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mapped: Vec<Mapped>,
    /// Of an index: how many bytes all tensors have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Numbers that are elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<External>,
    /// Of a part of a split model: which one it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Of a pipeline: its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    /// Modules of Python that a configuration has a loader import.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// This is the configuration of an adapter.
    #[serde(skip_serializing_if = "is_false")]
    pub adapter: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Ties {
    /// Collects from here on.
    pub fn collecting() -> Self {
        Self {
            wanted: true,
            ..Self::default()
        }
    }

    /// Whether anything is collected.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        let settings = Self {
            wanted: self.wanted,
            text_bytes: self.text_bytes,
            ..Self::default()
        };
        *self == settings
    }

    /// A tensor of this file.
    pub fn tensor(&mut self, name: &[u8], bytes: u64) {
        if let Some(name) = self.name(name) {
            self.tensors.push(Tensor { name, bytes });
        }
    }

    /// An entry of an index.
    pub fn mapped(&mut self, name: &[u8], file: &[u8]) {
        if let Some(file) = self.file(file)
            && let Some(name) = self.name(name)
        {
            self.mapped.push(Mapped { name, file });
        }
    }

    /// Numbers in another file.
    pub fn external(&mut self, file: &str, at: u64, length: Option<u64>, needed: u64) {
        if let Some(file) = self.file(file.as_bytes())
            && self.has_room(0)
        {
            self.external.push(External {
                file,
                at,
                length,
                needed,
            });
        }
    }

    /// A file that has to lie at this place below the directory.
    pub fn beside(&mut self, name: &str) {
        self.file(name.as_bytes());
    }

    /// A part of a pipeline.
    pub fn component(&mut self, folder: &str, class: &str) {
        if let Some(folder) = self.name(folder.as_bytes())
            && let Some(class) = self.name(class.as_bytes())
        {
            self.components.push(Component { folder, class });
        }
    }

    /// A module that a configuration has a loader import.
    pub fn module(&mut self, name: &str) {
        if let Some(name) = self.name(name.as_bytes()) {
            self.modules.push(name);
        }
    }

    /// Takes what was said later about the same file.
    pub fn append(&mut self, more: Self) {
        self.incomplete |= more.incomplete;
        self.adapter |= more.adapter;
        self.split = self.split.or(more.split);
        self.total_bytes = self.total_bytes.or(more.total_bytes);
        self.files.extend(more.files);
        self.tensors.extend(more.tensors);
        self.mapped.extend(more.mapped);
        self.external.extend(more.external);
        self.components.extend(more.components);
        self.modules.extend(more.modules);
        let texts: usize = self.texts().map(str::len).sum();
        if self.entries() > MAX_ENTRIES || texts > MAX_TEXT_BYTES {
            *self = Self {
                incomplete: true,
                ..Self::default()
            };
        }
    }

    /// Splits off a piece whose texts have about `bytes` bytes. What is left is empty in the end.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> Self {
        // An entry costs what its numbers take besides its texts.
        const EACH: usize = 64;
        let mut piece = Self {
            incomplete: std::mem::take(&mut self.incomplete),
            adapter: std::mem::take(&mut self.adapter),
            split: self.split.take(),
            total_bytes: self.total_bytes.take(),
            ..Self::default()
        };
        let mut room = bytes;
        move_while(&mut self.files, &mut piece.files, |name| {
            spend(&mut room, EACH + name.len())
        });
        move_while(&mut self.tensors, &mut piece.tensors, |tensor| {
            spend(&mut room, EACH + tensor.name.len())
        });
        move_while(&mut self.mapped, &mut piece.mapped, |mapped| {
            spend(&mut room, EACH + mapped.name.len())
        });
        move_while(&mut self.external, &mut piece.external, |_| {
            spend(&mut room, 2 * EACH)
        });
        move_while(&mut self.components, &mut piece.components, |component| {
            spend(&mut room, EACH + component.folder.len() + component.class.len())
        });
        move_while(&mut self.modules, &mut piece.modules, |name| {
            spend(&mut room, EACH + name.len())
        });
        piece
    }

    /// Whether numbers and texts are what a file of `size` bytes can have led to.
    pub fn is_plausible(&self) -> bool {
        let files = self.mapped.iter().map(|mapped| mapped.file);
        let files = files.chain(self.external.iter().map(|external| external.file));
        self.files.len() <= MAX_FILES
            && files
                .into_iter()
                .all(|file| usize::try_from(file).is_ok_and(|file| file < self.files.len()))
            && self.texts().all(|text| text.len() <= MAX_NAME_BYTES)
    }

    /// The file with this number.
    pub fn file_name(&self, file: u32) -> &str {
        let file = usize::try_from(file).ok().and_then(|file| self.files.get(file));
        file.map_or("", String::as_str)
    }

    /// About how many bytes they take.
    pub fn cost(&self) -> usize {
        let texts: usize = self.texts().map(str::len).sum();
        texts + 48 * (self.entries() + self.files.len())
    }

    /// Whether the file asks to be compared with others.
    pub fn names_others(&self) -> bool {
        let is_part = self.split.is_some_and(|split| split.count > 1);
        is_part || self.incomplete || !self.files.is_empty() || !self.components.is_empty()
    }

    fn entries(&self) -> usize {
        [
            self.tensors.len(),
            self.mapped.len(),
            self.external.len(),
            self.components.len(),
            self.modules.len(),
        ]
        .iter()
        .sum()
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let files = self.files.iter().map(String::as_str);
        let tensors = self.tensors.iter().map(|tensor| tensor.name.as_str());
        let mapped = self.mapped.iter().map(|mapped| mapped.name.as_str());
        let components = self.components.iter();
        let components =
            components.flat_map(|component| [component.folder.as_str(), component.class.as_str()]);
        files
            .chain(tensors)
            .chain(mapped)
            .chain(components)
            .chain(self.modules.iter().map(String::as_str))
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        let room = self.wanted
            && !self.incomplete
            && self.entries() < MAX_ENTRIES
            && self.text_bytes + bytes <= MAX_TEXT_BYTES;
        self.incomplete |= self.wanted && !room;
        if room {
            self.text_bytes += bytes;
        }
        room
    }

    fn name(&mut self, name: &[u8]) -> Option<String> {
        if !self.wanted {
            return None;
        }
        match std::str::from_utf8(name) {
            Ok(name) if name.len() <= MAX_NAME_BYTES && self.has_room(name.len()) => Some(name.to_owned()),
            _ => {
                self.incomplete = true;
                None
            }
        }
    }

    /// The number of a file. The last one named is the likeliest.
    fn file(&mut self, name: &[u8]) -> Option<u32> {
        if !self.wanted || self.incomplete {
            return None;
        }
        let known = self.files.iter().rposition(|file| file.as_bytes() == name);
        if let Some(known) = known {
            return u32::try_from(known).ok();
        }
        if self.files.len() >= MAX_FILES {
            self.incomplete = true;
            return None;
        }
        let name = self.name(name)?;
        self.files.push(name);
        u32::try_from(self.files.len() - 1).ok()
    }
}

fn spend(room: &mut usize, bytes: usize) -> bool {
    let enough = *room > 0;
    *room = room.saturating_sub(bytes);
    enough
}

/// Moves entries from the front of one list to another as long as `fits`.
fn move_while<T>(from: &mut Vec<T>, to: &mut Vec<T>, mut fits: impl FnMut(&T) -> bool) {
    let end = from.iter().position(|entry| !fits(entry)).unwrap_or(from.len());
    to.extend(from.drain(..end));
}

/// A name in quotes, as findings show it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", text::shown(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Ties {
        let mut ties = Ties::collecting();
        for number in 0..100 {
            ties.tensor(format!("t{number}").as_bytes(), number);
            ties.mapped(
                format!("m{number}").as_bytes(),
                format!("f{}", number / 10).as_bytes(),
            );
            ties.external("e", number, None, 1);
        }
        ties.component("unet", "UNet");
        ties.module("modeling");
        ties.total_bytes = Some(7);
        ties.adapter = true;
        ties
    }

    #[test]
    fn nothing_is_kept_unless_asked_for() {
        let mut ties = Ties::default();
        ties.tensor(b"a", 1);
        ties.mapped(b"a", b"f");
        ties.external("f", 0, None, 1);
        ties.component("a", "B");
        ties.module("m");
        assert_eq!(ties, Ties::default());
        assert!(ties.is_empty() && Ties::collecting().is_empty() && !some().is_empty());
    }

    #[test]
    fn pieces_make_the_whole_again() {
        for bytes in [1, 100, 5000, 1 << 20] {
            let (mut left, mut whole, mut pieces) = (some(), Ties::default(), 0);
            while !left.is_empty() {
                whole.append(left.take(bytes));
                pieces += 1;
            }
            let wanted = Ties {
                wanted: false,
                text_bytes: 0,
                ..some()
            };
            assert_eq!(whole, wanted);
            assert!(whole.is_plausible());
            assert!((bytes > 5000) == (pieces == 1), "{pieces} of {bytes}");
        }
    }

    #[test]
    fn too_much_or_too_long_is_said_and_not_kept() {
        let mut long = Ties::collecting();
        long.tensor(&[b'a'; MAX_NAME_BYTES + 1], 1);
        assert!(long.incomplete && long.tensors.is_empty());
        let mut odd = Ties::collecting();
        odd.tensor(b"\xff", 1);
        assert!(odd.incomplete);
        let mut many = Ties::collecting();
        for number in 0..=MAX_ENTRIES {
            many.tensor(b"a", number as u64);
        }
        assert!(many.incomplete && many.tensors.len() == MAX_ENTRIES);
        let mut files = Ties::collecting();
        for number in 0..=MAX_FILES {
            files.mapped(b"a", format!("{number}").as_bytes());
        }
        assert!(files.incomplete && files.files.len() == MAX_FILES && files.is_plausible());
        files.mapped.push(Mapped {
            name: String::new(),
            file: u32::MAX,
        });
        assert!(!files.is_plausible());
        assert_eq!(files.file_name(u32::MAX), "");
    }
}
