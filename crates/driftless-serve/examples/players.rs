//! Frames a second of 1, 8 and 32 players on a world: by the pool, whose threads each run another player's game, and
//! by engines that take turns and each use all cores.
//!
//! ```sh
//! cargo run --release -p driftless-serve --example players -- checkpoints/maze 5
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use driftless_engine::{DeviceChoice, DeviceOptions, GpuSource, Sampler, SamplerParams, Threads};
use driftless_model::checkpoint::STARTING_CLIPS;
use driftless_model::starting_clips;
use driftless_serve::{Pool, ServedWorld, Task};
use driftless_sim::{Player, Turn};

/// Most sampling steps that the world may ask for.
const MAX_STEPS: usize = 64;

/// A game that makes one frame after another.
struct Game {
    player: Box<dyn Player>,
    params: SamplerParams,
    frames: Arc<AtomicU64>,
    until: Instant,
}

impl Task for Game {
    fn turn(&mut self) -> Turn {
        let action = self.frames.fetch_add(1, Ordering::Relaxed) / 8;
        let action = action as u32 % self.player.actions() as u32;
        let made = self.player.step(action.into(), &self.params);
        if made.is_err() || Instant::now() >= self.until {
            return Turn::Ended;
        }
        Turn::Again
    }

    fn end(self: Box<Self>) {}
}

/// Frames a second of games in a pool.
fn pooled(
    world: &Arc<ServedWorld>,
    players: usize,
    threads: usize,
    time: Duration,
) -> Result<f64, Box<dyn Error>> {
    let pool = Pool::new(threads)?;
    let frames = Arc::new(AtomicU64::new(0));
    let mut games = Vec::new();
    for _ in 0..players {
        let mut player = world.player()?;
        player.start(0, &world.params())?;
        games.push(player);
    }
    let started = Instant::now();
    for player in games {
        pool.add(Box::new(Game {
            player,
            params: world.params(),
            frames: Arc::clone(&frames),
            until: started + time,
        }));
    }
    pool.finish();
    Ok(frames.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// Frames a second of engines that use all cores, a frame each in turn.
fn in_turn(engines: &mut [Sampler], time: Duration) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let mut frames = 0_u64;
    while started.elapsed() < time {
        for engine in &mut *engines {
            let params = SamplerParams::of_world(engine.world());
            let actions = engine.world().actions.len() as u64;
            engine.step((frames / 8 % actions) as u32, &params)?;
            frames += 1;
        }
    }
    Ok(frames as f64 / started.elapsed().as_secs_f64())
}

fn engines(folder: &Path, count: usize) -> Result<Vec<Sampler>, Box<dyn Error>> {
    let options = DeviceOptions {
        device: DeviceChoice::Cpu,
        threads: Threads::Auto,
    };
    let mut engines = Vec::new();
    for _ in 0..count {
        let mut engine = driftless_engine::open(folder, options, &GpuSource::Unavailable)?;
        let clips = starting_clips::read(&folder.join(STARTING_CLIPS), engine.world())?;
        let params = SamplerParams::of_world(engine.world());
        engine.reset(clips.first().ok_or("no starting clip")?, &params)?;
        engines.push(engine);
    }
    Ok(engines)
}

#[expect(clippy::print_stdout, reason = "the table is the result")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .unwrap_or_else(|| "checkpoints/pong".into());
    let seconds = arguments.next().map_or(Ok(5.0), |text| text.parse())?;
    let (folder, time) = (Path::new(&folder), Duration::from_secs_f64(seconds));
    let world = Arc::new(ServedWorld::open("world", folder, MAX_STEPS)?);
    let cores = std::thread::available_parallelism()?.get();
    println!("| players | in turn, {cores} threads each | pool of {cores} | times |");
    println!("|---:|---:|---:|---:|");
    for players in [1, 8, 32] {
        let mut alone = engines(folder, players)?;
        // Whatever else the machine does, it does to both.
        let mut best = [0.0_f64; 2];
        for _ in 0..3 {
            best[0] = best[0].max(in_turn(&mut alone, time)?);
            best[1] = best[1].max(pooled(&world, players, cores, time)?);
        }
        let [turns, pool] = best;
        println!(
            "| {players} | {turns:.0} | {pool:.0} | {:.2} |",
            pool / turns
        );
    }
    Ok(())
}
