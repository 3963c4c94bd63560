//! `driftless info`: describes a world, a checkpoint, a dataset or an episode.

use std::path::{Path, PathBuf};

use candle_core::Device;
use serde::Serialize;

use driftless::workspace::WorldNames;
use driftless::workspace::published::{Published, diamond, dreamer, oasis};
use driftless::{Error, Result};
use driftless_agent::AgentConfig;
use driftless_clip::{ClipConfig, ClipMaker};
use driftless_data::cells::{self, CellInfo};
use driftless_data::text::printable;
use driftless_data::{DatasetInfo, PathError as _};
use driftless_diamond::Agent;
use driftless_dreamer::{Dreamer, DreamerFiles};
use driftless_model::checkpoint::{self, CONFIG, CheckpointSummary};
use driftless_oasis::{MAX_WINDOW, Oasis, OasisFiles};
use driftless_train::RunLayout;
use driftless_transport::{TransportConfig, Transporter};

use super::hub::HubArgs;

/// Arguments of `info`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint folder, name of a world, published checkpoint (.pt, .safetensors, or hf:OWNER/NAME), dataset folder or episode (.npz).
    #[arg(value_name = "DIR|NAME|FILE")]
    path: PathBuf,
    #[command(flatten)]
    hub: HubArgs,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Describes a world, a checkpoint, a dataset or an episode.
///
/// # Errors
/// Returns an error if the path is none of these, or if its contents are broken.
pub fn run(args: &Args) -> Result<()> {
    let path = &args.hub.local(&args.path)?;
    if path.join(cells::INFO).is_file() {
        let info = CellInfo::read(path)?;
        return if args.json {
            super::print_json(&info)
        } else {
            super::print(&cells_text(&info))
        };
    }
    match Published::at(path)? {
        Some(Published::Diamond(file)) => return diamond_info(args, &file),
        Some(Published::Oasis(files)) => return oasis_info(args, &files),
        Some(Published::Dreamer(files)) => return dreamer_info(args, &files),
        None => {}
    }
    match WorldNames::find(None).any(path)? {
        Some(folder) if TransportConfig::is_in(&folder) => {
            let transporter = Transporter::read(&folder)?;
            if args.json {
                super::print_json(transporter.config())
            } else {
                super::print(&transport_text(transporter.config()))
            }
        }
        Some(folder) => {
            let summary = checkpoint::summarize(&folder)?;
            let clips = ClipMaker::is_in(&folder)
                .then(|| ClipMaker::read(&folder, &Device::Cpu))
                .transpose()?;
            let clips = clips.as_ref().map(ClipMaker::config);
            let agent = driftless_agent::Agent::is_in(&folder)
                .then(|| AgentConfig::read(&folder))
                .transpose()?;
            if args.json {
                super::print_json(&WorldInfo {
                    world: &summary,
                    agent: agent.as_ref(),
                    clips,
                })
            } else {
                let agent = agent.as_ref().map(agent_text).unwrap_or_default();
                let clips = clips.map(clips_text).unwrap_or_default();
                super::print(&format!("{summary}{agent}{clips}"))
            }
        }
        None => {
            let run = RunLayout::new(path);
            if run.is_run() && run.checkpoint().join(CONFIG).is_file() {
                let checkpoint = super::shell_word(&run.checkpoint());
                let what =
                    format!("is a run, expected its checkpoint: driftless info {checkpoint}");
                return Err(Error::invalid(path, what));
            }
            let info = driftless_data::info::summarize(path)?;
            if args.json {
                super::print_json(&info)
            } else {
                super::print(&info.to_string())
            }
        }
    }
}

/// A published checkpoint of DIAMOND's.
#[derive(Serialize)]
struct DiamondInfo {
    #[serde(flatten)]
    world: DatasetInfo,
    past_frames: usize,
    /// Numbers in the denoiser, the reward and end model, and the actor-critic.
    parameters: [usize; 3],
}

fn diamond_info(args: &Args, file: &Path) -> Result<()> {
    let agent = Agent::read(file)?;
    let info = agent.info();
    let published = DiamondInfo {
        world: diamond::describe(file, &agent),
        past_frames: info.past,
        parameters: info.parameters,
    };
    if args.json {
        return super::print_json(&published);
    }
    let DiamondInfo { world, .. } = &published;
    let [height, width] = world.image;
    let millions = info.parameters.map(|count| count as f64 / 1e6);
    super::print(&format!(
        "published  {}, {height}×{width} at {} frames/s\nactions    {}\n\
         networks   denoiser of the past {} frames {:.2} M, reward and end {:.2} M, actor-critic {:.2} M\n\
         devices    the CPU; the denoiser also on any GPU (--device wgpu)",
        printable(&world.name),
        world.fps,
        actions_text(world),
        info.past,
        millions[0],
        millions[1],
        millions[2]
    ))
}

/// A published checkpoint of Oasis's.
#[derive(Serialize)]
struct OasisDescription {
    #[serde(flatten)]
    world: DatasetInfo,
    /// Height, width and channels.
    latent: [usize; 3],
    /// Most frames that the transformer sees, the current one included.
    window: usize,
    /// Numbers in the diffusion transformer and in the autoencoder.
    parameters: [usize; 2],
}

fn oasis_info(args: &Args, files: &OasisFiles) -> Result<()> {
    let info = Oasis::read(files)?.info();
    let published = OasisDescription {
        world: oasis::describe(files, info),
        latent: info.latent,
        window: MAX_WINDOW,
        parameters: info.parameters,
    };
    if args.json {
        return super::print_json(&published);
    }
    let OasisDescription { world, .. } = &published;
    let ([height, width], [rows, columns, channels]) = (world.image, info.latent);
    let millions = info.parameters.map(|count| count as f64 / 1e6);
    super::print(&format!(
        "published  {}, {height}×{width} at {} frames/s\nactions    {}\n\
         networks   diffusion transformer of {MAX_WINDOW} frames {:.2} M, autoencoder {:.2} M, latents {rows}×{columns}×{channels}",
        printable(&world.name),
        world.fps,
        actions_text(world),
        millions[0],
        millions[1]
    ))
}

/// A published checkpoint of Dreamer 4 in PyTorch.
#[derive(Serialize)]
struct DreamerDescription {
    #[serde(flatten)]
    world: DatasetInfo,
    /// Tokens, and numbers of each.
    latent: [usize; 2],
    /// Most frames that the dynamics see, the current one included.
    window: usize,
    /// Most steps of a frame.
    k_max: usize,
    /// Numbers in the dynamics and in the tokenizer.
    parameters: [usize; 2],
}

fn dreamer_info(args: &Args, files: &DreamerFiles) -> Result<()> {
    let info = Dreamer::read(files)?.info();
    let published = DreamerDescription {
        world: dreamer::describe(files, info),
        latent: info.latent,
        window: info.window,
        k_max: info.k_max,
        parameters: info.parameters,
    };
    if args.json {
        return super::print_json(&published);
    }
    let DreamerDescription { world, .. } = &published;
    let ([height, width], [tokens, channels]) = (world.image, info.latent);
    let millions = info.parameters.map(|count| count as f64 / 1e6);
    super::print(&format!(
        "published  {}, {height}×{width} at {} frames/s\nactions    {}\n\
         networks   dynamics of {} frames in 1 to {} steps {:.2} M, tokenizer {:.2} M, latents {tokens}×{channels}",
        printable(&world.name),
        world.fps,
        actions_text(world),
        info.window,
        info.k_max,
        millions[0],
        millions[1]
    ))
}

/// A world with its agent and its clip network, if it has them.
#[derive(Serialize)]
struct WorldInfo<'a> {
    #[serde(flatten)]
    world: &'a CheckpointSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a AgentConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clips: Option<&'a ClipConfig>,
}

fn agent_text(config: &AgentConfig) -> String {
    let trained = match config.horizon {
        0 => "cloned recorded play".to_owned(),
        frames => format!("learned in dreams of {frames} frames"),
    };
    format!("\nagent      {trained}, discount {}", config.discount)
}

fn clips_text(config: &ClipConfig) -> String {
    let n = &config.network;
    let lengths: Vec<String> = config.lengths.iter().map(usize::to_string).collect();
    let [rows, columns] = config.token_grid();
    let words = match &config.text_encoder {
        Some(encoder) => format!("a text encoder of width {}", encoder.width),
        None => format!("{} words", config.vocabulary.len()),
    };
    format!(
        "\nclips      {} frames at once from {words}: {} tokens a frame, width {}, depth {}, {} heads",
        lengths.join(" or "),
        rows * columns,
        n.width,
        n.depth,
        n.heads
    )
}

fn transport_text(config: &TransportConfig) -> String {
    let ([height, width], [least, most]) = (config.image, config.doses);
    let trained = config
        .compounds
        .iter()
        .filter(|known| known.trained)
        .count();
    let n = &config.network;
    format!(
        "transport  {}, {height}×{width}, channels {}\nnetwork    {} tokens, width {}, depth {}, {} heads\n\
         conditions {trained} of {} compounds trained, doses {least} to {most} {}, {} plates",
        printable(&config.name),
        printable(&config.channels.join(", ")),
        config.tokens(),
        n.width,
        n.depth,
        n.heads,
        config.compounds.len(),
        printable(&config.dose_unit),
        config.plates.len()
    )
}

fn cells_text(info: &CellInfo) -> String {
    let [height, width] = info.image;
    let pictures: usize = info.shards.iter().map(|shard| shard.pictures).sum();
    format!(
        "cells      {}, {pictures} pictures of {height}×{width}, channels {}\nconditions {} compounds, {} plates",
        printable(&info.name),
        printable(&info.channels.join(", ")),
        info.compounds.len(),
        info.plates.len()
    )
}

/// The names of all actions, with their keys, and of all axes.
fn actions_text(info: &DatasetInfo) -> String {
    let actions = info.actions.iter().map(|action| match &action.keys[..] {
        [] => action.name.clone(),
        keys => format!("{} ({})", action.name, keys.join(", ")),
    });
    let axes = info.axes.iter().map(|axis| format!("{} (axis)", axis.name));
    actions.chain(axes).collect::<Vec<_>>().join(", ")
}
