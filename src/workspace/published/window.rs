//! Worlds whose network sees a window of finished frames.

use std::sync::{Arc, Mutex, PoisonError};

use driftless_data::{Clip, DatasetInfo};
use driftless_engine::{DeviceOptions, Threads};
use driftless_sim::{PlayableNetwork, PublishedWorld};

use crate::Result;
use crate::workspace::playable_world::{PlayableWorld, PublishedSampler};
use crate::workspace::starting_clip::{self, ClipShape};

/// A published world that was read.
pub(super) struct WindowWorld<N> {
    pub world: DatasetInfo,
    pub sampler: PublishedSampler,
    pub network: N,
    /// Reads the network again.
    pub again: Box<dyn Fn() -> driftless_published::Result<N> + Send + Sync>,
}

impl<N: PlayableNetwork + 'static> WindowWorld<N> {
    /// The playable world; see [`super::Published::open`].
    pub fn open(self, device: DeviceOptions, clip: Option<&str>) -> Result<PlayableWorld> {
        let world = &self.world;
        let shape = ClipShape {
            image: world.image,
            fps: world.fps,
            frames: self.network.window().window - 1,
            least: 1,
            actions: world.actions.len(),
            axes: world.axes.len(),
            world: &world.name,
        };
        let clips = starting_clip::given(clip, shape)?;
        Ok(self.playable(device, clips))
    }

    /// The same with starting clips that were read.
    pub fn playable(self, device: DeviceOptions, clips: Vec<Clip>) -> PlayableWorld {
        let Self {
            world,
            sampler,
            network,
            again,
        } = self;
        let (name, sampling) = (world.name.clone(), network.sampling());
        // Up to gigabytes: the first player takes what was read.
        let read = Mutex::new(Some(network));
        PlayableWorld {
            world,
            dynamics: None,
            published: Some(sampler),
            sampling,
            first_clip: 0,
            game: None,
            origin: None,
            remote: None,
            player: Arc::new(move |_| {
                let first = read.lock().unwrap_or_else(PoisonError::into_inner).take();
                let mut network = match first {
                    Some(network) => network,
                    None => again()?,
                };
                match device.threads {
                    Threads::Auto => network.set_fastest_threads()?,
                    Threads::Exactly(count) => network.set_threads(count.get())?,
                }
                let player = PublishedWorld::new(network, name.clone(), clips.clone());
                Ok(Box::new(player))
            }),
        }
    }
}
