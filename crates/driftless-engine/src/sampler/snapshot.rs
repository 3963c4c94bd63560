//! The state of a sampler, saved and restored.

use super::{Memory, Residency, Sampler};
use crate::{Error, Outcome, Result};

/// The complete state of a sampler between two frames. On a backend of the same kind, continuing from it
/// reproduces the same frames bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Frames since the reset, those of the starting clip included.
    pub frame: u64,
    /// Latents and KV cache; the layout is private to the sampler.
    pub state: Vec<f32>,
    /// Predicted outcome of the last frame.
    pub outcome: Option<Outcome>,
    /// The last image, u8 RGB `[H, W, 3]`.
    pub image: Vec<u8>,
    /// The long-term memory, of a world that has one. Frames are shared with other snapshots.
    pub memory: Option<Box<Memory>>,
}

impl Sampler {
    /// Everything that the next frames depend on.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        self.sync_to_host()?;
        self.draw()?;
        let (latent, past) = (self.latent.len(), self.past.len());
        let mut state = vec![0.0; latent + past + self.cache_len];
        state[..latent].copy_from_slice(&self.latent);
        state[latent..latent + past].copy_from_slice(&self.past);
        self.network.save_cache(&mut state[latent + past..])?;
        Ok(Snapshot {
            frame: self.frame,
            state,
            outcome: self.outcome,
            image: self.image.clone(),
            memory: self.memory.clone().map(Box::new),
        })
    }

    /// Restores a snapshot of the same world, from any backend.
    ///
    /// # Errors
    /// Returns an error, and changes nothing, if the snapshot belongs to another world.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.passes.clear();
        let (latent, past) = (self.latent.len(), self.past.len());
        let expected = latent + past + self.cache_len;
        if snapshot.state.len() != expected || snapshot.image.len() != self.image.len() {
            return Err(Error::Snapshot(format!(
                "the snapshot holds {} values and an image of {} bytes, expected {expected} and {}: \
                 it belongs to another world",
                snapshot.state.len(),
                snapshot.image.len(),
                self.image.len()
            )));
        }
        let memory = snapshot.memory.as_deref();
        if memory.is_some() != self.memory.is_some()
            || memory.is_some_and(|memory| !memory.belongs_to(&self.world))
        {
            return Err(Error::Snapshot(
                "the snapshot's memory belongs to another world".into(),
            ));
        }
        self.network.load_cache(&snapshot.state[latent + past..])?;
        self.latent.copy_from_slice(&snapshot.state[..latent]);
        self.past
            .copy_from_slice(&snapshot.state[latent..latent + past]);
        self.image.copy_from_slice(&snapshot.image);
        self.undrawn = false;
        self.outcome = snapshot.outcome;
        self.frame = snapshot.frame;
        self.memory = snapshot.memory.as_deref().cloned();
        (self.residency, self.texture) = (Residency::Host, None);
        Ok(())
    }
}
