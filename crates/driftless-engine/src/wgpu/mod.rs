//! The wgpu backend, for any GPU: the kernels of `shaders/`, recorded once as programs and replayed.

mod dynamics;
mod dynamics_parts;
mod frame_texture;
mod gate;
mod gpu;
mod heads;
mod kernel_args;
mod kernel_cases;
mod kernels;
mod layers;
mod network;
mod operations;
mod peak_matmul;
mod program;
mod recorded;
mod tile_variants;
mod tokenizer;
mod tuning;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wgpu::{Buffer, BufferUsages};

use driftless_data::Action;
use driftless_model::checkpoint::WorldModel;
use driftless_model::config::WorldConfig;

use self::dynamics::WgpuDynamics;
use self::frame_texture::TextureWriter;
use self::kernel_args::{FrameParams, PassParams};
use self::kernels::KernelPipelines;
use self::operations::SampleOperation;
use self::program::{MAX_RECORDED_STEPS, Program, ProgramBuffers, StageTimer};
use self::tile_variants::{MatmulShape, MatmulTuning};
use self::tokenizer::WgpuTokenizer;
use self::tuning::fastest_tiles;
use super::network::{DenoiseInput, Readback};
use crate::Result;

pub use self::frame_texture::FrameTexture;
pub use self::gate::SubmissionGate;
pub use self::gpu::{AdapterInfo, Gpu, adapters};
pub use self::heads::HeadLayout;
pub use self::kernel_args::RowLayout;
pub use self::kernel_cases::{KernelCaseExport, KernelCheck, exported as kernel_cases};
pub use self::operations::{ArenaLayout, GroupNorm};
pub use self::program::ProgramBuilder;
pub use self::recorded::{RecordedPass, Recorder};
pub use self::weights::{MatrixRef, Weights};

/// Approximate limit on the time that opening a world spends on measuring tiles.
const TUNING_TIME: Duration = Duration::from_secs(2);

/// A region of the arena: offset and length in elements.
type Region = (u32, usize);

/// A world's networks on a GPU.
pub struct WgpuNetwork {
    gpu: Gpu,
    name: String,
    config: WorldConfig,
    kernels: KernelPipelines,
    timer: Option<StageTimer>,
    tokenizer: WgpuTokenizer,
    dynamics: WgpuDynamics,
    weights: Buffer,
    panels: Buffer,
    arena: Buffer,
    frame: Buffer,
    /// Receives what is read back.
    staging: Buffer,
    frame_params: FrameParams,
    /// Scratch: the inputs of memory tokens.
    memory_inputs: Vec<f32>,
    programs: PassPrograms,
    /// Programs of whole frames, by number of steps.
    frame_programs: BTreeMap<usize, Program>,
    /// Present if the window draws with the same device.
    texture_writer: Option<TextureWriter>,
}

/// The programs of single passes.
struct PassPrograms {
    begin_frame: Program,
    read_memory: Program,
    denoise: Program,
    write_cache: Program,
    encode: Program,
    decode: Program,
}

impl PassPrograms {
    fn record(
        gpu: &Gpu,
        kernels: &KernelPipelines,
        buffers: ProgramBuffers,
        dynamics: &WgpuDynamics,
        tokenizer: &WgpuTokenizer,
    ) -> Result<Self> {
        let record = |f: &dyn Fn(&mut ProgramBuilder)| Program::record(gpu, kernels, buffers, f);
        Ok(Self {
            begin_frame: record(&|r| dynamics.begin_frame(r))?,
            read_memory: record(&|r| dynamics.read_memory(r))?,
            denoise: record(&|r| dynamics.denoise(r, 0))?,
            write_cache: record(&|r| dynamics.write_cache(r, 0))?,
            encode: record(&|r| tokenizer.encode(r, dynamics.output))?,
            decode: record(&|r| tokenizer.decode(r, dynamics.output))?,
        })
    }
}

/// What a submission read back.
struct SubmissionResult {
    /// The requested regions, concatenated.
    values: Vec<f32>,
    /// Duration of each stage, if the device has timestamps.
    times: Option<[Duration; 3]>,
}

impl WgpuNetwork {
    /// Uploads a world's weights and records its passes, with the default tiles.
    ///
    /// # Errors
    /// Returns an error if the world does not fit into the device's buffers, or the device is lost.
    pub fn new(world: &WorldModel, gpu: &Gpu) -> Result<Self> {
        gpu.scoped(|| Self::upload(world, gpu))
    }

    /// Like [`WgpuNetwork::new`], with the tiles that multiply this world's matrices fastest on this
    /// device. Measurements are stored in the platform's cache folder.
    ///
    /// # Errors
    /// Returns an error if the world does not fit into the device's buffers, or the device is lost.
    pub fn tuned(world: &WorldModel, gpu: &Gpu) -> Result<Self> {
        gpu.scoped(|| {
            let mut network = Self::upload(world, gpu)?;
            let (products, kernels) = (network.products(), &network.kernels);
            let tuning = fastest_tiles(gpu, kernels, &products, TUNING_TIME)?;
            network.set_tuning(tuning)?;
            Ok(network)
        })
    }

    fn upload(world: &WorldModel, gpu: &Gpu) -> Result<Self> {
        let config = &world.config;
        let (mut weights, mut arena) = (Weights::default(), ArenaLayout::default());
        let tokenizer =
            WgpuTokenizer::new(&mut weights, &mut arena, &world.tokenizer.export()?, config);
        let dynamics =
            WgpuDynamics::new(&mut weights, &mut arena, &world.dynamics.export()?, config);
        let kernels = KernelPipelines::new(gpu, dynamics.heads.padded);
        let (weights, panels) = (weights.upload(gpu)?, weights.upload_panels(gpu)?);
        let arena = gpu.storage("activations and KV cache", arena.len as usize)?;
        let passes = size_of::<PassParams>() * (MAX_RECORDED_STEPS + 1);
        let frame = gpu.storage("frame parameters", (size_of::<FrameParams>() + passes) / 4)?;
        let buffers = ProgramBuffers {
            weights: &weights,
            panels: &panels,
            arena: &arena,
            frame: &frame,
        };
        let programs = PassPrograms::record(gpu, &kernels, buffers, &dynamics, &tokenizer)?;
        let size = config.image.map(|side| side as u32);
        let texture_writer = || TextureWriter::new(gpu, tokenizer.image, size);
        let network = Self {
            texture_writer: gpu.shared.then(texture_writer),
            name: format!("wgpu {}", gpu.name),
            programs,
            frame_programs: BTreeMap::new(),
            staging: staging_buffer(gpu, config, &dynamics),
            gpu: gpu.clone(),
            config: config.clone(),
            timer: StageTimer::new(gpu),
            kernels,
            tokenizer,
            dynamics,
            weights,
            panels,
            arena,
            frame,
            frame_params: bytemuck::Zeroable::zeroed(),
            memory_inputs: Vec::new(),
        };
        let (at, position) = &network.dynamics.position;
        network.write_arena(*at, position);
        gpu.check()?;
        Ok(network)
    }

    /// Shapes of the matrix products of a frame with two steps, with their counts. The proportions are
    /// nearly the same with more steps.
    fn products(&self) -> BTreeMap<MatmulShape, usize> {
        let mut builder = ProgramBuilder::default();
        self.tokenizer.encode(&mut builder, self.dynamics.output);
        self.record_frame(&mut builder, 2);
        builder.products
    }

    /// Records all passes again with other tiles.
    fn set_tuning(&mut self, tuning: MatmulTuning) -> Result<()> {
        self.kernels.tuning = Arc::new(tuning);
        self.frame_programs.clear();
        self.programs = PassPrograms::record(
            &self.gpu,
            &self.kernels,
            self.buffers(),
            &self.dynamics,
            &self.tokenizer,
        )?;
        Ok(())
    }

    fn buffers(&self) -> ProgramBuffers<'_> {
        ProgramBuffers {
            weights: &self.weights,
            panels: &self.panels,
            arena: &self.arena,
            frame: &self.frame,
        }
    }

    fn record(&self, f: &dyn Fn(&mut ProgramBuilder)) -> Result<Program> {
        Program::record(&self.gpu, &self.kernels, self.buffers(), f)
    }

    fn write_arena(&self, at: u32, values: &[f32]) {
        let bytes = bytemuck::cast_slice(values);
        let at = u64::from(at) * 4;
        self.gpu.queue.write_buffer(&self.arena, at, bytes);
    }

    /// Replays `program`, writes the frame into the texture with index `texture`, and reads `regions` of the
    /// arena back; each of them is optional.
    fn run(
        &self,
        program: Option<&Program>,
        texture: Option<usize>,
        regions: &[Region],
    ) -> Result<SubmissionResult> {
        self.gpu.scoped(|| self.submit(program, texture, regions))
    }

    fn submit(
        &self,
        program: Option<&Program>,
        texture: Option<usize>,
        regions: &[Region],
    ) -> Result<SubmissionResult> {
        let label = wgpu::CommandEncoderDescriptor {
            label: Some("engine"),
        };
        let mut encoder = self.gpu.device.create_command_encoder(&label);
        let timer = self.timer.as_ref();
        let timer = timer.filter(|_| program.is_some_and(Program::is_full_frame));
        if let Some(program) = program {
            program.encode(&mut encoder, timer);
        }
        if let (Some(texture), Some(writer)) = (texture, &self.texture_writer) {
            writer.encode(texture, &mut encoder);
        }
        let staging = &self.staging;
        let mut at = 0;
        for (from, len) in regions.iter().filter(|(_, len)| *len > 0) {
            let bytes = (len * size_of::<f32>()) as u64;
            encoder.copy_buffer_to_buffer(&self.arena, u64::from(*from) * 4, staging, at, bytes);
            at += bytes;
        }
        let values_end = at as usize;
        if let Some(timer) = timer {
            encoder.copy_buffer_to_buffer(&timer.timestamps, 0, staging, at, StageTimer::BYTES);
            at += StageTimer::BYTES;
        }
        let submission = self.gpu.submit(encoder.finish());
        if at == 0 {
            self.gpu.check()?;
            return Ok(SubmissionResult {
                values: Vec::new(),
                times: None,
            });
        }
        let mut bytes = vec![0; at as usize];
        self.gpu.read(staging, submission, &mut bytes)?;
        Ok(SubmissionResult {
            values: bytemuck::pod_collect_to_vec(&bytes[..values_end]),
            times: timer.map(|timer| timer.durations(&bytes[values_end..])),
        })
    }

    /// Arena regions of the parts of a [`Readback`].
    fn regions(&self, readback: &Readback) -> [Region; 3] {
        [
            (self.dynamics.latent, readback.latent.len()),
            (self.dynamics.past, readback.past.len()),
            (self.tokenizer.image, readback.image.len()),
        ]
    }

    /// Uploads the input of a single pass.
    fn upload_input(&mut self, input: &DenoiseInput) {
        self.write_arena(self.dynamics.z, input.z);
        self.set_action(input.action);
        self.upload_frame_params(&[PassParams::without_step(input.tau, input.step_index)]);
    }

    fn set_action(&mut self, action: Action) {
        self.frame_params.action = action.index;
        self.frame_params.axes = action.axes;
    }

    fn upload_frame_params(&self, passes: &[PassParams]) {
        let bytes = [
            bytemuck::bytes_of(&self.frame_params),
            bytemuck::cast_slice(passes),
        ]
        .concat();
        self.gpu.queue.write_buffer(&self.frame, 0, &bytes);
    }

    /// Sets the current frame's KV cache slot and how many earlier frames it attends to.
    fn set_frame(&mut self, frame: u64, attended_frames: usize) {
        let slots = u64::from(self.dynamics.slots);
        if slots > 0 {
            self.frame_params.slot = (frame % slots) as u32;
            self.frame_params.slots = self.dynamics.slots;
            self.frame_params.attended_frames = attended_frames as u32;
        }
    }

    /// Records a whole frame of `steps` steps, from noise to pixels.
    fn record_frame(&self, r: &mut ProgramBuilder, steps: usize) {
        let (d, len) = (&self.dynamics, self.config.latent_len() as u32);
        d.begin_frame(r);
        r.sample(SampleOperation::InitialNoise, [d.z, d.z], len, 0);
        for k in 0..steps as u32 {
            d.denoise(r, k);
            r.sample(SampleOperation::Step, [d.z, d.output], len, k);
        }
        let (z, clean) = (
            RowLayout::contiguous(d.z, len),
            RowLayout::contiguous(d.clean, len),
        );
        r.copy([1, len], z, clean);
        r.sample(SampleOperation::ContextNoise, [d.z, d.clean], len, 0);
        r.begin_stage();
        d.write_cache(r, steps as u32);
        d.finish_frame(r);
        r.begin_stage();
        self.tokenizer.decode(r, d.latent);
    }
}

/// A buffer for the largest readback: all KV caches and delta states, or a frame with its timestamps.
fn staging_buffer(gpu: &Gpu, config: &WorldConfig, dynamics: &WgpuDynamics) -> Buffer {
    let caches = dynamics.kv_caches().count() * 2;
    let cache_len = (dynamics.slots * dynamics.tokens) as usize * dynamics.heads.width();
    let past = config.latent_len() * config.dynamics.stem_frames;
    let frame_len = dynamics.report_len() + config.latent_len() + past + config.image_len();
    let states = dynamics.states().count() * dynamics.tokens as usize;
    let state_len = dynamics.heads.width() * dynamics.heads.padded;
    let largest = (caches * cache_len + states * state_len).max(frame_len);
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("staging"),
        size: (largest * 4) as u64 + StageTimer::BYTES,
        usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

#[cfg(test)]
mod frame_tests;
#[cfg(test)]
mod kernel_tests;
