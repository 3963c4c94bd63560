//! The kernels of `shaders/`, compiled when they are first needed.

use std::sync::{Arc, OnceLock};

use wgpu::{
    BindGroupLayout, BindingType, BufferBindingType, ComputePipeline, PipelineLayout, ShaderStages,
};

use super::gpu::Gpu;
use super::tile_variants::{MatmulTuning, PANEL, TILE_VARIANTS};
use crate::{Error, Result};

const BINDINGS: &str = include_str!("../../../../shaders/shared/bindings.wgsl");
const ARENA_SCALAR: &str = include_str!("../../../../shaders/shared/arena_scalar.wgsl");
const ARENA_VEC4: &str = include_str!("../../../../shaders/shared/arena_vec4.wgsl");
const WORKGROUP_SUM: &str = include_str!("../../../../shaders/shared/workgroup_sum.wgsl");
const WORKGROUP_SUM_SUBGROUP: &str =
    include_str!("../../../../shaders/shared/workgroup_sum_subgroup.wgsl");
/// Threads per workgroup of all kernels but the matrix product.
const THREADS: u32 = 64;

/// Declares [`Kernel`] with the WGSL of each kernel, so that none can be left out of the list.
macro_rules! kernels {
    ($($kernel:ident: [$($file:literal),+],)+) => {
        /// A kernel of the engine.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kernel {
            /// The matrix product with one of [`TILE_VARIANTS`], by index.
            Matmul(usize),
            $($kernel,)+
        }

        enum KernelIndex {
            $($kernel,)+
            Matmul,
        }

        impl Kernel {
            const COUNT: usize = KernelIndex::Matmul as usize + TILE_VARIANTS.len();

            fn index(self) -> usize {
                match self {
                    $(Self::$kernel => KernelIndex::$kernel as usize,)+
                    Self::Matmul(variant) => KernelIndex::Matmul as usize + variant,
                }
            }

            /// All kernels.
            #[cfg(test)]
            pub fn all() -> impl Iterator<Item = Self> {
                let products = (0..TILE_VARIANTS.len()).map(Self::Matmul);
                [$(Self::$kernel),+].into_iter().chain(products)
            }

            /// The kernel's own WGSL, without shared declarations.
            fn template(self) -> &'static str {
                match self {
                    Self::Matmul(_) => include_str!("../../../../shaders/matmul.wgsl"),
                    $(Self::$kernel => {
                        concat!($(include_str!(concat!("../../../../shaders/", $file))),+)
                    })+
                }
            }
        }
    };
}

kernels! {
    RmsNorm: ["rms_norm.wgsl"],
    GroupStatistics: ["group_statistics.wgsl"],
    GroupNorm: ["group_norm.wgsl"],
    AttentionSpatial: ["shared/attention.wgsl", "attention_spatial.wgsl"],
    AttentionTemporal: ["shared/attention.wgsl", "attention_temporal.wgsl"],
    AttentionMemory: ["shared/attention.wgsl", "attention_memory.wgsl"],
    KvCacheWrite: ["shared/attention.wgsl", "kv_cache_write.wgsl"],
    DeltaRead: ["shared/attention.wgsl", "delta_read.wgsl"],
    DeltaWrite: ["shared/attention.wgsl", "delta_write.wgsl"],
    EmbedConditioning: ["shared/turns.wgsl", "embed_conditioning.wgsl"],
    Affine: ["affine.wgsl"],
    Sample: ["shared/turns.wgsl", "shared/noise.wgsl", "sample.wgsl"],
    FinishFrame: ["finish_frame.wgsl"],
}

impl Kernel {
    /// Values of the WGSL `override` constants.
    pub(super) fn constants(self) -> Vec<(&'static str, f64)> {
        let Self::Matmul(variant) = self else {
            return vec![("THREADS", f64::from(THREADS))];
        };
        let variant = TILE_VARIANTS[variant];
        vec![
            ("BM", f64::from(variant.rows)),
            ("BN", f64::from(PANEL)),
            ("BK", f64::from(variant.depth)),
        ]
    }
}

/// Workgroups needed for `threads` threads.
pub(super) fn workgroups(threads: u32) -> u32 {
    threads.div_ceil(THREADS)
}

/// The compiled kernels for one head size.
pub(super) struct KernelPipelines {
    pub layout: BindGroupLayout,
    pub tuning: Arc<MatmulTuning>,
    pipeline_layout: PipelineLayout,
    /// Padded head size, a multiple of 4.
    head_size: usize,
    pipelines: [OnceLock<ComputePipeline>; Kernel::COUNT],
}

impl KernelPipelines {
    /// Kernels for a padded head size, a multiple of 4. Nothing is compiled yet.
    pub fn new(gpu: &Gpu, head_size: usize) -> Self {
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
            head_size,
            tuning: Arc::default(),
            pipelines: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// For programs without attention kernels, whose head size does not matter.
    pub fn without_attention(gpu: &Gpu) -> Self {
        Self::new(gpu, 4)
    }

    /// The compiled pipeline of a kernel.
    ///
    /// # Errors
    /// Returns an error if the kernel's WGSL lacks a constant that the engine sets.
    pub fn pipeline(&self, gpu: &Gpu, kernel: Kernel) -> Result<ComputePipeline> {
        let cell = &self.pipelines[kernel.index()];
        if let Some(pipeline) = cell.get() {
            return Ok(pipeline.clone());
        }
        let pipeline = self.compile(gpu, kernel)?;
        Ok(cell.get_or_init(|| pipeline).clone())
    }

    fn compile(&self, gpu: &Gpu, kernel: Kernel) -> Result<ComputePipeline> {
        let label = format!("{kernel:?}");
        let options = SourceOptions {
            head_size: self.head_size,
            half: gpu.half,
            subgroups: gpu.subgroups,
        };
        let module = gpu
            .device
            .create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(&label),
                source: wgpu::ShaderSource::Wgsl(source(kernel, options)?.into()),
            });
        let constants = kernel.constants();
        let pipeline = gpu
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&label),
                layout: Some(&self.pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    // Every kernel writes workgroup memory before reading it.
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            });
        Ok(pipeline)
    }
}

/// What the text of a kernel depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceOptions {
    /// Padded head size, a multiple of 4.
    pub head_size: usize,
    /// Whether weight panels are stored in 16 bits.
    pub half: bool,
    /// Whether the device can sum over subgroups.
    pub subgroups: bool,
}

/// The complete WGSL of a kernel. Array lengths in function scope and type aliases cannot be `override`
/// constants, so the engine writes them into the text.
pub(super) fn source(kernel: Kernel, options: SourceOptions) -> Result<String> {
    let text = kernel.template();
    let (prefix, text) = match kernel {
        Kernel::Matmul(variant) => {
            let [rows, columns] = TILE_VARIANTS[variant].blocks;
            let text = set_constant(text, "ROWS4", 1, rows)?;
            let text = set_constant(&text, "COLUMNS4", 1, columns)?;
            if options.half {
                let alias = "alias PanelElement = vec4<f32>;";
                let text = replace_once(&text, alias, "alias PanelElement = vec4<f16>;")?;
                ("enable f16;", text)
            } else {
                ("", text)
            }
        }
        Kernel::AttentionSpatial
        | Kernel::AttentionTemporal
        | Kernel::AttentionMemory
        | Kernel::KvCacheWrite
        | Kernel::DeltaRead
        | Kernel::DeltaWrite => {
            let head_vec4s = (options.head_size / 4) as u32;
            ("", set_constant(text, "HEAD", 8, head_vec4s)?)
        }
        // wgpu's WGSL needs no `enable` for subgroups.
        Kernel::RmsNorm | Kernel::GroupStatistics | Kernel::GroupNorm => {
            let sum = if options.subgroups {
                WORKGROUP_SUM_SUBGROUP
            } else {
                WORKGROUP_SUM
            };
            ("", format!("{sum}\n{text}"))
        }
        Kernel::EmbedConditioning | Kernel::Affine | Kernel::Sample | Kernel::FinishFrame => {
            ("", text.to_owned())
        }
    };
    let arena = match kernel {
        Kernel::AttentionSpatial
        | Kernel::AttentionTemporal
        | Kernel::AttentionMemory
        | Kernel::KvCacheWrite
        | Kernel::DeltaRead
        | Kernel::DeltaWrite
        | Kernel::Sample => ARENA_VEC4,
        _ => ARENA_SCALAR,
    };
    Ok(format!("{prefix}\n{BINDINGS}\n{arena}\n{text}"))
}

/// Changes the value of a `u32` constant from `default` to `value`.
fn set_constant(text: &str, name: &str, default: u32, value: u32) -> Result<String> {
    let declaration = |value| format!("const {name}: u32 = {value}u;");
    replace_once(text, &declaration(default), &declaration(value))
}

/// Replaces `marker`, which must occur exactly once: a renamed constant must not go unnoticed.
fn replace_once(text: &str, marker: &str, replacement: &str) -> Result<String> {
    match text.matches(marker).count() {
        1 => Ok(text.replacen(marker, replacement, 1)),
        count => Err(Error::Internal(format!(
            "shader source: `{marker}` occurs {count} times, expected once"
        ))),
    }
}

#[cfg(test)]
#[path = "kernel_layout_tests.rs"]
mod layout_tests;
#[cfg(test)]
#[path = "kernel_translation_tests.rs"]
mod translation_tests;
#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const OPTIONS: SourceOptions = SourceOptions {
        head_size: 32,
        half: false,
        subgroups: false,
    };

    #[test]
    fn attention_kernels_get_the_head_size() {
        for kernel in [
            Kernel::AttentionSpatial,
            Kernel::AttentionTemporal,
            Kernel::AttentionMemory,
            Kernel::KvCacheWrite,
            Kernel::DeltaRead,
            Kernel::DeltaWrite,
        ] {
            for head_size in [4, 32, 64] {
                let options = SourceOptions {
                    head_size,
                    ..OPTIONS
                };
                let text = source(kernel, options).unwrap();
                let declaration = format!("const HEAD: u32 = {}u;", head_size / 4);
                assert_eq!(text.matches(&declaration).count(), 1, "{kernel:?}");
                assert_eq!(text.matches("const HEAD").count(), 1, "{kernel:?}");
            }
        }
    }

    #[test]
    fn matmul_gets_tiles_and_precision() {
        for (i, variant) in TILE_VARIANTS.iter().enumerate() {
            for half in [false, true] {
                let text = source(Kernel::Matmul(i), SourceOptions { half, ..OPTIONS }).unwrap();
                let [rows, columns] = variant.blocks;
                let element = if half { "vec4<f16>" } else { "vec4<f32>" };
                for declaration in [
                    format!("const ROWS4: u32 = {rows}u;"),
                    format!("const COLUMNS4: u32 = {columns}u;"),
                    format!("alias PanelElement = {element};"),
                ] {
                    assert!(text.contains(&declaration), "{variant:?}: {declaration}");
                }
                assert_eq!(text.starts_with("enable f16;"), half);
            }
        }
    }

    #[test]
    fn unmatched_markers_are_errors() {
        assert_eq!(
            set_constant("const A: u32 = 1u;", "A", 1, 3).unwrap(),
            "const A: u32 = 3u;"
        );
        for text in [
            "",
            "const A: u32 = 2u;",
            "const A: u32 = 1u; const A: u32 = 1u;",
        ] {
            let error = set_constant(text, "A", 1, 3).unwrap_err().to_string();
            assert!(error.contains("expected once"), "{error}");
        }
    }
}
