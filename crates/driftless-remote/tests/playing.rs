//! Games over loopback: what the window does with a world here works with one on a server.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::{Person, Running, alike, checkpoint, options, playing, rgb, world_at};
use driftless_data::{Action, AxisSpec};
use driftless_engine::testing::{small_config, write_world};
use driftless_engine::{SamplerParams, Solver};
use driftless_serve::{ServedWorld, ServerOptions};
use driftless_sim::{
    CaptureCommand, Command, ComparisonSource, EpisodeCommand, InputCommand, Message, Notice,
    PlaybackCommand, Player, SamplerCommand, SimOptions, TimelineCommand, headless,
};

fn notice(message: &Message) -> Option<String> {
    match message {
        Message::Notice(Notice::Remote(text)) => Some(text.clone()),
        _ => None,
    }
}

#[test]
fn frames_answer_keys() {
    let server = Running::start(options());
    let mut person = Person::at(&world_at(server.address, "pong"));
    person.frame_where(|frame| frame.number > 2);
    person.hold(1);
    let answer = person.frame_where(|frame| frame.timing.input_at.is_some());
    assert_eq!(answer.action, 1);
    assert_eq!(rgb(&answer).len(), 64 * 64 * 3);
    assert!(!answer.timing.stages.total().is_zero() && answer.prediction.outcome.is_some());
    // Only one frame is the first to reflect it.
    assert!(person.frame().timing.input_at.is_none());
    person.quit();
    assert!(server.metric("driftless_latency_seconds_count") > 0);
    server.await_metric("driftless_players", |players| players == 0);
}

#[test]
fn same_frames_as_here() {
    let server = Running::start(options());
    let world = world_at(server.address, "pong");
    let actions: Vec<_> = (0..30).map(|t| (t / 7 % 3).into()).collect();
    let params = SamplerParams {
        seed: 11,
        steps: 2,
        ..world.params()
    };
    let mut frames = 0;
    let mut tick = || frames += 1;
    let there = headless::play(&mut world.player(), 1, &actions, &params, &mut tick).unwrap();
    let served = ServedWorld::open("pong", &checkpoint("pong"), 16).unwrap();
    let mut player = served.player().unwrap();
    let here = headless::play(player.as_mut(), 1, &actions, &params, &mut || {}).unwrap();
    assert_eq!(frames, 30);
    assert!(there.images == here.images);
    assert_eq!(there.actions, here.actions);
}

#[test]
fn games_start_again_as_here() {
    let server = Running::start(options());
    let world = world_at(server.address, "pong");
    let served = ServedWorld::open("pong", &checkpoint("pong"), 16).unwrap();
    let mut here = served.player().unwrap();
    let mut there = world.player();
    for seed in [3, 4, 3] {
        let params = SamplerParams {
            seed,
            steps: 1,
            ..world.params()
        };
        for player in [here.as_mut(), &mut there as &mut dyn Player] {
            player.start(1, &params).unwrap();
        }
        assert!(here.image().unwrap() == there.image().unwrap());
        for action in [1, 1, 2] {
            here.step(action.into(), &params).unwrap();
            there.step(action.into(), &params).unwrap();
            assert!(here.image().unwrap() == there.image().unwrap());
            assert!(there.outcome().is_some());
        }
    }
}

#[test]
fn impossible_wishes_of_a_player_are_named() {
    let server = Running::start(options());
    let world = world_at(server.address, "pong");
    let params = world.params();
    let mut player = world.player();
    let said = |result: driftless_sim::Result<()>| result.unwrap_err().to_string();
    let early = player.step(0.into(), &params).map(|_| ());
    assert!(said(early).contains("has not been started"));
    assert!(said(player.start(99, &params)).contains("starting clip 99"));
    player.start(0, &params).unwrap();
    let unknown = player.step(7.into(), &params).map(|_| ());
    assert!(said(unknown).contains("unknown action 7"));
    assert!(player.snapshot().is_err());
    let greedy = SamplerParams {
        steps: 64,
        ..params
    };
    let refused = player.step(1.into(), &greedy).map(|_| ());
    assert!(said(refused).contains("expected 1 to 16 on this server"));
    // The game goes on with other parameters, and can be played again.
    player.step(1.into(), &params).unwrap();
    player.start(0, &params).unwrap();
    player.step(1.into(), &params).unwrap();
}

#[test]
fn axes_are_carried() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = small_config();
    config.axes = ["wheel", "gas"].map(AxisSpec::named).into();
    write_world(&config, folder.path());
    let server = Running::start(ServerOptions::new(
        options().listen,
        vec![("car".into(), folder.path().into())],
    ));
    let world = world_at(server.address, "car");
    assert_eq!(world.dataset_info().axes, config.axes);
    let actions: Vec<_> = (0..8)
        .map(|t| Action::with_axes(t % 2, &[0.125 * t as f32, -0.25]))
        .collect();
    let params = world.params();
    let there = headless::play(&mut world.player(), 0, &actions, &params, &mut || {}).unwrap();
    let played: Vec<_> = there.played().into_iter().skip(1).collect();
    assert_eq!(played, actions);
    let served = ServedWorld::open("car", folder.path(), 16).unwrap();
    let mut player = served.player().unwrap();
    let here = headless::play(player.as_mut(), 0, &actions, &params, &mut || {}).unwrap();
    assert!(there.images == here.images);
}

#[test]
fn settings_apply_while_playing() {
    let server = Running::start(options());
    let world = world_at(server.address, "pong");
    let mut person = Person::at(&world);
    let params = |steps, seed| SamplerParams {
        steps,
        seed,
        ..world.params()
    };
    person.send(SamplerCommand::Params(params(2, 99)));
    let frame = person.frame_where(|frame| frame.params.seed == 99);
    assert_eq!(frame.params.steps, 2);
    // More than the server allows.
    person.send(SamplerCommand::Params(params(64, 99)));
    let (reason, active) = person.message(|message| match message {
        Message::ParamsRejected { reason, active } => Some((reason.clone(), *active)),
        _ => None,
    });
    assert!(
        reason.contains("expected 1 to 16 on this server"),
        "{reason}"
    );
    assert_eq!((active.steps, active.seed), (2, 99));
    let euler = SamplerParams {
        solver: Solver::Euler,
        churn: 0.2,
        ..params(3, 99)
    };
    person.send(SamplerCommand::Params(euler));
    // A new seed with every start.
    person.send(SamplerCommand::RandomSeed(true));
    person.send(EpisodeCommand::Reset);
    person.frame_where(|frame| frame.params.seed != 99);
}

#[test]
fn rewinding_shows_the_same_picture() {
    let server = Running::start(options());
    let mut person = Person::at(&world_at(server.address, "pong"));
    let mut seen = vec![person.halt()];
    for action in [1, 1, 2, 0, 2, 1] {
        let last = seen.last().unwrap().clone();
        seen.push(person.step(action, &last));
    }
    let place = seen[3].position;
    person.send(TimelineCommand::Seek(place));
    let back = person.frame_where(|frame| frame.position == place);
    assert!(alike(&back, &seen[3]) && back.action == seen[3].action);
    // From there, another branch, which shares the frames before.
    let other = person.step(1, &back);
    assert_ne!(other.position.branch, place.branch);
    let branches = person.message(|message| match message {
        Message::Branches(branches) if branches.len() > 1 => Some(branches.clone()),
        _ => None,
    });
    let branch = branches.iter().find(|b| b.branch == other.position.branch);
    assert_eq!(branch.unwrap().parent, Some(place.branch));
    let indices = [seen[2].position.index, other.position.index];
    person.send(TimelineCommand::StoredImages {
        branch: other.position.branch,
        indices: indices.into(),
        within: 0,
    });
    let images = person.message(|message| match message {
        Message::StoredImages { images, .. } => Some(images.clone()),
        _ => None,
    });
    assert!(images[0].1[..] == rgb(&seen[2])[..] && images[1].1[..] == rgb(&other)[..]);
    // Deleted, and brought back.
    person.send(TimelineCommand::DeleteBranch(place.branch));
    let count = |wanted| {
        move |message: &Message| match message {
            Message::Branches(branches) if branches.len() == wanted => Some(()),
            _ => None,
        }
    };
    person.message(count(1));
    person.send(TimelineCommand::RestoreBranch);
    person.message(count(2));
}

#[test]
fn truth_comes_beside_the_dream() {
    let server = Running::start(options());
    let world = world_at(server.address, "maze");
    assert!(world.info().truth);
    let mut person = Person::at(&world);
    assert!(person.frame().comparison.is_none());
    let kind = driftless_sim::matching_simulator(&world.dataset_info()).unwrap();
    person.send(Command::Compare(ComparisonSource::Simulator(kind)));
    let both = person.frame_where(|frame| frame.comparison.is_some());
    assert_eq!(
        both.comparison.unwrap().len(),
        both.image.bytes().unwrap().len()
    );
    person.send(Command::Compare(ComparisonSource::Off));
    person.frame_where(|frame| frame.comparison.is_none());
}

#[test]
fn seen_frames_are_saved() {
    let server = Running::start(options());
    let mut person = Person::at(&world_at(server.address, "pong"));
    let mut seen = vec![person.halt()];
    for action in [1, 2, 0, 1] {
        let last = seen.last().unwrap().clone();
        seen.push(person.step(action, &last));
    }
    let end = seen[4].position;
    person.send(TimelineCommand::RenderEpisode { request: 7, end });
    let episode = person.message(|message| match message {
        Message::RecentFrames {
            request: 7,
            episode,
        } => Some(episode.clone()),
        _ => None,
    });
    assert_eq!(episode.actions, [0, 1, 2, 0, 1]);
    let images: Vec<u8> = seen.iter().flat_map(rgb).collect();
    assert!(episode.images == images);
}

#[test]
fn scenes_repeats_and_pace_apply() {
    let server = Running::start(options());
    let world = world_at(server.address, "pong");
    let options = SimOptions {
        paused: true,
        clip: 2,
        ..playing(&world)
    };
    let mut person = Person::with(&world, &options);
    let first = person.frame();
    assert_eq!((first.number, first.clip), (0, 2));
    person.send(EpisodeCommand::NextClip);
    assert_eq!(
        person.frame_where(|frame| frame.clip != 2).clip,
        3 % world.info().clips
    );
    person.send(InputCommand::Repeat(4));
    person.send(PlaybackCommand::Pace(driftless_sim::Pace::Unlimited));
    person.send(PlaybackCommand::Resume);
    person.frame_where(|frame| frame.number > 8);
    person.send(InputCommand::Autoplay(true));
    person.frame_where(|frame| frame.action != 0);
    person.hold(2);
    person.message(|message| {
        matches!(message, Message::Notice(Notice::AutoplayStopped)).then_some(())
    });
}

#[test]
fn what_a_server_cannot_is_said() {
    let server = Running::start(options());
    let mut person = Person::at(&world_at(server.address, "pong"));
    let commands: [(Command, &str); 3] = [
        (
            InputCommand::Play([1.into()].into()).into(),
            "no actions from a file",
        ),
        (CaptureCommand::Trace(true).into(), "no denoising steps"),
        (
            CaptureCommand::Measure(true).into(),
            "neither drift nor surprise",
        ),
    ];
    for (command, expected) in commands {
        person.send(command);
        let said = person.message(notice);
        assert!(said.contains(expected), "{said}");
    }
    // The server refuses by name, too.
    person.send(EpisodeCommand::SelectClip(500));
    assert!(
        person
            .message(notice)
            .contains("starting clip 500 does not exist")
    );
}
