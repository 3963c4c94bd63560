//! `driftless train`: trains a world, an agent, a clip network or a transport network from a dataset.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use driftless::{Error, Result, interrupt};
use driftless_data::cells::CellDataset;
use driftless_data::layout::checkpoint::{AGENT_WEIGHTS, CLIP_WEIGHTS};
use driftless_engine::DeviceChoice;
use driftless_model::checkpoint::{CONFIG, DYNAMICS, STARTING_CLIPS, TOKENIZER};
use driftless_shards::{CacheOptions, Location};
use driftless_train::ranks::Ranks;
use driftless_train::{
    AgentOptions, ClipOptions, PresetChoice, RunLayout, ShardOptions, StepReport, TrainOptions,
    TrainOutcome, TrainPreset, TrainProgress, TrainStage, TransportOptions, run_agent, run_clip,
    run_transport,
};
use driftless_transport::config::WEIGHTS as TRANSPORT_WEIGHTS;

use super::progress::{Progress, is_quiet};

/// What to train.
#[derive(Clone, Copy, ValueEnum)]
enum Network {
    /// The tokenizer: frames to latents and back.
    Tokenizer,
    /// The dynamics: the next latent. Needs a trained tokenizer in the run's folder.
    Dynamics,
    /// The tokenizer, then the dynamics.
    All,
    /// A flow from untreated to treated cells, from a dataset of cells (docs/cells.md).
    Transport,
    /// A clip network of a world: whole clips from prompts, from a dataset with captions (docs/clips.md).
    Clip,
    /// An agent that plays a world: first it clones recorded play, then it learns in the dream (docs/agent.md).
    Agent,
}

impl Network {
    fn stages(self) -> Vec<TrainStage> {
        match self {
            Self::Transport => vec![TrainStage::Transport],
            Self::Clip => vec![TrainStage::ClipActions, TrainStage::Clip],
            Self::Agent => vec![TrainStage::Cloning, TrainStage::Imagination],
            Self::Tokenizer => vec![TrainStage::Tokenizer],
            Self::Dynamics => vec![TrainStage::Dynamics],
            Self::All => TrainStage::ALL.to_vec(),
        }
    }
}

/// Arguments of `train`.
#[derive(clap::Args)]
pub struct Args {
    /// Network to train.
    stage: Network,
    /// Dataset folder: dataset.json and episodes (*.npz). Or the manifest of shards (shards.json), or where it is: a
    /// folder, s3://BUCKET/PREFIX, https://HOST/PATH.
    #[arg(long, value_name = "DIR|MANIFEST")]
    data: PathBuf,
    /// Keep shards of a server in this folder, for the next epoch or run.
    #[arg(long, value_name = "DIR")]
    shard_cache: Option<PathBuf>,
    /// The most MiB in it; the least recently used shards are removed first.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16384,
        requires = "shard_cache"
    )]
    shard_cache_mib: u64,
    /// Dataset folder of additional video of the same world, trained on together with --data. Its
    /// actions are treated as unknown.
    #[arg(long, value_name = "DIR")]
    unlabelled: Option<PathBuf>,
    /// The world (a folder, or its name) whose tokenizer a new clip network works on, or that a new agent
    /// plays; the run's checkpoint is that world with the network. A resumed run has it already.
    #[arg(long, value_name = "DIR|NAME")]
    world: Option<PathBuf>,
    /// Folder of a BERT in the form of Hugging Face (config.json, tokenizer.json, model.safetensors) that reads the
    /// captions of a clip network, instead of a vocabulary of their own.
    #[arg(long, value_name = "DIR")]
    text_encoder: Option<PathBuf>,
    /// Start from the weights of a checkpoint (a folder, or the name of a world) instead of
    /// random ones; `train dynamics` also uses its tokenizer if the run has none.
    #[arg(long, value_name = "DIR|NAME", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Folder of the run; the playable world is in its `checkpoint` folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Settings file (TOML); missing keys keep their defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Preset sizes of networks and batches for the keys that --config does not set, instead of the
    /// run's own settings or `tiny`. A new run without both takes `fine` if the data shows small things that
    /// move in front of changing scenes.
    #[arg(long, value_enum)]
    preset: Option<TrainPreset>,
    /// Skip episodes that cannot be read, with a warning for each.
    #[arg(long)]
    skip_bad: bool,
    /// Resume the run in --out from its last saved step.
    #[arg(long)]
    resume: bool,
    /// Compute device.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Save and stop each stage at this step; the schedule in the settings is unchanged.
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Save and stop after this many minutes.
    #[arg(long, value_name = "M")]
    max_minutes: Option<f64>,
    /// Seed of weights, batches and noise, instead of the one in the settings.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Trains the networks.
///
/// # Errors
/// Returns an error if the data, the settings or the device cannot be used, if the run exists and
/// --resume is not given, if the loss diverges, or if a file cannot be written.
pub fn run(args: Args) -> Result<()> {
    match args.stage {
        Network::Tokenizer | Network::Dynamics | Network::All => train_world(args),
        Network::Transport | Network::Clip | Network::Agent if started_together() => {
            Err(Error::Argument(
                "several processes train a tokenizer or a dynamics only: start this training without \
                 mpirun (docs/several_machines.md)"
                    .into(),
            ))
        }
        Network::Transport | Network::Clip | Network::Agent if Location::is_meant_by(&args.data) => {
            // An address that holds credentials is not repeated.
            let data = Location::parse(&args.data)?;
            Err(Error::Argument(format!(
                "{data}: shards train a tokenizer or a dynamics only, expected a folder of episodes"
            )))
        }
        Network::Transport => transport(args),
        Network::Clip => clip(args),
        Network::Agent => agent(args),
    }
}

/// Trains a tokenizer, a dynamics, or both.
fn train_world(args: Args) -> Result<()> {
    refuse(
        &[("--world", args.world.is_some())],
        "clip networks and agents",
    )?;
    refuse(
        &[("--text-encoder", args.text_encoder.is_some())],
        "clip networks",
    )?;
    let from = args.from.as_deref().map(super::checkpoint).transpose()?;
    let name = args.stage.to_possible_value();
    let options = TrainOptions {
        from,
        stages: args.stage.stages(),
        data: args.data,
        unlabelled: args.unlabelled,
        out: args.out,
        config: args.config,
        preset: args.preset,
        skip_bad: args.skip_bad,
        resume: args.resume,
        device: args.device,
        max_steps: args.max_steps,
        max_minutes: args.max_minutes,
        seed: args.seed,
        ranks: ranks()?,
        shards: ShardOptions {
            cache: args.shard_cache.map(|folder| CacheOptions {
                folder,
                bytes: args.shard_cache_mib.saturating_mul(1 << 20),
            }),
            interrupted: interrupt::requested,
        },
    };
    let outcome = train_on_ranks(&options)?;
    if !options.ranks.is_first() {
        return Ok(());
    }
    let stage = match &name {
        Some(name) if outcome != TrainOutcome::Finished => name.get_name(),
        // The tokenizer is there.
        _ => "dynamics",
    };
    say_what_next(&options, outcome, stage);
    Ok(())
}

/// Trains a world, alone or as one of several ranks. An error ends all of them.
fn train_on_ranks(options: &TrainOptions) -> Result<TrainOutcome> {
    let ranks = &options.ranks;
    let result = if ranks.is_first() {
        driftless_train::run(options, &mut TerminalProgress::default())
    } else {
        driftless_train::run(options, &mut ())
    };
    let result = result.map_err(|error| super::about(&options.data, error));
    if let Err(error) = &result
        && ranks.size() > 1
    {
        eprintln!("error: rank {}: {error}", ranks.rank());
        ranks.abort();
    }
    result
}

/// The processes that were started together, by `mpirun` for example.
#[cfg(feature = "mpi")]
fn ranks() -> Result<Ranks> {
    Ok(driftless_train::ranks::mpi::start()?)
}

/// Only this process. Several that do not know each other would train the same run.
#[cfg(not(feature = "mpi"))]
fn ranks() -> Result<Ranks> {
    if started_together() {
        return Err(Error::Argument(
            "this program was built without MPI: build it with --features mpi (docs/several_machines.md)"
                .into(),
        ));
    }
    Ok(Ranks::default())
}

/// Whether this is one of several processes that `mpirun` started, by what Open MPI or MPICH tells them.
fn started_together() -> bool {
    let several = |name| std::env::var(name).is_ok_and(|size| size != "1");
    ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]
        .into_iter()
        .any(several)
}

/// Refuses the first option that was given though the network to be trained does not know it.
fn refuse(options: &[(&str, bool)], of: &str) -> Result<()> {
    match options.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::Argument(format!(
            "{name} is for {of}: the network that you train does not know it"
        ))),
        None => Ok(()),
    }
}

/// Trains a clip network.
fn clip(args: Args) -> Result<()> {
    let unused = [
        ("--unlabelled", args.unlabelled.is_some()),
        ("--preset", args.preset.is_some()),
        ("--shard-cache", args.shard_cache.is_some()),
    ];
    refuse(&unused, "worlds")?;
    let folder = |world: Option<PathBuf>| world.as_deref().map(super::checkpoint).transpose();
    let options = ClipOptions {
        world: folder(args.world)?,
        from: folder(args.from)?,
        text_encoder: args.text_encoder,
        data: args.data,
        out: args.out,
        config: args.config,
        skip_bad: args.skip_bad,
        resume: args.resume,
        device: args.device,
        max_steps: args.max_steps,
        max_minutes: args.max_minutes,
        seed: args.seed,
    };
    let outcome = run_clip(&options, &mut TerminalProgress::default())
        .map_err(|error| super::about(&options.data, error))?;
    let checkpoint = RunLayout::new(&options.out).checkpoint();
    let world = super::shell_word(&checkpoint);
    let encoder = options.text_encoder.as_ref();
    let encoder = encoder.map(|folder| format!(" --text-encoder {}", super::shell_word(folder)));
    let encoder = encoder.unwrap_or_default();
    let next =
        format!("make a clip with: driftless film PROMPT --world {world}{encoder} --out clip.gif");
    say_end(outcome, &checkpoint.join(CLIP_WEIGHTS), &next);
    Ok(())
}

/// Trains an agent.
fn agent(args: Args) -> Result<()> {
    let unused = [
        ("--unlabelled", args.unlabelled.is_some()),
        ("--preset", args.preset.is_some()),
        ("--shard-cache", args.shard_cache.is_some()),
        ("--from", args.from.is_some()),
        ("--device", args.device != DeviceChoice::default()),
    ];
    refuse(
        &[("--text-encoder", args.text_encoder.is_some())],
        "clip networks",
    )?;
    refuse(&unused, "worlds")?;
    let options = AgentOptions {
        world: args.world.as_deref().map(super::checkpoint).transpose()?,
        data: args.data,
        out: args.out,
        config: args.config,
        skip_bad: args.skip_bad,
        resume: args.resume,
        max_steps: args.max_steps,
        max_minutes: args.max_minutes,
        seed: args.seed,
    };
    let outcome = run_agent(&options, &mut TerminalProgress::default())
        .map_err(|error| super::about(&options.data, error))?;
    let checkpoint = RunLayout::new(&options.out).checkpoint();
    let world = super::shell_word(&checkpoint);
    let next = format!("measure it in the real game with: driftless eval --agent {world}");
    say_end(outcome, &checkpoint.join(AGENT_WEIGHTS), &next);
    Ok(())
}

/// Trains a transport network.
fn transport(args: Args) -> Result<()> {
    let unused = [
        ("--world", args.world.is_some()),
        ("--unlabelled", args.unlabelled.is_some()),
        ("--preset", args.preset.is_some()),
        ("--shard-cache", args.shard_cache.is_some()),
        ("--skip-bad", args.skip_bad),
        ("--device", args.device != DeviceChoice::default()),
    ];
    refuse(
        &[("--text-encoder", args.text_encoder.is_some())],
        "clip networks",
    )?;
    refuse(&unused, "worlds")?;
    let options = TransportOptions {
        from: args.from.as_deref().map(super::checkpoint).transpose()?,
        data: args.data,
        out: args.out,
        config: args.config,
        resume: args.resume,
        max_steps: args.max_steps,
        max_minutes: args.max_minutes,
        seed: args.seed,
    };
    let outcome = run_transport(&options, &mut TerminalProgress::default())?;
    let checkpoint = RunLayout::new(&options.out).checkpoint();
    let [folder, data] = [&checkpoint, &options.data].map(|path| super::shell_word(path));
    let next = if CellDataset::keeps_some(&options.data)? {
        format!("measure it with: driftless eval --checkpoint {folder} --data {data}")
    } else {
        format!(
            "look at it with: driftless play --checkpoint {folder}; to measure it, {data} needs pictures kept from \
             training: a column `split` in its table"
        )
    };
    say_end(outcome, &checkpoint.join(TRANSPORT_WEIGHTS), &next);
    Ok(())
}

/// Says that a run was stopped, and what to do with its checkpoint, if that has the trained weights yet.
fn say_end(outcome: TrainOutcome, weights: &Path, next: &str) {
    if outcome == TrainOutcome::Stopped && !is_quiet() {
        eprintln!("stopped and saved; continue with --resume");
    }
    if weights.is_file()
        && let Some(checkpoint) = weights.parent()
    {
        super::wrote(checkpoint, next);
    }
}

/// Says where the world is and how to play it, or that `stage` is missing for that.
fn say_what_next(options: &TrainOptions, outcome: TrainOutcome, stage: &str) {
    if outcome == TrainOutcome::Stopped && !is_quiet() {
        eprintln!("stopped and saved; continue with --resume");
    }
    let checkpoint = RunLayout::new(&options.out).checkpoint();
    let files = [CONFIG, TOKENIZER, DYNAMICS, STARTING_CLIPS];
    if files.iter().all(|file| checkpoint.join(file).is_file()) {
        let world = super::shell_word(&checkpoint);
        super::wrote(
            &checkpoint,
            &format!("play it with: driftless play --checkpoint {world}"),
        );
    } else {
        let [data, out] = [&options.data, &options.out].map(|path| super::shell_word(path));
        let next =
            format!("go on with: driftless train {stage} --resume --data {data} --out {out}");
        super::wrote(&options.out, &next);
    }
}

/// Shows progress on stderr, and stops on Ctrl-C.
#[derive(Default)]
struct TerminalProgress {
    bar: Option<Progress>,
}

impl TerminalProgress {
    fn begin(
        &mut self,
        name: &'static str,
        unit: &'static str,
        total: u64,
        done: u64,
    ) -> &Progress {
        let template = "{prefix:9} {wide_bar:.cyan/blue} {pos}/{len} {msg} {eta} left";
        let bar = Progress::with_template(total, done, unit, template);
        bar.set_prefix(name);
        self.bar.insert(bar)
    }

    /// Shows how far what comes before the steps is.
    fn reach(&mut self, name: &'static str, unit: &'static str, done: usize, total: usize) {
        let bar = match &self.bar {
            Some(bar) => bar,
            None => self.begin(name, unit, total as u64, 0),
        };
        bar.set_position(done as u64);
        if done == total {
            bar.finish_and_clear();
            self.bar = None;
        }
    }
}

impl TrainProgress for TerminalProgress {
    fn preset_chosen(&mut self, choice: &PresetChoice) {
        if !is_quiet() {
            eprintln!("preset {choice} (--preset takes another)");
        }
    }

    fn data_read(&mut self, _frames: usize) {
        // Only now, so that Ctrl-C ends the program at once while there is nothing to save.
        interrupt::watch();
    }

    fn encoding(&mut self, done: usize, total: usize) {
        self.reach("encoding", "frames", done, total);
    }

    fn reading_captions(&mut self, done: usize, total: usize) {
        self.reach("reading", "captions", done, total);
    }

    fn stage_begun(&mut self, stage: TrainStage, total: u64, done: u64) {
        self.begin(stage.name(), "steps", total, done);
    }

    fn step_done(&mut self, step: &StepReport) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!(
                "loss {:.4} {:.0} frames/s",
                step.loss, step.frames_per_second
            ));
            bar.set_position(step.step);
        }
    }

    fn stage_ended(&mut self, _stage: TrainStage) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }

    fn should_stop(&mut self) -> bool {
        interrupt::requested()
    }
}
