//! Records a walk through a maze into a temporary folder and prints what its clips show.
//!
//! ```sh
//! cargo run --release -p driftless-worlds --example caption
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use driftless_worlds::caption::{CaptionPlan, describe};
use driftless_worlds::record::RecordingPlan;
use driftless_worlds::{Policy, SimulatorKind, record};

/// Frames of the walk, and of a clip.
const FRAMES: usize = 160;
const CLIP: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("maze");
    let plan = RecordingPlan {
        world: SimulatorKind::Maze,
        policy: Policy::Scripted,
        seed: 7,
        world_seed: None,
        frames: FRAMES,
        episode_frames: FRAMES,
    };
    record(&plan, &out, &|_frames| true)?;

    // One clip after the other, said once in each language.
    let plan = CaptionPlan {
        lengths: vec![CLIP],
        stride: CLIP,
        variants: 1,
        ..CaptionPlan::default()
    };
    for caption in describe(&out, &plan, &|_frames| true)?.captions {
        println!(
            "frames {} to {}: {}",
            caption.start,
            caption.start + CLIP - 1,
            caption.facts.join(" ")
        );
        for text in caption.texts.values().flatten() {
            println!("  {text}");
        }
    }
    Ok(())
}
