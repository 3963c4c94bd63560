//! Programs: lists of dispatches, recorded once and replayed, with the duration of their stages.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytemuck::Pod;
use wgpu::{
    BindGroup, Buffer, BufferUsages, CommandEncoder, ComputePassTimestampWrites, ComputePipeline,
    Features, QuerySet,
};

use super::gpu::Gpu;
use super::kernels::{Kernel, KernelPipelines};
use super::tile_variants::{MatmulShape, MatmulTuning};
use crate::Result;

/// Bytes between argument records: the largest offset alignment that a device may require.
pub(super) const RECORD_BYTES: usize = 256;

/// Upper limit on the steps of a frame that is recorded as one program; with more steps, the sampler runs
/// pass by pass.
pub(super) const MAX_RECORDED_STEPS: usize = 64;

struct Dispatch {
    kernel: Kernel,
    groups: [u32; 2],
}

/// The buffers that a program's dispatches work on.
#[derive(Clone, Copy)]
pub(super) struct ProgramBuffers<'a> {
    /// Embedding tables, gains and biases.
    pub weights: &'a Buffer,
    /// Packed matrices.
    pub panels: &'a Buffer,
    /// Activations and KV caches.
    pub arena: &'a Buffer,
    /// Parameters of the frame and its passes.
    pub frame: &'a Buffer,
}

/// A program under construction.
#[derive(Default)]
pub struct ProgramBuilder {
    /// Which tile variant each product uses.
    pub(super) tuning: Arc<MatmulTuning>,
    /// Number of recorded products of each shape.
    pub(super) products: BTreeMap<MatmulShape, usize>,
    records: Vec<u8>,
    dispatches: Vec<Dispatch>,
    /// Index of the first dispatch of each stage but the first.
    stage_starts: Vec<usize>,
}

impl ProgramBuilder {
    /// Starts another stage.
    pub(super) fn begin_stage(&mut self) {
        self.stage_starts.push(self.dispatches.len());
    }

    /// Adds a dispatch with its arguments.
    pub(super) fn push(&mut self, kernel: Kernel, args: &impl Pod, groups: [u32; 2]) {
        self.records.extend_from_slice(bytemuck::bytes_of(args));
        self.dispatches.push(Dispatch { kernel, groups });
        self.records.resize(self.dispatches.len() * RECORD_BYTES, 0);
    }

    /// The kernel, the bytes of the arguments and the workgroups of each dispatch.
    pub(super) fn dispatches(&self) -> impl Iterator<Item = (Kernel, &[u8], [u32; 2])> {
        let records = self.records.chunks_exact(RECORD_BYTES);
        let dispatches = self.dispatches.iter().zip(records);
        dispatches.map(|(dispatch, record)| (dispatch.kernel, record, dispatch.groups))
    }

    /// Uploads the arguments and compiles the kernels.
    ///
    /// # Errors
    /// Returns an error if a kernel's WGSL lacks a constant that the engine sets.
    fn finish(
        self,
        gpu: &Gpu,
        kernels: &KernelPipelines,
        buffers: ProgramBuffers,
    ) -> Result<Program> {
        let args = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("kernel arguments"),
            size: self.records.len().max(RECORD_BYTES) as u64,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&args, 0, &self.records);
        let record = wgpu::BufferBinding {
            buffer: &args,
            offset: 0,
            size: std::num::NonZeroU64::new(RECORD_BYTES as u64),
        };
        let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("engine"),
            layout: &kernels.layout,
            entries: &[
                entry(0, buffers.weights),
                entry(1, buffers.arena),
                entry(2, buffers.frame),
                wgpu::BindGroupEntry {
                    binding: 3,
                    resource: wgpu::BindingResource::Buffer(record),
                },
                entry(4, buffers.panels),
            ],
        });
        let ends = self
            .stage_starts
            .iter()
            .copied()
            .chain([self.dispatches.len()]);
        let starts = [0].into_iter().chain(self.stage_starts.iter().copied());
        let dispatches = self.dispatches.into_iter();
        Ok(Program {
            bindings,
            stages: starts.zip(ends).map(|(start, end)| start..end).collect(),
            dispatches: dispatches
                .map(|Dispatch { kernel, groups }| Ok((kernels.pipeline(gpu, kernel)?, groups)))
                .collect::<Result<_>>()?,
        })
    }
}

fn entry(binding: u32, buffer: &Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry {
        binding,
        resource: buffer.as_entire_binding(),
    }
}

/// A recorded list of dispatches.
pub(super) struct Program {
    bindings: BindGroup,
    dispatches: Vec<(ComputePipeline, [u32; 2])>,
    stages: Vec<Range<usize>>,
}

impl Program {
    /// Records the dispatches that `f` adds, to work on `buffers`.
    ///
    /// # Errors
    /// Returns an error if a kernel's WGSL lacks a constant that the engine sets.
    pub fn record(
        gpu: &Gpu,
        kernels: &KernelPipelines,
        buffers: ProgramBuffers,
        f: &dyn Fn(&mut ProgramBuilder),
    ) -> Result<Self> {
        let mut builder = ProgramBuilder {
            tuning: Arc::clone(&kernels.tuning),
            ..ProgramBuilder::default()
        };
        f(&mut builder);
        builder.finish(gpu, kernels, buffers)
    }

    /// Whether this is a program of a whole frame, with all its stages.
    pub fn is_full_frame(&self) -> bool {
        self.stages.len() == StageTimer::STAGES as usize
    }

    /// Encodes all dispatches in order; each sees the writes of those before it. A timer records when each
    /// stage begins and ends.
    pub fn encode(&self, encoder: &mut CommandEncoder, timer: Option<&StageTimer>) {
        for (n, stage) in self.stages.iter().enumerate() {
            let n = n as u32;
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: timer.map(|timer| ComputePassTimestampWrites {
                    query_set: &timer.queries,
                    beginning_of_pass_write_index: Some(2 * n),
                    end_of_pass_write_index: Some(2 * n + 1),
                }),
            });
            let mut bound = None;
            for i in stage.clone() {
                let (pipeline, groups) = &self.dispatches[i];
                if bound != Some(pipeline) {
                    pass.set_pipeline(pipeline);
                    bound = Some(pipeline);
                }
                let offset = u32::try_from(i * RECORD_BYTES).unwrap_or(u32::MAX);
                pass.set_bind_group(0, &self.bindings, &[offset]);
                pass.dispatch_workgroups(groups[0], groups[1], 1);
            }
        }
        if let Some(timer) = timer {
            encoder.resolve_query_set(&timer.queries, 0..StageTimer::COUNT, &timer.timestamps, 0);
        }
    }
}

/// Measures the stages of a program with the device's timestamps.
pub(super) struct StageTimer {
    queries: QuerySet,
    /// Begin and end of each stage in ticks, u64.
    pub timestamps: Buffer,
    /// Nanoseconds per tick.
    period: f64,
}

impl StageTimer {
    /// Stages of a whole frame: denoise, cache, decode.
    const STAGES: u32 = 3;
    const COUNT: u32 = 2 * Self::STAGES;
    /// Bytes of `timestamps`.
    pub const BYTES: u64 = Self::COUNT as u64 * 8;

    /// `None` if the device has no timestamps.
    pub fn new(gpu: &Gpu) -> Option<Self> {
        let device = &gpu.device;
        if !device.features().contains(Features::TIMESTAMP_QUERY) {
            return None;
        }
        Some(Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("stage timer"),
                ty: wgpu::QueryType::Timestamp,
                count: Self::COUNT,
            }),
            timestamps: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("stage timer"),
                size: Self::BYTES,
                usage: BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
            period: f64::from(gpu.queue.get_timestamp_period()),
        })
    }

    /// Duration of each stage, from the bytes of `timestamps`.
    pub fn durations(&self, bytes: &[u8]) -> [Duration; Self::STAGES as usize] {
        let ticks: Vec<u64> = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|time| u64::from_ne_bytes(*time))
            .collect();
        std::array::from_fn(|n| {
            let ticks = ticks[2 * n + 1].saturating_sub(ticks[2 * n]);
            Duration::from_secs_f64(ticks as f64 * self.period * 1e-9)
        })
    }
}
