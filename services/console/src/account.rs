//! The one account of the page: chosen once with the set-up token, then opened with the passphrase.
//!
//! One hash runs at a time, so that memory stays bounded however many people knock, and wrong passphrases make
//! everybody wait longer. Nothing here records: the caller appends to the ledger.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::passphrase::{HashError, Passphrase};
use crate::secret::Fingerprint;
use crate::store::{self, StoreError};
use holdfast_daemon::Throttle;

/// The largest credentials file, in bytes.
const MAX_CREDENTIALS_BYTES: usize = 4 << 10;
/// So many attempts may wait for their hash; the next ones are sent away.
const MAX_WAITING: usize = 8;
/// The shortest set-up token that counts as one, in bytes. The supervisor makes 32 random bytes in text form.
const MIN_SETUP_TOKEN_BYTES: usize = 32;

/// Why the account could not be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The credentials file could not be read or written.
    #[error("keep the credentials")]
    Store(#[from] StoreError),
    /// The credentials file is damaged. Nobody can sign in until it is restored or removed.
    #[error("decode the credentials file {path}")]
    Decode {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The hash function failed.
    #[error("hash the passphrase")]
    Hash(#[from] HashError),
    /// The thread that hashes ended before its time.
    #[error("run the hash")]
    Ended,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    version: u32,
    passphrase: String,
}

/// How an attempt to sign in went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// The passphrase is right.
    Right,
    /// It is wrong; the next attempt may have to wait.
    Wrong(Option<Duration>),
    /// It was not looked at: wait so long first.
    TooSoon(Duration),
    /// No passphrase was chosen yet.
    NotSetUp,
}

/// How an attempt to set up went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetUp {
    /// The passphrase is chosen; the token is void.
    Done,
    /// The token is not the one that was handed out, or there is none.
    WrongToken,
    /// A passphrase was chosen before.
    AlreadyDone,
    /// Too many others are waiting.
    Busy,
}

/// The account.
#[derive(Debug)]
pub struct Account {
    path: PathBuf,
    hash: RwLock<Option<String>>,
    setup_token: Option<Fingerprint>,
    throttle: Mutex<Throttle>,
    hashing: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Account {
    /// Opens the account kept at `path`. `setup_token` allows to choose a passphrase while there is none.
    ///
    /// # Errors
    ///
    /// When the file exists but cannot be read: a damaged file must not lead back to set-up.
    pub fn open(path: PathBuf, setup_token: Option<&[u8]>) -> Result<Self, AccountError> {
        let hash = match store::read(&path, MAX_CREDENTIALS_BYTES)? {
            None => None,
            Some(bytes) => {
                let credentials: Credentials =
                    serde_json::from_slice(&bytes).map_err(|source| AccountError::Decode {
                        path: path.display().to_string(),
                        source,
                    })?;
                Some(credentials.passphrase)
            }
        };
        let setup_token = setup_token
            .map(<[u8]>::trim_ascii)
            .filter(|token| token.len() >= MIN_SETUP_TOKEN_BYTES)
            .map(Fingerprint::of);
        Ok(Self {
            path,
            hash: RwLock::new(hash),
            setup_token,
            throttle: Mutex::default(),
            hashing: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Whether a passphrase was chosen.
    pub fn is_set_up(&self) -> bool {
        self.hash.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether there is a set-up token at all.
    pub fn has_setup_token(&self) -> bool {
        self.setup_token.is_some()
    }

    /// Whether `token` allows to choose the passphrase now.
    pub fn accepts_setup(&self, token: &str) -> bool {
        let right = self
            .setup_token
            .is_some_and(|kept| bool::from(kept.matches(&Fingerprint::of(token.trim()))));
        right && !self.is_set_up()
    }

    /// Chooses the passphrase. Afterwards the token is void.
    ///
    /// # Errors
    ///
    /// When the hash cannot be made or kept; nothing is chosen then.
    pub async fn set_up(&self, token: &str, passphrase: Passphrase) -> Result<SetUp, AccountError> {
        if self.is_set_up() {
            return Ok(SetUp::AlreadyDone);
        }
        if !self.accepts_setup(token) {
            return Ok(SetUp::WrongToken);
        }
        let Some(_turn) = self.turn().await else {
            return Ok(SetUp::Busy);
        };
        // Two people may have come with the same token: the one who got the turn first has chosen.
        if self.is_set_up() {
            return Ok(SetUp::AlreadyDone);
        }
        let path = self.path.clone();
        let hash = blocking(move || -> Result<String, AccountError> {
            let hash = passphrase.hash()?;
            let credentials = Credentials {
                version: 1,
                passphrase: hash.clone(),
            };
            let bytes = serde_json::to_vec(&credentials).map_err(|source| AccountError::Decode {
                path: path.display().to_string(),
                source,
            })?;
            store::write(&path, &bytes)?;
            Ok(hash)
        })
        .await??;
        *self.hash.write().unwrap_or_else(PoisonError::into_inner) = Some(hash);
        Ok(SetUp::Done)
    }

    /// Checks an offered passphrase.
    ///
    /// # Errors
    ///
    /// When the kept hash cannot be used.
    pub async fn sign_in(&self, passphrase: Passphrase) -> Result<Attempt, AccountError> {
        let Some(hash) = self.hash.read().unwrap_or_else(PoisonError::into_inner).clone() else {
            return Ok(Attempt::NotSetUp);
        };
        if let Some(wait) = self.wait() {
            return Ok(Attempt::TooSoon(wait));
        }
        let Some(_turn) = self.turn().await else {
            return Ok(Attempt::TooSoon(Duration::from_secs(1)));
        };
        // Asked again with the turn in hand: a burst of guesses must not slip through side by side.
        if let Some(wait) = self.wait() {
            return Ok(Attempt::TooSoon(wait));
        }
        let right = blocking(move || passphrase.verify(&hash)).await??;
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        if right {
            throttle.succeeded();
            return Ok(Attempt::Right);
        }
        Ok(Attempt::Wrong(throttle.failed(Instant::now())))
    }

    /// How long the next attempt to sign in has to wait.
    pub fn wait(&self) -> Option<Duration> {
        self.throttle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait(Instant::now())
    }

    async fn turn(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let permit = Arc::clone(&self.hashing).acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        permit.ok()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccountError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| AccountError::Ended)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    const TOKEN: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
    const RIGHT: &str = "seven lamps by the sea";

    fn token() -> &'static str {
        std::str::from_utf8(TOKEN).unwrap().trim()
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::offered(Zeroizing::new(text.to_owned()))
    }

    fn account(directory: &tempfile::TempDir) -> Account {
        Account::open(directory.path().join("credentials.json"), Some(TOKEN)).unwrap()
    }

    #[tokio::test]
    async fn the_token_chooses_a_passphrase_once() {
        let directory = tempfile::tempdir().unwrap();
        let account = account(&directory);
        assert!(account.accepts_setup(token()));
        assert_eq!(
            account.set_up(&"0".repeat(64), passphrase(RIGHT)).await.unwrap(),
            SetUp::WrongToken
        );
        assert_eq!(
            account.set_up(token(), passphrase(RIGHT)).await.unwrap(),
            SetUp::Done
        );
        assert!(!account.accepts_setup(token()));
        assert_eq!(
            account.set_up(token(), passphrase("another one")).await.unwrap(),
            SetUp::AlreadyDone
        );
        assert_eq!(account.sign_in(passphrase(RIGHT)).await.unwrap(), Attempt::Right);
    }

    #[tokio::test]
    async fn two_set_ups_at_once_choose_one_passphrase() {
        let directory = tempfile::tempdir().unwrap();
        let account = account(&directory);
        let (one, two) = tokio::join!(
            account.set_up(token(), passphrase("first")),
            account.set_up(token(), passphrase("second"))
        );
        let mut outcomes = [one.unwrap(), two.unwrap()];
        outcomes.sort_by_key(|outcome| *outcome != SetUp::Done);
        assert_eq!(outcomes, [SetUp::Done, SetUp::AlreadyDone]);
    }

    #[tokio::test]
    async fn the_passphrase_survives_a_restart_and_the_file_does_not_hold_it() {
        let directory = tempfile::tempdir().unwrap();
        account(&directory)
            .set_up(token(), passphrase(RIGHT))
            .await
            .unwrap();
        let again = account(&directory);
        assert!(again.is_set_up());
        assert!(!again.accepts_setup(token()));
        assert_eq!(again.sign_in(passphrase(RIGHT)).await.unwrap(), Attempt::Right);
        let kept = std::fs::read_to_string(directory.path().join("credentials.json")).unwrap();
        assert!(!kept.contains("lamps") && kept.contains("$argon2id$"));
    }

    #[tokio::test]
    async fn wrong_passphrases_lead_to_a_wait_in_which_even_the_right_one_is_not_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let account = account(&directory);
        account.set_up(token(), passphrase(RIGHT)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(
                account.sign_in(passphrase("wrong")).await.unwrap(),
                Attempt::Wrong(None)
            );
        }
        for _ in 0..2 {
            account.throttle.lock().unwrap().failed(Instant::now());
        }
        assert!(matches!(
            account.sign_in(passphrase(RIGHT)).await.unwrap(),
            Attempt::TooSoon(_)
        ));
    }

    #[tokio::test]
    async fn a_burst_of_guesses_does_not_pass_the_throttle_side_by_side() {
        let directory = tempfile::tempdir().unwrap();
        let account = account(&directory);
        account.set_up(token(), passphrase(RIGHT)).await.unwrap();
        let guesses = (0..20).map(|_| account.sign_in(passphrase("wrong")));
        let outcomes = futures_util::future::join_all(guesses).await;
        let looked_at = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Ok(Attempt::Wrong(_))))
            .count();
        assert_eq!(looked_at, 3);
    }

    #[test]
    fn a_damaged_credentials_file_does_not_lead_back_to_set_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.json");
        std::fs::write(&path, b"{").unwrap();
        assert!(matches!(
            Account::open(path, Some(TOKEN)),
            Err(AccountError::Decode { .. })
        ));
    }

    #[test]
    fn without_a_token_or_with_a_short_one_nobody_can_set_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.json");
        assert!(!Account::open(path.clone(), None).unwrap().accepts_setup(""));
        assert!(
            !Account::open(path, Some(b"short"))
                .unwrap()
                .accepts_setup("short")
        );
    }
}
