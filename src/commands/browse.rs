//! `driftless browse`: opens the window on the episodes of a dataset.

use std::path::PathBuf;

use driftless::Result;
use driftless::app::FirstPage;
use driftless_data::DatasetInfo;

/// Arguments of `browse`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of the dataset.
    data: PathBuf,
}

/// Opens the window on the page of the dataset, with a paused world behind it.
///
/// # Errors
/// Returns an error if the folder holds no dataset, or if there is no display.
pub fn run(args: Args) -> Result<()> {
    DatasetInfo::read(&args.data)?;
    super::open_page(FirstPage::Browse(args.data), None)
}
