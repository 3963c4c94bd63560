//! Training on the processor: forward and backward written out by hand.
//!
//! The same functions as `model::dynamics` and `model::tokenizer`, which candle differentiates by
//! itself: there for other devices, and as what these are tested against. Three layers:
//!
//! - loops and products on slices ([`matmul`], [`row_ops`], [`softmax`], [`update_rules`]), each for AVX-512,
//!   AVX2 and any processor ([`simd`]);
//! - layers and networks over one flat slice of parameters and one of gradients ([`parameters`]),
//!   one sequence or some frames at a time, in buffers that a thread allocates once
//!   ([`sequence_buffers`], [`encoder_decoder`]);
//! - whole steps on all threads ([`dynamics_trainer`], [`tokenizer_trainer`]), with sums that do not depend on how many
//!   there are ([`gradient_chunks`]).

mod attention;
mod attention_spatial;
mod attention_temporal;
mod buffer;
mod cell_block;
mod cell_block_stack;
mod condition_embeddings;
mod dynamics;
pub(super) mod dynamics_trainer;
mod encoder_decoder;
pub(super) mod frame_encoder;
mod frame_patches;
mod gradient_chunks;
mod level_coefficients;
mod linear;
mod matmul;
mod mlp;
pub(super) mod orthogonalize;
mod outcome_head;
pub(super) mod parameters;
pub(super) mod row_ops;
mod sequence_buffers;
mod sequence_step;
mod simd;
mod softmax;
mod standardization;
mod stem_and_head;
#[cfg(test)]
mod tests;
pub(super) mod tokenizer_trainer;
pub(super) mod update_rules;
