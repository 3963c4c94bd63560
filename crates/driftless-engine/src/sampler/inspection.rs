//! What a sampler records of a frame, for whoever looks inside or plays by it. None of it changes the frames.

use super::Sampler;
use crate::{Attention, DenoisePass, Error, Result};

impl Sampler {
    /// Sets whether [`Sampler::passes`] are recorded.
    pub fn record_passes(&mut self, on: bool) {
        self.recording_passes = on;
        self.passes.clear();
    }

    /// Denoise passes of the last step, in order; empty unless recorded.
    pub fn passes(&self) -> &[DenoisePass] {
        &self.passes
    }

    /// Sets whether [`Sampler::attention`] is recorded from the next frame on. Does not change the frames.
    pub fn record_attention(&mut self, on: bool) {
        if let Some(inspection) = self.network.inspection() {
            inspection.record_attention(on);
        }
    }

    /// Attention weights of the last frame; after a reset, of the last frame of the clip. `None` if they were
    /// not recorded, after [`Sampler::restore`], and on backends that cannot record them.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn attention(&mut self) -> Result<Option<Attention>> {
        match self.network.inspection() {
            Some(inspection) => inspection.attention(),
            None => Ok(None),
        }
    }

    /// Sets whether [`Sampler::tokens`] are recorded from the next frame on. Does not change the frames.
    ///
    /// # Errors
    /// Returns an error if the backend cannot record them; the CPU engine can.
    pub fn record_tokens(&mut self, on: bool) -> Result<()> {
        match self.network.inspection() {
            Some(inspection) => inspection.record_tokens(on),
            None if on => {
                return Err(Error::Unsupported(format!(
                    "{} does not tell its tokens; --device cpu does",
                    self.network.name()
                )));
            }
            None => {}
        }
        Ok(())
    }

    /// What the network makes of the last frame: its tokens after the last temporal attention, of the pass
    /// that wrote the cache, `[tokens, width]`: those of the latent, the action's, the signal's, and the
    /// registers. After a reset, of the last frame of the clip. `None` if they were not recorded, and after
    /// [`Sampler::restore`].
    pub fn tokens(&mut self) -> Option<&[f32]> {
        self.network.inspection()?.tokens()
    }
}
