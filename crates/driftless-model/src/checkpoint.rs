//! A checkpoint folder: `config.json`, `tokenizer.safetensors`, `dynamics.safetensors` and
//! `contexts.npz` (a few starting contexts).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::Serialize;

use super::config::WorldConfig;
use super::dynamics::Dynamics;
use super::params::Params;
use super::tokenizer::Tokenizer;
use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;

/// The configuration's file name.
pub const CONFIG: &str = "config.json";
/// The tokenizer's file name.
pub const TOKENIZER: &str = "tokenizer.safetensors";
/// The dynamics' file name.
pub const DYNAMICS: &str = "dynamics.safetensors";
/// The starting contexts' file name.
pub const CONTEXTS: &str = "contexts.npz";

/// A world's networks.
pub struct World {
    /// Shapes, actions, pace.
    pub config: WorldConfig,
    /// Frames to latents and back.
    pub tokenizer: Tokenizer,
    /// The next latent.
    pub dynamics: Dynamics,
}

impl World {
    /// Reads a checkpoint folder's configuration and networks.
    ///
    /// # Errors
    /// A file is missing, truncated, or holds other shapes than the configuration.
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
}

impl World {
    /// A world that has learned nothing, and how many numbers its dynamics has.
    ///
    /// # Errors
    /// The device failed.
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
/// The folder or its `config.json` is missing or broken.
pub fn read_config(folder: &Path) -> Result<WorldConfig> {
    if !folder.is_dir() {
        return Err(Error::invalid(
            folder,
            format!(
                "no such folder, expected a checkpoint with {CONFIG}, {TOKENIZER} and {DYNAMICS}"
            ),
        ));
    }
    WorldConfig::read(&folder.join(CONFIG))
}

/// What a checkpoint holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Always `checkpoint`.
    pub kind: &'static str,
    /// Shapes, actions, pace.
    pub config: WorldConfig,
    /// Numbers in the tokenizer.
    pub tokenizer_parameters: usize,
    /// Numbers in the dynamics.
    pub dynamics_parameters: usize,
    /// Tokens of a frame in the dynamics.
    pub tokens: usize,
    /// Bytes of all the folder's files.
    pub bytes: u64,
}

/// Reads a checkpoint folder completely, and sums it up.
///
/// # Errors
/// As [`World::read`].
pub fn describe(folder: &Path) -> Result<Summary> {
    let World { config, .. } = World::read(folder, &Device::Cpu)?;
    let parameters = |file: &str| -> Result<usize> {
        let path = folder.join(file);
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        let tensors = safetensors::SafeTensors::deserialize(&bytes)
            .map_err(|e| Error::invalid(&path, e.to_string()))?;
        let lengths = tensors
            .iter()
            .map(|(_, t)| t.shape().iter().product::<usize>());
        Ok(lengths.sum())
    };
    let sizes = [CONFIG, TOKENIZER, DYNAMICS, CONTEXTS].map(|file| {
        let meta = std::fs::metadata(folder.join(file));
        meta.map_or(0, |meta| meta.len())
    });
    Ok(Summary {
        kind: "checkpoint",
        tokenizer_parameters: parameters(TOKENIZER)?,
        dynamics_parameters: parameters(DYNAMICS)?,
        tokens: config.tokens(),
        bytes: sizes.iter().sum(),
        config,
    })
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WorldConfig {
            name,
            fps,
            image: [height, width],
            actions,
            tokenizer: t,
            dynamics: d,
            ..
        } = &self.config;
        let [gh, gw] = self.config.grid();
        let millions = |n: usize| n as f64 / 1e6;
        writeln!(f, "checkpoint {name}, {height}×{width} at {fps} frames/s")?;
        writeln!(
            f,
            "tokenizer  {:.2} M parameters: {gh}×{gw} cells of {} numbers, width {}, {} blocks a side",
            millions(self.tokenizer_parameters),
            t.channels,
            t.width,
            t.blocks
        )?;
        writeln!(
            f,
            "dynamics   {:.2} M parameters: {} tokens a frame, width {}, depth {}, {} heads, context {} frames, K up to {}",
            millions(self.dynamics_parameters),
            self.tokens,
            d.width,
            d.depth,
            d.heads,
            d.context,
            d.k_max
        )?;
        let names: Vec<String> = actions
            .iter()
            .map(|action| match action.keys.is_empty() {
                true => action.name.clone(),
                false => format!("{} ({})", action.name, action.keys.join(", ")),
            })
            .collect();
        writeln!(f, "actions    {}", names.join(", "))?;
        write!(f, "size       {:.1} MB", self.bytes as f64 / 1e6)
    }
}

/// Writes tensors as `safetensors`, to a temporary name first.
///
/// # Errors
/// The folder cannot be written, or the disk is full; an older file then stays as it was.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    Ok(write_atomic(path, &serialize(path, tensors, None)?)?)
}

/// Tensors and, where given, named texts as the bytes of a `safetensors` file.
///
/// # Errors
/// A tensor's device failed.
pub fn serialize(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    texts: Option<HashMap<String, String>>,
) -> Result<Vec<u8>> {
    let cpu: Vec<(&String, Tensor)> = tensors
        .iter()
        .map(|(name, tensor)| Ok((name, tensor.to_device(&Device::Cpu)?.contiguous()?)))
        .collect::<Result<_>>()?;
    safetensors::serialize(cpu.iter().map(|(name, tensor)| (name, tensor)), texts)
        .map_err(|e| Error::invalid(path, e.to_string()))
}
