//! What the supervisor tells a daemon about its surroundings, by environment variables (`docs/adr/0001`).

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use holdfast_contract::role::Role;
use zeroize::Zeroizing;

/// The longest credential that is read, in bytes.
const MAX_CREDENTIAL_BYTES: u64 = 64 << 10;

/// Where a daemon finds its state, its secrets and the other services.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The runtime directory below which every role socket lies.
    pub run: PathBuf,
    /// The daemon's own state directories, in the order of its unit.
    pub state: Vec<PathBuf>,
    credentials: Option<PathBuf>,
}

/// Why the surroundings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum SurroundingsError {
    /// A variable that the supervisor sets is missing.
    #[error("{variable} is not set: start this daemon with systemd or with `holdfast up`")]
    Missing {
        /// Which variable.
        variable: &'static str,
    },
    /// A credential cannot be read.
    #[error("read credential {name}")]
    Credential {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A credential is longer than any should be.
    #[error("credential {name} is larger than {MAX_CREDENTIAL_BYTES} bytes")]
    TooLarge {
        /// Its name.
        name: String,
    },
}

impl Surroundings {
    /// Reads `HOLDFAST_RUN`, `STATE_DIRECTORY` and `CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    ///
    /// When `HOLDFAST_RUN` is missing.
    pub fn from_env() -> Result<Self, SurroundingsError> {
        let run = std::env::var_os("HOLDFAST_RUN").ok_or(SurroundingsError::Missing {
            variable: "HOLDFAST_RUN",
        })?;
        let state = std::env::var("STATE_DIRECTORY")
            .map(|list| {
                list.split(':')
                    .filter(|part| !part.is_empty())
                    .map(PathBuf::from)
                    .collect()
            })
            .unwrap_or_default();
        Ok(Self {
            run: run.into(),
            state,
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        })
    }

    /// Surroundings for a client that knows the runtime directory only.
    pub fn client(run: PathBuf) -> Self {
        Self {
            run,
            state: Vec::new(),
            credentials: None,
        }
    }

    /// The first state directory.
    ///
    /// # Errors
    ///
    /// When the supervisor gave none.
    pub fn state_directory(&self) -> Result<&Path, SurroundingsError> {
        self.state
            .first()
            .map(PathBuf::as_path)
            .ok_or(SurroundingsError::Missing {
                variable: "STATE_DIRECTORY",
            })
    }

    /// Where the socket of `role` is.
    pub fn role(&self, role: Role) -> PathBuf {
        role.path(&self.run)
    }

    /// The bytes of a credential. They are wiped when dropped.
    ///
    /// # Errors
    ///
    /// When there is no such credential or it cannot be read.
    pub fn credential(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SurroundingsError> {
        let directory = self.credentials.as_ref().ok_or(SurroundingsError::Missing {
            variable: "CREDENTIALS_DIRECTORY",
        })?;
        let failed = |source| SurroundingsError::Credential {
            name: name.to_owned(),
            source,
        };
        // The capacity is fixed first: growing would leave copies of the secret behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
        let file = File::open(directory.join(name)).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() > bytes.capacity() as u64 {
            return Err(SurroundingsError::TooLarge {
                name: name.to_owned(),
            });
        }
        file.take(MAX_CREDENTIAL_BYTES)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        Ok(bytes)
    }

    /// Like [`Surroundings::credential`], with `None` where there is no such credential.
    ///
    /// # Errors
    ///
    /// When it exists and cannot be read.
    pub fn optional_credential(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, SurroundingsError> {
        match self.credential(name) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(SurroundingsError::Missing { .. }) => Ok(None),
            Err(SurroundingsError::Credential { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_credential_and_tells_a_missing_one_from_an_oversized_one() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("key"), [7; 32]).unwrap();
        std::fs::write(directory.path().join("huge"), vec![0; 5000]).unwrap();
        let surroundings = Surroundings {
            run: "run".into(),
            state: Vec::new(),
            credentials: Some(directory.path().to_owned()),
        };
        assert_eq!(*surroundings.credential("key").unwrap(), vec![7; 32]);
        assert!(surroundings.optional_credential("absent").unwrap().is_none());
        assert!(matches!(
            surroundings.credential("huge"),
            Err(SurroundingsError::TooLarge { .. })
        ));
    }
}
