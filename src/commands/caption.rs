//! `driftless caption`: describes the clips of a simulator's recording in words.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use driftless::{Result, interrupt};
use driftless_data::layout::dataset;
use driftless_data::{DatasetInfo, captions, cells, fs};
use driftless_worlds::caption::{self, CaptionPlan, Language};

/// A language on the command line.
#[derive(Clone, Copy)]
struct LanguageArg(Language);

impl ValueEnum for LanguageArg {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(Language::English), Self(Language::Russian)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self.0 {
            Language::English => "English",
            Language::Russian => "Russian",
        };
        Some(PossibleValue::new(self.0.code()).help(help))
    }
}

/// Arguments of `caption`.
#[derive(clap::Args)]
pub struct Args {
    /// Dataset folder that `driftless record` or the New world page has written.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Frames of a clip; several lengths, separated by commas, are captioned one after the other [default: 16, and
    /// 1 for pictures of cells].
    #[arg(long, value_name = "N", value_delimiter = ',')]
    frames: Vec<usize>,
    /// Frames from the start of one clip to that of the next.
    #[arg(long, value_name = "N", default_value_t = CaptionPlan::default().stride)]
    stride: usize,
    /// Texts of a clip in each language, which say the same in different words.
    #[arg(long, value_name = "N", default_value_t = CaptionPlan::default().variants)]
    variants: usize,
    /// Seed of what is said of a clip, and how.
    #[arg(long, value_name = "S", default_value_t = CaptionPlan::default().seed)]
    seed: u64,
    /// Languages, separated by commas.
    #[arg(long, value_enum, value_name = "CODE", value_delimiter = ',', default_values = ["en", "ru"])]
    language: Vec<LanguageArg>,
    /// File to write [default: captions.jsonl in the dataset's folder, where training finds it].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long)]
    overwrite: bool,
}

/// Captions a dataset.
///
/// # Errors
/// Returns an error if the dataset is not a simulator's recording, an argument is out of range, or the file
/// exists or cannot be written, or on Ctrl-C.
pub fn run(args: &Args) -> Result<()> {
    let mut languages: Vec<Language> = args.language.iter().map(|language| language.0).collect();
    languages.sort();
    languages.dedup();
    let mut lengths = args.frames.clone();
    if lengths.is_empty() {
        lengths = caption::usual_lengths(&args.data);
    }
    lengths.sort_unstable();
    lengths.dedup();
    let plan = CaptionPlan {
        lengths,
        stride: args.stride,
        variants: args.variants,
        seed: args.seed,
        languages,
    };
    if !cells::is_dataset(&args.data) {
        DatasetInfo::read(&args.data)?;
    }
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| args.data.join(dataset::CAPTIONS));
    if !args.overwrite {
        fs::check_new(&out)?;
    }
    fs::check_target(&out)?;
    interrupt::watch();
    let bar = super::bar(caption::frames(&args.data)? as u64, "frames");
    let described = caption::describe(&args.data, &plan, &|frames| {
        bar.inc(frames as u64);
        !interrupt::requested()
    })?;
    bar.finish_and_clear();
    captions::write_to(&out, &described.captions)?;
    super::print(&format!(
        "captions of {} of {} clips in {}",
        described.captions.len(),
        described.clips,
        out.display()
    ))
}
