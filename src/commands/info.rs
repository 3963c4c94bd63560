//! `driftless info`: describes a checkpoint, a dataset or an episode.

use std::path::PathBuf;

use driftless::Result;
use driftless_model::checkpoint;
use driftless_model::checkpoint::CONFIG;

/// Arguments of `info`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint folder, dataset folder or episode (.npz).
    path: PathBuf,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Describes a checkpoint, a dataset or an episode.
///
/// # Errors
/// Returns an error if the path is none of these, or if its contents are broken.
pub fn run(args: &Args) -> Result<()> {
    if args.path.join(CONFIG).is_file() {
        let summary = checkpoint::summarize(&args.path)?;
        return if args.json {
            super::print_json(&summary)
        } else {
            super::print(&summary.to_string())
        };
    }
    let info = driftless_data::info::summarize(&args.path)?;
    if args.json {
        super::print_json(&info)
    } else {
        super::print(&info.to_string())
    }
}
