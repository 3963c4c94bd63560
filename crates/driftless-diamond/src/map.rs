//! Feature maps, and the buffers that the layers of a network share.

use std::collections::BTreeMap;
use std::ops::Range;

use driftless_engine::kernels::{LANES, Workers};

/// Channels of a frame: red, green and blue.
pub const COLOURS: usize = 3;

/// A feature map `[h, w, channels]`, channels last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Map {
    /// Height and width.
    pub size: [usize; 2],
    pub channels: usize,
    pub data: Vec<f32>,
    /// Of each channel, the sum of its values and of their squares; empty if nobody needs them.
    pub sums: Vec<[f64; 2]>,
}

impl Map {
    pub(crate) fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// Total channels of maps that are read as one, channel after channel.
pub(crate) fn channels(inputs: &[&Map]) -> usize {
    inputs.iter().map(|map| map.channels).sum()
}

/// A map with a border of zeros: a convolution reads all neighbours in place. Channels are padded to a multiple of
/// [`LANES`] with zeros as well.
pub(crate) struct Padded {
    /// Height and width with the border.
    pub size: [usize; 2],
    pub channels: usize,
    buffer: Vec<f32>,
}

impl Padded {
    fn new(size: [usize; 2], channels: usize) -> Self {
        Self {
            size,
            channels,
            buffer: vec![0.0; size[0] * size[1] * channels + LANES],
        }
    }

    pub(crate) fn data(&self) -> &[f32] {
        let start = line_start(&self.buffer);
        &self.buffer[start..start + self.size[0] * self.size[1] * self.channels]
    }

    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        let start = line_start(&self.buffer);
        let len = self.size[0] * self.size[1] * self.channels;
        &mut self.buffer[start..start + len]
    }
}

/// Where the first cache line of a buffer begins, at most [`LANES`] elements in: a vector that spans two lines costs
/// twice.
pub(crate) fn line_start(buffer: &[f32]) -> usize {
    buffer.as_ptr().align_offset(LINE).min(LANES)
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Threads and reused buffers.
pub(crate) struct Compute {
    pub workers: Workers,
    /// Buffers of maps that are no longer needed, by their length.
    free: BTreeMap<usize, Vec<Vec<f32>>>,
    /// By height and width of the interior, the border's far end, and channels. Only the interior is ever written.
    padded: BTreeMap<PaddedShape, Padded>,
    /// For each thread, what it transforms.
    pub tiles: Vec<TileScratch>,
}

/// The shape of a [`Padded`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PaddedShape {
    /// Height and width with the border.
    pub outer: [usize; 2],
    /// Height and width of what is written.
    pub inner: [usize; 2],
    pub channels: usize,
}

/// Buffers of one thread for the tiles of a convolution.
#[derive(Default)]
pub(crate) struct TileScratch {
    /// Transformed inputs, and products.
    pub inputs: Vec<f32>,
    pub products: Vec<f32>,
}

impl Compute {
    pub(crate) fn new(workers: Workers) -> Self {
        let mut compute = Self {
            workers: Workers::none(),
            free: BTreeMap::new(),
            padded: BTreeMap::new(),
            tiles: Vec::new(),
        };
        compute.set_workers(workers);
        compute
    }

    pub(crate) fn set_workers(&mut self, workers: Workers) {
        self.tiles
            .resize_with(workers.threads(), TileScratch::default);
        self.workers = workers;
    }

    /// A map with arbitrary values.
    pub(crate) fn map(&mut self, size: [usize; 2], channels: usize) -> Map {
        let len = size[0] * size[1] * channels;
        let data = self.free.get_mut(&len).and_then(Vec::pop);
        Map {
            size,
            channels,
            data: data.unwrap_or_else(|| vec![0.0; len]),
            sums: Vec::new(),
        }
    }

    /// Gives the buffer of a map back.
    pub(crate) fn give(&mut self, map: Map) {
        self.free.entry(map.data.len()).or_default().push(map.data);
    }

    /// Takes the padded map of a shape; [`Compute::give_padded`] gives it back.
    pub(crate) fn padded(&mut self, shape: PaddedShape) -> Padded {
        let channels = shape.channels.next_multiple_of(LANES);
        let padded = self.padded.remove(&shape);
        padded.unwrap_or_else(|| Padded::new(shape.outer, channels))
    }

    pub(crate) fn give_padded(&mut self, shape: PaddedShape, padded: Padded) {
        self.padded.insert(shape, padded);
    }
}

/// Rows of a padded map that hold the interior.
pub(crate) fn interior_rows(inner: [usize; 2]) -> Range<usize> {
    1..inner[0] + 1
}
