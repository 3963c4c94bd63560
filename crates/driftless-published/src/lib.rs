//! What published world models of other people share, on the CPU.
//!
//! - [`Weights`]: tensors by name from `safetensors` and PyTorch files, checked as they are taken. Nothing in a file is
//!   executed.
//! - [`Pair`]: which two files are a checkpoint's.
//! - [`Linear`]: linear maps on packed weights, whose results do not depend on the number of threads; [`Cache`]:
//!   attention to past frames.
//! - [`World`]: one frame after another from a network that sees a window of finished frames, and their latents only
//!   ([`WindowNetwork`]).

mod cache;
mod error;
mod foreign;
mod linear;
mod pair;
mod tensors;
#[cfg(feature = "testing")]
pub mod testing;
mod weights;
mod window;
mod world;

pub use cache::{Cache, Shape};
pub use error::{Error, Result};
pub use foreign::refuse_foreign;
pub use linear::{Activation, Linear, layer_norm, rms_norm};
pub use pair::{Pair, Part};
pub use tensors::{Tensor, has_weights, is_safetensors, names};
pub use weights::{Affine, Sides, Weights};
pub use window::{Frame, WindowInfo, WindowNetwork, known_frames};
pub use world::{World, WorldParams, WorldSnapshot};
