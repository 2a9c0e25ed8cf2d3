//! The programs that tests start.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The worker.
pub const WORKER: &str = env!("CARGO_BIN_EXE_holdfast-engine");

/// The daemon's program. Cargo builds no programs of dependencies, so it is built here.
pub fn daemon() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let profile = Path::new(WORKER).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--package", "holdfast-inference"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build
                .env("CARGO_TARGET_DIR", profile.parent().unwrap())
                .status()
                .unwrap()
                .success()
        );
        profile.join("holdfast-inference")
    })
}
