//! Network operations as dispatches: matrix products, norms, affine maps, residual blocks.

use driftless_model::export::ExportedCellBlock;

use super::heads::HeadLayout;
use super::kernel_args::{
    Activation, AffineArgs, GroupNormArgs, GroupStatisticsArgs, MatmulArgs, NONE, RmsNormArgs,
    RowLayout, SampleArgs, SpatialAttentionArgs,
};
use super::kernels::{Kernel, workgroups};
use super::program::ProgramBuilder;
use super::tile_variants::{PANEL, TILE_VARIANTS};
use super::weights::{MatrixRef, Weights};

/// Allocates regions of the arena one after the other.
#[derive(Debug, Default)]
pub struct ArenaLayout {
    pub(super) len: u32,
}

impl ArenaLayout {
    /// The offset of a new region of `len` elements, aligned to vec4s.
    pub fn allocate(&mut self, len: usize) -> u32 {
        let at = self.len;
        // An arena that is too large is rejected when its buffer is created.
        let len = u32::try_from(len.next_multiple_of(4)).unwrap_or(u32::MAX);
        self.len = self.len.saturating_add(len);
        at
    }
}

impl ProgramBuilder {
    /// y ← x Wᵀ + b over `m` rows.
    pub fn matmul(&mut self, w: MatrixRef, m: u32, x: RowLayout, y: RowLayout) {
        self.tuned_matmul(w, m, [x, y], Activation::None, false);
    }

    /// y ← y + x Wᵀ + b over `m` rows.
    pub fn matmul_add(&mut self, w: MatrixRef, m: u32, x: RowLayout, y: RowLayout) {
        self.tuned_matmul(w, m, [x, y], Activation::None, true);
    }

    /// y ← activation(x Wᵀ + b) over `m` rows.
    pub(super) fn matmul_activated(
        &mut self,
        w: MatrixRef,
        m: u32,
        x: RowLayout,
        y: RowLayout,
        activation: Activation,
    ) {
        self.tuned_matmul(w, m, [x, y], activation, false);
    }

    fn tuned_matmul(
        &mut self,
        w: MatrixRef,
        m: u32,
        rows: [RowLayout; 2],
        activation: Activation,
        add: bool,
    ) {
        let shape = [m, w.n, w.k];
        *self.products.entry(shape).or_default() += 1;
        let variant = self.tuning.choose(shape);
        self.matmul_with_tiles(variant, w, m, rows, activation, add);
    }

    /// A product with the tile variant of an index, whatever the tuning says.
    pub(super) fn matmul_with_tiles(
        &mut self,
        variant: usize,
        w: MatrixRef,
        m: u32,
        [x, y]: [RowLayout; 2],
        activation: Activation,
        add: bool,
    ) {
        let args = MatmulArgs {
            x,
            y,
            m,
            n: w.n,
            k: w.k,
            weight: w.panels,
            bias: w.bias,
            activation: activation as u32,
            add: u32::from(add),
            aligned: u32::from(x.is_aligned() && w.k.is_multiple_of(4)),
        };
        let groups = [w.n.div_ceil(PANEL), m.div_ceil(TILE_VARIANTS[variant].rows)];
        self.push(Kernel::Matmul(variant), &args, groups);
    }

    /// y ← x / rms(x) · gain, over `rows` rows.
    pub(super) fn rms_norm(&mut self, norm: RmsNorm, rows: u32, x: RowLayout, y: RowLayout) {
        let args = RmsNormArgs {
            x,
            y,
            width: norm.width,
            gain: norm.gain,
            unused: [0; 2],
        };
        self.push(Kernel::RmsNorm, &args, [rows, 1]);
    }

    /// y ← (x + shift) · scale over [rows, width]. `shift` [rows, width] and `scale` [width] are offsets in
    /// the weights, or [`NONE`].
    pub(super) fn affine(
        &mut self,
        [rows, width]: [u32; 2],
        x: RowLayout,
        y: RowLayout,
        shift: u32,
        scale: u32,
    ) {
        let args = AffineArgs {
            x,
            y,
            rows,
            width,
            shift,
            scale,
        };
        self.push(Kernel::Affine, &args, [workgroups(rows * width), 1]);
    }

    /// y ← x over [rows, width].
    pub fn copy(&mut self, size: [u32; 2], x: RowLayout, y: RowLayout) {
        self.affine(size, x, y, NONE, NONE);
    }

    /// Normalizes groups of channels of `pixels` rows, each of them `[channels]`. Scratch: `statistics`, as many
    /// elements as [`GroupNorm::scratch_len`] says.
    pub fn group_norm(
        &mut self,
        norm: &GroupNorm,
        pixels: u32,
        [x, y]: [RowLayout; 2],
        statistics: u32,
    ) {
        let (block, width) = (GroupNorm::block(pixels), norm.channels / norm.groups);
        let groups = [pixels.div_ceil(block), norm.groups];
        let args = GroupStatisticsArgs {
            x,
            statistics,
            pixels,
            block,
            width,
        };
        self.push(Kernel::GroupStatistics, &args, groups);
        let args = GroupNormArgs {
            x,
            y,
            statistics,
            pixels,
            block,
            width,
            affine: norm.affine,
            channels: norm.channels,
            gain: norm.gain,
            silu: u32::from(norm.silu),
        };
        self.push(Kernel::GroupNorm, &args, groups);
    }

    /// softmax(q kᵀ / √d) v between all tokens, with d the heads' size: `qkv` is `[tokens, 3 · padded width]`, `y`
    /// `[tokens, padded width]`.
    pub fn attention(&mut self, heads: HeadLayout, tokens: u32, qkv: u32, y: u32) {
        let args = SpatialAttentionArgs {
            qkv,
            y,
            tokens,
            heads: heads.count as u32,
            scales: NONE,
            scale: 1.0 / (heads.size as f32).sqrt(),
            unused: [0; 2],
        };
        let threads = tokens * heads.count as u32;
        self.push(Kernel::AttentionSpatial, &args, [workgroups(threads), 1]);
    }

    /// A sampler operation on `len` elements at the arena offsets `z` and `x`.
    pub(super) fn sample(
        &mut self,
        operation: SampleOperation,
        [z, x]: [u32; 2],
        len: u32,
        pass_index: u32,
    ) {
        let args = SampleArgs {
            z,
            x,
            len,
            operation: operation as u32,
            pass_index,
            unused: [0; 3],
        };
        self.push(Kernel::Sample, &args, [workgroups(len.div_ceil(4)), 1]);
    }

    /// x ← x + W silu(conv₃ₓ₃(norm x) + b) on the grid of cells at `x`. Scratch: `padded_cells` is a grid with
    /// a border of zeros, and `hidden` is as large as x.
    pub(super) fn cell_block(
        &mut self,
        block: &CellBlock,
        grid: [u32; 2],
        x: u32,
        padded_cells: u32,
        hidden: u32,
    ) {
        let (cells, width) = (grid[0] * grid[1], block.norm.width);
        let rows = |at| RowLayout::contiguous(at, width);
        let interior = RowLayout::interior(padded_cells, grid, width);
        self.rms_norm(block.norm, cells, rows(x), interior);
        let neighbourhoods = RowLayout::neighbourhoods(padded_cells, grid, width);
        self.matmul_activated(
            block.conv,
            cells,
            neighbourhoods,
            rows(hidden),
            Activation::Silu,
        );
        self.matmul_add(block.out, cells, rows(hidden), rows(x));
    }
}

/// A sampler operation between passes; see `shaders/sample.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SampleOperation {
    /// z ← temperature · noise.
    InitialNoise = 0,
    /// One step of shortcut sampling.
    Step = 1,
    /// z ← the noised version of a clean latent for the context.
    ContextNoise = 2,
}

/// Offset and width of an RMSNorm's gain.
#[derive(Clone, Copy, Debug)]
pub(super) struct RmsNorm {
    pub width: u32,
    pub gain: u32,
}

impl RmsNorm {
    pub fn new(weights: &mut Weights, gain: &[f32]) -> Self {
        Self {
            width: gain.len() as u32,
            gain: weights.push(gain),
        }
    }
}

/// Group normalization of maps with so many channels.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    /// Channels of the maps.
    pub channels: u32,
    /// Groups, of as many channels each.
    pub groups: u32,
    /// Where the arena holds the gains less `gain`, then the offsets: `[2, channels]`.
    pub affine: u32,
    /// What is added to the gains.
    pub gain: f32,
    /// Whether SiLU follows.
    pub silu: bool,
}

impl GroupNorm {
    /// Pixels that a workgroup normalizes.
    pub(super) fn block(pixels: u32) -> u32 {
        pixels.div_ceil(64).max(16)
    }

    /// Elements of scratch for maps of so many pixels.
    pub fn scratch_len(&self, pixels: u32) -> usize {
        2 * (self.groups * pixels.div_ceil(Self::block(pixels))) as usize
    }
}

/// Weights of a residual block on the grid of cells.
pub(super) struct CellBlock {
    norm: RmsNorm,
    conv: MatrixRef,
    out: MatrixRef,
}

impl CellBlock {
    pub fn new(weights: &mut Weights, block: &ExportedCellBlock) -> Self {
        Self {
            norm: RmsNorm::new(weights, &block.norm),
            conv: weights.linear(&block.conv),
            out: weights.linear(&block.out),
        }
    }
}
