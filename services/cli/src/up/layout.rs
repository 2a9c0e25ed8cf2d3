//! Where things are: the state directory, and what a unit's absolute paths mean below it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The directories that units name, and the paths below the state directory that stand for them. Programs, configuration
/// and shipped files are brought into the state directory at each start, because a service may not be allowed to
/// enter the directories in which they lie.
const PREFIXES: [(&str, &str); 6] = [
    ("/var/lib/holdfast", "lib"),
    ("/run/holdfast", "run"),
    ("/usr/libexec/holdfast", "run/programs"),
    ("/usr/bin", "run/programs"),
    ("/etc/holdfast", "run/etc"),
    ("/usr/share/holdfast", "run/share"),
];

/// Replaces a directory of the appliance by the one that stands for it, relative to the state directory.
pub fn relocate(text: &str) -> String {
    for (from, to) in PREFIXES {
        if let Some(rest) = text.strip_prefix(from)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("{to}{rest}");
        }
    }
    text.to_owned()
}

/// Where the shipped files are.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// Unit files.
    pub units: PathBuf,
    /// Configuration files.
    pub configuration: PathBuf,
    /// Programs.
    pub programs: Vec<PathBuf>,
    /// The guide model.
    pub guide: PathBuf,
}

impl Shipped {
    /// Finds them: in the source tree `root` if given, else in one that contains this program or the working
    /// directory, else where `make install` puts them.
    ///
    /// # Errors
    ///
    /// When there are no unit files anywhere.
    pub fn find(root: Option<&Path>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let beside = program.parent().unwrap_or(Path::new("/")).to_owned();
        let is_source = |directory: &Path| directory.join("systemd/holdfast-registry.service").is_file();
        let source = match root {
            Some(root) if is_source(root) => Some(root.to_owned()),
            Some(root) => bail!("{} holds no systemd/holdfast-registry.service", root.display()),
            None => program
                .ancestors()
                .map(Path::to_owned)
                .chain(std::env::current_dir())
                .find(|directory| is_source(directory)),
        };
        if let Some(source) = source {
            return Ok(Self {
                units: source.join("systemd"),
                configuration: source.join("systemd/etc"),
                programs: vec![beside],
                guide: source.join("services/guide-model/guide.gguf"),
            });
        }
        let units = PathBuf::from("/usr/lib/systemd/system");
        if !units.join("holdfast-registry.service").is_file() {
            bail!("no unit files found: run this from the source tree, or give it with --root DIR");
        }
        Ok(Self {
            units,
            configuration: "/etc/holdfast".into(),
            programs: vec!["/usr/libexec/holdfast".into(), beside],
            guide: "/usr/share/holdfast/guide.gguf".into(),
        })
    }

    /// The same with absolute paths, which hold in any working directory.
    ///
    /// # Errors
    ///
    /// When the unit files are not there.
    pub fn absolute(self) -> anyhow::Result<Self> {
        let absolute =
            |path: PathBuf| std::path::absolute(&path).with_context(|| format!("find {}", path.display()));
        Ok(Self {
            units: absolute(self.units)?,
            configuration: absolute(self.configuration)?,
            programs: self
                .programs
                .into_iter()
                .map(absolute)
                .collect::<anyhow::Result<_>>()?,
            guide: absolute(self.guide)?,
        })
    }

    /// Brings programs, configuration and shipped files below `run` in the working directory.
    ///
    /// # Errors
    ///
    /// When one that a unit names is missing.
    pub fn bring(&self, programs: &[String]) -> anyhow::Result<()> {
        use rustix::fs::Mode;
        for directory in ["run/programs", "run/etc", "run/share"] {
            make_directory(Path::new(directory), 0o711)?;
        }
        for name in programs {
            let from = self
                .programs
                .iter()
                .map(|directory| directory.join(name))
                .find(|path| path.is_file());
            let from = from.with_context(|| format!("the program {name} is not built: run `make build`"))?;
            place(
                &from,
                &Path::new("run/programs").join(name),
                Mode::from_raw_mode(0o755),
            )?;
        }
        if let Ok(files) = std::fs::read_dir(&self.configuration) {
            for file in files {
                let from = file.context("list the configuration")?.path();
                if let (Some(name), Some("toml")) = (
                    from.file_name(),
                    from.extension().and_then(|extension| extension.to_str()),
                ) {
                    place(
                        &from,
                        &Path::new("run/etc").join(name),
                        Mode::from_raw_mode(0o644),
                    )?;
                }
            }
        }
        if self.guide.is_file() {
            place(
                &self.guide,
                Path::new("run/share/guide.gguf"),
                Mode::from_raw_mode(0o644),
            )?;
        }
        Ok(())
    }
}

/// Makes `to` the same file as `from` where that is possible, else a copy.
fn place(from: &Path, to: &Path, mode: rustix::fs::Mode) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let placed = || -> std::io::Result<()> {
        match std::fs::remove_file(to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let usable = std::fs::metadata(from)?.permissions().mode() & mode.as_raw_mode() == mode.as_raw_mode();
        if usable && std::fs::hard_link(from, to).is_ok() {
            return Ok(());
        }
        std::fs::copy(from, to)?;
        std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode.as_raw_mode()))
    };
    placed().with_context(|| format!("bring {} to {}", from.display(), to.display()))
}

/// Makes a directory with exactly `mode`, whatever the umask; an existing one gets that mode.
///
/// # Errors
///
/// When it cannot be made.
pub fn make_directory(path: &Path, mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(path)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .with_context(|| format!("make the directory {}", path.display()))
}

/// Lets everybody read a file.
///
/// # Errors
///
/// When its mode cannot be changed.
pub fn readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relocates_the_directories_of_the_appliance_and_nothing_that_merely_begins_like_them() {
        assert_eq!(
            relocate("/run/holdfast/registry/open.sock"),
            "run/registry/open.sock"
        );
        assert_eq!(relocate("/var/lib/holdfast"), "lib");
        assert_eq!(
            relocate("/usr/libexec/holdfast/holdfast-registry"),
            "run/programs/holdfast-registry"
        );
        assert_eq!(relocate("/run/holdfast2/x"), "/run/holdfast2/x");
        assert_eq!(relocate("--config"), "--config");
    }
}
