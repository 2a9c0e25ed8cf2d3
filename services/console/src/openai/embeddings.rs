//! `POST /v1/embeddings`

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_contract::inference::{EmbedRequest, Embeddings};
use holdfast_ipc::Json;
use serde::Serialize;
use serde_json::Value;

use super::fields::Fields;
use super::{ApiError, Authorised, models};
use crate::app::App;

/// The most texts in a request.
const MAX_INPUTS: usize = 2_048;
/// The most texts that inference takes at once.
const MAX_AT_ONCE: usize = 64;

#[derive(Debug, Serialize)]
pub struct List {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    #[serde(rename = "embedding")]
    vector: Vector,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<f32>),
    /// Little-endian 32-bit floats in base64, which is what `OpenAI`'s own clients ask for.
    Base64(String),
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// `POST /v1/embeddings`
pub async fn embed(
    State(app): State<Arc<App>>,
    Authorised(mut fields): Authorised,
) -> Result<Json<List>, ApiError> {
    let name: String = fields.require("model", "the name of a model")?;
    let inputs = inputs(&mut fields)?;
    let in_base64 = match fields
        .take::<String>("encoding_format", "\"float\" or \"base64\"")?
        .as_deref()
    {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            return Err(ApiError::invalid(
                "encoding_format",
                "'encoding_format' has to be \"float\" or \"base64\".",
            ));
        }
    };
    fields.refuse("dimensions", &[])?;
    let model = models::find(&app, &name).await?;
    let mut data = Vec::with_capacity(inputs.len());
    let mut prompt_tokens = 0;
    for some in inputs.chunks(MAX_AT_ONCE) {
        let request = EmbedRequest {
            model: model.digest,
            input: some.to_vec(),
        };
        let answer: Embeddings = app
            .neighbours
            .generate
            .post("/v1/embed", &request)
            .await
            .map_err(|problem| ApiError::from_generation(&problem, "input"))?;
        prompt_tokens += u64::from(answer.prompt_tokens);
        for vector in answer.vectors {
            let index = data.len();
            data.push(Embedding {
                object: "embedding",
                index,
                vector: encode(vector, in_base64),
            });
        }
    }
    let usage = Usage {
        prompt_tokens,
        total_tokens: prompt_tokens,
    };
    Ok(Json(List {
        object: "list",
        data,
        model: model.name,
        usage,
    }))
}

fn encode(vector: Vec<f32>, in_base64: bool) -> Vector {
    if !in_base64 {
        return Vector::Numbers(vector);
    }
    let bytes: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
    Vector::Base64(STANDARD.encode(bytes))
}

fn inputs(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let expected = "a text or a list of texts";
    let inputs = match fields.require::<Value>("input", expected)? {
        Value::String(input) => vec![input],
        Value::Array(list) if list.iter().any(|one| one.is_number() || one.is_array()) => {
            return Err(ApiError::unsupported(
                "input",
                "Inputs of token ids are not supported in this version; send text.",
            ));
        }
        other => serde_json::from_value(other)
            .map_err(|_| ApiError::invalid("input", format!("'input' has to be {expected}.")))?,
    };
    if inputs.is_empty() || inputs.len() > MAX_INPUTS || inputs.iter().any(String::is_empty) {
        let message = format!("'input' has to hold 1 to {MAX_INPUTS} texts, none of them empty.");
        return Err(ApiError::invalid("input", message));
    }
    Ok(inputs)
}
