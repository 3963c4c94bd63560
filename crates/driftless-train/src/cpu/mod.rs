//! Training on the CPU: forward and backward passes written by hand.
//!
//! They compute the same functions as `driftless_model::dynamics`, `driftless_model::tokenizer`,
//! `driftless_transport::network` and `driftless_clip::network`, which candle differentiates automatically. Candle's path trains on other devices, and the tests
//! compare this one with it. There are three layers:
//!
//! - Loops and matrix products on slices ([`matmul`], [`row_ops`], [`softmax`], [`update_rules`]),
//!   each compiled for AVX-512, AVX2 and the baseline instruction set ([`simd`]).
//! - Layers and networks. Parameters and gradients are flat slices ([`parameters`]). A thread works
//!   on one sequence or a few frames at a time, in buffers that it allocates once
//!   ([`sequence_buffers`], [`encoder_decoder`]).
//! - Whole training steps on all threads ([`dynamics_trainer`], [`tokenizer_trainer`], [`transport_trainer`],
//!   [`clip_trainer`]). Sums do not
//!   depend on the number of threads ([`gradient_chunks`]).

mod attention;
mod attention_heads;
mod attention_spatial;
mod attention_temporal;
pub(super) mod batch;
mod buffer;
mod cell_block;
mod cell_block_stack;
mod clip;
mod clip_block;
mod clip_block_gradient;
pub(super) mod clip_trainer;
mod condition_embeddings;
mod delta;
mod delta_scan;
mod dynamics;
pub(super) mod dynamics_trainer;
mod encoder_decoder;
pub(super) mod frame_encoder;
pub(crate) mod frame_patches;
#[cfg(test)]
mod gradient_checks;
mod gradient_chunks;
mod level_coefficients;
mod linear;
mod matmul;
mod memory;
mod mlp;
mod modulation;
pub(super) mod orthogonalize;
mod outcome_head;
pub(super) mod parameters;
mod recall;
pub(super) mod row_ops;
mod sequence_buffers;
mod sequence_step;
mod simd;
mod sizes;
mod softmax;
mod standardization;
mod stem_and_head;
mod sublayer;
#[cfg(test)]
mod tests;
pub(super) mod tokenizer_trainer;
mod transport;
pub(super) mod transport_trainer;
pub(super) mod update_rules;
