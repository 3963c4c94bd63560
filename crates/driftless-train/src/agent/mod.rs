//! Training of an agent: cloning recorded play, then imagination in the frozen world.

mod alone;
mod cloning;
mod features;
mod imagination;
mod run;
mod settings;

pub use run::{AgentOptions, run_agent};
pub use settings::{AgentSettings, CloningSettings, ImaginationSettings};

#[cfg(test)]
mod tests;
