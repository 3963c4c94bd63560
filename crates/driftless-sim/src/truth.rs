//! What is real beside a dream: a simulator under the same actions, or a recorded episode.

use std::sync::Arc;

use crate::Result;
use driftless_data::Clip;
use driftless_data::{DatasetInfo, Episode};
use driftless_engine::SamplerParams;
use driftless_worlds::{Hand, Kind, Policy, World};

/// What is shown beside the frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Beside {
    /// Nothing.
    #[default]
    Nothing,
    /// Another branch's frame of the same index.
    Branch(u32),
    /// A simulator, from the same first frames and under the same actions.
    Simulator(Kind),
    /// A recorded episode, whose actions are played.
    Episode(Arc<Episode>),
}

impl Beside {
    /// Where a game starts that has this beside it.
    pub(super) fn start(&self) -> Start {
        match self {
            Self::Nothing | Self::Branch(_) => Start::Context,
            Self::Simulator(kind) => Start::Simulator(*kind),
            Self::Episode(episode) => Start::Episode(Arc::clone(episode)),
        }
    }
}

/// Where a game starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Start {
    /// A context of what is played.
    Context,
    /// The first frames of a simulator that the seed's hand moves.
    Simulator(Kind),
    /// The first frames of an episode.
    Episode(Arc<Episode>),
}

/// The truth beside a dream, frame by frame.
pub(super) enum Reality {
    Simulator(Box<dyn World>),
    Episode { episode: Arc<Episode>, at: usize },
}

impl Reality {
    /// The truth of a start, and the `frames` frames that a dream starts from; none where there is no
    /// truth. `number` tells starts of the same seed apart.
    ///
    /// # Errors
    /// The simulator refuses an action.
    pub fn start(
        start: &Start,
        params: &SamplerParams,
        number: usize,
        frames: usize,
    ) -> Result<Option<(Self, Clip)>> {
        Ok(match start {
            Start::Context => None,
            Start::Simulator(kind) => {
                let seed = params.seed.wrapping_add(number as u64);
                let mut world = kind.open(seed);
                world.reset(seed);
                let mut hand = Hand::new(Policy::Scripted, world.as_ref(), seed);
                let clip = begin(world.as_mut(), &mut hand, frames)?;
                Some((Self::Simulator(world), clip))
            }
            Start::Episode(episode) => {
                let clip = episode.clip(0..frames);
                let at = clip.frames().saturating_sub(1);
                let episode = Arc::clone(episode);
                Some((Self::Episode { episode, at }, clip))
            }
        })
    }

    /// The action that leads to the next frame, where it is given.
    pub fn action(&self) -> Option<u32> {
        match self {
            Self::Simulator(_) => None,
            Self::Episode { episode, at } => episode.actions.get(at + 1).copied(),
        }
    }

    /// Goes one frame on.
    ///
    /// # Errors
    /// The simulator does not know the action.
    pub fn step(&mut self, action: u32) -> Result<()> {
        match self {
            Self::Simulator(world) => world.step(action)?,
            Self::Episode { at, .. } => *at += 1,
        }
        Ok(())
    }

    /// The frame, u8 RGB `[H, W, 3]`; none behind the last one.
    pub fn image(&self) -> Option<&[u8]> {
        match self {
            Self::Simulator(world) => Some(world.image()),
            Self::Episode { episode, at } => (*at < episode.frames()).then(|| episode.frame(*at)),
        }
    }

    /// Whether nothing follows.
    pub fn ended(&self) -> bool {
        match self {
            Self::Simulator(world) => world.ended(),
            Self::Episode { episode, at } => at + 1 >= episode.frames(),
        }
    }
}

/// The first frames of a simulator, the last of them its present one.
fn begin(world: &mut dyn World, hand: &mut Hand, frames: usize) -> Result<Clip> {
    let mut clip = Clip {
        images: world.image().to_vec(),
        actions: vec![0],
    };
    while clip.frames() < frames {
        let action = hand.act(world);
        world.step(action)?;
        clip.images.extend_from_slice(world.image());
        clip.actions.push(action);
    }
    Ok(clip)
}

/// The simulator that has a world's frame size and actions, if there is one.
pub fn simulator_of(world: &DatasetInfo) -> Option<Kind> {
    let names = |info: &DatasetInfo| -> Vec<String> {
        info.actions.iter().map(|a| a.name.clone()).collect()
    };
    let same = |kind: &Kind| {
        let own = kind.open(0).info();
        own.image == world.image && names(&own) == names(world)
    };
    [Kind::Maze, Kind::Drive].into_iter().find(same)
}
