//! Going on, in another seat, from where a thread failed.

use super::fake::{FAILS, PANICS};
use super::*;

fn seated(seat: Seat, from: Option<Arc<History>>) -> Options {
    Options {
        player: fake::on_seats(),
        record: Some("never-written.npz".into()),
        context: 1,
        seat,
        from,
        ..options()
    }
}

/// Plays so many frames, then fails; the last frame, and what is left.
fn failed(frames: usize, how: u32) -> (Frame, Left) {
    let sim = spawn(seated(Seat::Own, None));
    let mut last = next(&sim);
    hold(&sim, 2);
    for _ in 0..frames {
        last = step(&sim);
    }
    hold(&sim, how);
    sim.send(Command::Step);
    let device = matches!(word(&sim), Message::Failed { device: true, .. });
    assert_eq!(device, how == FAILS);
    (last, sim.finish())
}

#[test]
fn a_game_whose_device_failed_goes_on_with_the_processor_from_the_same_frame() {
    for frames in [0, 3, 64, 70] {
        let (last, left) = failed(frames, FAILS);
        let options = seated(Seat::Processor, Some(Arc::new(left.history)));
        let sim = Sim::spawn(options, left.session, || {}).unwrap();
        let again = next(&sim);
        assert_eq!(rgb(&again), rgb(&last), "after {frames} frames");
        assert_eq!(
            (again.number, again.sequence, again.context, again.score),
            (last.number, last.sequence, last.context, last.score)
        );
        hold(&sim, FAILS);
        let next = step(&sim);
        assert_eq!(next.number, last.number + 1);
        assert_eq!(rgb(&next)[0], rgb(&last)[0] + 1);
        // The frame that was shown twice is recorded once.
        let episode = recording(sim).into_episode();
        let numbers: Vec<f32> = (0..=frames + 1).map(|n| n as f32).collect();
        assert_eq!(episode.extras["number"].values, numbers);
    }
}

#[test]
fn a_reset_is_a_new_place_to_go_on_from() {
    let sim = spawn(seated(Seat::Own, None));
    next(&sim);
    step(&sim);
    sim.send(Command::NextContext);
    let start = next(&sim);
    hold(&sim, PANICS);
    sim.send(Command::Step);
    assert!(matches!(word(&sim), Message::Failed { device: false, .. }));
    let history = Some(Arc::new(sim.finish().history));
    let sim = spawn(seated(Seat::Processor, history));
    let again = next(&sim);
    assert_eq!((again.number, again.context), (0, 2));
    assert_eq!(rgb(&again), rgb(&start));
}

#[test]
fn seeds_are_free_after_going_on_where_they_are_wanted_free() {
    let history = Some(Arc::new(failed(2, FAILS).1.history));
    for free in [false, true] {
        let sim = spawn(Options {
            free_seed: free,
            ..seated(Seat::Processor, history.clone())
        });
        next(&sim);
        let seeds = [(), ()].map(|()| {
            sim.send(Command::Reset);
            next(&sim).params.seed
        });
        assert_eq!(seeds[0] != seeds[1], free);
    }
}
