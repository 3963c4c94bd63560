//! What can go wrong in this crate. Each message states what was expected.

/// An invalid argument, or a computation that fails numerically.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FlowError {
    /// A signal level outside the path.
    #[error("signal level τ is {tau}, expected 0 to 1")]
    Level {
        /// The level.
        tau: f64,
    },
    /// A negative or NaN ratio of data to noise.
    #[error("the ratio α/σ is {ratio}, expected 0 or more")]
    Ratio {
        /// The ratio.
        ratio: f64,
    },
    /// A variance-exploding path whose noise does not shrink.
    #[error("the exploding path goes from σ = {most} to {least}, expected 0 < least < most")]
    Exploding {
        /// σ at τ = 1.
        least: f64,
        /// σ at τ = 0.
        most: f64,
    },
    /// An unknown name.
    #[error("unknown {what} \"{name}\", expected {expected}")]
    Name {
        /// The kind of thing.
        what: &'static str,
        /// The name given.
        name: String,
        /// The known names.
        expected: &'static str,
    },
    /// A step count that shortcut forcing has no step size for.
    #[error("K is {steps}, expected a power of two: shortcut steps are 1, 1/2, 1/4, …")]
    ShortcutSteps {
        /// The step count.
        steps: usize,
    },
    /// A grid of signal levels that is not strictly rising or falling within [0, 1].
    #[error(
        "the τ grid {grid:?} is invalid, expected at least two different levels from 0 to 1, in order"
    )]
    Grid {
        /// The grid.
        grid: Vec<f64>,
    },
    /// Two options that exclude each other.
    #[error("{0}")]
    Pairing(String),
    /// A number outside its range.
    #[error("{what} is {value}, expected {expected}")]
    Range {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        expected: &'static str,
    },
    /// A state or a prediction that is not finite.
    #[error("{what} at signal level τ = {tau} is not finite")]
    NotFinite {
        /// What is not finite.
        what: &'static str,
        /// The level.
        tau: f64,
    },
    /// An adaptive solver that gave up.
    #[error(
        "the adaptive solver gave up at τ = {tau} after {steps} steps: too many or too small steps for \
         a tolerance of {tolerance:e}, expected a larger tolerance"
    )]
    Tolerance {
        /// Steps taken.
        steps: usize,
        /// Where it stood.
        tau: f64,
        /// The relative tolerance.
        tolerance: f64,
    },
    /// Batches of different sizes, which cannot be paired.
    #[error("the source has {source_len} samples and the data {data_len}, expected equally many")]
    Unpaired {
        /// Samples of the source.
        source_len: usize,
        /// Samples of the data.
        data_len: usize,
    },
    /// A tensor with the wrong shape.
    #[error("{what} has the shape {shape:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        shape: Vec<usize>,
        /// What it should be.
        expected: String,
    },
    /// A noise schedule that does not decrease.
    #[error(
        "ᾱ of the noise schedule is {alpha_bar} at step {step}, expected a value in (0, 1] and below \
         that of the previous step"
    )]
    Schedule {
        /// The step.
        step: usize,
        /// ᾱ there.
        alpha_bar: f64,
    },
    /// A velocity whose divergence cannot be computed.
    #[error(
        "the velocity at signal level τ = {tau} is not differentiable with respect to z, expected \
         differentiable operations"
    )]
    NotDifferentiable {
        /// The level.
        tau: f64,
    },
}

impl FlowError {
    /// Whether an argument or a setting is the cause, so that another value may work.
    pub fn is_argument(&self) -> bool {
        match self {
            Self::Level { .. }
            | Self::Ratio { .. }
            | Self::Exploding { .. }
            | Self::Name { .. }
            | Self::ShortcutSteps { .. }
            | Self::Grid { .. }
            | Self::Pairing(_)
            | Self::Range { .. }
            | Self::Tolerance { .. }
            | Self::Schedule { .. } => true,
            Self::NotFinite { .. }
            | Self::Unpaired { .. }
            | Self::Shape { .. }
            | Self::NotDifferentiable { .. } => false,
        }
    }
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mathematics was asked for what it cannot give.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// What a caller's own error type must take up so that its networks can be called from here.
pub trait CallbackError: From<Error> + From<FlowError> + From<candle_core::Error> {}

impl<E: From<Error> + From<FlowError> + From<candle_core::Error>> CallbackError for E {}

impl Error {
    /// Whether an argument or a setting is the cause, so that another value may work.
    pub fn is_argument(&self) -> bool {
        matches!(self, Self::Flow(error) if error.is_argument())
    }

    /// Whether a number that is not finite was met.
    pub fn is_not_finite(&self) -> bool {
        matches!(self, Self::Flow(FlowError::NotFinite { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_count_as_arguments() {
        let shape = FlowError::Shape {
            what: "the noise",
            shape: vec![2],
            expected: "[3]".to_owned(),
        };
        let unpaired = FlowError::Unpaired {
            source_len: 2,
            data_len: 3,
        };
        let (what, tau) = ("the state", 0.5);
        let not_finite = FlowError::NotFinite { what, tau };
        for error in [
            shape,
            unpaired,
            not_finite,
            FlowError::NotDifferentiable { tau },
        ] {
            assert!(!Error::from(error).is_argument());
        }
        let range = FlowError::Range {
            what: "K",
            value: 0.0,
            expected: "1 or more",
        };
        let tolerance = FlowError::Tolerance {
            steps: 9,
            tau,
            tolerance: 1e-9,
        };
        for error in [range, tolerance, FlowError::ShortcutSteps { steps: 3 }] {
            assert!(Error::from(error).is_argument());
        }
    }
}
