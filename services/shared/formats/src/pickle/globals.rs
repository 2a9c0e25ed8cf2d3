//! What a pickle imports, and what is said about it.

use std::collections::BTreeMap;

use super::allow::{self, Spec};
use super::deny;
use crate::finding::{Findings, Place};
use crate::rules::{self, Rule};
use crate::text;

/// The most different things that are imported.
const MAX_GLOBALS: usize = 4096;

/// The most findings about one of them.
const MAX_REPORTS: u32 = 64;

/// How an import is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// A pickle of weights may have it.
    Allowed(Spec),
    /// It may not.
    Refused,
    /// It is known to give the file control.
    Dangerous,
}

/// Something imported.
#[derive(Debug, Clone)]
pub struct Global {
    /// Module and name, safe to show.
    pub shown: Box<str>,
    /// How it is judged.
    pub judgement: Judgement,
    /// Where it was imported first.
    pub at: u64,
    reported: bool,
    reports: u32,
}

impl Global {
    fn rule(&self) -> Option<&'static Rule> {
        match self.judgement {
            Judgement::Allowed(_) => None,
            Judgement::Refused => Some(&rules::PKL_IMPORT),
            Judgement::Dangerous => Some(&rules::PKL_DANGEROUS),
        }
    }
}

/// Module and name.
type Key = (Box<[u8]>, Box<[u8]>);

/// The imports of a file.
#[derive(Debug, Clone, Default)]
pub struct Globals {
    /// Whether the classes of a TorchScript program are among what is allowed.
    pub script: bool,
    list: Vec<Global>,
    index: BTreeMap<Key, u32>,
}

impl Globals {
    /// Takes an import; `None` if there are too many. `whole` says that neither name was cut.
    pub fn import(&mut self, at: u64, module: &[u8], name: &[u8], whole: bool) -> Option<u32> {
        let key = (module.into(), name.into());
        if let Some(index) = self.index.get(&key) {
            return Some(*index);
        }
        if self.list.len() >= MAX_GLOBALS {
            return None;
        }
        let judgement = match (std::str::from_utf8(module), std::str::from_utf8(name)) {
            (Ok(module), Ok(name)) if whole => match self.find(module, name) {
                Some(spec) => Judgement::Allowed(spec),
                None if deny::is_dangerous(module, name) => Judgement::Dangerous,
                None => Judgement::Refused,
            },
            _ => Judgement::Refused,
        };
        let index = u32::try_from(self.list.len()).ok()?;
        self.list.push(Global {
            shown: format!("{}.{}", text::shown_bytes(module), text::shown_bytes(name)).into(),
            judgement,
            at,
            reported: false,
            reports: 0,
        });
        self.index.insert(key, index);
        Some(index)
    }

    fn find(&self, module: &str, name: &str) -> Option<Spec> {
        let script = self.script.then(|| allow::of_script(module, name)).flatten();
        script.or_else(|| allow::find(module, name))
    }

    /// An import by its number.
    pub fn at(&self, index: u32) -> Option<&Global> {
        self.list.get(usize::try_from(index).ok()?)
    }

    /// What an import may be used for, if it is allowed.
    pub fn spec(&self, index: u32) -> Option<Spec> {
        match self.at(index)?.judgement {
            Judgement::Allowed(spec) => Some(spec),
            _ => None,
        }
    }

    /// Reports what is done with something that is refused.
    pub fn report(&mut self, index: u32, at: u64, does: &str, findings: &mut Findings) {
        let global = usize::try_from(index)
            .ok()
            .and_then(|index| self.list.get_mut(index));
        let Some((global, rule)) = global.and_then(|global| global.rule().map(|rule| (global, rule))) else {
            return;
        };
        global.reported = true;
        global.reports += 1;
        // More are not listed, and would only take time.
        if global.reports <= MAX_REPORTS {
            findings.add(rule, Place::at(at), format_args!("`{}` {does}", global.shown));
        }
    }

    /// Reports what is refused and was only imported, which already runs the module.
    pub fn report_imports(&mut self, findings: &mut Findings) {
        for global in self.list.iter_mut().filter(|global| !global.reported) {
            if let Some(rule) = global.rule() {
                global.reported = true;
                findings.add(
                    rule,
                    Place::at(global.at),
                    format_args!("`{}` is imported", global.shown),
                );
            }
        }
    }

    /// Whether something that is known to be dangerous was not only imported but used, under a name as programs have them.
    pub fn take_control(&self) -> bool {
        self.list.iter().any(|global| {
            let (_, name) = global.shown.rsplit_once('.').unwrap_or_default();
            global.judgement == Judgement::Dangerous
                && global.reports > 0
                && name.len() > 2
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
    }

    /// The first import that is not allowed; `called` asks for one that was called.
    pub fn refused(&self, called: bool) -> Option<&Global> {
        self.list
            .iter()
            .find(|global| global.rule().is_some() && (!called || global.reports > 0))
    }

    /// Everything imported, in the order of appearance.
    pub fn all(&self) -> &[Global] {
        &self.list
    }
}
