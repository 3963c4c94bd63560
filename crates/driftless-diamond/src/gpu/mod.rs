//! The denoiser's network on a GPU. A pass is a list of dispatches that is recorded once: 3×3 convolutions are products
//! with the neighbourhoods of a map that has a border of zeros, into which group normalization and SiLU write it. Skips
//! are written where the block that reads them finds them, beside what comes from below.

mod arena;
mod plan;

use driftless_engine::Gpu;
use driftless_engine::gpu_kernels::{ProgramBuilder, RecordedPass};

use self::plan::{Inputs, Planner};
use crate::Result;
use crate::network_weights::NetworkWeights;

pub(crate) struct GpuNetwork {
    pass: RecordedPass,
    name: String,
    inputs: Inputs,
    /// Where the prediction is, `[H, W, 3]`.
    output: u32,
}

impl GpuNetwork {
    /// Uploads the weights, and records a pass with the default tiles.
    ///
    /// # Errors
    /// Returns an error if heads of attention have different sizes, if the network does not fit into the device's
    /// buffers, or if the device is lost.
    pub(crate) fn new(gpu: &Gpu, weights: &NetworkWeights) -> Result<Self> {
        let mut planner = Planner::new(weights);
        let inputs = planner.inputs();
        let output = planner.network(weights)?;
        let Planner {
            steps,
            weights: packed,
            arena,
            head_size,
            ..
        } = planner;
        let outputs = output.pixels() as usize * output.channels as usize;
        let record = move |r: &mut ProgramBuilder| {
            for step in &steps {
                step.record(r);
            }
        };
        // Without attention, the size of heads does not matter.
        let head_size = head_size.unwrap_or(4);
        let layout = &arena.layout;
        let pass = RecordedPass::new(gpu, &packed, layout, head_size, outputs, Box::new(record))?;
        for (at, values) in &arena.constants {
            pass.write(*at, values);
        }
        Ok(Self {
            pass,
            name: format!("wgpu {}", gpu.name()),
            inputs,
            output: output.offset,
        })
    }

    /// What a person is shown.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Chooses the tiles of the products that are fastest on this device.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(crate) fn tune(&mut self) -> Result<()> {
        Ok(self.pass.tune()?)
    }

    /// Takes the past frames `[H, W, 3 · past]` of the passes that follow.
    pub(crate) fn set_past(&self, past: &[f32]) {
        self.pass.write(self.inputs.past, past);
    }

    /// What the network predicts from a noisy frame `[H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(crate) fn predict(&self, noisy: &[f32], modulation: &[f32], out: &mut [f32]) -> Result<()> {
        self.pass.write(self.inputs.noisy, noisy);
        self.pass.write(self.inputs.modulation, modulation);
        Ok(self.pass.run(self.output, out)?)
    }
}

#[cfg(test)]
mod tests;
