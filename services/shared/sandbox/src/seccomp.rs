//! The seccomp filters: an allow-list with conditions on the calls whose arguments decide what they are.

use std::collections::BTreeMap;

use libc::{
    AF_UNIX, CLONE_THREAD, ENOSYS, EPERM, FIOCLEX, FIONBIO, PROT_EXEC, SYS_clone, SYS_clone3, SYS_ioctl,
    SYS_mmap, SYS_mprotect, SYS_socket, SYS_socketpair,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::SandboxError;

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// Installs the filters on every thread. Returns how many system calls are left.
pub fn restrict(allowed: &[i64], ioctls: &[u64], spawns: bool) -> Result<u32, SandboxError> {
    // glibc tries clone3 first and falls back to clone on ENOSYS. The flags of clone3 lie in memory where a filter
    // cannot see them, those of clone do not.
    let clone3_is_unknown: BpfProgram = SeccompFilter::new(
        BTreeMap::from([(SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(ENOSYS.unsigned_abs()),
        ARCH,
    )?
    .try_into()?;

    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        allowed.iter().map(|number| (*number, Vec::new())).collect();
    let syscalls = u32::try_from(rules.len()).unwrap_or(u32::MAX);
    let requests = [FIONBIO, FIOCLEX].into_iter().chain(ioctls.iter().copied());
    only(
        &mut rules,
        SYS_ioctl,
        requests
            .map(|request| equals(1, request))
            .collect::<Result<_, _>>()?,
    );
    only(
        &mut rules,
        SYS_socket,
        vec![equals(0, AF_UNIX.unsigned_abs().into())?],
    );
    only(
        &mut rules,
        SYS_socketpair,
        vec![equals(0, AF_UNIX.unsigned_abs().into())?],
    );
    if !spawns {
        only(
            &mut rules,
            SYS_clone,
            vec![masked(
                0,
                CLONE_THREAD.unsigned_abs().into(),
                CLONE_THREAD.unsigned_abs().into(),
            )?],
        );
        // Everything that is to be executed was mapped by the loader; memory made executable later is an attack.
        only(
            &mut rules,
            SYS_mmap,
            vec![masked(2, PROT_EXEC.unsigned_abs().into(), 0)?],
        );
        only(
            &mut rules,
            SYS_mprotect,
            vec![masked(2, PROT_EXEC.unsigned_abs().into(), 0)?],
        );
    }
    let allow_list: BpfProgram = SeccompFilter::new(
        rules,
        SeccompAction::Errno(EPERM.unsigned_abs()),
        SeccompAction::Allow,
        ARCH,
    )?
    .try_into()?;

    // Of several errors the kernel returns that of the filter installed last; the allow-list allows no `seccomp` call.
    seccompiler::apply_filter_all_threads(&clone3_is_unknown)?;
    seccompiler::apply_filter_all_threads(&allow_list)?;
    Ok(syscalls)
}

/// Narrows a call that is on the list to the given argument conditions, any of which is enough.
fn only(rules: &mut BTreeMap<i64, Vec<SeccompRule>>, number: i64, conditions: Vec<SeccompRule>) {
    if let Some(rule) = rules.get_mut(&number) {
        *rule = conditions;
    }
}

fn equals(argument: u8, value: u64) -> Result<SeccompRule, SandboxError> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(
        argument,
        Len::Dword,
        Op::Eq,
        value,
    )?])?)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompRule, SandboxError> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(
        argument,
        Len::Dword,
        Op::MaskedEq(mask),
        value,
    )?])?)
}
