//! Sign-in sessions. They live in memory only: a restart of the console signs everybody out, and nothing on disk could be
//! used to sign in.
//!
//! The browser holds a random token; here only its fingerprint is kept. A token that this console did not
//! make opens nothing and is never adopted, so a session cannot be fixed from outside.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::secret::{self, Fingerprint, RandomError};

/// The most sessions at once; the one that was not used for longest makes room.
const MAX_SESSIONS: usize = 32;

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    idle: Duration,
    absolute: Duration,
    entries: Mutex<HashMap<Fingerprint, Entry>>,
}

#[derive(Debug)]
struct Entry {
    forms: Zeroizing<String>,
    opened: Instant,
    used: Instant,
}

/// A session that is valid now.
#[derive(Debug, Clone)]
pub struct Session {
    key: Fingerprint,
    forms: Zeroizing<String>,
}

impl Session {
    /// The token that every form and every script of this session sends back with a change of state.
    pub fn form_token(&self) -> &str {
        &self.forms
    }

    /// Whether `sent` is this session's form token, in constant time.
    pub fn accepts(&self, sent: &str) -> bool {
        self.forms.as_bytes().ct_eq(sent.as_bytes()).into()
    }
}

impl Sessions {
    /// No sessions yet; each will end after `idle` without use and after `absolute` in any case.
    pub fn new(idle: Duration, absolute: Duration) -> Self {
        Self {
            idle,
            absolute,
            entries: Mutex::default(),
        }
    }

    /// Opens a session and returns the secret for the browser.
    ///
    /// # Errors
    ///
    /// When the kernel gives no random bytes.
    pub fn open(&self, now: Instant) -> Result<Zeroizing<String>, RandomError> {
        let token = secret::secret("")?;
        let entry = Entry {
            forms: secret::secret("")?,
            opened: now,
            used: now,
        };
        let mut entries = self.entries();
        self.expire(&mut entries, now);
        if entries.len() >= MAX_SESSIONS {
            let stalest = entries
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(key, _)| *key);
            stalest.and_then(|key| entries.remove(&key));
        }
        entries.insert(Fingerprint::of(token.as_bytes()), entry);
        Ok(token)
    }

    /// The session that `token` opens, if it has not ended.
    pub fn find(&self, token: &str, now: Instant) -> Option<Session> {
        let key = Fingerprint::of(token);
        let mut entries = self.entries();
        self.expire(&mut entries, now);
        let entry = entries.get_mut(&key)?;
        entry.used = now;
        Some(Session {
            key,
            forms: entry.forms.clone(),
        })
    }

    /// Ends a session.
    pub fn close(&self, session: &Session) {
        self.entries().remove(&session.key);
    }

    /// How many sessions are open.
    pub fn count(&self, now: Instant) -> usize {
        let mut entries = self.entries();
        self.expire(&mut entries, now);
        entries.len()
    }

    fn expire(&self, entries: &mut HashMap<Fingerprint, Entry>, now: Instant) {
        entries.retain(|_, entry| {
            now.saturating_duration_since(entry.used) < self.idle
                && now.saturating_duration_since(entry.opened) < self.absolute
        });
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<Fingerprint, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn sessions() -> Sessions {
        Sessions::new(10 * MINUTE, 60 * MINUTE)
    }

    #[test]
    fn a_session_lives_while_it_is_used_and_ends_when_it_idles() {
        let (sessions, start) = (sessions(), Instant::now());
        let token = sessions.open(start).unwrap();
        assert!(sessions.find(&token, start + 9 * MINUTE).is_some());
        assert!(sessions.find(&token, start + 18 * MINUTE).is_some());
        assert!(sessions.find(&token, start + 28 * MINUTE).is_none());
        assert!(sessions.find(&token, start + 28 * MINUTE).is_none());
    }

    #[test]
    fn a_session_ends_at_its_absolute_limit_however_much_it_is_used() {
        let (sessions, start) = (sessions(), Instant::now());
        let token = sessions.open(start).unwrap();
        for step in 1..12 {
            assert!(
                sessions.find(&token, start + 5 * MINUTE * step).is_some(),
                "{step}"
            );
        }
        assert!(sessions.find(&token, start + 60 * MINUTE).is_none());
    }

    #[test]
    fn a_token_made_elsewhere_opens_nothing() {
        let (sessions, now) = (sessions(), Instant::now());
        assert!(sessions.find("chosen-by-an-attacker", now).is_none());
        assert_eq!(sessions.count(now), 0);
    }

    #[test]
    fn a_closed_session_stays_closed() {
        let (sessions, now) = (sessions(), Instant::now());
        let token = sessions.open(now).unwrap();
        let session = sessions.find(&token, now).unwrap();
        sessions.close(&session);
        assert!(sessions.find(&token, now).is_none());
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_the_stalest_makes_room() {
        let (sessions, start) = (sessions(), Instant::now());
        let tokens: Vec<_> = (0_u64..)
            .take(MAX_SESSIONS)
            .map(|second| sessions.open(start + Duration::from_secs(second)).unwrap())
            .collect();
        let later = start + MINUTE;
        assert!(sessions.find(&tokens[0], later).is_some());
        sessions.open(later).unwrap();
        assert_eq!(sessions.count(later), MAX_SESSIONS);
        assert!(sessions.find(&tokens[0], later).is_some(), "it was used last");
        assert!(
            sessions.find(&tokens[1], later).is_none(),
            "it was used least recently"
        );
    }

    #[test]
    fn form_tokens_differ_between_sessions() {
        let (sessions, now) = (sessions(), Instant::now());
        let one = sessions.find(&sessions.open(now).unwrap(), now).unwrap();
        let two = sessions.find(&sessions.open(now).unwrap(), now).unwrap();
        assert!(one.accepts(one.form_token()));
        assert!(!one.accepts(two.form_token()));
        assert!(!one.accepts(""));
    }
}
