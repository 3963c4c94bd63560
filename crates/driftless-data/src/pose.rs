//! The true poses of an episode: where the player is and where it looks, frame by frame.

use std::f32::consts::PI;
use std::path::Path;

use crate::layout::array::{ANGLE, COS, HEADING, SIN, X, Y};
use crate::{Episode, Error, PathError as _, Result};

/// A position and a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pose {
    /// Position along x, in the units of the world (Maze: blocks, Drive: metres).
    pub x: f32,
    /// Position along y.
    pub y: f32,
    /// Direction in radians from the x axis towards the y axis.
    pub angle: f32,
}

/// How the camera moved from one frame to the next, as seen from the earlier pose.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Motion {
    /// Along the direction of view.
    pub ahead: f32,
    /// At a right angle to it: towards the side to which angles grow.
    pub aside: f32,
    /// Change of the angle in radians, −π to π.
    pub turn: f32,
}

impl Pose {
    /// The pose after a motion.
    #[must_use]
    pub fn after(self, motion: Motion) -> Self {
        let (sin, cos) = self.angle.sin_cos();
        Self {
            x: self.x + cos * motion.ahead - sin * motion.aside,
            y: self.y + sin * motion.ahead + cos * motion.aside,
            angle: wrap(self.angle + motion.turn),
        }
    }

    /// The motion that leads from this pose to another; the inverse of [`Pose::after`].
    pub fn motion_to(self, other: Self) -> Motion {
        let (sin, cos) = self.angle.sin_cos();
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        Motion {
            ahead: cos * dx + sin * dy,
            aside: cos * dy - sin * dx,
            turn: wrap(other.angle - self.angle),
        }
    }

    /// Whether all its numbers are finite.
    pub fn is_finite(self) -> bool {
        [self.x, self.y, self.angle].into_iter().all(f32::is_finite)
    }
}

/// The same angle between −π and π.
fn wrap(angle: f32) -> f32 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}

impl Episode {
    /// The pose of every frame: the arrays `x` and `y`, and `angle`, `heading`, or `cos` and `sin`, each
    /// `[T]`. `file` is where the episode came from, for errors.
    ///
    /// # Errors
    /// Returns an error that names the file and the array if one is missing or does not have one number
    /// per frame, and the frame if a number is not finite.
    pub fn poses(&self, file: &Path) -> Result<Vec<Pose>> {
        let (x, y) = (self.pose_array(X, file)?, self.pose_array(Y, file)?);
        let angle = match [ANGLE, HEADING].into_iter().find(|&name| self.has(name)) {
            Some(name) => self.pose_array(name, file)?.to_vec(),
            None if self.has(COS) => {
                let (cos, sin) = (self.pose_array(COS, file)?, self.pose_array(SIN, file)?);
                sin.iter().zip(cos).map(|(s, c)| s.atan2(*c)).collect()
            }
            None => {
                let what = format!(
                    "has no directions, expected the array `{ANGLE}`, `{HEADING}`, or `{COS}` and `{SIN}`"
                );
                return Err(Error::invalid(file, what));
            }
        };
        let rows = x.iter().zip(y).zip(angle);
        Ok(rows.map(|((&x, &y), angle)| Pose { x, y, angle }).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.extras.contains_key(name)
    }

    /// An array of one finite number per frame.
    fn pose_array(&self, name: &str, file: &Path) -> Result<&[f32]> {
        let Some(array) = self.extras.get(name) else {
            let what = format!("has no poses: the array `{name}` is missing");
            return Err(Error::invalid(file, what));
        };
        if array.shape != [self.frames()] {
            let what = format!(
                "array `{name}`: shape is {:?}, expected [{}], a number per frame",
                array.shape,
                self.frames()
            );
            return Err(Error::invalid(file, what));
        }
        match array.values.iter().position(|value| !value.is_finite()) {
            None => Ok(&array.values),
            Some(frame) => {
                let what = format!(
                    "array `{name}`: {} at frame {frame}, expected a finite number",
                    array.values[frame]
                );
                Err(Error::invalid(file, what))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExtraArray;

    #[test]
    fn motions_lead_from_pose_to_pose() {
        let pose = |x, y, angle| Pose { x, y, angle };
        for (a, b) in [
            (pose(1.0, 2.0, 0.5), pose(-1.0, 2.5, 3.0)),
            (pose(0.0, 0.0, -3.1), pose(0.1, 0.0, 3.1)),
        ] {
            let there = a.after(a.motion_to(b));
            let off = (there.x - b.x).hypot(there.y - b.y);
            assert!(off < 1e-5, "{there:?}");
            assert!((there.angle - b.angle).abs() < 1e-5, "{there:?}");
        }
        let quarter = pose(0.0, 0.0, PI / 2.0);
        let motion = quarter.motion_to(pose(-2.0, 1.0, PI));
        assert!((motion.ahead - 1.0).abs() < 1e-6 && (motion.aside - 2.0).abs() < 1e-6);
        assert!((motion.turn - PI / 2.0).abs() < 1e-6);
    }

    fn episode(arrays: &[(&str, &[f32])]) -> Episode {
        let extra = |values: &[f32]| ExtraArray {
            shape: vec![values.len()],
            values: values.to_vec(),
        };
        Episode {
            height: 1,
            width: 1,
            images: vec![0; 6],
            actions: vec![0; 2],
            rewards: vec![0.0; 2],
            extras: arrays
                .iter()
                .map(|(name, values)| ((*name).to_owned(), extra(values)))
                .collect(),
        }
    }

    fn error(arrays: &[(&str, &[f32])]) -> String {
        let file = Path::new("data/episode_00003.npz");
        episode(arrays).poses(file).unwrap_err().to_string()
    }

    #[test]
    fn direction_comes_from_any_of_its_arrays() {
        let (x, y) = (("x", &[1.0, 2.0][..]), ("y", &[3.0, 4.0][..]));
        let angles: [f32; 2] = [0.5, -2.0];
        let [cos, sin] = [angles.map(f32::cos), angles.map(f32::sin)];
        for direction in [
            vec![("angle", &angles[..])],
            vec![("heading", &angles[..])],
            vec![("cos", &cos[..]), ("sin", &sin[..])],
        ] {
            let arrays = [vec![x, y], direction].concat();
            let poses = episode(&arrays).poses(Path::new("e.npz")).unwrap();
            assert_eq!([poses[0].x, poses[1].y], [1.0, 4.0]);
            for (pose, angle) in poses.iter().zip(angles) {
                assert!((pose.angle - angle).abs() < 1e-6, "{pose:?}");
            }
        }
    }

    #[test]
    fn errors_name_file_array_and_frame() {
        let (x, y) = (("x", &[1.0, 2.0][..]), ("y", &[3.0, 4.0][..]));
        let missing = error(&[y, ("angle", &[0.0, 0.0])]);
        assert!(
            missing.contains("episode_00003.npz") && missing.contains("`x` is missing"),
            "{missing}"
        );
        let nan = error(&[x, y, ("angle", &[0.0, f32::NAN])]);
        assert!(nan.contains("`angle`: NaN at frame 1"), "{nan}");
        let short = error(&[x, ("y", &[1.0]), ("angle", &[0.0, 0.0])]);
        assert!(short.contains("`y`: shape is [1], expected [2]"), "{short}");
        let nowhere = error(&[x, y]);
        assert!(nowhere.contains("`angle`, `heading`"), "{nowhere}");
        assert_eq!(nan.lines().count(), 1);
    }
}
