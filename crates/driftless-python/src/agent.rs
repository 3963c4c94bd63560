//! An agent of a learned world, in a real game that Python plays.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use numpy::PyReadonlyArray3;
use pyo3::prelude::*;

use driftless_agent::{Agent, AgentPlayer, AgentPolicy, Decision, PlanSettings};
use driftless_data::{Action, Clip};
use driftless_engine::{Backend, Sampler, SamplerParams, Threads, open_on_backend};

use crate::error::{Error, Result};

/// Sees the frames of a real game through a world's eyes, and chooses actions.
#[pyclass(module = "driftless._driftless", name = "Agent", frozen)]
pub struct RealPlayer {
    state: Mutex<State>,
    image: [usize; 2],
}

struct State {
    sampler: Sampler,
    params: SamplerParams,
    agent: Arc<Agent>,
    player: AgentPlayer,
    decision: Option<Decision>,
}

#[pymethods]
impl RealPlayer {
    /// Opens a checkpoint folder that holds an agent.
    #[new]
    #[pyo3(signature = (folder, policy = "trained", planned_frames = 0, seed = 0, threads = 1))]
    fn new(
        folder: PathBuf,
        policy: &str,
        planned_frames: usize,
        seed: u64,
        threads: usize,
    ) -> PyResult<Self> {
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        Ok(Self::open(&folder, policy, planned_frames, seed, threads)?)
    }

    /// Names of the actions.
    #[getter]
    fn actions(&self) -> PyResult<Vec<String>> {
        self.with(|state| {
            let actions = state.sampler.world().actions.iter();
            Ok(actions.map(|action| action.name.clone()).collect())
        })
    }

    /// Height and width of a frame.
    #[getter]
    fn image_size(&self) -> (usize, usize) {
        (self.image[0], self.image[1])
    }

    /// Shows the first frame of an episode, u8 [H, W, 3].
    fn begin(&self, py: Python<'_>, image: PyReadonlyArray3<'_, u8>) -> PyResult<()> {
        let clip = Clip {
            images: self.frame(&image)?,
            actions: vec![Action::IDLE],
        };
        py.detach(|| {
            self.with(|state| {
                state.decision = None;
                Ok(state.sampler.reset(&clip, &state.params)?)
            })
        })
    }

    /// Shows the frame that an action led to, u8 [H, W, 3].
    fn see(&self, py: Python<'_>, image: PyReadonlyArray3<'_, u8>, action: u32) -> PyResult<()> {
        let image = self.frame(&image)?;
        py.detach(|| {
            self.with(|state| {
                state.decision = None;
                Ok(state.sampler.give(&image, action, &state.params)?)
            })
        })
    }

    /// The next action, the probability of each, and the return that is expected; the same until the next
    /// frame.
    fn decide(&self, py: Python<'_>) -> PyResult<(u32, Vec<f32>, f32)> {
        let decision = py.detach(|| {
            self.with(|state| {
                if state.decision.is_none() {
                    state.decision = Some(state.player.decide(&mut state.sampler)?);
                }
                Ok(state.decision.clone())
            })
        })?;
        let decision = decision.ok_or(Error::Closed)?;
        Ok((decision.action, decision.probabilities, decision.value))
    }

    /// The reward that the agent reads from the last frame.
    fn reward(&self) -> PyResult<f32> {
        self.with(|state| {
            let features = state.agent.features(&mut state.sampler)?;
            Ok(state.agent.reward(&features))
        })
    }
}

impl RealPlayer {
    fn open(
        folder: &Path,
        policy: &str,
        planned_frames: usize,
        seed: u64,
        threads: NonZeroUsize,
    ) -> Result<Self> {
        let policy = match policy {
            "trained" => AgentPolicy::Trained,
            "cloned" => AgentPolicy::Cloned,
            other => {
                let what = format!("no policy '{other}', expected 'trained' or 'cloned'");
                return Err(Error::Value(what));
            }
        };
        if !Agent::is_in(folder) {
            let what = format!("{} contains no agent", folder.display());
            return Err(Error::Value(what));
        }
        let backend = Backend::Cpu(Threads::Exactly(threads));
        let mut sampler = open_on_backend(folder, &backend)?;
        let agent = Arc::new(Agent::read(folder, sampler.world())?);
        Agent::attach(&mut sampler)?;
        let plan = PlanSettings {
            budget: planned_frames,
            ..PlanSettings::default()
        };
        Ok(Self {
            image: sampler.world().image,
            state: Mutex::new(State {
                params: SamplerParams {
                    seed,
                    ..SamplerParams::of_world(sampler.world())
                },
                player: AgentPlayer::new(Arc::clone(&agent), policy, seed)
                    .with_planner(plan, threads, seed),
                sampler,
                agent,
                decision: None,
            }),
        })
    }

    fn frame(&self, image: &PyReadonlyArray3<'_, u8>) -> Result<Vec<u8>> {
        let (image, [height, width]) = (image.as_array(), self.image);
        if image.shape() != [height, width, 3] {
            let what = format!(
                "the frame has shape {:?}, expected [{height}, {width}, 3]",
                image.shape()
            );
            return Err(Error::Value(what));
        }
        Ok(image.iter().copied().collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> PyResult<T> {
        let mut state = self.state.try_lock().map_err(Error::from)?;
        Ok(work(&mut state)?)
    }
}
