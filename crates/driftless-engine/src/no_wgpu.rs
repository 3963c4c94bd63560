//! Stands in for the wgpu backend in builds without it: there is no GPU, and no frame on one.

use crate::{Error, Result};

/// A GPU, of which this build never has one.
#[derive(Clone, Debug)]
pub struct Gpu(());

/// A frame on a GPU, of which this build never has one.
#[derive(Debug)]
pub struct FrameTexture(());

impl Gpu {
    /// # Errors
    /// Always returns an error, which names the feature.
    pub fn open(_allow_software: bool) -> Result<Self> {
        Err(missing())
    }

    /// Whether it is no software renderer.
    pub fn is_hardware(&self) -> bool {
        false
    }

    /// Whether it is gone.
    pub fn is_lost(&self) -> bool {
        true
    }

    /// # Errors
    /// Always returns an error, which names the feature.
    pub fn with_half(self) -> Result<Self> {
        Err(missing())
    }
}

/// What a build without wgpu says where one is asked for.
pub(crate) fn missing() -> Error {
    Error::Unsupported(
        "this build does not support wgpu: build with `--features wgpu`, or use --device cpu"
            .into(),
    )
}
