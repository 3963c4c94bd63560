//! Training on the processor: forward and backward written out by hand.

mod attention;
mod buffer;
mod cells;
mod conditions;
mod dynamics;
mod ends;
mod lanes;
mod linear;
mod mlp;
mod outcome;
mod parameters;
mod product;
mod rows;
mod space;
mod time;
mod workspace;
#[cfg(test)]
mod tests;
