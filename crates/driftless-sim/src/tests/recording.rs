//! What the recording of a played session holds, failures included.

use super::fake::{FAILS, PANICS};
use super::*;

fn recorded() -> Options {
    Options {
        record: Some("never-written.npz".into()),
        ..options()
    }
}

#[test]
fn a_failed_or_panicked_engine_is_said_and_the_next_thread_goes_on_recording() {
    for (action, reason) in [
        (FAILS, "the device went away"),
        (PANICS, "index out of range"),
    ] {
        let sim = spawn(recorded());
        next(&sim);
        step(&sim);
        hold(&sim, action);
        sim.send(Command::Step);
        assert!(matches!(word(&sim), Message::Failed { what, .. } if what.contains(reason)));
        let session = recording(sim);
        assert_eq!(session.frames(), 2);

        let sim = Sim::spawn(recorded(), Some(session), || {}).unwrap();
        next(&sim);
        assert_eq!(step(&sim).number, 1);
        let session = recording(sim);
        assert_eq!(session.frames(), 4);
        assert_eq!(session.path(), std::path::Path::new("never-written.npz"));
    }
}

#[test]
fn the_recording_holds_every_frame_even_those_that_nobody_read() {
    let (sim, words) = spawn_unread(Options {
        paused: false,
        ..recorded()
    });
    for _ in 0..60 {
        words.recv_timeout(HANGS).unwrap();
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
fn the_recording_tells_actions_context_and_parameters_of_each_frame() {
    let sim = spawn(recorded());
    next(&sim);
    hold(&sim, 2);
    let params = SamplerParams {
        steps: 2,
        seed: 0x0004_0003_0002_0001,
        ..SamplerParams::default()
    };
    sim.send(Command::Params(params));
    step(&sim);
    sim.send(Command::NextContext);
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
fn a_full_recording_is_said_once_and_play_goes_on() {
    let sim = spawn(options());
    let frame = next(&sim);
    let mut session = Session::new("never-written.npz".into());
    let mut player = (options().player)(&Seat::Own).unwrap();
    let said: Vec<String> = (0..36_010)
        .filter_map(|_| session.append(&frame, player.as_mut()).unwrap())
        .collect();
    assert_eq!(said, ["recording stopped after 36000 frames; play goes on"]);
    assert_eq!(session.frames(), 36_000);
}
