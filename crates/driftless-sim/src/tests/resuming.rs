//! Continuing a failed thread's history, on another device.

use super::fake::{FAILS, PANICS};
use super::*;

fn on_device(gpu_source: GpuSource, from: Option<Arc<History>>) -> SimOptions {
    SimOptions {
        player: fake::failing_devices(),
        record: Some("never-written.npz".into()),
        clip: 1,
        gpu_source,
        resume_from: from,
        ..options()
    }
}

/// Plays some frames, then fails. Returns the last frame and what remains.
fn failed(frames: usize, how: u32) -> (Frame, ThreadExit) {
    let sim = spawn(on_device(GpuSource::Own, None));
    let mut last = next(&sim);
    hold(&sim, 2);
    for _ in 0..frames {
        last = step(&sim);
    }
    hold(&sim, how);
    sim.send(PlaybackCommand::Step);
    let device = matches!(
        next_message(&sim),
        Message::Failed {
            device_failed: true,
            ..
        }
    );
    assert_eq!(device, how == FAILS);
    (last, sim.finish())
}

#[test]
fn cpu_takes_over_from_failed_device() {
    for frames in [0, 3, 64, 70] {
        let (last, exit) = failed(frames, FAILS);
        let options = on_device(GpuSource::Unavailable, Some(Arc::new(exit.history)));
        let sim = SimThread::spawn(options, exit.session, || {}).unwrap();
        let again = next(&sim);
        assert_eq!(rgb(&again), rgb(&last), "after {frames} frames");
        assert_eq!(
            (
                again.number,
                again.sequence,
                again.clip,
                again.prediction.score
            ),
            (last.number, last.sequence, last.clip, last.prediction.score)
        );
        hold(&sim, FAILS);
        let next = step(&sim);
        assert_eq!(next.number, last.number + 1);
        assert_eq!(rgb(&next)[0], rgb(&last)[0] + 1);
        // The frame is shown twice but recorded once.
        let episode = recording(sim).into_episode();
        let numbers: Vec<f32> = (0..=frames + 1).map(|n| n as f32).collect();
        assert_eq!(episode.extras["number"].values, numbers);
    }
}

#[test]
fn resumes_from_a_reset() {
    let sim = spawn(on_device(GpuSource::Own, None));
    next(&sim);
    step(&sim);
    sim.send(EpisodeCommand::NextClip);
    let start = next(&sim);
    hold(&sim, PANICS);
    sim.send(PlaybackCommand::Step);
    assert!(matches!(
        next_message(&sim),
        Message::Failed {
            device_failed: false,
            ..
        }
    ));
    let history = Some(Arc::new(sim.finish().history));
    let sim = spawn(on_device(GpuSource::Unavailable, history));
    let again = next(&sim);
    assert_eq!((again.number, again.clip), (0, 2));
    assert_eq!(rgb(&again), rgb(&start));
}

#[test]
fn random_seed_survives_resuming() {
    let history = Some(Arc::new(failed(2, FAILS).1.history));
    for free in [false, true] {
        let sim = spawn(SimOptions {
            random_seed: free,
            ..on_device(GpuSource::Unavailable, history.clone())
        });
        next(&sim);
        let seeds = [(), ()].map(|()| {
            sim.send(EpisodeCommand::Reset);
            next(&sim).params.seed
        });
        assert_eq!(seeds[0] != seeds[1], free);
    }
}
