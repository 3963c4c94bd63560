//! Engines that are not networks, for tests of the measures.

use std::sync::Arc;

use driftless_data::ActionSpec;
use driftless_data::Clip;
use driftless_data::Episode;
use driftless_engine::{Engine, Pass, SamplerParams, Snapshot, StageTimes};
use driftless_engine::{Error, Result};
use driftless_model::config::{DynamicsConfig, FORMAT_VERSION, TokenizerConfig, WorldConfig};

/// What a [`Fake`] shows after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The episode's next frame: a perfect world.
    Perfect,
    /// The context's last frame.
    Frozen,
    /// The episode's next frame if the action is the true one, else the context's last frame.
    Strict,
    /// The colour of the background.
    Empty,
}

/// Plays an episode that it knows by heart.
pub(crate) struct Fake {
    world: WorldConfig,
    episode: Arc<Episode>,
    manner: Manner,
    t: usize,
    image: Vec<u8>,
    latent: Vec<f32>,
}

impl Fake {
    pub(crate) fn new(episode: Arc<Episode>, manner: Manner) -> Self {
        Self {
            world: world(),
            image: episode.frame(0).to_vec(),
            latent: Vec::new(),
            t: 0,
            episode,
            manner,
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

impl Engine for Fake {
    fn world(&self) -> &WorldConfig {
        &self.world
    }

    fn name(&self) -> &str {
        "fake"
    }

    fn reset(&mut self, context: &Clip, _: &SamplerParams) -> Result<()> {
        let places = (0..=self.episode.frames() - context.frames()).find(|&start| {
            self.episode.clip(start..start + context.frames()).images == context.images
        });
        let start = places.ok_or_else(|| Error::Argument("an unknown context".to_owned()))?;
        self.t = start + context.frames() - 1;
        self.image = self.episode.frame(self.t).to_vec();
        Ok(())
    }

    fn step(&mut self, action: u32, _: &SamplerParams) -> Result<StageTimes> {
        self.t += 1;
        let right = self.episode.actions.get(self.t) == Some(&action);
        match self.manner {
            Manner::Perfect => self.image = self.episode.frame(self.t).to_vec(),
            Manner::Strict if right => self.image = self.episode.frame(self.t).to_vec(),
            Manner::Strict | Manner::Frozen => {}
            Manner::Empty => self.image = [144, 72, 17].repeat(64 * 64),
        }
        // Half a grey level off what the picture is encoded to.
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

    fn trace(&mut self, _on: bool) {}

    fn passes(&self) -> &[Pass] {
        &[]
    }

    fn decode(&mut self, _latents: &[f32]) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// The latent of a frame: the means of its four quarters.
    fn encode(&mut self, images: &[u8]) -> Result<Vec<f32>> {
        let mut latents = Vec::new();
        for frame in images.chunks_exact(self.world.image_len()) {
            let mut quarters = [0.0; 4];
            for (i, &value) in frame.iter().enumerate() {
                let (x, y) = (i / 3 % 64, i / 3 / 64);
                quarters[y / 32 * 2 + x / 32] += f32::from(value) / 3072.0;
            }
            latents.extend(quarters);
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
