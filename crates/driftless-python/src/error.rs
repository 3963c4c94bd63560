//! Errors of this crate, and the Python exceptions that they become.

use std::sync::TryLockError;

use pyo3::exceptions::{PyConnectionError, PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a function of this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or does not hold what was expected.
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// A checkpoint cannot be read.
    #[error(transparent)]
    Model(#[from] driftless_model::Error),
    /// The engine refuses an argument or its device fails.
    #[error(transparent)]
    Engine(#[from] driftless_engine::Error),
    /// An agent is missing, damaged or of another world.
    #[error(transparent)]
    Agent(#[from] driftless_agent::Error),
    /// A game refuses an argument or fails.
    #[error(transparent)]
    Sim(#[from] driftless_sim::Error),
    /// A server cannot be reached, or refuses.
    #[error(transparent)]
    Remote(#[from] driftless_remote::Error),
    /// The flow library refuses an argument.
    #[error(transparent)]
    Flow(#[from] driftless_flow::Error),
    /// A tensor operation fails.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A value is out of its range.
    #[error("{0}")]
    Value(String),
    /// An array has another type than expected.
    #[error("{0}")]
    Type(String),
    /// Another thread uses the object.
    #[error("it is used by another thread; make one for each")]
    InUse,
    /// The object was closed.
    #[error("it is closed")]
    Closed,
    /// A Python function that was called back raised an exception.
    #[error("{0}")]
    Python(PyErr),
}

impl From<PyErr> for Error {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl<T> From<TryLockError<T>> for Error {
    fn from(error: TryLockError<T>) -> Self {
        match error {
            TryLockError::WouldBlock => Self::InUse,
            TryLockError::Poisoned(_) => Self::Closed,
        }
    }
}

impl From<driftless_flow::FlowError> for Error {
    fn from(error: driftless_flow::FlowError) -> Self {
        Self::Flow(error.into())
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Python(raised) => raised,
            Error::Type(_) => PyTypeError::new_err(text),
            Error::Value(_) | Error::Flow(_) => PyValueError::new_err(text),
            Error::Data(driftless_data::Error::Io { .. })
            | Error::Remote(driftless_remote::Error::Data(driftless_data::Error::Io { .. })) => {
                PyOSError::new_err(text)
            }
            Error::Remote(ref inner) if inner.is_passing() => PyConnectionError::new_err(text),
            Error::Remote(
                driftless_remote::Error::Address { .. }
                | driftless_remote::Error::Ca { .. }
                | driftless_remote::Error::NoWorld { .. },
            ) => PyValueError::new_err(text),
            Error::Agent(driftless_agent::Error::Engine(ref inner)) if inner.is_argument() => {
                PyValueError::new_err(text)
            }
            Error::Agent(
                driftless_agent::Error::Data(_)
                | driftless_agent::Error::Model(_)
                | driftless_agent::Error::NoFrame(_),
            )
            | Error::Data(_)
            | Error::Model(_) => PyValueError::new_err(text),
            Error::Engine(ref inner) if inner.is_argument() => PyValueError::new_err(text),
            Error::Sim(ref inner) if inner.is_argument() => PyValueError::new_err(text),
            Error::Agent(_)
            | Error::Engine(_)
            | Error::Sim(_)
            | Error::Remote(_)
            | Error::Tensor(_)
            | Error::InUse
            | Error::Closed => PyRuntimeError::new_err(text),
        }
    }
}
