//! How long a checkpoint's world takes for a frame, on one thread and on more, while the window grows and after it is
//! full.
//!
//! ```sh
//! cargo run --release -p driftless-dreamer --example dreamer_speed -- FOLDER 2 1 2
//! ```
//!
//! The numbers are steps, then threads.

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::path::Path;
use std::time::{Duration, Instant};

use driftless_data::Action;
use driftless_dreamer::{Dreamer, DreamerFiles, ShortcutParams};
use driftless_published::{WindowNetwork as _, World, WorldParams};

/// Frames of the published window.
const WINDOW: usize = 25;
/// Frames that are timed after the window is full.
const FULL: usize = 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or("expected a folder with both files")?;
    let steps: usize = arguments.next().map_or(Ok(2), |steps| steps.parse())?;
    let threads: Vec<usize> = arguments.map(|n| n.parse()).collect::<Result<_, _>>()?;
    let files = DreamerFiles::inside(Path::new(&folder))?.ok_or("expected both files")?;
    let mut world = World::new(Dreamer::read(&files)?);
    println!("{:?} parameters", world.network().info().parameters);
    for threads in if threads.is_empty() { vec![1] } else { threads } {
        world.network_mut().set_threads(threads)?;
        world.clear();
        let sampler = ShortcutParams {
            steps,
            ..ShortcutParams::default()
        };
        let params = WorldParams {
            sampler,
            ..WorldParams::seeded(WINDOW, 0)
        };
        let mut times = Vec::new();
        for _ in 0..WINDOW + FULL {
            let started = Instant::now();
            let stages = world.step(&Action::IDLE, &params)?;
            times.push([
                started.elapsed(),
                stages.cache,
                stages.denoise,
                stages.decode,
            ]);
        }
        let full = times.split_off(WINDOW);
        // The first frame has no context.
        let growing = times.split_off(1);
        for (what, mut times) in [("growing", growing), ("full", full)] {
            let [frame, cache, denoise, decode] = [0, 1, 2, 3].map(|i| median(&mut times, i));
            println!(
                "{threads} threads, {steps} steps, window {what}: {frame:.1} ms; context {cache:.1}, steps {denoise:.1}, \
                 decoding {decode:.1}"
            );
        }
    }
    Ok(())
}

/// The median of a column in milliseconds.
fn median(times: &mut [[Duration; 4]], column: usize) -> f64 {
    times.sort_by_key(|row| row[column]);
    times[times.len() / 2][column].as_secs_f64() * 1e3
}
