//! The role sockets `append`, `report` and `read`.
//!
//! `read` also serves the tlog-tiles of C2SP below `/v1/`, byte for byte as they are on disk, so that standard tools can follow
//! and check the log.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use holdfast_contract::ledger::{
    Append, Appended, ConsistencyQuery, Entries, EntriesQuery, IncidentReport, InclusionQuery, IndexedEntry,
    Proof,
};
use holdfast_contract::limits::{MAX_ANSWER_BYTES, MAX_ENTRIES_PER_ANSWER, MAX_ENTRY_BYTES};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::status::ServiceStatus;
use holdfast_contract::{Digest, Problem};
use holdfast_ipc::{Answer, Failure, Json, Peer, Query};
use holdfast_ledger::Reader;
use holdfast_ledger::hash::Hash;
use holdfast_ledger::tile::Tile;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::recorder::Recorder;
use crate::words;

type Shared = State<Arc<Recorder>>;

/// The largest body of an append or a report: the largest entry, should every byte of it be escaped.
const MAX_BODY_BYTES: usize = 8 * MAX_ENTRY_BYTES;
/// Leaves in one answer, in bytes. As JSON in the answer they are a little larger.
const MAX_LEAF_BYTES: usize = MAX_ANSWER_BYTES / 2;

/// What `append` answers.
pub fn append(recorder: Arc<Recorder>) -> Router {
    Router::new()
        .route("/v1/entries", post(append_entry))
        .with_state(recorder)
}

/// What `report` answers.
pub fn report(recorder: Arc<Recorder>) -> Router {
    Router::new()
        .route("/v1/reports", post(report_incident))
        .with_state(recorder)
}

/// What `read` answers.
pub fn read(recorder: Arc<Recorder>) -> Router {
    Router::new()
        .route("/v1/checkpoint", get(checkpoint))
        .route("/v1/entries", get(entries))
        .route("/v1/proofs/inclusion", get(inclusion))
        .route("/v1/proofs/consistency", get(consistency))
        .route("/v1/status", get(status))
        .route("/v1/tile/{*path}", get(tile))
        .with_state(recorder)
}

/// A JSON body that is small from the first byte on: every daemon can send one, many at once.
struct Small<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Small<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let body = Limited::new(request.into_body(), MAX_BODY_BYTES)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    let detail = format!("the request body is larger than {MAX_BODY_BYTES} bytes");
                    Problem::new(ProblemKind::TooLarge, detail)
                } else {
                    Problem::new(ProblemKind::Invalid, "the request body did not arrive whole")
                }
            })?;
        serde_json::from_slice(&body.to_bytes())
            .map(Self)
            .map_err(|error| {
                let detail = format!("the request body is not what was expected: {error}");
                Problem::new(ProblemKind::Invalid, detail).into()
            })
    }
}

async fn append_entry(State(recorder): Shared, peer: Peer, Small(entry): Small<Append>) -> Answer<Appended> {
    Ok(Json(recorder.append(&peer, &entry).await?))
}

async fn report_incident(
    State(recorder): Shared,
    peer: Peer,
    Small(incident): Small<IncidentReport>,
) -> Answer<Appended> {
    Ok(Json(recorder.report(&peer, incident).await?))
}

async fn status(State(recorder): Shared) -> Answer<ServiceStatus> {
    Ok(Json(recorder.status()))
}

async fn checkpoint(State(recorder): Shared) -> Result<Response, Failure> {
    let note = recorder
        .read(true, |reader| Ok(reader.head().note.clone()))
        .await?;
    // The specification asks for a few seconds at most; here every reader gets the newest.
    let headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", "no-store"),
    ];
    Ok((headers, note).into_response())
}

async fn entries(State(recorder): Shared, Query(query): Query<EntriesQuery>) -> Answer<Entries> {
    if query.limit > MAX_ENTRIES_PER_ANSWER {
        let detail = format!("at most {MAX_ENTRIES_PER_ANSWER} entries are given at once");
        return Err(Problem::new(ProblemKind::TooLarge, detail).into());
    }
    let answer = recorder.read(true, move |reader| {
        let size = reader.head().checkpoint.size;
        let entries = match query.from {
            Some(from) => entries_from(reader, from, query.limit)?,
            None => newest(reader, size, query.limit)?,
        };
        Ok(Entries { size, entries })
    });
    Ok(Json(answer.await?))
}

fn entries_from(reader: &Reader, from: u64, limit: u64) -> Result<Vec<IndexedEntry>, Problem> {
    reader
        .entries(from, limit, MAX_LEAF_BYTES)
        .map_err(|error| words::read(&error))
}

/// The newest entries, fewer than `limit` where so many would not fit into an answer.
fn newest(reader: &Reader, size: u64, limit: u64) -> Result<Vec<IndexedEntry>, Problem> {
    let mut count = limit.min(size);
    loop {
        let entries = entries_from(reader, size - count, count)?;
        if u64::try_from(entries.len()) == Ok(count) {
            return Ok(entries);
        }
        count /= 2;
    }
}

async fn inclusion(State(recorder): Shared, Query(query): Query<InclusionQuery>) -> Answer<Proof> {
    let InclusionQuery { index, size } = query;
    let proof = recorder.read(true, move |reader| {
        let hashes = reader
            .inclusion(index, size)
            .map_err(|error| words::read(&error))?;
        hashes.ok_or_else(|| {
            let detail = format!(
                "there is no entry {index} in the first {size} of {}",
                reader.head().checkpoint.size
            );
            Problem::new(ProblemKind::NotFound, detail)
        })
    });
    Ok(Json(proof_of(&proof.await?)))
}

async fn consistency(State(recorder): Shared, Query(query): Query<ConsistencyQuery>) -> Answer<Proof> {
    let ConsistencyQuery { from, to } = query;
    let proof = recorder.read(true, move |reader| {
        let hashes = reader
            .consistency(from, to)
            .map_err(|error| words::read(&error))?;
        hashes.ok_or_else(|| {
            let size = reader.head().checkpoint.size;
            let detail = format!("there is no way from {from} to {to} entries in a ledger of {size}");
            Problem::new(ProblemKind::NotFound, detail)
        })
    });
    Ok(Json(proof_of(&proof.await?)))
}

fn proof_of(hashes: &[Hash]) -> Proof {
    Proof {
        hashes: hashes.iter().map(|hash| Digest::from_bytes(*hash)).collect(),
    }
}

async fn tile(State(recorder): Shared, Path(path): Path<String>) -> Result<Response, Failure> {
    let missing = || Problem::new(ProblemKind::NotFound, "the ledger has no such tile");
    let tile = Tile::parse(&format!("tile/{path}")).ok_or_else(missing)?;
    let bytes = recorder.read(false, move |reader| {
        reader.tile(tile).map_err(|error| words::read(&error))
    });
    let bytes = bytes.await?.ok_or_else(missing)?;
    let headers = [
        ("content-type", "application/octet-stream"),
        ("cache-control", "max-age=31536000, immutable"),
    ];
    Ok((headers, bytes).into_response())
}
