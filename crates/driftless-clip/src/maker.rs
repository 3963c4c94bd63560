//! Makes clips with a trained network.

use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use driftless_data::{Action, Clip, PathError as _};
use driftless_flow::objective::Step;
use driftless_flow::path::Path as FlowPath;
use driftless_flow::solver::Grid;
use driftless_model::checkpoint::{TOKENIZER, read_config};
use driftless_model::config::WorldConfig;
use driftless_model::params::Params;
use driftless_model::tokenizer::{Tokenizer, images_to_tensor, tensor_to_images};

use crate::actions::chosen;
use crate::config::{CLIP_CONFIG, CLIP_WEIGHTS, ClipConfig, step_index};
use crate::network::{ClipInput, ClipNetwork, TextBatch};
use crate::vocabulary::{Vocabulary, Words};
use crate::{Error, Result};

/// What a clip shall show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClipRequest {
    /// What it shows, in words. Without words, any clip is made.
    pub prompt: String,
    /// What it does not show; guidance leads away from it.
    pub negative: String,
    /// Its first frame, u8 RGB [H, W, 3].
    pub first: Option<Vec<u8>>,
}

impl ClipRequest {
    /// A clip that shows what the prompt says.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            ..Self::default()
        }
    }
}

/// How a clip is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipParams {
    /// Length in frames.
    pub frames: usize,
    /// Sampling steps. For 4, 8 and 16 the network has learned shortcuts.
    pub steps: usize,
    /// x̂ = x̂(negative) + guidance · (x̂(prompt) − x̂(negative)). 1 takes one pass a step, any other value
    /// two.
    pub guidance: f64,
    /// Seed of the noise.
    pub seed: u64,
}

impl ClipParams {
    /// The defaults of a network.
    pub fn of(config: &ClipConfig) -> Self {
        Self {
            frames: config.lengths.first().copied().unwrap_or(1),
            steps: config.sampling.steps,
            guidance: config.sampling.guidance,
            seed: 0,
        }
    }

    fn check(&self, config: &ClipConfig) -> Result<()> {
        let wrong = |what: String| Err(Error::Argument(what));
        let most = config.lengths.last().copied().unwrap_or(1);
        if !(2..=most).contains(&self.frames) {
            let frames = self.frames;
            return wrong(format!(
                "{frames} frames are out of range, expected 2 to {most}, which the network has learned"
            ));
        }
        if !(1..=1000).contains(&self.steps) {
            return wrong(format!(
                "{} steps are out of range, expected 1 to 1000",
                self.steps
            ));
        }
        if !(0.0..=20.0).contains(&self.guidance) {
            let guidance = self.guidance;
            return wrong(format!(
                "guidance {guidance} is out of range, expected 0 to 20"
            ));
        }
        Ok(())
    }
}

/// How a clip came about: all that is needed to make it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipOrigin {
    /// What it was to show.
    pub prompt: String,
    /// What it was not to show.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub negative: String,
    /// Whether its first frame was given.
    #[serde(default)]
    pub first_given: bool,
    /// Whether the world has drawn the frames after the first.
    #[serde(default)]
    pub drawn_by_world: bool,
    /// Length in frames.
    pub frames: usize,
    /// Sampling steps.
    pub steps: usize,
    /// Guidance.
    pub guidance: f64,
    /// Seed of the noise.
    pub seed: u64,
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

impl ClipOrigin {
    /// That of a clip which is made like this.
    pub fn new(request: &ClipRequest, params: &ClipParams) -> Self {
        Self {
            prompt: request.prompt.clone(),
            negative: request.negative.clone(),
            first_given: request.first.is_some(),
            drawn_by_world: false,
            frames: params.frames,
            steps: params.steps,
            guidance: params.guidance,
            seed: params.seed,
        }
    }
}

impl fmt::Display for ClipOrigin {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.prompt)?;
        if !self.negative.is_empty() {
            write!(f, ", not {:?}", self.negative)?;
        }
        if self.first_given {
            write!(f, ", first frame given")?;
        }
        if self.drawn_by_world {
            write!(f, ", drawn by the world")?;
        }
        let Self {
            frames,
            steps,
            guidance,
            seed,
            ..
        } = self;
        write!(
            f,
            "; {frames} frames, {steps} steps, guidance {guidance}, seed {seed}"
        )
    }
}

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

/// A trained network with its world's tokenizer.
pub struct ClipMaker {
    world: WorldConfig,
    tokenizer: Tokenizer,
    network: ClipNetwork,
    vocabulary: Vocabulary,
    device: Device,
}

impl ClipMaker {
    /// Whether a checkpoint folder has a clip network.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(CLIP_CONFIG).is_file()
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
        let params = Params::read(&folder.join(CLIP_WEIGHTS), device)?;
        let network = ClipNetwork::new(&params, &config)?;
        params.finish()?;
        Ok(Self::new(world, tokenizer, network, device.clone()))
    }

    /// A network with the tokenizer of its world.
    pub fn new(
        world: WorldConfig,
        tokenizer: Tokenizer,
        network: ClipNetwork,
        device: Device,
    ) -> Self {
        Self {
            vocabulary: Vocabulary::new(&network.config().vocabulary),
            world,
            tokenizer,
            network,
            device,
        }
    }

    /// What is known about the network.
    pub fn config(&self) -> &ClipConfig {
        self.network.config()
    }

    /// What is known about the world.
    pub fn world(&self) -> &WorldConfig {
        &self.world
    }

    /// A prompt as the network reads it.
    pub fn words(&self, prompt: &str) -> Words {
        self.vocabulary
            .read(prompt, self.config().network.text_words)
    }

    /// Makes a clip. `progress` is called after each step and cancels by returning `false`.
    ///
    /// # Errors
    /// Returns an error if a parameter is out of its range, if the first frame has another size, if
    /// `progress` cancels ([`driftless_data::Error::Interrupted`]), or if the device fails.
    pub fn make(
        &self,
        request: &ClipRequest,
        params: &ClipParams,
        progress: &mut dyn FnMut(&ClipProgress) -> bool,
    ) -> Result<MadeClip> {
        let config = self.config();
        params.check(config)?;
        let first = self.first_latent(request)?;
        let (prompt, negative) = (self.words(&request.prompt), self.words(&request.negative));
        let is_guided = params.guidance != 1.0;
        let mut prompts = vec![prompt.indices.clone()];
        if is_guided {
            prompts.push(negative.indices.clone());
        }
        let text = TextBatch::new(&prompts, config.network.text_words, &self.device)?;
        let mut z = pinned(&self.noise(params)?, first.as_ref())?;
        let shift = config.shift(params.frames);
        let levels = Grid::Shifted { shift }.levels(params.steps, 0.0, 1.0)?;
        for (k, pair) in levels.windows(2).enumerate() {
            let b = prompts.len();
            let given =
                [1.0, 0.0].map(|is_first: f32| if first.is_some() { is_first } else { 0.0 });
            let mut given_frames = vec![given[1]; params.frames];
            given_frames[0] = given[0];
            let input = ClipInput {
                z: z.repeat((b, 1, 1))?,
                given: Tensor::new(given_frames, &self.device)?
                    .unsqueeze(0)?
                    .repeat((b, 1))?,
                tau: Tensor::full(pair[0] as f32, b, &self.device)?,
                steps: Tensor::full(step_index(params.steps), b, &self.device)?,
                text: text.clone(),
            };
            let predicted = self.network.forward(&input)?;
            let mut clean = predicted.narrow(0, 0, 1)?;
            if is_guided {
                let away = predicted.narrow(0, 1, 1)?;
                clean = (&away + ((&clean - &away)? * params.guidance)?)?;
            }
            let clean = pinned(&clean, first.as_ref())?;
            let step = Step::new(FlowPath::Linear, pair[0], pair[1])?;
            z = pinned(
                &((&z * step.z_scale)? + (&clean * step.x_scale)?)?,
                first.as_ref(),
            )?;
            let goes_on = progress(&ClipProgress {
                step: k + 1,
                steps: params.steps,
                clean: &clean,
            });
            if !goes_on {
                return Err(driftless_data::Error::Interrupted.into());
            }
        }
        let mut unknown = prompt.unknown;
        unknown.extend(negative.unknown);
        Ok(MadeClip {
            images: self.decode(&z)?,
            actions: self.actions(&z)?,
            unknown,
            left_out: prompt.left_out + negative.left_out,
        })
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

    /// Standard normal frames [1, T, numbers].
    fn noise(&self, params: &ClipParams) -> Result<Tensor> {
        let size = (1, params.frames, self.config().frame_numbers());
        let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
        let values: Vec<f32> = (0..size.1 * size.2)
            .map(|_| StandardNormal.sample(&mut rng))
            .collect();
        Ok(Tensor::from_vec(values, size, &self.device)?)
    }

    /// The given first frame, [1, 1, numbers].
    fn first_latent(&self, request: &ClipRequest) -> Result<Option<Tensor>> {
        let Some(image) = &request.first else {
            return Ok(None);
        };
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

/// The clip with its first frame replaced, if one is given.
fn pinned(clip: &Tensor, first: Option<&Tensor>) -> Result<Tensor> {
    match first {
        Some(first) => {
            let rest = clip.narrow(1, 1, clip.dim(1)? - 1)?;
            Ok(Tensor::cat(&[first, &rest], 1)?)
        }
        None => Ok(clip.clone()),
    }
}
