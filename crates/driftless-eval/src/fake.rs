//! A fake engine that replays an episode, to test the measurements.

use std::sync::Arc;

use driftless_data::{ActionSpec, Clip, Episode};
use driftless_engine::{DenoisePass, Engine, Error, Result, SamplerParams, Snapshot, StageTimes};
use driftless_model::config::{DynamicsConfig, FORMAT_VERSION, TokenizerConfig, WorldConfig};

/// What a [`FakeEngine`] shows after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FakeBehaviour {
    /// The episode's next frame.
    Perfect,
    /// The last frame of the context.
    Frozen,
    /// The episode's next frame if the action is the true one, else the last frame shown.
    Obedient,
    /// The background colour.
    Empty,
}

/// An engine that replays an episode.
pub(crate) struct FakeEngine {
    world: WorldConfig,
    episode: Arc<Episode>,
    behaviour: FakeBehaviour,
    t: usize,
    image: Vec<u8>,
    latent: Vec<f32>,
}

impl FakeEngine {
    pub(crate) fn new(episode: Arc<Episode>, behaviour: FakeBehaviour) -> Self {
        Self {
            world: world(),
            image: episode.frame(0).to_vec(),
            latent: Vec::new(),
            t: 0,
            episode,
            behaviour,
        }
    }
}

pub(crate) fn world() -> WorldConfig {
    let action = |name: &str| ActionSpec {
        name: name.to_owned(),
        keys: vec![],
    };
    WorldConfig {
        format: FORMAT_VERSION,
        flow: driftless_model::config::FlowConfig::default(),
        name: "fake".to_owned(),
        fps: 15.0,
        image: [64, 64],
        actions: vec![action("noop"), action("up"), action("down")],
        tokenizer: TokenizerConfig {
            patch: 32,
            width: 8,
            hidden: 10,
            blocks: 1,
            channels: 1,
        },
        dynamics: DynamicsConfig {
            merge: 1,
            stem_width: 8,
            stem_frames: 1,
            width: 8,
            depth: 1,
            heads: 1,
            mlp: 8,
            time_every: 1,
            context: 16,
            registers: 0,
            k_max: 4,
            unknown_action: false,
            outcome: 0,
        },
    }
}

impl Engine for FakeEngine {
    fn world(&self) -> &WorldConfig {
        &self.world
    }

    fn name(&self) -> &str {
        "fake"
    }

    fn reset(&mut self, context: &Clip, _: &SamplerParams) -> Result<()> {
        let start = (0..=self.episode.frames() - context.frames()).find(|&start| {
            self.episode.clip(start..start + context.frames()).images == context.images
        });
        let start = start
            .ok_or_else(|| Error::Argument("the context is not part of the episode".to_owned()))?;
        self.t = start + context.frames() - 1;
        self.image = self.episode.frame(self.t).to_vec();
        Ok(())
    }

    fn step(&mut self, action: u32, _: &SamplerParams) -> Result<StageTimes> {
        self.t += 1;
        let is_true_action = self.episode.actions.get(self.t) == Some(&action);
        match self.behaviour {
            FakeBehaviour::Perfect => self.image = self.episode.frame(self.t).to_vec(),
            FakeBehaviour::Obedient if is_true_action => {
                self.image = self.episode.frame(self.t).to_vec();
            }
            FakeBehaviour::Obedient | FakeBehaviour::Frozen => {}
            FakeBehaviour::Empty => self.image = [144, 72, 17].repeat(64 * 64),
        }
        // Differs by half a grey level from the encoding of the image.
        let image = self.image.clone();
        self.latent = self.encode(&image)?.iter().map(|z| z + 0.5).collect();
        Ok(StageTimes::default())
    }

    fn image(&mut self) -> Result<&[u8]> {
        Ok(&self.image)
    }

    fn latent(&mut self) -> Result<&[f32]> {
        Ok(&self.latent)
    }

    fn record_passes(&mut self, _on: bool) {}

    fn passes(&self) -> &[DenoisePass] {
        &[]
    }

    fn decode(&mut self, _latents: &[f32]) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// The latent of a frame: the means of its four quadrants.
    fn encode(&mut self, images: &[u8]) -> Result<Vec<f32>> {
        let mut latents = Vec::new();
        for frame in images.chunks_exact(self.world.image_len()) {
            let mut quadrants = [0.0; 4];
            for (i, &value) in frame.iter().enumerate() {
                let (x, y) = (i / 3 % 64, i / 3 / 64);
                quadrants[y / 32 * 2 + x / 32] += f32::from(value) / 3072.0;
            }
            latents.extend(quadrants);
        }
        Ok(latents)
    }

    fn reconstruct(&mut self, images: &[u8]) -> Result<Vec<u8>> {
        Ok(images.to_vec())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(Snapshot {
            frame: self.t as u64,
            state: vec![],
            outcome: None,
            image: self.image.clone(),
        })
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.t = snapshot.frame as usize;
        self.image.clone_from(&snapshot.image);
        Ok(())
    }
}
