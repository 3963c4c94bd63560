//! Measures a server: frames a second, and how long a key takes to the picture that reflects it, over the link and
//! back.
//!
//! `driftless serve` in one terminal, and in another:
//! `cargo run --release -p driftless-remote --example latency -- ws://127.0.0.1:8037 300`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use driftless_remote::{Address, RemoteServer};
use driftless_sim::{Command, InputCommand, Message, Pace, Player, SimOptions, SimThread};

/// Every so many frames a key is pressed or released.
const PRESS_EVERY: u64 = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or("ws://127.0.0.1:8037".into());
    let frames: u64 = args.next().map_or(Ok(300), |n| n.parse())?;
    let server = RemoteServer::new(Address::parse(&url)?, None, None)?;
    let world = server.world(None)?;
    let nobody = |_: &_| -> driftless_sim::Result<Box<dyn Player>> {
        Err(driftless_sim::Error::Remote("it is on a server".into()))
    };
    let options = SimOptions {
        params: world.params(),
        pace: Pace::Fps(world.info().fps),
        ..SimOptions::new(Arc::new(nobody))
    };
    let game = world.spawn(&options, || {})?;
    let (mut waits, mut made) = (Vec::new(), Duration::ZERO);
    let begun = Instant::now();
    for count in 1..=frames {
        let frame = next(&game)?;
        made += frame.timing.stages.total();
        waits.extend(frame.timing.input_at.map(|at| at.elapsed()));
        if count % PRESS_EVERY == 0 {
            let action = (count / PRESS_EVERY % 2) as u32;
            let changed_at = Instant::now();
            game.send(Command::Input(InputCommand::Hold {
                action: action.into(),
                changed_at,
            }));
        }
    }
    let seconds = begun.elapsed().as_secs_f32();
    game.finish();
    waits.sort_unstable();
    let at = |part: usize| waits.get(waits.len().saturating_sub(1) * part / 100);
    let ms = |wait: Option<&Duration>| wait.map_or(f32::NAN, |wait| wait.as_secs_f32() * 1e3);
    println!(
        "{} on {}: {:.1} frames/s, made in {:.1} ms; {} keys, to the picture {:.1} ms (median), {:.1} ms (99 %)",
        world.info().title,
        server.address(),
        frames as f32 / seconds,
        made.as_secs_f32() * 1e3 / frames as f32,
        waits.len(),
        ms(at(50)),
        ms(at(99)),
    );
    Ok(())
}

/// The next frame, or why there is none.
fn next(game: &SimThread) -> Result<driftless_sim::Frame, Box<dyn std::error::Error>> {
    loop {
        if let Ok(frame) = game.frames().recv_timeout(Duration::from_millis(50)) {
            return Ok(frame);
        }
        for message in game.messages().try_iter() {
            if let Message::Failed { reason, .. } = message {
                return Err(reason.into());
            }
        }
    }
}
