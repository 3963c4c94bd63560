//! A checkpoint folder: `config.json`, `tokenizer.safetensors`, `dynamics.safetensors` and
//! `contexts.npz` (a few starting contexts).

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::config::WorldConfig;
use super::dynamics::Dynamics;
use super::params::Params;
use super::tokenizer::Tokenizer;
use crate::{Error, Result};

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

/// Reads a checkpoint folder's configuration.
///
/// # Errors
/// The folder or its `config.json` is missing or broken.
pub fn read_config(folder: &Path) -> Result<WorldConfig> {
    if !folder.is_dir() {
        return Err(Error::invalid(
            folder,
            format!("no such folder, expected a checkpoint with {CONFIG}, {TOKENIZER} and {DYNAMICS}"),
        ));
    }
    WorldConfig::read(&folder.join(CONFIG))
}

/// Writes tensors as `safetensors`, to a temporary name first.
///
/// # Errors
/// The folder cannot be written, or the disk is full; an older file then stays as it was.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    write_atomic(path, &serialize(path, tensors, None)?)
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

/// Writes a file under a temporary name beside it, then renames it.
///
/// # Errors
/// The folder cannot be written, or the disk is full; an older file then stays as it was.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| Error::io(folder, e))?;
    file.write_all(bytes).map_err(|e| Error::io(path, e))?;
    file.as_file().sync_all().map_err(|e| Error::io(path, e))?;
    file.persist(path).map_err(|e| Error::io(path, e.error))?;
    Ok(())
}

/// Writes a configuration as readable JSON.
///
/// # Errors
/// The folder cannot be written.
pub fn write_config(path: &Path, config: &WorldConfig) -> Result<()> {
    let text = serde_json::to_string_pretty(config)
        .map_err(|e| Error::invalid(path, e.to_string()))?;
    write_atomic(path, format!("{text}\n").as_bytes())
}
