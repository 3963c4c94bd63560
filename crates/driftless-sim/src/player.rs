//! What the thread plays: a world model that dreams, or a real simulator.

use std::sync::Arc;

use super::{Inspection, TracedPass};
use crate::{Error, Result};
use driftless_data::Clip;
use driftless_engine::{
    Engine, Outcome, Painting, SamplerParams, Snapshot, StageTimes, reencoding_error,
};
use driftless_worlds::{State, World};

/// Makes one frame after another from one of several starts.
pub trait Player: Send {
    /// A short name for people: `cpu`, `candle cuda`, `simulator`.
    fn name(&self) -> &str;

    /// The name of the world that is played.
    fn world(&self) -> String;

    /// Frame height and width in pixels.
    fn image_size(&self) -> [usize; 2];

    /// Actions; 0 is the idle one.
    fn actions(&self) -> usize;

    /// Places to start from; at least one.
    fn starts(&self) -> usize;

    /// The frames that it started from last, where there are any.
    fn started(&self) -> Option<&Clip> {
        None
    }

    /// Forgets everything and goes to the start with this index.
    ///
    /// # Errors
    /// There is no such start, a parameter is out of range, or the device failed.
    fn start(&mut self, index: usize, params: &SamplerParams) -> Result<()>;

    /// Frames that a start should have; 0 of what starts without any.
    fn context_frames(&self) -> usize {
        0
    }

    /// Forgets everything and goes on from given frames.
    ///
    /// # Errors
    /// It cannot, the frames do not fit the world, a parameter is out of range, or the device failed.
    fn start_from(&mut self, _clip: &Clip, _params: &SamplerParams) -> Result<()> {
        Err(Error::Argument(
            "this cannot start from given frames".into(),
        ))
    }

    /// Makes the next frame under `action`.
    ///
    /// # Errors
    /// The action is unknown, a parameter is out of range, or the device failed.
    fn step(&mut self, action: u32, params: &SamplerParams) -> Result<StageTimes>;

    /// The last frame, u8 RGB `[H, W, 3]`.
    ///
    /// # Errors
    /// The device failed.
    fn image(&mut self) -> Result<&[u8]>;

    /// Whether frames stay on the device from now on, where they can be shown from there.
    fn stay(&mut self, _on: bool) {}

    /// The last frame as a texture of the window's device, if it is one.
    fn painting(&self) -> Option<Arc<Painting>> {
        None
    }

    /// Everything that the next frames depend on.
    ///
    /// # Errors
    /// The device failed.
    fn snapshot(&mut self) -> Result<Saved>;

    /// Goes back to a snapshot.
    ///
    /// # Errors
    /// It is of another world, or the device failed.
    fn restore(&mut self, saved: &Saved) -> Result<()>;

    /// Whether [`Player::passes`] are kept from now on.
    fn trace(&mut self, on: bool);

    /// How the last frame was denoised; empty while not traced, and where nothing is denoised.
    ///
    /// # Errors
    /// The device failed.
    fn passes(&mut self) -> Result<Vec<TracedPass>>;

    /// Whether [`Player::inspection`] is kept from now on.
    fn inspect(&mut self, _on: bool) {}

    /// What a model holds of the last frame; none while not asked for, and of a simulator.
    ///
    /// # Errors
    /// The device failed.
    fn inspection(&mut self) -> Result<Option<Inspection>> {
        Ok(None)
    }

    /// The last frame's re-encoding error ([`reencoding_error`]); none where nothing is encoded.
    ///
    /// # Errors
    /// The device failed.
    fn drift(&mut self) -> Result<Option<f32>> {
        Ok(None)
    }

    /// How much a frame, u8 RGB `[H, W, 3]`, would surprise in the place of the next one
    /// ([`Engine::surprise`]); none where nothing is predicted.
    ///
    /// # Errors
    /// The frame or the action does not fit the world, a parameter is out of range, or the device failed.
    fn surprise(
        &mut self,
        _image: &[u8],
        _action: u32,
        _params: &SamplerParams,
    ) -> Result<Option<f32>> {
        Ok(None)
    }

    /// What a world model predicts of the last frame beside its picture, where it does.
    fn outcome(&self) -> Option<Outcome> {
        None
    }

    /// What is true of the last frame; none where nobody knows.
    fn truth(&self) -> Option<Truth>;
}

/// A moment that a player can go back to.
#[derive(Clone, Debug, PartialEq)]
pub enum Saved {
    /// Of an engine.
    Dream(Snapshot),
    /// Of a simulator.
    Real(driftless_worlds::Snapshot),
}

impl Saved {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dream(snapshot) => 4 * snapshot.state.len() + snapshot.image.len(),
            Self::Real(snapshot) => 4 * snapshot.state.len(),
        }
    }

    /// The frame, u8 RGB `[H, W, 3]`, where it holds it.
    pub fn image(&self) -> Option<&[u8]> {
        match self {
            Self::Dream(snapshot) => Some(&snapshot.image),
            Self::Real(_) => None,
        }
    }

    fn of_another_kind() -> Error {
        Error::Argument("the snapshot is of another kind of world".into())
    }
}

/// What only a simulator knows of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The seed of what is played.
    pub seed: u64,
    /// The reward that came with the frame.
    pub reward: f32,
    /// Whether the episode ended with it.
    pub ended: bool,
    /// The state behind it.
    pub state: State,
}

/// A world model that starts from recorded contexts.
pub struct Dream {
    engine: Box<dyn Engine>,
    contexts: Arc<[Clip]>,
    started: Started,
    inspected: bool,
}

/// What a dream started from.
enum Started {
    /// One of its contexts.
    Own(usize),
    /// Frames that were given to it.
    Given(Clip),
}

impl Dream {
    /// Predicts frames with `engine`, after one of `contexts`.
    pub fn new(engine: Box<dyn Engine>, contexts: Arc<[Clip]>) -> Self {
        Self {
            engine,
            contexts,
            started: Started::Own(0),
            inspected: false,
        }
    }
}

impl Player for Dream {
    fn name(&self) -> &str {
        self.engine.name()
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

    fn starts(&self) -> usize {
        self.contexts.len()
    }

    fn started(&self) -> Option<&Clip> {
        match &self.started {
            Started::Own(index) => self.contexts.get(*index),
            Started::Given(clip) => Some(clip),
        }
    }

    fn start(&mut self, index: usize, params: &SamplerParams) -> Result<()> {
        let context = self.contexts.get(index).ok_or_else(|| {
            Error::Argument(format!(
                "starting context {index} does not exist: the world has {}",
                self.contexts.len()
            ))
        })?;
        self.engine.reset(context, params)?;
        self.started = Started::Own(index);
        Ok(())
    }

    fn context_frames(&self) -> usize {
        self.engine.world().dynamics.context
    }

    fn start_from(&mut self, clip: &Clip, params: &SamplerParams) -> Result<()> {
        self.engine.reset(clip, params)?;
        self.started = Started::Given(clip.clone());
        Ok(())
    }

    fn step(&mut self, action: u32, params: &SamplerParams) -> Result<StageTimes> {
        Ok(self.engine.step(action, params)?)
    }

    fn image(&mut self) -> Result<&[u8]> {
        Ok(self.engine.image()?)
    }

    fn stay(&mut self, on: bool) {
        self.engine.stay(on);
    }

    fn painting(&self) -> Option<Arc<Painting>> {
        self.engine.painting()
    }

    fn snapshot(&mut self) -> Result<Saved> {
        Ok(self.engine.snapshot().map(Saved::Dream)?)
    }

    fn restore(&mut self, saved: &Saved) -> Result<()> {
        match saved {
            Saved::Dream(snapshot) => Ok(self.engine.restore(snapshot)?),
            Saved::Real(_) => Err(Saved::of_another_kind()),
        }
    }

    fn trace(&mut self, on: bool) {
        self.engine.trace(on);
    }

    fn passes(&mut self) -> Result<Vec<TracedPass>> {
        let passes = self.engine.passes().to_vec();
        let picture = |pass: driftless_engine::Pass| {
            Ok(TracedPass {
                tau: pass.tau,
                noisy: self.engine.decode(&pass.z)?,
                clean: self.engine.decode(&pass.x)?,
            })
        };
        passes.into_iter().map(picture).collect()
    }

    fn inspect(&mut self, on: bool) {
        self.inspected = on;
        self.engine.inspect(on);
    }

    fn inspection(&mut self) -> Result<Option<Inspection>> {
        match self.inspected {
            true => Inspection::of(self.engine.as_mut()).map(Some),
            false => Ok(None),
        }
    }

    fn drift(&mut self) -> Result<Option<f32>> {
        Ok(reencoding_error(self.engine.as_mut()).map(Some)?)
    }

    fn surprise(
        &mut self,
        image: &[u8],
        action: u32,
        params: &SamplerParams,
    ) -> Result<Option<f32>> {
        Ok(self.engine.surprise(image, action, params)?)
    }

    fn outcome(&self) -> Option<Outcome> {
        self.engine.outcome()
    }

    fn truth(&self) -> Option<Truth> {
        None
    }
}

/// A simulator. Start i of seed s is the world of seed s + i; other parameters mean nothing to it.
pub struct Real {
    world: Box<dyn World>,
    name: String,
    size: [usize; 2],
    actions: usize,
    seed: u64,
}

impl Real {
    /// Plays `world` itself.
    pub fn new(world: Box<dyn World>) -> Self {
        let info = world.info();
        Self {
            world,
            name: info.name,
            size: info.image,
            actions: info.actions.len(),
            seed: 0,
        }
    }
}

impl Player for Real {
    fn name(&self) -> &str {
        "simulator"
    }

    fn world(&self) -> String {
        self.name.clone()
    }

    fn image_size(&self) -> [usize; 2] {
        self.size
    }

    fn actions(&self) -> usize {
        self.actions
    }

    /// So many that nobody gets round.
    fn starts(&self) -> usize {
        1 << 24
    }

    fn start(&mut self, index: usize, params: &SamplerParams) -> Result<()> {
        self.seed = params.seed.wrapping_add(index as u64);
        self.world.reset(self.seed);
        Ok(())
    }

    fn step(&mut self, action: u32, _: &SamplerParams) -> Result<StageTimes> {
        self.world.step(action)?;
        Ok(StageTimes::default())
    }

    fn image(&mut self) -> Result<&[u8]> {
        Ok(self.world.image())
    }

    fn snapshot(&mut self) -> Result<Saved> {
        Ok(Saved::Real(self.world.snapshot()))
    }

    fn restore(&mut self, saved: &Saved) -> Result<()> {
        let Saved::Real(snapshot) = saved else {
            return Err(Saved::of_another_kind());
        };
        self.world.restore(snapshot)?;
        self.seed = snapshot.seed;
        Ok(())
    }

    fn trace(&mut self, _: bool) {}

    fn passes(&mut self) -> Result<Vec<TracedPass>> {
        Ok(Vec::new())
    }

    fn truth(&self) -> Option<Truth> {
        Some(Truth {
            seed: self.seed,
            reward: self.world.reward(),
            ended: self.world.ended(),
            state: self.world.state(),
        })
    }
}
