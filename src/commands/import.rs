//! `driftless import`: converts recordings in other formats, or pictures of cells, to a dataset.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use driftless::{ERROR_PREFIX, Error, Result, interrupt};
use driftless_data::cells::import::{CellImport, run as import_cells};
use driftless_data::import;
use driftless_data::import::{
    ActionCount, ActionPairing, ImportEvent, ImportFormat, ImportOptions, ImportReport,
};
use driftless_data::text::printable;

/// Most remarks that are printed.
const MAX_REMARKS: usize = 12;

/// Arguments of `import`.
#[derive(clap::Args)]
pub struct Args {
    /// Source format.
    #[arg(long, value_enum, value_name = "FORMAT")]
    from: Source,
    /// Folder or file to read; for cells the table of pictures (docs/cells.md).
    path: PathBuf,
    /// Dataset folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Height and width of the frames, for example 64x48, or 64 for a square; area-averaged.
    #[arg(long, value_name = "HxW", default_value = "64x64", value_parser = size)]
    size: [usize; 2],
    /// Frame rate to keep; the source's must be a multiple of it.
    #[arg(long, value_name = "N", value_parser = frame_rate, conflicts_with = "every")]
    fps: Option<f32>,
    /// Keep every Nth frame; its action is the most frequent non-idle one of those that led to it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    every: Option<u16>,
    /// Frame rate of the source, if the source does not record it.
    #[arg(long, value_name = "N", value_parser = frame_rate)]
    source_fps: Option<f32>,
    /// Map from recorded actions to the actions of the dataset and their keys (TOML or .json); see
    /// docs/data.md.
    #[arg(long, value_name = "MAP")]
    actions: Option<PathBuf>,
    /// Observation that holds the image, if there are several.
    #[arg(long, value_name = "KEY")]
    image_key: Option<String>,
    /// Array or column that holds the action, if not the usual one.
    #[arg(long, value_name = "KEY")]
    action_key: Option<String>,
    /// Which frame an action belongs to [default: as usual for the format].
    #[arg(long, value_enum, value_name = "WHICH")]
    pairing: Option<ActionPairing>,
    /// Name of the world [default: name of PATH].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Skip episodes that cannot be read, with a warning for each.
    #[arg(long)]
    skip_bad: bool,
    /// Table with a descriptor for each compound (cells).
    #[arg(long, value_name = "TABLE")]
    compounds: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Imports the recordings and prints a summary.
///
/// # Errors
/// Returns an error if the source cannot be read or does not fit the options, if the output folder is
/// not empty or cannot be written, or on Ctrl-C.
pub fn run(args: Args) -> Result<()> {
    interrupt::watch();
    let Source::Recordings(format) = args.from else {
        return cells(args);
    };
    if args.compounds.is_some() {
        let what = "--compounds is for --from cells";
        return Err(Error::Argument(what.to_owned()));
    }
    let bar = super::bar(0, "episodes");
    let mut notify = |event: ImportEvent<'_>| {
        match event {
            ImportEvent::Progress(done, total) => {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            ImportEvent::Skipped(error) => {
                bar.suspend(|| eprintln!("{ERROR_PREFIX}skipped: {}", one_line(error)));
            }
        }
        !interrupt::requested()
    };
    let options = ImportOptions {
        format,
        source: args.path,
        out: args.out,
        name: args.name,
        size: args.size,
        fps: args.fps,
        every: args.every.map(usize::from),
        source_fps: args.source_fps,
        actions: args.actions,
        image_key: args.image_key,
        action_key: args.action_key,
        pairing: args.pairing,
        skip_bad: args.skip_bad,
    };
    let report = import::run(&options, &mut notify);
    bar.finish_and_clear();
    let report = report?;
    if args.json {
        super::print_json(&report)
    } else {
        super::print(&summary(&report, &options))
    }
}

/// Imports pictures of cells.
fn cells(args: Args) -> Result<()> {
    let unused = [
        ("--fps", args.fps.is_some()),
        ("--every", args.every.is_some()),
        ("--source-fps", args.source_fps.is_some()),
        ("--actions", args.actions.is_some()),
        ("--image-key", args.image_key.is_some()),
        ("--action-key", args.action_key.is_some()),
        ("--pairing", args.pairing.is_some()),
    ];
    if let Some((name, _)) = unused.iter().find(|(_, given)| *given) {
        let what = format!("{name} is for recordings: --from cells does not know it");
        return Err(Error::Argument(what));
    }
    let bar = super::bar(0, "pictures");
    let import = CellImport {
        table: args.path,
        compounds: args.compounds,
        out: args.out,
        name: args.name,
        size: args.size,
        skip_bad: args.skip_bad,
    };
    let report = import_cells(&import, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        !interrupt::requested()
    });
    bar.finish_and_clear();
    let report = report?;
    if args.json {
        return super::print_json(&report);
    }
    let remarks = report.remarks.iter().take(MAX_REMARKS);
    let remarks: String = remarks
        .map(|remark| format!("\nremark: {}", printable(remark)))
        .collect();
    let others = match report.remarks.len().saturating_sub(MAX_REMARKS) {
        0 => String::new(),
        others => format!("\nand {others} more remarks, with --json"),
    };
    super::print(&format!(
        "{}: {} pictures, {} of them controls, {} compounds, {} plates{remarks}{others}",
        import.out.display(),
        report.pictures,
        report.controls,
        report.compounds,
        report.plates
    ))
}

/// What is imported.
#[derive(Clone, Copy)]
enum Source {
    /// Recordings of a world.
    Recordings(ImportFormat),
    /// Pictures of cells.
    Cells,
}

impl ValueEnum for Source {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Recordings(ImportFormat::Images),
            Self::Recordings(ImportFormat::Video),
            Self::Recordings(ImportFormat::Npz),
            Self::Recordings(ImportFormat::Vpt),
            Self::Recordings(ImportFormat::Minari),
            Self::Recordings(ImportFormat::Lerobot),
            Self::Cells,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Recordings(format) => format.to_possible_value(),
            Self::Cells => {
                let help = "Pictures of control and treated cells, and a CSV file with the columns image or channel_NAME, compound, dose and plate";
                Some(PossibleValue::new("cells").help(help))
            }
        }
    }
}

fn one_line(error: &driftless_data::Error) -> String {
    printable(&error.to_string().replace(['\n', '\r'], " ")).into_owned()
}

fn summary(report: &ImportReport, options: &ImportOptions) -> String {
    let steps: usize = report.actions.iter().map(|count| count.frames).sum();
    let share = |count: &ActionCount| {
        let percent = 100.0 * count.frames as f64 / steps.max(1) as f64;
        format!("{} {percent:.1} %", printable(&count.name))
    };
    let shares: Vec<String> = report.actions.iter().map(share).collect();
    let [height, width] = options.size;
    let remarks: String = report
        .remarks
        .iter()
        .take(MAX_REMARKS)
        .map(|remark| format!("\nremark: {}", printable(remark)))
        .collect();
    let others = report.remarks.len().saturating_sub(MAX_REMARKS);
    let others = match others {
        0 => String::new(),
        _ => format!("\nand {others} more remarks, in manifest.json"),
    };
    let episodes = super::episodes(report.episodes.len());
    format!(
        "{}: {episodes}, {} frames of {height}×{width} at {} frames/s, {} skipped\nactions: {}{remarks}{others}",
        options.out.display(),
        report.frames,
        report.fps,
        report.skipped.len(),
        shares.join(", ")
    )
}

/// Parses `64x48` (height, width) or `64`.
pub(super) fn size(text: &str) -> std::result::Result<[usize; 2], String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=4096).contains(side));
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    match (side(height), side(width)) {
        (Some(height), Some(width)) => Ok([height, width]),
        _ => Err("expected HEIGHTxWIDTH in pixels, 1 to 4096 each, for example 64x64".into()),
    }
}

/// Parses frames per second.
pub(super) fn frame_rate(text: &str) -> std::result::Result<f32, String> {
    let rate = text
        .parse()
        .ok()
        .filter(|rate| *rate > 0.0 && *rate <= 1000.0);
    rate.ok_or_else(|| "expected frames per second, above 0, at most 1000".into())
}
