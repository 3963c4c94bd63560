//! Matrix product tuning: which tile variant is fastest for each shape, measured once per device.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wgpu::{Buffer, BufferUsages, CommandEncoderDescriptor};

use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;

use super::gpu::Gpu;
use super::kernel_args::{Activation, RowLayout};
use super::kernels::KernelPipelines;
use super::program::{Program, ProgramBuffers};
use super::tile_variants::{MatmulShape, MatmulTuning, TILE_VARIANTS};
use super::weights::{MatrixRef, Weights};
use crate::{Error, Result};

/// Timings per variant; the best one counts.
const REPETITIONS: usize = 4;
/// Products per submission: waiting for a device takes longer than a product.
const BATCH: u32 = 16;
/// A product that takes this long is submitted alone.
const SLOW: Duration = Duration::from_millis(2);

impl MatmulTuning {
    /// Measures shapes without a measurement, those with the most work first, until `time_limit` has passed.
    /// The rest keep the default tiles. Also returns the number of measured shapes.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn measure(
        mut self,
        gpu: &Gpu,
        kernels: &KernelPipelines,
        products: &BTreeMap<MatmulShape, usize>,
        time_limit: Duration,
    ) -> Result<(Self, usize)> {
        let work = |(shape, count): &(&MatmulShape, &usize)| {
            shape.iter().map(|&n| u64::from(n)).product::<u64>() * **count as u64
        };
        let mut unknown: Vec<_> = products
            .iter()
            .filter(|(shape, _)| !self.best.contains_key(*shape))
            .collect();
        unknown.sort_by_key(|product| std::cmp::Reverse(work(product)));
        let started = Instant::now();
        let limits = gpu.device.limits();
        let fitting = (0..TILE_VARIANTS.len()).filter(|&v| TILE_VARIANTS[v].fits(&limits));
        let fitting: Vec<usize> = fitting.collect();
        let before = self.best.len();
        for (&shape, _) in unknown {
            if started.elapsed() > time_limit {
                break;
            }
            let bench = MatmulBench::new(gpu, kernels, shape)?;
            let mut best = (Duration::MAX, 0);
            for &variant in &fitting {
                best = best.min((bench.time(variant, REPETITIONS, SLOW)?, variant));
            }
            self.best.insert(shape, best.1);
        }
        let measured = self.best.len() - before;
        Ok((self, measured))
    }
}

/// The fastest tiles for `products`. Those that the platform's cache folder does not know are measured and stored
/// there, until `time_limit` has passed.
///
/// # Errors
/// Returns an error if the device fails.
pub(super) fn fastest_tiles(
    gpu: &Gpu,
    kernels: &KernelPipelines,
    products: &BTreeMap<MatmulShape, usize>,
    time_limit: Duration,
) -> Result<MatmulTuning> {
    let cache = TuningCache::platform();
    let known = cache.as_ref().map(|cache| cache.read(gpu));
    let known = known.unwrap_or_default();
    let (tuning, measured) = known.measure(gpu, kernels, products, time_limit)?;
    if let (1.., Some(cache)) = (measured, &cache)
        && let Err(error) = cache.write(gpu, &tuning)
    {
        tracing::warn!("tile measurements were not saved: {error}");
    }
    Ok(tuning)
}

/// Times matrix products of one shape.
pub(super) struct MatmulBench<'a> {
    gpu: &'a Gpu,
    kernels: &'a KernelPipelines,
    shape: MatmulShape,
    matrix: MatrixRef,
    tables: Buffer,
    panels: Buffer,
    arena: Buffer,
    frame: Buffer,
    staging: Buffer,
}

impl<'a> MatmulBench<'a> {
    /// Allocates the matrices.
    ///
    /// # Errors
    /// Returns an error if they do not fit on the device.
    pub fn new(gpu: &'a Gpu, kernels: &'a KernelPipelines, shape: MatmulShape) -> Result<Self> {
        let [m, n, k] = shape.map(|side| side as usize);
        let mut weights = Weights::default();
        let matrix = weights.matrix(n, k, |o, i| ((o + i) % 7) as f32);
        let numbers = m * (k.next_multiple_of(4) + n.next_multiple_of(4));
        Ok(Self {
            gpu,
            kernels,
            shape,
            matrix,
            tables: gpu.storage("tables", 4)?,
            panels: weights.upload_panels(gpu)?,
            arena: gpu.storage("activations", numbers)?,
            frame: gpu.storage("frame parameters", 64)?,
            staging: gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size: 16,
                usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        })
    }

    /// The best time of one product with a variant, out of `repetitions`, or of as many as fit into
    /// `time_limit`.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn time(
        &self,
        variant: usize,
        repetitions: usize,
        time_limit: Duration,
    ) -> Result<Duration> {
        let single = self.program(variant, 1)?;
        // Warm up.
        self.run(&single)?;
        let mut best = self.run(&single)?;
        let batch = (best < SLOW).then(|| self.program(variant, BATCH));
        let batch = batch.transpose()?;
        let started = Instant::now();
        for _ in 1..repetitions {
            if started.elapsed() + best > time_limit {
                break;
            }
            best = best.min(match &batch {
                Some(batch) => self.run(batch)? / BATCH,
                None => self.run(&single)?,
            });
        }
        Ok(best)
    }

    fn program(&self, variant: usize, count: u32) -> Result<Program> {
        let buffers = ProgramBuffers {
            weights: &self.tables,
            panels: &self.panels,
            arena: &self.arena,
            frame: &self.frame,
        };
        let [m, n, k] = self.shape;
        let x = RowLayout::contiguous(0, k.next_multiple_of(4));
        let y = RowLayout::contiguous(m * k.next_multiple_of(4), n.next_multiple_of(4));
        Program::record(self.gpu, self.kernels, buffers, &|r| {
            for _ in 0..count {
                r.matmul_with_tiles(variant, self.matrix, m, [x, y], Activation::None, false);
            }
        })
    }

    fn run(&self, program: &Program) -> Result<Duration> {
        let started = Instant::now();
        let device = &self.gpu.device;
        let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
        program.encode(&mut encoder, None);
        encoder.copy_buffer_to_buffer(&self.arena, 0, &self.staging, 0, 16);
        let submission = self.gpu.submit(encoder.finish());
        self.gpu.read(&self.staging, submission, &mut [0; 16])?;
        Ok(started.elapsed())
    }
}

/// The JSON file of measurements: for each device, `"MxNxK"` to the name of the variant.
pub(super) struct TuningCache {
    path: PathBuf,
}

type TuningFile = BTreeMap<String, BTreeMap<String, String>>;

impl TuningCache {
    /// In the platform's cache folder; `None` if the platform has none.
    pub fn platform() -> Option<Self> {
        let folders = directories::ProjectDirs::from("", "", "driftless")?;
        Some(Self::at(&folders.cache_dir().join("matmul.json")))
    }

    /// At a path.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
        }
    }

    /// Measurements of a device. Ignores a missing or invalid file and unknown variants.
    pub fn read(&self, gpu: &Gpu) -> MatmulTuning {
        let entries = self
            .read_file()
            .remove(&gpu.tuning_key())
            .unwrap_or_default();
        let known = |variant: &str| TILE_VARIANTS.iter().position(|v| v.name() == variant);
        let best = entries
            .into_iter()
            .filter_map(|(name, variant)| Some((parse_shape(&name)?, known(&variant)?)));
        MatmulTuning {
            best: best.collect(),
        }
    }

    /// Adds measurements of a device.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, gpu: &Gpu, tuning: &MatmulTuning) -> Result<()> {
        let mut all = self.read_file();
        let name = |[m, n, k]: &MatmulShape| format!("{m}x{n}x{k}");
        let best = tuning.best.iter();
        let measured = best.map(|(shape, v)| (name(shape), TILE_VARIANTS[*v].name()));
        all.entry(gpu.tuning_key()).or_default().extend(measured);
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        let text = serde_json::to_vec_pretty(&all)
            .map_err(|e| Error::invalid(&self.path, e.to_string()))?;
        Ok(write_atomic(&self.path, &text)?)
    }

    fn read_file(&self) -> TuningFile {
        let text = std::fs::read(&self.path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

fn parse_shape(name: &str) -> Option<MatmulShape> {
    let sides: Option<Vec<u32>> = name.split('x').map(|side| side.parse().ok()).collect();
    sides?.try_into().ok()
}

#[cfg(test)]
#[path = "tuning_tests.rs"]
mod kernel_tests;
