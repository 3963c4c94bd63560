//! Frames of the history that are made again, or that were kept.

use super::rewinding::{played, pong};
use super::*;

#[test]
fn sends_stored_images() {
    let sim = spawn(options());
    next(&sim);
    let frames = played(&sim, &[1, 2, 1]);
    sim.messages().try_iter().for_each(drop);
    sim.send(TimelineCommand::StoredImages {
        branch: 0,
        indices: [1, 3, 9].into(),
        within: 0,
    });
    let Message::StoredImages { branch, images } = next_message(&sim) else {
        panic!("no images");
    };
    assert_eq!(branch, 0);
    let expected: Vec<_> = [(1, 0), (3, 2)]
        .map(|(index, t)| (index, rgb(&frames[t]).into()))
        .into();
    assert_eq!(images, expected);
}

#[test]
fn renders_an_episode_in_place() {
    let sim = spawn(pong());
    let mut frames = vec![next(&sim)];
    frames.extend(played(&sim, &[1, 1, 2, 0, 2]));
    sim.messages().try_iter().for_each(drop);
    sim.send(TimelineCommand::RenderEpisode {
        request: 1,
        end: frames[4].position,
    });
    let Message::RenderedEpisode { episode, .. } = next_message(&sim) else {
        panic!("no episode");
    };
    assert_eq!(episode.actions, [0, 1, 1, 2, 0]);
    for (t, frame) in frames[..5].iter().enumerate() {
        assert_eq!(episode.frame(t), rgb(frame));
    }
    assert_eq!(step(&sim).position.index, 6);
}

#[test]
fn rendering_reports_progress_and_can_be_cancelled() {
    let (player, open) = fake::gated();
    let sim = spawn(SimOptions {
        player,
        ..options()
    });
    let mut last = next(&sim);
    for _ in 0..5 {
        open.send(()).unwrap();
        last = step(&sim);
    }
    sim.messages().try_iter().for_each(drop);
    sim.send(TimelineCommand::RenderEpisode {
        request: 1,
        end: last.position,
    });
    let message = sim.messages().recv_timeout(TIMEOUT).unwrap();
    assert_eq!(
        message,
        Message::RenderProgress {
            request: 1,
            done: 1,
            total: 6
        }
    );
    // That of another request has no effect.
    sim.send(TimelineCommand::CancelRender(0));
    sim.send(TimelineCommand::CancelRender(1));
    // At most one more frame is rendered.
    open.send(()).unwrap();
    assert_eq!(next_message(&sim), Message::RenderCancelled(1));
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert_eq!(step(&sim).position.index, 6);
}

#[test]
fn recent_frames_are_not_made_again() {
    let sim = spawn(pong());
    let mut frames = vec![next(&sim)];
    frames.extend(played(&sim, &[1, 1]));
    sim.send(EpisodeCommand::Reset);
    frames.push(next(&sim));
    frames.extend(played(&sim, &[2, 0]));
    sim.messages().try_iter().for_each(drop);
    let end = frames[5].position;
    sim.send(TimelineCommand::RecentFrames {
        request: 3,
        end,
        frames: 4,
    });
    let message = sim.messages().recv_timeout(TIMEOUT).unwrap();
    let Message::RecentFrames {
        request: 3,
        episode,
    } = message
    else {
        panic!("{message:?}");
    };
    // The restart lies among them.
    assert_eq!(episode.actions, [1, 0, 2, 0]);
    for (t, frame) in frames[2..].iter().enumerate() {
        assert_eq!(episode.frame(t), rgb(frame));
    }
    assert_eq!(step(&sim).position.index, 6);
}

#[test]
fn quit_interrupts_rendering() {
    let (player, open) = fake::gated();
    let sim = spawn(SimOptions {
        player,
        record: Some("never-written.npz".into()),
        ..options()
    });
    let mut last = next(&sim);
    for _ in 0..5 {
        open.send(()).unwrap();
        last = step(&sim);
    }
    sim.send(TimelineCommand::RenderEpisode {
        request: 1,
        end: last.position,
    });
    // Would go on from a frame in the middle of the rendering.
    sim.send(PlaybackCommand::Step);
    sim.send(Command::Quit);
    // Lets one of the five frames be rendered, and no more.
    open.send(()).unwrap();
    assert_eq!(recording(sim).frames(), 6);
    drop(open);
}
