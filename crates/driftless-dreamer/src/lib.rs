//! Plays the published checkpoints of *Dreamer 4 in PyTorch* (Hansen, 2026) on the CPU: an implementation of the world
//! model of Dreamer 4 (Hafner, Yan and Lillicrap, *Training Agents Inside of Scalable World Models*, 2025) for tasks of
//! continuous control.
//!
//! A transformer encodes pictures into a few latent tokens and decodes them. A block-causal transformer predicts the
//! next frame's clean latents from noise in a few steps (shortcut forcing: every frame has a noise level and a step size
//! of its own), given the frames before it and what the actuators did.
//!
//! - [`DreamerFiles`]: which files are a checkpoint's.
//! - [`Dreamer`]: its networks; [`ShortcutParams`]: steps, and how far finished frames are trusted.
//! - [`controls`]: the actuators as axes of the player.
//! - [`World`](driftless_published::World): one frame after another.
//!
//! Products are of packed 32-bit weights; results do not depend on the number of threads.

mod attention;
pub mod controls;
mod dreamer;
mod dynamics;
mod files;
mod options;
mod positions;
mod shortcut;
mod stack;
mod tokenizer;

pub use dreamer::{Dreamer, DreamerInfo};
pub use files::DreamerFiles;
pub use shortcut::ShortcutParams;
