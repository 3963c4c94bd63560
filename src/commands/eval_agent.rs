//! `driftless eval --agent`: what agents earn in the real game.

use std::path::PathBuf;
use std::sync::Arc;

use driftless::{Error, Result, interrupt};
use driftless_agent::Agent;
use driftless_data::PathError as _;
use driftless_engine::{Backend, Threads, open_on_backend};
use driftless_eval::agent::{self, AgentEvalOptions, AgentReport};
use driftless_model::checkpoint::read_config;

/// The arguments of `eval` that belong to `--agent`.
#[derive(clap::Args)]
pub struct AgentArgs {
    /// Measure instead what the agents of these checkpoints earn in the real game, a simulator, beside random
    /// and scripted play: folders or names of worlds, all of the same world. Needs no --data.
    #[arg(long, value_name = "DIR|NAME,...", value_delimiter = ',', conflicts_with_all = ["checkpoint", "data", "memory", "alarm", "clips", "probe", "pictures", "sequences", "steps", "free_frames", "free_runs", "free_bin", "horizon", "clip", "lpips", "device"])]
    pub agent: Vec<PathBuf>,
    /// With --agent: episodes of every policy, at least 2.
    #[arg(long, value_name = "N", requires = "agent", default_value_t = AgentEvalOptions::default().episodes)]
    episodes: usize,
    /// With --agent: most frames of an episode.
    #[arg(long, value_name = "N", requires = "agent", default_value_t = AgentEvalOptions::default().frames)]
    episode_frames: usize,
    /// With --agent: frames of the dreams that are compared with as many real ones; at most those of an episode.
    #[arg(long, value_name = "N", requires = "agent", default_value_t = AgentEvalOptions::default().dreamt_frames)]
    dreamt_frames: usize,
    /// With --agent: also let every agent plan, and dream this many frames before each move (at least 40).
    #[arg(long, value_name = "N", requires = "agent", default_value_t = 0)]
    planned_frames: usize,
}

impl AgentArgs {
    /// Lets the agents play, from the episode of `seed` on; so many threads plan and dream.
    ///
    /// # Errors
    /// Returns an error if a checkpoint holds no agent of the world, if no simulator is that world's, if a
    /// frame fails, or on Ctrl-C.
    pub fn measure(&self, seed: u64, threads: Threads) -> Result<AgentReport> {
        let folders = self.agent.iter().map(|folder| super::checkpoint(folder));
        let folders: Vec<PathBuf> = folders.collect::<Result<_>>()?;
        let Some(first) = folders.first() else {
            return Err(Error::Argument("--agent: expected a checkpoint".into()));
        };
        let sampler = open_on_backend(first, &Backend::Cpu(Threads::ONE))?;
        let agents = folders.iter().map(|folder| {
            if !Agent::is_in(folder) {
                let what = "contains no agent; train one with: driftless train agent";
                return Err(Error::invalid(folder, what));
            }
            let world = read_config(folder)?;
            if world.image != sampler.world().image || world.actions != sampler.world().actions {
                let first = first.display();
                let what = format!("is another world than {first}, expected agents of one world");
                return Err(Error::invalid(folder, what));
            }
            Ok(Arc::new(Agent::read(folder, sampler.world())?))
        });
        let agents: Vec<Arc<Agent>> = agents.collect::<Result<_>>()?;
        let options = AgentEvalOptions {
            episodes: self.episodes,
            frames: self.episode_frames,
            dreamt_frames: self.dreamt_frames,
            seed,
            threads: threads.or_all_cores(),
            planned_frames: self.planned_frames,
        };
        interrupt::watch();
        let bar = super::bar(0, "episodes");
        let report = agent::run(&sampler, &agents, &options, &|done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            !interrupt::requested()
        })?;
        bar.finish_and_clear();
        Ok(report)
    }
}
