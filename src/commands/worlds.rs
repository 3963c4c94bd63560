//! `driftless worlds`: lists the worlds and their names; makes a world one file to share.

use std::path::PathBuf;

use driftless::Result;
use driftless::workspace::background_task::CancelFlag;
use driftless::workspace::library::{WorldEntry, WorldSource, list_worlds};
use driftless::workspace::world_file::OpenedWorld;
use driftless::workspace::{IncludedWorlds, UserPaths, world_file};
use driftless_sim::RecordedSession;
use serde::Serialize;

/// Arguments of `worlds`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print the result as one JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Write a world as one file that others can open.
    Export {
        /// Checkpoint folder, or name of an included or a saved world.
        #[arg(value_name = "DIR|NAME")]
        world: PathBuf,
        /// File to write, NAME.driftless.
        file: PathBuf,
        /// Add the last game of this session (.npz, by play --record): whoever opens the file sees it again and plays
        /// on from its end.
        #[arg(long, value_name = "SESSION")]
        game: Option<PathBuf>,
        /// Replace the file if it exists.
        #[arg(long)]
        overwrite: bool,
    },
    /// Put the world in a file among the saved ones.
    Import {
        /// The file, NAME.driftless.
        file: PathBuf,
    },
}

/// A line of the list.
#[derive(Serialize)]
struct Line {
    /// The name for the command line.
    name: String,
    /// The name in the window.
    title: String,
    /// `included`, `saved` or `simulator`.
    kind: &'static str,
    /// Frame height and width in pixels.
    image: Option<[usize; 2]>,
    /// Frames per second; none for a transport network.
    fps: Option<f32>,
    /// Network parameters; none for a simulator.
    parameters: Option<usize>,
    /// Size of its files in bytes; none for a simulator.
    bytes: Option<u64>,
    /// Why it cannot be played.
    problem: Option<String>,
}

/// Lists the included worlds, the saved ones and the simulators; or exports or imports one.
///
/// # Errors
/// Returns an error if the output cannot be written, or the world to export or import cannot be read.
pub fn run(args: &Args) -> Result<()> {
    match &args.action {
        Some(Action::Export {
            world,
            file,
            game,
            overwrite,
        }) => {
            let game = match game {
                Some(session) => Some(RecordedSession::read(session)?.game()?),
                None => None,
            };
            world_file::export(&super::checkpoint(world)?, game.as_ref(), file, *overwrite)?;
            let next = format!(
                "open it with: driftless play --checkpoint {}",
                super::shell_word(file)
            );
            super::wrote(file, &next);
            return Ok(());
        }
        Some(Action::Import { file }) => {
            let OpenedWorld { folder, game } =
                world_file::import(file, &UserPaths::resolve(None)?)?;
            let name = folder.file_name().unwrap_or_default();
            let name = super::shell_word(name.as_ref());
            let mut next = format!("play it with: driftless play --checkpoint {name}");
            if let Some(game) = game {
                let (frames, file) = (game.actions().len(), super::shell_word(file));
                next += &format!(
                    "; see the game of {frames} frames in the file with: driftless play --checkpoint {file}"
                );
            }
            super::wrote(&folder, &next);
            return Ok(());
        }
        None => {}
    }
    let worlds = list_worlds(&IncludedWorlds::find(None), None, &CancelFlag::default())?;
    let lines: Vec<Line> = worlds.into_iter().map(line).collect();
    if args.json {
        super::print_json(&lines)
    } else {
        super::print(&text(&lines))
    }
}

fn line(world: WorldEntry) -> Line {
    let (name, kind) = match &world.source {
        WorldSource::Included(folder) => (folder.file_name(), "included"),
        WorldSource::Saved(folder) => (folder.file_name(), "saved"),
        WorldSource::Simulator(simulator) => (Some(simulator.name().as_ref()), "simulator"),
    };
    let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let (summary, problem) = match world.summary {
        Ok(summary) => (Some(summary), None),
        Err(problem) => (None, Some(problem)),
    };
    Line {
        name,
        title: world.name,
        kind,
        image: summary.as_ref().map(|s| s.image),
        fps: summary.as_ref().and_then(|s| s.fps),
        parameters: summary.as_ref().and_then(|s| s.parameters),
        bytes: summary.as_ref().and_then(|s| s.bytes),
        problem,
    }
}

/// The lines in columns.
fn text(lines: &[Line]) -> String {
    let names = lines.iter().map(|line| line.name.chars().count());
    let width = names.max().unwrap_or_default();
    let lines = lines.iter().map(|line| {
        let Line { name, kind, .. } = line;
        let details = match (&line.problem, line.image, line.fps) {
            (Some(problem), ..) => format!("cannot be played: {problem}"),
            (None, Some([h, w]), Some(fps)) => {
                format!("{h:>3}×{w:<3} {fps:>2} frames/s  {}", size(line))
            }
            (None, Some([h, w]), None) => format!("{h:>3}×{w:<3} pictures      {}", size(line)),
            _ => String::new(),
        };
        format!("{name:width$}  {kind:9}  {details}")
            .trim_end()
            .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn size(line: &Line) -> String {
    match (line.parameters, line.bytes) {
        (Some(parameters), Some(bytes)) => format!(
            "{:4.1} M parameters, {:4.1} MB",
            parameters as f64 / 1e6,
            bytes as f64 / 1e6
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let line = |name: &str, problem: Option<&str>| Line {
            name: name.into(),
            title: "T".into(),
            kind: "saved",
            image: problem.is_none().then_some([64, 64]),
            fps: problem.is_none().then_some(15.0),
            parameters: problem.is_none().then_some(3_400_000),
            bytes: problem.is_none().then_some(13_700_000),
            problem: problem.map(str::to_owned),
        };
        let text = text(&[line("a", None), line("long-name", Some("no weights"))]);
        assert_eq!(
            text,
            "a          saved       64×64  15 frames/s   3.4 M parameters, 13.7 MB\n\
             long-name  saved      cannot be played: no weights"
        );
    }
}
