//! The kernels of `shaders/`, compiled when they are first needed.

use std::sync::{Arc, OnceLock};

use wgpu::{
    BindGroupLayout, BindingType, BufferBindingType, ComputePipeline, PipelineLayout, ShaderStages,
};

use super::gpu::Gpu;
use super::tuning::{Tuning, VARIANTS};

const MEMORY: &str = include_str!("../../../../shaders/shared/memory.wgsl");
const NUMBERS: &str = include_str!("../../../../shaders/shared/numbers.wgsl");
const VECTORS: &str = include_str!("../../../../shaders/shared/vectors.wgsl");
const TOTAL: &str = include_str!("../../../../shaders/shared/total.wgsl");
const TOTAL_SUBGROUP: &str = include_str!("../../../../shaders/shared/total_subgroup.wgsl");
/// Threads of a workgroup where a kernel takes one a number, or a row's.
const THREADS: u32 = 64;
/// Outputs of a panel of packed weights, and of a workgroup's tile.
pub(super) const PANEL: u32 = 64;

/// A kernel with its variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// With the tiles of one of [`VARIANTS`].
    Matmul(usize),
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
    const COUNT: usize = 8 + VARIANTS.len();

    fn index(self) -> usize {
        match self {
            Self::Norm => 0,
            Self::AttendSpace => 1,
            Self::AttendTime => 2,
            Self::Remember => 3,
            Self::Condition => 4,
            Self::Shift => 5,
            Self::Sample => 6,
            Self::Close => 7,
            Self::Matmul(variant) => 8 + variant,
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Matmul(_) => include_str!("../../../../shaders/matmul.wgsl"),
            Self::Norm => include_str!("../../../../shaders/norm.wgsl"),
            Self::AttendSpace => concat!(
                include_str!("../../../../shaders/shared/heads.wgsl"),
                include_str!("../../../../shaders/attend_space.wgsl")
            ),
            Self::AttendTime => concat!(
                include_str!("../../../../shaders/shared/heads.wgsl"),
                include_str!("../../../../shaders/attend_time.wgsl")
            ),
            Self::Remember => concat!(
                include_str!("../../../../shaders/shared/heads.wgsl"),
                include_str!("../../../../shaders/remember.wgsl")
            ),
            Self::Condition => include_str!("../../../../shaders/condition.wgsl"),
            Self::Shift => include_str!("../../../../shaders/shift.wgsl"),
            Self::Close => include_str!("../../../../shaders/close.wgsl"),
            Self::Sample => concat!(
                include_str!("../../../../shaders/shared/noise.wgsl"),
                include_str!("../../../../shaders/sample.wgsl")
            ),
        }
    }

    fn constants(self) -> Vec<(&'static str, f64)> {
        let Self::Matmul(variant) = self else {
            return vec![("THREADS", f64::from(THREADS))];
        };
        let variant = VARIANTS[variant];
        vec![
            ("BM", f64::from(variant.rows)),
            ("BN", f64::from(PANEL)),
            ("BK", f64::from(variant.depth)),
        ]
    }
}

/// Workgroups for so many threads.
pub(super) fn groups(threads: u32) -> u32 {
    threads.div_ceil(THREADS)
}

/// All kernels, for heads of one size.
pub(super) struct Kernels {
    pub layout: BindGroupLayout,
    pub tuning: Arc<Tuning>,
    pipeline_layout: PipelineLayout,
    /// Numbers of a head, a multiple of 4.
    head: usize,
    pipelines: [OnceLock<ComputePipeline>; Kernel::COUNT],
}

impl Kernels {
    /// For heads of `head` numbers, a multiple of 4.
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
                entry(3, storage(true), true),
                entry(4, storage(true), false),
            ],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("engine"),
            bind_group_layouts: &[Some(&layout)],
            ..Default::default()
        });
        Self {
            layout,
            pipeline_layout,
            head,
            tuning: Arc::default(),
            pipelines: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// Without attention, which needs the size of a head.
    pub fn headless(gpu: &Gpu) -> Self {
        Self::new(gpu, 4)
    }

    /// A kernel, ready to run.
    pub fn pipeline(&self, gpu: &Gpu, kernel: Kernel) -> ComputePipeline {
        let pipeline = self.pipelines[kernel.index()].get_or_init(|| self.compile(gpu, kernel));
        pipeline.clone()
    }

    fn compile(&self, gpu: &Gpu, kernel: Kernel) -> ComputePipeline {
        let label = format!("{kernel:?}");
        let source = self.source(gpu, kernel);
        let module = gpu
            .device
            .create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(&label),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
        let constants = kernel.constants();
        gpu.device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&label),
                layout: Some(&self.pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    // Every kernel writes what it reads.
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            })
    }

    /// The kernel's text, with what WGSL has no constants for.
    fn source(&self, gpu: &Gpu, kernel: Kernel) -> String {
        let set = |text: String, name: &str, written: u32, own: u32| {
            let of = |value| format!("const {name}: u32 = {value}u;");
            text.replace(&of(written), &of(own))
        };
        let text = set(kernel.source().into(), "HEAD", 8, (self.head / 4) as u32);
        let (enable, text) = match kernel {
            Kernel::Matmul(variant) => {
                let [rows, columns] = VARIANTS[variant].blocks;
                let text = set(set(text, "ROWS4", 1, rows), "COLUMNS4", 1, columns);
                let stored = "alias Stored = vec4<f32>;";
                match gpu.half {
                    true => (
                        "enable f16;",
                        text.replace(stored, "alias Stored = vec4<f16>;"),
                    ),
                    false => ("", text),
                }
            }
            // wgpu's WGSL knows subgroups without being told to.
            Kernel::Norm if gpu.subgroups => ("", format!("{TOTAL_SUBGROUP}\n{text}")),
            Kernel::Norm => ("", format!("{TOTAL}\n{text}")),
            _ => ("", text),
        };
        let arena = match kernel {
            Kernel::AttendSpace | Kernel::AttendTime | Kernel::Remember | Kernel::Sample => VECTORS,
            _ => NUMBERS,
        };
        format!("{enable}\n{MEMORY}\n{arena}\n{text}")
    }
}
