//! Actions from a file take precedence over the held one.

use driftless_data::Action;

use super::fake::FAILS;
use super::*;
use crate::autoplay::Autoplay;

fn scripted(actions: &[u32]) -> SimOptions {
    SimOptions {
        actions: actions.iter().copied().map(Action::from).collect(),
        ..options()
    }
}

fn actions(sim: &SimThread, frames: usize) -> Vec<Action> {
    (0..frames).map(|_| step(sim).action).collect()
}

fn expect_notice(sim: &SimThread, part: &str) {
    let Message::Notice(notice) = next_message(sim) else {
        panic!("unexpected message");
    };
    let text = notice.to_string();
    assert!(text.contains(part), "{text}");
}

#[test]
fn script_precedes_held_action() {
    let sim = spawn(scripted(&[1, 2, 0, 1]));
    assert_eq!(next(&sim).action, 0);
    hold(&sim, 0);
    assert_eq!(actions(&sim, 5), [1, 2, 0, 1, 0]);
    expect_notice(&sim, "are played");
    hold(&sim, 2);
    assert_eq!(actions(&sim, 2), [2, 2]);
}

#[test]
fn pressed_key_stops_script() {
    let sim = spawn(options());
    next(&sim);
    hold(&sim, 2);
    sim.send(InputCommand::Play([1, 1, 1, 1, 1].map(Action::from).into()));
    // An action that was held before does not stop them.
    hold(&sim, 2);
    assert_eq!(actions(&sim, 1), [1]);
    hold(&sim, 0);
    assert_eq!(actions(&sim, 1), [1]);
    hold(&sim, 2);
    assert_eq!(actions(&sim, 2), [2, 2]);
    expect_notice(&sim, "a key stops");
}

#[test]
fn script_survives_reset() {
    let sim = spawn(scripted(&[1, 2, 1, 2]));
    next(&sim);
    assert_eq!(actions(&sim, 1), [1]);
    sim.send(EpisodeCommand::Reset);
    assert_eq!(next(&sim).number, 0);
    assert_eq!(actions(&sim, 1), [2]);
    sim.send(InputCommand::Play([2, 2, 0].map(Action::from).into()));
    assert_eq!(actions(&sim, 3), [2, 2, 0]);
}

#[test]
fn script_with_unknown_action_is_rejected() {
    let sim = spawn(scripted(&[1, 5]));
    next(&sim);
    expect_notice(&sim, "unknown action 5, expected 0 to 4");
    sim.send(InputCommand::Play([Action::from(6)].into()));
    assert_eq!(actions(&sim, 1), [0]);
    expect_notice(&sim, "unknown action 6");
}

#[test]
fn resumed_thread_continues_script() {
    let options = SimOptions {
        player: fake::failing_devices(),
        ..scripted(&[1, 2, FAILS, 2, 1])
    };
    let sim = spawn(options.clone());
    next(&sim);
    assert_eq!(actions(&sim, 2), [1, 2]);
    sim.send(PlaybackCommand::Step);
    assert!(matches!(next_message(&sim), Message::Failed { .. }));
    let sim = spawn(SimOptions {
        gpu_source: GpuSource::Unavailable,
        resume_from: Some(Arc::new(sim.finish().history)),
        ..options
    });
    next(&sim);
    assert_eq!(actions(&sim, 4), [FAILS, 2, 1, 0]);
}

#[test]
fn script_matches_headless_play() {
    let script = [3, 3, 1, 0, 3, 5];
    let player: Arc<PlayerFactory> = Arc::new(|_| {
        Ok(Box::new(SimulatedWorld::new(
            driftless_worlds::SimulatorKind::Drive.open(0),
        )))
    });
    let sim = spawn(SimOptions {
        player: Arc::clone(&player),
        record: Some("never-written.npz".into()),
        ..scripted(&script)
    });
    next(&sim);
    actions(&sim, script.len());
    let mut player = player(&GpuSource::Own).unwrap();
    let params = SamplerParams::default();
    let script = script.map(Action::from);
    let headless = headless::play(player.as_mut(), 0, &script, &params, &mut || {});
    assert!(recording(sim).into_episode() == headless.unwrap());
}

#[test]
fn learned_world_plays_random_held_actions() {
    let mut player = (options().player)(&GpuSource::Unavailable).unwrap();
    let mut autoplay = Autoplay::default();
    let played: Vec<Action> = (0..400)
        .map(|_| autoplay.next_action(player.as_mut()))
        .collect();
    for action in 0..player.actions() as u32 {
        assert!(played.contains(&action.into()), "{played:?}");
    }
    // An action is held for 8.5 frames on average.
    let changes = played.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!((10..120).contains(&changes), "{changes}");
}
