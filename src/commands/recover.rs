//! `driftless recover`: saves the recordings that a killed program has left.

use std::path::PathBuf;

use driftless::workspace::UserPaths;
use driftless::workspace::recovery::{Unfinished, unfinished};
use driftless::{ERROR_PREFIX, Error, Result};
use driftless_data::text::printable;

/// Arguments of `recover`.
#[derive(clap::Args)]
pub struct Args {
    /// Journals to recover [default: all that killed programs have left].
    files: Vec<PathBuf>,
    /// File (.npz) or dataset folder to write, for a single recording [default: where it was to be written,
    /// or beside it].
    #[arg(long, value_name = "FILE|DIR", conflicts_with_all = ["discard", "list"])]
    out: Option<PathBuf>,
    /// List the recordings, and leave them as they are.
    #[arg(long, conflicts_with = "discard")]
    list: bool,
    /// Delete the recordings instead.
    #[arg(long)]
    discard: bool,
    /// Folder for worlds, datasets and runs [default: DRIFTLESS_HOME, or else the platform's folder].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// Saves, lists or deletes unfinished recordings.
///
/// # Errors
/// Returns an error if a file is no journal of a recording, if --out is given for several or exists, or if
/// a recording cannot be written.
pub fn run(args: Args) -> Result<()> {
    let found: Vec<Unfinished> = if args.files.is_empty() {
        unfinished(&UserPaths::resolve(args.home)?)
    } else {
        let read = args.files.iter().map(|file| Unfinished::read(file));
        read.collect::<Result<_>>()?
    };
    if let Some(out) = &args.out {
        if found.len() != 1 {
            let what = format!("--out: expected one recording, there are {}", found.len());
            return Err(Error::Argument(what));
        }
        driftless_data::fs::check_new(out)?;
    }
    if found.is_empty() {
        return super::print("no unfinished recordings");
    }
    for recording in &found {
        let what = recording.describe();
        let line = if args.list {
            format!(
                "{}: {what}, {}",
                recording.journal.display(),
                recording.target.display()
            )
        } else if args.discard {
            recording.discard()?;
            format!("deleted {what}")
        } else {
            let written = recording.recover(args.out.as_deref())?;
            format!("{what} in {}", written.display())
        };
        super::print(&printable(&line))?;
    }
    Ok(())
}

/// Tells on stderr if there are unfinished recordings in `home`.
pub fn remind(home: Option<PathBuf>) {
    let Ok(paths) = UserPaths::resolve(home) else {
        return;
    };
    let found = unfinished(&paths);
    let Some(first) = found.first() else {
        return;
    };
    let others = match found.len() {
        1 => String::new(),
        more => format!(" and {} more", more - 1),
    };
    eprintln!(
        "{ERROR_PREFIX}an unfinished recording ({}){others} was left: `driftless recover` saves it, `driftless \
         recover --discard` deletes it",
        printable(&first.describe())
    );
}
