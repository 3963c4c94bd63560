//! What the thread plays: a world model that dreams, or a real simulator.

use std::sync::Arc;

use super::{Inspection, TracedPass};
use crate::engine::{Clip, Engine, Outcome, Painting, SamplerParams, Snapshot, StageTimes};
use crate::worlds::{State, World};
use crate::{Error, Result};

/// Makes one frame after another from one of several starts.
pub trait Player: Send {
    /// A short name for people: `cpu`, `candle cuda`, `simulator`.
    fn name(&self) -> &str;

    /// Frame height and width in pixels.
    fn image_size(&self) -> [usize; 2];

    /// Actions; 0 is the idle one.
    fn actions(&self) -> usize;

    /// Places to start from; at least one.
    fn starts(&self) -> usize;

    /// Forgets everything and goes to the start with this index.
    ///
    /// # Errors
    /// There is no such start, a parameter is out of range, or the device failed.
    fn start(&mut self, index: usize, params: &SamplerParams) -> Result<()>;

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

    /// Everything that the next frames depend on; none of what cannot go back to it.
    ///
    /// # Errors
    /// The device failed.
    fn snapshot(&mut self) -> Result<Option<Snapshot>> {
        Ok(None)
    }

    /// Goes back to a snapshot.
    ///
    /// # Errors
    /// It is of another world, or the device failed.
    fn restore(&mut self, _snapshot: &Snapshot) -> Result<()> {
        Err(Error::Argument("this cannot go back".into()))
    }

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

    /// What a world model predicts of the last frame beside its picture, where it does.
    fn outcome(&self) -> Option<Outcome> {
        None
    }

    /// What is true of the last frame; none where nobody knows.
    fn truth(&self) -> Option<Truth>;
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
    inspected: bool,
}

impl Dream {
    /// Predicts frames with `engine`, after one of `contexts`.
    pub fn new(engine: Box<dyn Engine>, contexts: Arc<[Clip]>) -> Self {
        Self {
            engine,
            contexts,
            inspected: false,
        }
    }
}

impl Player for Dream {
    fn name(&self) -> &str {
        self.engine.name()
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

    fn start(&mut self, index: usize, params: &SamplerParams) -> Result<()> {
        let context = self.contexts.get(index).ok_or_else(|| {
            Error::Argument(format!(
                "starting context {index} does not exist: the world has {}",
                self.contexts.len()
            ))
        })?;
        self.engine.reset(context, params)
    }

    fn step(&mut self, action: u32, params: &SamplerParams) -> Result<StageTimes> {
        self.engine.step(action, params)
    }

    fn image(&mut self) -> Result<&[u8]> {
        self.engine.image()
    }

    fn stay(&mut self, on: bool) {
        self.engine.stay(on);
    }

    fn painting(&self) -> Option<Arc<Painting>> {
        self.engine.painting()
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>> {
        self.engine.snapshot().map(Some)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.engine.restore(snapshot)
    }

    fn trace(&mut self, on: bool) {
        self.engine.trace(on);
    }

    fn passes(&mut self) -> Result<Vec<TracedPass>> {
        let passes = self.engine.passes().to_vec();
        let picture = |pass: crate::engine::Pass| {
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
