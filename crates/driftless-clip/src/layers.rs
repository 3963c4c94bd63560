//! Blocks of the network: attention and MLP, each modulated by time and prompt (adaLN, Peebles and Xie,
//! arXiv 2212.09748), with gates that start at zero.

use candle_core::{D, Tensor};

use driftless_model::attention::{
    AttentionPattern, BlockSparse, attention, block_sparse_attention, l2_normalize,
};
use driftless_model::layers::Linear;
use driftless_model::ops::{rms_norm, swiglu};
use driftless_model::params::{Init, Params};

use crate::Result;
use crate::rotary::Rotary;

/// Initial scale of the logits, as of other attention here.
const INITIAL_SCALE: Init = Init::Constant(6.0);

/// Vectors that a sublayer is modulated with: scale, shift and gate.
const PER_SUBLAYER: usize = 3;

/// Computes modulating vectors: W silu(e) + b, zero at the start.
pub(crate) struct Modulation {
    linear: Linear,
    vectors: usize,
}

impl Modulation {
    /// Creates `modulation.{name}` [vectors · w, w] with a bias.
    pub fn new(p: &Params, name: &str, width: usize, vectors: usize) -> Result<Self> {
        let size = [vectors * width, width];
        let name = format!("modulation.{name}");
        Ok(Self {
            linear: Linear::new(p, &name, size, Init::Constant(0.0), true)?,
            vectors,
        })
    }

    /// The vectors for e [B, w], each [B, 1, w].
    pub fn forward(&self, e: &Tensor) -> Result<Vec<Tensor>> {
        let all = self.linear.forward(&candle_nn::ops::silu(e)?)?;
        Ok(all.unsqueeze(1)?.chunk(self.vectors, D::Minus1)?)
    }
}

/// norm(x) · (1 + scale) + shift.
pub(crate) fn modulated(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let ones = Tensor::ones(x.dim(D::Minus1)?, x.dtype(), x.device())?;
    let normed = rms_norm(x, &ones)?;
    Ok(normed
        .broadcast_mul(&(scale + 1.0)?)?
        .broadcast_add(shift)?)
}

/// Where tokens are, and which of them attend to each other.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    pub positions: &'a Rotary,
    /// `None`: all.
    pub sparse: Option<BlockSparse>,
}

/// Attention of all tokens to each other.
struct SelfAttention {
    qkv: Linear,
    /// Scale of the logits of each head, [heads, 1].
    parameters: Tensor,
    out: Linear,
}

impl SelfAttention {
    fn new(p: &Params, name: &str, width: usize, heads: usize) -> Result<Self> {
        let linear = |part: &str, outputs| {
            let name = format!("{name}.{part}");
            Linear::new(p, &name, [outputs, width], Init::FanIn, false)
        };
        Ok(Self {
            qkv: linear("qkv", 3 * width)?,
            parameters: p.get(&format!("{name}.attention"), &[heads, 1], INITIAL_SCALE)?,
            out: linear("out", width)?,
        })
    }

    /// Maps [B, S, w] to the same shape.
    fn forward(&self, x: &Tensor, places: Places) -> Result<Tensor> {
        let qkv = self.qkv.forward(x)?.unsqueeze(1)?;
        let qkv = places.positions.turn(&qkv)?;
        let mixed = match places.sparse {
            Some(sparse) => block_sparse_attention(&qkv, &self.parameters, sparse)?,
            None => attention(&qkv, &self.parameters, AttentionPattern::Space)?,
        };
        self.out.forward(&mixed.squeeze(1)?).map_err(Into::into)
    }
}

/// Attention of the clip's tokens to the words.
struct CrossAttention {
    q: Linear,
    /// Keys and values of all heads, in this order.
    kv: Linear,
    /// Scale of the logits of each head, [heads, 1].
    parameters: Tensor,
    out: Linear,
}

impl CrossAttention {
    fn new(p: &Params, name: &str, width: usize, heads: usize) -> Result<Self> {
        let linear = |part: &str, outputs| {
            let name = format!("{name}.{part}");
            Linear::new(p, &name, [outputs, width], Init::FanIn, false)
        };
        Ok(Self {
            q: linear("q", width)?,
            kv: linear("kv", 2 * width)?,
            parameters: p.get(&format!("{name}.attention"), &[heads, 1], INITIAL_SCALE)?,
            out: linear("out", width)?,
        })
    }

    /// Maps x [B, S, w], which reads words [B, L, w], to the shape of x.
    fn forward(&self, x: &Tensor, words: &Tensor) -> Result<Tensor> {
        let (b, s, w) = x.dims3()?;
        let l = words.dim(1)?;
        let heads = self.parameters.dim(0)?;
        let d = w / heads;
        let q = self.q.forward(x)?.reshape((b, s, heads, d))?;
        let kv = self.kv.forward(words)?.reshape((b, l, 2, heads, d))?;
        let per_head = |x: Tensor| x.transpose(1, 2)?.contiguous();
        let [k, v] = [0, 1].map(|i| per_head(kv.narrow(2, i, 1)?.squeeze(2)?));
        let (q, k) = (l2_normalize(&per_head(q)?)?, l2_normalize(&k?)?);
        let scale = self.parameters.reshape((1, heads, 1, 1))?;
        let logits = q
            .matmul(&k.transpose(2, 3)?.contiguous()?)?
            .broadcast_mul(&scale)?;
        let mixed = candle_nn::ops::softmax(&logits, D::Minus1)?.matmul(&v?)?;
        let mixed = mixed.transpose(1, 2)?.reshape((b, s, w))?;
        self.out.forward(&mixed).map_err(Into::into)
    }
}

/// A block: x + gate · f(norm(x) (1 + scale) + shift) for self-attention, cross-attention (in blocks of the
/// clip) and a SwiGLU MLP in turn.
pub(crate) struct Block {
    modulation: Modulation,
    attention: SelfAttention,
    cross: Option<CrossAttention>,
    up: Linear,
    down: Linear,
}

/// Sizes of a block.
#[derive(Clone, Copy)]
pub(crate) struct BlockSize {
    pub width: usize,
    pub heads: usize,
    pub mlp: usize,
    /// Whether it reads words.
    pub reads_words: bool,
}

impl Block {
    /// Creates `modulation.{name}`, `{name}.self`, `{name}.cross` if it reads words, and `{name}.mlp`.
    pub fn new(p: &Params, name: &str, size: BlockSize) -> Result<Self> {
        let BlockSize {
            width, heads, mlp, ..
        } = size;
        let sublayers = 2 + usize::from(size.reads_words);
        let linear = |part: &str, size| {
            Linear::new(p, &format!("{name}.mlp.{part}"), size, Init::FanIn, false)
        };
        let cross = size.reads_words.then(|| format!("{name}.cross"));
        Ok(Self {
            modulation: Modulation::new(p, name, width, sublayers * PER_SUBLAYER)?,
            attention: SelfAttention::new(p, &format!("{name}.self"), width, heads)?,
            cross: cross
                .map(|name| CrossAttention::new(p, &name, width, heads))
                .transpose()?,
            up: linear("up", [2 * mlp, width])?,
            down: linear("down", [width, mlp])?,
        })
    }

    /// Maps x [B, S, w] under e [B, w] to the same shape; `words` [B, L, w] are read if the block reads any.
    pub fn forward(
        &self,
        x: &Tensor,
        e: &Tensor,
        places: Places,
        words: Option<&Tensor>,
    ) -> Result<Tensor> {
        let vectors = self.modulation.forward(e)?;
        let mut vectors = vectors.chunks_exact(PER_SUBLAYER);
        let mut add = |x: &Tensor, f: &dyn Fn(&Tensor) -> Result<Tensor>| -> Result<Tensor> {
            match vectors.next() {
                Some([scale, shift, gate]) => {
                    let y = f(&modulated(x, scale, shift)?)?;
                    Ok((x + y.broadcast_mul(gate)?)?)
                }
                _ => Ok(x.clone()),
            }
        };
        let mut x = add(x, &|x| self.attention.forward(x, places))?;
        if let (Some(cross), Some(words)) = (&self.cross, words) {
            x = add(&x, &|x| cross.forward(x, words))?;
        }
        add(&x, &|x| {
            let hidden = swiglu(&self.up.forward(x)?)?;
            Ok(self.down.forward(&hidden)?)
        })
    }
}
