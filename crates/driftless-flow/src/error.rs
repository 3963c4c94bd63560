//! What this room refuses, and what it expected instead.

/// Every way in which the mathematics is asked for what it cannot give.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FlowError {
    /// A signal level outside the path.
    #[error("signal level τ is {tau}, expected 0 to 1")]
    Level {
        /// The level.
        tau: f64,
    },
    /// A ratio of data to noise that no path has.
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
    /// A name of something that does not exist.
    #[error("unknown {what} \"{name}\", expected {expected}")]
    Name {
        /// The kind of thing.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names there are.
        expected: &'static str,
    },
    /// A step count that shortcut forcing has no step size for.
    #[error("K is {steps}, expected a power of two: shortcut steps are 1, 1/2, 1/4, …")]
    ShortcutSteps {
        /// The step count.
        steps: usize,
    },
    /// A grid of signal levels that does not go one way from level to level.
    #[error(
        "the τ grid {grid:?} is wrong, expected at least two different levels of 0 to 1, in order"
    )]
    Grid {
        /// The grid.
        grid: Vec<f64>,
    },
    /// Two options that exclude each other.
    #[error("{0}")]
    Pairing(String),
    /// A number out of its range.
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
        "the adaptive solver stands at τ = {tau} after {steps} steps, too many or too small for a \
         tolerance of {tolerance:e}, expected a larger tolerance"
    )]
    Tolerance {
        /// Steps taken.
        steps: usize,
        /// Where it stood.
        tau: f64,
        /// The relative tolerance asked for.
        tolerance: f64,
    },
    /// Batches that have no one-to-one pairing.
    #[error("the source has {source_len} samples and the data {data_len}, expected as many")]
    Unpaired {
        /// Samples of the source.
        source_len: usize,
        /// Samples of the data.
        data_len: usize,
    },
    /// A tensor of another shape than what it goes with.
    #[error("{what} has the shape {shape:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        shape: Vec<usize>,
        /// What it should be.
        expected: String,
    },
    /// A noise schedule whose noise does not grow.
    #[error(
        "ᾱ of the noise schedule is {alpha_bar} at step {step}, expected it in (0, 1] and below that of \
         the step before"
    )]
    Schedule {
        /// The step.
        step: usize,
        /// ᾱ there.
        alpha_bar: f64,
    },
    /// A velocity whose divergence cannot be had.
    #[error(
        "the velocity at signal level τ = {tau} does not depend on z by differentiable operations, \
         expected it to"
    )]
    NotDifferentiable {
        /// The level.
        tau: f64,
    },
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
    /// Whether the mathematics was asked for what it cannot give.
    pub fn is_argument(&self) -> bool {
        matches!(self, Self::Flow(_))
    }
}
