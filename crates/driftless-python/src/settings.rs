//! Sampler settings as JSON, which Python passes as a dictionary.

use pyo3::prelude::*;

use driftless_engine::SamplerParams;

use crate::error::{Error, Result};

/// Replaces those settings of `params` that a JSON object names.
///
/// # Errors
/// Returns an error that names a key that does not exist, a value of another type or out of its range, or settings that
/// do not go together.
pub fn changed(params: &SamplerParams, json: &str) -> Result<SamplerParams> {
    let wrong = |e: serde_json::Error| Error::Value(format!("settings: {e}"));
    let mut all = serde_json::to_value(params).map_err(wrong)?;
    let changes: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).map_err(wrong)?;
    if let Some(object) = all.as_object_mut() {
        object.extend(changes);
    }
    let params: SamplerParams = serde_json::from_value(all).map_err(wrong)?;
    params.check()?;
    Ok(params)
}

/// Settings as a JSON object.
///
/// # Errors
/// Returns an error if they cannot be written, which all can.
pub fn to_json(params: &SamplerParams) -> Result<String> {
    serde_json::to_string(params).map_err(|e| Error::Value(e.to_string()))
}

/// The sampler settings that a world is played with if it says nothing else, as a JSON object.
#[pyfunction]
pub fn default_settings() -> PyResult<String> {
    Ok(to_json(&SamplerParams::default())?)
}
