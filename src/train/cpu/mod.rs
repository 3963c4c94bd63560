//! Training on the processor: forward and backward written out by hand.

mod attention;
mod buffer;
mod cells;
mod chunks;
mod conditions;
mod dynamics;
mod ends;
mod lanes;
mod levels;
mod linear;
mod mlp;
pub(super) mod muon;
mod outcome;
pub(super) mod parameters;
mod product;
pub(super) mod rows;
pub(super) mod sequences;
mod space;
#[cfg(test)]
mod tests;
mod time;
mod workspace;
