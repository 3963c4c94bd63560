//! Describes a dataset: what it holds, and how often each action was taken.
//!
//! ```sh
//! cargo run -p driftless-data --example inspect -- assets/pong
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::path::PathBuf;

use driftless_data::info::{DataSummary, summarize};
use driftless_data::{DatasetInfo, Result};

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("assets/pong"), PathBuf::from);
    // Reads one episode at a time, so that large datasets fit into memory.
    let summary = match summarize(&folder)? {
        DataSummary::Dataset(summary) => summary,
        DataSummary::Episode(summary) => {
            println!("{summary}");
            return Ok(());
        }
    };
    let DatasetInfo {
        name, fps, image, ..
    } = &summary.info;
    let [height, width] = image;
    println!("{name}: {height}×{width} pixels at {fps} frames per second");
    let [shortest, longest] = summary.episode_frames;
    println!(
        "{} episodes of {shortest} to {longest} frames, {} in total",
        summary.episodes, summary.frames
    );
    for (action, &count) in summary.info.actions.iter().zip(&summary.action_counts) {
        let share = 100.0 * count as f64 / summary.frames.max(1) as f64;
        let keys = action.keys.join(", ");
        println!("{share:6.1} % {:12} {keys}", action.name);
    }
    println!("sum of rewards {}", summary.reward);
    if !summary.extras.is_empty() {
        println!("further arrays: {}", summary.extras.join(", "));
    }
    Ok(())
}
