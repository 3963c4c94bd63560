//! Makes clips with a trained network.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use driftless_data::{Action, Clip, PathError as _};
use driftless_flow::objective::Step;
use driftless_flow::path::Path as FlowPath;
use driftless_flow::solver::Grid;
use driftless_model::checkpoint::{TOKENIZER, read_config};
use driftless_model::config::WorldConfig;
use driftless_model::params::Params;
use driftless_model::tokenizer::{Tokenizer, images_to_tensor, tensor_to_images};

use crate::actions::{self, chosen};
use crate::config::{CLIP_ACTION_WEIGHTS, CLIP_CONFIG, CLIP_WEIGHTS, ClipConfig, step_index};
use crate::network::{ClipInput, ClipNetwork, TextBatch};
use crate::prompt::Prompt;
use crate::prompt_reader::PromptReader;
use crate::request::{ClipParams, ClipRequest};
use crate::text_encoder::TextEncoder;
use crate::{Error, Result};

/// Sampling steps of the actions, which cost little.
const ACTION_STEPS: usize = 20;
/// Streams of noise of a seed.
const FRAME_NOISE: u64 = 0;
const ACTION_NOISE: u64 = 1;

/// How far a clip is.
pub struct ClipProgress<'a> {
    /// Steps that are done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// x̂ of the last step, [1, T, numbers].
    pub clean: &'a Tensor,
}

/// A clip.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeClip {
    /// Its frames, u8 RGB [T, H, W, 3].
    pub images: Vec<u8>,
    /// What was done in it, `[T]`: `actions[t]` led to frame t, `actions[0]` is 0. Empty if the network
    /// knows no actions.
    pub actions: Vec<u32>,
    /// Words of prompt and negative prompt that the network does not know.
    pub unknown: Vec<String>,
    /// Words at the end of the prompts that were left out.
    pub left_out: usize,
}

impl MadeClip {
    /// Its frames with the actions that led to them.
    pub fn clip(&self) -> Clip {
        Clip {
            images: self.images.clone(),
            actions: self.actions.iter().copied().map(Action::from).collect(),
        }
    }
}

/// A trained network with its world's tokenizer.
pub struct ClipMaker {
    world: WorldConfig,
    tokenizer: Tokenizer,
    network: ClipNetwork,
    action_network: Option<ClipNetwork>,
    prompts: PromptReader,
    device: Device,
}

impl ClipMaker {
    /// Whether a checkpoint folder has a clip network.
    pub fn is_in(folder: &Path) -> bool {
        let mut files = [CLIP_CONFIG, CLIP_WEIGHTS].into_iter();
        files.all(|file| folder.join(file).is_file())
    }

    /// Reads a world's checkpoint folder.
    ///
    /// # Errors
    /// Returns an error if the folder holds no world, has no clip network, or if a file is damaged or does
    /// not match the others.
    pub fn read(folder: &Path, device: &Device) -> Result<Self> {
        let world = read_config(folder)?;
        let path: PathBuf = folder.join(CLIP_CONFIG);
        if !path.is_file() {
            let what = format!(
                "has no {CLIP_CONFIG}: this world makes no clips, expected one that was trained with `driftless train clip`"
            );
            return Err(Error::from(driftless_data::Error::invalid(folder, what)));
        }
        let config = ClipConfig::read(&path)?;
        config.check_world(&world, &path)?;
        let params = Params::read(&folder.join(TOKENIZER), device)?;
        let tokenizer = Tokenizer::new(&params, &world)?;
        params.finish()?;
        let network = |file: &str, config: &ClipConfig| {
            let params = Params::read(&folder.join(file), device)?;
            let network = ClipNetwork::new(&params, config)?;
            params.finish()?;
            Ok::<_, Error>(network)
        };
        let actions = config.of_actions();
        let actions = actions.map(|config| network(CLIP_ACTION_WEIGHTS, &config));
        Ok(Self {
            action_network: actions.transpose()?,
            ..Self::new(
                world,
                tokenizer,
                network(CLIP_WEIGHTS, &config)?,
                device.clone(),
            )
        })
    }

    /// A network with the tokenizer of its world, without one that plans actions.
    pub fn new(
        world: WorldConfig,
        tokenizer: Tokenizer,
        network: ClipNetwork,
        device: Device,
    ) -> Self {
        Self {
            prompts: PromptReader::new(network.config()),
            world,
            tokenizer,
            network,
            action_network: None,
            device,
        }
    }

    /// Gives it the text encoder that it was trained with.
    ///
    /// # Errors
    /// Returns an error if it reads prompts without one, or with another one.
    pub fn with_text_encoder(self, encoder: Arc<dyn TextEncoder>) -> Result<Self> {
        Ok(Self {
            prompts: self.prompts.with_encoder(encoder)?,
            ..self
        })
    }

    /// What is known about the network.
    pub fn config(&self) -> &ClipConfig {
        self.network.config()
    }

    /// What is known about the world.
    pub fn world(&self) -> &WorldConfig {
        &self.world
    }

    /// Makes a clip. `progress` is called after each step and cancels by returning `false`.
    ///
    /// # Errors
    /// Returns an error if a parameter is out of its range, if the first frame has another size, if a text
    /// encoder is missing, if `progress` cancels ([`driftless_data::Error::Interrupted`]), or if the device
    /// fails.
    pub fn make(
        &self,
        request: &ClipRequest,
        params: &ClipParams,
        progress: &mut dyn FnMut(&ClipProgress) -> bool,
    ) -> Result<MadeClip> {
        params.check(self.config())?;
        let mut prompts = vec![self.prompts.read(&request.prompt)?];
        let negative = self.prompts.read(&request.negative)?;
        let mut unknown = prompts[0].unknown.clone();
        unknown.extend_from_slice(&negative.unknown);
        let left_out = prompts[0].left_out + negative.left_out;
        if params.guidance != 1.0 {
            prompts.push(negative);
        }
        let known = Known {
            first: self.first_latent(request, params.frames)?,
            actions: self.plan(&prompts, params)?,
        };
        let noise = noise(self.config(), params, FRAME_NOISE, &self.device)?;
        let mut shown = |step, clean: &Tensor| {
            let goes_on = progress(&ClipProgress {
                step,
                steps: params.steps,
                clean,
            });
            if goes_on {
                Ok(())
            } else {
                Err(driftless_data::Error::Interrupted.into())
            }
        };
        let z = self.flow(&self.network, &prompts, params, &known, &noise, &mut shown)?;
        Ok(MadeClip {
            images: self.decode(&z)?,
            actions: self.actions(&z)?,
            unknown,
            left_out,
        })
    }

    /// The actions of a clip, as numbers [1, T, actions], if a network plans them.
    fn plan(&self, prompts: &[Prompt], params: &ClipParams) -> Result<Option<Tensor>> {
        let Some(network) = &self.action_network else {
            return Ok(None);
        };
        let params = ClipParams {
            steps: ACTION_STEPS,
            ..*params
        };
        let noise = noise(network.config(), &params, ACTION_NOISE, &self.device)?;
        let known = Known::default();
        let clean = self.flow(
            network,
            prompts,
            &params,
            &known,
            &noise,
            &mut |_, _| Ok(()),
        )?;
        let rows = clean.squeeze(0)?.to_vec2::<f32>()?;
        let count = self.config().actions;
        let planned: Vec<f32> = rows
            .iter()
            .enumerate()
            .flat_map(|(t, row)| actions::numbers((t > 0).then(|| chosen(row)), count))
            .collect();
        let size = (1, params.frames, count);
        Ok(Some(Tensor::from_vec(planned, size, &self.device)?))
    }

    /// Follows a network's flow from noise [1, T, numbers] to what it leads to. `shown` is called with each step
    /// that is done and its x̂.
    fn flow(
        &self,
        network: &ClipNetwork,
        prompts: &[Prompt],
        params: &ClipParams,
        known: &Known,
        noise: &Tensor,
        shown: &mut dyn FnMut(usize, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let (config, b) = (network.config(), prompts.len());
        let indices: Vec<Vec<u32>> = prompts.iter().map(|p| p.indices.clone()).collect();
        let mut text = TextBatch::new(&indices, config.network.text_words, &self.device)?;
        if let Some(encoder) = &config.text_encoder {
            let states = prompts.iter().map(|prompt| &prompt.states[..]);
            text = text.with_states(states, encoder.width)?;
        }
        let given: Vec<f32> = (0..params.frames)
            .map(|t| f32::from(u8::from(t == 0 && known.first.is_some())))
            .collect();
        let given = Tensor::new(given, &self.device)?.unsqueeze(0)?;
        let mut z = known.with_first(noise)?;
        let shift = config.shift(params.frames);
        let levels = Grid::Shifted { shift }.levels(params.steps, 0.0, 1.0)?;
        for (k, pair) in levels.windows(2).enumerate() {
            let input = ClipInput {
                z: z.repeat((b, 1, 1))?,
                given: given.repeat((b, 1))?,
                tau: Tensor::full(pair[0] as f32, b, &self.device)?,
                steps: Tensor::full(step_index(params.steps), b, &self.device)?,
                text: text.clone(),
            };
            let predicted = network.forward_sparse(&input, params.attention_mass)?;
            let mut clean = predicted.narrow(0, 0, 1)?;
            if b > 1 {
                let away = predicted.narrow(0, 1, 1)?;
                clean = (&away + ((&clean - &away)? * params.guidance)?)?;
            }
            let clean = known.with_all(&clean)?;
            let step = Step::new(FlowPath::Linear, pair[0], pair[1])?;
            z = known.with_first(&((&z * step.z_scale)? + (&clean * step.x_scale)?)?)?;
            shown(k + 1, &clean)?;
        }
        Ok(z)
    }

    /// The frames of x̂ [1, T, numbers], u8 RGB [T, H, W, 3].
    ///
    /// # Errors
    /// Returns an error if the shapes do not match or the device fails.
    pub fn decode(&self, clean: &Tensor) -> Result<Vec<u8>> {
        let config = self.config();
        let ([gh, gw], frames) = (config.grid, clean.dim(1)?);
        let latents =
            clean
                .narrow(2, 0, config.frame_len())?
                .reshape((frames, gh, gw, config.channels))?;
        Ok(tensor_to_images(&self.tokenizer.decode(&latents)?)?)
    }

    /// The actions of x̂ [1, T, numbers], `[T]`.
    fn actions(&self, clean: &Tensor) -> Result<Vec<u32>> {
        let config = self.config();
        if config.actions == 0 {
            return Ok(Vec::new());
        }
        let numbers = clean
            .narrow(2, config.frame_len(), config.actions)?
            .squeeze(0)?
            .to_vec2::<f32>()?;
        let mut actions: Vec<u32> = numbers.iter().map(|numbers| chosen(numbers)).collect();
        // Before the first frame nothing is seen.
        actions[0] = 0;
        Ok(actions)
    }

    /// The given first frame, [1, 1, numbers].
    fn first_latent(&self, request: &ClipRequest, frames: usize) -> Result<Option<Tensor>> {
        let Some(image) = &request.first else {
            return Ok(None);
        };
        if frames == 1 {
            let what = "a clip of one frame that is given leaves nothing to make, expected 2 frames or more";
            return Err(Error::Argument(what.to_owned()));
        }
        let [height, width] = self.world.image;
        if image.len() != height * width * 3 {
            return Err(Error::Argument(format!(
                "the first frame has {} bytes, expected {height}×{width} pixels in RGB",
                image.len()
            )));
        }
        let image = images_to_tensor(image, self.world.image, &self.device)?;
        let latent = self.tokenizer.encode(&image)?.to_dtype(DType::F32)?;
        let config = self.config();
        let latent = latent.reshape((1, 1, config.frame_len()))?;
        Ok(Some(latent.pad_with_zeros(2, 0, config.actions)?))
    }
}

/// Standard normal numbers [1, T, numbers] of a network's frames; each `stream` has its own.
fn noise(config: &ClipConfig, params: &ClipParams, stream: u64, device: &Device) -> Result<Tensor> {
    let size = (1, params.frames, config.frame_numbers());
    let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
    rng.set_stream(stream);
    let values: Vec<f32> = (0..size.1 * size.2)
        .map(|_| StandardNormal.sample(&mut rng))
        .collect();
    Ok(Tensor::from_vec(values, size, device)?)
}

/// What is known of a clip before it is made.
#[derive(Default)]
struct Known {
    /// Its first frame, [1, 1, numbers].
    first: Option<Tensor>,
    /// Its actions, [1, T, actions].
    actions: Option<Tensor>,
}

impl Known {
    /// z with its first frame as it is known, without noise.
    fn with_first(&self, z: &Tensor) -> Result<Tensor> {
        let Some(first) = &self.first else {
            return Ok(z.clone());
        };
        let rest = z.narrow(1, 1, z.dim(1)? - 1)?;
        Ok(Tensor::cat(&[first, &rest], 1)?)
    }

    /// x̂ with everything that is known. Where x̂ is known, z follows the straight path from its noise to it.
    fn with_all(&self, clean: &Tensor) -> Result<Tensor> {
        let clean = match &self.actions {
            Some(actions) => {
                let latents = clean.narrow(2, 0, clean.dim(2)? - actions.dim(2)?)?;
                Tensor::cat(&[&latents, actions], 2)?
            }
            None => clean.clone(),
        };
        self.with_first(&clean)
    }
}
