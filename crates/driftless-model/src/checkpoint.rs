//! A checkpoint folder: `config.json`, `tokenizer.safetensors`, `dynamics.safetensors` and
//! `contexts.npz`, the starting clips.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::Serialize;

use driftless_data::PathError as _;
use driftless_data::fs::{read_source, write_atomic};
pub use driftless_data::layout::checkpoint::{CONFIG, DYNAMICS, STARTING_CLIPS, TOKENIZER};
use driftless_data::text::printable;

use super::config::WorldConfig;
use super::dynamics::Dynamics;
use super::params::Params;
use super::tokenizer::Tokenizer;
use crate::{Error, Result};

/// A learned world: its configuration and networks.
pub struct WorldModel {
    /// Shapes, actions and frame rate.
    pub config: WorldConfig,
    /// Encodes frames as latents and decodes them.
    pub tokenizer: Tokenizer,
    /// Predicts the next latent.
    pub dynamics: Dynamics,
}

impl WorldModel {
    /// Reads a checkpoint folder's configuration and networks.
    ///
    /// # Errors
    /// Returns an error if a file is missing, truncated, or does not match the configuration's
    /// shapes.
    pub fn read(folder: &Path, device: &Device) -> Result<Self> {
        let config = read_config(folder)?;
        let params = Params::read(&folder.join(TOKENIZER), device)?;
        let tokenizer = Tokenizer::new(&params, &config)?;
        params.finish()?;
        let params = Params::read(&folder.join(DYNAMICS), device)?;
        let dynamics = Dynamics::new(&params, &config)?;
        params.finish()?;
        Ok(Self {
            config,
            tokenizer,
            dynamics,
        })
    }

    /// An untrained world, for benchmarks; also returns the parameter count of its dynamics.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn random(config: &WorldConfig, device: &Device) -> Result<(Self, usize)> {
        let params = Params::seeded(0, device);
        let tokenizer = Tokenizer::new(&params, config)?;
        params.finish()?;
        let params = Params::seeded(1, device);
        let dynamics = Dynamics::new(&params, config)?;
        let parameters = params.finish()?.values().map(|var| var.elem_count()).sum();
        let world = Self {
            config: config.clone(),
            tokenizer,
            dynamics,
        };
        Ok((world, parameters))
    }
}

/// Reads a checkpoint folder's configuration.
///
/// # Errors
/// Returns an error if the folder or its `config.json` is missing or invalid.
pub fn read_config(folder: &Path) -> Result<WorldConfig> {
    let config = folder.join(CONFIG);
    let wrong = if config.is_file() {
        if is_transport(&config) {
            let what = "kind is `transport`, a flow between pictures of cells, expected a world: \
                        measure it with `driftless eval --checkpoint DIR --data DIR`";
            return Err(Error::invalid(&config, what));
        }
        return WorldConfig::read(&config);
    } else if folder.is_dir() {
        format!("contains no {CONFIG}")
    } else if folder.exists() {
        "is a file".to_owned()
    } else {
        "no such folder".to_owned()
    };
    Err(Error::invalid(
        folder,
        format!("{wrong}, expected a checkpoint with {CONFIG}, {TOKENIZER} and {DYNAMICS}"),
    ))
}

/// Whether a configuration is that of a transport network.
fn is_transport(config: &Path) -> bool {
    let text = driftless_data::fs::read_text(config).unwrap_or_default();
    let any: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    any.get("kind").is_some_and(|kind| kind == "transport")
}

/// CheckpointSummary of a checkpoint, as `driftless info` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckpointSummary {
    /// Always `checkpoint`.
    pub kind: &'static str,
    /// Shapes, actions and frame rate.
    pub config: WorldConfig,
    /// Parameters of the tokenizer.
    pub tokenizer_parameters: usize,
    /// Parameters of the dynamics.
    pub dynamics_parameters: usize,
    /// Tokens per frame in the dynamics.
    pub tokens: usize,
    /// Total size of the files in bytes.
    pub bytes: u64,
}

/// Reads a checkpoint folder completely and summarizes it.
///
/// # Errors
/// As [`WorldModel::read`].
pub fn summarize(folder: &Path) -> Result<CheckpointSummary> {
    let WorldModel { config, .. } = WorldModel::read(folder, &Device::Cpu)?;
    let parameters = |file: &str| -> Result<usize> {
        let path = folder.join(file);
        let bytes = read_source(&path, u64::MAX)?;
        let tensors = safetensors::SafeTensors::deserialize(&bytes)
            .map_err(|e| Error::invalid(&path, e.to_string()))?;
        let lengths = tensors
            .iter()
            .map(|(_, t)| t.shape().iter().product::<usize>());
        Ok(lengths.sum())
    };
    let sizes = [CONFIG, TOKENIZER, DYNAMICS, STARTING_CLIPS].map(|file| {
        let meta = std::fs::metadata(folder.join(file));
        meta.map_or(0, |meta| meta.len())
    });
    Ok(CheckpointSummary {
        kind: "checkpoint",
        tokenizer_parameters: parameters(TOKENIZER)?,
        dynamics_parameters: parameters(DYNAMICS)?,
        tokens: config.tokens(),
        bytes: sizes.iter().sum(),
        config,
    })
}

impl fmt::Display for CheckpointSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WorldConfig {
            name,
            fps,
            image: [height, width],
            actions,
            axes,
            tokenizer: t,
            dynamics: d,
            sampling,
            ..
        } = &self.config;
        let [gh, gw] = self.config.grid();
        let millions = |n: usize| n as f64 / 1e6;
        let name = printable(name);
        writeln!(f, "checkpoint {name}, {height}×{width} at {fps} frames/s")?;
        writeln!(
            f,
            "tokenizer  {:.2} M parameters: {gh}×{gw} cells of {} channels, width {}, {} blocks each in encoder and decoder",
            millions(self.tokenizer_parameters),
            t.channels,
            t.width,
            t.blocks
        )?;
        writeln!(
            f,
            "dynamics   {:.2} M parameters: {} tokens per frame, width {}, depth {}, {} heads, context {} frames, K up to {}",
            millions(self.dynamics_parameters),
            self.tokens,
            d.width,
            d.depth,
            d.heads,
            d.context,
            d.k_max
        )?;
        if let Some(memory) = &d.memory {
            writeln!(
                f,
                "memory     up to {} frames ({:.1} MiB), {} recalled for each, field of view {}°, reach {}",
                memory.capacity,
                memory.bytes(self.config.latent_len()) as f64 / f64::from(1 << 20),
                memory.frames,
                memory.field_of_view,
                memory.reach
            )?;
        }
        if d.delta_state {
            writeln!(
                f,
                "memory     states of {:.1} MiB, written by the delta rule",
                (self.config.delta_state_len() * size_of::<f32>()) as f64 / f64::from(1 << 20),
            )?;
        }
        let names: Vec<String> = actions
            .iter()
            .map(|action| {
                let name = printable(&action.name);
                if action.keys.is_empty() {
                    name.into_owned()
                } else {
                    format!("{name} ({})", printable(&action.keys.join(", ")))
                }
            })
            .collect();
        writeln!(f, "actions    {}", names.join(", "))?;
        if !axes.is_empty() {
            let axes: Vec<_> = axes.iter().map(|axis| printable(&axis.name)).collect();
            writeln!(f, "axes       {}", axes.join(", "))?;
        }
        writeln!(
            f,
            "sampling   K = {}, temperature {}, context signal {} by default",
            sampling.steps, sampling.temperature, sampling.context_signal
        )?;
        write!(f, "size       {:.1} MB", self.bytes as f64 / 1e6)
    }
}

/// Writes tensors as a `safetensors` file, atomically.
///
/// # Errors
/// Returns an error if the folder is not writable or the disk is full; an existing file is then
/// unchanged.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    Ok(write_atomic(
        path,
        &serialize_tensors(path, tensors, None)?,
    )?)
}

/// Encodes tensors, and optionally text metadata, as a `safetensors` file; `path` is only named in
/// error messages.
///
/// # Errors
/// Returns an error if a tensor's device fails.
pub fn serialize_tensors(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: Option<HashMap<String, String>>,
) -> Result<Vec<u8>> {
    let cpu: Vec<(&String, Tensor)> = tensors
        .iter()
        .map(|(name, tensor)| Ok((name, tensor.to_device(&Device::Cpu)?.contiguous()?)))
        .collect::<Result<_>>()?;
    safetensors::serialize(cpu.iter().map(|(name, tensor)| (name, tensor)), metadata)
        .map_err(|e| Error::invalid(path, e.to_string()))
}
