//! `driftless import`.

use std::path::PathBuf;

use driftless::{Result, interrupt};
use driftless_data::import;
use driftless_data::import::{Count, Event, Format, Options, Pairing, Report};

/// What to read, what of it to keep, and where to write it.
#[derive(clap::Args)]
pub struct Args {
    /// The format of what is read.
    #[arg(long, value_enum, value_name = "FORMAT")]
    from: Format,
    /// The folder or file to read.
    path: PathBuf,
    /// Folder of the dataset to write, new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Height and width of the frames, which are area-averaged: 64x64, or 64 for a square.
    #[arg(long, value_name = "HxW", default_value = "64x64", value_parser = size)]
    size: [usize; 2],
    /// Frames a second to keep, a whole part of the source's.
    #[arg(long, value_name = "N", value_parser = pace, conflicts_with = "every")]
    fps: Option<f32>,
    /// Keep one frame of N; of the actions that led to it, the most frequent that is not idle counts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    every: Option<u16>,
    /// Frames a second of the source, where it does not say (images, video, minari).
    #[arg(long, value_name = "N", value_parser = pace)]
    source_fps: Option<f32>,
    /// Which recorded actions are which of ours, and their keys (TOML, or .json); docs/data.md.
    #[arg(long, value_name = "MAP")]
    actions: Option<PathBuf>,
    /// The observation that is the picture, where there are several (minari, lerobot).
    #[arg(long, value_name = "KEY")]
    image_key: Option<String>,
    /// Which frame an action belongs to [default: led-to for images, taken-at for the others].
    #[arg(long, value_enum, value_name = "WHICH")]
    pairing: Option<Pairing>,
    /// The world's name [default: that of PATH].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Leave out episodes that cannot be read, with a line each.
    #[arg(long)]
    skip_bad: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Imports.
///
/// # Errors
/// As [`import::run`].
pub fn run(args: Args) -> Result<()> {
    interrupt::watch();
    let bar = super::bar(0, "episodes");
    let mut notify = |event: Event<'_>| match event {
        Event::Done(done, total) => {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
        Event::Skipped(error) => {
            bar.suspend(|| eprintln!("driftless: left out: {}", one_line(error)));
        }
    };
    let options = Options {
        format: args.from,
        source: args.path,
        out: args.out,
        name: args.name,
        size: args.size,
        fps: args.fps,
        every: args.every.map(usize::from),
        source_fps: args.source_fps,
        actions: args.actions,
        image_key: args.image_key,
        pairing: args.pairing,
        skip_bad: args.skip_bad,
    };
    let report = import::run(&options, &mut notify);
    bar.finish_and_clear();
    let report = report?;
    match args.json {
        true => super::print_json(&report),
        false => super::print(&summary(&report, &options)),
    }
}

fn one_line(error: &driftless_data::Error) -> String {
    error.to_string().replace('\n', " ")
}

fn summary(report: &Report, options: &Options) -> String {
    let steps: usize = report.actions.iter().map(|count| count.frames).sum();
    let share = |count: &Count| {
        let share = 100.0 * count.frames as f64 / steps.max(1) as f64;
        format!("{} {share:.1} %", count.name)
    };
    let shares: Vec<String> = report.actions.iter().map(share).collect();
    let [height, width] = options.size;
    format!(
        "{}: {} episodes, {} frames of {height}×{width} at {} a second, {} left out\nactions: {}",
        options.out.display(),
        report.episodes.len(),
        report.frames,
        report.fps,
        report.skipped.len(),
        shares.join(", ")
    )
}

/// `64x48` (height, width) or `64`.
fn size(text: &str) -> std::result::Result<[usize; 2], String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=4096).contains(side));
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    match (side(height), side(width)) {
        (Some(height), Some(width)) => Ok([height, width]),
        _ => Err("expected HEIGHTxWIDTH in pixels, 1 to 4096 each, for example 64x64".into()),
    }
}

/// Frames a second.
fn pace(text: &str) -> std::result::Result<f32, String> {
    let pace = text
        .parse()
        .ok()
        .filter(|pace| *pace > 0.0 && *pace <= 1000.0);
    pace.ok_or_else(|| "expected frames a second, above 0, at most 1000".into())
}
