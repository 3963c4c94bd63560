//! What is asked of a network that makes clips.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{ClipConfig, is_whole, whole};
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
    /// The share of the attention between blocks of tokens that is computed
    /// ([`crate::ClipNetwork::forward_sparse`]); 1 is all.
    pub attention_mass: f64,
}

impl ClipParams {
    /// The defaults of a network.
    pub fn of(config: &ClipConfig) -> Self {
        Self {
            frames: config.lengths.first().copied().unwrap_or(1),
            steps: config.sampling.steps,
            guidance: config.sampling.guidance,
            seed: 0,
            attention_mass: config.sampling.attention_mass,
        }
    }

    /// Checks what can be asked of a network.
    ///
    /// # Errors
    /// Returns the first parameter that is out of its range.
    pub fn check(&self, config: &ClipConfig) -> Result<()> {
        let wrong = |what: String| Err(Error::Argument(what));
        // A clip moves, unless the network has learned from single frames.
        let least = config.lengths.first().copied().unwrap_or(1).min(2);
        let most = config.lengths.last().copied().unwrap_or(1);
        if !(least..=most).contains(&self.frames) {
            let frames = self.frames;
            return wrong(format!(
                "{frames} frames are out of range, expected {least} to {most}: the network has learned {}",
                learned(&config.lengths)
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
        if !(0.0..=1.0).contains(&self.attention_mass) {
            let mass = self.attention_mass;
            return wrong(format!(
                "attention mass {mass} is out of range, expected 0 to 1"
            ));
        }
        Ok(())
    }
}

/// Lengths in words: "clips of 16 and 32 frames".
fn learned(lengths: &[usize]) -> String {
    let names: Vec<String> = lengths.iter().map(usize::to_string).collect();
    match &names[..] {
        [rest @ .., last] if !rest.is_empty() => {
            format!("clips of {} and {last} frames", rest.join(", "))
        }
        _ => format!("clips of {} frames", names.concat()),
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
    /// The share of the attention that was computed.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub attention_mass: f64,
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
            attention_mass: params.attention_mass,
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
        )?;
        if !is_whole(&self.attention_mass) {
            write!(f, ", attention mass {}", self.attention_mass)?;
        }
        Ok(())
    }
}
