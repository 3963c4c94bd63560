//! The compiled kernels, and lists of their dispatches.

use std::ops::Range;
use std::time::Duration;

use bytemuck::Pod;
use wgpu::{
    BindGroup, BindGroupLayout, BindingType, Buffer, BufferBindingType, BufferUsages,
    CommandEncoder, ComputePassTimestampWrites, ComputePipeline, Features, QuerySet, ShaderStages,
};

use super::gpu::Gpu;

const MEMORY: &str = include_str!("../../../shaders/shared/memory.wgsl");
/// Threads of a workgroup where a kernel takes one a number, or a row's.
const THREADS: u32 = 64;
/// Outputs of a panel of packed weights, and of a workgroup's tile.
pub(super) const PANEL: u32 = 64;
/// Rows of a large and of a small tile.
const TILES: [u32; 2] = [64, 16];
/// Bytes from one record to the next: what any device may ask of an offset.
const RECORD: usize = 256;

/// A kernel with its variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// In large tiles, or in small ones.
    Matmul {
        small: bool,
    },
    Norm,
    AttendSpace,
    AttendTime,
    Remember,
    Condition,
    Shift,
    Sample,
    Close,
}

impl Kernel {
    const ALL: [Self; 10] = [
        Self::Matmul { small: false },
        Self::Matmul { small: true },
        Self::Norm,
        Self::AttendSpace,
        Self::AttendTime,
        Self::Remember,
        Self::Condition,
        Self::Shift,
        Self::Sample,
        Self::Close,
    ];

    fn index(self) -> usize {
        match self {
            Self::Matmul { small } => usize::from(small),
            Self::Norm => 2,
            Self::AttendSpace => 3,
            Self::AttendTime => 4,
            Self::Remember => 5,
            Self::Condition => 6,
            Self::Shift => 7,
            Self::Sample => 8,
            Self::Close => 9,
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Matmul { .. } => include_str!("../../../shaders/matmul.wgsl"),
            Self::Norm => include_str!("../../../shaders/norm.wgsl"),
            Self::AttendSpace => concat!(
                include_str!("../../../shaders/shared/heads.wgsl"),
                include_str!("../../../shaders/attend_space.wgsl")
            ),
            Self::AttendTime => concat!(
                include_str!("../../../shaders/shared/heads.wgsl"),
                include_str!("../../../shaders/attend_time.wgsl")
            ),
            Self::Remember => concat!(
                include_str!("../../../shaders/shared/heads.wgsl"),
                include_str!("../../../shaders/remember.wgsl")
            ),
            Self::Condition => include_str!("../../../shaders/condition.wgsl"),
            Self::Shift => include_str!("../../../shaders/shift.wgsl"),
            Self::Close => include_str!("../../../shaders/close.wgsl"),
            Self::Sample => concat!(
                include_str!("../../../shaders/shared/noise.wgsl"),
                include_str!("../../../shaders/sample.wgsl")
            ),
        }
    }

    fn constants(self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Matmul { small } => {
                let rows = TILES[usize::from(small)];
                vec![("BM", f64::from(rows)), ("BN", f64::from(PANEL))]
            }
            _ => vec![("THREADS", f64::from(THREADS))],
        }
    }

    /// Rows of the tile of a product with `m` rows, and its kernel.
    pub fn matmul(m: u32) -> (Self, u32) {
        let small = m <= TILES[0] / 2;
        (Self::Matmul { small }, TILES[usize::from(small)])
    }
}

/// Workgroups for so many threads.
pub(super) fn groups(threads: u32) -> u32 {
    threads.div_ceil(THREADS)
}

/// All kernels, compiled for heads of one size.
pub(super) struct Kernels {
    layout: BindGroupLayout,
    pipelines: Vec<ComputePipeline>,
}

impl Kernels {
    /// Compiles for heads of `head` numbers, a multiple of 4.
    pub fn new(gpu: &Gpu, head: usize) -> Self {
        let entry = |binding, ty, dynamic| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty,
                has_dynamic_offset: dynamic,
                min_binding_size: None,
            },
            count: None,
        };
        let storage = |read_only| BufferBindingType::Storage { read_only };
        let device = &gpu.device;
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("engine"),
            entries: &[
                entry(0, storage(true), false),
                entry(1, storage(false), false),
                entry(2, storage(true), false),
                entry(3, BufferBindingType::Uniform, true),
            ],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("engine"),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        let written = "const HEAD: u32 = 8u;";
        let own = format!("const HEAD: u32 = {}u;", head / 4);
        let pipelines = Kernel::ALL
            .iter()
            .map(|kernel| {
                let source = kernel.source().replace(written, &own);
                let label = format!("{kernel:?}");
                let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                    label: Some(&label),
                    source: wgpu::ShaderSource::Wgsl(format!("{MEMORY}\n{source}").into()),
                });
                device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(&label),
                    layout: Some(&pipeline_layout),
                    module: &module,
                    entry_point: Some("main"),
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants: &kernel.constants(),
                        // Every kernel writes what it reads.
                        zero_initialize_workgroup_memory: false,
                    },
                    cache: None,
                })
            })
            .collect();
        Self { layout, pipelines }
    }
}

struct Dispatch {
    kernel: Kernel,
    groups: [u32; 2],
}

/// Dispatches in the making.
#[derive(Default)]
pub(super) struct Recorder {
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
    fn finish(
        self,
        gpu: &Gpu,
        kernels: &Kernels,
        [weights, arena, frame]: [&Buffer; 3],
    ) -> Program {
        let ops = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("ops"),
            size: self.records.len().max(RECORD) as u64,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
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
                entry(0, weights),
                entry(1, arena),
                entry(2, frame),
                wgpu::BindGroupEntry {
                    binding: 3,
                    resource: wgpu::BindingResource::Buffer(record),
                },
            ],
        });
        let ends = self.marks.iter().copied().chain([self.dispatches.len()]);
        let starts = [0].into_iter().chain(self.marks.iter().copied());
        Program {
            bindings,
            stages: starts.zip(ends).map(|(start, end)| start..end).collect(),
            dispatches: self.dispatches,
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
    dispatches: Vec<Dispatch>,
    stages: Vec<Range<usize>>,
}

impl Program {
    /// Records what `f` adds; its dispatches work on these weights, arena and frame.
    pub fn record(
        gpu: &Gpu,
        kernels: &Kernels,
        buffers: [&Buffer; 3],
        f: &dyn Fn(&mut Recorder),
    ) -> Self {
        let mut recorder = Recorder::default();
        f(&mut recorder);
        recorder.finish(gpu, kernels, buffers)
    }

    /// Whether the stages are those of a whole frame.
    pub fn is_staged(&self) -> bool {
        self.stages.len() == Clock::STAGES as usize
    }

    /// Encodes all dispatches, each of which sees what those before it wrote; a clock notes when
    /// each stage begins and ends.
    pub fn encode(&self, kernels: &Kernels, encoder: &mut CommandEncoder, clock: Option<&Clock>) {
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
                let Dispatch { kernel, groups } = &self.dispatches[i];
                if bound != Some(kernel) {
                    pass.set_pipeline(&kernels.pipelines[kernel.index()]);
                    bound = Some(kernel);
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
