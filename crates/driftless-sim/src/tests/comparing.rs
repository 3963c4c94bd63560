//! What is shown beside the frames: simulators, episodes, other branches.

use driftless_data::DatasetInfo;
use driftless_worlds::SimulatorKind;

use super::rewinding::{learned, played, pong, seek};
use super::*;

#[test]
fn compares_with_another_branch() {
    let sim = spawn(pong());
    next(&sim);
    let first = played(&sim, &[1; 10]);
    seek(&sim, first[3].position);
    sim.send(Command::Compare(ComparisonSource::Branch(0)));
    let shown = next(&sim);
    assert_eq!(shown.comparison.as_deref(), Some(rgb(&first[3])));
    for (t, frame) in played(&sim, &[2; 8]).iter().enumerate() {
        // Past its end, the branch keeps showing its last frame.
        let other = &first[(4 + t).min(9)];
        assert_eq!(frame.comparison.as_deref(), Some(rgb(other)), "{t}");
    }
}

fn learned_maze() -> SimOptions {
    SimOptions {
        player: learned("maze"),
        ..pong()
    }
}

#[test]
fn compares_with_a_simulator() {
    let sim = spawn(learned_maze());
    next(&sim);
    sim.send(Command::Compare(ComparisonSource::Simulator(
        SimulatorKind::Maze,
    )));
    let start = next(&sim);
    // A learned world starts from the simulator's own frames.
    assert_eq!(start.comparison.as_deref(), Some(rgb(&start)));
    let frames = played(&sim, &[1, 1, 1, 3, 3, 1, 1, 1]);
    for frame in &frames {
        let truth = frame.comparison.as_deref().unwrap();
        let psnr = driftless_data::metrics::psnr(rgb(frame), truth).unwrap();
        assert!(psnr > 17.0, "frame {}: {psnr} dB", frame.number);
    }
    // A rewind takes the ground truth along.
    let again = seek(&sim, frames[3].position);
    assert_eq!(again.comparison, frames[3].comparison);
    hold(&sim, 3);
    assert_eq!(step(&sim).comparison, frames[4].comparison);
    sim.send(Command::Compare(ComparisonSource::Off));
    assert_eq!(next(&sim).comparison, None);
}

#[test]
fn measures_drift_and_surprise() {
    let sim = spawn(learned_maze());
    next(&sim);
    let silent = step(&sim);
    assert_eq!(
        (silent.diagnostics.drift, silent.diagnostics.surprise),
        (None, None)
    );
    sim.send(CaptureCommand::Measure(true));
    let alone = step(&sim);
    assert!(alone.diagnostics.drift.unwrap() > 0.0 && alone.diagnostics.surprise.is_none());
    sim.send(Command::Compare(ComparisonSource::Simulator(
        SimulatorKind::Maze,
    )));
    next(&sim);
    let frames = played(&sim, &[1, 1, 3, 3]);
    for frame in &frames {
        let surprise = frame.diagnostics.surprise.unwrap();
        assert!(surprise > 0.0 && surprise < 1.0, "{surprise}");
    }
    // Measuring does not change the frames.
    let again = spawn(learned_maze());
    next(&again);
    step(&again);
    step(&again);
    again.send(Command::Compare(ComparisonSource::Simulator(
        SimulatorKind::Maze,
    )));
    next(&again);
    for (a, b) in frames.iter().zip(played(&again, &[1, 1, 3, 3])) {
        assert_eq!(rgb(a), rgb(&b));
    }
}

#[test]
fn compares_with_an_episode() {
    let recorded = {
        let sim = spawn(pong());
        let mut frames = vec![next(&sim)];
        frames.extend(played(&sim, &[1; 40]));
        sim.messages().try_iter().for_each(drop);
        sim.send(TimelineCommand::RenderEpisode {
            request: 1,
            end: frames[40].position,
        });
        let Message::RenderedEpisode { episode, .. } = next_message(&sim) else {
            panic!("no episode");
        };
        episode
    };
    let sim = spawn(pong());
    next(&sim);
    hold(&sim, 2);
    sim.send(Command::Compare(ComparisonSource::Episode(Arc::clone(
        &recorded,
    ))));
    let first = 12;
    let start = next(&sim);
    assert_eq!(rgb(&start), recorded.frame(first - 1));
    for t in first..recorded.frames() {
        let frame = step(&sim);
        assert_eq!(frame.action, recorded.actions[t]);
        assert_eq!(frame.comparison.as_deref(), Some(recorded.frame(t)));
    }
    // After its last frame, the episode restarts.
    assert_eq!(step(&sim).number, 0);
}

#[test]
fn disabled_comparison_stays_off() {
    let sim = spawn(pong());
    next(&sim);
    let before = played(&sim, &[1; 30]);
    sim.messages().try_iter().for_each(drop);
    sim.send(TimelineCommand::RenderEpisode {
        request: 1,
        end: before[29].position,
    });
    let Message::RenderedEpisode {
        episode: recorded, ..
    } = next_message(&sim)
    else {
        panic!("no episode");
    };
    sim.send(Command::Compare(ComparisonSource::Episode(recorded)));
    next(&sim);
    let beside = played(&sim, &[2, 2, 2]);
    assert_eq!(beside[2].action, 1, "the recorded action");
    sim.send(Command::Compare(ComparisonSource::Off));
    next(&sim);
    seek(&sim, beside[0].position);
    let own = played(&sim, &[2]);
    assert_eq!((own[0].action, &own[0].comparison), (2.into(), &None));
}

#[test]
fn simulator_must_match_world() {
    let maze = SimulatorKind::Maze.open(0).info();
    assert_eq!(matching_simulator(&maze), Some(SimulatorKind::Maze));
    let other = DatasetInfo {
        image: [32, 32],
        ..maze
    };
    assert_eq!(matching_simulator(&other), None);
}
