//! Training on the processor: forward and backward written out by hand.

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
