//! `driftless browse`: opens the window on the episodes of a dataset.

use std::path::PathBuf;
use std::sync::Arc;

use driftless::{Result, app};
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
    let game = super::game_behind_a_page(None)?;
    app::run(app::WindowOptions {
        params: game.sampling,
        game,
        actions: Arc::default(),
        fps: None,
        record: None,
        first: app::FirstPage::Browse(args.data),
        home: None,
    })
}
