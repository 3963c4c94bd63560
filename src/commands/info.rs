//! `driftless info`.

use std::path::PathBuf;

use driftless::Result;
use driftless_model::checkpoint;
use driftless_model::checkpoint::CONFIG;

/// What to describe.
#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint folder, a dataset folder, or an episode (.npz).
    path: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Describes a checkpoint, a dataset or an episode.
///
/// # Errors
/// The path is none of them, or what it holds is broken.
pub fn run(args: &Args) -> Result<()> {
    if args.path.join(CONFIG).is_file() {
        let summary = checkpoint::describe(&args.path)?;
        return match args.json {
            true => super::print_json(&summary),
            false => super::print(&summary.to_string()),
        };
    }
    let info = driftless_data::info::describe(&args.path)?;
    match args.json {
        true => super::print_json(&info),
        false => super::print(&info.to_string()),
    }
}
