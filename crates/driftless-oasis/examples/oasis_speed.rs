//! How long a checkpoint's world takes for a frame, on one thread and on more.
//!
//! ```sh
//! cargo run --release -p driftless-oasis --example oasis_speed -- FOLDER 10 1 2
//! ```
//!
//! The numbers are DDIM steps, then threads.

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::path::Path;
use std::time::Instant;

use driftless_data::Action;
use driftless_oasis::{DdimParams, MAX_WINDOW, Oasis, OasisFiles};
use driftless_published::{WindowNetwork as _, World, WorldParams};

/// Frames that are timed.
const FRAMES: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or("expected a folder with both files")?;
    let steps: usize = arguments.next().map_or(Ok(10), |steps| steps.parse())?;
    let threads: Vec<usize> = arguments.map(|n| n.parse()).collect::<Result<_, _>>()?;
    let files = OasisFiles::inside(Path::new(&folder))?.ok_or("expected both files of Oasis")?;
    let started = Instant::now();
    let mut world = World::new(Oasis::read(&files)?);
    println!(
        "{:?} parameters, read in {:.1} s",
        world.network().info().parameters,
        started.elapsed().as_secs_f64()
    );
    for threads in if threads.is_empty() { vec![1] } else { threads } {
        world.network_mut().set_threads(threads)?;
        world.clear();
        let sampler = DdimParams {
            steps,
            ..DdimParams::default()
        };
        let params = WorldParams {
            sampler,
            ..WorldParams::seeded(MAX_WINDOW, 0)
        };
        for frame in 1..=FRAMES {
            let started = Instant::now();
            let times = world.step(&Action::IDLE, &params)?;
            println!(
                "{threads} threads, frame {frame}: {:.2} s; context {:.2}, {steps} steps {:.2}, decoding {:.2}",
                started.elapsed().as_secs_f64(),
                times.cache.as_secs_f64(),
                times.denoise.as_secs_f64(),
                times.decode.as_secs_f64()
            );
        }
    }
    Ok(())
}
