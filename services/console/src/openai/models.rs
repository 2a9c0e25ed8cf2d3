//! `GET /v1/models`: the admitted models that text can be generated with.

use std::sync::Arc;

use axum::extract::{Path, State};
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::registry::ModelSummary;
use holdfast_ipc::Json;
use serde::Serialize;

use super::{ApiError, Caller};
use crate::app::App;
use crate::neighbours::unusable;

/// A model in `OpenAI`'s shape.
#[derive(Debug, Serialize)]
pub struct Model {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

/// A list of models.
#[derive(Debug, Serialize)]
pub struct List {
    object: &'static str,
    data: Vec<Model>,
}

fn model(summary: &ModelSummary) -> Model {
    Model {
        id: summary.name.clone(),
        object: "model",
        created: summary.admitted_at.as_second(),
        owned_by: "holdfast",
    }
}

/// `GET /v1/models`
pub async fn list(State(app): State<Arc<App>>, _: Caller) -> Result<Json<List>, ApiError> {
    let models = app.neighbours.models().await?;
    let data = models
        .iter()
        .filter(|one| unusable(one).is_none())
        .map(model)
        .collect();
    Ok(Json(List { object: "list", data }))
}

/// `GET /v1/models/{id}`
pub async fn one(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(id): Path<String>,
) -> Result<Json<Model>, ApiError> {
    find(&app, &id).await.map(|summary| Json(model(&summary)))
}

/// The model with this name or digest.
pub async fn find(app: &App, name: &str) -> Result<ModelSummary, ApiError> {
    app.neighbours.usable_model(name).await.map_err(|problem| {
        if problem.kind == ProblemKind::NotFound {
            ApiError::no_model(name)
        } else {
            problem.into()
        }
    })
}
