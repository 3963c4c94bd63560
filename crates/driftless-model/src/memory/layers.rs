//! The candle modules that read recalled frames.

use candle_core::{D, DType, Tensor};

use super::MEMORY_FEATURES;
use crate::Result;
use crate::attention::l2_normalize;
use crate::config::WorldConfig;
use crate::layers::{Linear, MlpLayer, RmsNorm};
use crate::params::{Init, Params};

/// The recalled frames of a batch of sequences: M for each of T time steps.
#[derive(Clone, Debug)]
pub struct MemoryInput {
    /// Their latents, [B, T, M, gh, gw, c].
    pub latents: Tensor,
    /// Where they were seen from, [B, T, M, [`MEMORY_FEATURES`]]; see
    /// [`memory_features`](super::memory_features).
    pub features: Tensor,
    /// 1 for a recalled frame, 0 for a place that is not filled, f32 [B, T, M].
    pub filled: Tensor,
}

/// The tokens of recalled frames.
#[derive(Clone, Debug)]
pub struct MemoryTokens {
    /// [B, T, M · latent tokens, w].
    tokens: Tensor,
    /// 0 for a token that can be read, −∞ (as a large number) for others, [B, T, M · latent tokens].
    bias: Tensor,
}

/// The logit bias of a token that is not there.
const HIDDEN: f64 = -1e30;

/// Turns recalled frames into tokens: y = W \[cells, features\] + position, followed by a SwiGLU layer,
/// in which content and place meet.
pub struct MemoryEncoder {
    grid: [usize; 2],
    merge: usize,
    /// W.
    pub(crate) input: Linear,
    /// Learned positions of the tokens of a frame, [latent tokens, w].
    pub(crate) position: Tensor,
    /// The SwiGLU layer.
    pub(crate) mlp: MlpLayer,
}

impl MemoryEncoder {
    /// Creates `memory.input` [w, merge² · c + features], `memory.position` and `memory.mlp`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, config: &WorldConfig) -> Result<Self> {
        let d = &config.dynamics;
        let inputs = d.merge * d.merge * config.tokenizer.channels + MEMORY_FEATURES;
        Ok(Self {
            grid: config.grid(),
            merge: d.merge,
            input: Linear::new(p, "memory.input", [d.width, inputs], Init::FanIn, false)?,
            position: p.get(
                "memory.position",
                &[config.latent_tokens(), d.width],
                Init::Normal(0.5),
            )?,
            mlp: MlpLayer::new(p, "memory.mlp", d.width, d.mlp)?,
        })
    }

    /// The tokens of recalled frames.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(&self, memory: &MemoryInput) -> Result<MemoryTokens> {
        let ([gh, gw], m) = (self.grid, self.merge);
        let (b, t, frames) = memory.filled.dims3()?;
        let tokens = gh * gw / (m * m);
        let n = b * t * frames;
        // [N, gh/m, m, gw/m, m, c] → [N, tokens, m·m·c]
        let cells = memory
            .latents
            .reshape(vec![n, gh / m, m, gw / m, m, memory.latents.dim(5)?])?
            .permute(vec![0, 1, 3, 2, 4, 5])?
            .reshape((n, tokens, ()))?;
        let features = memory
            .features
            .reshape((n, 1, MEMORY_FEATURES))?
            .broadcast_as((n, tokens, MEMORY_FEATURES))?;
        let x = self
            .input
            .forward(&Tensor::cat(&[&cells, &features], 2)?)?
            .broadcast_add(&self.position)?;
        let x = self.mlp.forward(&x)?;
        let bias = memory
            .filled
            .affine(-HIDDEN, HIDDEN)?
            .unsqueeze(3)?
            .broadcast_as((b, t, frames, tokens))?;
        Ok(MemoryTokens {
            tokens: x.reshape((b, t, frames * tokens, ()))?,
            bias: bias.reshape((b, t, frames * tokens))?,
        })
    }
}

/// x + W attention(norm x, memory): the tokens of a frame read those of its recalled frames. The logits
/// are scale · q̂·k̂ as in other attention; a further logit, learned for each head, stands for reading
/// nothing. W starts at zero, so that a network that gets a memory computes at first what it computed
/// before.
pub struct RecallLayer {
    /// Before the queries.
    pub(crate) norm: RmsNorm,
    /// Queries of all heads.
    pub(crate) q: Linear,
    /// Before keys and values.
    pub(crate) memory_norm: RmsNorm,
    /// Keys and values of all heads, in this order.
    pub(crate) kv: Linear,
    /// Scale of the logits and the logit of reading nothing, [heads, 2].
    pub(crate) parameters: Tensor,
    /// W.
    pub(crate) out: Linear,
}

/// Initial scale of the logits, as of other attention, and initial logit of reading nothing: as of one
/// memory token, since a memory that is hardly read is hardly learned.
const INITIAL_LOGITS: Init = Init::Alternating(6.0, 0.0);

impl RecallLayer {
    /// Creates `{name}.norm`, `.q` [w, w], `.memory_norm`, `.kv` [2·w, w], `.attention` [heads, 2] and
    /// `.out` [w, w].
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, name: &str, width: usize, heads: usize) -> Result<Self> {
        let linear = |part: &str, outputs, init| {
            Linear::new(p, &format!("{name}.{part}"), [outputs, width], init, false)
        };
        Ok(Self {
            norm: RmsNorm::new(p, &format!("{name}.norm"), width)?,
            q: linear("q", width, Init::FanIn)?,
            memory_norm: RmsNorm::new(p, &format!("{name}.memory_norm"), width)?,
            kv: linear("kv", 2 * width, Init::FanIn)?,
            parameters: p.get(&format!("{name}.attention"), &[heads, 2], INITIAL_LOGITS)?,
            out: linear("out", width, Init::Constant(0.0))?,
        })
    }

    /// Maps x [B, n · T, S, w], copies of T time steps one after the other, to the same shape.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(&self, x: &Tensor, memory: &MemoryTokens) -> Result<Tensor> {
        let (b, f, s, w) = x.dims4()?;
        let (_, t, keys, _) = memory.tokens.dims4()?;
        let (heads, _) = self.parameters.dims2()?;
        let (n, d) = (f / t, w / heads);
        // [B, n, T, S, heads, d] → [B·T, heads, n·S, d]
        let q = self
            .q
            .forward(&self.norm.forward(x)?)?
            .reshape(vec![b, n, t, s, heads, d])?
            .permute(vec![0, 2, 4, 1, 3, 5])?
            .reshape((b * t, heads, n * s, d))?;
        // [B·T, K, 2, heads, d] → [2, B·T, heads, K, d]
        let kv = self
            .kv
            .forward(&self.memory_norm.forward(&memory.tokens)?)?
            .reshape(vec![b * t, keys, 2, heads, d])?
            .permute(vec![2, 0, 3, 1, 4])?
            .contiguous()?;
        let (q, k, v) = (
            l2_normalize(&q.contiguous()?)?,
            l2_normalize(&kv.get(0)?)?,
            kv.get(1)?,
        );
        let parameter = |i: usize| self.parameters.narrow(1, i, 1)?.reshape((1, heads, 1, 1));
        let logits = q
            .matmul(&k.transpose(2, 3)?.contiguous()?)?
            .broadcast_mul(&parameter(0)?)?
            .broadcast_add(&memory.bias.reshape((b * t, 1, 1, keys))?)?;
        let zeros = Tensor::zeros((b * t, heads, n * s, 1), DType::F32, x.device())?;
        let nothing = zeros.broadcast_add(&parameter(1)?)?;
        let logits = Tensor::cat(&[&logits, &nothing], 3)?;
        let weights = candle_nn::ops::softmax(&logits, D::Minus1)?;
        let weights = weights.narrow(3, 0, keys)?.contiguous()?;
        // [B, T, heads, n, S, d] → [B, n·T, S, w]
        let y = weights
            .matmul(&v.contiguous()?)?
            .reshape(vec![b, t, heads, n, s, d])?
            .permute(vec![0, 3, 1, 4, 2, 5])?
            .reshape((b, f, s, w))?;
        Ok((x + self.out.forward(&y)?)?)
    }
}
