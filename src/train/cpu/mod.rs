//! Training on the processor: forward and backward written out by hand.
//!
//! The same functions as `model::dynamics` and `model::tokenizer`, which candle differentiates by
//! itself: there for other devices, and as what these are tested against. Three layers:
//!
//! - loops and products on slices ([`product`], [`rows`], [`softmax`], [`update`]), each for AVX-512,
//!   AVX2 and any processor ([`lanes`]);
//! - layers and networks over one flat slice of parameters and one of gradients ([`parameters`]),
//!   one sequence or some frames at a time, in buffers that a thread allocates once
//!   ([`workspace`], [`tokenizer`]);
//! - whole steps on all threads ([`sequences`], [`frames`]), with sums that do not depend on how many
//!   there are ([`chunks`]).

mod attention;
mod buffer;
mod cells;
mod chunks;
mod conditions;
mod dynamics;
pub(super) mod encode;
mod ends;
pub(super) mod frames;
mod lanes;
mod levels;
mod linear;
mod mlp;
pub(super) mod muon;
mod outcome;
pub(super) mod parameters;
mod pass;
mod pictures;
mod product;
pub(super) mod rows;
pub(super) mod sequences;
mod softmax;
mod space;
mod standardise;
#[cfg(test)]
mod tests;
mod time;
mod tokenizer;
mod tower;
pub(super) mod update;
mod workspace;
