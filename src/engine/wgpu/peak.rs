//! How fast a device multiplies with the engine's own kernel.

use std::time::{Duration, Instant};

use super::gpu::Gpu;
use super::kernels::Kernels;
use super::ops::{Act, Rows};
use super::program::{Buffers, Program};
use super::weights::Weights;
use crate::Result;

/// Products that are queued between two waits, first and where they take little time: a device takes
/// longer to answer than to multiply.
const QUEUED: [u32; 2] = [1, 16];
/// What little time is.
const LITTLE: Duration = Duration::from_millis(10);
/// Most time for all of them.
const MOST: Duration = Duration::from_millis(500);
/// Any head size: the kernel is not asked.
const HEAD: usize = 4;

impl Gpu {
    /// The best time of one product of two matrices of `side`² numbers, of `times`.
    ///
    /// # Errors
    /// The matrices do not fit into a buffer, or the device is lost.
    pub fn fastest_matmul(&self, side: usize, times: usize) -> Result<Duration> {
        let kernels = Kernels::new(self, HEAD);
        let mut all = Weights::default();
        let matrix = all.matrix(side, side, |o, i| ((o + i) % 7) as f32);
        let (weights, panels) = (self.storage("tables", 4)?, all.upload_panels(self)?);
        let arena = self.storage("arena", 2 * side * side)?;
        let frame = self.storage("frame", 64)?;
        let n = side as u32;
        let (x, y) = (Rows::plain(0, n), Rows::plain(n * n, n));
        let buffers = Buffers {
            weights: &weights,
            panels: &panels,
            arena: &arena,
            frame: &frame,
        };
        let programs = QUEUED.map(|count| {
            Program::record(self, &kernels, buffers, &|r| {
                for _ in 0..count {
                    r.matmul(matrix, n, x, y, Act::None, false);
                }
            })
        });
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: 16,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let begun = Instant::now();
        let mut best = Duration::MAX;
        for _ in 0..times {
            let started = Instant::now();
            let many = usize::from(best < LITTLE);
            let mut encoder = self
                .device
                .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            programs[many].encode(&mut encoder, None);
            encoder.copy_buffer_to_buffer(&arena, 0, &staging, 0, 16);
            let submission = self.queue.submit([encoder.finish()]);
            self.read(&staging, submission, &mut [0; 16])?;
            best = best.min(started.elapsed() / QUEUED[many]);
            if begun.elapsed() > MOST {
                break;
            }
        }
        Ok(best)
    }
}
