//! Peak speed of the engine's matrix product on a device, for benchmarks.

use std::time::Duration;

use super::gpu::Gpu;
use super::kernels::KernelPipelines;
use super::tile_variants::MatmulTuning;
use super::tuning::MatmulBench;
use crate::Result;

/// Side of the matrices used to choose the tiles.
const TUNING_SIDE: u32 = 256;
/// Time limit for the measured products.
const TIME_LIMIT: Duration = Duration::from_millis(500);

impl Gpu {
    /// The best time of one product of two `side`×`side` matrices out of `repetitions`, with the fastest
    /// tiles.
    ///
    /// # Errors
    /// Returns an error if the matrices do not fit into a buffer, or the device is lost.
    pub fn fastest_matmul(&self, side: usize, repetitions: usize) -> Result<Duration> {
        let kernels = KernelPipelines::without_attention(self);
        let tuning_shape = [TUNING_SIDE; 3];
        let products = [(tuning_shape, 1)].into();
        let (tuning, _) = MatmulTuning::default().measure(self, &kernels, &products, TIME_LIMIT)?;
        let bench = MatmulBench::new(self, &kernels, [side as u32; 3])?;
        bench.time(tuning.choose(tuning_shape), repetitions, TIME_LIMIT)
    }
}
