//! Actions from a file, before the person's.

use super::fake::FAILS;
use super::*;

fn scripted(actions: &[u32]) -> Options {
    Options {
        actions: actions.into(),
        ..options()
    }
}

fn actions(sim: &Sim, frames: usize) -> Vec<u32> {
    (0..frames).map(|_| step(sim).action).collect()
}

fn says(sim: &Sim, part: &str) {
    let Message::Notice(text) = word(sim) else {
        panic!("another message");
    };
    assert!(text.contains(part), "{text}");
}

#[test]
fn the_files_actions_are_played_first_and_then_the_held_one_counts() {
    let sim = spawn(scripted(&[1, 2, 0, 1]));
    assert_eq!(next(&sim).action, 0);
    hold(&sim, 0);
    assert_eq!(actions(&sim, 5), [1, 2, 0, 1, 0]);
    says(&sim, "are over");
    hold(&sim, 2);
    assert_eq!(actions(&sim, 2), [2, 2]);
}

#[test]
fn a_pressed_key_ends_them_and_a_released_one_does_not() {
    let sim = spawn(options());
    next(&sim);
    hold(&sim, 2);
    sim.send(Command::Actions([1, 1, 1, 1, 1].into()));
    // What is still held from before waits.
    hold(&sim, 2);
    assert_eq!(actions(&sim, 1), [1]);
    hold(&sim, 0);
    assert_eq!(actions(&sim, 1), [1]);
    hold(&sim, 2);
    assert_eq!(actions(&sim, 2), [2, 2]);
    says(&sim, "a key ends");
}

#[test]
fn a_reset_does_not_end_them_and_new_ones_take_their_place() {
    let sim = spawn(scripted(&[1, 2, 1, 2]));
    next(&sim);
    assert_eq!(actions(&sim, 1), [1]);
    sim.send(Command::Reset);
    assert_eq!(next(&sim).number, 0);
    assert_eq!(actions(&sim, 1), [2]);
    sim.send(Command::Actions([2, 2, 0].into()));
    assert_eq!(actions(&sim, 3), [2, 2, 0]);
}

#[test]
fn actions_that_the_world_does_not_have_are_said_and_none_is_played() {
    let sim = spawn(scripted(&[1, 5]));
    next(&sim);
    says(&sim, "5 is unknown, expected 0 to 4");
    sim.send(Command::Actions([6].into()));
    assert_eq!(actions(&sim, 1), [0]);
    says(&sim, "6 is unknown");
}

#[test]
fn a_thread_that_goes_on_plays_the_actions_that_are_left() {
    let seated = Options {
        player: fake::on_seats(),
        ..scripted(&[1, 2, FAILS, 2, 1])
    };
    let sim = spawn(seated.clone());
    next(&sim);
    assert_eq!(actions(&sim, 2), [1, 2]);
    sim.send(Command::Step);
    assert!(matches!(word(&sim), Message::Failed { .. }));
    let sim = spawn(Options {
        seat: Seat::Processor,
        from: Some(Arc::new(sim.finish().history)),
        ..seated
    });
    next(&sim);
    assert_eq!(actions(&sim, 4), [FAILS, 2, 1, 0]);
}

#[test]
fn the_window_plays_a_files_actions_as_a_headless_game_does() {
    let script = [3, 3, 1, 0, 3, 5];
    let player: Arc<PlayerFactory> =
        Arc::new(|_| Ok(Box::new(Real::new(driftless_worlds::Kind::Drive.open(0)))));
    let sim = spawn(Options {
        player: Arc::clone(&player),
        record: Some("never-written.npz".into()),
        ..scripted(&script)
    });
    next(&sim);
    actions(&sim, script.len());
    let mut player = player(&Seat::Own).unwrap();
    let params = SamplerParams::default();
    let headless = headless::play(player.as_mut(), 0, &script, &params, &mut || {});
    assert!(recording(sim).into_episode() == headless.unwrap());
}
