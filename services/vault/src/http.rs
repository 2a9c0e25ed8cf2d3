//! The role sockets `operate` and `contain`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::{delete, get, post};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::status::ServiceStatus;
use holdfast_contract::vault::{
    CREATE_PHRASE, Confirmed, Contain, Given, Panic, RecoveryKey, SecurityKey, Unlock, VaultState,
    VaultStatus, VolumeRequest,
};
use holdfast_contract::{Problem, ledger};
use holdfast_ipc::{Answer, Json, Peer, carry_out};

use crate::service::{Vault, usable_passphrase};

type Shared = State<Arc<Vault>>;

/// What `operate` answers.
pub fn operate(vault: Arc<Vault>) -> Router {
    Router::new()
        .route("/v1/status", get(service_status))
        .route("/v1/vault", get(status))
        .route("/v1/lock", post(lock))
        .route("/v1/unlock", post(unlock))
        .route("/v1/recovery-key", post(recovery_key))
        .route("/v1/recovery-key/confirm", post(confirm))
        .route("/v1/passphrase", post(passphrase).delete(remove_passphrase))
        .route(
            "/v1/security-key",
            post(security_key).delete(remove_security_keys),
        )
        .route("/v1/security-key/unlock", post(unlock_with_security_key))
        .route("/v1/security-key/seal", post(seal_with_security_key))
        .route("/v1/tpm", post(tpm))
        .route("/v1/create", post(create))
        .route("/v1/panic", post(panic))
        .route("/v1/panic", delete(call_off))
        .with_state(vault)
}

/// What `contain` answers.
pub fn contain(vault: Arc<Vault>) -> Router {
    Router::new()
        .route("/v1/status", get(service_status))
        .route("/v1/contain", post(contained))
        .with_state(vault)
}

async fn service_status(State(vault): Shared) -> Answer<ServiceStatus> {
    Ok(Json(vault.service_status()))
}

async fn status(State(vault): Shared) -> Answer<VaultStatus> {
    Ok(Json(vault.status()))
}

async fn lock(State(vault): Shared, peer: Peer) -> Answer<VaultStatus> {
    carry_out(async move { vault.lock(&peer.name, "asked for").await }).await
}

async fn unlock(State(vault): Shared, peer: Peer, Json(body): Json<Unlock>) -> Answer<VaultStatus> {
    carry_out(async move { vault.unlock(&peer.name, body.secret).await }).await
}

async fn recovery_key(State(vault): Shared, peer: Peer) -> Answer<RecoveryKey> {
    carry_out(async move {
        let done = vault
            .change_key(&peer, "recovery key made", VolumeRequest::AddRecoveryKey)
            .await?;
        let key = done
            .recovery_key
            .ok_or_else(|| Problem::new(ProblemKind::Internal, "no recovery key was made"))?;
        Ok(RecoveryKey { key })
    })
    .await
}

/// A change of the keys, answered by how the vault is then.
async fn change(
    vault: Arc<Vault>,
    peer: Peer,
    what: &'static str,
    request: VolumeRequest,
) -> Answer<VaultStatus> {
    carry_out(async move {
        vault.change_key(&peer, what, request).await?;
        Ok(vault.status())
    })
    .await
}

async fn confirm(State(vault): Shared, peer: Peer, Json(body): Json<Given>) -> Answer<VaultStatus> {
    let request = VolumeRequest::ConfirmRecoveryKey { secret: body.secret };
    change(vault, peer, "recovery key confirmed", request).await
}

async fn passphrase(State(vault): Shared, peer: Peer, Json(body): Json<Given>) -> Answer<VaultStatus> {
    usable_passphrase(&body.secret)?;
    let request = VolumeRequest::SetPassphrase { secret: body.secret };
    change(vault, peer, "passphrase set", request).await
}

async fn remove_passphrase(State(vault): Shared, peer: Peer) -> Answer<VaultStatus> {
    change(vault, peer, "passphrase removed", VolumeRequest::RemovePassphrase).await
}

async fn security_key(
    State(vault): Shared,
    peer: Peer,
    Json(body): Json<SecurityKey>,
) -> Answer<VaultStatus> {
    let request = VolumeRequest::AddSecurityKey { pin: body.pin };
    change(vault, peer, "security key enrolled", request).await
}

async fn remove_security_keys(State(vault): Shared, peer: Peer) -> Answer<VaultStatus> {
    let request = VolumeRequest::RemoveSecurityKeys;
    change(vault, peer, "security keys removed", request).await
}

async fn unlock_with_security_key(
    State(vault): Shared,
    peer: Peer,
    Json(body): Json<SecurityKey>,
) -> Answer<VaultStatus> {
    carry_out(async move { vault.unlock_with_security_key(&peer.name, body.pin).await }).await
}

async fn seal_with_security_key(
    State(vault): Shared,
    peer: Peer,
    Json(body): Json<SecurityKey>,
) -> Answer<VaultStatus> {
    let request = VolumeRequest::EnrolTpmWithSecurityKey { pin: body.pin };
    change(vault, peer, "sealed to the TPM", request).await
}

async fn tpm(State(vault): Shared, peer: Peer, Json(body): Json<Given>) -> Answer<VaultStatus> {
    let request = VolumeRequest::EnrolTpm { secret: body.secret };
    change(vault, peer, "sealed to the TPM", request).await
}

async fn create(State(vault): Shared, peer: Peer, Json(body): Json<Confirmed>) -> Answer<VaultStatus> {
    if body.phrase.trim() != CREATE_PHRASE {
        return Err(Problem::new(
            ProblemKind::Invalid,
            format!(
                "whatever is in the vault's partition would be lost: it needs the phrase \"{CREATE_PHRASE}\""
            ),
        )
        .into());
    }
    vault.ask(VolumeRequest::Look).await?;
    if matches!(
        vault.status().state,
        VaultState::Open | VaultState::Locked | VaultState::Shut
    ) {
        return Err(Problem::new(ProblemKind::Conflict, "there is a vault already")
            .next("Destroy its keys first (panic level 3), and start the machine again.")
            .into());
    }
    carry_out(async move {
        vault.change_key(&peer, "new vault", vault.replacement()).await?;
        Ok(vault.status())
    })
    .await
}

async fn panic(State(vault): Shared, peer: Peer, Json(body): Json<Panic>) -> Answer<VaultStatus> {
    carry_out(async move { vault.panic(&peer.name, body.level, body.phrase.as_deref()).await }).await
}

async fn call_off(State(vault): Shared, peer: Peer) -> Answer<VaultStatus> {
    Ok(Json(vault.call_off(&peer.name)?))
}

async fn contained(State(vault): Shared, peer: Peer, Json(body): Json<Contain>) -> Answer<VaultStatus> {
    carry_out(async move { vault.lock(&peer.name, &ledger::short(&body.reason)).await }).await
}
