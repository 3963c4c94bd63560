//! How many frames a second an agent's world makes, on one thread and on more, and what of that is not the denoiser.
//!
//! ```sh
//! cargo run --release -p driftless-diamond --example speed -- Pong.pt 1 2
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::path::Path;
use std::time::{Duration, Instant};

use driftless_diamond::{Agent, World, WorldParams};

/// Frames that are timed, after one that is not.
const FRAMES: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("expected an agent's file, then numbers of threads")?;
    let mut world = World::new(Agent::read(Path::new(&path))?);
    let info = world.info();
    println!(
        "{path}: {:?} parameters, {} actions",
        info.parameters, info.actions
    );
    let threads: Vec<usize> = arguments.map(|n| n.parse()).collect::<Result<_, _>>()?;
    for threads in if threads.is_empty() { vec![1] } else { threads } {
        world.agent_mut().set_threads(threads)?;
        let params = WorldParams::seeded(0);
        world.step(0, &params)?;
        let [best, median] = times(|| world.step(0, &params))?;
        let image = world.image().to_vec();
        let agent = world.agent_mut();
        let mut state = agent.reward_end_start();
        let [_, rest] = times(|| agent.reward_end(&image, 0, &image, &mut state))?;
        println!(
            "{threads} threads: median {median:.1} ms a frame, best {best:.1} ms, {:.1} frames/s; \
             reward and end {rest:.1} ms of it",
            1e3 / median
        );
    }
    Ok(())
}

/// The least and the median time in ms.
fn times<T>(
    mut work: impl FnMut() -> driftless_diamond::Result<T>,
) -> driftless_diamond::Result<[f64; 2]> {
    let mut times = Vec::new();
    for _ in 0..FRAMES {
        let started = Instant::now();
        work()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    Ok([ms(times[0]), ms(times[FRAMES / 2])])
}
