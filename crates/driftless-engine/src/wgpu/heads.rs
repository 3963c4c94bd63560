//! The layout of attention heads.

use driftless_model::export::ExportedMatrix;

use super::weights::{MatrixRef, Weights};

/// Attention heads in the model, and padded to whole vec4s for the kernels.
#[derive(Clone, Copy, Debug)]
pub struct HeadLayout {
    /// Number of heads.
    pub count: usize,
    /// Head size in the model.
    pub size: usize,
    /// Head size for the kernels.
    pub padded: usize,
}

impl HeadLayout {
    /// So many heads, which share `width` elements.
    pub fn new(count: usize, width: usize) -> Self {
        let size = width / count;
        Self {
            count,
            size,
            padded: size.next_multiple_of(4),
        }
    }

    /// Padded size of a token over all heads.
    pub fn width(self) -> usize {
        self.count * self.padded
    }

    /// Packs a matrix whose outputs are `parts` tokens over all heads, such as queries, keys and values.
    pub(super) fn into_heads(
        self,
        weights: &mut Weights,
        parts: usize,
        matrix: &ExportedMatrix,
    ) -> MatrixRef {
        let (width, padded) = (self.count * self.size, self.width());
        weights.matrix(parts * padded, matrix.inputs, |o, i| {
            let source = self.source(o % padded);
            source.map_or(0.0, |at| matrix.at(o / padded * width + at, i))
        })
    }

    /// Packs a matrix whose inputs are a token over all heads.
    pub(super) fn out_of_heads(self, weights: &mut Weights, matrix: &ExportedMatrix) -> MatrixRef {
        weights.matrix(matrix.outputs, self.width(), |o, i| {
            self.source(i).map_or(0.0, |at| matrix.at(o, at))
        })
    }

    /// Model index of the padded element `i` of a token; `None` for padding.
    pub fn source(self, i: usize) -> Option<usize> {
        let (head, at) = (i / self.padded, i % self.padded);
        (at < self.size).then_some(head * self.size + at)
    }
}
