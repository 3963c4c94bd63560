//! The layers of the dynamics' trunk.

use super::attention::AttentionLayer;
use super::delta::DeltaLayer;
use super::mlp::MlpLayer;
use super::recall::RecallLayer;

/// A sublayer of the trunk.
pub(super) enum Sublayer {
    SpatialAttention(AttentionLayer),
    Delta(DeltaLayer),
    TemporalAttention(AttentionLayer),
    Recall(RecallLayer),
    Mlp(MlpLayer),
}
