//! A fake network that replays an episode, to test the measurements.

use std::sync::Arc;

use driftless_data::{ActionSpec, Episode};
use driftless_engine::{DenoiseInput, FrameContext, FrameOutput, FrameRequest, Network, Outcome};
use driftless_engine::{Error, Readback, Result, Sampler, WholeFrames};
use driftless_model::config::{DynamicsConfig, FORMAT_VERSION, TokenizerConfig, WorldConfig};

/// What a [`FakeNetwork`] shows after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FakeBehaviour {
    /// The episode's next frame.
    Perfect,
    /// The last frame of the starting clip.
    Frozen,
    /// The episode's next frame if the action is the true one, else the last frame shown.
    Obedient,
    /// The background colour.
    Empty,
}

/// A network that knows an episode by heart.
struct FakeNetwork {
    episode: Arc<Episode>,
    behaviour: FakeBehaviour,
    /// The last frame's place in the episode, and that of the frame shown.
    t: usize,
    shown: usize,
    /// The images that were encoded last.
    encoded: Vec<u8>,
}

/// A sampler that replays an episode.
pub(crate) fn fake_sampler(episode: Arc<Episode>, behaviour: FakeBehaviour) -> Sampler {
    let network = FakeNetwork {
        episode,
        behaviour,
        t: 0,
        shown: 0,
        encoded: Vec::new(),
    };
    Sampler::new(Box::new(network), world())
}

pub(crate) fn world() -> WorldConfig {
    let action = |name: &str| ActionSpec {
        name: name.to_owned(),
        keys: vec![],
    };
    WorldConfig {
        format: FORMAT_VERSION,
        flow: driftless_model::config::FlowConfig::default(),
        sampling: driftless_model::config::SamplingConfig::default(),
        name: "fake".to_owned(),
        fps: 15.0,
        image: [64, 64],
        actions: vec![action("noop"), action("up"), action("down")],
        axes: Vec::new(),
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
            memory: None,
            delta_state: false,
        },
    }
}

impl FakeNetwork {
    /// The place of the last of these frames in the episode.
    fn find(&self, images: &[u8]) -> Option<usize> {
        let frames = images.len() / world().image_len();
        let clips = frames..=self.episode.frames();
        let mut clips = clips.map(|end| (end, self.episode.clip(end - frames..end)));
        clips.find_map(|(end, clip)| (clip.images == images).then_some(end - 1))
    }
}

impl Network for FakeNetwork {
    fn name(&self) -> &str {
        "fake"
    }

    fn begin_frame(&mut self, _: &FrameContext) -> Result<()> {
        Ok(())
    }

    fn denoise(&mut self, _: &DenoiseInput, _: &mut [f32]) -> Result<()> {
        Err(Error::Argument("the fake makes whole frames".to_owned()))
    }

    fn write_cache(&mut self, _: &DenoiseInput) -> Result<Option<Outcome>> {
        Ok(None)
    }

    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()> {
        self.encoded = images.to_vec();
        let frames = images.chunks_exact(world().image_len());
        for (latent, frame) in latents.chunks_exact_mut(4).zip(frames) {
            latent.copy_from_slice(&quadrants(frame));
        }
        Ok(())
    }

    /// Gives back what was encoded last.
    fn decode(&mut self, _: &[f32], images: &mut [u8]) -> Result<()> {
        images.copy_from_slice(&self.encoded);
        Ok(())
    }

    fn save_cache(&self, out: &mut [f32]) -> Result<()> {
        [out[0], out[1]] = [1.0 + self.t as f32, self.shown as f32];
        Ok(())
    }

    /// An empty cache is that of a reset, to the images that were just encoded.
    fn load_cache(&mut self, cache: &[f32]) -> Result<()> {
        if cache[0] > 0.0 {
            (self.t, self.shown) = (cache[0] as usize - 1, cache[1] as usize);
            return Ok(());
        }
        let found = self.find(&self.encoded);
        let missing = || Error::Argument("the starting clip is not part of the episode".to_owned());
        self.t = found.ok_or_else(missing)?;
        self.shown = self.t;
        Ok(())
    }

    fn whole_frames(&mut self) -> Option<&mut dyn WholeFrames> {
        Some(self)
    }
}

impl WholeFrames for FakeNetwork {
    fn supports_steps(&self, _: usize) -> bool {
        true
    }

    fn set_past(&mut self, _: &[f32]) {}

    fn run_frame(
        &mut self,
        request: &FrameRequest,
        readback: Option<Readback>,
    ) -> Result<FrameOutput> {
        self.t += 1;
        let is_true_action = {
            let action = request.action;
            self.t < self.episode.frames() && self.episode.action(self.t) == action
        };
        match self.behaviour {
            FakeBehaviour::Perfect => self.shown = self.t,
            FakeBehaviour::Obedient if is_true_action => self.shown = self.t,
            FakeBehaviour::Obedient | FakeBehaviour::Frozen | FakeBehaviour::Empty => {}
        }
        let Some(Readback { latent, image, .. }) = readback else {
            return Ok(FrameOutput::default());
        };
        match self.behaviour {
            FakeBehaviour::Empty => image.copy_from_slice(&[144, 72, 17].repeat(64 * 64)),
            _ => image.copy_from_slice(self.episode.frame(self.shown)),
        }
        // Differs by half a grey level from the encoding of the image.
        for (latent, quadrant) in latent.iter_mut().zip(quadrants(image)) {
            *latent = quadrant + 0.5;
        }
        Ok(FrameOutput::default())
    }

    fn read_back(&mut self, _: Readback) -> Result<()> {
        Ok(())
    }
}

/// The latent of a frame: the means of its four quadrants.
fn quadrants(frame: &[u8]) -> [f32; 4] {
    let mut quadrants = [0.0; 4];
    for (i, &value) in frame.iter().enumerate() {
        let (x, y) = (i / 3 % 64, i / 3 / 64);
        quadrants[y / 32 * 2 + x / 32] += f32::from(value) / 3072.0;
    }
    quadrants
}
