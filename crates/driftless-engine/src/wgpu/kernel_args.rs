//! Arguments of the kernels: one record per dispatch, with the layout of their `Args` struct in WGSL.

use bytemuck::{Pod, Zeroable};
use driftless_data::MAX_AXES;

/// The offset of an absent operand.
pub(super) const NONE: u32 = u32::MAX;

/// Where rows are in the arena; see `shaders/shared/bindings.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct RowLayout {
    /// Where row 0 starts.
    pub(super) offset: u32,
    /// Rows of a run, which are `inner` apart; runs are `outer` apart.
    pub(super) run: u32,
    /// From one run to the next.
    pub(super) outer: u32,
    /// From one row of a run to the next.
    pub(super) inner: u32,
    /// Contiguous elements of a row; such segments are `stride` apart.
    pub(super) segment: u32,
    /// From one segment to the next.
    pub(super) stride: u32,
    pub(super) unused: [u32; 2],
}

impl RowLayout {
    /// Contiguous rows of `width`, of which fewer elements may be used; element i + `width` is element i again.
    pub fn contiguous(offset: u32, width: u32) -> Self {
        Self {
            offset,
            run: 1,
            outer: width,
            inner: 0,
            segment: width.max(1),
            stride: 0,
            unused: [0; 2],
        }
    }

    /// Blocks of `side`×`side` cells of a grid [gh, gw, c], in row-major order.
    pub fn blocks(offset: u32, [_, gw]: [u32; 2], side: u32, c: u32) -> Self {
        Self {
            offset,
            run: gw / side,
            outer: side * gw * c,
            inner: side * c,
            segment: side * c,
            stride: gw * c,
            unused: [0; 2],
        }
    }

    /// The 3×3 neighbourhoods of a grid [gh, gw, c] with a border that starts at `offset`.
    pub fn neighbourhoods(offset: u32, [_, gw]: [u32; 2], c: u32) -> Self {
        let row = (gw + 2) * c;
        Self {
            offset,
            run: gw,
            outer: row,
            inner: c,
            segment: (3 * c).max(1),
            stride: row,
            unused: [0; 2],
        }
    }

    /// The interior cells of a grid [gh, gw, c] with a border that starts at `offset`.
    pub fn interior(offset: u32, [_, gw]: [u32; 2], c: u32) -> Self {
        let row = (gw + 2) * c;
        Self {
            offset: offset + row + c,
            run: gw,
            outer: row,
            inner: c,
            segment: c.max(1),
            stride: 0,
            unused: [0; 2],
        }
    }

    /// Of each cell of a grid [gh, gw, c], the 2×2 interior cells of a grid of twice its size with a border that starts
    /// at `offset`.
    pub fn doubled(offset: u32, [_, gw]: [u32; 2], c: u32) -> Self {
        let row = (2 * gw + 2) * c;
        Self {
            offset: offset + row + c,
            run: gw,
            outer: 2 * row,
            inner: 2 * c,
            segment: (2 * c).max(1),
            stride: row,
            unused: [0; 2],
        }
    }

    /// The same rows without their first elements.
    pub fn from_element(self, first: u32) -> Self {
        Self {
            offset: self.offset + first,
            ..self
        }
    }

    /// Every `step`th row of every `step`th run.
    pub fn every(self, step: u32) -> Self {
        Self {
            run: self.run.div_ceil(step),
            outer: step * self.outer,
            inner: step * self.inner,
            ..self
        }
    }

    /// Whether elements 4i to 4i + 3 of every row share a vec4.
    pub fn is_aligned(&self) -> bool {
        [
            self.offset,
            self.outer,
            self.inner,
            self.segment,
            self.stride,
        ]
        .iter()
        .all(|n| n % 4 == 0)
    }
}

/// Activation applied to a product's results before they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// None.
    None = 0,
    /// x · sigmoid(x).
    Silu = 1,
    /// silu(gate) · value.
    SwiGlu = 2,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct MatmulArgs {
    pub x: RowLayout,
    pub y: RowLayout,
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub weight: u32,
    pub bias: u32,
    pub activation: u32,
    pub add: u32,
    pub aligned: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct RmsNormArgs {
    pub x: RowLayout,
    pub y: RowLayout,
    pub width: u32,
    pub gain: u32,
    pub unused: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct SpatialAttentionArgs {
    pub qkv: u32,
    pub y: u32,
    pub tokens: u32,
    pub heads: u32,
    pub scales: u32,
    pub scale: f32,
    pub unused: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct GroupStatisticsArgs {
    pub x: RowLayout,
    pub statistics: u32,
    pub pixels: u32,
    pub block: u32,
    pub width: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct GroupNormArgs {
    pub x: RowLayout,
    pub y: RowLayout,
    pub statistics: u32,
    pub pixels: u32,
    pub block: u32,
    pub width: u32,
    pub affine: u32,
    pub channels: u32,
    pub gain: f32,
    pub silu: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct TemporalAttentionArgs {
    pub qkv: u32,
    pub y: u32,
    pub keys: u32,
    pub values: u32,
    pub tokens: u32,
    pub heads: u32,
    pub parameters: u32,
    pub context: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct MemoryAttentionArgs {
    pub q: u32,
    pub kv: u32,
    pub y: u32,
    pub tokens: u32,
    pub heads: u32,
    pub parameters: u32,
    pub unused: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct KvCacheWriteArgs {
    pub qkv: u32,
    pub keys: u32,
    pub values: u32,
    pub tokens: u32,
    pub heads: u32,
    pub unused: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct DeltaReadArgs {
    pub q: u32,
    pub gates: u32,
    pub state: u32,
    pub y: u32,
    pub tokens: u32,
    pub heads: u32,
    pub unused: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct DeltaWriteArgs {
    pub kv: u32,
    pub gates: u32,
    pub state: u32,
    pub tokens: u32,
    pub heads: u32,
    pub keep_offset: f32,
    pub unused: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct EmbedConditioningArgs {
    pub start: u32,
    pub y: u32,
    pub rows: u32,
    pub width: u32,
    pub action: u32,
    pub signal: u32,
    pub step_size: u32,
    pub action_row: u32,
    pub signal_row: u32,
    pub pass_index: u32,
    pub axes: u32,
    pub axis_count: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct AffineArgs {
    pub x: RowLayout,
    pub y: RowLayout,
    pub rows: u32,
    pub width: u32,
    pub shift: u32,
    pub scale: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct SampleArgs {
    pub z: u32,
    pub x: u32,
    pub len: u32,
    pub operation: u32,
    pub pass_index: u32,
    pub unused: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct FinishFrameArgs {
    pub clean: u32,
    pub context: u32,
    pub latent: u32,
    pub past: u32,
    pub frames: u32,
    pub cells: u32,
    pub channels: u32,
    pub finite: u32,
}

/// Parameters shared by all passes over a frame; the head of `Frame` in WGSL.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct FrameParams {
    pub action: u32,
    pub slot: u32,
    pub slots: u32,
    pub attended_frames: u32,
    pub seed: [u32; 2],
    pub number: [u32; 2],
    pub temperature: f32,
    pub alpha: f32,
    pub sigma: f32,
    pub memory_tokens: u32,
    pub reads_state: u32,
    pub unused: u32,
    pub axes: [f32; MAX_AXES],
}

/// Parameters of one pass over a frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct PassParams {
    pub tau: f32,
    pub z_scale: f32,
    pub output_scale: f32,
    pub step_index: u32,
}

impl PassParams {
    /// A pass after which the kernels take no sampling step.
    pub fn without_step(tau: f32, step_index: u32) -> Self {
        Self {
            tau,
            z_scale: 0.0,
            output_scale: 0.0,
            step_index,
        }
    }
}
