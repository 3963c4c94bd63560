//! What the desktop does for the window: opening a folder.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Error, Result};

/// The program that opens a folder in the file manager.
const OPENER: &str = if cfg!(target_os = "macos") {
    "open"
} else if cfg!(windows) {
    "explorer"
} else {
    "xdg-open"
};

/// Opens a folder in the file manager.
///
/// # Errors
/// Returns an error if the folder cannot be made or the system has no program for it.
pub(super) fn open_folder(folder: &Path) -> Result<()> {
    open_with(OPENER, folder)
}

fn open_with(program: &str, folder: &Path) -> Result<()> {
    let cannot = |error: std::io::Error| {
        let folder = folder.display();
        Error::Config(format!("cannot open {folder} with {program}: {error}"))
    };
    std::fs::create_dir_all(folder).map_err(cannot)?;
    let mut child = Command::new(program)
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    // Nobody waits for the file manager, but its end must be collected.
    let reaper = std::thread::Builder::new().name("file-manager".into());
    reaper
        .spawn(move || {
            // Its status says nothing that could be acted on.
            let _ = child.wait();
        })
        .map_err(|error| Error::no_thread(&error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let saved = folder.path().join("saved");
        let error = open_with("no-such-file-manager", &saved).unwrap_err();
        assert!(
            error.to_string().contains("no-such-file-manager"),
            "{error}"
        );
        assert!(saved.is_dir());
    }
}
