//! Plays the included Pong in the world-model thread, goes back, and plays on differently. Then plays a
//! recorded session again, bit for bit.
//!
//! `cargo run --release -p driftless-sim --example rewind`

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use driftless_data::Action;
use driftless_engine::{DeviceChoice, GpuSource, SamplerParams};
use driftless_model::starting_clips;
use driftless_sim::{
    InputCommand, LearnedWorld, PlaybackCommand, Player, RecordedSession, SimOptions, SimThread,
    TimelineCommand, headless,
};

fn pong() -> driftless_sim::Result<LearnedWorld> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/pong");
    let engine = driftless_engine::open(&folder, DeviceChoice::Cpu, &GpuSource::Own)?;
    let clips = starting_clips::read(&folder.join("contexts.npz"), engine.world())?;
    Ok(LearnedWorld::new(engine, clips.into()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let factory = |_: &_| -> driftless_sim::Result<Box<dyn Player>> { Ok(Box::new(pong()?)) };
    let options = SimOptions {
        paused: true,
        ..SimOptions::new(Arc::new(factory))
    };
    let sim = SimThread::spawn(options, None, || {})?;
    let start = sim.frames().recv()?.position;
    for action in [1, 2] {
        sim.send(TimelineCommand::Seek(start));
        sim.frames().recv()?;
        let changed_at = Instant::now();
        sim.send(InputCommand::Hold {
            action: action.into(),
            changed_at,
        });
        for _ in 0..15 {
            sim.send(PlaybackCommand::Step);
            let frame = sim.frames().recv()?;
            if frame.number == 15 {
                let branch = frame.position.branch;
                println!("action {action} for a second: frame 15 of branch {branch}");
            }
        }
    }

    let actions: Vec<Action> = (0..60).map(|frame| (frame / 15 % 3).into()).collect();
    let params = SamplerParams::default();
    let played = headless::play(&mut pong()?, 0, &actions, &params, &mut || {})?;
    let recording = RecordedSession::of(&PathBuf::from("played.npz"), played)?;
    let report = recording.replay(&mut pong()?, None, &mut || {})?;
    println!("replayed: {report}");
    Ok(())
}
