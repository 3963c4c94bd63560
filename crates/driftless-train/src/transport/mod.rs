//! Training of a transport network: from a dataset of cells to a checkpoint.

mod batches;
mod run;
mod settings;
mod task;
mod turns;

pub use run::{TransportOptions, run_transport};
pub use settings::TransportSettings;
