//! Records two episodes of the maze into a temporary folder and prints what is in them.
//!
//! ```sh
//! cargo run --release -p driftless-worlds --example record
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use driftless_data::Dataset;
use driftless_worlds::record::RecordingPlan;
use driftless_worlds::{Policy, SimulatorKind, record};

/// Frames of each episode.
const FRAMES: usize = 120;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("maze");
    let plan = RecordingPlan {
        world: SimulatorKind::Maze,
        policy: Policy::Scripted,
        seed: 1,
        world_seed: None,
        frames: 2 * FRAMES,
        episode_frames: FRAMES,
    };
    let manifest = record(&plan, &out, &|_frames| true)?;

    // A recorded dataset is read as any other one.
    let dataset = Dataset::read(&out)?;
    let [height, width] = dataset.info.image;
    println!(
        "{}: {} frames of {height}×{width} pixels, {} frames/s",
        dataset.info.name, manifest.frames, dataset.info.fps
    );
    for (entry, episode) in manifest.episodes.iter().zip(&dataset.episodes) {
        println!(
            "\n{}: {} frames, seed {}, reward {}",
            entry.file,
            episode.frames(),
            entry.seed,
            entry.reward
        );
        for (index, action) in dataset.info.actions.iter().enumerate() {
            let count = episode.actions.iter().filter(|&&a| a as usize == index);
            println!("  {:14} {:3} times", action.name, count.count());
        }
        for (name, array) in &episode.extras {
            println!("  array `{name}`: shape {:?}", array.shape);
        }
    }
    Ok(())
}
