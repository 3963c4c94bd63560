//! Broken links: the game waits, says so, and goes on by itself.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::time::{Duration, Instant};

use common::{Cable, Person, Running, options, rgb, world_at};
use driftless_engine::SamplerParams;
use driftless_sim::{LinkState, Message, PlaybackCommand, SamplerCommand, headless};

fn lost(message: &Message) -> Option<(String, Instant, Instant)> {
    match message {
        Message::Link(LinkState::Lost {
            reason,
            again_at,
            kept_until,
        }) => Some((reason.clone(), *again_at, *kept_until)),
        _ => None,
    }
}

fn back(message: &Message) -> Option<()> {
    (*message == Message::Link(LinkState::Up)).then_some(())
}

#[test]
fn same_game_goes_on_by_itself() {
    let server = Running::start(options());
    let cable = Cable::to(server.address);
    let mut person = Person::at(&world_at(cable.address, "pong"));
    person.hold(2);
    let before = person.frame_where(|frame| frame.number >= 5);
    cable.pull_out();
    let (reason, _, kept_until) = person.message(lost);
    assert!(reason.contains("connection"), "{reason}");
    let kept = kept_until.saturating_duration_since(Instant::now());
    assert!(kept > Duration::from_secs(50) && kept <= Duration::from_secs(60));
    // Attempts that fail are followed by others.
    person.message(lost);
    person.message(lost);
    cable.plug_in();
    person.message(back);
    let after = person.frame_where(|frame| frame.number > before.number + 2);
    assert_eq!(after.position.branch, before.position.branch);
    // The key is still held, and known to be.
    assert_eq!(
        person
            .frame_where(|frame| frame.number > after.number)
            .action,
        2
    );
    assert_eq!(server.metric("driftless_games_total"), 1);
}

#[test]
fn wishes_meanwhile_are_kept() {
    let server = Running::start(options());
    let cable = Cable::to(server.address);
    let world = world_at(cable.address, "pong");
    let mut person = Person::at(&world);
    person.hold(1);
    person.frame_where(|frame| frame.action == 1);
    cable.pull_out();
    person.message(lost);
    person.hold(0);
    person.send(PlaybackCommand::Pause);
    person.send(SamplerCommand::Params(SamplerParams {
        steps: 1,
        seed: 5,
        ..world.params()
    }));
    cable.plug_in();
    person.message(back);
    person.send(PlaybackCommand::Step);
    let one = person.frame_where(|frame| frame.params.seed == 5);
    let next = person.step(0, &one);
    assert_eq!((next.params.seed, next.action), (5, 0.into()));
}

#[test]
fn frames_without_a_window_survive() {
    let server = Running::start(options());
    let cable = Cable::to(server.address);
    let actions: Vec<_> = (0..40).map(|t| (t / 5 % 3).into()).collect();
    let play = |address, cable: Option<&Cable>| {
        let world = world_at(address, "pong");
        let mut frames = 0;
        let mut tick = || {
            frames += 1;
            if let Some(cable) = cable.filter(|_| frames % 10 == 0) {
                cable.pull_out();
                cable.plug_in();
            }
        };
        let params = world.params();
        headless::play(&mut world.player(), 0, &actions, &params, &mut tick).unwrap()
    };
    let broken = play(cable.address, Some(&cable));
    assert_eq!(broken.frames(), 41);
    assert!(broken.images == play(server.address, None).images);
    assert!(server.metric("driftless_resumed_total") >= 3);
}

#[test]
fn game_that_is_over_is_no_longer_tried() {
    let mut options = options();
    options.games.kept = Duration::from_millis(20);
    let server = Running::start(options);
    let cable = Cable::to(server.address);
    let mut person = Person::at(&world_at(cable.address, "pong"));
    person.frame();
    cable.pull_out();
    person.message(lost);
    server.await_metric("driftless_players", |players| players == 0);
    cable.plug_in();
    assert!(person.failure().contains("that game is over"));
}

#[test]
fn leaving_does_not_wait_for_the_link() {
    let server = Running::start(options());
    let cable = Cable::to(server.address);
    let mut person = Person::at(&world_at(cable.address, "pong"));
    let seen = person.frame();
    assert!(!rgb(&seen).is_empty());
    cable.pull_out();
    person.message(lost);
    let since = Instant::now();
    person.quit();
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[test]
fn server_that_stops_ends_the_game() {
    let server = Running::start(options());
    let address = server.address;
    let mut person = Person::at(&world_at(address, "pong"));
    person.frame();
    drop(server);
    let failure = person.failure();
    assert_eq!(failure, format!("{address}: the game is over"));
}
