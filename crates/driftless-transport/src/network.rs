//! The network: a transformer over overlapping patches, conditioned on compound, dose and plate.
//!
//! ```text
//! e   = RMSnorm(D·descriptor + F·dose features + P[plate])       or the null vector, if dropped
//! c   = MLP₂(MLP₁(e + S·cos(π k τ)))
//! x   = W_in windows(z) + position
//! x   = MLP(attention(x + C_l c))                                 for each layer l
//! out = overlap-add(W_out RMSnorm(x)) + skip(τ) ∘ z
//! ```
//!
//! A token's window is its patch and some pixels around it. Outputs of neighbouring windows add up where
//! they overlap, so that no seams show. The skip carries what no token has room for: pixel noise.

use candle_core::{D, DType, Device, Tensor};

use driftless_model::attention::AttentionPattern;
use driftless_model::layers::{AttentionLayer, Linear, MlpLayer, RmsNorm};
use driftless_model::params::{Init, Params};

use crate::config::{ConditionRow, DOSE_FEATURES, TransportConfig};
use crate::{Error, Result};

/// Cosine features of the transport time τ.
pub const TIME_FEATURES: usize = 16;

/// A batch of conditions as tensors.
pub struct ConditionBatch {
    descriptors: Tensor,
    doses: Tensor,
    plates: Tensor,
    /// 1 for a condition that is hidden, else 0, [B, 1].
    dropped: Tensor,
}

impl ConditionBatch {
    /// The conditions of B pictures.
    ///
    /// # Errors
    /// Returns an error if the descriptors differ in length or the device fails.
    pub fn new(rows: &[ConditionRow], device: &Device) -> Result<Self> {
        let b = rows.len();
        let flat = |of: &dyn Fn(&ConditionRow) -> Vec<f32>| -> Result<Tensor> {
            let values: Vec<f32> = rows.iter().flat_map(of).collect();
            let columns = values.len() / b.max(1);
            Ok(Tensor::from_vec(values, (b, columns), device)?)
        };
        let plates: Vec<u32> = rows.iter().map(|row| row.plate as u32).collect();
        Ok(Self {
            descriptors: flat(&|row| row.descriptor.clone())?,
            doses: flat(&|row| row.dose.to_vec())?,
            plates: Tensor::from_vec(plates, b, device)?,
            dropped: flat(&|row| vec![f32::from(u8::from(row.dropped))])?,
        })
    }
}

pub(crate) struct Layer {
    condition: Linear,
    pub(crate) attention: AttentionLayer,
    pub(crate) mlp: MlpLayer,
}

/// What the conditions add to the network, as numbers.
pub(crate) struct LayerConditions {
    /// C_l c of each layer, \[B, width\].
    layers: Vec<Vec<f32>>,
    /// skip(τ), \[B, C\].
    skip: Vec<f32>,
    channels: usize,
}

impl LayerConditions {
    /// What layer `l` adds to each token of picture `b`, \[width\].
    pub fn of_layer(&self, l: usize, b: usize, width: usize) -> &[f32] {
        &self.layers[l][b * width..(b + 1) * width]
    }

    /// The factors of the channels of picture `b`.
    pub fn skip(&self, b: usize) -> &[f32] {
        &self.skip[b * self.channels..(b + 1) * self.channels]
    }
}

/// The network.
pub struct TransportNetwork {
    pub(crate) windows: Tensor,
    pub(crate) tokens: usize,
    pub(crate) picture: [usize; 3],
    pub(crate) input: Linear,
    pub(crate) position: Tensor,
    descriptor: Linear,
    dose: Linear,
    plate: Tensor,
    norm: RmsNorm,
    null: Tensor,
    signal: Linear,
    condition_mlps: [MlpLayer; 2],
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm_out: RmsNorm,
    pub(crate) output: Linear,
    skip: Linear,
}

impl TransportNetwork {
    /// Builds the network with the given parameters.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, config: &TransportConfig) -> Result<Self> {
        let n = &config.network;
        let (w, window) = (n.width, config.window_len());
        let linear = |name: &str, size, init| Linear::new(p, name, size, init, false);
        let mlp = |name: &str| MlpLayer::new(p, name, w, n.mlp);
        let layer = |l: usize| -> Result<Layer> {
            let name = |part: &str| format!("layers.{l}.{part}");
            Ok(Layer {
                condition: linear(&name("condition"), [w, w], Init::FanIn)?,
                attention: AttentionLayer::new(
                    p,
                    &name("space"),
                    w,
                    n.heads,
                    AttentionPattern::Space,
                )?,
                mlp: mlp(&name("mlp"))?,
            })
        };
        let channels = config.channels.len();
        Ok(Self {
            windows: Tensor::new(config.windows(), p.device())?,
            tokens: config.tokens(),
            picture: [config.image[0], config.image[1], channels],
            input: Linear::new(p, "window.in", [w, window], Init::FanIn, true)?,
            position: p.get("position", &[config.tokens(), w], Init::Normal(0.1))?,
            descriptor: linear(
                "condition.descriptor",
                [w, config.descriptor_len()],
                Init::Normal(1.0),
            )?,
            dose: linear("condition.dose", [w, DOSE_FEATURES], Init::Normal(1.0))?,
            plate: p.get(
                "condition.plate",
                &[config.plates.len() + 1, w],
                Init::Normal(0.5),
            )?,
            norm: RmsNorm::new(p, "condition.norm", w)?,
            null: p.get("condition.null", &[w], Init::Normal(1.0))?,
            signal: linear("condition.signal", [w, TIME_FEATURES], Init::FanIn)?,
            condition_mlps: [mlp("condition.mlp0")?, mlp("condition.mlp1")?],
            layers: (0..n.depth).map(layer).collect::<Result<_>>()?,
            norm_out: RmsNorm::new(p, "out.norm", w)?,
            output: Linear::new(p, "window.out", [window, w], Init::Constant(0.0), true)?,
            skip: linear("skip", [channels, TIME_FEATURES], Init::Constant(0.0))?,
        })
    }

    /// What the network predicts of z, [B, H, W, C], at the transport times `tau`,
    /// \[B\].
    ///
    /// # Errors
    /// Returns an error if the shapes do not match or the device fails.
    pub fn forward(&self, z: &Tensor, tau: &Tensor, conditions: &ConditionBatch) -> Result<Tensor> {
        self.check_shapes(z, tau)?;
        let b = z.dim(0)?;
        let channels = self.picture[2];
        let len: usize = self.picture.iter().product();
        let flat = z.reshape((b, len))?;
        let outside = Tensor::zeros((b, 1), DType::F32, z.device())?;
        let windows = Tensor::cat(&[&flat, &outside], 1)?.index_select(&self.windows, 1)?;
        let windows = windows.reshape((b, self.tokens, ()))?;
        let mut x = self
            .input
            .forward(&windows)?
            .broadcast_add(&self.position)?;
        let time = time_features(tau)?;
        let c = self.condition(&time, conditions)?;
        for layer in &self.layers {
            x = x.broadcast_add(&layer.condition.forward(&c)?.unsqueeze(1)?)?;
            let frames = x.unsqueeze(1)?;
            let mixed = layer.attention.forward(&frames, AttentionPattern::Space)?;
            x = layer.mlp.forward(&mixed.squeeze(1)?)?;
        }
        let out = self.output.forward(&self.norm_out.forward(&x)?)?;
        let zeros = Tensor::zeros((b, len + 1), DType::F32, z.device())?;
        let sum = zeros.index_add(&self.windows, &out.reshape((b, ()))?, 1)?;
        let sum = sum.narrow(1, 0, len)?.reshape(z.dims())?;
        let skip = self.skip.forward(&time)?.reshape((b, 1, 1, channels))?;
        Ok((sum + z.broadcast_mul(&skip)?)?)
    }

    /// Checks that z is [B, H, W, C] and `tau` \[B\].
    pub(crate) fn check_shapes(&self, z: &Tensor, tau: &Tensor) -> Result<()> {
        let b = z.dim(0)?;
        let [height, width, channels] = self.picture;
        if z.dims() != [b, height, width, channels] || tau.dims() != [b] {
            return Err(Error::Argument(format!(
                "pictures are {:?} and times {:?}, expected [B, {height}, {width}, {channels}] and [B]",
                z.dims(),
                tau.dims()
            )));
        }
        Ok(())
    }

    /// What the conditions add at the transport times `tau`, \[B\].
    pub(crate) fn layer_conditions(
        &self,
        tau: &Tensor,
        conditions: &ConditionBatch,
    ) -> Result<LayerConditions> {
        let time = time_features(tau)?;
        let c = self.condition(&time, conditions)?;
        let values = |linear: &Linear, x: &Tensor| -> Result<Vec<f32>> {
            Ok(linear.forward(x)?.flatten_all()?.to_vec1()?)
        };
        let layers = self.layers.iter().map(|layer| values(&layer.condition, &c));
        Ok(LayerConditions {
            layers: layers.collect::<Result<_>>()?,
            skip: values(&self.skip, &time)?,
            channels: self.picture[2],
        })
    }

    fn condition(&self, time: &Tensor, given: &ConditionBatch) -> Result<Tensor> {
        let plates = self.plate.index_select(&given.plates, 0)?;
        let known =
            (self.descriptor.forward(&given.descriptors)? + self.dose.forward(&given.doses)?)?;
        let known = self.norm.forward(&(known + plates)?)?;
        let shown = (1.0 - &given.dropped)?;
        let hidden = given.dropped.broadcast_mul(&self.null.unsqueeze(0)?)?;
        let e = (known.broadcast_mul(&shown)? + hidden)?;
        let c = (e + self.signal.forward(time)?)?;
        let [first, second] = &self.condition_mlps;
        Ok(second.forward(&first.forward(&c)?)?)
    }
}

/// cos(π k τ) for k = 0 … 15; maps [B] to [B, 16].
fn time_features(tau: &Tensor) -> Result<Tensor> {
    let k: Vec<f32> = (0..TIME_FEATURES)
        .map(|k| k as f32 * std::f32::consts::PI)
        .collect();
    let k = Tensor::from_vec(k, TIME_FEATURES, tau.device())?;
    Ok(tau.unsqueeze(D::Minus1)?.broadcast_mul(&k)?.cos()?)
}
