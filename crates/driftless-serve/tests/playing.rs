//! Games over loopback: they answer keys, are each player's own, and are kept when a link breaks.

mod common;

use std::time::Duration;

use common::{Heard, Running, checkpoint, options};
use driftless_data::Episode;
use driftless_serve::protocol::{FrameHeader, PictureFormat, Pictures, Reply, Request};
use driftless_serve::{Recordings, ServerOptions};

#[test]
fn frames_answer_keys() {
    let server = Running::start(options());
    let mut player = server.player();
    player.frame();
    player.say(&Request::hold(&1.into(), 5));
    let answer = player.frame_where(|header| header.input != 0).header;
    assert_eq!((answer.input, answer.size), (5, [64, 64]));
    assert!(answer.waited_ms >= 0.0 && answer.number > 0);
    // Only one frame is the first to reflect it.
    let later: Vec<u32> = (0..5).map(|_| player.frame().header.input).collect();
    assert_eq!(later, [0; 5]);
}

#[test]
fn same_seed_and_keys_give_the_same_frames() {
    let server = Running::start(options());
    let mut players = [1, 1, 2].map(|action| (server.player(), action));
    let starts = players.each_mut().map(|(player, _)| player.halt().picture);
    assert!(starts[0] == starts[1] && starts[0] == starts[2]);
    let last = players.each_mut().map(|(player, action)| {
        let steps = (1..=12).map(|input| player.step(*action, input));
        steps.last().unwrap().picture
    });
    assert!(last[0] == last[1], "the same keys");
    assert!(last[0] != last[2], "other keys");
}

#[test]
fn settings_are_each_players_own() {
    let server = Running::start(options());
    let (mut one, mut other) = (server.player(), server.player());
    let settings = |player: &mut common::Player<_>| loop {
        if let Reply::Settings { values, refused } = player.reply() {
            return (values["steps"].as_u64().unwrap(), refused);
        }
    };
    let own = settings(&mut one).0;
    assert_eq!(settings(&mut other), (own, None));
    let change = |steps: u64| Request::Settings {
        values: [("steps".to_owned(), steps.into())].into_iter().collect(),
    };
    one.say(&change(2));
    assert_eq!(settings(&mut one), (2, None));
    other.say(&change(64));
    let (steps, refused) = settings(&mut other);
    assert_eq!(steps, own);
    assert!(refused.unwrap().contains("expected 1 to 16 on this server"));
}

#[test]
fn rewinding_shows_the_same_picture() {
    let server = Running::start(options());
    let mut player = server.player();
    player.halt();
    let seen: Vec<_> = (1..=6).map(|input| player.step(input % 3, input)).collect();
    let FrameHeader { branch, index, .. } = seen[2].header;
    player.say(&Request::Seek { branch, index });
    let back = player.frame_where(|header| header.index == index);
    assert!(back.picture == seen[2].picture);
    // From there, another branch.
    assert_ne!(player.step(1, 9).header.branch, branch);
}

#[test]
fn truth_comes_beside_the_dream() {
    let server = Running::start(options());
    let mut player = server.welcome();
    player.join("maze");
    assert!(player.frame().truth.is_empty());
    player.say(&Request::Truth { on: true });
    let seen = player.frame_where(|header| header.flags.truth);
    let size = |bytes: &[u8]| {
        image::load_from_memory(bytes)
            .unwrap()
            .into_rgb8()
            .dimensions()
    };
    assert_eq!(size(&seen.picture), size(&seen.truth));
    player.say(&Request::Truth { on: false });
    player.frame_where(|header| !header.flags.truth);
}

#[test]
fn pictures_come_as_asked_for() {
    let server = Running::start(options());
    let mut player = server.player();
    for (pictures, format) in [
        (Pictures::Raw, PictureFormat::Raw),
        (Pictures::Jpeg, PictureFormat::Jpeg),
        (Pictures::Auto, PictureFormat::Png),
    ] {
        player.say(&Request::Pictures { pictures });
        player.frame_where(|header| header.format == format);
    }
}

#[test]
fn broken_link_pauses_the_game_until_it_is_back() {
    let server = Running::start(options());
    let mut player = server.player();
    let before = player.frame_where(|header| header.number >= 3).header;
    let key = player.key.clone();
    // It vanishes without a word.
    drop(player);
    let mut back = server.welcome();
    back.say(&Request::Resume { game: key.clone() });
    assert!(matches!(back.reply(), Reply::Joined { game, .. } if game == key));
    let after = back.frame().header;
    assert!(after.branch == before.branch && after.index >= before.index);
    back.frame_where(|header| !header.flags.paused && header.index > after.index);
    assert_eq!(server.metric("driftless_games_total"), 1);
}

#[test]
fn game_that_nobody_comes_back_to_ends() {
    let mut options = options();
    options.games.kept = Duration::from_millis(50);
    let server = Running::start(options);
    let mut player = server.player();
    player.frame();
    let key = player.key.clone();
    drop(player);
    server.await_metric("driftless_players", |players| players == 0);
    let mut late = server.welcome();
    late.say(&Request::Resume { game: key });
    let over = Reply::Refused {
        reason: "that game is over".into(),
    };
    assert_eq!(late.reply(), over);
}

#[test]
fn second_link_takes_the_game_over() {
    let server = Running::start(options());
    let mut first = server.player();
    first.frame();
    let mut second = server.welcome();
    second.say(&Request::Resume {
        game: first.key.clone(),
    });
    second.frame();
    assert_eq!(first.goodbye(), "the game is over");
    second.frame_where(|header| header.number > 3);
}

#[test]
fn leaving_frees_the_place() {
    let server = Running::start(ServerOptions {
        max_players: 1,
        ..options()
    });
    let mut player = server.player();
    let mut other = server.welcome();
    other.say(&common::join("pong"));
    assert!(matches!(other.reply(), Reply::Refused { reason } if reason.contains("all 1 places")));
    player.say(&Request::Leave {});
    assert_eq!(player.goodbye(), "you have left");
    server.await_metric("driftless_players", |players| players == 0);
    other.join("pong");
    other.frame();
}

#[test]
fn refused_joins_leave_the_game_alone() {
    let server = Running::start(ServerOptions {
        max_players: 1,
        ..options()
    });
    let mut player = server.player();
    let no_clip = Request::Join {
        world: "maze".into(),
        clip: 999,
        seed: None,
        settings: serde_json::Map::new(),
        pictures: Pictures::Png,
        paused: false,
    };
    for impossible in [common::join("nowhere"), no_clip] {
        player.say(&impossible);
        while !matches!(player.reply(), Reply::Refused { .. }) {}
        player.frame();
    }
    // Another world takes the place of the first: it needs no second one.
    player.say(&common::join("maze"));
    while !matches!(player.reply(), Reply::Joined { world, .. } if world == "maze") {}
    player.frame();
    server.await_metric("driftless_players", |players| players == 1);
}

#[test]
fn shutdown_ends_games_and_saves_recordings() {
    let folder = tempfile::tempdir().unwrap();
    let recordings = Recordings {
        folder: folder.path().to_path_buf(),
        journals: None,
    };
    let mut server = Running::start(ServerOptions {
        recordings: Some(recordings),
        ..options()
    });
    let (mut player, mut idle) = (server.player(), server.welcome());
    let last = player.frame_where(|header| header.number >= 5).header;
    server.stop();
    assert_eq!(player.goodbye(), "the game is over");
    assert!(matches!(
        idle.hear(),
        Heard::Reply(Reply::Ended { .. }) | Heard::Closed
    ));
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(files.len(), 1);
    let episode = Episode::read(&files[0].as_ref().unwrap().path()).unwrap();
    assert!(episode.frames() > last.number as usize);
    assert_eq!((episode.height, episode.width), (64, 64));
}

#[test]
fn worlds_are_described() {
    let server = Running::start(options());
    let mut player = server.connect();
    player.say(&common::hello(None));
    let Reply::Welcome { worlds, .. } = player.reply() else {
        panic!("no welcome");
    };
    let names: Vec<_> = worlds.iter().map(|world| world.name.as_str()).collect();
    assert_eq!(names, ["pong", "maze"]);
    assert_eq!(worlds[0].actions[1].keys, ["ArrowUp", "W"]);
    assert!(worlds[1].truth && !worlds[0].truth);
    assert!(
        worlds[0]
            .settings
            .iter()
            .any(|setting| setting.name == "temperature")
    );
    assert!(checkpoint("pong").is_dir());
}
