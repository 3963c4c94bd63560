//! The layout of the rows that a matrix multiplies, and how a product is written.

/// Where the input rows of a matrix product are in a slice.
///
/// Row r starts at `(r / run) · outer + (r % run) · inner` and consists of `segments` pieces, `stride`
/// apart. So 3×3 neighbourhoods, image patches and merged cells are read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLayout {
    /// Number of rows.
    pub count: usize,
    /// Rows that are `inner` apart.
    pub run: usize,
    /// Distance of runs.
    pub outer: usize,
    /// Distance of rows within a run.
    pub inner: usize,
    /// Pieces of a row.
    pub segments: usize,
    /// Distance of the pieces.
    pub stride: usize,
}

impl RowLayout {
    /// `count` contiguous rows, `stride` apart.
    pub fn contiguous(count: usize, stride: usize) -> Self {
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
pub enum WriteMode {
    /// It overwrites.
    Set,
    /// It adds.
    Add,
}
