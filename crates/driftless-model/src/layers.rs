//! Layers of both networks: linear maps, residual 3×3 blocks, attention and SwiGLU layers.

use candle_core::Tensor;

use super::attention::{AttentionPattern, attention, attention_weights};
use super::ops::{rms_norm, swiglu};
use super::params::{Init, Params};
use super::precision::Precision;
use crate::Result;

/// y = x Wᵀ (+ b).
pub struct Linear {
    /// W, [out, in].
    pub(crate) weight: Tensor,
    /// b, [out].
    pub(crate) bias: Option<Tensor>,
    precision: Precision,
}

impl Linear {
    /// Creates `{name}.weight` [out, in] and, if `bias`, `{name}.bias` [out]; `size` is [out, in].
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, name: &str, size: [usize; 2], init: Init, bias: bool) -> Result<Self> {
        let weight = p.get(&format!("{name}.weight"), &size, init)?;
        let bias = if bias {
            Some(p.get(&format!("{name}.bias"), &size[..1], Init::Constant(0.0))?)
        } else {
            None
        };
        Ok(Self {
            weight,
            bias,
            precision: p.precision(),
        })
    }

    /// Maps [.., in] to [.., out].
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut dims = x.dims().to_vec();
        let (out, inner) = self.weight.dims2()?;
        let rows = x.elem_count() / inner;
        if let Some(last) = dims.last_mut() {
            *last = out;
        }
        let x = x.reshape((rows, inner))?;
        let y = self
            .precision
            .matmul_transposed(&x, &self.weight)?
            .reshape(dims)?;
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}

/// RMSNorm with a learned gain.
pub struct RmsNorm {
    /// One factor a channel.
    pub(crate) gain: Tensor,
}

impl RmsNorm {
    /// Creates `{name}.weight` [width].
    ///
    /// # Errors
    /// Returns an error if the parameter is missing or has another shape.
    pub fn new(p: &Params, name: &str, width: usize) -> Result<Self> {
        let gain = p.get(&format!("{name}.weight"), &[width], Init::Constant(1.0))?;
        Ok(Self { gain })
    }

    /// Normalizes the last dimension of [.., width].
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(rms_norm(x, &self.gain)?)
    }
}

/// x + W silu(conv₃ₓ₃(norm x) + b) on a grid of cells.
pub struct CellBlock {
    /// Before the convolution.
    pub(crate) norm: RmsNorm,
    /// The 3×3 convolution's weights.
    pub(crate) conv: Tensor,
    /// b, one number a channel.
    pub(crate) bias: Tensor,
    /// W.
    pub(crate) out: Linear,
    precision: Precision,
}

impl CellBlock {
    /// Creates `{name}.norm`, `{name}.conv.weight` [width, 9·width], `{name}.conv.bias`,
    /// `{name}.out`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, name: &str, width: usize) -> Result<Self> {
        Ok(Self {
            norm: RmsNorm::new(p, &format!("{name}.norm"), width)?,
            conv: p.get(
                &format!("{name}.conv.weight"),
                &[width, 9 * width],
                Init::FanIn,
            )?,
            bias: p.get(&format!("{name}.conv.bias"), &[width], Init::Constant(0.0))?,
            out: Linear::new(
                p,
                &format!("{name}.out"),
                [width, width],
                Init::Normal(0.3 / (width as f32).sqrt()),
                false,
            )?,
            precision: p.precision(),
        })
    }

    /// Maps [N, gh, gw, width] to the same shape.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self
            .precision
            .conv3x3(&self.norm.forward(x)?, &self.conv)?
            .broadcast_add(&self.bias)?;
        Ok((x + self.out.forward(&candle_nn::ops::silu(&h)?)?)?)
    }
}

/// x + W attention(norm x).
pub struct AttentionLayer {
    /// Before the products.
    pub norm: RmsNorm,
    /// Queries, keys and values of all heads, in this order.
    pub qkv: Linear,
    /// The positional biases, and scales of the heads, of this layer.
    pub parameters: Tensor,
    /// W.
    pub out: Linear,
}

impl AttentionLayer {
    /// Creates `{name}.norm`, `{name}.qkv` [3·width, width], `{name}.attention` [heads, columns]
    /// (column 0 is the scale of the logits, then a bias for each distance), and `{name}.out`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(
        p: &Params,
        name: &str,
        width: usize,
        heads: usize,
        pattern: AttentionPattern,
    ) -> Result<Self> {
        let columns = pattern.parameters();
        Ok(Self {
            norm: RmsNorm::new(p, &format!("{name}.norm"), width)?,
            qkv: Linear::new(
                p,
                &format!("{name}.qkv"),
                [3 * width, width],
                Init::FanIn,
                false,
            )?,
            parameters: p.get(
                &format!("{name}.attention"),
                &[heads, columns],
                Init::Constant(INITIAL_SCALE),
            )?,
            out: Linear::new(
                p,
                &format!("{name}.out"),
                [width, width],
                Init::Normal(0.3 / (width as f32).sqrt()),
                false,
            )?,
        })
    }

    /// The attention weights used by [`AttentionLayer::forward`]; see [`attention_weights`].
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn weights(&self, x: &Tensor, pattern: AttentionPattern) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm.forward(x)?)?;
        Ok(attention_weights(&qkv, &self.parameters, pattern)?)
    }

    /// Maps [B, F, S, width] to the same shape.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(&self, x: &Tensor, pattern: AttentionPattern) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm.forward(x)?)?;
        let y = attention(&qkv, &self.parameters, pattern)?;
        Ok((x + self.out.forward(&y)?)?)
    }
}

/// Initial value of the scale and the biases of the logits; equal biases cancel in the softmax.
const INITIAL_SCALE: f32 = 6.0;

/// x + W_down swiglu(W_up norm x).
pub struct MlpLayer {
    /// Before the products.
    pub(crate) norm: RmsNorm,
    /// W_up: both halves of the SwiGLU.
    pub(crate) up: Linear,
    /// W_down.
    pub(crate) down: Linear,
}

impl MlpLayer {
    /// Creates `{name}.norm`, `{name}.up` [2·hidden, width] and `{name}.down` [width, hidden].
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, name: &str, width: usize, hidden: usize) -> Result<Self> {
        Ok(Self {
            norm: RmsNorm::new(p, &format!("{name}.norm"), width)?,
            up: Linear::new(
                p,
                &format!("{name}.up"),
                [2 * hidden, width],
                Init::FanIn,
                false,
            )?,
            down: Linear::new(
                p,
                &format!("{name}.down"),
                [width, hidden],
                Init::Normal(0.5 / (hidden as f32).sqrt()),
                false,
            )?,
        })
    }

    /// Maps [.., width] to the same shape.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = swiglu(&self.up.forward(&self.norm.forward(x)?)?)?;
        Ok((x + self.down.forward(&h)?)?)
    }
}
