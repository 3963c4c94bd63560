//! A network of another kind on a GPU: its weights, and one pass that is recorded once and replayed.

use std::sync::Arc;

use wgpu::{Buffer, BufferUsages, CommandEncoderDescriptor};

use super::TUNING_TIME;
use super::gpu::Gpu;
use super::kernel_args::{FrameParams, PassParams};
use super::kernels::KernelPipelines;
use super::operations::ArenaLayout;
use super::program::{Program, ProgramBuffers, ProgramBuilder};
use super::tuning::fastest_tiles;
use super::weights::Weights;
use crate::Result;

/// Records the dispatches of a pass.
pub type Recorder = Box<dyn Fn(&mut ProgramBuilder) + Send + Sync>;

/// A network whose only program is one pass. Inputs are written into its arena, and outputs read from there.
pub struct RecordedPass {
    gpu: Gpu,
    kernels: KernelPipelines,
    tables: Buffer,
    panels: Buffer,
    arena: Buffer,
    /// Bound, but not read: nothing in such a pass depends on a frame's parameters.
    frame: Buffer,
    /// Receives the outputs.
    staging: Buffer,
    recorder: Recorder,
    program: Program,
}

impl RecordedPass {
    /// Uploads the weights, and records a pass with the default tiles. `head_size` is the padded size of attention
    /// heads, and `outputs` the most elements that are read at a time. The arena holds zeros.
    ///
    /// # Errors
    /// Returns an error if the network does not fit into the device's buffers, or the device is lost.
    pub fn new(
        gpu: &Gpu,
        weights: &Weights,
        arena: &ArenaLayout,
        head_size: usize,
        outputs: usize,
        recorder: Recorder,
    ) -> Result<Self> {
        gpu.scoped(|| {
            let kernels = KernelPipelines::new(gpu, head_size);
            let (tables, panels) = (weights.upload(gpu)?, weights.upload_panels(gpu)?);
            let arena = gpu.storage("activations", arena.len as usize)?;
            let frame_len = (size_of::<FrameParams>() + size_of::<PassParams>()) / 4;
            let frame = gpu.storage("frame parameters", frame_len)?;
            let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size: (outputs * size_of::<f32>()) as u64,
                usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let buffers = ProgramBuffers {
                weights: &tables,
                panels: &panels,
                arena: &arena,
                frame: &frame,
            };
            let program = Program::record(gpu, &kernels, buffers, &*recorder)?;
            gpu.check()?;
            Ok(Self {
                gpu: gpu.clone(),
                kernels,
                tables,
                panels,
                arena,
                frame,
                staging,
                recorder,
                program,
            })
        })
    }

    /// Records the pass again with the tiles that multiply its matrices fastest on this device. Measurements are stored
    /// in the platform's cache folder.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn tune(&mut self) -> Result<()> {
        let mut builder = ProgramBuilder::default();
        (self.recorder)(&mut builder);
        let gpu = self.gpu.clone();
        gpu.scoped(|| {
            let tuning = fastest_tiles(&gpu, &self.kernels, &builder.products, TUNING_TIME)?;
            self.kernels.tuning = Arc::new(tuning);
            let buffers = ProgramBuffers {
                weights: &self.tables,
                panels: &self.panels,
                arena: &self.arena,
                frame: &self.frame,
            };
            self.program = Program::record(&gpu, &self.kernels, buffers, &*self.recorder)?;
            Ok(())
        })
    }

    /// Writes `values` into the arena, before the next pass.
    pub fn write(&self, at: u32, values: &[f32]) {
        let bytes = bytemuck::cast_slice(values);
        let queue = &self.gpu.queue;
        queue.write_buffer(&self.arena, u64::from(at) * 4, bytes);
    }

    /// Runs the pass, and reads what the arena then holds from `at` on.
    ///
    /// # Errors
    /// Returns an error if the device fails or is lost.
    pub fn run(&self, at: u32, out: &mut [f32]) -> Result<()> {
        self.gpu.scoped(|| {
            let device = &self.gpu.device;
            let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
            self.program.encode(&mut encoder, None);
            let (at, bytes) = (u64::from(at) * 4, size_of_val(out) as u64);
            encoder.copy_buffer_to_buffer(&self.arena, at, &self.staging, 0, bytes);
            let submission = self.gpu.submit(encoder.finish());
            let out = bytemuck::cast_slice_mut(out);
            self.gpu.read(&self.staging, submission, out)
        })
    }
}
