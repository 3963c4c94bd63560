//! Stands in for the wgpu backend in builds without it: there is no GPU, and no frame on one.

use crate::{Error, Result};

/// A GPU, of which this build can have none.
#[derive(Clone, Debug)]
pub enum Gpu {}

/// A frame on a GPU, of which this build can have none.
#[derive(Debug)]
pub enum FrameTexture {}

impl Gpu {
    /// # Errors
    /// Always returns an error, which names the feature.
    pub fn open(_allow_software: bool) -> Result<Self> {
        Err(Error::Unsupported(
            "this build does not support wgpu: build with `--features wgpu`, or use --device cpu"
                .into(),
        ))
    }

    /// Whether it is no software renderer.
    pub fn is_hardware(&self) -> bool {
        match *self {}
    }

    /// Whether it is gone.
    pub fn is_lost(&self) -> bool {
        match *self {}
    }

    /// The same GPU, for 16-bit weights.
    ///
    /// # Errors
    /// Never: there is no GPU to ask.
    pub fn with_half(self) -> Result<Self> {
        match self {}
    }
}
