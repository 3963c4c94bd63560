//! Measures of clips that a model makes from words, in the maze.
//!
//! - [`ClipReader`] tells from the frames of a clip alone which facts of a caption hold: the motion by a probe
//!   that was trained on real pairs of frames, walls and objects by a census of the colours.
//! - [`prompt_following`] asks for clips and counts what of their prompts they show. Real clips in place of
//!   made ones are its ceiling; other clips' facts, asked of the same clips, are chance.
//! - [`compare`] does so for several sources of clips, with first-frame fidelity and time.
//! - [`ClipFeatures`] gives a Fréchet distance between sets of clips, in features of a small network that is
//!   trained on real clips of the same world. It is not comparable with an FVD, whose network is another.

mod census;
mod comparison;
mod features;
mod following;
mod motion_probe;
mod picture;
mod reader;
mod tables;

pub use comparison::{ClipProbes, ClipSource, MakeClip, SourceReport, compare, comparison_tables};
pub use features::ClipFeatures;
pub use following::{
    FollowingReport, FollowingScore, Prompt, PromptGroup, clip_before, prompt_following, prompts,
    real_clip,
};
pub use motion_probe::MotionProbe;
pub use reader::{ClipReader, ClipReading};
pub use tables::tables;
