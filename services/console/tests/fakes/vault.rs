//! A vault that does what it is told and notes it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::vault::{
    Backend, Countdown, Firmware, Given, Keys, Panic, RecoveryKey, Secret, SecurityKey, Unlock, VaultState,
    VaultStatus,
};
use holdfast_contract::{Problem, Timestamp};
use holdfast_ipc::{Answer, Json};

/// The recovery key that it makes.
pub const KEY: &str = "cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv";

pub struct Vault {
    pub status: Mutex<VaultStatus>,
    /// What was asked, with secrets, so that tests can look for them elsewhere.
    pub asked: Mutex<Vec<String>>,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            status: Mutex::new(VaultStatus {
                backend: Backend::Luks2,
                state: VaultState::Open,
                since: Timestamp::now(),
                keys: Keys {
                    tpm: true,
                    ..Keys::default()
                },
                firmware: Some(Firmware::Pinned),
                lock_after_minutes: None,
                panic: None,
                problem: None,
            }),
            asked: Mutex::default(),
        }
    }
}

type Shared = State<Arc<Vault>>;

pub fn operate(vault: Arc<Vault>) -> Router {
    Router::new()
        .route("/v1/vault", get(status))
        .route("/v1/lock", post(lock))
        .route("/v1/unlock", post(unlock))
        .route("/v1/recovery-key", post(recovery_key))
        .route("/v1/recovery-key/confirm", post(confirm))
        .route("/v1/passphrase", post(passphrase))
        .route(
            "/v1/security-key",
            post(security_key).delete(remove_security_keys),
        )
        .route("/v1/security-key/unlock", post(unlock_with_security_key))
        .route("/v1/security-key/seal", post(seal_with_security_key))
        .route("/v1/panic", post(panic).delete(call_off))
        .with_state(vault)
}

impl Vault {
    fn change(&self, asked: String, change: impl FnOnce(&mut VaultStatus)) -> Json<VaultStatus> {
        self.asked.lock().unwrap().push(asked);
        let mut status = self.status.lock().unwrap();
        change(&mut status);
        Json(status.clone())
    }
}

async fn status(State(vault): Shared) -> Answer<VaultStatus> {
    Ok(Json(vault.status.lock().unwrap().clone()))
}

async fn lock(State(vault): Shared) -> Answer<VaultStatus> {
    Ok(vault.change("lock".to_owned(), |status| status.state = VaultState::Locked))
}

async fn unlock(State(vault): Shared, Json(body): Json<Unlock>) -> Answer<VaultStatus> {
    let secret = body.secret.as_ref().map_or("tpm", Secret::expose).to_owned();
    if secret == "wrong" {
        return Err(Problem::new(
            ProblemKind::Denied,
            "the key or passphrase does not open the vault",
        )
        .into());
    }
    Ok(vault.change(format!("unlock {secret}"), |status| {
        status.state = VaultState::Open;
    }))
}

async fn recovery_key() -> Answer<RecoveryKey> {
    Ok(Json(RecoveryKey {
        key: Secret::new(KEY.to_owned()),
    }))
}

async fn confirm(State(vault): Shared, Json(body): Json<Given>) -> Answer<VaultStatus> {
    if body.secret.expose() != KEY {
        return Err(Problem::new(
            ProblemKind::Denied,
            "the key or passphrase does not open the vault",
        )
        .into());
    }
    Ok(vault.change("confirm".to_owned(), |status| status.keys.recovery_key = true))
}

async fn passphrase(State(vault): Shared, Json(body): Json<Given>) -> Answer<VaultStatus> {
    let asked = format!("passphrase {}", body.secret.expose());
    Ok(vault.change(asked, |status| status.keys.passphrase = true))
}

fn pin(body: &SecurityKey) -> &str {
    body.pin.as_ref().map_or("no PIN", Secret::expose)
}

async fn security_key(State(vault): Shared, Json(body): Json<SecurityKey>) -> Answer<VaultStatus> {
    Ok(vault.change(format!("security key {}", pin(&body)), |status| {
        status.keys.security_key = true;
        status.keys.security_key_pin |= body.pin.is_some();
    }))
}

async fn remove_security_keys(State(vault): Shared) -> Answer<VaultStatus> {
    Ok(vault.change("no security key".to_owned(), |status| {
        status.keys.security_key = false;
        status.keys.security_key_pin = false;
    }))
}

async fn unlock_with_security_key(
    State(vault): Shared,
    Json(body): Json<SecurityKey>,
) -> Answer<VaultStatus> {
    if pin(&body) == "wrong" {
        return Err(Problem::new(ProblemKind::Denied, "the security key's PIN is wrong").into());
    }
    Ok(vault.change(format!("unlock by key, {}", pin(&body)), |status| {
        status.state = VaultState::Open;
    }))
}

async fn seal_with_security_key(State(vault): Shared, Json(body): Json<SecurityKey>) -> Answer<VaultStatus> {
    Ok(vault.change(format!("seal by key, {}", pin(&body)), |_| {}))
}

async fn panic(State(vault): Shared, Json(body): Json<Panic>) -> Answer<VaultStatus> {
    if body.phrase.as_deref() != body.level.phrase() {
        return Err(Problem::new(ProblemKind::Invalid, "it needs its phrase").into());
    }
    Ok(vault.change(format!("panic {}", body.level), |status| {
        status.panic = Some(Countdown {
            level: body.level,
            seconds: 10,
        });
    }))
}

async fn call_off(State(vault): Shared) -> Answer<VaultStatus> {
    Ok(vault.change("call off".to_owned(), |status| status.panic = None))
}
