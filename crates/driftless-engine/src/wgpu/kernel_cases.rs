//! Dispatches with known results: inputs over odd shapes, and outputs that plain loops compute. The tests
//! run them, so does [`Gpu::check_kernels`] on a user's adapter, and [`exported`] hands them to other
//! compilers of WGSL.

mod attention;
mod elementwise;
mod export;
mod maps;
pub(super) mod matmul;

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgpu::{BufferUsages, CommandEncoderDescriptor};

use super::gpu::Gpu;
use super::kernel_args::{FrameParams, PassParams, RowLayout};
use super::kernels::KernelPipelines;
use super::operations::ArenaLayout;
use super::program::{Program, ProgramBuffers, ProgramBuilder};
use super::weights::Weights;
use crate::{Error, Result};

pub use self::export::{KernelCaseExport, exported};

/// Largest difference of an output from the plain loop's, as a share of the largest output.
pub(super) const TOLERANCE: f32 = 1e-4;
/// The same with matrices in 16 bits.
pub(super) const HALF_TOLERANCE: f32 = 5e-3;

/// Inputs of dispatches, and what they must write.
pub(super) struct KernelCase {
    /// What is computed, over which shape.
    pub name: String,
    /// Padded head size.
    pub head_size: usize,
    pub inputs: CaseInputs,
    /// Records the dispatches.
    pub record: Box<dyn Fn(&mut ProgramBuilder)>,
    /// What the arena must hold afterwards; the rest must not change.
    pub expected: Vec<ExpectedRegion>,
}

/// A region of the arena after a case. NaN stands for an element that must stay NaN.
pub(super) struct ExpectedRegion {
    /// Arena offset.
    pub at: u32,
    pub values: Vec<f32>,
}

/// Arena, weights and parameters of a case.
pub(super) struct CaseInputs {
    rng: ChaCha8Rng,
    pub weights: Weights,
    pub regions: ArenaLayout,
    pub arena: Vec<f32>,
    pub frame: FrameParams,
    pub passes: Vec<PassParams>,
}

impl CaseInputs {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            weights: Weights::default(),
            regions: ArenaLayout::default(),
            arena: Vec::new(),
            frame: bytemuck::Zeroable::zeroed(),
            passes: Vec::new(),
        }
    }

    pub fn random(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| self.rng.random_range(-1.0..1.0))
            .collect()
    }

    /// Allocates a region of random values; returns its offset and the values.
    pub fn random_region(&mut self, count: usize) -> (u32, Vec<f32>) {
        let numbers = self.random(count);
        (self.region_of(&numbers), numbers)
    }

    pub fn region_of(&mut self, numbers: &[f32]) -> u32 {
        let at = self.regions.allocate(numbers.len());
        self.arena.resize(at as usize, f32::NAN);
        self.arena.extend_from_slice(numbers);
        at
    }

    /// Allocates a region of NaN, so that an element that is not written shows.
    pub fn nan_region(&mut self, count: usize) -> u32 {
        self.region_of(&vec![f32::NAN; count])
    }

    /// The bytes of the frame's parameters and its passes.
    fn frame_bytes(&self) -> Vec<u8> {
        let unused_pass: PassParams = bytemuck::Zeroable::zeroed();
        [
            bytemuck::bytes_of(&self.frame),
            bytemuck::cast_slice(&self.passes),
            bytemuck::bytes_of(&unused_pass),
        ]
        .concat()
    }

    /// Ends the inputs: a margin that nothing may write follows the last region.
    pub fn case(
        mut self,
        name: String,
        head_size: usize,
        expected: Vec<ExpectedRegion>,
        record: impl Fn(&mut ProgramBuilder) + 'static,
    ) -> KernelCase {
        self.arena.resize(self.regions.len as usize + 64, f32::NAN);
        KernelCase {
            name,
            head_size,
            inputs: self,
            record: Box::new(record),
            expected,
        }
    }
}

impl KernelCase {
    /// Runs the dispatches; returns the arena.
    ///
    /// # Errors
    /// Returns an error if a kernel does not compile, or the device fails.
    pub fn run(&self, gpu: &Gpu, kernels: &KernelPipelines) -> Result<Vec<f32>> {
        let inputs = &self.inputs;
        let buffer = |label, bytes: &[u8]| {
            let buffer = gpu.storage(label, bytes.len() / 4)?;
            gpu.queue.write_buffer(&buffer, 0, bytes);
            Ok::<_, Error>(buffer)
        };
        let arena = buffer("arena", bytemuck::cast_slice(&inputs.arena))?;
        let buffers = ProgramBuffers {
            weights: &inputs.weights.upload(gpu)?,
            panels: &inputs.weights.upload_panels(gpu)?,
            arena: &arena,
            frame: &buffer("frame", &inputs.frame_bytes())?,
        };
        let program = Program::record(gpu, kernels, buffers, &*self.record)?;
        let bytes = size_of_val(&inputs.arena[..]) as u64;
        let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: bytes,
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = gpu
            .device
            .create_command_encoder(&CommandEncoderDescriptor::default());
        program.encode(&mut encoder, None);
        encoder.copy_buffer_to_buffer(&arena, 0, &staging, 0, bytes);
        let submission = gpu.submit(encoder.finish());
        let mut after = inputs.arena.clone();
        gpu.read(&staging, submission, bytemuck::cast_slice_mut(&mut after))?;
        Ok(after)
    }

    /// The largest difference of the arena `after` the run from what is expected, as a share of the
    /// largest output.
    ///
    /// # Errors
    /// Returns what is wrong if an element outside the expected regions changed, or if one that must be
    /// NaN is not.
    pub fn compare(&self, after: &[f32]) -> std::result::Result<f32, String> {
        let before = self.inputs.arena.iter();
        let mut unchanged: Vec<bool> = before
            .zip(after)
            .map(|(before, after)| before.to_bits() == after.to_bits())
            .collect();
        let mut largest = 0f32;
        for region in &self.expected {
            let start = region.at as usize;
            let range = start..start + region.values.len();
            unchanged[range.clone()].fill(true);
            let sizes = region.values.iter().map(|x| x.abs());
            let size = sizes.fold(1e-3, f32::max);
            for (i, (got, expected)) in after[range].iter().zip(&region.values).enumerate() {
                if got.is_nan() != expected.is_nan() {
                    return Err(format!("element {i} is {got}, expected {expected}"));
                }
                largest = largest.max((got - expected).abs() / size);
            }
        }
        match unchanged.iter().position(|same| !same) {
            Some(i) => Err(format!("wrote to {i}, where nothing may be written")),
            None => Ok(largest),
        }
    }
}

/// A kernel's result on a device.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct KernelCheck {
    /// What was computed, over which shape.
    pub name: String,
    /// Largest difference from a plain loop on the CPU, as a share of the largest output.
    pub difference: Option<f32>,
    /// The largest difference that is allowed.
    pub tolerance: f32,
    /// What went wrong apart from that.
    pub error: Option<String>,
}

impl KernelCheck {
    /// Whether the device computed what it should.
    pub fn passed(&self) -> bool {
        self.error.is_none() && self.difference.is_some_and(|off| off <= self.tolerance)
    }
}

impl Gpu {
    /// Runs every kernel on this device and compares it with a plain loop: once more without subgroups,
    /// and the products once more with matrices in 16 bits, where the device has them. `report` gets each
    /// result.
    ///
    /// # Errors
    /// Returns an error if the device is lost.
    pub fn check_kernels(&self, report: &mut dyn FnMut(KernelCheck)) -> Result<()> {
        let mut plain = self.clone();
        plain.subgroups = false;
        check(&plain, "", &quick_cases(), TOLERANCE, report)?;
        if self.subgroups {
            check(self, ", subgroups", &norms(), TOLERANCE, report)?;
        }
        if let Ok(half) = plain.with_half() {
            check(
                &half,
                ", f16",
                &matmul::quick_cases(),
                HALF_TOLERANCE,
                report,
            )?;
        }
        Ok(())
    }
}

/// Norms, the only kernels that use subgroups.
fn norms() -> Vec<KernelCase> {
    let mut cases = elementwise::norms();
    cases.extend(maps::norms());
    cases
}

/// A few shapes of every kernel.
pub(super) fn quick_cases() -> Vec<KernelCase> {
    let mut cases = elementwise::cases();
    cases.extend(attention::cases());
    cases.extend(maps::cases());
    cases.extend(matmul::quick_cases());
    cases
}

/// All shapes of every kernel.
#[cfg(test)]
pub(super) fn all_cases() -> Vec<KernelCase> {
    let mut cases = elementwise::cases();
    cases.extend(attention::cases());
    cases.extend(maps::cases());
    cases.extend(matmul::all_cases());
    cases
}

fn check(
    gpu: &Gpu,
    variant: &str,
    cases: &[KernelCase],
    tolerance: f32,
    report: &mut dyn FnMut(KernelCheck),
) -> Result<()> {
    let mut pipelines = BTreeMap::new();
    for case in cases {
        let kernels = pipelines
            .entry(case.head_size)
            .or_insert_with(|| KernelPipelines::new(gpu, case.head_size));
        let after = gpu.scoped(|| case.run(gpu, kernels));
        gpu.check()?;
        let compared = after.map_err(|e| e.to_string());
        let compared = compared.and_then(|after| case.compare(&after));
        report(KernelCheck {
            name: format!("{}{variant}", case.name),
            difference: compared.as_ref().ok().copied(),
            tolerance,
            error: compared.err(),
        });
    }
    Ok(())
}

/// Arena index of element `i` of row `r`.
fn at(rows: RowLayout, r: u32, i: u32) -> usize {
    let start = rows.offset + (r / rows.run) * rows.outer + (r % rows.run) * rows.inner;
    (start + (i / rows.segment) * rows.stride + i % rows.segment) as usize
}
