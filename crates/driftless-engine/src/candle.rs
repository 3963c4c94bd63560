//! The reference backend: the networks' candle modules with a KV cache, on any candle device.

use candle_core::{D, DType, Device, Tensor};

use driftless_model::attention::{AttentionPattern, l2_normalize};
use driftless_model::checkpoint::WorldModel;
use driftless_model::dynamics::{ActionTensors, DynamicsInput, Layer};
use driftless_model::layers::AttentionLayer;
use driftless_model::memory::{DeltaLayer, MemoryInput, MemoryTokens, TokenInputs};
use driftless_model::tokenizer::{images_to_tensor, tensor_to_images};

use super::Attention;
use super::network::{DenoiseInput, FrameContext, Inspect, Network, Outcome, RecalledFrames};
use crate::{Error, Result};

/// Frames per batch when encoding or decoding.
const BATCH: usize = 32;

/// Keys and values of one layer's earlier frames, each [slots, tokens, heads, head size] with
/// slots = context − 1. Frame n is in slot n mod slots.
struct KvCache {
    keys: Tensor,
    values: Tensor,
}

/// A world's candle networks with their KV caches.
pub struct CandleNetwork {
    world: WorldModel,
    device: Device,
    name: String,
    /// Slots of a KV cache, context − 1.
    slots: usize,
    /// One for each layer with temporal attention; empty if there are no slots.
    kv_caches: Vec<KvCache>,
    /// One for each layer of a world with delta states, [1, tokens, heads, head size, head size].
    states: Vec<Tensor>,
    current: FrameState,
    /// Whether cache passes record attention weights, and those of the last one.
    recording_attention: bool,
    recording_tokens: bool,
    last_tokens: Vec<f32>,
    last_attention: Option<Attention>,
}

/// Per-frame inputs on the device.
struct FrameState {
    past: Tensor,
    slot: usize,
    /// Column of the bias table for each slot and then the frame itself; the last column masks a slot.
    bias_columns: Tensor,
    /// Positions of the frame itself and of those 1, 2, … frames back among these.
    attended_columns: Vec<usize>,
    /// The tokens of recalled frames, if there are any.
    memory: Option<MemoryTokens>,
    /// Whether the passes read the delta states.
    reads_state: bool,
}

impl CandleNetwork {
    /// Runs a world on the device that holds its tensors.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(world: WorldModel) -> Result<Self> {
        let device = world.dynamics.device().clone();
        let (d, slots) = (&world.config.dynamics, world.config.dynamics.context - 1);
        let shape = (slots, world.config.tokens(), d.heads, d.width / d.heads);
        let zeros = || Tensor::zeros(shape, DType::F32, &device);
        let layers = match slots {
            0 => 0,
            _ => d.depth / d.time_every,
        };
        let kv_caches = (0..layers)
            .map(|_| {
                Ok(KvCache {
                    keys: zeros()?,
                    values: zeros()?,
                })
            })
            .collect::<Result<_>>()?;
        let name = match &device {
            Device::Cpu => "candle cpu",
            Device::Cuda(_) => "candle cuda",
            Device::Metal(_) => "candle metal",
        };
        let placeholder = Tensor::zeros(1, DType::U32, &device)?;
        let current = FrameState {
            past: placeholder.clone(),
            slot: 0,
            bias_columns: placeholder,
            attended_columns: Vec::new(),
            memory: None,
            reads_state: true,
        };
        let head = d.width / d.heads;
        let shape = (1, world.config.tokens(), d.heads, head, head);
        let layers = world.dynamics.layers.iter();
        let states = layers
            .filter(|layer| layer.delta.is_some())
            .map(|_| Tensor::zeros(shape, DType::F32, &device))
            .collect::<candle_core::Result<_>>()?;
        Ok(Self {
            states,
            name: name.to_owned(),
            world,
            device,
            slots,
            kv_caches,
            current,
            recording_attention: false,
            recording_tokens: false,
            last_tokens: Vec::new(),
            last_attention: None,
        })
    }

    /// [cells · channels] → [1, 1, gh, gw, channels].
    fn grid(&self, values: &[f32], channels: usize) -> Result<Tensor> {
        let [gh, gw] = self.world.config.grid();
        Ok(Tensor::from_slice(
            values,
            (1, 1, gh, gw, channels),
            &self.device,
        )?)
    }

    fn dynamics_input(&self, input: &DenoiseInput) -> Result<DynamicsInput> {
        Ok(DynamicsInput {
            latents: self.grid(input.z, self.world.config.tokenizer.channels)?,
            past: self.current.past.clone(),
            actions: ActionTensors::new(
                &[input.action],
                [1, 1],
                self.world.config.axes.len(),
                &self.device,
            )?,
            signal: Tensor::from_slice(&[input.tau], (1, 1), &self.device)?,
            steps: Tensor::from_slice(&[input.step_index], (1, 1), &self.device)?,
            // Its tokens are computed once a frame.
            memory: None,
        })
    }

    /// The tokens of recalled frames; `None` if there are none.
    fn memory_tokens(&self, recalled: &RecalledFrames) -> Result<Option<MemoryTokens>> {
        let count = recalled.count;
        if count == 0 {
            return Ok(None);
        }
        let config = &self.world.config;
        let inputs = TokenInputs::per_token(config.dynamics.merge, config.tokenizer.channels);
        let shape = (1, 1, count, config.latent_tokens(), inputs);
        let input = MemoryInput {
            tokens: Tensor::from_slice(recalled.tokens, shape, &self.device)?,
            filled: Tensor::ones((1, 1, count), DType::F32, &self.device)?,
        };
        Ok(self.world.dynamics.memory_tokens(Some(&input))?)
    }

    /// The tokens of a frame with what they read from a delta state, and the state that the frame would leave.
    fn read_state(
        &self,
        delta: &DeltaLayer,
        state: Option<&Tensor>,
        tokens: Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (read, states) = delta.forward(&tokens, 1, state)?;
        let tokens = if self.current.reads_state {
            read
        } else {
            tokens
        };
        Ok((tokens, states.squeeze(1)?))
    }

    /// What the tokens of a frame read from its recalled frames is added to them.
    fn recall(&self, layer: &Layer, tokens: Tensor) -> Result<Tensor> {
        match (&layer.recall, &self.current.memory) {
            (Some(recall), Some(memory)) => Ok(recall.forward(&tokens, memory)?),
            _ => Ok(tokens),
        }
    }

    /// Temporal attention over the KV cache and the frame itself. Takes x [1, 1, S, width]; returns the
    /// output in the same shape, the frame's keys and values, each [1, S, heads, d], and the attention
    /// weights [S, heads, 1, slots + 1].
    fn temporal_attention(
        &self,
        layer: &AttentionLayer,
        kv_cache: Option<&KvCache>,
        x: &Tensor,
    ) -> Result<(Tensor, [Tensor; 2], Tensor)> {
        let s = x.dim(2)?;
        let (heads, columns) = layer.parameters.dims2()?;
        let qkv = layer.qkv.forward(&layer.norm.forward(x)?)?;
        let qkv = qkv.reshape((s, 3, heads, ()))?;
        let part = |i: usize| -> Result<Tensor> { Ok(qkv.narrow(1, i, 1)?.contiguous()?) };
        let as_frame = |x: Tensor| x.reshape((1, s, heads, ()));
        let q = l2_normalize(&part(0)?.transpose(1, 2)?)?;
        let k = as_frame(l2_normalize(&part(1)?)?)?;
        let v = as_frame(part(2)?)?;
        // [slots + 1, S, heads, d] → [S, heads, slots + 1, d]
        let with_cached = |cached: Option<&Tensor>, own: &Tensor| -> Result<Tensor> {
            let frames = match cached {
                Some(cached) => Tensor::cat(&[cached, own], 0)?,
                None => own.clone(),
            };
            Ok(frames.permute((1, 2, 0, 3))?.contiguous()?)
        };
        let keys = with_cached(kv_cache.map(|cache| &cache.keys), &k)?;
        let values = with_cached(kv_cache.map(|cache| &cache.values), &v)?;
        let scale = layer
            .parameters
            .narrow(1, 0, 1)?
            .reshape((1, heads, 1, 1))?;
        let masked = Tensor::full(f32::NEG_INFINITY, (heads, 1), &self.device)?;
        let bias = Tensor::cat(&[&layer.parameters.narrow(1, 1, columns - 1)?, &masked], 1)?
            .index_select(&self.current.bias_columns, 1)?
            .reshape((1, heads, 1, ()))?;
        let logits = q
            .contiguous()?
            .matmul(&keys.transpose(2, 3)?.contiguous()?)?
            .broadcast_mul(&scale)?
            .broadcast_add(&bias)?;
        let weights = candle_nn::ops::softmax(&logits, D::Minus1)?;
        let y = weights.matmul(&values)?;
        let y = layer.out.forward(&y.reshape((1, 1, s, ()))?)?;
        Ok(((x + y)?, [k, v], weights))
    }

    /// Records temporal attention weights, [S, heads, 1, slots + 1].
    fn record_time_weights(
        &self,
        recorded: &mut Attention,
        layer: usize,
        weights: &Tensor,
    ) -> Result<()> {
        recorded.time_layers.push(layer);
        let weights = weights.flatten_all()?.to_vec1::<f32>()?;
        for row in weights.chunks_exact(self.slots + 1) {
            recorded
                .time
                .extend(self.current.attended_columns.iter().map(|&at| row[at]));
        }
        Ok(())
    }
}

impl Network for CandleNetwork {
    fn name(&self) -> &str {
        &self.name
    }

    fn begin_frame(&mut self, context: &FrameContext) -> Result<()> {
        let config = &self.world.config;
        let slots = self.slots as u64;
        let slot = |distance: u64| {
            // Adding `slots` first avoids an underflow.
            ((context.frame % slots + slots - distance) % slots) as usize
        };
        let mut bias_columns = vec![config.dynamics.context as u32; self.slots + 1];
        for distance in 1..=context.attended_frames {
            bias_columns[slot(distance as u64)] = distance as u32;
        }
        bias_columns[self.slots] = 0;
        let earlier = (1..=context.attended_frames).map(|distance| slot(distance as u64));
        let attended_columns = std::iter::once(self.slots).chain(earlier).collect();
        self.current = FrameState {
            past: self.grid(
                context.past,
                config.tokenizer.channels * config.dynamics.stem_frames,
            )?,
            slot: match self.slots {
                0 => 0,
                _ => slot(0),
            },
            bias_columns: Tensor::from_vec(bias_columns, self.slots + 1, &self.device)?,
            attended_columns,
            memory: self.memory_tokens(&context.recalled)?,
            reads_state: context.reads_state,
        };
        Ok(())
    }

    fn denoise(&mut self, input: &DenoiseInput, output: &mut [f32]) -> Result<()> {
        let dynamics = &self.world.dynamics;
        let (context, cells, mut tokens) = dynamics.stem(&self.dynamics_input(input)?)?;
        let (mut kv_caches, mut states) = (self.kv_caches.iter(), self.states.iter());
        for layer in &dynamics.layers {
            tokens = layer.space.forward(&tokens, AttentionPattern::Space)?;
            if let Some(delta) = &layer.delta {
                (tokens, _) = self.read_state(delta, states.next(), tokens)?;
            }
            if let Some(time) = &layer.time {
                (tokens, ..) = self.temporal_attention(time, kv_caches.next(), &tokens)?;
            }
            tokens = self.recall(layer, tokens)?;
            tokens = layer.mlp.forward(&tokens)?;
        }
        copy_values(&dynamics.head(&context, &cells, &tokens)?, output)
    }

    fn write_cache(&mut self, input: &DenoiseInput) -> Result<Option<Outcome>> {
        let dynamics = &self.world.dynamics;
        let (_, _, mut tokens) = dynamics.stem(&self.dynamics_input(input)?)?;
        let last = self.world.config.dynamics.last_time_layer().unwrap_or(0);
        let (mut kv_caches, mut states) = (self.kv_caches.iter(), self.states.iter());
        let mut new_states = Vec::new();
        let mut recorded = self.recording_attention.then(|| {
            let heads = self.world.config.dynamics.heads;
            Attention::new(
                self.world.config.tokens(),
                heads,
                self.current.attended_columns.len(),
            )
        });
        // Layers after the last temporal attention write nothing.
        for (i, layer) in dynamics.layers.iter().enumerate().take(last + 1) {
            if let Some(recorded) = &mut recorded {
                let weights = layer.space.weights(&tokens, AttentionPattern::Space)?;
                recorded
                    .space
                    .extend(weights.flatten_all()?.to_vec1::<f32>()?);
            }
            tokens = layer.space.forward(&tokens, AttentionPattern::Space)?;
            if let Some(delta) = &layer.delta {
                let (read, state) = self.read_state(delta, states.next(), tokens)?;
                tokens = read;
                new_states.push(state);
            }
            if let Some(time) = &layer.time {
                let kv_cache = kv_caches.next();
                let (y, [keys, values], weights) =
                    self.temporal_attention(time, kv_cache, &tokens)?;
                tokens = y;
                if let Some(recorded) = &mut recorded {
                    self.record_time_weights(recorded, i, &weights)?;
                }
                if let Some(kv_cache) = kv_cache {
                    kv_cache.keys.slice_set(&keys, 0, self.current.slot)?;
                    kv_cache.values.slice_set(&values, 0, self.current.slot)?;
                }
            }
            if i < last {
                tokens = self.recall(layer, tokens)?;
                tokens = layer.mlp.forward(&tokens)?;
            }
        }
        let outcome = dynamics.predict_outcome(&tokens)?;
        self.states = new_states;
        self.last_attention = recorded;
        if self.recording_tokens {
            self.last_tokens = tokens.flatten_all()?.to_vec1::<f32>()?;
        }
        let Some(outcome) = outcome else {
            return Ok(None);
        };
        Ok(Some(Outcome::of_outputs(
            &outcome.flatten_all()?.to_vec1::<f32>()?,
        )))
    }

    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()> {
        let config = &self.world.config;
        let (image, latent) = (config.image_len(), config.latent_len());
        for (images, latents) in images
            .chunks(BATCH * image)
            .zip(latents.chunks_mut(BATCH * latent))
        {
            let images = images_to_tensor(images, config.image, &self.device)?;
            copy_values(&self.world.tokenizer.encode(&images)?, latents)?;
        }
        Ok(())
    }

    fn decode(&mut self, latents: &[f32], images: &mut [u8]) -> Result<()> {
        let config = &self.world.config;
        let ([gh, gw], c) = (config.grid(), config.tokenizer.channels);
        let (image, latent) = (config.image_len(), config.latent_len());
        for (latents, images) in latents
            .chunks(BATCH * latent)
            .zip(images.chunks_mut(BATCH * image))
        {
            let n = latents.len() / latent;
            let latents = Tensor::from_slice(latents, (n, gh, gw, c), &self.device)?;
            images.copy_from_slice(&tensor_to_images(&self.world.tokenizer.decode(&latents)?)?);
        }
        Ok(())
    }

    fn save_cache(&self, out: &mut [f32]) -> Result<()> {
        let caches = self.kv_caches.iter();
        let caches = caches.flat_map(|cache| [&cache.keys, &cache.values]);
        let mut rest = out;
        for part in caches.chain(&self.states) {
            let (out, tail) = rest.split_at_mut(part.elem_count());
            copy_values(part, out)?;
            rest = tail;
        }
        Ok(())
    }

    fn load_cache(&mut self, cache: &[f32]) -> Result<()> {
        self.last_attention = None;
        self.last_tokens.clear();
        let caches = self.kv_caches.iter_mut();
        let caches = caches.flat_map(|cache| [&mut cache.keys, &mut cache.values]);
        let mut rest = cache;
        for part in caches.chain(&mut self.states) {
            let (values, tail) = rest.split_at(part.elem_count());
            *part = Tensor::from_slice(values, part.dims(), &self.device)?;
            rest = tail;
        }
        Ok(())
    }

    fn inspection(&mut self) -> Option<&mut dyn Inspect> {
        Some(self)
    }
}

impl Inspect for CandleNetwork {
    fn record_attention(&mut self, on: bool) {
        self.recording_attention = on;
        self.last_attention = self.last_attention.take().filter(|_| on);
    }

    fn attention(&mut self) -> Result<Option<Attention>> {
        Ok(self.last_attention.clone())
    }

    fn record_tokens(&mut self, on: bool) {
        self.recording_tokens = on;
        self.last_tokens.clear();
    }

    fn tokens(&self) -> Option<&[f32]> {
        (!self.last_tokens.is_empty()).then_some(self.last_tokens.as_slice())
    }
}

/// Copies a tensor's values into `out`. Returns an error if the lengths differ.
fn copy_values(tensor: &Tensor, out: &mut [f32]) -> Result<()> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    if values.len() != out.len() {
        return Err(Error::Shape(format!(
            "a tensor holds {} values, expected {}",
            values.len(),
            out.len()
        )));
    }
    out.copy_from_slice(&values);
    Ok(())
}
