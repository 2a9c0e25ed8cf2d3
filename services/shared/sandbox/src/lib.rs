//! Landlock, seccomp and limits for every Holdfast process.
