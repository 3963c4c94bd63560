//! The tilings of the matrix product, and which of them a shape uses.

use std::collections::BTreeMap;

/// Outputs per panel of packed weights, and columns of a workgroup's tile.
pub(super) const PANEL: u32 = 64;

/// A tiling of the matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TileVariant {
    /// Rows of a workgroup's tile; its columns are one panel.
    pub rows: u32,
    /// Blocks of 4 × 4 outputs per thread, down and across.
    pub blocks: [u32; 2],
    /// Inputs held in workgroup memory at a time.
    pub depth: u32,
}

impl TileVariant {
    /// The name in the cache file: `ROWS DOWNxACROSS DEPTH`.
    pub fn name(self) -> String {
        let [down, across] = self.blocks;
        format!("{} {down}x{across} {}", self.rows, self.depth)
    }

    fn threads(self) -> u32 {
        let [down, across] = self.blocks;
        self.rows / (4 * down) * (PANEL / (4 * across))
    }

    fn workgroup_bytes(self) -> u32 {
        self.depth * (self.rows + PANEL) * 4
    }

    /// Whether a device with these limits can run the variant.
    pub fn fits(self, limits: &wgpu::Limits) -> bool {
        self.threads() <= limits.max_compute_invocations_per_workgroup
            && self.workgroup_bytes() <= limits.max_compute_workgroup_storage_size
    }
}

const fn variant(rows: u32, blocks: [u32; 2], depth: u32) -> TileVariant {
    TileVariant {
        rows,
        blocks,
        depth,
    }
}

/// All variants. The first two are the defaults without measurements.
pub(super) const TILE_VARIANTS: [TileVariant; 8] = [
    variant(64, [1, 1], 16),
    variant(16, [1, 1], 16),
    variant(32, [1, 1], 16),
    variant(16, [1, 1], 32),
    variant(16, [1, 2], 16),
    variant(32, [2, 2], 16),
    variant(64, [2, 2], 16),
    variant(128, [2, 2], 16),
];

/// Rows, outputs and inputs of a product.
pub(super) type MatmulShape = [u32; 3];

/// The fastest tile variant of each measured shape, as an index into [`TILE_VARIANTS`].
#[derive(Debug, Default, PartialEq)]
pub(super) struct MatmulTuning {
    pub best: BTreeMap<MatmulShape, usize>,
}

impl MatmulTuning {
    /// The variant to use for a shape: the measured one or a default.
    pub fn choose(&self, shape: MatmulShape) -> usize {
        let default = usize::from(shape[0] <= TILE_VARIANTS[0].rows / 2);
        self.best.get(&shape).copied().unwrap_or(default)
    }
}
