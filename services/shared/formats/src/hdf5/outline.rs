//! What is in a file and where: read before the bytes go by, from its superblock along every link.

mod dataset;

use std::collections::{BTreeMap, BTreeSet};

use holdfast_contract::report::ModelFacts;

use super::attributes::Attributes;
use super::cursor::{Cursor, Fault, Step};
use super::dense::{self, Kept};
use super::group;
use super::message::{self, Link, Target};
use super::object::{self, Kind as Says, Message};
use super::source::{Allowance, Extent, Source};
use super::superblock::{self, Sizes, Superblock};
use crate::ahead::{Peek, Wrong};
use crate::finding::{Findings, Place};
use crate::rules;
use crate::text::{self, Fingerprint};

/// The most objects.
const MAX_OBJECTS: usize = 64 << 10;
/// The most bytes of names that wait to be followed.
const MAX_WAITING_BYTES: usize = 8 << 20;
/// The deepest group.
const MAX_DEPTH: usize = 64;
/// The most links by name.
const MAX_PATHS: usize = 1 << 10;

/// A file's parts and what was found while they were read.
#[derive(Debug)]
pub struct Outline {
    /// How many bytes the file had.
    pub size: u64,
    /// All parts, in their order; none if the structure was not followed to its end.
    pub extents: Option<Vec<Extent>>,
    /// What was found.
    pub findings: Findings,
    /// What is known of the model.
    pub facts: ModelFacts,
    /// Whether Keras has described a model in it.
    pub is_model: bool,
}

/// An object that a link leads to.
struct Waiting {
    path: String,
    depth: usize,
    at: u64,
    /// Tree and heap, as noted beside the link.
    group: Option<(u64, u64)>,
}

/// The reading of a file.
struct Walk<'a> {
    source: Source<'a>,
    sizes: Sizes,
    attributes: Attributes,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// Objects that were read, and whether they are groups.
    visited: BTreeMap<u64, bool>,
    /// Fingerprints of the paths of all objects.
    paths: BTreeSet<u64>,
    /// Links by name: path of the group, and what they name.
    soft: Vec<(String, Vec<u8>)>,
    tensors: u64,
    parameters: u64,
    kinds: BTreeMap<String, u64>,
    texts: u64,
    findings: Findings,
}

impl Outline {
    /// Reads the structure of a file of `size` bytes.
    pub fn read(size: u64, peek: Peek<'_>, allowance: &mut Allowance) -> Self {
        let mut walk = Walk {
            source: Source::new(size, peek, allowance),
            sizes: Sizes {
                group_leaf: 4,
                group_tree: 16,
                chunk_tree: 32,
            },
            attributes: Attributes::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            visited: BTreeMap::new(),
            paths: BTreeSet::new(),
            soft: Vec::new(),
            tensors: 0,
            parameters: 0,
            kinds: BTreeMap::new(),
            texts: 0,
            findings: Findings::default(),
        };
        let followed = walk.follow();
        let facts = ModelFacts {
            name: walk.attributes.model_name.take(),
            tensors: walk.tensors,
            parameters: walk.parameters,
            tensor_type: walk
                .kinds
                .iter()
                .max_by_key(|(_, count)| **count)
                .map(|(name, _)| name.clone()),
            ..ModelFacts::default()
        };
        let mut findings = walk.findings;
        findings.append(walk.attributes.findings);
        if walk.texts > 0 {
            let message = format_args!("{} datasets are texts", walk.texts);
            findings.add(&rules::H5_TEXT, Place::whole(), message);
        }
        let extents = match followed.and_then(|()| walk.source.conclude()) {
            Ok(extents) => Some(extents),
            Err(Wrong { rule, at, message }) => {
                findings.add(rule, Place::at(at), message);
                None
            }
        };
        Self {
            size,
            extents,
            findings,
            facts,
            is_model: walk.attributes.is_model,
        }
    }
}

impl Walk<'_> {
    fn follow(&mut self) -> Result<(), Wrong> {
        let superblock = superblock::read(&mut self.source)?;
        self.sizes = superblock.sizes;
        self.extension(&superblock)?;
        self.waiting.push(Waiting {
            path: String::new(),
            depth: 0,
            at: superblock.root,
            group: superblock.group,
        });
        while let Some(next) = self.waiting.pop() {
            self.waiting_bytes -= next.path.len();
            self.object(&next)?;
        }
        self.links_by_name();
        Ok(())
    }

    /// Notes about the file that later versions have.
    fn extension(&mut self, superblock: &Superblock) -> Result<(), Wrong> {
        let Some(at) = superblock.extension else {
            return Ok(());
        };
        for message in object::read(&mut self.source, at)? {
            let mut cursor = Cursor::new(&message.body);
            let mut sizes = || -> Step<Sizes> {
                cursor.expect(&[0])?;
                let (chunk, tree, leaf) = (cursor.u16()?, cursor.u16()?, cursor.u16()?);
                if [chunk, tree, leaf].iter().any(|rank| !(1..=4096).contains(rank)) {
                    return Err(Fault::broken("nodes have an impossible number of entries"));
                }
                Ok(Sizes {
                    group_leaf: leaf.into(),
                    group_tree: tree.into(),
                    chunk_tree: chunk.into(),
                })
            };
            match message.kind {
                Says::TreeSizes => self.sizes = sizes().map_err(|fault| fault.at(message.at))?,
                // Whether unused space is remembered in the file.
                Says::FileSpace if message.body.get(2) == Some(&0) => {}
                _ => {
                    let text = "the file needs a feature that is not supported";
                    return Err(Fault::of(&rules::H5_VERSION, text).at(message.at));
                }
            }
        }
        Ok(())
    }

    fn object(&mut self, next: &Waiting) -> Result<(), Wrong> {
        let place = || Place::at(next.at).of(&next.path);
        if let Some(is_group) = self.visited.get(&next.at) {
            if *is_group {
                let message = "a group can be reached in two ways, or contains itself";
                self.findings.add(&rules::H5_LINK, place(), message);
            }
            return Ok(());
        }
        if self.visited.len() == MAX_OBJECTS {
            return Err(Fault::of(&rules::H5_LIMIT, "the file has too many objects").at(next.at));
        }
        let messages = object::read(&mut self.source, next.at)?;
        let has = |kind| messages.iter().find(|message| message.kind == kind);
        let is_dataset = has(Says::Layout).is_some();
        self.visited.insert(next.at, !is_dataset);
        for message in &messages {
            refuse(message)?;
        }
        for message in messages.iter().filter(|message| message.kind == Says::Attribute) {
            self.attribute(next, message.at, &message.body)?;
        }
        if let Some(message) = has(Says::AttributeInfo) {
            for (at, body) in self.kept(Kept::Attributes, message)? {
                self.attribute(next, at, &body)?;
            }
        }
        if !self.attributes.end_object() {
            let message = "two attributes of an object have the same name";
            self.findings.add(&rules::H5_DUPLICATE, place(), message);
        }
        if is_dataset {
            return self.dataset(next, &messages);
        }
        if has(Says::Datatype).is_some() || has(Says::Dataspace).is_some() {
            return Err(message::shared().at(next.at));
        }
        self.group(next, &messages)
    }

    fn attribute(&mut self, next: &Waiting, at: u64, body: &[u8]) -> Result<(), Wrong> {
        let read = message::Attribute::read(&mut Cursor::new(body));
        let attribute = read.map_err(|fault| fault.at(at))?;
        self.attributes.add(&mut self.source, &next.path, at, &attribute)
    }

    /// Links or attributes that are too many for an object's header.
    fn kept(&mut self, kept: Kept, message: &Message) -> Result<Vec<(u64, Vec<u8>)>, Wrong> {
        let places = kept.places(&mut Cursor::new(&message.body));
        match places.map_err(|fault| fault.at(message.at))? {
            Some(places) => dense::messages(&mut self.source, kept, places),
            None => Ok(Vec::new()),
        }
    }

    fn group(&mut self, next: &Waiting, messages: &[Message]) -> Result<(), Wrong> {
        let mut links: Vec<Link> = Vec::new();
        let mut table = None;
        for message in messages {
            let mut cursor = Cursor::new(&message.body);
            let at = |fault: Fault| fault.at(message.at);
            match message.kind {
                Says::SymbolTable => {
                    let mut fields = || Ok((cursor.u64()?, cursor.u64()?));
                    table = Some(fields().map_err(at)?);
                }
                Says::Link => links.push(message::link(&mut cursor).map_err(at)?),
                Says::LinkInfo => {
                    for (place, body) in self.kept(Kept::Links, message)? {
                        let link = message::link(&mut Cursor::new(&body));
                        links.push(link.map_err(|fault| fault.at(place))?);
                    }
                }
                _ => {}
            }
        }
        if next.group.is_some() && next.group != table {
            let message = "a group's names are in another place than the link to it says";
            return Err(Fault::broken(message).at(next.at));
        }
        if let Some((tree, heap)) = table {
            if !links.is_empty() || messages.iter().any(|message| message.kind == Says::LinkInfo) {
                return Err(Fault::broken("a group has two lists of names").at(next.at));
            }
            links = group::links(&mut self.source, self.sizes, tree, heap)?;
        }
        let mut names = BTreeSet::new();
        for (name, _) in &links {
            if !names.insert(name) {
                let message = "two members of a group have the same name";
                return Err(Fault::of(&rules::H5_DUPLICATE, message).at(next.at));
            }
        }
        // The last one that waits is read first.
        for (name, target) in links.iter().rev() {
            self.link(next, name, target)?;
        }
        Ok(())
    }

    fn link(&mut self, from: &Waiting, name: &[u8], target: &Target) -> Result<(), Wrong> {
        let bad = name.is_empty() || name == b"." || name.contains(&b'/') || name.contains(&0);
        if bad || name.len() > group::MAX_NAME_BYTES {
            return Err(Fault::broken("a member of a group has an impossible name").at(from.at));
        }
        let name = String::from_utf8_lossy(name);
        let path = format!("{}/{name}", from.path);
        if name.chars().any(text::is_hidden) {
            let message = "a name has characters that do not show";
            self.findings
                .add(&rules::H5_NAME, Place::at(from.at).of(&path), message);
        }
        match target {
            Target::Object(at, group) => {
                self.paths.insert(Fingerprint::of(path.as_bytes()).short());
                self.waiting_bytes += path.len();
                let many = self.waiting.len() + self.visited.len() >= MAX_OBJECTS
                    || self.paths.len() >= 2 * MAX_OBJECTS
                    || self.waiting_bytes > MAX_WAITING_BYTES
                    || from.depth == MAX_DEPTH;
                if many {
                    let message = "the file has too many objects, or groups that are too deep";
                    return Err(Fault::of(&rules::H5_LIMIT, message).at(from.at));
                }
                self.waiting.push(Waiting {
                    path,
                    depth: from.depth + 1,
                    at: *at,
                    group: *group,
                });
            }
            Target::Path(target) => {
                // These wait to the end.
                self.waiting_bytes += from.path.len() + target.len();
                if self.soft.len() == MAX_PATHS || self.waiting_bytes > MAX_WAITING_BYTES {
                    return Err(Fault::of(&rules::H5_LIMIT, "too many links by name").at(from.at));
                }
                self.soft.push((from.path.clone(), target.clone()));
            }
        }
        Ok(())
    }

    /// Links by name must lead straight to an object.
    fn links_by_name(&mut self) {
        for (group, target) in &self.soft {
            let target = String::from_utf8_lossy(target);
            let mut path = match target.strip_prefix('/') {
                Some(_) => String::new(),
                None => group.clone(),
            };
            for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
                path.push('/');
                path.push_str(part);
            }
            if !self.paths.contains(&Fingerprint::of(path.as_bytes()).short()) {
                let message = format_args!("a link leads to \"{}\", where nothing is", text::shown(&target));
                self.findings
                    .add(&rules::H5_LINK, Place::whole().of(group), message);
            }
        }
    }
}

/// Refuses messages that no model has.
fn refuse(message: &Message) -> Result<(), Wrong> {
    let checked = match message.kind {
        Says::ExternalFiles => Err(Fault::of(&rules::H5_EXTERNAL, "numbers are in other files")),
        Says::Driver | Says::SharedTable | Says::TreeSizes | Says::FileSpace => Err(Fault::broken(
            "an object has a message that only the file can have",
        )),
        _ if message.shared => Err(message::shared()),
        Says::Fill => message::fill(&mut Cursor::new(&message.body), false),
        Says::OldFill => message::fill(&mut Cursor::new(&message.body), true),
        _ => Ok(()),
    };
    checked.map_err(|fault| fault.at(message.at))
}
