//! Holes in Breakout's wall of bricks: does a free run remember them?

use serde::Serialize;

use super::objects::breakout_bricks::{BRICKS, bricks};

/// Frames for which a brick has to look the same before it counts as there or as gone: a ball that
/// passes or a flicker is no change.
const STEADY: usize = 8;
/// Frames within which a hole counts as filled again.
const FOLLOWED: usize = 500;

/// Holes, and how many of them were filled again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct HoleReport {
    /// Holes that were followed for 500 frames, or until they were filled.
    pub holes: usize,
    /// Those in which the brick came back within 500 frames.
    pub filled: usize,
}

impl HoleReport {
    /// The share of holes that were filled.
    pub fn filled_share(&self) -> Option<f64> {
        driftless_data::metrics::fraction(self.filled, self.holes)
    }

    /// The holes of both.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            holes: self.holes + other.holes,
            filled: self.filled + other.filled,
        }
    }
}

/// What is known of one brick.
#[derive(Clone, Copy, Debug, Default)]
struct Brick {
    /// Whether it is there, and since which frame; `None` before it has been steady.
    steady: Option<(bool, usize)>,
    /// How it looked last, and for how many frames.
    last: (bool, usize),
}

/// Follows the holes of one run.
#[derive(Debug)]
pub(crate) struct HoleTracker {
    frame: usize,
    bricks: [Brick; BRICKS],
    report: HoleReport,
}

impl HoleTracker {
    pub fn new() -> Self {
        Self {
            frame: 0,
            bricks: [Brick::default(); BRICKS],
            report: HoleReport::default(),
        }
    }

    /// Looks at the next frame, u8 RGB [64, 64, 3].
    pub fn add(&mut self, image: &[u8]) {
        self.see(&bricks(image));
    }

    fn see(&mut self, there: &[bool; BRICKS]) {
        let now = self.frame;
        for (brick, there) in self.bricks.iter_mut().zip(there) {
            let (last, frames) = &mut brick.last;
            *frames = if *last == *there { *frames + 1 } else { 1 };
            *last = *there;
            if *frames < STEADY {
                continue;
            }
            let begun = now + 1 - *frames;
            match brick.steady {
                Some((was, _)) if was == *there => {}
                Some((false, since)) => {
                    self.report = self.report.merge(ended_hole(begun - since, true));
                    brick.steady = Some((true, begun));
                }
                _ => brick.steady = Some((*there, begun)),
            }
        }
        self.frame += 1;
    }

    /// The holes of the whole run.
    pub fn finish(self) -> HoleReport {
        let open = self.bricks.iter().filter_map(|brick| match brick.steady {
            Some((false, since)) => Some(ended_hole(self.frame - since, false)),
            _ => None,
        });
        open.fold(self.report, HoleReport::merge)
    }
}

/// A hole that was seen for `frames` frames, and then filled or not seen any longer.
fn ended_hole(frames: usize, filled: bool) -> HoleReport {
    let soon = frames <= FOLLOWED;
    HoleReport {
        holes: usize::from(filled || !soon),
        filled: usize::from(filled && soon),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run in which brick 7 is there in the frames for which `there` says so; all others always are.
    fn run(frames: usize, there: impl Fn(usize) -> bool) -> HoleReport {
        let mut tracker = HoleTracker::new();
        for frame in 0..frames {
            let mut bricks = [true; BRICKS];
            bricks[7] = there(frame);
            tracker.see(&bricks);
        }
        tracker.finish()
    }

    #[test]
    fn holes_that_stay_are_counted_after_500_frames() {
        let report = |holes, filled| HoleReport { holes, filled };
        assert_eq!(run(700, |t| t < 100), report(1, 0));
        assert_eq!(run(500, |t| t < 100), report(0, 0));
        // A hole from the first frame on.
        assert_eq!(run(600, |_| false), report(1, 0));
    }

    #[test]
    fn a_brick_that_comes_back_fills_its_hole() {
        let report = |holes, filled| HoleReport { holes, filled };
        assert_eq!(run(400, |t| !(100..300).contains(&t)), report(1, 1));
        assert_eq!(run(900, |t| !(100..700).contains(&t)), report(1, 0));
        // Twice.
        assert_eq!(run(900, |t| t % 200 < 150), report(4, 4));
    }

    #[test]
    fn a_passing_ball_and_a_flicker_are_no_holes() {
        let none = HoleReport::default();
        assert_eq!(run(900, |t| t % 100 > STEADY - 2), none);
        let kept = run(900, |t| t < 100 || t % 100 < STEADY - 1);
        assert_eq!((kept.holes, kept.filled), (1, 0));
    }
}
