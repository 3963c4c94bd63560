//! The tensors of a checkpoint, taken by name and checked against the shapes that the architecture asks for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use driftless_data::pth::{self, PthTensor};

use crate::{Error, Result};

/// Largest side of any tensor. Published agents have none above 2048; this keeps products of sides in range.
const MAX_SIDE: usize = 1 << 16;

/// Tensors that nobody has taken yet.
pub(crate) struct Weights {
    path: PathBuf,
    tensors: BTreeMap<String, PthTensor>,
}

/// The weight and bias of a linear map or of a convolution.
pub(crate) struct Affine {
    /// Sides of the weight, outputs first.
    pub shape: Vec<usize>,
    /// Row-major.
    pub weight: Vec<f32>,
    /// One for each output.
    pub bias: Vec<f32>,
}

impl Affine {
    pub(crate) fn outputs(&self) -> usize {
        self.shape[0]
    }

    pub(crate) fn inputs(&self) -> usize {
        self.shape[1]
    }
}

impl Weights {
    /// Reads a file that `torch.save` wrote. Nothing in it is executed.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let tensors = pth::read(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            tensors,
        })
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> Error {
        Error::weights(&self.path, what)
    }

    /// Whether a tensor of this name is left.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether a matrix of this name reads maps of `size` with so many channels.
    pub(crate) fn fits(&self, name: &str, size: [usize; 2], channels: usize) -> bool {
        matches!(self.shape(name), Some([_, inputs]) if *inputs == size[0] * size[1] * channels)
    }

    /// The sides of a tensor, if there is one of this name.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// Names of the tensors that are left.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Number of values in the tensors that are left.
    pub(crate) fn values(&self) -> usize {
        self.tensors
            .values()
            .map(|tensor| tensor.values.len())
            .sum()
    }

    /// How many numbers i from 0 on begin a name `{prefix}{i}.`, without a gap.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        let begins = |i: usize| {
            let start = format!("{prefix}{i}.");
            self.names().any(|name| name.starts_with(&start))
        };
        (0..).take_while(|&i| begins(i)).count()
    }

    /// Takes a tensor with so many sides, each at least 1.
    pub(crate) fn take(&mut self, name: &str, sides: usize) -> Result<PthTensor> {
        let Some(tensor) = self.tensors.remove(name) else {
            return Err(self.error(format!(
                "`{name}` is missing, expected the weights of a DIAMOND Atari agent"
            )));
        };
        let valid = |side: &usize| (1..=MAX_SIDE).contains(side);
        if tensor.shape.len() != sides || !tensor.shape.iter().all(valid) {
            return Err(self.wrong(name, &tensor.shape, &format!("{sides} sides")));
        }
        if !tensor.values.iter().all(|value| value.is_finite()) {
            return Err(self.error(format!("`{name}` holds a number that is not finite")));
        }
        Ok(tensor)
    }

    /// Takes a tensor of just this shape.
    pub(crate) fn take_shaped(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.take(name, shape.len())?;
        if tensor.shape != shape {
            return Err(self.wrong(name, &tensor.shape, &format!("{shape:?}")));
        }
        Ok(tensor.values)
    }

    /// Takes `{name}.weight` [outputs, inputs] and `{name}.bias`; `inputs` if it is known.
    pub(crate) fn linear(&mut self, name: &str, inputs: Option<usize>) -> Result<Affine> {
        self.affine(name, 2, inputs)
    }

    /// Takes a convolution with square kernels of `side`.
    pub(crate) fn convolution(
        &mut self,
        name: &str,
        inputs: Option<usize>,
        side: usize,
    ) -> Result<Affine> {
        let affine = self.affine(name, 4, inputs)?;
        if affine.shape[2..] != [side, side] {
            let expected = format!("a kernel of {side}×{side}");
            return Err(self.wrong(&format!("{name}.weight"), &affine.shape, &expected));
        }
        Ok(affine)
    }

    fn affine(&mut self, name: &str, sides: usize, inputs: Option<usize>) -> Result<Affine> {
        let weight_name = format!("{name}.weight");
        let weight = self.take(&weight_name, sides)?;
        if inputs.is_some_and(|inputs| weight.shape[1] != inputs) {
            let expected = format!("{} inputs", inputs.unwrap_or_default());
            return Err(self.wrong(&weight_name, &weight.shape, &expected));
        }
        let bias = self.take_shaped(&format!("{name}.bias"), &weight.shape[..1])?;
        Ok(Affine {
            shape: weight.shape,
            weight: weight.values,
            bias,
        })
    }

    /// Refuses what is left: it belongs to another model.
    pub(crate) fn finish(self) -> Result<()> {
        match self.names().next() {
            None => Ok(()),
            Some(name) => Err(self.error(format!(
                "also holds `{name}`, which is no part of a DIAMOND Atari agent"
            ))),
        }
    }

    pub(crate) fn wrong(&self, name: &str, shape: &[usize], expected: &str) -> Error {
        self.error(format!("`{name}` is {shape:?}, expected {expected}"))
    }
}
