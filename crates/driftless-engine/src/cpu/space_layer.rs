//! A transformer layer over the tokens of one picture.

use driftless_model::export::{ExportedAttention, ExportedMlp};

use super::attention::{AttentionScratch, SpatialAttention, TokenShape};
use super::mlp::{MlpScratch, PackedMlp};
use super::workers::Workers;

/// Spatial attention, then the feed-forward layer, on packed weights.
pub struct SpaceLayer {
    attention: SpatialAttention,
    mlp: PackedMlp,
}

/// Buffers that all layers of a network share.
pub struct SpaceScratch {
    attention: AttentionScratch,
    mlp: MlpScratch,
}

impl SpaceLayer {
    /// Packs a layer for so many tokens.
    pub fn new(attention: &ExportedAttention, mlp: &ExportedMlp, tokens: usize) -> Self {
        Self {
            attention: SpatialAttention::new(attention, shape(attention, tokens)),
            mlp: PackedMlp::new(mlp),
        }
    }

    /// Buffers for this layer, and for others of its sizes.
    pub fn scratch(&self) -> SpaceScratch {
        let shape = self.attention.shape();
        SpaceScratch {
            attention: AttentionScratch::new(shape, 0),
            mlp: MlpScratch::new(shape, self.mlp.hidden()),
        }
    }

    /// Updates `x` `[tokens, width]` in place, on the calling thread.
    pub fn apply(&self, x: &mut [f32], scratch: &mut SpaceScratch) {
        let alone = Workers::none();
        self.attention.apply(&alone, x, &mut scratch.attention);
        self.mlp.apply(&alone, x, &mut scratch.mlp);
    }
}

fn shape(attention: &ExportedAttention, tokens: usize) -> TokenShape {
    let heads = attention.parameters.outputs;
    TokenShape {
        tokens,
        heads,
        d: attention.out.inputs / heads.max(1),
    }
}
