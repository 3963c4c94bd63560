//! Named parameters: initialized from a seed for training, or read from a `safetensors` file.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use driftless_data::PathError as _;
use driftless_data::fs::read_source;

use super::precision::Precision;
use crate::{Error, Result};

/// Initial distribution of a parameter that is trained from scratch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All elements equal.
    Constant(f32),
    /// Two values in turn: of columns, where there are two.
    Alternating(f32, f32),
    /// Normal with zero mean and this standard deviation.
    Normal(f32),
    /// Normal with zero mean and variance 1/fan-in, where fan-in is the last dimension.
    FanIn,
}

enum ParamSource {
    Seeded(Box<RefCell<ChaCha8Rng>>),
    File {
        path: PathBuf,
        tensors: HashMap<String, Tensor>,
        used: RefCell<BTreeSet<String>>,
    },
}

/// Provides the parameters to a network's constructor.
pub struct Params {
    source: ParamSource,
    device: Device,
    precision: Precision,
    vars: RefCell<BTreeMap<String, Var>>,
}

impl Params {
    /// Newly initialized, trainable parameters; the same seed gives the same network.
    pub fn seeded(seed: u64, device: &Device) -> Self {
        Self {
            source: ParamSource::Seeded(Box::new(RefCell::new(ChaCha8Rng::seed_from_u64(seed)))),
            device: device.clone(),
            precision: Precision::F32,
            vars: RefCell::default(),
        }
    }

    /// Reads the parameters of a `safetensors` file. Those in half precision become f32.
    ///
    /// # Errors
    /// Returns an error if the file is missing, truncated or not `safetensors`.
    pub fn read(path: &Path, device: &Device) -> Result<Self> {
        let bytes = read_source(path, u64::MAX)?;
        let mut tensors = candle_core::safetensors::load_buffer(&bytes, device)
            .map_err(|e| Error::invalid(path, format!("not a complete safetensors file ({e})")))?;
        for tensor in tensors.values_mut() {
            if tensor.dtype() == DType::F16 {
                *tensor = tensor.to_dtype(DType::F32)?;
            }
        }
        Ok(Self::from_tensors(path, tensors, device))
    }

    /// Uses the given tensors; `path` is only named in error messages.
    pub fn from_tensors(path: &Path, tensors: HashMap<String, Tensor>, device: &Device) -> Self {
        Self {
            source: ParamSource::File {
                path: path.to_path_buf(),
                tensors,
                used: RefCell::default(),
            },
            device: device.clone(),
            precision: Precision::F32,
            vars: RefCell::default(),
        }
    }

    /// Sets the number type of matrix products; the default is f32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The number type of matrix products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The device that holds the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the parameter `name`, initializing it if the parameters are seeded.
    ///
    /// # Errors
    /// Returns an error if the file lacks the parameter, or has it with another shape or dtype or
    /// with values that are not finite.
    pub fn get(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        match &self.source {
            ParamSource::Seeded(rng) => {
                let values = initial_values(&mut rng.borrow_mut(), shape, init);
                let var = Var::from_vec(values, shape, &self.device)?;
                let tensor = var.as_tensor().clone();
                self.vars.borrow_mut().insert(name.to_owned(), var);
                Ok(tensor)
            }
            ParamSource::File {
                path,
                tensors,
                used,
            } => {
                let tensor = tensors.get(name).ok_or_else(|| {
                    let what = format!("no tensor '{name}', expected shape {shape:?}");
                    Error::invalid(path, what)
                })?;
                check_tensor(path, name, tensor, shape)?;
                used.borrow_mut().insert(name.to_owned());
                Ok(tensor.clone())
            }
        }
    }

    /// Ends construction: returns the trainable variables, none if the parameters come from a file.
    ///
    /// # Errors
    /// Returns an error that names the first tensor of the file that the network did not use.
    pub fn finish(self) -> Result<BTreeMap<String, Var>> {
        if let ParamSource::File {
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
                    format!("unknown tensor '{name}': the file is of another network"),
                ));
            }
        }
        Ok(self.vars.into_inner())
    }
}

/// Draws the initial values of a parameter.
fn initial_values(rng: &mut ChaCha8Rng, shape: &[usize], init: Init) -> Vec<f32> {
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
    match init {
        Init::Constant(value) => vec![value; count],
        Init::Alternating(even, odd) => [even, odd].into_iter().cycle().take(count).collect(),
        Init::Normal(std) => normal(std),
        Init::FanIn => normal(fan_in.sqrt().recip()),
    }
}

/// Checks the shape, dtype and values of a tensor of the file `path`.
fn check_tensor(path: &Path, name: &str, tensor: &Tensor, shape: &[usize]) -> Result<()> {
    if tensor.dims() != shape || tensor.dtype() != DType::F32 {
        return Err(Error::invalid(
            path,
            format!(
                "tensor '{name}' is {:?} {:?}, expected F32 {shape:?} according to the configuration beside it",
                tensor.dtype(),
                tensor.dims()
            ),
        ));
    }
    // Cheap on any device. The sum of squares of sensible weights does not overflow.
    if !tensor.sqr()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
        let what = format!("tensor '{name}' has values that are not finite");
        return Err(Error::invalid(path, what));
    }
    Ok(())
}
