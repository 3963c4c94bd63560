//! Training of a clip network: from a dataset with captions and a world's tokenizer to clips from prompts.

pub(crate) mod batches;
mod run;
mod settings;
pub(crate) mod task;
mod texts;

pub use run::{ClipOptions, run_clip};
pub use settings::{ActionSettings, ClipSettings};

#[cfg(test)]
mod tests;
