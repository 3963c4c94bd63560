//! Copy and paste between frames, so that objects are seen beside each other as often as alone.
//!
//! A ball next to a paddle is a rare frame, and there are as many of them as places of the one
//! times places of the other; an encoder that saw few of them confuses them. One object of another
//! frame, a connected piece of its foreground, is laid onto the frame (Ghiasi et al., *Simple
//! Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation*, 2021).

use rand::Rng;

/// How far an object is moved at most before it is pasted, in pixels.
const FARTHEST: i64 = 12;

/// Frames of one size before one background.
pub(super) struct Scene<'a> {
    pub background: &'a [u8],
    /// Height and width.
    pub size: [usize; 2],
    /// A pixel whose channel differs from the background's by more is foreground.
    pub threshold: u8,
}

impl Scene<'_> {
    /// Lays one object of `from` onto `onto` (both u8 RGB `[H, W, 3]`), half of the time where it
    /// was, else up to 12 pixels away on either axis; nothing where `from` is empty.
    pub fn paste(&self, onto: &mut [u8], from: &[u8], rng: &mut impl Rng) {
        let mut objects = self.objects(from);
        if objects.is_empty() {
            return;
        }
        let object = objects.swap_remove(rng.random_range(0..objects.len()));
        let [dy, dx] = match rng.random_bool(0.5) {
            true => [0, 0],
            false => [(); 2].map(|()| rng.random_range(-FARTHEST..=FARTHEST)),
        };
        let [height, width] = self.size.map(|side| side as i64);
        for (y, x) in object {
            let (v, u) = (y as i64 + dy, x as i64 + dx);
            if (0..height).contains(&v) && (0..width).contains(&u) {
                let source = (y * self.size[1] + x) * 3;
                let target = (v * width + u) as usize * 3;
                onto[target..target + 3].copy_from_slice(&from[source..source + 3]);
            }
        }
    }

    /// The connected pieces (8 neighbours) of a frame's foreground, as (row, column).
    fn objects(&self, frame: &[u8]) -> Vec<Vec<(usize, usize)>> {
        let [height, width] = self.size;
        let mut free: Vec<bool> = frame
            .chunks_exact(3)
            .zip(self.background.chunks_exact(3))
            .map(|(a, b)| {
                a.iter()
                    .zip(b)
                    .any(|(a, b)| a.abs_diff(*b) > self.threshold)
            })
            .collect();
        let mut found = Vec::new();
        for start in 0..free.len() {
            if !std::mem::take(&mut free[start]) {
                continue;
            }
            let mut object = vec![(start / width, start % width)];
            let mut next = 0;
            while let Some(&(y, x)) = object.get(next) {
                next += 1;
                for v in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                    for u in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                        if std::mem::take(&mut free[v * width + u]) {
                            object.push((v, u));
                        }
                    }
                }
            }
            found.push(object);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const SIDE: usize = 6;

    /// A dark frame with bright pixels at (row, column).
    fn frame(bright: &[(usize, usize)]) -> Vec<u8> {
        let mut frame = vec![10; SIDE * SIDE * 3];
        for (y, x) in bright {
            frame[(y * SIDE + x) * 3 + 1] = 200;
        }
        frame
    }

    fn bright(frame: &[u8]) -> Vec<(usize, usize)> {
        let is = |i: &usize| frame[i * 3 + 1] == 200;
        (0..SIDE * SIDE)
            .filter(is)
            .map(|i| (i / SIDE, i % SIDE))
            .collect()
    }

    #[test]
    fn pixels_that_touch_are_one_object() {
        let background = frame(&[]);
        let scene = Scene {
            background: &background,
            size: [SIDE; 2],
            threshold: 12,
        };
        let objects = scene.objects(&frame(&[(0, 0), (1, 1), (1, 2), (4, 5), (5, 5)]));
        assert_eq!(
            objects,
            [vec![(0, 0), (1, 1), (1, 2)], vec![(4, 5), (5, 5)]]
        );
        assert!(scene.objects(&background).is_empty());
    }

    #[test]
    fn one_whole_object_is_laid_onto_what_is_there_and_cut_at_the_edge() {
        let background = frame(&[]);
        let scene = Scene {
            background: &background,
            size: [SIDE; 2],
            threshold: 12,
        };
        let from = frame(&[(0, 0), (0, 1), (5, 5)]);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut at_home, mut moved) = (0, 0);
        for _ in 0..200 {
            let mut onto = frame(&[(3, 3)]);
            scene.paste(&mut onto, &from, &mut rng);
            let mut now = bright(&onto);
            assert!(now.contains(&(3, 3)) && now.len() <= 3);
            now.retain(|at| *at != (3, 3));
            if now == [(0, 0), (0, 1)] || now == [(5, 5)] {
                at_home += 1;
            } else if !now.is_empty() {
                moved += 1;
                assert!(
                    now.len() == 1 || now[1] == (now[0].0, now[0].1 + 1),
                    "{now:?}"
                );
            }
        }
        assert!(
            (80..130).contains(&at_home) && moved > 2,
            "{at_home} {moved}"
        );
    }
}
