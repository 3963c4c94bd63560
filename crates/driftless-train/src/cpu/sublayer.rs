//! The layers of the dynamics' trunk.

use super::attention::AttentionLayer;
use super::mlp::MlpLayer;
use super::recall::RecallLayer;

/// A sublayer of the trunk.
pub(super) enum Sublayer {
    SpatialAttention(AttentionLayer),
    TemporalAttention(AttentionLayer),
    Recall(RecallLayer),
    Mlp(MlpLayer),
}
