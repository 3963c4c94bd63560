//! `driftless eval --memory`: does a world of the maze remember what it no longer sees?

use driftless::Result;
use driftless_engine::{DeviceOptions, Sampler, SamplerParams, Threads};
use driftless_eval::EvalProgress;
use driftless_eval::memory::rollout::WorldRollout;
use driftless_eval::memory::{self, MemoryOptions, MemoryReport};

/// The arguments of `eval` that belong to `--memory`.
#[derive(clap::Args)]
pub struct MemoryArgs {
    /// Measure instead whether a world of the maze remembers: scripted walks through mazes that no
    /// recording contains come back to what they have seen. Needs no --data.
    #[arg(long, conflicts_with_all = ["data", "alarm", "probe", "pictures", "free_frames", "free_runs", "free_bin", "horizon", "clip"])]
    memory: bool,
    /// With --memory: frames of the rollout that is timed, at frame 100, 1,000 and 10,000; 0 skips it.
    #[arg(long, value_name = "N", requires = "memory", conflicts_with = "data", default_value_t = MemoryOptions::default().timed_frames)]
    timed_frames: usize,
    /// With --memory: mazes for which a probe is trained that reads position and direction from a frame;
    /// 0 skips it.
    #[arg(long, value_name = "N", requires = "memory", conflicts_with = "data", default_value_t = MemoryOptions::default().pose_mazes)]
    pose_mazes: usize,
}

impl MemoryArgs {
    /// Measures the world of `engine`, of which `open` opens more for as many threads as there are.
    pub fn measure(
        &self,
        engine: Sampler,
        device: DeviceOptions,
        open: &dyn Fn(DeviceOptions) -> driftless_engine::Result<Sampler>,
        sequences: Option<usize>,
        params: SamplerParams,
    ) -> Result<MemoryReport> {
        memory::check_world(engine.world())?;
        let engines = match engine.name() {
            "cpu" => several(device, open)?,
            _ => vec![engine],
        };
        let rollouts = engines
            .into_iter()
            .map(|engine| WorldRollout::new(engine, params));
        let defaults = MemoryOptions::default();
        let sequences = sequences.unwrap_or(defaults.sequences);
        let options = MemoryOptions {
            sequences,
            pose_mazes: self.pose_mazes.min(sequences),
            timed_frames: self.timed_frames,
            ..defaults
        };
        let bar = super::bar(0, "sequences");
        let mut show = |done: usize, total: usize| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        };
        let mut rollouts: Vec<WorldRollout> = rollouts.collect();
        let report = memory::run(&mut rollouts, &options, &mut EvalProgress::new(&mut show))?;
        bar.finish_and_clear();
        Ok(report)
    }
}

/// An engine of one thread for each thread that is to compute. The frames do not depend on it.
fn several(
    device: DeviceOptions,
    open: &dyn Fn(DeviceOptions) -> driftless_engine::Result<Sampler>,
) -> Result<Vec<Sampler>> {
    let one = DeviceOptions {
        threads: Threads::ONE,
        ..device
    };
    let engines = (0..device.threads.or_all_cores().get()).map(|_| Ok(open(one)?));
    engines.collect()
}
