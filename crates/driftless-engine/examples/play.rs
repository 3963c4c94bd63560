//! Plays the included Pong for four seconds without a window, and writes the last frame as a PNG.
//!
//! `cargo run --release -p driftless-engine --example play`

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;
use std::path::Path;

use driftless_engine::{DeviceChoice, GpuSource, SamplerParams, open};
use driftless_model::starting_clips;

fn main() -> Result<(), Box<dyn Error>> {
    let pong = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/pong");
    let mut engine = open(&pong, DeviceChoice::Cpu, &GpuSource::Own)?;
    let clips = starting_clips::read(&pong.join("contexts.npz"), engine.world())?;
    let params = SamplerParams::default();
    engine.reset(&clips[0], &params)?;
    for frame in 0..60 {
        let (up, down) = (1, 2);
        let action = if frame % 30 < 15 { up } else { down };
        engine.step(action, &params)?;
    }
    let [height, width] = engine.world().image.map(|side| side as u32);
    let file = std::env::temp_dir().join("driftless_pong.png");
    image::save_buffer(
        &file,
        engine.image()?,
        width,
        height,
        image::ColorType::Rgb8,
    )?;
    println!(
        "frame 60, predicted on {}: {}",
        engine.name(),
        file.display()
    );
    Ok(())
}
