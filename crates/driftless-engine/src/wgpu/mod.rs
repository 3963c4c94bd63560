//! The engine on any GPU through wgpu: the kernels of `shaders/`, recorded once and replayed.

mod dynamics;
mod gpu;
mod kernels;
mod network;
mod ops;
mod painting;
mod parts;
mod peak;
mod program;
mod recorder;
mod tokenizer;
mod tuning;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wgpu::{Buffer, BufferUsages};

use self::dynamics::Dynamics;
use self::kernels::Kernels;
use self::network::RECORDED_STEPS;
use self::ops::{FrameHead, PassValues, Rows};
use self::painting::Painter;
use self::program::{Buffers, Clock, Program, Recorder};
use self::recorder::{Arena, Sample};
use self::tokenizer::Tokenizer;
use self::tuning::{Cache, Shape, Tuning};
use self::weights::Weights;
use super::network::{Ask, Copies};
use super::sampler::Sampler;
use crate::Result;
use driftless_model::checkpoint::World;
use driftless_model::config::WorldConfig;

pub use self::gpu::{AdapterReport, Gpu, adapters};
pub use self::painting::Painting;

/// About the longest time for which a start waits to find out which tiles are fastest.
const TUNING_TIME: Duration = Duration::from_secs(2);

/// The engine that runs WGSL kernels on a GPU.
pub type WgpuEngine = Sampler<WgpuNetwork>;

impl WgpuEngine {
    /// Uploads a world's weights and records its passes.
    ///
    /// # Errors
    /// The world does not fit into the device's buffers, or the device is lost.
    pub fn new(world: &World, gpu: &Gpu) -> Result<Self> {
        let network = gpu.scoped(|| WgpuNetwork::new(world, gpu))?;
        Ok(Self::around(network, world.config.clone()))
    }

    /// The same with the tiles that multiply this world's matrices fastest on this device; what is
    /// measured for that is kept in the platform's cache folder.
    ///
    /// # Errors
    /// The world does not fit into the device's buffers, or the device is lost.
    pub fn tuned(world: &World, gpu: &Gpu) -> Result<Self> {
        let cache = Cache::platform();
        let network = gpu.scoped(|| {
            let mut network = WgpuNetwork::new(world, gpu)?;
            let kept = cache.as_ref().map(|cache| cache.read(gpu));
            let (products, kernels) = (network.products(), &network.kernels);
            let kept = kept.unwrap_or_default();
            let (tuning, measured) = kept.measure(gpu, kernels, &products, TUNING_TIME)?;
            if let (1.., Some(cache)) = (measured, &cache)
                && let Err(error) = cache.write(gpu, &tuning)
            {
                tracing::warn!("measured again next time: {error}");
            }
            network.tune(tuning);
            Ok(network)
        })?;
        Ok(Self::around(network, world.config.clone()))
    }
}

/// A world's networks on a GPU.
pub struct WgpuNetwork {
    gpu: Gpu,
    name: String,
    config: WorldConfig,
    kernels: Kernels,
    clock: Option<Clock>,
    tokenizer: Tokenizer,
    dynamics: Dynamics,
    weights: Buffer,
    panels: Buffer,
    arena: Buffer,
    frame: Buffer,
    /// What is read back.
    staging: Buffer,
    head: FrameHead,
    begin: Program,
    denoise: Program,
    cache: Program,
    encode: Program,
    decode: Program,
    /// Whole frames, by their number of steps.
    frames: BTreeMap<usize, Program>,
    /// Where a window draws with the same device.
    painter: Option<Painter>,
}

/// What a submission brought back.
struct Back {
    /// The regions that were asked for, one after the other.
    numbers: Vec<f32>,
    /// How long the stages took, where the device has a clock.
    times: Option<[Duration; 3]>,
}

impl WgpuNetwork {
    fn new(world: &World, gpu: &Gpu) -> Result<Self> {
        let config = &world.config;
        let (mut weights, mut arena) = (Weights::default(), Arena::default());
        let tokenizer = Tokenizer::new(&mut weights, &mut arena, &world.tokenizer, config)?;
        let dynamics = Dynamics::new(&mut weights, &mut arena, &world.dynamics, config)?;
        let kernels = Kernels::new(gpu, dynamics.heads.padded);
        let (weight_buffer, panels) = (weights.upload(gpu)?, weights.upload_panels(gpu)?);
        let arena_buffer = gpu.storage("activations and rings", arena.len as usize)?;
        let (at, position) = &dynamics.position;
        let bytes = bytemuck::cast_slice(position);
        gpu.queue
            .write_buffer(&arena_buffer, u64::from(*at) * 4, bytes);
        let passes = size_of::<PassValues>() * (RECORDED_STEPS + 1);
        let frame = gpu.storage("values of a frame", (size_of::<FrameHead>() + passes) / 4)?;
        let rings = dynamics.rings().count() * 2;
        let ring = (dynamics.slots * dynamics.tokens) as usize * dynamics.heads.width();
        let past = config.latent_len() * config.dynamics.stem_frames;
        let frame_len = Dynamics::REPORT + config.latent_len() + past + config.image_len();
        let largest = (rings * ring).max(frame_len);
        let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: (largest * 4) as u64 + Clock::BYTES,
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let buffers = Buffers {
            weights: &weight_buffer,
            panels: &panels,
            arena: &arena_buffer,
            frame: &frame,
        };
        let record = |f: &dyn Fn(&mut Recorder)| Program::record(gpu, &kernels, buffers, f);
        let size = config.image.map(|side| side as u32);
        let painter = || Painter::new(gpu, tokenizer.image, size);
        let network = Self {
            painter: gpu.shared.then(painter),
            name: format!("wgpu {}", gpu.name),
            begin: record(&|r| dynamics.begin(r)),
            denoise: record(&|r| dynamics.denoise(r, 0)),
            cache: record(&|r| dynamics.cache(r, 0)),
            encode: record(&|r| tokenizer.encode(r, dynamics.x)),
            decode: record(&|r| tokenizer.decode(r, dynamics.x)),
            frames: BTreeMap::new(),
            gpu: gpu.clone(),
            config: config.clone(),
            clock: Clock::new(gpu),
            kernels,
            tokenizer,
            dynamics,
            weights: weight_buffer,
            panels,
            arena: arena_buffer,
            frame,
            staging,
            head: bytemuck::Zeroable::zeroed(),
        };
        gpu.check()?;
        Ok(network)
    }

    /// The products of a frame of two steps, and how often each is made: of many steps, nearly the same.
    fn products(&self) -> BTreeMap<Shape, usize> {
        let mut recorder = Recorder::default();
        self.tokenizer.encode(&mut recorder, self.dynamics.x);
        self.record_frame(&mut recorder, 2);
        recorder.products
    }

    /// Records all passes again, with other tiles.
    fn tune(&mut self, tuning: Tuning) {
        self.kernels.tuning = Arc::new(tuning);
        self.frames.clear();
        let (d, t) = (&self.dynamics, &self.tokenizer);
        let begin = self.record(&|r| d.begin(r));
        let denoise = self.record(&|r| d.denoise(r, 0));
        let cache = self.record(&|r| {
            d.cache(r, 0);
        });
        let encode = self.record(&|r| t.encode(r, d.x));
        let decode = self.record(&|r| t.decode(r, d.x));
        (self.begin, self.denoise, self.cache) = (begin, denoise, cache);
        (self.encode, self.decode) = (encode, decode);
    }

    fn record(&self, f: &dyn Fn(&mut Recorder)) -> Program {
        let buffers = Buffers {
            weights: &self.weights,
            panels: &self.panels,
            arena: &self.arena,
            frame: &self.frame,
        };
        Program::record(&self.gpu, &self.kernels, buffers, f)
    }

    fn write(&self, at: u32, numbers: &[f32]) {
        let bytes = bytemuck::cast_slice(numbers);
        let at = u64::from(at) * 4;
        self.gpu.queue.write_buffer(&self.arena, at, bytes);
    }

    /// Replays `program`, paints on a canvas if there is one, and brings back regions of the arena, each
    /// where it begins and how long it is.
    fn run(
        &self,
        program: Option<&Program>,
        canvas: Option<usize>,
        regions: &[(u32, usize)],
    ) -> Result<Back> {
        self.gpu
            .scoped(|| self.run_unguarded(program, canvas, regions))
    }

    fn run_unguarded(
        &self,
        program: Option<&Program>,
        canvas: Option<usize>,
        regions: &[(u32, usize)],
    ) -> Result<Back> {
        let label = wgpu::CommandEncoderDescriptor {
            label: Some("engine"),
        };
        let mut encoder = self.gpu.device.create_command_encoder(&label);
        let clock = self.clock.as_ref();
        let clock = clock.filter(|_| program.is_some_and(Program::is_staged));
        if let Some(program) = program {
            program.encode(&mut encoder, clock);
        }
        if let (Some(canvas), Some(painter)) = (canvas, &self.painter) {
            painter.encode(canvas, &mut encoder);
        }
        let staging = &self.staging;
        let mut at = 0;
        for (from, numbers) in regions.iter().filter(|(_, numbers)| *numbers > 0) {
            let bytes = (numbers * size_of::<f32>()) as u64;
            encoder.copy_buffer_to_buffer(&self.arena, u64::from(*from) * 4, staging, at, bytes);
            at += bytes;
        }
        let end = at as usize;
        if let Some(clock) = clock {
            encoder.copy_buffer_to_buffer(&clock.times, 0, staging, at, Clock::BYTES);
            at += Clock::BYTES;
        }
        let submission = self.gpu.queue.submit([encoder.finish()]);
        if at == 0 {
            self.gpu.check()?;
            return Ok(Back {
                numbers: Vec::new(),
                times: None,
            });
        }
        let mut all = vec![0; at as usize];
        self.gpu.read(staging, submission, &mut all)?;
        Ok(Back {
            numbers: bytemuck::pod_collect_to_vec(&all[..end]),
            times: clock.map(|clock| clock.durations(&all[end..])),
        })
    }

    /// Where the parts of a frame's copies are.
    fn regions(&self, copies: &Copies) -> [(u32, usize); 3] {
        [
            (self.dynamics.latent, copies.latent.len()),
            (self.dynamics.past, copies.past.len()),
            (self.tokenizer.image, copies.image.len()),
        ]
    }

    /// Hands a pass over to the device.
    fn ask(&mut self, ask: &Ask) {
        self.write(self.dynamics.z, ask.z);
        self.head.action = ask.action;
        self.write_frame(&[PassValues {
            tau: ask.signal,
            keep: 0.0,
            take: 0.0,
            step: ask.step,
        }]);
    }

    fn write_frame(&self, passes: &[PassValues]) {
        let bytes = [bytemuck::bytes_of(&self.head), bytemuck::cast_slice(passes)].concat();
        self.gpu.queue.write_buffer(&self.frame, 0, &bytes);
    }

    /// Where a frame lies among the earlier ones.
    fn turn_to(&mut self, frame: u64, seen: usize) {
        let slots = u64::from(self.dynamics.slots);
        if slots > 0 {
            self.head.slot = (frame % slots) as u32;
            self.head.slots = self.dynamics.slots;
            self.head.seen = seen as u32;
        }
    }

    /// A frame from noise to pixels in `steps` steps.
    fn record_frame(&self, r: &mut Recorder, steps: usize) {
        let (d, numbers) = (&self.dynamics, self.config.latent_len() as u32);
        d.begin(r);
        r.sample(Sample::Start, [d.z, d.z], numbers, 0);
        for k in 0..steps as u32 {
            d.denoise(r, k);
            r.sample(Sample::Step, [d.z, d.x], numbers, k);
        }
        let all = [1, numbers];
        r.copy(
            all,
            Rows::plain(d.z, numbers),
            Rows::plain(d.clean, numbers),
        );
        r.sample(Sample::Context, [d.z, d.clean], numbers, 0);
        r.mark();
        d.cache(r, steps as u32);
        d.close(r);
        r.mark();
        self.tokenizer.decode(r, d.latent);
    }

    /// Numbers of one ring's keys, or values, as the kernels have them and as snapshots do.
    fn ring_lengths(&self) -> (usize, usize) {
        let d = &self.dynamics;
        let rows = (d.slots * d.tokens) as usize;
        (rows * d.heads.width(), rows * d.heads.count * d.heads.own)
    }
}

#[cfg(test)]
mod frame_tests;
#[cfg(test)]
mod tests;
