//! How fast a device multiplies with the engine's own kernel.

use std::time::Duration;

use super::gpu::Gpu;
use super::kernels::Kernels;
use super::tuning::{Bench, Tuning};
use crate::Result;

/// Side of the matrices with which the fastest tiles are found.
const TRIED: u32 = 256;
/// Most time for all products of the measured side.
const MOST: Duration = Duration::from_millis(500);

impl Gpu {
    /// The best time of one product of two matrices of `side`² numbers, of `times`, by the tiles that are
    /// fastest.
    ///
    /// # Errors
    /// The matrices do not fit into a buffer, or the device is lost.
    pub fn fastest_matmul(&self, side: usize, times: usize) -> Result<Duration> {
        let kernels = Kernels::headless(self);
        let tried = [TRIED; 3];
        let products = [(tried, 1)].into();
        let (tuning, _) = Tuning::default().measure(self, &kernels, &products, MOST)?;
        let bench = Bench::new(self, &kernels, [side as u32; 3])?;
        bench.time(tuning.choose(tried), times, MOST)
    }
}
