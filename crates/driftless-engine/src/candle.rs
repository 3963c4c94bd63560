//! The reference engine: the networks' own modules with a ring of keys and values, on any device
//! that candle knows.

use candle_core::{D, DType, Device, Tensor};

use super::Attention;
use super::network::{Ask, Moment, Network, Outcome};
use super::sampler::Sampler;
use crate::{Error, Result};
use driftless_model::attention::{Pattern, normalise};
use driftless_model::checkpoint::World;
use driftless_model::dynamics::DynamicsInput;
use driftless_model::layers::AttentionLayer;
use driftless_model::tokenizer::{images_to_tensor, tensor_to_images};

/// Frames encoded or decoded at once.
const BATCH: usize = 32;

/// The engine that runs the networks as candle modules.
pub type CandleEngine = Sampler<CandleNetwork>;

impl CandleEngine {
    /// An engine on the device that the world's tensors live on.
    ///
    /// # Errors
    /// The device failed.
    pub fn new(world: World) -> Result<Self> {
        let config = world.config.clone();
        Ok(Self::around(CandleNetwork::new(world)?, config))
    }
}

/// Keys and values of one layer's earlier frames, each [context − 1, S, heads, d]; the frame at
/// distance n is in slot (frame − n) mod (context − 1).
struct Ring {
    keys: Tensor,
    values: Tensor,
}

/// A world's networks and their rings.
pub struct CandleNetwork {
    world: World,
    device: Device,
    name: String,
    /// Slots of a ring, context − 1.
    slots: usize,
    /// One for every layer that attends over time; empty where there are no slots.
    rings: Vec<Ring>,
    now: Now,
    /// Whether cache passes note where tokens look, and what the last one noted.
    inspected: bool,
    looked: Option<Attention>,
}

/// The current frame on the device.
struct Now {
    past: Tensor,
    slot: usize,
    /// Columns of the biases for each slot, then for the frame itself; the last column hides.
    columns: Tensor,
    /// Where the frame itself and those 1, 2, … frames back stand among these.
    places: Vec<usize>,
}

impl CandleNetwork {
    fn new(world: World) -> Result<Self> {
        let device = world.dynamics.position.device().clone();
        let (d, slots) = (&world.config.dynamics, world.config.dynamics.context - 1);
        let shape = (slots, world.config.tokens(), d.heads, d.width / d.heads);
        let zeros = || Tensor::zeros(shape, DType::F32, &device);
        let layers = match slots {
            0 => 0,
            _ => d.depth / d.time_every,
        };
        let rings = (0..layers)
            .map(|_| {
                Ok(Ring {
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
        let nothing = Tensor::zeros(1, DType::U32, &device)?;
        let now = Now {
            past: nothing.clone(),
            slot: 0,
            columns: nothing,
            places: Vec::new(),
        };
        Ok(Self {
            name: name.to_owned(),
            world,
            device,
            slots,
            rings,
            now,
            inspected: false,
            looked: None,
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

    fn input(&self, ask: &Ask) -> Result<DynamicsInput> {
        Ok(DynamicsInput {
            latents: self.grid(ask.z, self.world.config.tokenizer.channels)?,
            past: self.now.past.clone(),
            actions: Tensor::from_slice(&[ask.action], (1, 1), &self.device)?,
            signal: Tensor::from_slice(&[ask.signal], (1, 1), &self.device)?,
            steps: Tensor::from_slice(&[ask.step], (1, 1), &self.device)?,
        })
    }

    /// Runs a time attention over a ring and the frame itself: x [1, 1, S, w] → (the same shape,
    /// own keys and values [1, S, heads, d], weights [S, heads, 1, slots + 1]).
    fn attend(
        &self,
        layer: &AttentionLayer,
        ring: Option<&Ring>,
        x: &Tensor,
    ) -> Result<(Tensor, [Tensor; 2], Tensor)> {
        let s = x.dim(2)?;
        let (heads, columns) = layer.parameters.dims2()?;
        let qkv = layer.qkv.forward(&layer.norm.forward(x)?)?;
        let qkv = qkv.reshape((s, 3, heads, ()))?;
        let part = |i: usize| -> Result<Tensor> { Ok(qkv.narrow(1, i, 1)?.contiguous()?) };
        let own = |x: Tensor| x.reshape((1, s, heads, ()));
        let q = normalise(&part(0)?.transpose(1, 2)?)?;
        let k = own(normalise(&part(1)?)?)?;
        let v = own(part(2)?)?;
        // [slots + 1, S, heads, d] → [S, heads, slots + 1, d]
        let all = |ring: Option<&Tensor>, own: &Tensor| -> Result<Tensor> {
            let frames = match ring {
                Some(ring) => Tensor::cat(&[ring, own], 0)?,
                None => own.clone(),
            };
            Ok(frames.permute((1, 2, 0, 3))?.contiguous()?)
        };
        let keys = all(ring.map(|ring| &ring.keys), &k)?;
        let values = all(ring.map(|ring| &ring.values), &v)?;
        let scale = layer
            .parameters
            .narrow(1, 0, 1)?
            .reshape((1, heads, 1, 1))?;
        let hidden = Tensor::full(f32::NEG_INFINITY, (heads, 1), &self.device)?;
        let bias = Tensor::cat(&[&layer.parameters.narrow(1, 1, columns - 1)?, &hidden], 1)?
            .index_select(&self.now.columns, 1)?
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

    /// Notes the weights of a time attention, [S, heads, 1, slots + 1].
    fn note_time(&self, noted: &mut Attention, layer: usize, weights: &Tensor) -> Result<()> {
        noted.time_layers.push(layer);
        let weights = weights.flatten_all()?.to_vec1::<f32>()?;
        for row in weights.chunks_exact(self.slots + 1) {
            noted.time.extend(self.now.places.iter().map(|&at| row[at]));
        }
        Ok(())
    }
}

impl Network for CandleNetwork {
    fn name(&self) -> &str {
        &self.name
    }

    fn begin(&mut self, moment: &Moment) -> Result<()> {
        let config = &self.world.config;
        let slots = self.slots as u64;
        let slot = |distance: u64| {
            // Adding `slots` first keeps the difference positive.
            ((moment.frame % slots + slots - distance) % slots) as usize
        };
        let mut columns = vec![config.dynamics.context as u32; self.slots + 1];
        for distance in 1..=moment.seen {
            columns[slot(distance as u64)] = distance as u32;
        }
        columns[self.slots] = 0;
        let earlier = (1..=moment.seen).map(|distance| slot(distance as u64));
        let places = std::iter::once(self.slots).chain(earlier).collect();
        self.now = Now {
            past: self.grid(
                moment.past,
                config.tokenizer.channels * config.dynamics.stem_frames,
            )?,
            slot: match self.slots {
                0 => 0,
                _ => slot(0),
            },
            columns: Tensor::from_vec(columns, self.slots + 1, &self.device)?,
            places,
        };
        Ok(())
    }

    fn denoise(&mut self, ask: &Ask, x: &mut [f32]) -> Result<()> {
        let dynamics = &self.world.dynamics;
        let (seen, cells, mut tokens) = dynamics.stem(&self.input(ask)?)?;
        let mut rings = self.rings.iter();
        for layer in &dynamics.layers {
            tokens = layer.space.forward(&tokens, Pattern::Space)?;
            if let Some(time) = &layer.time {
                (tokens, ..) = self.attend(time, rings.next(), &tokens)?;
            }
            tokens = layer.mlp.forward(&tokens)?;
        }
        copy(&dynamics.head(&seen, &cells, &tokens)?, x)
    }

    fn cache(&mut self, ask: &Ask) -> Result<Option<Outcome>> {
        let dynamics = &self.world.dynamics;
        let (_, _, mut tokens) = dynamics.stem(&self.input(ask)?)?;
        let last = dynamics.last_time();
        let mut rings = self.rings.iter();
        let mut noted = self.inspected.then(|| {
            let heads = self.world.config.dynamics.heads;
            Attention::new(self.world.config.tokens(), heads, self.now.places.len())
        });
        // Nothing behind the last time attention is kept.
        for (i, layer) in dynamics.layers.iter().enumerate().take(last + 1) {
            if let Some(noted) = &mut noted {
                let weights = layer.space.weights(&tokens, Pattern::Space)?;
                noted.space.extend(weights.flatten_all()?.to_vec1::<f32>()?);
            }
            tokens = layer.space.forward(&tokens, Pattern::Space)?;
            if let Some(time) = &layer.time {
                let ring = rings.next();
                let (y, [keys, values], weights) = self.attend(time, ring, &tokens)?;
                tokens = y;
                if let Some(noted) = &mut noted {
                    self.note_time(noted, i, &weights)?;
                }
                if let Some(ring) = ring {
                    ring.keys.slice_set(&keys, 0, self.now.slot)?;
                    ring.values.slice_set(&values, 0, self.now.slot)?;
                }
            }
            if i < last {
                tokens = layer.mlp.forward(&tokens)?;
            }
        }
        let outcome = dynamics.outcome_of(&tokens)?;
        self.looked = noted;
        let Some(outcome) = outcome else {
            return Ok(None);
        };
        let mut said = [0.0; 2];
        copy(&outcome, &mut said)?;
        Ok(Some(Outcome::new(said)))
    }

    fn inspect(&mut self, on: bool) {
        self.inspected = on;
        self.looked = self.looked.take().filter(|_| on);
    }

    fn attention(&mut self) -> Result<Option<Attention>> {
        Ok(self.looked.clone())
    }

    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()> {
        let config = &self.world.config;
        let (image, latent) = (config.image_len(), config.latent_len());
        for (images, latents) in images
            .chunks(BATCH * image)
            .zip(latents.chunks_mut(BATCH * latent))
        {
            let images = images_to_tensor(images, config.image, &self.device)?;
            copy(&self.world.tokenizer.encode(&images)?, latents)?;
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

    fn save(&self, out: &mut [f32]) -> Result<()> {
        let parts = self
            .rings
            .iter()
            .flat_map(|ring| [&ring.keys, &ring.values]);
        let len = out.len() / (2 * self.rings.len()).max(1);
        for (part, out) in parts.zip(out.chunks_exact_mut(len.max(1))) {
            copy(part, out)?;
        }
        Ok(())
    }

    fn load(&mut self, cache: &[f32]) -> Result<()> {
        self.looked = None;
        let len = (cache.len() / (2 * self.rings.len()).max(1)).max(1);
        let parts = self
            .rings
            .iter_mut()
            .flat_map(|ring| [&mut ring.keys, &mut ring.values]);
        for (part, values) in parts.zip(cache.chunks_exact(len)) {
            *part = Tensor::from_slice(values, part.dims(), &self.device)?;
        }
        Ok(())
    }
}

/// Copies a tensor's numbers into `out`, which holds as many.
fn copy(tensor: &Tensor, out: &mut [f32]) -> Result<()> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    if values.len() != out.len() {
        return Err(Error::Argument(format!(
            "a tensor of {} numbers where {} were expected",
            values.len(),
            out.len()
        )));
    }
    out.copy_from_slice(&values);
    Ok(())
}
