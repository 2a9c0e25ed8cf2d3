//! The system calls that each kind of process may make. Everything else fails with `EPERM`.
//!
//! The lists were made from what glibc, tokio and the daemons are seen to use under test, plus the variants
//! that another glibc would choose for the same function.

#![cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "a list of system calls names hundreds of constants of one crate"
    )
)]

use libc::*;

/// Memory, threads, time, signals to itself, and reading and writing open descriptors.
#[rustfmt::skip]
const PROCESS: &[c_long] = &[
    SYS_brk, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_membarrier,
    SYS_read, SYS_readv, SYS_pread64, SYS_preadv, SYS_write, SYS_writev, SYS_pwrite64, SYS_pwritev, SYS_lseek, SYS_close,
    SYS_fstat, SYS_newfstatat, SYS_statx, SYS_fcntl, SYS_ioctl, SYS_dup, SYS_dup3, SYS_fadvise64,
    SYS_futex, SYS_clone, SYS_clone3, SYS_set_robust_list, SYS_rseq, SYS_set_tid_address, SYS_sched_yield,
    SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_getcpu,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_tgkill, SYS_restart_syscall,
    SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getppid,
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday,
    SYS_getrandom, SYS_prctl, SYS_prlimit64, SYS_getrusage, SYS_sysinfo, SYS_uname,
    SYS_exit, SYS_exit_group,
];

/// The event loop of a daemon and its Unix sockets.
#[rustfmt::skip]
const SOCKETS: &[c_long] = &[
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_eventfd2, SYS_pipe2, SYS_ppoll, SYS_timerfd_create, SYS_timerfd_settime,
    SYS_socket, SYS_socketpair, SYS_connect, SYS_accept4, SYS_getsockopt, SYS_setsockopt,
    SYS_getsockname, SYS_getpeername, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_shutdown,
];

/// Files, as far as Landlock grants them.
#[rustfmt::skip]
const FILES: &[c_long] = &[
    SYS_openat, SYS_faccessat, SYS_faccessat2, SYS_readlinkat, SYS_getdents64, SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_mkdirat,
    SYS_linkat, SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_ftruncate, SYS_fallocate, SYS_fchmod, SYS_fchmodat, SYS_flock,
    SYS_copy_file_range, SYS_statfs, SYS_fstatfs, SYS_getcwd, SYS_umask,
];

/// What glibc on x86-64 still uses in place of the newer calls above.
#[cfg(target_arch = "x86_64")]
mod legacy {
    use libc::*;
    pub const PROCESS: &[c_long] = &[
        SYS_arch_prctl,
        SYS_time,
        SYS_stat,
        SYS_lstat,
        SYS_dup2,
        SYS_getrlimit,
    ];
    pub const SOCKETS: &[c_long] = &[SYS_epoll_wait, SYS_poll];
    pub const FILES: &[c_long] = &[
        SYS_open,
        SYS_access,
        SYS_readlink,
        SYS_unlink,
        SYS_rename,
        SYS_mkdir,
        SYS_rmdir,
        SYS_link,
        SYS_chmod,
        SYS_stat,
        SYS_lstat,
    ];
    pub const SPAWNING: &[c_long] = &[SYS_vfork, SYS_fork, SYS_pipe];
}

#[cfg(not(target_arch = "x86_64"))]
mod legacy {
    use libc::c_long;
    pub const PROCESS: &[c_long] = &[];
    pub const SOCKETS: &[c_long] = &[];
    pub const FILES: &[c_long] = &[];
    pub const SPAWNING: &[c_long] = &[];
}

/// Starting a worker program, waiting for it, ending it; and what the worker needs to confine itself further.
#[rustfmt::skip]
const SPAWNING: &[c_long] = &[
    SYS_execve, SYS_wait4, SYS_waitid, SYS_kill, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_setsid, SYS_setpgid,
    SYS_landlock_create_ruleset, SYS_landlock_add_rule, SYS_landlock_restrict_self, SYS_seccomp,
];

pub fn daemon() -> Vec<i64> {
    [
        PROCESS,
        SOCKETS,
        FILES,
        legacy::PROCESS,
        legacy::SOCKETS,
        legacy::FILES,
    ]
    .concat()
}

pub fn worker() -> Vec<i64> {
    [PROCESS, legacy::PROCESS].concat()
}

pub fn spawning() -> Vec<i64> {
    [SPAWNING, legacy::SPAWNING].concat()
}
