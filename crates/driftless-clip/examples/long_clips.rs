//! What block-sparse attention costs and saves: error of x̂, PSNR of the frames, and time, against full attention.
//!
//! `cargo run --release -p driftless-clip --example long_clips -- checkpoints/maze 16 32 64`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, Tensor};

use driftless_clip::config::{CLIP_CONFIG, CLIP_WEIGHTS};
use driftless_clip::{
    ClipConfig, ClipInput, ClipMaker, ClipNetwork, ClipParams, ClipRequest, TextBatch,
};
use driftless_data::metrics::psnr;
use driftless_model::params::Params;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Shares of the attention that are kept, and signal levels that x̂ is compared at.
const MASSES: [f64; 5] = [0.95, 0.9, 0.8, 0.5, 0.0];
const LEVELS: [f32; 3] = [0.2, 0.5, 0.8];
const PROMPT: &str = "walk forward, then turn left; red walls everywhere";
/// Passes of which the fastest is told.
const PASSES: usize = 5;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let world = PathBuf::from(args.next().ok_or("expected a checkpoint folder")?);
    let lengths: Vec<usize> = args
        .map(|frames| frames.parse())
        .collect::<std::result::Result<_, _>>()?;
    let longest = lengths
        .iter()
        .copied()
        .max()
        .ok_or("expected numbers of frames")?;
    let folder = tempfile::tempdir()?;
    let maker = longer(&world, folder.path(), longest)?;
    let params = Params::read(&world.join(CLIP_WEIGHTS), &Device::Cpu)?;
    let network = ClipNetwork::new(&params, maker.config())?;
    println!("frames  mass  error of x̂   PSNR  s a pass  s a clip");
    for frames in lengths {
        let full = ClipParams {
            frames,
            ..ClipParams::of(maker.config())
        };
        let (clean, images, seconds) = make(&maker, &full)?;
        let inputs = noised(&clean)?;
        let expected: Vec<Tensor> = inputs
            .iter()
            .map(|z| network.forward(z))
            .collect::<driftless_clip::Result<_>>()?;
        println!(
            "{frames:6}  1.00  {:>10}  {:>5}  {:8.3}  {seconds:8.2}",
            "–",
            "–",
            pass(&network, &inputs[1], 1.0)?
        );
        for mass in MASSES {
            let params = ClipParams {
                attention_mass: mass,
                ..full
            };
            let (_, sparse, seconds) = make(&maker, &params)?;
            let mut error = 0.0;
            for (input, expected) in inputs.iter().zip(&expected) {
                let gap = (network.forward_sparse(input, mass)? - expected)?;
                error += norm(&gap)? / norm(expected)? / LEVELS.len() as f32;
            }
            let same = psnr(&images, &sparse).unwrap_or(f64::INFINITY);
            let pass = pass(&network, &inputs[1], mass)?;
            println!("{frames:6}  {mass:.2}  {error:10.4}  {same:5.1}  {pass:8.3}  {seconds:8.2}");
        }
    }
    Ok(())
}

/// The world with a clip network that may be asked for longer clips than it has learned.
fn longer(world: &Path, folder: &Path, frames: usize) -> Result<ClipMaker> {
    for entry in std::fs::read_dir(world)? {
        let entry = entry?;
        std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    let path = folder.join(CLIP_CONFIG);
    let mut config = ClipConfig::read(&path)?;
    config.lengths.retain(|&length| length < frames);
    config.lengths.push(frames);
    driftless_data::fs::write_json(&path, &config)?;
    Ok(ClipMaker::read(folder, &Device::Cpu)?)
}

/// The last x̂ of a clip, its frames, and the seconds that it took.
fn make(maker: &ClipMaker, params: &ClipParams) -> Result<(Tensor, Vec<u8>, f64)> {
    let started = Instant::now();
    let mut last = None;
    let clip = maker.make(&ClipRequest::new(PROMPT), params, &mut |progress| {
        last = Some(progress.clean.clone());
        true
    })?;
    let clean = last.ok_or("no step was made")?;
    Ok((clean, clip.images, started.elapsed().as_secs_f64()))
}

/// A clip and the same without a prompt, as guidance asks for, noised to each level.
fn noised(clean: &Tensor) -> Result<Vec<ClipInput>> {
    let device = clean.device();
    let noise = clean.randn_like(0.0, 1.0)?;
    let given = Tensor::zeros((2, clean.dim(1)?), candle_core::DType::F32, device)?;
    let inputs = LEVELS.iter().map(|&tau| {
        let z = ((clean * f64::from(tau))? + (&noise * f64::from(1.0 - tau))?)?;
        Ok(ClipInput {
            z: z.repeat((2, 1, 1))?,
            given: given.clone(),
            tau: Tensor::full(tau, 2, device)?,
            steps: Tensor::zeros(2, candle_core::DType::U32, device)?,
            text: TextBatch::new(&[TextBatch::none(), TextBatch::none()], 32, device)?,
        })
    });
    inputs.collect()
}

/// The seconds of a pass.
fn pass(network: &ClipNetwork, input: &ClipInput, mass: f64) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..PASSES {
        let started = Instant::now();
        network.forward_sparse(input, mass)?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn norm(x: &Tensor) -> Result<f32> {
    Ok(x.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt())
}
