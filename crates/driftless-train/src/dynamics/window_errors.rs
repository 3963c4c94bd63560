//! The last known errors of the dynamics on every frame, by which hard sequences are drawn.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use driftless_model::config::WorldConfig;

use super::batch::Batch;
use super::noised_copy::NoisedCopy;
use crate::Result;
use crate::frame_errors::{FrameError, FrameErrors};

/// Ranges of the signal level whose mean errors are kept apart.
const LEVELS: usize = 8;
/// Weight of the past in the running mean error of a range.
const DECAY: f64 = 0.99;
/// Key of the mean errors in the saved state.
const KEY: &str = "level_errors";

/// The last error of every frame, in units of the mean error at its signal level: errors at
/// different levels cannot be compared otherwise.
pub(super) struct WindowErrors {
    frames: FrameErrors,
    levels: LevelErrors,
}

/// Running mean error of each range of signal levels; 0 before the first frame in it.
#[derive(Default)]
pub(super) struct LevelErrors([f64; LEVELS]);

/// Errors of the frames of `batch` that are trained on: the mean squared error of `x` [B, T, gh, gw, c],
/// predicted for `copy`, in the worst cell. `starts` are the first frames of the sequences.
///
/// # Errors
/// Returns an error if the device fails.
pub(super) fn window_errors(
    world: &WorldConfig,
    starts: &[usize],
    x: &Tensor,
    copy: &NoisedCopy,
    batch: &Batch,
) -> Result<Vec<FrameError>> {
    let (b, t) = batch.actions.indices.dims2()?;
    let squares = (x - &batch.latents)?.sqr()?.mean(4)?;
    let worst = squares.reshape((b * t, world.cells()))?.max(1)?;
    let floats = |x: &Tensor| x.flatten_all()?.to_vec1::<f32>();
    let frames = starts.iter().flat_map(|start| *start..*start + t);
    let values = floats(&worst)?.into_iter().zip(floats(&copy.tau)?);
    let trained = floats(&batch.mask)?;
    Ok(frames
        .zip(values)
        .zip(trained)
        .filter(|(_, trained)| *trained > 0.0)
        .map(|((frame, (error, signal)), _)| FrameError {
            frame,
            error,
            signal,
        })
        .collect())
}

impl LevelErrors {
    /// The error of a frame in units of the mean error at its signal level, which it becomes part of.
    pub fn relative(&mut self, error: FrameError) -> FrameError {
        let at = (error.signal * LEVELS as f32) as usize;
        let mean = &mut self.0[at.min(LEVELS - 1)];
        let value = f64::from(error.error);
        *mean = if *mean == 0.0 {
            value
        } else {
            DECAY * *mean + (1.0 - DECAY) * value
        };
        let relative = if *mean > 0.0 { value / *mean } else { 0.0 };
        FrameError {
            error: relative as f32,
            ..error
        }
    }

    /// The tensor of the saved state.
    ///
    /// # Errors
    /// Returns an error if candle fails.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let means = Tensor::new(&self.0, &Device::Cpu)?;
        Ok(BTreeMap::from([(KEY.to_owned(), means)]))
    }

    /// Restores the tensor of a saved state, if it has it.
    ///
    /// # Errors
    /// Returns an error if it has another type.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        if let Some(saved) = state.get(KEY) {
            let saved = saved.to_vec1::<f64>()?;
            for (mean, saved) in self.0.iter_mut().zip(saved) {
                *mean = saved;
            }
        }
        Ok(())
    }
}

impl WindowErrors {
    /// Errors of frames that were not trained on yet.
    pub fn new(frames: usize) -> Self {
        Self {
            frames: FrameErrors::new(frames),
            levels: LevelErrors::default(),
        }
    }

    /// A frame, the likelier the larger its error was.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        self.frames.draw(rng)
    }

    /// Remembers the errors of frames that were trained on.
    pub fn update(&mut self, errors: &[FrameError]) {
        for error in errors {
            let error = self.levels.relative(*error);
            self.frames.set(error.frame, error.error);
        }
    }

    /// The tensors of the saved state.
    ///
    /// # Errors
    /// Returns an error if candle fails.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = self.frames.state()?;
        state.extend(self.levels.state()?);
        Ok(state)
    }

    /// Restores the tensors of a saved state, if it has any.
    ///
    /// # Errors
    /// Returns an error if they have another type.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.frames.restore(state)?;
        self.levels.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn at(signal: f32, frames: &[(usize, f32)]) -> Vec<FrameError> {
        let errors = frames.iter().map(|(frame, error)| FrameError {
            frame: *frame,
            error: *error,
            signal,
        });
        errors.collect()
    }

    fn share(errors: &WindowErrors, frame: usize) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let drawn = (0..2000).filter(|_| errors.draw(&mut rng) == frame).count();
        drawn as f64 / 2000.0
    }

    #[test]
    fn errors_count_relative_to_their_signal_level() {
        let mut errors = WindowErrors::new(50);
        // Pure noise: errors near 1. Near the data: errors near 0.01, but for frame 29.
        for _ in 0..100 {
            errors.update(&at(0.0, &(10..20).map(|f| (f, 1.0)).collect::<Vec<_>>()));
            errors.update(&at(0.9, &(20..29).map(|f| (f, 0.01)).collect::<Vec<_>>()));
            errors.update(&at(0.9, &[(29, 0.05)]));
        }
        // At least one of 16 candidates is frame 29: 1 − 0.98^16 = 0.276.
        assert!((share(&errors, 29) - 0.276).abs() < 0.04);
        assert!(share(&errors, 11) < 0.1);
    }

    #[test]
    fn a_saved_state_is_restored() {
        let mut errors = WindowErrors::new(4);
        errors.update(&at(0.1, &[(0, 2.0)]));
        errors.update(&at(0.6, &[(1, 4.0)]));
        let mut restored = WindowErrors::new(4);
        restored.restore(&errors.state().unwrap()).unwrap();
        assert_eq!(restored.levels.0, errors.levels.0);
        assert!(restored.levels.0[0] == 2.0 && restored.levels.0[4] == 4.0);
    }
}
