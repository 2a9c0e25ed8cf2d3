//! Landlock: every right that the highest known ABI can take away is taken away, then the grants are given back.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::{Access, Grant, SandboxError};

/// The newest ABI whose rights are asked for. A kernel that is older leaves some; they are named.
const NEWEST: ABI = ABI::V9;

/// Restricts this thread and what it starts from now on. Returns the ABI in force and what is missing from
/// [`NEWEST`].
pub fn restrict(grants: &[Grant]) -> Result<(u32, Vec<String>), SandboxError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for grant in grants {
        ruleset = ruleset.add_rule(PathBeneath::new(&grant.descriptor, rights(grant)))?;
    }
    let status = ruleset.restrict_self()?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u32,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    };
    let mut missing = missing_below(abi);
    if status.ruleset == RulesetStatus::NotEnforced && abi > 0 {
        missing.push("the kernel has Landlock but did not enforce the rules".to_owned());
    }
    Ok((abi, missing))
}

fn rights(grant: &Grant) -> landlock::BitFlags<AccessFs> {
    let file = AccessFs::from_file(NEWEST);
    let wanted = match grant.access {
        Access::Read => AccessFs::ReadFile | AccessFs::ReadDir,
        Access::Execute => AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute,
        Access::Connect => AccessFs::ResolveUnix.into(),
        Access::Write => {
            AccessFs::ReadFile
                | AccessFs::ReadDir
                | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::RemoveDir
                | AccessFs::RemoveFile
                | AccessFs::MakeDir
                | AccessFs::MakeReg
                | AccessFs::Refer
        }
    };
    if grant.is_directory { wanted } else { wanted & file }
}

/// What a kernel with `abi` cannot take away, in words.
fn missing_below(abi: u32) -> Vec<String> {
    const SINCE: [(u32, &str); 7] = [
        (1, "no Landlock: files are guarded by their permissions only"),
        (2, "moving files between directories is refused altogether"),
        (3, "truncating files is not restricted by Landlock"),
        (4, "TCP is guarded by seccomp only"),
        (5, "device ioctls are guarded by seccomp only"),
        (6, "signals and abstract sockets are not scoped by Landlock"),
        (
            9,
            "connecting to Unix sockets is guarded by their permissions only",
        ),
    ];
    SINCE
        .iter()
        .filter(|(since, _)| abi < *since)
        .map(|(since, what)| format!("{what} (Landlock ABI {since} is needed, the kernel has {abi})"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_misses_nothing_and_an_old_one_everything() {
        assert_eq!(missing_below(9), Vec::<String>::new());
        assert_eq!(missing_below(0).len(), 7);
        assert_eq!(missing_below(7).len(), 1);
    }
}
