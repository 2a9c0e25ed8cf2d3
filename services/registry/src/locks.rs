//! One piece of work at a time for each digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_contract::Digest;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type Locks = Mutex<HashMap<Digest, Arc<AsyncMutex<()>>>>;

/// The digests that are being worked on. Holds as many entries as there is work.
#[derive(Debug, Clone, Default)]
pub struct DigestLocks(Arc<Locks>);

/// The right to work on a digest.
#[derive(Debug)]
pub struct DigestLock {
    locks: DigestLocks,
    digest: Digest,
    guard: Option<OwnedMutexGuard<()>>,
}

impl DigestLocks {
    /// Waits until nobody else works on `digest`.
    pub async fn hold(&self, digest: Digest) -> DigestLock {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(digest).or_default())
        };
        let guard = Some(lock.lock_owned().await);
        DigestLock {
            locks: self.clone(),
            digest,
            guard,
        }
    }
}

impl Drop for DigestLock {
    fn drop(&mut self) {
        self.guard = None;
        let mut locks = self.locks.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits holds a second reference, and removes the entry when done.
        if locks
            .get(&self.digest)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            locks.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn serialises_the_same_digest_and_nothing_else() {
        let locks = DigestLocks::default();
        let (a, b) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
        let first = locks.hold(a).await;
        drop(locks.hold(b).await);
        let second = {
            let locks = locks.clone();
            tokio::spawn(async move { drop(locks.hold(a).await) })
        };
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
        assert!(locks.0.lock().unwrap().is_empty());
    }
}
