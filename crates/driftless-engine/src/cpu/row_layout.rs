//! The layout of the rows that a matrix multiplies, and how a product is written.

/// Where the input rows of a matrix product are in a slice.
///
/// Row r starts at `(r / run) · outer + (r % run) · inner` and consists of `segments` pieces, `stride`
/// apart. So 3×3 neighbourhoods, image patches and merged cells are read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowLayout {
    pub(super) count: usize,
    pub(super) run: usize,
    pub(super) outer: usize,
    pub(super) inner: usize,
    pub(super) segments: usize,
    pub(super) stride: usize,
}

impl RowLayout {
    /// `count` contiguous rows, `stride` apart.
    pub(super) fn contiguous(count: usize, stride: usize) -> Self {
        Self {
            count,
            run: 1,
            outer: stride,
            inner: 0,
            segments: 1,
            stride: 0,
        }
    }

    /// Blocks of `side`×`side` cells of a grid [gh, gw, c], in row-major order.
    pub(super) fn blocks([gh, gw]: [usize; 2], side: usize, c: usize) -> Self {
        Self {
            count: gh * gw / (side * side),
            run: gw / side,
            outer: side * gw * c,
            inner: side * c,
            segments: side,
            stride: gw * c,
        }
    }

    #[inline(always)]
    pub(super) fn start(&self, r: usize) -> usize {
        (r / self.run) * self.outer + (r % self.run) * self.inner
    }

    /// Length that the slice needs for rows of `width` elements.
    pub(super) fn extent(&self, width: usize) -> usize {
        match self.count {
            0 => 0,
            n => self.start(n - 1) + (self.segments - 1) * self.stride + width / self.segments,
        }
    }
}

/// Whether a product overwrites its output or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteMode {
    Set,
    Add,
}
