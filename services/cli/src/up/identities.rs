//! Who the services run as. Started as root, each has a user of its own: the appliance's, where it exists, else a
//! number that nobody else uses. Started by anybody else, all run as that one user, and the posture says so.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::plan::Plan;

/// Where the numbers given out are remembered, so that a service finds its files again.
const FILE: &str = "identities.json";

/// Numbers for names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identities {
    /// User ids by user name.
    pub users: BTreeMap<String, u32>,
    /// Group ids by group name.
    pub groups: BTreeMap<String, u32>,
}

impl Identities {
    /// One user for everything: no separation.
    pub fn single() -> Self {
        Self::default()
    }

    /// Whether services have users of their own.
    pub fn are_distinct(&self) -> bool {
        !self.users.is_empty()
    }

    /// Gives every principal of `plan` a number: the one it has on this machine, else the one it had before, else a new
    /// one. Must be called as root, in the state directory.
    ///
    /// # Errors
    ///
    /// When the file that remembers them is not usable, or there are no numbers left.
    pub fn assign(plan: &Plan) -> anyhow::Result<Self> {
        let mut known: Self = match std::fs::read(FILE) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("understand {FILE}"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => return Err(error).with_context(|| format!("read {FILE}")),
        };
        let (users, groups) = plan.principals();
        let mut free = Range::of_this_state_directory()?;
        free.taken
            .extend(known.users.values().chain(known.groups.values()));
        for user in users {
            free.settle(&mut known.users, user, "/etc/passwd")?;
            free.settle(&mut known.groups, user, "/etc/group")?;
        }
        for group in groups {
            free.settle(&mut known.groups, group, "/etc/group")?;
        }
        write_atomically(Path::new(FILE), &serde_json::to_vec_pretty(&known)?)?;
        Ok(known)
    }

    /// `name:uid,…` for `HOLDFAST_USERS`.
    pub fn users_variable(&self) -> String {
        let named = |(name, uid): (&String, &u32)| format!("{}:{uid}", name.trim_start_matches("holdfast-"));
        self.users.iter().map(named).collect::<Vec<_>>().join(",")
    }
}

/// Numbers that are free for this state directory.
struct Range {
    next: u32,
    end: u32,
    taken: Vec<u32>,
}

impl Range {
    /// Two suites on one machine must not share users: the range depends on the state directory.
    fn of_this_state_directory() -> anyhow::Result<Self> {
        let stat = rustix::fs::stat(".").context("look at the state directory")?;
        let mixed = (stat.st_ino ^ stat.st_dev.rotate_left(17)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let slot = u32::try_from(mixed >> 48).unwrap_or(0);
        let mapped = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let all_ids = mapped
            .split_whitespace()
            .nth(2)
            .is_some_and(|count| count == "4294967295");
        // In a container with few ids, use those that systemd keeps for its dynamic users.
        let next = if all_ids {
            0x7000_0000 + (slot << 8)
        } else {
            61_184 + (slot % 64) * 64
        };
        let span = if all_ids { 256 } else { 64 };
        let taken = ["/etc/passwd", "/etc/group"]
            .iter()
            .flat_map(|file| numbers(file))
            .collect();
        Ok(Self {
            next,
            end: next + span,
            taken,
        })
    }

    fn settle(&mut self, known: &mut BTreeMap<String, u32>, name: &str, file: &str) -> anyhow::Result<()> {
        if let Some(number) = lookup(file, name) {
            known.insert(name.to_owned(), number);
            return Ok(());
        }
        if known.contains_key(name) {
            return Ok(());
        }
        // One pool serves users and groups: a number is used once.
        while self.taken.contains(&self.next) {
            self.next += 1;
        }
        if self.next >= self.end {
            bail!("no user ids left for {name}");
        }
        known.insert(name.to_owned(), self.next);
        self.taken.push(self.next);
        Ok(())
    }
}

fn lines(file: &str) -> Vec<(String, u32)> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
        })
        .collect()
}

fn numbers(file: &str) -> Vec<u32> {
    lines(file).into_iter().map(|(_, number)| number).collect()
}

fn lookup(file: &str, name: &str) -> Option<u32> {
    lines(file)
        .into_iter()
        .find(|(known, _)| known == name)
        .map(|(_, number)| number)
}

/// Replaces a file so that a crash leaves the old or the new one.
///
/// # Errors
///
/// When the directory cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        use std::io::Write as _;
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::File::open(directory)?.sync_all()
    };
    write().with_context(|| format!("write {}", path.display()))
}
