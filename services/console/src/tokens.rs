//! API tokens: 256 random bits behind `hf_`, shown once. On disk is their SHA-256, with a name and dates.
//!
//! A right token always passes. Wrong ones are answered more and more slowly as a whole, which costs nobody with a right
//! one anything: 256 bits are not guessed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable as _};
use zeroize::Zeroizing;

use crate::secret::{self, Fingerprint, RandomError};
use crate::store::{self, StoreError};

/// What every token begins with, so that it is recognised where it was leaked.
pub const PREFIX: &str = "hf_";
/// The most characters of a token's name.
pub const MAX_NAME_CHARACTERS: usize = 60;
/// The largest tokens file, in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;
/// "Last used" is written down at most so often.
const USE_NOTED_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Why tokens could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file could not be read or written.
    #[error("keep the API tokens")]
    Store(#[from] StoreError),
    /// The file is damaged.
    #[error("decode the tokens file {path}")]
    Decode {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// No random bytes.
    #[error("make a token")]
    Random(#[from] RandomError),
    /// There are as many as there may be.
    #[error("there are {0} tokens already; revoke one first")]
    TooMany(usize),
}

/// A token as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Names it in addresses and in the ledger. Not secret.
    pub id: String,
    /// What its owner called it.
    pub name: String,
    /// What recognises it.
    fingerprint: Fingerprint,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    tokens: Vec<Token>,
}

/// All tokens.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    limit: usize,
    kept: Mutex<Vec<Token>>,
}

impl Tokens {
    /// Opens the tokens kept at `path`.
    ///
    /// # Errors
    ///
    /// When the file exists but cannot be read.
    pub fn open(path: PathBuf, limit: usize) -> Result<Self, TokensError> {
        let kept = match store::read(&path, MAX_FILE_BYTES)? {
            None => Kept::default(),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|source| TokensError::Decode {
                path: path.display().to_string(),
                source,
            })?,
        };
        Ok(Self {
            path,
            limit,
            kept: Mutex::new(kept.tokens),
        })
    }

    /// The tokens, oldest first.
    pub fn list(&self) -> Vec<Token> {
        self.kept().clone()
    }

    /// Makes a token. The secret is returned here and nowhere else, ever.
    ///
    /// # Errors
    ///
    /// When there are too many, or it cannot be kept; then it does not exist.
    pub fn create(&self, name: &str, now: Timestamp) -> Result<(Zeroizing<String>, Token), TokensError> {
        let secret = secret::secret(PREFIX)?;
        let token = Token {
            id: secret::id()?,
            name: clean_name(name),
            fingerprint: Fingerprint::of(secret.as_bytes()),
            created_at: now,
            used_at: None,
        };
        let mut kept = self.kept();
        if kept.len() >= self.limit {
            return Err(TokensError::TooMany(kept.len()));
        }
        let mut next = kept.clone();
        next.push(token.clone());
        self.write(&next)?;
        *kept = next;
        Ok((secret, token))
    }

    /// Revokes a token. Returns it, or none if there is no such token.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. The token is void in this process all the same.
    pub fn revoke(&self, id: &str) -> Result<Option<Token>, TokensError> {
        let mut kept = self.kept();
        let Some(place) = kept.iter().position(|token| token.id == id) else {
            return Ok(None);
        };
        let revoked = kept.remove(place);
        self.write(&kept)?;
        Ok(Some(revoked))
    }

    /// The id of the token that `secret` is, comparing it with each token there is in constant time.
    pub fn find(&self, secret: &str, now: Timestamp) -> Option<String> {
        let sought = Fingerprint::of(secret);
        let mut kept = self.kept();
        let mut found = Choice::from(0);
        let mut place = 0_u32;
        for (index, token) in (0_u32..).zip(kept.iter()) {
            let same = token.fingerprint.matches(&sought);
            found |= same;
            place.conditional_assign(&index, same);
        }
        if !bool::from(found) {
            return None;
        }
        let token = kept.get_mut(usize::try_from(place).ok()?)?;
        let id = token.id.clone();
        if token
            .used_at
            .is_none_or(|used| now.duration_since(used) >= USE_NOTED_EVERY)
        {
            token.used_at = Some(now);
            // A convenience for the owner: that it could not be noted must not stop the request.
            if let Err(error) = self.write(&kept) {
                tracing::warn!(%error, "the use of a token could not be noted");
            }
        }
        Some(id)
    }

    fn write(&self, tokens: &[Token]) -> Result<(), TokensError> {
        let kept = Kept {
            version: 1,
            tokens: tokens.to_vec(),
        };
        let bytes = serde_json::to_vec(&kept).map_err(|source| TokensError::Decode {
            path: self.path.display().to_string(),
            source,
        })?;
        Ok(store::write(&self.path, &bytes)?)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Token>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn clean_name(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME_CHARACTERS)
        .collect();
    match name.trim() {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(directory: &tempfile::TempDir) -> Tokens {
        Tokens::open(directory.path().join("tokens.json"), 3).unwrap()
    }

    #[test]
    fn a_token_opens_until_it_is_revoked_and_is_found_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let (secret, token) = tokens(&directory).create("laptop", now).unwrap();
        assert!(secret.starts_with("hf_") && secret.len() == 46);
        let (other, _) = tokens(&directory).create("phone", now).unwrap();

        let again = tokens(&directory);
        assert_eq!(again.find(&secret, now), Some(token.id.clone()));
        assert_eq!(again.find("hf_wrong", now), None);
        again.revoke(&token.id).unwrap().unwrap();
        assert_eq!(again.find(&secret, now), None);
        assert!(again.find(&other, now).is_some());
        assert_eq!(tokens(&directory).find(&secret, now), None);
        assert!(again.revoke(&token.id).unwrap().is_none());
    }

    #[test]
    fn the_file_does_not_hold_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let (secret, _) = tokens(&directory).create("laptop", Timestamp::now()).unwrap();
        let kept = std::fs::read_to_string(directory.path().join("tokens.json")).unwrap();
        assert!(!kept.contains(secret.trim_start_matches(PREFIX)));
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = tokens(&directory);
        for _ in 0..3 {
            tokens.create("a", Timestamp::now()).unwrap();
        }
        assert!(matches!(
            tokens.create("a", Timestamp::now()),
            Err(TokensError::TooMany(3))
        ));
        assert_eq!(tokens.list().len(), 3);
    }

    #[test]
    fn the_last_use_is_noted_to_the_hour() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = tokens(&directory);
        let start = Timestamp::now();
        let (secret, _) = tokens.create("a", start).unwrap();
        tokens.find(&secret, start).unwrap();
        tokens
            .find(&secret, start + SignedDuration::from_mins(59))
            .unwrap();
        assert_eq!(tokens.list()[0].used_at, Some(start));
        let later = start + SignedDuration::from_mins(61);
        tokens.find(&secret, later).unwrap();
        assert_eq!(tokens.list()[0].used_at, Some(later));
    }

    #[test]
    fn names_are_bounded_and_hold_no_control_characters() {
        assert_eq!(clean_name("  a\u{0}b\n "), "ab");
        assert_eq!(clean_name(""), "unnamed");
        assert_eq!(clean_name(&"x".repeat(500)).len(), MAX_NAME_CHARACTERS);
    }
}
