//! The [`Network`] implementation: which programs to run and which arena regions to read back.

use driftless_flow::FlowError;
use driftless_model::dynamics::step_index;
use driftless_model::tokenizer::{from_byte, to_byte};

use super::kernel_args::PassParams;
use super::program::{MAX_RECORDED_STEPS, ProgramBuilder};
use super::{Region, WgpuNetwork};
use crate::network::{
    DenoiseInput, FrameContext, FrameOutput, FrameRequest, Network, Outcome, Readback,
    RecalledFrames, WholeFrames,
};
use crate::{Result, StageTimes};

impl WgpuNetwork {
    /// Uploads recalled frames and computes what the passes read of them.
    fn set_recalled(&mut self, recalled: &RecalledFrames) -> Result<()> {
        self.frame_params.memory_tokens = 0;
        let Some((at, len)) = self.dynamics.memory_inputs() else {
            return Ok(());
        };
        if recalled.count == 0 {
            return Ok(());
        }
        self.frame_params.memory_tokens = (recalled.count * self.config.latent_tokens()) as u32;
        self.memory_inputs.clear();
        self.memory_inputs.extend_from_slice(recalled.tokens);
        self.memory_inputs.resize(len, 0.0);
        self.write_arena(at, &self.memory_inputs);
        self.run(Some(&self.programs.read_memory), None, &[])?;
        Ok(())
    }

    /// Uploads the parameters of all passes of a frame.
    fn upload_request(&mut self, request: &FrameRequest) {
        self.set_frame(request.frame, request.attended_frames);
        let words = |x: u64| [x as u32, (x >> 32) as u32];
        self.frame_params.reads_state = u32::from(request.reads_state);
        self.set_action(request.action);
        self.frame_params.seed = words(request.seed);
        self.frame_params.number = words(request.frame);
        self.frame_params.temperature = request.temperature;
        self.frame_params.alpha = request.context.alpha;
        self.frame_params.sigma = request.context.sigma;
        let denoise = request.steps.iter().map(|step| PassParams {
            tau: step.tau,
            z_scale: step.z_scale,
            output_scale: step.output_scale,
            step_index: request.step_index,
        });
        let finest_step = step_index(usize::MAX, self.config.dynamics.k_max);
        let cache = PassParams::without_step(request.context.tau, finest_step);
        let passes: Vec<_> = denoise.chain([cache]).collect();
        self.upload_frame_params(&passes);
    }
}

/// A KV cache or a delta state: where it is in the arena, and its length there and in a snapshot.
struct CachedRegion {
    at: u32,
    padded_len: usize,
    len: usize,
    /// Whether the rows, too, are heads: keys of a delta state.
    square: bool,
}

impl CachedRegion {
    fn arena(&self) -> Region {
        (self.at, self.padded_len)
    }
}

impl WgpuNetwork {
    /// Keys, then values, of each temporal layer in order; then the delta states.
    fn caches(&self) -> Vec<CachedRegion> {
        let d = &self.dynamics;
        let (heads, tokens) = (d.heads, d.tokens as usize);
        let [padded, len] = [heads.width(), heads.count * heads.size];
        let rows = (d.slots * d.tokens) as usize;
        let time = d.kv_caches().flat_map(|cache| [cache.keys, cache.values]);
        let time = time.filter(|_| rows > 0).map(|at| CachedRegion {
            at,
            padded_len: rows * padded,
            len: rows * len,
            square: false,
        });
        let states = d.states().map(|at| CachedRegion {
            at,
            padded_len: tokens * padded * heads.padded,
            len: tokens * len * heads.size,
            square: true,
        });
        time.chain(states).collect()
    }

    /// The place in a snapshot of element `i` of a cache in the arena; `None` for padding.
    fn source(&self, cache: &CachedRegion, i: usize) -> Option<usize> {
        let heads = self.dynamics.heads;
        if cache.square {
            // [token and head, key, value]
            let (row, value) = (i / heads.padded, i % heads.padded);
            let (matrix, key) = (row / heads.padded, row % heads.padded);
            let inside = key < heads.size && value < heads.size;
            return inside.then_some((matrix * heads.size + key) * heads.size + value);
        }
        let (row, at) = (i / heads.width(), i % heads.width());
        Some(row * heads.count * heads.size + heads.source(at)?)
    }

    fn unpad(&self, cache: &CachedRegion, padded: &[f32], values: &mut [f32]) {
        for (i, value) in padded.iter().enumerate() {
            if let Some(at) = self.source(cache, i) {
                values[at] = *value;
            }
        }
    }

    fn pad(&self, cache: &CachedRegion, values: &[f32]) -> Vec<f32> {
        let value = |i| self.source(cache, i).map_or(0.0, |at| values[at]);
        (0..cache.padded_len).map(value).collect()
    }
}

impl Network for WgpuNetwork {
    fn name(&self) -> &str {
        &self.name
    }

    fn begin_frame(&mut self, context: &FrameContext) -> Result<()> {
        self.set_frame(context.frame, context.attended_frames);
        self.frame_params.reads_state = u32::from(context.reads_state);
        self.set_past(context.past);
        self.run(Some(&self.programs.begin_frame), None, &[])?;
        self.set_recalled(&context.recalled)
    }

    fn denoise(&mut self, input: &DenoiseInput, output: &mut [f32]) -> Result<()> {
        self.upload_input(input);
        let region = (self.dynamics.output, output.len());
        let result = self.run(Some(&self.programs.denoise), None, &[region])?;
        output.copy_from_slice(&result.values);
        Ok(())
    }

    fn write_cache(&mut self, input: &DenoiseInput) -> Result<Option<Outcome>> {
        self.upload_input(input);
        if self.config.dynamics.outcome == 0 {
            self.run(Some(&self.programs.write_cache), None, &[])?;
            return Ok(None);
        }
        let outputs = self.dynamics.outcome_outputs as usize;
        let region = (self.dynamics.report, outputs);
        let result = self.run(Some(&self.programs.write_cache), None, &[region])?;
        Ok(Some(Outcome::of_outputs(&result.values)))
    }

    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()> {
        let latents = latents.chunks_exact_mut(self.config.latent_len());
        for (image, latent) in images.chunks_exact(self.config.image_len()).zip(latents) {
            let pixels: Vec<f32> = image.iter().copied().map(from_byte).collect();
            self.write_arena(self.tokenizer.image, &pixels);
            let region = (self.dynamics.output, latent.len());
            let result = self.run(Some(&self.programs.encode), None, &[region])?;
            latent.copy_from_slice(&result.values);
        }
        Ok(())
    }

    fn decode(&mut self, latents: &[f32], images: &mut [u8]) -> Result<()> {
        let images = images.chunks_exact_mut(self.config.image_len());
        for (latent, image) in latents.chunks_exact(self.config.latent_len()).zip(images) {
            self.write_arena(self.dynamics.output, latent);
            let region = (self.tokenizer.image, image.len());
            let result = self.run(Some(&self.programs.decode), None, &[region])?;
            pixels_to_bytes(&result.values, image);
        }
        Ok(())
    }

    fn save_cache(&self, out: &mut [f32]) -> Result<()> {
        let caches = self.caches();
        let regions: Vec<Region> = caches.iter().map(CachedRegion::arena).collect();
        let (mut from, mut to) = (&self.run(None, None, &regions)?.values[..], out);
        for cache in &caches {
            let (padded, values) = (from.split_at(cache.padded_len), to.split_at_mut(cache.len));
            self.unpad(cache, padded.0, values.0);
            (from, to) = (padded.1, values.1);
        }
        Ok(())
    }

    fn load_cache(&mut self, cache: &[f32]) -> Result<()> {
        let mut rest = cache;
        for cache in self.caches() {
            let (values, tail) = rest.split_at(cache.len);
            self.write_arena(cache.at, &self.pad(&cache, values));
            rest = tail;
        }
        Ok(())
    }

    fn whole_frames(&mut self) -> Option<&mut dyn WholeFrames> {
        Some(self)
    }
}

impl WholeFrames for WgpuNetwork {
    fn supports_steps(&self, steps: usize) -> bool {
        steps <= MAX_RECORDED_STEPS
    }

    fn supports_textures(&self) -> bool {
        self.texture_writer.is_some()
    }

    fn set_past(&mut self, past: &[f32]) {
        self.write_arena(self.dynamics.past, past);
    }

    fn run_frame(
        &mut self,
        request: &FrameRequest,
        readback: Option<Readback>,
    ) -> Result<FrameOutput> {
        let steps = request.steps.len();
        if !self.frame_programs.contains_key(&steps) {
            let record = |r: &mut ProgramBuilder| self.record_frame(r, steps);
            let program = self.gpu.scoped(|| self.record(&record))?;
            self.frame_programs.insert(steps, program);
        }
        self.upload_request(request);
        let texture = match (&readback, &mut self.texture_writer) {
            (None, Some(writer)) => {
                let free_texture = || Ok(writer.free_texture(&self.gpu, &self.arena));
                Some(self.gpu.scoped(free_texture)?)
            }
            _ => None,
        };
        let mut regions: Vec<Region> = vec![(self.dynamics.report, self.dynamics.report_len())];
        regions.extend(readback.iter().flat_map(|readback| self.regions(readback)));
        let result = self.run(self.frame_programs.get(&steps), texture, &regions)?;
        let (report, frame) = result.values.split_at(self.dynamics.report_len());
        let (outputs, finite) = report.split_at(self.dynamics.outcome_outputs as usize);
        if finite != [1.0] {
            let what = "the network's prediction";
            return Err(FlowError::NotFinite { what, tau: 1.0 }.into());
        }
        if let Some(readback) = readback {
            fill_readback(frame, readback);
        }
        let [denoise, cache, decode] = result.times.unwrap_or_default();
        let outcome = Outcome::of_outputs(outputs);
        Ok(FrameOutput {
            texture: texture.and_then(|index| Some(self.texture_writer.as_ref()?.texture(index))),
            outcome: (self.config.dynamics.outcome > 0).then_some(outcome),
            times: StageTimes {
                denoise,
                cache,
                decode,
            },
        })
    }

    fn read_back(&mut self, readback: Readback) -> Result<()> {
        let result = self.run(None, None, &self.regions(&readback))?;
        fill_readback(&result.values, readback);
        Ok(())
    }
}

/// Splits the values of [`WgpuNetwork::regions`] into latent, past latents and image.
fn fill_readback(values: &[f32], readback: Readback) {
    let Readback {
        latent,
        past,
        image,
    } = readback;
    let (latent_values, rest) = values.split_at(latent.len());
    let (past_values, pixels) = rest.split_at(past.len());
    latent.copy_from_slice(latent_values);
    past.copy_from_slice(past_values);
    pixels_to_bytes(pixels, image);
}

/// Converts pixels in [−1, 1] to bytes.
fn pixels_to_bytes(pixels: &[f32], image: &mut [u8]) {
    for (byte, pixel) in image.iter_mut().zip(pixels) {
        *byte = to_byte(*pixel);
    }
}
