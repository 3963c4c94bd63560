//! The heads as plain numbers, to play: the same operations as [`crate::network::Head`], without tensors.

use std::collections::BTreeMap;

use candle_core::Tensor;

use driftless_engine::kernels::{PackedMatrix, RowLayout, Workers, WriteMode};
use driftless_model::ops::rms_norm_rows;

use crate::Result;

/// A head on packed weights.
#[derive(Clone)]
pub struct PlainHead {
    hidden: [(Layer, Vec<f32>); 2],
    out: Layer,
}

/// y = W x + b.
#[derive(Clone)]
struct Layer {
    weight: PackedMatrix,
    bias: Vec<f32>,
}

impl Layer {
    fn new(tensors: &BTreeMap<String, Tensor>, name: &str) -> Result<Self> {
        let weight = tensor(tensors, &format!("{name}.weight"))?.to_vec2::<f32>()?;
        let inputs = weight.first().map_or(0, Vec::len);
        Ok(Self {
            weight: PackedMatrix::pack(weight.len(), inputs, |o, i| weight[o][i]),
            bias: tensor(tensors, &format!("{name}.bias"))?.to_vec1()?,
        })
    }

    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let [inputs, _] = self.weight.size();
        let rows = RowLayout::contiguous(1, inputs);
        let mut y = self.bias.clone();
        self.weight
            .apply(&Workers::none(), x, rows, &mut y, WriteMode::Add);
        y
    }
}

impl PlainHead {
    /// The head `name` among tensors, as [`crate::network::Head`] names them.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing or has another rank.
    pub fn new(tensors: &BTreeMap<String, Tensor>, name: &str) -> Result<Self> {
        let hidden = |i: usize| -> Result<(Layer, Vec<f32>)> {
            let gain = tensor(tensors, &format!("{name}.norm{i}.weight"))?;
            Ok((
                Layer::new(tensors, &format!("{name}.up{i}"))?,
                gain.to_vec1()?,
            ))
        };
        Ok(Self {
            hidden: [hidden(1)?, hidden(2)?],
            out: Layer::new(tensors, &format!("{name}.out"))?,
        })
    }

    /// The outputs for standardized features `[F]`.
    pub fn apply(&self, features: &[f32]) -> Vec<f32> {
        let mut x = features.to_vec();
        for (layer, gain) in &self.hidden {
            x = layer.apply(&x);
            for value in &mut x {
                *value /= 1.0 + (-*value).exp();
            }
            let mut normed = vec![0.0; x.len()];
            rms_norm_rows(&x, gain, &mut normed);
            x = normed;
        }
        self.out.apply(&x)
    }
}

/// The tensor of this name.
///
/// # Errors
/// Returns an error if there is none.
pub(crate) fn tensor<'a>(tensors: &'a BTreeMap<String, Tensor>, name: &str) -> Result<&'a Tensor> {
    let found = tensors.get(name);
    Ok(found.ok_or_else(|| candle_core::Error::Msg(format!("no tensor '{name}'")))?)
}

/// softmax(`logits`).
pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut weights: Vec<f32> = logits.iter().map(|x| (x - most).exp()).collect();
    let total: f32 = weights.iter().sum();
    for weight in &mut weights {
        *weight /= total;
    }
    weights
}
