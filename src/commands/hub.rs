//! Checkpoints that are named `hf:OWNER/NAME`: downloaded once, and then found.

use std::path::{Path, PathBuf};

use driftless::{Error, Result};
use driftless_hub::{Hub, HubOptions, Reference};

use super::progress::Progress;

/// Arguments of commands that take a published checkpoint.
#[derive(Clone, Copy, clap::Args)]
pub struct HubArgs {
    /// Download nothing: take `hf:` checkpoints from what was downloaded before.
    #[arg(long)]
    offline: bool,
}

impl HubArgs {
    /// The path of the checkpoint that is meant: `path` itself, unless it begins with `hf:`.
    ///
    /// # Errors
    /// Returns an error if the checkpoint cannot be downloaded, or offline is not there.
    pub fn local(self, path: &Path) -> Result<PathBuf> {
        let Some(reference) = Reference::of_path(path)? else {
            return Ok(path.to_path_buf());
        };
        let folders = directories::BaseDirs::new().ok_or_else(|| {
            Error::Config("the system names no folder of the user, where downloads are kept".into())
        })?;
        let mut options = HubOptions::from_env(folders.home_dir());
        options.offline |= self.offline;
        let hub = Hub::new(options)?;
        let mut shown: Option<(String, Progress)> = None;
        let path = hub.get(&reference, &mut |download| {
            if shown.as_ref().is_none_or(|(file, _)| file != download.file) {
                let template = format!(
                    "{} {{wide_bar}} {{bytes}}/{{total_bytes}} {{eta}} left",
                    download.file
                );
                let bar = Progress::with_template(download.total, 0, "bytes", &template);
                shown = Some((download.file.to_owned(), bar));
            }
            if let Some((_, bar)) = &shown {
                bar.set_position(download.done);
            }
        })?;
        if let Some((_, bar)) = shown {
            bar.finish_and_clear();
        }
        Ok(path)
    }

    /// The same for an argument that may be left out.
    ///
    /// # Errors
    /// As [`HubArgs::local`].
    pub fn local_option(self, path: Option<&Path>) -> Result<Option<PathBuf>> {
        path.map(|path| self.local(path)).transpose()
    }
}
