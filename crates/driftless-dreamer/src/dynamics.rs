//! The dynamics: tokens of action, noise level, step size, latents and registers of each frame, of which the network
//! predicts the clean latents.

use driftless_data::MAX_AXES;
use driftless_engine::kernels::Workers;
use driftless_published::{Activation, Error, Linear, Result, Sides, Weights};

use crate::options::{MAX_HEADS, Options};
use crate::positions::Positions;
use crate::shortcut::Level;
use crate::stack::{Stack, StackSpec};
use crate::tokenizer::HEADS;

/// Frames of a window that the published network was trained on, where the file does not tell it.
const WINDOW: usize = 32;
/// Most frames of a window.
const MAX_WINDOW: usize = 1024;
/// Most tokens of agents.
const MAX_AGENTS: usize = 64;
/// Tokens of a frame before its latents: action, signal level, step size.
const LABELS: usize = 3;

/// The network with its cache and buffers.
pub(crate) struct Dynamics {
    /// The finest step is one over this.
    pub k_max: usize,
    /// Actuators; none if the network was trained without actions.
    pub actuators: usize,
    /// Frames of a window.
    pub window: usize,
    /// Numbers of a latent that a token takes, and such tokens of a frame.
    packed: [usize; 2],
    width: usize,
    tokens: usize,
    action: ActionEncoder,
    signals: Vec<f32>,
    steps: Vec<f32>,
    embed: Linear,
    registers: Vec<f32>,
    stack: Stack,
    positions: Positions,
    last: Linear,
}

/// Actions as tokens.
struct ActionEncoder {
    base: Vec<f32>,
    hidden: Linear,
    out: Linear,
}

/// A frame as the network takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Input<'a> {
    pub latent: &'a [f32],
    /// Where the actuators were, from −1 to 1. They do not count for the first frame of a window.
    pub controls: &'a [f32],
    pub level: Level,
}

impl ActionEncoder {
    fn read(weights: &mut Weights, width: usize) -> Result<Self> {
        let hidden = weights.linear("action_encoder.fc1", Sides::default())?;
        if hidden.inputs > MAX_AXES {
            let shape = [hidden.outputs, hidden.inputs];
            let expected = format!("at most {MAX_AXES} inputs");
            return Err(weights.wrong("action_encoder.fc1.weight", &shape, &expected));
        }
        let out = Sides::of(hidden.outputs).to(width);
        let out = weights.linear("action_encoder.fc2", out)?;
        Ok(Self {
            base: weights.vector("action_encoder.base", width)?,
            hidden: Linear::new(&hidden),
            out: Linear::new(&out),
        })
    }

    /// The token of an action; without one, the base alone.
    fn encode(&self, workers: &Workers, controls: Option<&[f32]>, token: &mut [f32]) {
        token.copy_from_slice(&self.base);
        let Some(controls) = controls else { return };
        let controls: Vec<f32> = controls.iter().map(|x| x.clamp(-1.0, 1.0)).collect();
        let mut hidden = vec![0.0; self.hidden.outputs()];
        self.hidden
            .apply(workers, &controls, &mut hidden, Activation::Silu);
        let mut out = vec![0.0; token.len()];
        self.out.apply(workers, &hidden, &mut out, Activation::None);
        token.iter_mut().zip(out).for_each(|(x, out)| *x += out);
    }
}

impl Dynamics {
    /// The network in a file, for latents of so many tokens and numbers of each.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing or of another shape, or if the options do not fit the tensors.
    pub(crate) fn read(
        weights: &mut Weights,
        options: &Options,
        latent: [usize; 2],
    ) -> Result<Self> {
        let embed = weights.linear("spatial_proj", Sides::default())?;
        let (width, numbers) = (embed.outputs, embed.inputs);
        let [latents, channels] = latent;
        let len = latents * channels;
        if !numbers.is_multiple_of(channels) || !len.is_multiple_of(numbers) {
            let expected =
                format!("whole tokens of {channels} that divide the tokenizer's {latents}");
            return Err(weights.wrong("spatial_proj.weight", &[width, numbers], &expected));
        }
        let signals = weights.take("signal_embed.weight", 2)?;
        let k_max = signals.shape[0] - 1;
        if !k_max.is_power_of_two() || signals.shape[1] != width {
            let expected = format!("a power of two and one more rows of {width}");
            return Err(weights.wrong("signal_embed.weight", &signals.shape, &expected));
        }
        let steps = weights.take("step_embed.weight", 2)?;
        let rows = k_max.ilog2() as usize + 1;
        if steps.shape != [rows, width] {
            let expected = format!("[{rows}, {width}]");
            return Err(weights.wrong("step_embed.weight", &steps.shape, &expected));
        }
        let registers = weights.take("register_tokens", 2)?;
        if registers.shape[1] != width {
            let expected = format!("rows of {width}");
            return Err(weights.wrong("register_tokens", &registers.shape, &expected));
        }
        let packed = [numbers, len / numbers];
        let tokens = LABELS + packed[1] + registers.shape[0] + mixed_agents(weights, options)?;
        let spec = StackSpec {
            name: "transformer",
            width,
            heads: options.count("n_heads", 1..=MAX_HEADS, HEADS)?,
            tokens,
            sight: vec![[0..tokens, 0..tokens]],
            in_time: tokens,
        };
        let action = ActionEncoder::read(weights, width)?;
        let window = window(options)?;
        let scaled = options.flag("scale_pos_embeds", true);
        let last = weights.linear("flow_x_head", Sides::of(width).to(numbers))?;
        Ok(Self {
            k_max,
            actuators: if options.flag("use_actions", true) {
                action.hidden.inputs()
            } else {
                0
            },
            window,
            packed,
            width,
            tokens,
            action,
            signals: signals.values,
            steps: steps.values,
            embed: Linear::new(&embed),
            registers: registers.values,
            stack: Stack::read(weights, spec)?,
            positions: Positions::new([window, tokens], width, scaled),
            last: Linear::new(&last),
        })
    }

    /// Makes room for so many threads.
    pub(crate) fn reserve(&mut self, threads: usize) {
        self.stack.reserve(threads);
    }

    /// Fills the cache with frames in a row, the first of which is at `first` in the window, given those before.
    pub(crate) fn remember(&mut self, workers: &Workers, first: usize, frames: &[Input]) {
        if frames.is_empty() {
            return;
        }
        let mut x = self.embedded(workers, first, frames);
        self.stack.remember(workers, first, &mut x);
    }

    /// The clean latent that the network predicts for a noisy frame at `position` in the window, given the frames
    /// before it in the cache.
    ///
    /// # Errors
    /// Returns an error if a number is not finite.
    pub(crate) fn predict(
        &mut self,
        workers: &Workers,
        position: usize,
        frame: Input,
    ) -> Result<Vec<f32>> {
        let mut x = self.embedded(workers, position, &[frame]);
        self.stack.run(workers, position, &mut x);
        let [numbers, count] = self.packed;
        let spatial = &x[LABELS * self.width..][..count * self.width];
        let mut latent = vec![0.0; numbers * count];
        self.last
            .apply(workers, spatial, &mut latent, Activation::None);
        if !latent.iter().all(|value| value.is_finite()) {
            return Err(Error::NotFinite);
        }
        Ok(latent)
    }

    /// The tokens of frames with their positions, `[frames, tokens, width]`.
    fn embedded(&self, workers: &Workers, first: usize, frames: &[Input]) -> Vec<f32> {
        let (width, len) = (self.width, self.tokens * self.width);
        let latents: Vec<f32> = frames.iter().flat_map(|f| f.latent).copied().collect();
        let mut spatial = vec![0.0; frames.len() * self.packed[1] * width];
        self.embed
            .apply(workers, &latents, &mut spatial, Activation::None);
        let spatial = spatial.chunks_exact(self.packed[1] * width);
        let rest = vec![0.0; self.actuators];
        let mut x = vec![0.0; frames.len() * len];
        let all = x.chunks_exact_mut(len).zip(frames).zip(spatial);
        for (i, ((x, frame), spatial)) in all.enumerate() {
            let controls = if first + i == 0 {
                &rest
            } else {
                frame.controls
            };
            let controls = (self.actuators > 0).then_some(controls);
            let (labels, others) = x.split_at_mut(LABELS * width);
            self.action.encode(workers, controls, &mut labels[..width]);
            let Level { signal, step } = frame.level;
            labels[width..2 * width].copy_from_slice(&self.signals[signal * width..][..width]);
            labels[2 * width..].copy_from_slice(&self.steps[step * width..][..width]);
            let (latents, others) = others.split_at_mut(spatial.len());
            latents.copy_from_slice(spatial);
            others[..self.registers.len()].copy_from_slice(&self.registers);
            self.positions.add(first + i, x);
        }
        x
    }
}

/// Frames of a window that the dynamics with these options were trained on.
///
/// # Errors
/// Returns an error if the option is no number of frames.
pub(crate) fn window(options: &Options) -> Result<usize> {
    options.count("seq_len", 2..=MAX_WINDOW, WINDOW)
}

/// Tokens of agents that the others see. They are empty without a task, but have positions. Where they are seen by
/// nobody, they are left out.
fn mixed_agents(weights: &Weights, options: &Options) -> Result<usize> {
    match options
        .text("space_mode")
        .or(options.text("agent_space_mode"))
    {
        None | Some("wm_agent_isolated") => Ok(0),
        Some("wm_agent") => options.count("n_agent", 0..=MAX_AGENTS, 0),
        Some(other) => Err(weights.error(format!(
            "option `space_mode` is `{other}`, expected wm_agent_isolated or wm_agent"
        ))),
    }
}
