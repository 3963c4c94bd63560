//! What the kernels of `shaders/` are told: one record a dispatch, laid out as their `Op`.

use bytemuck::{Pod, Zeroable};

/// What an offset is where there is nothing.
pub(super) const NONE: u32 = u32::MAX;

/// Where rows of numbers lie; see `shaders/shared/memory.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(super) struct Rows {
    pub offset: u32,
    pub run: u32,
    pub outer: u32,
    pub inner: u32,
    pub segment: u32,
    pub stride: u32,
    pub unused: [u32; 2],
}

impl Rows {
    /// Rows one after the other.
    pub fn plain(offset: u32, width: u32) -> Self {
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

    /// Blocks of `side`×`side` cells of a grid [gh, gw, c], row by row.
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

    /// The 3×3 neighbourhoods of a grid [gh, gw, c] inside a border, which starts at `offset`.
    pub fn around(offset: u32, [_, gw]: [u32; 2], c: u32) -> Self {
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

    /// The cells of a grid [gh, gw, c] inside a border, which starts at `offset`.
    pub fn inside(offset: u32, [_, gw]: [u32; 2], c: u32) -> Self {
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

    /// Whether four numbers in a row, from a multiple of four on, always share a vec4.
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

/// What a product's results become before they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Themselves.
    None = 0,
    /// x · sigmoid(x).
    Silu = 1,
    /// silu(first half) · second half.
    SwiGlu = 2,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct MatmulOp {
    pub x: Rows,
    pub y: Rows,
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub weight: u32,
    pub bias: u32,
    pub act: u32,
    pub add: u32,
    pub aligned: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct NormOp {
    pub x: Rows,
    pub y: Rows,
    pub width: u32,
    pub gain: u32,
    pub unused: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct SpaceOp {
    pub qkv: u32,
    pub y: u32,
    pub tokens: u32,
    pub heads: u32,
    pub scale: u32,
    pub unused: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct TimeOp {
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
pub(super) struct RememberOp {
    pub qkv: u32,
    pub keys: u32,
    pub values: u32,
    pub tokens: u32,
    pub heads: u32,
    pub unused: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct ConditionOp {
    pub start: u32,
    pub y: u32,
    pub rows: u32,
    pub width: u32,
    pub action: u32,
    pub signal: u32,
    pub step: u32,
    pub action_row: u32,
    pub signal_row: u32,
    pub pass: u32,
    pub unused: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct ShiftOp {
    pub x: Rows,
    pub y: Rows,
    pub rows: u32,
    pub width: u32,
    pub shift: u32,
    pub scale: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct SampleOp {
    pub z: u32,
    pub x: u32,
    pub numbers: u32,
    pub what: u32,
    pub index: u32,
    pub unused: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct CloseOp {
    pub clean: u32,
    pub kept: u32,
    pub latent: u32,
    pub past: u32,
    pub frames: u32,
    pub cells: u32,
    pub channels: u32,
    pub report: u32,
}

/// What all passes over a frame share; the head of `Frame` in the shaders.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct FrameHead {
    pub action: u32,
    pub slot: u32,
    pub slots: u32,
    pub seen: u32,
    pub seed: [u32; 2],
    pub number: [u32; 2],
    pub temperature: f32,
    pub alpha: f32,
    pub sigma: f32,
    pub unused: u32,
}

/// One pass over a frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct PassValues {
    pub tau: f32,
    pub keep: f32,
    pub take: f32,
    pub step: u32,
}
