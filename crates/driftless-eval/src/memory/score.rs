//! The scores of a test: how near a rollout comes to the truth and to itself, and what it shows.

use serde::Serialize;

use driftless_data::metrics::{SquaredError, fraction};

use super::case::{MemoryCase, MemoryTest, frame};
use super::rollout::MemoryMode;
use crate::Result;
use crate::maze_colours;
use crate::pose::{PoseProbe, PoseStats, ProbePose};

/// How often a probe named what really was to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct HitRate {
    /// Number of frames that were asked for.
    pub frames: usize,
    /// Share of them that was named right.
    pub share: Option<f64>,
}

/// A test of returning to a view, over all sequences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReturnReport {
    /// The test.
    #[serde(flatten)]
    pub test: MemoryTest,
    /// Number of sequences.
    pub sequences: usize,
    /// Mean number of frames since the view of the arrival was last in the starting clip.
    pub gap: f64,
    /// PSNR of the frame of the arrival and the true one, in dB.
    pub truth: Option<f64>,
    /// PSNR of the true frame and another maze's true frame: what is reached without any memory of the
    /// place.
    pub floor: Option<f64>,
    /// PSNR of predicted frames and the rollout's own earlier frames of the same view, in dB.
    pub own: Option<f64>,
    /// PSNR of the same frames and the rollout of another maze.
    pub own_floor: Option<f64>,
    /// The wall colour that most of the frame shows, in predicted frames of the return.
    pub walls: HitRate,
    /// The same in the true frames.
    pub true_walls: HitRate,
    /// The object in sight, where there is one.
    pub objects: HitRate,
    /// The same in the true frames.
    pub true_objects: HitRate,
    /// The pose read from predicted frames of the return, against the true one; over the mazes for which
    /// there is a probe.
    pub pose: Option<PoseStats>,
    /// The same in the true frames.
    pub true_pose: Option<PoseStats>,
}

/// A test of paired histories, over all sequences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryReport {
    /// The test.
    #[serde(flatten)]
    pub test: MemoryTest,
    /// How often the wall that was turned back to has the colour that it had.
    pub colour: HitRate,
    /// The same in the true frames.
    pub true_colour: HitRate,
    /// How often a world without memory would be right.
    pub chance: f64,
}

/// One mode of the memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModeReport {
    /// The mode.
    pub mode: MemoryMode,
    /// T1 to T4.
    pub returns: Vec<ReturnReport>,
    /// T5.
    pub histories: Vec<HistoryReport>,
}

/// Counts what a probe names right.
#[derive(Clone, Copy, Debug, Default)]
struct Hits {
    frames: usize,
    right: usize,
}

impl Hits {
    fn add(&mut self, found: Option<usize>, expected: usize) {
        self.frames += 1;
        self.right += usize::from(found == Some(expected));
    }

    fn rate(self) -> HitRate {
        HitRate {
            frames: self.frames,
            share: fraction(self.right, self.frames),
        }
    }
}

/// The case of another maze that stands beside a case, of `per_maze` cases in each maze. Its variant
/// changes from maze to maze, so that it tells nothing about the case's own.
pub(super) fn other(case: usize, cases: usize, per_maze: usize) -> usize {
    let mazes = (cases / per_maze).max(1);
    let (maze, variant) = (case / per_maze, case % per_maze);
    (maze + mazes / 2) % mazes * per_maze + (variant + maze) % per_maze
}

/// What one kind of frames, true or predicted, shows at the returns.
#[derive(Default)]
struct Shown {
    walls: Hits,
    objects: Hits,
    /// (read, true).
    poses: Vec<(ProbePose, ProbePose)>,
}

impl Shown {
    fn add(
        &mut self,
        case: &MemoryCase,
        images: &[u8],
        width: usize,
        pose: Option<&PoseProbe>,
    ) -> Result<()> {
        for t in case.returning() {
            let (Some(sights), Some(truth)) = (case.sights.get(t - 1), case.poses.get(t - 1))
            else {
                continue;
            };
            let image = frame(images, t, case.actions.len());
            if let Some(colour) = maze_colours::dominant(sights) {
                self.walls
                    .add(maze_colours::wall_colour(image, width), colour);
            }
            if let Some(seen) = maze_colours::object_in_sight(sights) {
                self.objects.add(maze_colours::object(image), seen);
            }
            if let Some(pose) = pose {
                let truth = ProbePose {
                    x: truth.x,
                    y: truth.y,
                    cos: truth.angle.cos(),
                    sin: truth.angle.sin(),
                };
                self.poses
                    .extend(pose.read(image)?.into_iter().map(|read| (read, truth)));
            }
        }
        Ok(())
    }

    fn pose(&self) -> Option<PoseStats> {
        (!self.poses.is_empty()).then(|| PoseStats::of(&self.poses))
    }
}

/// Scores a test of returning. `probes[i]` reads poses in the maze of case i, as far as there are any.
pub(super) fn returns(
    test: MemoryTest,
    cases: &[MemoryCase],
    predicted: &[Vec<u8>],
    width: usize,
    probes: &[&PoseProbe],
) -> Result<ReturnReport> {
    let [mut truth, mut floor, mut own, mut own_floor] = [SquaredError::default(); 4];
    let (mut shown, mut real) = (Shown::default(), Shown::default());
    let mut gaps = 0;
    for (i, (case, images)) in cases.iter().zip(predicted).enumerate() {
        let (Some(other_case), Some(other_images)) = (
            cases.get(other(i, cases.len(), 1)),
            predicted.get(other(i, cases.len(), 1)),
        ) else {
            continue;
        };
        let (count, other_count) = (case.actions.len(), other_case.actions.len());
        let arrival = case.true_frame(case.arrival);
        truth.add(frame(images, case.arrival, count), arrival);
        floor.add(other_case.true_frame(other_case.arrival), arrival);
        for &(later, earlier) in &case.pairs {
            let image = frame(images, later, count);
            own.add(image, frame(images, earlier, count));
            own_floor.add(
                image,
                frame(other_images, later.min(other_count), other_count),
            );
        }
        let pose = probes.get(i).copied();
        shown.add(case, images, width, pose)?;
        real.add(case, &case.truth, width, pose)?;
        gaps += case.gap;
    }
    Ok(ReturnReport {
        test,
        sequences: cases.len(),
        gap: gaps as f64 / cases.len().max(1) as f64,
        truth: truth.psnr(),
        floor: floor.psnr(),
        own: own.psnr(),
        own_floor: own_floor.psnr(),
        walls: shown.walls.rate(),
        true_walls: real.walls.rate(),
        objects: shown.objects.rate(),
        true_objects: real.objects.rate(),
        pose: shown.pose(),
        true_pose: real.pose(),
    })
}

/// Scores a test of paired histories.
pub(super) fn histories(
    test: MemoryTest,
    cases: &[MemoryCase],
    predicted: &[Vec<u8>],
    width: usize,
) -> HistoryReport {
    let (mut shown, mut real) = (Hits::default(), Hits::default());
    for (case, images) in cases.iter().zip(predicted) {
        if let Some(colour) = case.painted {
            let image = frame(images, case.arrival, case.actions.len());
            shown.add(maze_colours::wall_colour(image, width), colour);
            real.add(
                maze_colours::wall_colour(case.true_frame(case.arrival), width),
                colour,
            );
        }
    }
    HistoryReport {
        test,
        colour: shown.rate(),
        true_colour: real.rate(),
        chance: 1.0 / driftless_worlds::maze::WALL_PALETTE.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_case_is_of_another_maze_and_any_variant() {
        for (mazes, per_maze) in [(2, 1), (7, 1), (2, 5), (64, 5)] {
            let cases = mazes * per_maze;
            let mut same = 0;
            for case in 0..cases {
                let other = other(case, cases, per_maze);
                assert!(other < cases && other / per_maze != case / per_maze);
                same += usize::from(other % per_maze == case % per_maze);
            }
            assert!(same <= cases.div_ceil(per_maze).next_multiple_of(per_maze));
        }
        assert_eq!(other(5, 10, 5), 1);
    }
}
