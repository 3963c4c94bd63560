//! Encodes the frames of an episode with the included Pong's tokenizer and decodes them again.
//!
//! `cargo run --release -p driftless-model --example encode`

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;
use std::path::Path;

use candle_core::Device;

use driftless_data::Episode;
use driftless_data::metrics::SquaredError;
use driftless_model::checkpoint::WorldModel;
use driftless_model::tokenizer::{images_to_tensor, tensor_to_images};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let world = WorldModel::read(&root.join("checkpoints/pong"), &Device::Cpu)?;
    let episode = Episode::read(&root.join("assets/pong/episode_00000.npz"))?;
    let frames = episode.clip(0..64);
    let images = images_to_tensor(&frames.images, world.config.image, &Device::Cpu)?;
    let latents = world.tokenizer.encode(&images)?;
    let decoded = tensor_to_images(&world.tokenizer.decode(&latents)?)?;
    let mut error = SquaredError::default();
    error.add(&frames.images, &decoded);
    println!("frames   {:?}, u8", images.dims());
    println!("latents  {:?}, f32", latents.dims());
    println!(
        "decoded  {:.1} dB from the frames",
        error.psnr().unwrap_or_default()
    );
    Ok(())
}
