//! Unit files, read by the rules of systemd.syntax(7) and independently of `holdfast up`, whose reading is tested too.

use std::collections::BTreeSet;
use std::path::Path;

/// One unit file.
#[derive(Debug, Clone)]
pub struct UnitFile {
    /// The file name, for example `holdfast-registry.service`.
    pub name: String,
    assignments: Vec<Assignment>,
}

#[derive(Debug, Clone)]
struct Assignment {
    section: String,
    key: String,
    value: String,
}

impl UnitFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or a line of it is no section, assignment or comment.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let invalid = |line: &str| {
            let what = format!("{}: not a line of a unit file: {line}", path.display());
            std::io::Error::new(std::io::ErrorKind::InvalidData, what)
        };
        let text = std::fs::read_to_string(path)?.replace("\\\n", " ");
        let mut section = String::new();
        let mut assignments = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else {
                let (key, value) = line.split_once('=').ok_or_else(|| invalid(line))?;
                assignments.push(Assignment {
                    section: section.clone(),
                    key: key.trim().to_owned(),
                    value: value.trim().to_owned(),
                });
            }
        }
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self { name, assignments })
    }

    /// Reads all files in `directory` whose names end with `.<extension>`, sorted by name.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn read_all(directory: &Path, extension: &str) -> std::io::Result<Vec<Self>> {
        let mut units = std::fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .filter(|path| {
                path.as_ref()
                    .is_ok_and(|path| path.extension().is_some_and(|e| e == extension))
            })
            .map(|path| Self::read(&path?))
            .collect::<Result<Vec<_>, _>>()?;
        units.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(units)
    }

    /// Everything that is assigned to a key, in order.
    pub fn all(&self, section: &str, key: &str) -> Vec<&str> {
        self.assignments
            .iter()
            .filter(|assignment| assignment.section == section && assignment.key == key)
            .map(|assignment| assignment.value.as_str())
            .collect()
    }

    /// The value of a key that is assigned exactly once.
    pub fn one(&self, section: &str, key: &str) -> Option<&str> {
        match self.all(section, key)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// The words of all values of a key.
    pub fn words(&self, section: &str, key: &str) -> BTreeSet<&str> {
        self.all(section, key)
            .into_iter()
            .flat_map(str::split_whitespace)
            .collect()
    }

    /// The unit's name without its extension.
    pub fn stem(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(stem, _)| stem)
    }
}
