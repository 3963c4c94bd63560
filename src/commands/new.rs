//! `driftless new`: opens the "New world" page.

use std::path::PathBuf;

use driftless::app::{FirstPage, FirstStep, NewWorldOptions};
use driftless::{Error, Result};
use driftless_data::PathError as _;
use driftless_worlds::SimulatorKind;

/// Arguments of `new`.
#[derive(clap::Args)]
pub struct Args {
    /// Start by playing and recording this simulator.
    #[arg(long, value_enum, conflicts_with_all = ["data", "run"])]
    world: Option<SimulatorKind>,
    /// Start with this dataset; the training settings come next.
    #[arg(long, value_name = "DIR", conflicts_with = "run")]
    data: Option<PathBuf>,
    /// Open a run started by `train` or the window.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Settings file (TOML) to suggest for training.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for worlds, datasets and runs [default: DRIFTLESS_HOME, or else the platform's folder].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// Opens the window on its "New world" page.
///
/// # Errors
/// Returns an error if a folder is missing, if there is no display, or if a file cannot be written.
pub fn run(args: Args) -> Result<()> {
    for folder in [&args.data, &args.run].into_iter().flatten() {
        if !folder.is_dir() {
            let what = "no such folder, expected a dataset or a run";
            return Err(Error::invalid(folder, what));
        }
    }
    super::recover::remind(args.home.clone());
    let first = match (args.world, args.data, args.run) {
        (Some(kind), _, _) => FirstStep::Record(kind),
        (_, Some(folder), _) => FirstStep::Data(folder),
        (_, _, Some(folder)) => FirstStep::Run(folder),
        _ => FirstStep::Source,
    };
    let options = NewWorldOptions {
        first,
        settings: args.config,
    };
    super::open_page(FirstPage::NewWorld(options), args.home)
}
