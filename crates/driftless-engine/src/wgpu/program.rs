//! Lists of dispatches, recorded once and replayed, and how long their stages take.

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
use super::kernels::{Kernel, Kernels};
use super::tuning::{Shape, Tuning};

/// Bytes from one record to the next: what any device may ask of an offset.
pub(super) const RECORD: usize = 256;

struct Dispatch {
    kernel: Kernel,
    groups: [u32; 2],
}

/// What the dispatches of a program work on.
#[derive(Clone, Copy)]
pub(super) struct Buffers<'a> {
    /// Tables, gains and biases.
    pub weights: &'a Buffer,
    /// Matrices.
    pub panels: &'a Buffer,
    pub arena: &'a Buffer,
    pub frame: &'a Buffer,
}

/// Dispatches in the making.
#[derive(Default)]
pub(super) struct Recorder {
    /// Which variant multiplies what.
    pub tuning: Arc<Tuning>,
    /// How often each product was recorded.
    pub products: BTreeMap<Shape, usize>,
    records: Vec<u8>,
    dispatches: Vec<Dispatch>,
    /// Dispatches before each stage but the first.
    marks: Vec<usize>,
}

impl Recorder {
    /// What follows belongs to another stage.
    pub fn mark(&mut self) {
        self.marks.push(self.dispatches.len());
    }

    /// Adds a dispatch.
    pub fn push(&mut self, kernel: Kernel, op: &impl Pod, groups: [u32; 2]) {
        self.records.extend_from_slice(bytemuck::bytes_of(op));
        self.dispatches.push(Dispatch { kernel, groups });
        self.records.resize(self.dispatches.len() * RECORD, 0);
    }

    /// Ends the list; its dispatches work on these buffers.
    fn finish(self, gpu: &Gpu, kernels: &Kernels, buffers: Buffers) -> Program {
        let ops = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("ops"),
            size: self.records.len().max(RECORD) as u64,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&ops, 0, &self.records);
        let record = wgpu::BufferBinding {
            buffer: &ops,
            offset: 0,
            size: std::num::NonZeroU64::new(RECORD as u64),
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
        let ends = self.marks.iter().copied().chain([self.dispatches.len()]);
        let starts = [0].into_iter().chain(self.marks.iter().copied());
        let dispatches = self.dispatches.into_iter();
        Program {
            bindings,
            stages: starts.zip(ends).map(|(start, end)| start..end).collect(),
            dispatches: dispatches
                .map(|Dispatch { kernel, groups }| (kernels.pipeline(gpu, kernel), groups))
                .collect(),
        }
    }
}

fn entry(binding: u32, buffer: &Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry {
        binding,
        resource: buffer.as_entire_binding(),
    }
}

/// A recorded list of dispatches, to be replayed.
pub(super) struct Program {
    bindings: BindGroup,
    dispatches: Vec<(ComputePipeline, [u32; 2])>,
    stages: Vec<Range<usize>>,
}

impl Program {
    /// Records what `f` adds; its dispatches work on these buffers.
    pub fn record(
        gpu: &Gpu,
        kernels: &Kernels,
        buffers: Buffers,
        f: &dyn Fn(&mut Recorder),
    ) -> Self {
        let mut recorder = Recorder {
            tuning: Arc::clone(&kernels.tuning),
            ..Recorder::default()
        };
        f(&mut recorder);
        recorder.finish(gpu, kernels, buffers)
    }

    /// Whether the stages are those of a whole frame.
    pub fn is_staged(&self) -> bool {
        self.stages.len() == Clock::STAGES as usize
    }

    /// Encodes all dispatches, each of which sees what those before it wrote; a clock notes when
    /// each stage begins and ends.
    pub fn encode(&self, encoder: &mut CommandEncoder, clock: Option<&Clock>) {
        for (n, stage) in self.stages.iter().enumerate() {
            let n = n as u32;
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: clock.map(|clock| ComputePassTimestampWrites {
                    query_set: &clock.queries,
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
                let offset = u32::try_from(i * RECORD).unwrap_or(u32::MAX);
                pass.set_bind_group(0, &self.bindings, &[offset]);
                pass.dispatch_workgroups(groups[0], groups[1], 1);
            }
        }
        if let Some(clock) = clock {
            encoder.resolve_query_set(&clock.queries, 0..Clock::TIMES, &clock.times, 0);
        }
    }
}

/// Times of a program's stages on the device's own clock.
pub(super) struct Clock {
    queries: QuerySet,
    /// Begin and end of each stage, u64.
    pub times: Buffer,
    period: f64,
}

impl Clock {
    /// Stages of the longest program.
    const STAGES: u32 = 3;
    const TIMES: u32 = 2 * Self::STAGES;
    /// Bytes of `times`.
    pub const BYTES: u64 = Self::TIMES as u64 * 8;

    /// None where the device has no clock.
    pub fn new(gpu: &Gpu) -> Option<Self> {
        let device = &gpu.device;
        if !device.features().contains(Features::TIMESTAMP_QUERY) {
            return None;
        }
        Some(Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("clock"),
                ty: wgpu::QueryType::Timestamp,
                count: Self::TIMES,
            }),
            times: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("clock"),
                size: Self::BYTES,
                usage: BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
            period: f64::from(gpu.queue.get_timestamp_period()),
        })
    }

    /// How long each stage took, from the bytes of `times`.
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
