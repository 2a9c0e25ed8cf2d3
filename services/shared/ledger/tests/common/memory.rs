//! A file system in memory that can lose power or die at any step.
//!
//! What was not synced may be lost at a crash, in any combination: names (per directory entry) and content (per sector
//! of 512 bytes), like on a real disk whose cache was written back in an order of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use holdfast_ledger::storage::{RandomAccess, Storage};

const SECTOR: usize = 512;

#[derive(Debug, Clone, Default)]
struct Node {
    now: Vec<u8>,
    durable: Vec<u8>,
}

impl Node {
    fn persist(&mut self) {
        self.durable.clone_from(&self.now);
    }
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Node>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    steps: u64,
    dies_at: Option<u64>,
    is_dead: bool,
    /// Bytes that may still be written; none means that there is no limit.
    space: Option<u64>,
}

/// The file system. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

/// A simple generator, so that a seed is all that is needed to see a failure again.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn flip(&mut self) -> bool {
        self.next() & (1 << 40) != 0
    }
}

/// What becomes of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: everything it wrote is there.
    Killed,
    /// The power fails: all that was not synced is gone.
    PowerLost,
    /// The power fails, and some of what was not synced reached the disk.
    PowerLostPartly,
}

impl Memory {
    /// Lets everything fail from step `step` on. A write at that step is done in part.
    pub fn die_at(&self, step: u64) {
        self.0.lock().unwrap().dies_at = Some(step);
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        self.0.lock().unwrap().is_dead
    }

    /// Changing operations so far.
    pub fn steps(&self) -> u64 {
        self.0.lock().unwrap().steps
    }

    /// Limits what may still be written.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.0.lock().unwrap().space = bytes;
    }

    /// The content of a file.
    pub fn content(&self, path: &str) -> Vec<u8> {
        let mut state = self.0.lock().unwrap();
        let node = state.node(path).unwrap();
        state.nodes[node].now.clone()
    }

    /// Replaces the content of a file.
    pub fn set_content(&self, path: &str, content: &[u8]) {
        let mut state = self.0.lock().unwrap();
        let node = state.node(path).unwrap();
        state.nodes[node] = Node {
            now: content.to_vec(),
            durable: content.to_vec(),
        };
    }

    /// The file system as it is found after a crash.
    pub fn after(&self, crash: Crash, random: &mut Random) -> Self {
        let state = self.0.lock().unwrap();
        let mut nodes: Vec<Node> = state.nodes.clone();
        let mut names = BTreeMap::new();
        let all: BTreeSet<&String> = state.names.keys().chain(state.durable_names.keys()).collect();
        for name in all {
            let (now, durable) = (state.names.get(name), state.durable_names.get(name));
            let kept = match crash {
                Crash::Killed => now,
                Crash::PowerLost => durable,
                Crash::PowerLostPartly => [now, durable][usize::from(random.flip())],
            };
            if let Some(node) = kept {
                names.insert(name.clone(), *node);
            }
        }
        for node in &mut nodes {
            let content = match crash {
                Crash::Killed => node.now.clone(),
                Crash::PowerLost => node.durable.clone(),
                Crash::PowerLostPartly => mixed(&node.now, &node.durable, random),
            };
            *node = Node {
                now: content.clone(),
                durable: content,
            };
        }
        Self(Arc::new(Mutex::new(State {
            nodes,
            durable_names: names.clone(),
            names,
            ..State::default()
        })))
    }
}

fn mixed(now: &[u8], durable: &[u8], random: &mut Random) -> Vec<u8> {
    if now == durable {
        return now.to_vec();
    }
    let length = if random.flip() { now.len() } else { durable.len() };
    let mut content = vec![0; length];
    for (place, sector) in content.chunks_mut(SECTOR).enumerate() {
        let source = if random.flip() { now } else { durable };
        let rest = source.get(place * SECTOR..).unwrap_or_default();
        let length = rest.len().min(sector.len());
        sector[..length].copy_from_slice(&rest[..length]);
    }
    content
}

fn dead() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.is_dead { Err(dead()) } else { Ok(()) }
    }

    /// Counts a changing operation; `true` when it is the one that dies.
    fn step(&mut self) -> io::Result<bool> {
        self.alive()?;
        self.steps += 1;
        self.is_dead = self.dies_at.is_some_and(|at| self.steps >= at);
        Ok(self.is_dead)
    }

    fn take_space(&mut self, bytes: usize) -> io::Result<()> {
        match &mut self.space {
            Some(space) if *space < bytes as u64 => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Some(space) => {
                *space -= bytes as u64;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn node(&mut self, path: &str) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn create(&mut self, path: &str) -> usize {
        if let Some(node) = self.names.get(path) {
            return *node;
        }
        self.nodes.push(Node::default());
        self.names.insert(path.to_owned(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn write(&mut self, node: usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let dies = self.step()?;
        let content = &mut self.nodes[node].now;
        let grows = (offset + bytes.len()).saturating_sub(content.len());
        let bytes = if dies { &bytes[..bytes.len() / 2] } else { bytes };
        if !dies {
            self.take_space(grows)?;
        }
        let content = &mut self.nodes[node].now;
        if content.len() < offset + bytes.len() {
            content.resize(offset + bytes.len(), 0);
        }
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn plain_step(&mut self) -> io::Result<()> {
        if self.step()? { Err(dead()) } else { Ok(()) }
    }
}

impl Storage for Memory {
    fn read(&self, path: &str, limit: usize, into: &mut Vec<u8>) -> io::Result<bool> {
        let mut state = self.0.lock().unwrap();
        state.alive()?;
        into.clear();
        let Ok(node) = state.node(path) else {
            return Ok(false);
        };
        into.extend_from_slice(&state.nodes[node].now);
        if into.len() > limit {
            Err(io::Error::from(io::ErrorKind::InvalidData))
        } else {
            Ok(true)
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.alive()?;
        let node = state.create(path);
        state.nodes[node].now.clear();
        state.write(node, 0, bytes)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.plain_step()?;
        let node = state.node(path)?;
        state.nodes[node].persist();
        Ok(())
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.plain_step()?;
        let state = &mut *state;
        let is_in = |name: &str| name.rsplit_once('/').map_or("", |(parent, _)| parent) == path;
        state.durable_names.retain(|name, _| !is_in(name));
        let names = state.names.iter().filter(|(name, _)| is_in(name));
        state
            .durable_names
            .extend(names.map(|(name, node)| (name.clone(), *node)));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.plain_step()?;
        let node = state.node(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.plain_step()?;
        state.names.remove(path);
        Ok(())
    }

    fn remove_directory(&self, _path: &str) -> io::Result<()> {
        self.0.lock().unwrap().plain_step()
    }

    fn create_directory(&self, _path: &str) -> io::Result<()> {
        self.0.lock().unwrap().alive()
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let state = self.0.lock().unwrap();
        state.alive()?;
        let prefix = format!("{path}/");
        let names = state.names.keys().filter_map(|name| name.strip_prefix(&prefix));
        let names: BTreeSet<String> = names
            .map(|rest| rest.split('/').next().unwrap_or_default().to_owned())
            .collect();
        Ok(names.into_iter().collect())
    }

    fn open(&self, path: &str, create: bool) -> io::Result<Option<Box<dyn RandomAccess>>> {
        let mut state = self.0.lock().unwrap();
        state.alive()?;
        let node = match state.node(path) {
            Ok(node) => node,
            Err(_) if create => state.create(path),
            Err(_) => return Ok(None),
        };
        drop(state);
        Ok(Some(Box::new(Handle {
            memory: self.clone(),
            node,
        })))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.0.lock().unwrap();
        state.alive()?;
        Ok(state.space.unwrap_or(u64::MAX))
    }
}

struct Handle {
    memory: Memory,
    node: usize,
}

impl RandomAccess for Handle {
    fn size(&self) -> io::Result<u64> {
        let state = self.memory.0.lock().unwrap();
        state.alive()?;
        Ok(state.nodes[self.node].now.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.memory.0.lock().unwrap();
        state.alive()?;
        let offset = usize::try_from(offset).unwrap();
        let rest = state.nodes[self.node].now.get(offset..).unwrap_or_default();
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory
            .0
            .lock()
            .unwrap()
            .write(self.node, usize::try_from(offset).unwrap(), bytes)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut state = self.memory.0.lock().unwrap();
        state.plain_step()?;
        state.nodes[self.node]
            .now
            .resize(usize::try_from(size).unwrap(), 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.memory.0.lock().unwrap();
        state.plain_step()?;
        state.nodes[self.node].persist();
        Ok(())
    }
}
