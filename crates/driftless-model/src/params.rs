//! Named parameters: created from a seed for training, or read from `safetensors` for play.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::precision::Precision;
use crate::{Error, Result};
use driftless_data::PathError as _;

/// How a parameter starts when a network is trained from nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every element the same.
    Constant(f32),
    /// Normal with this standard deviation.
    Normal(f32),
    /// Normal with variance 1/fan-in, the fan-in being the last dimension.
    FanIn,
}

enum Source {
    Seeded(Box<RefCell<ChaCha8Rng>>),
    File {
        path: PathBuf,
        tensors: HashMap<String, Tensor>,
        used: RefCell<BTreeSet<String>>,
    },
}

/// Where a network's constructor takes its parameters from.
pub struct Params {
    source: Source,
    device: Device,
    precision: Precision,
    vars: RefCell<BTreeMap<String, Var>>,
}

impl Params {
    /// Fresh trainable parameters; the same seed gives the same network.
    pub fn seeded(seed: u64, device: &Device) -> Self {
        Self {
            source: Source::Seeded(Box::new(RefCell::new(ChaCha8Rng::seed_from_u64(seed)))),
            device: device.clone(),
            precision: Precision::F32,
            vars: RefCell::default(),
        }
    }

    /// Parameters of a `safetensors` file.
    ///
    /// # Errors
    /// The file is missing, truncated or not `safetensors`.
    pub fn read(path: &Path, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, device)
            .map_err(|e| Error::invalid(path, format!("not a whole safetensors file ({e})")))?;
        Ok(Self::from_tensors(path, tensors, device))
    }

    /// Parameters at hand; `path` names them in messages.
    pub fn from_tensors(path: &Path, tensors: HashMap<String, Tensor>, device: &Device) -> Self {
        Self {
            source: Source::File {
                path: path.to_path_buf(),
                tensors,
                used: RefCell::default(),
            },
            device: device.clone(),
            precision: Precision::F32,
            vars: RefCell::default(),
        }
    }

    /// The same, for a network that multiplies in another number type than f32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The number type in which the network multiplies.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The device that the parameters live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// One parameter by its full name.
    ///
    /// # Errors
    /// The file lacks it, or holds it with another shape or type, or with numbers that are not finite.
    pub fn get(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        match &self.source {
            Source::Seeded(rng) => {
                let mut rng = rng.borrow_mut();
                let count = shape.iter().product::<usize>();
                let mut normal = |std: f32| -> Vec<f32> {
                    (0..count)
                        .map(|_| {
                            let x: f32 = StandardNormal.sample(&mut *rng);
                            x * std
                        })
                        .collect()
                };
                let fan_in = shape.last().copied().unwrap_or(1).max(1) as f32;
                let values = match init {
                    Init::Constant(value) => vec![value; count],
                    Init::Normal(std) => normal(std),
                    Init::FanIn => normal(fan_in.sqrt().recip()),
                };
                let var = Var::from_vec(values, shape, &self.device)?;
                let tensor = var.as_tensor().clone();
                self.vars.borrow_mut().insert(name.to_owned(), var);
                Ok(tensor)
            }
            Source::File {
                path,
                tensors,
                used,
            } => {
                let tensor = tensors.get(name).ok_or_else(|| {
                    Error::invalid(
                        path,
                        format!("no tensor '{name}', expected shape {shape:?}"),
                    )
                })?;
                if tensor.dims() != shape || tensor.dtype() != DType::F32 {
                    return Err(Error::invalid(
                        path,
                        format!(
                            "tensor '{name}' is {:?} {:?}, expected F32 {shape:?} by config.json",
                            tensor.dtype(),
                            tensor.dims()
                        ),
                    ));
                }
                // Cheap on any device; a sum of squares is finite for any weights that mean something.
                if !tensor.sqr()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
                    let what = format!("tensor '{name}' holds numbers that are not finite");
                    return Err(Error::invalid(path, what));
                }
                used.borrow_mut().insert(name.to_owned());
                Ok(tensor.clone())
            }
        }
    }

    /// After construction: whether the file holds tensors that the network does not know.
    ///
    /// # Errors
    /// Names the first such tensor.
    pub fn finish(self) -> Result<BTreeMap<String, Var>> {
        if let Source::File {
            path,
            tensors,
            used,
        } = &self.source
        {
            let used = used.borrow();
            let mut names: Vec<_> = tensors.keys().filter(|k| !used.contains(*k)).collect();
            names.sort();
            if let Some(name) = names.first() {
                return Err(Error::invalid(
                    path,
                    format!("unknown tensor '{name}': the file belongs to another network"),
                ));
            }
        }
        Ok(self.vars.into_inner())
    }
}
