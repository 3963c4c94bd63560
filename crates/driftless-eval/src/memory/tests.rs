//! The measurement itself, with rollouts whose memory is known.

use super::*;
use crate::table;

/// Predicts the truth with its memory on, another maze's truth with another episode's, and without memory
/// what the last frames of the starting clip tell.
struct FakeRollout {
    frames: Vec<u8>,
    t: usize,
}

impl FakeRollout {
    fn several() -> Vec<Self> {
        let new = |_| Self {
            frames: Vec::new(),
            t: 0,
        };
        (0..3).map(new).collect()
    }
}

impl Rollout for FakeRollout {
    fn modes(&self) -> Vec<MemoryMode> {
        vec![MemoryMode::Off, MemoryMode::On, MemoryMode::OtherEpisode]
    }

    fn begin(&mut self, case: &MemoryCase, other: &MemoryCase, mode: MemoryMode) -> Result<()> {
        let len = case.start.images.len() / case.start.frames();
        let last = &case.start.images[case.start.images.len() - len..];
        self.frames = match mode {
            MemoryMode::On => case.truth.clone(),
            MemoryMode::OtherEpisode => other.truth.clone(),
            _ => last.repeat(case.actions.len()),
        };
        self.t = 0;
        Ok(())
    }

    fn step(&mut self, _: driftless_data::Action) -> Result<&[u8]> {
        const LEN: usize = 64 * 64 * 3;
        self.t += 1;
        let at = (self.t - 1) % (self.frames.len() / LEN);
        Ok(&self.frames[at * LEN..(at + 1) * LEN])
    }
}

fn measured(tests: Vec<MemoryTest>, sequences: usize, timed_frames: usize) -> MemoryReport {
    let options = MemoryOptions {
        tests,
        sequences,
        pose_mazes: 0,
        timed_frames,
    };
    let mut seen = (0, 0);
    let mut show = |done, total| seen = (done, total);
    let report = run(
        &mut FakeRollout::several(),
        &options,
        &mut EvalProgress::new(&mut show),
    );
    assert_eq!(seen.0, seen.1);
    report.unwrap()
}

#[test]
fn memory_is_told_from_none_when_a_view_returns() {
    let report = measured(vec![MemoryTest::FullCircle], 3, 0);
    let [off, on, other] = [0, 1, 2].map(|i| &report.modes[i].returns[0]);
    assert!(on.truth.unwrap() > 98.0, "{on:?}");
    assert_eq!(on.walls, on.true_walls);
    // Standing still shows the right frame after a full turn, up to 1.4°, but not on the way on.
    assert!(off.truth.unwrap() > on.floor.unwrap() + 2.0, "{off:?}");
    // Another episode's frames are the floor.
    assert_eq!(other.truth, on.floor);
    assert!(on.floor.unwrap() < 20.0);
    assert!(on.own.unwrap() > on.own_floor.unwrap() + 3.0, "{on:?}");
}

#[test]
fn paired_histories_cannot_be_guessed() {
    let report = measured(vec![MemoryTest::PairedHistories { gap: 12 }], 2, 0);
    let [off, on, other] = [0, 1, 2].map(|i| &report.modes[i].histories[0]);
    assert_eq!((on.colour, on.chance), (on.true_colour, 0.2));
    assert!(on.colour.share.unwrap() > 0.8, "{on:?}");
    // The same ends lead to the same rollouts, which are right for at most one colour of five.
    assert!(off.colour.share.unwrap() <= 0.2, "{off:?}");
    assert!(other.colour.share.unwrap() < 1.0);
    assert_eq!((on.colour.frames, off.colour.frames), (10, 10));
}

#[test]
fn report_says_what_a_world_cannot_do() {
    let report = measured(vec![MemoryTest::ThereAndBack { frames: 4 }], 2, 100);
    assert_eq!(report.absent, [MemoryMode::GroundTruth]);
    let said = absent(&report).unwrap();
    assert!(said.contains("true frames in memory"), "{said}");
    let timed: Vec<_> = report
        .frame_times
        .iter()
        .map(|time| (time.mode, time.frame))
        .collect();
    assert_eq!(timed, [(MemoryMode::Off, 100), (MemoryMode::On, 100)]);
    let text = table::text(&tables(&report));
    for shown in [
        "T1 there and back, n = 4",
        "memory on",
        "another maze",
        "frame 100",
    ] {
        assert!(text.contains(shown), "{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["modes"][1]["returns"][0]["test"], "there_and_back");
    assert_eq!(json["absent"][0], "oracle");
}

#[test]
fn options_out_of_range_are_refused() {
    for (options, named) in [
        (
            MemoryOptions {
                sequences: 1,
                ..MemoryOptions::default()
            },
            "sequences is 1",
        ),
        (
            MemoryOptions {
                pose_mazes: 65,
                ..MemoryOptions::default()
            },
            "pose_mazes is 65",
        ),
    ] {
        let mut show = |_, _| {};
        let error = run(
            &mut FakeRollout::several(),
            &options,
            &mut EvalProgress::new(&mut show),
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn failing_rollout_ends_the_measurement() {
    struct Failing;
    impl Rollout for Failing {
        fn modes(&self) -> Vec<MemoryMode> {
            vec![MemoryMode::Off]
        }
        fn begin(&mut self, _: &MemoryCase, _: &MemoryCase, _: MemoryMode) -> Result<()> {
            Err(Error::Argument("the device is gone".to_owned()))
        }
        fn step(&mut self, _: driftless_data::Action) -> Result<&[u8]> {
            Ok(&[])
        }
    }
    let options = MemoryOptions {
        tests: vec![MemoryTest::ThereAndBack { frames: 4 }],
        sequences: 2,
        pose_mazes: 0,
        timed_frames: 0,
    };
    let mut show = |_, _| {};
    let error = run(
        &mut [Failing, Failing],
        &options,
        &mut EvalProgress::new(&mut show),
    );
    assert!(error.unwrap_err().to_string().contains("gone"));
}

#[test]
fn worlds_of_another_game_are_refused() {
    let error = check_world(&crate::fake::world()).unwrap_err().to_string();
    assert!(error.contains("expected a world of the maze"), "{error}");
}
