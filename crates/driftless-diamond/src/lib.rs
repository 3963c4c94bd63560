//! Plays the published checkpoints of DIAMOND's Atari world models (Alonso et al., *Diffusion for World Modeling: Visual
//! Details Matter in Atari*, 2024) on the CPU; with the feature `wgpu`, its denoiser on any GPU.
//!
//! Such a world has no tokenizer: a U-Net denoises the next frame's pixels from the past four frames and actions, in a
//! few steps of EDM's sampler. A second network with a memory predicts the reward and the end, and an actor-critic is
//! the policy that was trained inside the world.
//!
//! - [`Agent`]: an agent's file and its networks.
//! - [`EdmParams`], [`sampler`]: noise levels, solver, churn.
//! - [`World`]: one frame after another from an agent.
//!
//! On the CPU convolutions are Winograd's, on packed weights; results do not depend on the number of threads.

mod actor_critic;
mod agent;
pub mod atari;
mod attention;
mod blocks;
mod conv;
mod denoiser;
mod error;
#[cfg(feature = "wgpu")]
mod gpu;
mod lstm;
mod map;
mod network;
mod network_weights;
mod norm;
mod reward_end;
pub mod sampler;
mod unet;
mod weights;
mod winograd;
mod world;

pub use actor_critic::Policy;
pub use agent::{Agent, AgentInfo, Past};
pub use denoiser::{Preconditioning, SIGMA_DATA, SIGMA_OFFSET};
pub use error::{Error, Result};
pub use lstm::LstmState;
pub use reward_end::RewardEnd;
pub use sampler::{EdmParams, EdmSolver};
pub use world::{World, WorldParams, WorldSnapshot};
