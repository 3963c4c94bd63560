//! The native part of the Python package `driftless`; `python/driftless` has the rest.

#![expect(
    clippy::needless_pass_by_value,
    reason = "Python hands its arguments over"
)]

mod agent;
mod engine;
mod error;
mod flow;
mod games;
mod players;
mod remote;
mod settings;
mod state;

use pyo3::prelude::*;

#[pymodule]
mod _driftless {
    #[pymodule_export]
    use crate::agent::RealPlayer;
    #[pymodule_export]
    use crate::engine::{Engine, EngineState};
    #[pymodule_export]
    use crate::flow::{coefficients, solve};
    #[pymodule_export]
    use crate::games::{Games, Snapshot};
    #[pymodule_export]
    use crate::settings::default_settings;
}
