//! Plays the published checkpoints of Oasis 500M (Decart and Etched, *Oasis: A Universe in a Transformer*, 2024) on the
//! CPU.
//!
//! A vision transformer encodes pictures of 360×640 pixels into latents. A diffusion transformer predicts the next
//! frame's latent from noise in a few steps of DDIM, given the frames before it and what the player does: 25 keys and
//! turns of the camera of Minecraft. It was trained by diffusion forcing (Chen et al., 2024): every frame has a noise
//! level of its own, so that finished frames can be told to be slightly noisy, which keeps long runs stable.
//!
//! - [`OasisFiles`]: which files are a checkpoint's.
//! - [`Oasis`]: its networks; [`DdimParams`]: steps, and how far finished frames are trusted.
//! - [`World`](driftless_published::World): one frame after another.
//! - [`controls`]: keys and axes of the player.
//!
//! Products are of packed 32-bit weights; results do not depend on the number of threads.

mod attention;
mod autoencoder;
pub mod controls;
mod files;
mod oasis;
mod rotary;
mod schedule;
mod transformer;

pub use files::OasisFiles;
pub use oasis::{DdimParams, LATENT, Oasis, OasisInfo};
pub use schedule::LEVELS;
pub use transformer::MAX_WINDOW;
