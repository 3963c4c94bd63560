//! `driftless info`: describes a world, a checkpoint, a dataset or an episode.

use std::path::PathBuf;

use driftless::Result;
use driftless::workspace::{NamedWorld, WorldNames};
use driftless_data::DatasetInfo;
use driftless_data::cells::{self, CellInfo};
use driftless_data::text::printable;
use driftless_model::checkpoint;
use driftless_transport::{TransportConfig, Transporter};
use driftless_worlds::SimulatorKind;

/// Arguments of `info`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint folder, name of a world, dataset folder or episode (.npz).
    #[arg(value_name = "DIR|NAME|FILE")]
    path: PathBuf,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Describes a world, a checkpoint, a dataset or an episode.
///
/// # Errors
/// Returns an error if the path is none of these, or if its contents are broken.
pub fn run(args: &Args) -> Result<()> {
    if args.path.join(cells::INFO).is_file() {
        let info = CellInfo::read(&args.path)?;
        return if args.json {
            super::print_json(&info)
        } else {
            super::print(&cells_text(&info))
        };
    }
    match WorldNames::find(None).any(&args.path)? {
        Some(NamedWorld::Checkpoint(folder)) if TransportConfig::is_in(&folder) => {
            let transporter = Transporter::read(&folder)?;
            if args.json {
                super::print_json(transporter.config())
            } else {
                super::print(&transport_text(transporter.config()))
            }
        }
        Some(NamedWorld::Checkpoint(folder)) => {
            let summary = checkpoint::summarize(&folder)?;
            if args.json {
                super::print_json(&summary)
            } else {
                super::print(&summary.to_string())
            }
        }
        Some(NamedWorld::Simulator(kind)) => {
            let info = kind.open(0).info();
            if args.json {
                super::print_json(&info)
            } else {
                super::print(&simulator_text(kind, &info))
            }
        }
        None => {
            let info = driftless_data::info::summarize(&args.path)?;
            if args.json {
                super::print_json(&info)
            } else {
                super::print(&info.to_string())
            }
        }
    }
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

fn simulator_text(kind: SimulatorKind, info: &DatasetInfo) -> String {
    let actions = info.actions.iter().map(|action| match &action.keys[..] {
        [] => action.name.clone(),
        keys => format!("{} ({})", action.name, keys.join(", ")),
    });
    let [height, width] = info.image;
    format!(
        "simulator  {}, {height}×{width} at {} frames/s: {}\nactions    {}",
        info.name,
        info.fps,
        kind.description(),
        actions.collect::<Vec<_>>().join(", ")
    )
}
