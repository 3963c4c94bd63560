//! Where feature maps are in the GPU's arena.

use std::collections::BTreeMap;

use driftless_engine::gpu_kernels::{ArenaLayout, RowLayout};

/// A feature map: pixels in row-major order, `distance` elements apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map {
    pub size: [u32; 2],
    pub channels: u32,
    pub offset: u32,
    distance: u32,
}

impl Map {
    pub(super) fn pixels(&self) -> u32 {
        self.size[0] * self.size[1]
    }

    /// A row for each pixel.
    pub(super) fn rows(&self) -> RowLayout {
        RowLayout::contiguous(self.offset, self.distance)
    }

    /// Some of its channels.
    pub(super) fn part(&self, first: usize, count: usize) -> Self {
        Self {
            channels: count as u32,
            offset: self.offset + first as u32,
            ..*self
        }
    }
}

/// A map with a border of zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Padded {
    pub size: [u32; 2],
    /// With zeros up to a whole vec4.
    pub channels: u32,
    offset: u32,
}

impl Padded {
    /// A row for each pixel, without the border.
    pub(super) fn interior(&self) -> RowLayout {
        RowLayout::interior(self.offset, self.size, self.channels)
    }

    /// For each pixel of a map of half its size, the four pixels that show it.
    pub(super) fn doubled(&self) -> RowLayout {
        RowLayout::doubled(self.offset, self.size.map(|side| side / 2), self.channels)
    }

    /// The 3×3 neighbourhoods of every `stride`th pixel in both directions.
    pub(super) fn neighbourhoods(&self, stride: u32) -> RowLayout {
        RowLayout::neighbourhoods(self.offset, self.size, self.channels).every(stride)
    }
}

/// What a region of scratch is for: regions of the same use and length are shared by all layers, since a pass runs one
/// layer after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scratch {
    Padded([u32; 2], u32),
    /// The map between the convolutions of a block.
    Hidden,
    /// The map that attention reads.
    Sum,
    Qkv,
    Attended,
    Statistics,
}

/// Allocates regions, all of which hold zeros at first.
#[derive(Default)]
pub(super) struct Arena {
    pub layout: ArenaLayout,
    shared: BTreeMap<(Scratch, usize), u32>,
    /// What is written once, and where.
    pub constants: Vec<(u32, Vec<f32>)>,
}

impl Arena {
    /// A map of its own, with pixels padded to whole vec4s.
    pub(super) fn map(&mut self, size: [u32; 2], channels: usize) -> Map {
        self.spaced_map(size, channels, channels.next_multiple_of(4))
    }

    /// A map without padding, to be written and read from outside.
    pub(super) fn tight_map(&mut self, size: [u32; 2], channels: usize) -> Map {
        self.spaced_map(size, channels, channels)
    }

    /// A map whose pixels are so many elements apart.
    fn spaced_map(&mut self, size: [u32; 2], channels: usize, distance: usize) -> Map {
        let pixels = (size[0] * size[1]) as usize;
        Map {
            size,
            channels: channels as u32,
            offset: self.layout.allocate(pixels * distance),
            distance: distance as u32,
        }
    }

    /// A contiguous region of scratch.
    pub(super) fn scratch(&mut self, what: Scratch, len: usize) -> u32 {
        let allocate = || self.layout.allocate(len);
        *self.shared.entry((what, len)).or_insert_with(allocate)
    }

    /// A map in scratch.
    pub(super) fn scratch_map(&mut self, what: Scratch, size: [u32; 2], channels: usize) -> Map {
        let distance = channels.next_multiple_of(4);
        let len = (size[0] * size[1]) as usize * distance;
        Map {
            size,
            channels: channels as u32,
            offset: self.scratch(what, len),
            distance: distance as u32,
        }
    }

    /// The map with a border that convolutions of this shape read. Nothing ever writes the border.
    pub(super) fn padded(&mut self, size: [u32; 2], channels: usize) -> Padded {
        let padded = channels.next_multiple_of(4);
        let len = ((size[0] + 2) * (size[1] + 2)) as usize * padded;
        // Of maps with as many elements, the padding is elsewhere.
        let what = Scratch::Padded(size, channels as u32);
        Padded {
            size,
            channels: padded as u32,
            offset: self.scratch(what, len),
        }
    }

    /// A region that holds `values`.
    pub(super) fn constant(&mut self, values: Vec<f32>) -> u32 {
        let at = self.layout.allocate(values.len());
        self.constants.push((at, values));
        at
    }
}
