//! The last known error of every frame, by which hard frames are drawn more often.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::Result;

/// Frames of which the hardest is drawn.
const CANDIDATES: usize = 16;
/// Key in the saved state.
const KEY: &str = "frame_errors";

/// The error of a frame that was trained on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameError {
    /// Index among all frames of the store.
    pub frame: usize,
    pub error: f32,
    /// Signal level τ of the frame as the network saw it; 1 for the tokenizer's frames.
    pub signal: f32,
}

/// The last known error of every frame; 0 for frames that were not drawn yet.
///
/// Sampling by the last error is prioritized experience replay (Schaul et al., 2016), here by a
/// tournament instead of by ranks: it needs no sorting, and frames whose error is out of date are
/// drawn and measured again.
pub(crate) struct FrameErrors(Vec<f32>);

/// The index of the largest error among [`CANDIDATES`] random ones.
pub(crate) fn hardest(errors: &[f32], rng: &mut ChaCha8Rng) -> usize {
    let mut hardest = rng.random_range(0..errors.len());
    for _ in 1..CANDIDATES {
        let other = rng.random_range(0..errors.len());
        if errors[other] > errors[hardest] {
            hardest = other;
        }
    }
    hardest
}

impl FrameErrors {
    /// Errors of frames that were not drawn yet.
    pub fn new(frames: usize) -> Self {
        Self(vec![0.0; frames])
    }

    /// The frame with the largest error among [`CANDIDATES`] random ones.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        hardest(&self.0, rng)
    }

    /// Remembers the error of a frame that was trained on.
    pub fn set(&mut self, frame: usize, error: f32) {
        self.0[frame] = error;
    }

    /// The errors as a tensor of the saved state.
    ///
    /// # Errors
    /// Returns an error if candle fails.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let errors = Tensor::new(self.0.as_slice(), &Device::Cpu)?;
        Ok(BTreeMap::from([(KEY.to_owned(), errors)]))
    }

    /// Restores the errors of a saved state, if it has any. Those of another number of frames are left
    /// out: the run got other data, whose frames are measured as they are drawn.
    ///
    /// # Errors
    /// Returns an error if they are no vector of f32.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let Some(saved) = state.get(KEY) else {
            return Ok(());
        };
        let saved = saved.to_vec1::<f32>()?;
        if saved.len() == self.0.len() {
            self.0 = saved;
        } else {
            tracing::info!("the dataset has changed: the errors of its frames are measured again");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn hard_frames_are_drawn_more_often() {
        let mut errors = FrameErrors::new(100);
        errors.set(7, 2.0);
        errors.set(8, 1.0);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut counts = [0; 100];
        for _ in 0..10_000 {
            counts[errors.draw(&mut rng)] += 1;
        }
        // At least one of 16 candidates is frame 7: 1 − 0.99^16 = 0.149. Frame 8 wins without it.
        assert!((1400..1580).contains(&counts[7]), "{}", counts[7]);
        assert!((1170..1350).contains(&counts[8]), "{}", counts[8]);
        errors.set(7, 0.5);
        let drawn = (0..1000).filter(|_| errors.draw(&mut rng) == 8).count();
        assert!(drawn > 100, "{drawn}");
    }

    #[test]
    fn saved_errors_belong_to_their_dataset() {
        let mut errors = FrameErrors::new(3);
        errors.set(1, 4.0);
        let state = errors.state().unwrap();
        let mut same = FrameErrors::new(3);
        same.restore(&state).unwrap();
        assert_eq!(same.0, [0.0, 4.0, 0.0]);
        same.restore(&BTreeMap::new()).unwrap();
        assert_eq!(same.0, [0.0, 4.0, 0.0]);
        let mut other = FrameErrors::new(4);
        other.restore(&state).unwrap();
        assert_eq!(other.0, [0.0; 4]);
    }
}
