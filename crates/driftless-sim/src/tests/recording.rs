//! What the recording of a session holds.

use driftless_data::Episode;

use super::fake::{FAILS, PANICS};
use super::*;

fn recorded() -> SimOptions {
    SimOptions {
        record: Some("never-written.npz".into()),
        ..options()
    }
}

#[test]
fn recording_survives_failures() {
    for (action, reason) in [
        (FAILS, "the device went away"),
        (PANICS, "index out of range"),
    ] {
        let sim = spawn(recorded());
        next(&sim);
        step(&sim);
        hold(&sim, action);
        sim.send(PlaybackCommand::Step);
        assert!(
            matches!(next_message(&sim), Message::Failed { reason: text, .. } if text.contains(reason))
        );
        let session = recording(sim);
        assert_eq!(session.frames(), 2);

        let sim = SimThread::spawn(recorded(), Some(session), || {}).unwrap();
        next(&sim);
        assert_eq!(step(&sim).number, 1);
        let session = recording(sim);
        assert_eq!(session.frames(), 4);
        assert_eq!(session.path(), std::path::Path::new("never-written.npz"));
    }
}

#[test]
fn recording_holds_dropped_frames() {
    let (sim, events) = spawn_unread(SimOptions {
        paused: false,
        ..recorded()
    });
    for _ in 0..60 {
        events.recv_timeout(TIMEOUT).unwrap();
    }
    let frames = sim.frames().clone();
    let session = recording(sim);
    let newest = frames.try_iter().last().unwrap();
    assert_eq!(session.frames() as u64, newest.sequence);
    let episode = session.into_episode();
    for (t, number) in episode.extras["number"].values.iter().enumerate() {
        assert_eq!(*number, t as f32);
        assert_eq!(episode.frame(t)[0], t as u8);
    }
}

#[test]
fn recording_holds_frame_parameters() {
    let sim = spawn(recorded());
    next(&sim);
    hold(&sim, 2);
    let params = SamplerParams {
        steps: 2,
        seed: 0x0004_0003_0002_0001,
        ..SamplerParams::default()
    };
    sim.send(SamplerCommand::Params(params));
    step(&sim);
    sim.send(EpisodeCommand::NextClip);
    next(&sim);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("played.npz");
    let episode = recording(sim).into_episode();
    episode.write(&path).unwrap();
    let read = Episode::read(&path).unwrap();
    assert_eq!([read.height, read.width, read.frames()], [1, 1, 3]);
    assert_eq!(read.actions, [0, 2, 0]);
    let column = |name: &str| read.extras[name].values.clone();
    assert_eq!(column("number"), [0.0, 1.0, 0.0]);
    assert_eq!(column("context"), [0.0, 0.0, 1.0]);
    assert_eq!(column("steps"), [4.0, 2.0, 2.0]);
    assert_eq!(read.extras["seed"].shape, [3, 4]);
    assert_eq!(column("seed")[4..8], [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn full_recording_is_reported_once() {
    let sim = spawn(options());
    let frame = next(&sim);
    let mut session = Session::new("never-written.npz");
    let mut player = (options().player)(&GpuSource::Own).unwrap();
    let notices: Vec<Notice> = (0..36_010)
        .filter_map(|_| session.append(&frame, player.as_mut()).unwrap())
        .collect();
    assert_eq!(notices, [Notice::RecordingFull { frames: 36_000 }]);
    assert_eq!(session.frames(), 36_000);
}
