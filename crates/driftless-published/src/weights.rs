//! The tensors of a checkpoint, taken by name and checked against the shapes that the architecture asks for.

use std::path::Path;

use crate::tensors::{Tensor, Tensors};
use crate::{Error, Result};

/// Largest side of any tensor: far above those of published files, and products of sides stay in range.
const MAX_SIDE: usize = 1 << 16;

/// Weights of a network.
pub struct Weights {
    tensors: Tensors,
    /// Whose weights they are, as errors say it.
    owner: String,
    /// Numbers in the tensors that were taken.
    taken: usize,
}

/// The weight and bias of a linear map.
pub struct Affine {
    /// Its outputs.
    pub outputs: usize,
    /// Its inputs.
    pub inputs: usize,
    /// Row-major, outputs first.
    pub weight: Vec<f32>,
    /// One for each output, if there is one.
    pub bias: Option<Vec<f32>>,
}

/// What is known of a linear map before it is read.
#[derive(Clone, Copy, Default)]
pub struct Sides {
    /// Its outputs.
    pub outputs: Option<usize>,
    /// Its inputs.
    pub inputs: Option<usize>,
    /// Whether it has no bias.
    pub plain: bool,
}

impl Sides {
    /// A map with so many inputs.
    #[must_use]
    pub fn of(inputs: usize) -> Self {
        Self {
            inputs: Some(inputs),
            ..Self::default()
        }
    }

    /// The same, with so many outputs.
    #[must_use]
    pub fn to(self, outputs: usize) -> Self {
        Self {
            outputs: Some(outputs),
            ..self
        }
    }

    /// The same, without a bias.
    #[must_use]
    pub fn plain(self) -> Self {
        Self {
            plain: true,
            ..self
        }
    }
}

impl Weights {
    /// Opens the file of a network; `owner` is what errors call it, such as `Oasis's autoencoder`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn open(path: &Path, owner: &str) -> Result<Self> {
        Ok(Self {
            tensors: Tensors::open(path)?,
            owner: owner.to_owned(),
            taken: 0,
        })
    }

    /// Leaves out a prefix that all names have.
    pub fn strip_prefix(&mut self, prefix: &str) {
        self.tensors.strip_prefix(prefix);
    }

    /// What is wrong with the file.
    pub fn error(&self, what: impl Into<String>) -> Error {
        Error::weights(&self.tensors.path, what)
    }

    /// A tensor of another shape than expected.
    pub fn wrong(&self, name: &str, shape: &[usize], expected: &str) -> Error {
        self.error(format!("`{name}` is {shape:?}, expected {expected}"))
    }

    /// The sides of a tensor that is left, if there is one of this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.shape(name)
    }

    /// Numbers in the tensors that were taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// How many numbers i from 0 on begin a name `{prefix}{i}.`, without a gap.
    pub fn count(&self, prefix: &str) -> usize {
        let names = self.tensors.names();
        let begins = |i: usize| {
            let start = format!("{prefix}{i}.");
            names.iter().any(|name| name.starts_with(&start))
        };
        (0..).take_while(|&i| begins(i)).count()
    }

    /// Takes the first tensor whose name ends like this, and drops the others: copies of one that is shared.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_shared(&mut self, end: &str) -> Result<Option<Vec<f32>>> {
        let names = self.tensors.names();
        let names: Vec<String> = names
            .into_iter()
            .filter(|name| name.ends_with(end))
            .map(str::to_owned)
            .collect();
        let mut first = None;
        for name in &names {
            let Tensor { values, .. } = self.take(name, 1)?;
            if first.is_some() {
                self.taken -= values.len();
            }
            first.get_or_insert(values);
        }
        Ok(first)
    }

    /// Takes a tensor with so many sides, each at least 1.
    ///
    /// # Errors
    /// Returns an error if it is missing, has other sides, or holds a number that is not finite.
    pub fn take(&mut self, name: &str, sides: usize) -> Result<Tensor> {
        let Some(tensor) = self.tensors.take(name)? else {
            return Err(self.error(format!(
                "`{name}` is missing, expected the weights of {}",
                self.owner
            )));
        };
        let valid = |side: &usize| (1..=MAX_SIDE).contains(side);
        if tensor.shape.len() != sides || !tensor.shape.iter().all(valid) {
            return Err(self.wrong(name, &tensor.shape, &format!("{sides} sides")));
        }
        if !tensor.values.iter().all(|value| value.is_finite()) {
            return Err(self.error(format!("`{name}` holds a number that is not finite")));
        }
        self.taken += tensor.values.len();
        Ok(tensor)
    }

    /// Takes a vector of this length.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f32>> {
        let tensor = self.take(name, 1)?;
        if tensor.shape != [len] {
            return Err(self.wrong(name, &tensor.shape, &format!("[{len}]")));
        }
        Ok(tensor.values)
    }

    /// Takes `{name}.weight` `[outputs, inputs]` and `{name}.bias`.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn linear(&mut self, name: &str, sides: Sides) -> Result<Affine> {
        let weight_name = format!("{name}.weight");
        let weight = self.take(&weight_name, 2)?;
        let [outputs, inputs] = [weight.shape[0], weight.shape[1]];
        for (found, known, what) in [
            (outputs, sides.outputs, "outputs"),
            (inputs, sides.inputs, "inputs"),
        ] {
            if let Some(known) = known.filter(|known| *known != found) {
                return Err(self.wrong(&weight_name, &weight.shape, &format!("{known} {what}")));
            }
        }
        let bias = if sides.plain {
            None
        } else {
            Some(self.vector(&format!("{name}.bias"), outputs)?)
        };
        Ok(Affine {
            outputs,
            inputs,
            weight: weight.values,
            bias,
        })
    }

    /// Takes a convolution whose square kernels lie side by side, as a linear map of patches `[channels, side, side]`.
    /// Returns it with the side of a patch.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn patches(&mut self, name: &str, channels: usize) -> Result<(Affine, usize)> {
        let weight_name = format!("{name}.weight");
        let weight = self.take(&weight_name, 4)?;
        let [outputs, inputs, side, other] = [0, 1, 2, 3].map(|i| weight.shape[i]);
        if inputs != channels || side != other {
            let expected = format!("square patches of {channels} channels");
            return Err(self.wrong(&weight_name, &weight.shape, &expected));
        }
        let bias = self.vector(&format!("{name}.bias"), outputs)?;
        let affine = Affine {
            outputs,
            inputs: channels * side * side,
            weight: weight.values,
            bias: Some(bias),
        };
        Ok((affine, side))
    }

    /// Refuses what is left: it belongs to another model.
    ///
    /// # Errors
    /// Returns an error that names a tensor that is left.
    pub fn finish(self) -> Result<()> {
        match self.tensors.names().first() {
            None => Ok(()),
            Some(name) => Err(self.error(format!(
                "also holds `{name}`, which is no part of {}",
                self.owner
            ))),
        }
    }
}
