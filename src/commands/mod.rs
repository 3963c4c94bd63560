//! One module per subcommand: its arguments, and the library calls behind it.

pub mod bench;
pub mod browse;
pub mod caption;
pub mod capture;
pub mod completions;
pub mod devices;
pub mod eval;
mod eval_agent;
mod eval_clips;
mod eval_memory;
pub mod film;
mod given;
mod hub;
pub mod import;
pub mod info;
pub mod likelihood;
pub mod new;
pub mod play;
mod progress;
mod published_bench;
pub mod record;
pub mod recover;
mod remote_args;
pub mod replay;
pub mod rollout;
mod sampler_args;
pub mod serve;
pub mod shard;
pub mod train;
mod training_bench;
pub mod worlds;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use driftless::workspace::world_file::OpenedWorld;
use driftless::workspace::{IncludedWorlds, PlayableWorld, WorldNames};
use driftless::{Error, Result, app, interrupt};
use driftless_data::text::{counted, printable, printable_lines};
use driftless_data::{Episode, PathError as _, export};
use driftless_engine::DeviceChoice;
use driftless_worlds::SimulatorKind;

use progress::{Progress, is_quiet};

pub use progress::be_quiet;

/// Prints a line, or several. A closed pipe is not an error.
fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{}", printable_lines(text)) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("stdout", e)),
        _ => Ok(()),
    }
}

/// Names `path` in an error about the episodes read from it; other errors stay as they are.
fn about(path: &Path, error: impl Into<Error>) -> Error {
    let error = error.into();
    if error.is_episodes() {
        Error::invalid(path, error.to_string())
    } else {
        error
    }
}

/// Prints one JSON object.
fn print_json(value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_string(value).map_err(|e| driftless_data::Error::encode("JSON", e))?;
    print(&text)
}

/// The progress of a task: a bar on a terminal, elsewhere a line a minute.
fn bar(total: u64, unit: &'static str) -> Progress {
    Progress::new(total, unit)
}

/// Says on stderr what a long command has written, and what to do with it next.
fn wrote(out: &Path, next: &str) {
    if is_quiet() {
        return;
    }
    let line = format!("wrote {}; {next}", out.display());
    eprintln!("{}", printable(&line));
}

/// A number of episodes, in words.
fn episodes(number: usize) -> String {
    counted(number, "episode")
}

/// A path or a name as an argument for a shell.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Writes frames to `out` in the format of its extension. On Ctrl-C it stops and leaves no file.
fn export(episode: &Episode, out: &Path, scale: u32, fps: f32, overwrite: bool) -> Result<()> {
    interrupt::watch();
    let bar = bar(episode.frames() as u64, "frames written");
    let mut watch = |done| {
        bar.set_position(done as u64);
        !interrupt::requested()
    };
    export::write_with_progress(episode, out, scale, fps, overwrite, &mut watch)?;
    bar.finish_and_clear();
    Ok(())
}

/// The checkpoint folder of `world`, as [`checkpoint`] finds it, or of the default world.
fn checkpoint_or_default(world: Option<PathBuf>) -> Result<PathBuf> {
    match world {
        Some(world) => checkpoint(&world),
        None => IncludedWorlds::find(None).default_world(),
    }
}

/// The checkpoint folder of `world`, a folder or the name of an included or a saved world.
fn checkpoint(world: &Path) -> Result<PathBuf> {
    WorldNames::find(None).checkpoint(world)
}

/// The world of this name or in this file, or the default one, with the game that came with it.
fn open_world(world: Option<&Path>) -> Result<OpenedWorld> {
    match world {
        Some(world) => WorldNames::find(None).open(world),
        None => Ok(IncludedWorlds::find(None).default_world()?.into()),
    }
}

/// Opens the window on a page, with a paused world behind it.
fn open_page(first: app::FirstPage, home: Option<PathBuf>) -> Result<()> {
    let game = game_behind_a_page(home.clone())?;
    app::run(app::WindowOptions {
        params: game.sampling,
        game,
        fps: None,
        actions: Arc::default(),
        record: None,
        first,
        home,
    })
}

/// The paused world behind a page: the default one if it can be opened.
fn game_behind_a_page(home: Option<PathBuf>) -> Result<PlayableWorld> {
    match IncludedWorlds::find(home).default_world() {
        Ok(folder) => PlayableWorld::learned(&folder, DeviceChoice::Auto, None),
        Err(error) => {
            tracing::warn!("{error}; opening a simulator instead");
            Ok(PlayableWorld::simulator(SimulatorKind::Maze))
        }
    }
}

/// The folder of the included world whose configuration has this display name.
fn included_world(display_name: &str) -> Option<PathBuf> {
    let shipped = IncludedWorlds::find(None);
    let names = shipped.names();
    let is_called = |name: &&String| shipped.display_name(name).as_deref() == Some(display_name);
    shipped.folder(names.iter().find(is_called)?).ok()?
}

/// Joins frames from left to right, row by row of `row` bytes.
fn side_by_side(columns: &[&[u8]], row: usize) -> Vec<u8> {
    let rows = columns.first().map_or(0, |column| column.len() / row);
    (0..rows)
        .flat_map(|at| {
            columns
                .iter()
                .filter_map(move |column| column.get(at * row..(at + 1) * row))
        })
        .flatten()
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_joined_row_by_row() {
        let (left, right) = ([1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4]);
        let joined = side_by_side(&[&left, &right], 3);
        assert_eq!(joined, [1, 1, 1, 3, 3, 3, 2, 2, 2, 4, 4, 4]);
        assert_eq!(side_by_side(&[&left], 3), left);
    }
}
