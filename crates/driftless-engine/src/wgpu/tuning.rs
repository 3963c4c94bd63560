//! Which tiles multiply which matrices: what the device is fastest with, measured once and kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wgpu::{Buffer, BufferUsages, CommandEncoderDescriptor};

use super::gpu::Gpu;
use super::kernels::{Kernels, PANEL};
use super::ops::{Act, Rows};
use super::program::{Buffers, Program};
use super::weights::{Matrix, Weights};
use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;

/// How a workgroup multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// Rows of its tile; the columns are a panel's.
    pub rows: u32,
    /// Blocks of 4 × 4 that a thread holds, down and across.
    pub blocks: [u32; 2],
    /// Inputs that are held in the workgroup's memory at a time.
    pub depth: u32,
}

impl Variant {
    /// `ROWS DOWNxACROSS DEPTH`.
    fn name(self) -> String {
        let [down, across] = self.blocks;
        format!("{} {down}x{across} {}", self.rows, self.depth)
    }

    fn threads(self) -> u32 {
        let [down, across] = self.blocks;
        self.rows / (4 * down) * (PANEL / (4 * across))
    }

    fn workgroup_bytes(self) -> u32 {
        self.depth * (self.rows + PANEL) * 4
    }

    /// Whether a device with these limits can run it.
    fn fits(self, limits: &wgpu::Limits) -> bool {
        self.threads() <= limits.max_compute_invocations_per_workgroup
            && self.workgroup_bytes() <= limits.max_compute_workgroup_storage_size
    }
}

const fn variant(rows: u32, blocks: [u32; 2], depth: u32) -> Variant {
    Variant {
        rows,
        blocks,
        depth,
    }
}

/// All of them; the first two need no measuring.
pub(super) const VARIANTS: [Variant; 8] = [
    variant(64, [1, 1], 16),
    variant(16, [1, 1], 16),
    variant(32, [1, 1], 16),
    variant(16, [1, 1], 32),
    variant(16, [1, 2], 16),
    variant(32, [2, 2], 16),
    variant(64, [2, 2], 16),
    variant(128, [2, 2], 16),
];

/// Each variant is timed so often, and the best time counts.
const TIMES: usize = 4;
/// Products between two waits: a device takes longer to answer than to multiply.
const QUEUED: u32 = 16;
/// A product that takes as long alone is not queued.
const LONG: Duration = Duration::from_millis(2);

/// Rows, outputs and inputs of a product.
pub(super) type Shape = [u32; 3];

/// The variant of each product that was measured.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tuning {
    best: BTreeMap<Shape, usize>,
}

impl Tuning {
    /// The variant of a product.
    pub fn choose(&self, shape: Shape) -> usize {
        let plain = usize::from(shape[0] <= VARIANTS[0].rows / 2);
        self.best.get(&shape).copied().unwrap_or(plain)
    }

    /// Measures the products that are not known yet, the most work first, for about as long as `most`; the
    /// rest keeps its plain tiles. Also how many were measured.
    ///
    /// # Errors
    /// The device failed.
    pub fn measure(
        mut self,
        gpu: &Gpu,
        kernels: &Kernels,
        products: &BTreeMap<Shape, usize>,
        most: Duration,
    ) -> Result<(Self, usize)> {
        let work = |(shape, count): &(&Shape, &usize)| {
            shape.iter().map(|&n| u64::from(n)).product::<u64>() * **count as u64
        };
        let mut open: Vec<_> = products
            .iter()
            .filter(|(shape, _)| !self.best.contains_key(*shape))
            .collect();
        open.sort_by_key(|product| std::cmp::Reverse(work(product)));
        let begun = Instant::now();
        let limits = gpu.device.limits();
        let fitting = (0..VARIANTS.len()).filter(|&v| VARIANTS[v].fits(&limits));
        let fitting: Vec<usize> = fitting.collect();
        let before = self.best.len();
        for (&shape, _) in open {
            if begun.elapsed() > most {
                break;
            }
            let bench = Bench::new(gpu, kernels, shape)?;
            let mut best = (Duration::MAX, 0);
            for &variant in &fitting {
                best = best.min((bench.time(variant, TIMES, LONG)?, variant));
            }
            self.best.insert(shape, best.1);
        }
        let measured = self.best.len() - before;
        Ok((self, measured))
    }
}

/// A product of one shape to be timed.
pub(super) struct Bench<'a> {
    gpu: &'a Gpu,
    kernels: &'a Kernels,
    shape: Shape,
    matrix: Matrix,
    tables: Buffer,
    panels: Buffer,
    arena: Buffer,
    frame: Buffer,
    staging: Buffer,
}

impl<'a> Bench<'a> {
    /// # Errors
    /// The matrices do not fit on the device.
    pub fn new(gpu: &'a Gpu, kernels: &'a Kernels, shape: Shape) -> Result<Self> {
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
            frame: gpu.storage("values of a frame", 64)?,
            staging: gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size: 16,
                usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        })
    }

    /// The best time of one product by a variant, of `times`, or of as many as `most` has room for.
    ///
    /// # Errors
    /// The device failed.
    pub fn time(&self, variant: usize, times: usize, most: Duration) -> Result<Duration> {
        let alone = self.program(variant, 1);
        // The first one warms up.
        self.run(&alone)?;
        let mut best = self.run(&alone)?;
        let queued = (best < LONG).then(|| self.program(variant, QUEUED));
        let begun = Instant::now();
        for _ in 1..times {
            if begun.elapsed() + best > most {
                break;
            }
            best = best.min(match &queued {
                Some(queued) => self.run(queued)? / QUEUED,
                None => self.run(&alone)?,
            });
        }
        Ok(best)
    }

    fn program(&self, variant: usize, count: u32) -> Program {
        let buffers = Buffers {
            weights: &self.tables,
            panels: &self.panels,
            arena: &self.arena,
            frame: &self.frame,
        };
        let [m, n, k] = self.shape;
        let x = Rows::plain(0, k.next_multiple_of(4));
        let y = Rows::plain(m * k.next_multiple_of(4), n.next_multiple_of(4));
        Program::record(self.gpu, self.kernels, buffers, &|r| {
            for _ in 0..count {
                r.matmul_by(variant, self.matrix, m, [x, y], Act::None, false);
            }
        })
    }

    fn run(&self, program: &Program) -> Result<Duration> {
        let started = Instant::now();
        let device = &self.gpu.device;
        let mut encoder = device.create_command_encoder(&CommandEncoderDescriptor::default());
        program.encode(&mut encoder, None);
        encoder.copy_buffer_to_buffer(&self.arena, 0, &self.staging, 0, 16);
        let submission = self.gpu.queue.submit([encoder.finish()]);
        self.gpu.read(&self.staging, submission, &mut [0; 16])?;
        Ok(started.elapsed())
    }
}

/// What was measured on this machine, a file of JSON: of each device, `"MxNxK"` to the variant's name.
pub(super) struct Cache {
    path: PathBuf,
}

type Kept = BTreeMap<String, BTreeMap<String, String>>;

impl Cache {
    /// In the platform's folder for what can be made again; none where there is none.
    pub fn platform() -> Option<Self> {
        let folders = directories::ProjectDirs::from("", "", "driftless")?;
        Some(Self::at(&folders.cache_dir().join("matmul.json")))
    }

    /// In a file.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
        }
    }

    /// What the file says of a device; nothing where it is missing, broken or of other kernels.
    pub fn read(&self, gpu: &Gpu) -> Tuning {
        let kept = self.all().remove(&gpu.tuning_key()).unwrap_or_default();
        let known = |variant: &str| VARIANTS.iter().position(|v| v.name() == variant);
        let best = kept
            .into_iter()
            .filter_map(|(name, variant)| Some((shape(&name)?, known(&variant)?)));
        Tuning {
            best: best.collect(),
        }
    }

    /// Adds what was measured on a device.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, gpu: &Gpu, tuning: &Tuning) -> Result<()> {
        let mut all = self.all();
        let name = |[m, n, k]: &Shape| format!("{m}x{n}x{k}");
        let best = tuning.best.iter();
        let measured = best.map(|(shape, v)| (name(shape), VARIANTS[*v].name()));
        all.entry(gpu.tuning_key()).or_default().extend(measured);
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        let text = serde_json::to_vec_pretty(&all)
            .map_err(|e| Error::invalid(&self.path, e.to_string()))?;
        Ok(write_atomic(&self.path, &text)?)
    }

    fn all(&self) -> Kept {
        let text = std::fs::read(&self.path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

fn shape(name: &str) -> Option<Shape> {
    let sides: Option<Vec<u32>> = name.split('x').map(|side| side.parse().ok()).collect();
    sides?.try_into().ok()
}

#[cfg(test)]
#[path = "tuning_tests.rs"]
mod tests;
