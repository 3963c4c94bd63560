//! What the thread plays: a learned world or a simulator.

mod agent;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use driftless_agent::{AgentPlayer, Decision};
use driftless_data::{Action, Clip};
use driftless_engine::{
    FrameTexture, Memory, Outcome, Sampler, SamplerParams, Snapshot, StageTimes, reencoding_error,
};
use driftless_worlds::{SimulatorSnapshot, SimulatorState};

use super::{Inspection, TracedPass};
use crate::{Error, Result};

/// Makes one frame after another from one of several starting clips.
pub trait Player: Send {
    /// A short name: `cpu`, `candle cuda`, `simulator`.
    fn name(&self) -> &str;

    /// What to show a person: `CPU, 2 threads`, or the name.
    fn label(&self) -> &str {
        self.name()
    }

    /// The name of the world.
    fn world(&self) -> String;

    /// Frame height and width in pixels.
    fn image_size(&self) -> [usize; 2];

    /// Number of actions; action 0 is the idle one.
    fn actions(&self) -> usize;

    /// Number of axes.
    fn axes(&self) -> usize {
        0
    }

    /// The most that each axis moves in a frame while a person plays.
    fn axis_steps(&self) -> Vec<f32> {
        vec![f32::INFINITY; self.axes()]
    }

    /// Number of starting clips, at least 1.
    fn start_count(&self) -> usize;

    /// Resets to the starting clip with this index.
    ///
    /// # Errors
    /// Returns an error if there is no such clip, if a parameter is out of range, or if the
    /// device fails.
    fn start(&mut self, index: usize, params: &SamplerParams) -> Result<()>;

    /// Makes the next frame under `action`.
    ///
    /// # Errors
    /// Returns an error if the action is unknown, if a parameter is out of range, or if the device
    /// fails.
    fn step(&mut self, action: Action, params: &SamplerParams) -> Result<StageTimes>;

    /// The last frame, u8 RGB `[H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error if the frame cannot be read back from the device.
    fn image(&mut self) -> Result<&[u8]>;

    /// Everything that the next frames depend on.
    ///
    /// # Errors
    /// Returns an error if the state cannot be read back from the device.
    fn snapshot(&mut self) -> Result<PlayerSnapshot>;

    /// Restores a snapshot.
    ///
    /// # Errors
    /// Returns an error if the snapshot is of another world, or if the device fails.
    fn restore(&mut self, saved: &PlayerSnapshot) -> Result<()>;

    /// What a scripted player would do next; `None` if the world has none.
    fn scripted_action(&mut self) -> Option<Action> {
        None
    }

    /// Ground truth of the last frame; `None` for a learned world.
    fn ground_truth(&self) -> Option<GroundTruth> {
        None
    }

    /// The learned world that this player is, for what only those have; `None` for a simulator.
    fn learned(&self) -> Option<&LearnedWorld> {
        None
    }

    /// As [`Player::learned`], to change it.
    fn learned_mut(&mut self) -> Option<&mut LearnedWorld> {
        None
    }

    /// Predicted reward and end of the last frame; `None` if the world predicts none.
    fn outcome(&self) -> Option<Outcome> {
        self.learned().and_then(LearnedWorld::outcome)
    }

    /// The clip of the last start; `None` for a simulator.
    fn starting_clip(&self) -> Option<&Clip> {
        self.learned().and_then(LearnedWorld::starting_clip)
    }
}

/// The state of a player, from which it can continue bit-identically.
#[derive(Clone, Debug, PartialEq)]
pub enum PlayerSnapshot {
    /// Of a learned world.
    Learned(Snapshot),
    /// Of a simulator.
    Simulated(SimulatorSnapshot),
    /// Of a published world of DIAMOND's.
    Diamond(driftless_diamond::WorldSnapshot),
    /// Of a published world whose network sees a window of frames.
    Published(driftless_published::WorldSnapshot),
}

impl PlayerSnapshot {
    /// Approximate size in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Learned(snapshot) => {
                let memory = snapshot.memory.as_deref().map_or(0, Memory::bytes_of_copy);
                4 * snapshot.state.len() + snapshot.image.len() + memory
            }
            Self::Simulated(snapshot) => 4 * snapshot.state.len(),
            Self::Diamond(snapshot) => snapshot.bytes(),
            Self::Published(snapshot) => snapshot.bytes(),
        }
    }

    /// The frame, u8 RGB `[H, W, 3]`; `None` for a simulator.
    pub fn image(&self) -> Option<&[u8]> {
        match self {
            Self::Learned(snapshot) => Some(&snapshot.image),
            Self::Simulated(_) => None,
            Self::Diamond(snapshot) => Some(snapshot.image()),
            Self::Published(snapshot) => Some(&snapshot.image),
        }
    }

    pub(super) fn wrong_kind() -> Error {
        Error::Snapshot("the snapshot is of another kind of player".into())
    }
}

/// What a simulator knows about a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct GroundTruth {
    /// The seed of the world.
    pub seed: u64,
    /// The reward that came with the frame.
    pub reward: f32,
    /// Whether the episode ended with the frame.
    pub ended: bool,
    /// The true state.
    pub state: SimulatorState,
}

/// A learned world: an engine and its starting clips.
pub struct LearnedWorld {
    engine: Sampler,
    clips: Arc<[Clip]>,
    /// How clips came about, by index; kept in recordings.
    notes: BTreeMap<usize, Value>,
    last_start: LastStart,
    inspecting: bool,
    agent: Option<AgentPlayer>,
    /// What the agent thinks of the last frame, once it was asked.
    decision: Option<Decision>,
}

/// The starting clip with this index.
///
/// # Errors
/// Returns an error if there is none.
pub(super) fn clip_at(clips: &[Clip], index: usize) -> Result<&Clip> {
    clips.get(index).ok_or_else(|| {
        Error::Argument(format!(
            "starting clip {index} does not exist: the world has {}",
            clips.len()
        ))
    })
}

/// What a learned world started from.
enum LastStart {
    /// One of its own clips, by index.
    Own(usize),
    Given(Clip),
}

impl LearnedWorld {
    /// A world that predicts frames with `engine`, starting from one of `clips`.
    pub fn new(engine: Sampler, clips: Arc<[Clip]>) -> Self {
        Self {
            engine,
            clips,
            notes: BTreeMap::new(),
            last_start: LastStart::Own(0),
            inspecting: false,
            agent: None,
            decision: None,
        }
    }

    /// Tells how starting clips came about, by index: the prompt of one that was made from words, for
    /// example. Recordings keep it.
    #[must_use]
    pub fn with_notes(self, notes: BTreeMap<usize, Value>) -> Self {
        Self { notes, ..self }
    }

    /// How the clip of the last start came about, if that is known.
    pub fn starting_note(&self) -> Option<&Value> {
        match &self.last_start {
            LastStart::Own(index) => self.notes.get(index),
            LastStart::Given(_) => None,
        }
    }

    /// The clip of the last start.
    pub fn starting_clip(&self) -> Option<&Clip> {
        match &self.last_start {
            LastStart::Own(index) => self.clips.get(*index),
            LastStart::Given(clip) => Some(clip),
        }
    }

    /// One of its own starting clips.
    pub fn clip(&self, index: usize) -> Option<&Clip> {
        self.clips.get(index)
    }

    /// Number of frames that a starting clip should have.
    pub fn context_frames(&self) -> usize {
        self.engine.world().dynamics.context
    }

    /// Resets to a given clip.
    ///
    /// # Errors
    /// Returns an error if the clip does not fit the world, if a parameter is out of range, or if
    /// the device fails.
    pub fn start_from(&mut self, clip: &Clip, params: &SamplerParams) -> Result<()> {
        self.forget_thoughts();
        self.engine.reset(clip, params)?;
        self.last_start = LastStart::Given(clip.clone());
        Ok(())
    }

    /// Whether frames stay on the device from now on, if they can be shown from there.
    pub fn set_keep_on_device(&mut self, on: bool) {
        self.engine.set_keep_on_device(on);
    }

    /// The last frame as a texture on the window's device; `None` if it is not there.
    pub fn frame_texture(&self) -> Option<Arc<FrameTexture>> {
        self.engine.frame_texture()
    }

    /// Turns [`LearnedWorld::passes`] on or off, from the next frame on.
    pub fn record_passes(&mut self, on: bool) {
        self.engine.record_passes(on);
    }

    /// The last frame's denoising passes; empty while they are not recorded.
    ///
    /// # Errors
    /// Returns an error if decoding fails on the device.
    pub fn passes(&mut self) -> Result<Vec<TracedPass>> {
        let passes = self.engine.passes().to_vec();
        let decode = |pass: driftless_engine::DenoisePass| {
            Ok(TracedPass {
                tau: pass.tau,
                noisy: self.engine.decode(&pass.z)?,
                clean: self.engine.decode(&pass.x)?,
            })
        };
        passes.into_iter().map(decode).collect()
    }

    /// Turns [`LearnedWorld::inspection`] on or off, from the next frame on.
    pub fn inspect(&mut self, on: bool) {
        self.inspecting = on;
        self.engine.record_attention(on);
    }

    /// Latent and attention of the last frame; `None` while inspection is off.
    ///
    /// # Errors
    /// Returns an error if they cannot be read back from the device.
    pub fn inspection(&mut self) -> Result<Option<Inspection>> {
        if !self.inspecting {
            return Ok(None);
        }
        Inspection::of(&mut self.engine).map(Some)
    }

    /// The last frame's re-encoding error ([`reencoding_error`]).
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn drift(&mut self) -> Result<f32> {
        Ok(reencoding_error(&mut self.engine)?)
    }

    /// How surprising `image`, u8 RGB `[H, W, 3]`, would be as the next frame
    /// ([`Sampler::surprise`](driftless_engine::Sampler::surprise)).
    ///
    /// # Errors
    /// Returns an error if the image or the action does not fit the world, if a parameter is out of
    /// range, or if the device fails.
    pub fn surprise(
        &mut self,
        image: &[u8],
        action: Action,
        params: &SamplerParams,
    ) -> Result<f32> {
        Ok(self.engine.surprise(image, action, params)?)
    }

    /// Predicted reward and end of the last frame; `None` if the world predicts none.
    pub fn outcome(&self) -> Option<Outcome> {
        self.engine.outcome()
    }
}

impl Player for LearnedWorld {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn label(&self) -> &str {
        self.engine.label()
    }

    fn world(&self) -> String {
        self.engine.world().name.clone()
    }

    fn image_size(&self) -> [usize; 2] {
        self.engine.world().image
    }

    fn actions(&self) -> usize {
        self.engine.world().actions.len()
    }

    fn axes(&self) -> usize {
        self.engine.world().axes.len()
    }

    fn axis_steps(&self) -> Vec<f32> {
        let world = self.engine.world();
        let axes = world.axes.iter();
        axes.map(|axis| axis.largest_step(world.fps)).collect()
    }

    fn start_count(&self) -> usize {
        self.clips.len()
    }

    fn start(&mut self, index: usize, params: &SamplerParams) -> Result<()> {
        self.forget_thoughts();
        self.engine.reset(clip_at(&self.clips, index)?, params)?;
        self.last_start = LastStart::Own(index);
        Ok(())
    }

    fn step(&mut self, action: Action, params: &SamplerParams) -> Result<StageTimes> {
        self.decision = None;
        Ok(self.engine.step(action, params)?)
    }

    fn image(&mut self) -> Result<&[u8]> {
        Ok(self.engine.image()?)
    }

    fn snapshot(&mut self) -> Result<PlayerSnapshot> {
        Ok(self.engine.snapshot().map(PlayerSnapshot::Learned)?)
    }

    fn restore(&mut self, saved: &PlayerSnapshot) -> Result<()> {
        match saved {
            PlayerSnapshot::Learned(snapshot) => {
                self.forget_thoughts();
                Ok(self.engine.restore(snapshot)?)
            }
            _ => Err(PlayerSnapshot::wrong_kind()),
        }
    }

    /// The agent's. Before it has seen a frame, it waits.
    fn scripted_action(&mut self) -> Option<Action> {
        self.agent.as_ref()?;
        let decision = self.decide().ok().flatten();
        Some(decision.map_or(Action::IDLE, |decision| decision.action.into()))
    }

    fn learned(&self) -> Option<&Self> {
        Some(self)
    }

    fn learned_mut(&mut self) -> Option<&mut Self> {
        Some(self)
    }
}
