//! A game that is shared is played again, frame by frame, and played on.

use super::rewinding::{played, pong, seek};
use super::*;

/// What the frames up to `end` were made with.
fn game(sim: &SimThread, end: &Frame) -> Arc<Game> {
    sim.messages().try_iter().for_each(drop);
    sim.send(TimelineCommand::Game {
        request: 5,
        end: end.position,
    });
    let Message::Game {
        request: 5,
        game: Some(game),
    } = next_message(sim)
    else {
        panic!("no game");
    };
    game
}

/// A new thread that plays a game again.
fn again(game: &Game) -> SimThread {
    let clip = game.clip().clone();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/pong");
    spawn(SimOptions {
        player: Arc::new(move |gpu_source| {
            let cpu = driftless_engine::DeviceChoice::Cpu;
            let engine = driftless_engine::open(&folder, cpu, gpu_source)?;
            Ok(Box::new(LearnedWorld::new(
                engine,
                vec![clip.clone()].into(),
            )))
        }),
        params: game.params_at(0),
        actions: game.actions().into(),
        action_params: game.params().into(),
        ..options()
    })
}

#[test]
fn shared_game_is_played_again() {
    let sim = spawn(SimOptions { clip: 2, ..pong() });
    let mut frames = vec![next(&sim)];
    // What comes before the restart and what lies on another branch is not part of it.
    played(&sim, &[1, 1]);
    sim.send(EpisodeCommand::Reset);
    frames[0] = next(&sim);
    frames.extend(played(&sim, &[1, 2, 2]));
    let aside = played(&sim, &[1, 1]);
    seek(&sim, frames[3].position);
    sim.send(SamplerCommand::Params(SamplerParams {
        steps: 2,
        seed: 11,
        ..pong().params
    }));
    frames.extend(played(&sim, &[0, 1, 1]));
    let game = game(&sim, &frames[6]);
    assert_eq!(game.actions(), [1, 2, 2, 0, 1, 1]);
    assert_eq!(game.params().len(), 2);

    let other = again(&game);
    let mut shown = vec![next(&other)];
    shown.extend((0..6).map(|_| step(&other)));
    for (a, b) in frames.iter().zip(&shown) {
        assert_eq!((rgb(a), a.params), (rgb(b), b.params));
    }
    assert_ne!(rgb(&aside[0]), rgb(&shown[4]));
    let changes = other.messages().try_iter();
    let changes: Vec<_> = changes
        .filter(|message| matches!(message, Message::ParamsChanged(_)))
        .collect();
    assert_eq!(changes, [Message::ParamsChanged(frames[4].params)]);
    // Both play on alike.
    let [one, two] = [&sim, &other].map(|sim| played(sim, &[2, 0]));
    assert_eq!(rgb(&one[1]), rgb(&two[1]));
}

#[test]
fn ends_do_not_cut_a_game_short() {
    let params = SamplerParams {
        steps: fake::ENDS.into(),
        ..SamplerParams::default()
    };
    let ending = SimOptions {
        params,
        actions: [1.into(); 3].into(),
        ..options()
    };
    let numbers = |options: SimOptions| -> Vec<u64> {
        let sim = spawn(options);
        let first = next(&sim);
        let rest = (0..4).map(|_| step(&sim).number);
        std::iter::once(first.number).chain(rest).collect()
    };
    assert_eq!(numbers(ending.clone()), [0, 1, 0, 1, 0]);
    let game = SimOptions {
        action_params: [(0, params)].into(),
        ..ending
    };
    // It is over after its last frame.
    assert_eq!(numbers(game), [0, 1, 2, 3, 0]);
}

#[test]
fn sessions_hold_their_last_game() {
    let sim = spawn(SimOptions {
        record: Some("never-written.npz".into()),
        ..options()
    });
    next(&sim);
    played(&sim, &[1, 1]);
    sim.send(EpisodeCommand::NextClip);
    let start = next(&sim);
    let first = played(&sim, &[2, 0]);
    seek(&sim, first[0].position);
    let last = played(&sim, &[1, 1]);
    let asked = game(&sim, &last[1]);
    let recorded = recording(sim).into_episode();
    let recorded = RecordedSession::of(std::path::Path::new("a.npz"), recorded).unwrap();
    let game = recorded.game().unwrap();
    assert_eq!(game, *asked);
    assert_eq!(game.actions(), [2, 1, 1]);
    assert_eq!(game.clip().images[0], rgb(&start)[0]);
}
