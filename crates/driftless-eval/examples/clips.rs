//! What the measures of clips say of real ones: the ceiling of prompt following, chance, and the Fréchet
//! distance between real clips. Both datasets are recordings of the maze with captions.
//!
//! ```sh
//! cargo run --release -p driftless-eval --example clips -- data/mazes data/mazes-val
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use driftless_data::{ClipCaption, Dataset, DatasetInfo, captions};
use driftless_eval::clips::{
    ClipFeatures, ClipReader, prompt_following, prompts, real_clip, tables,
};
use driftless_eval::{EvalProgress, table};

/// Episodes that the networks are trained on, and that the clips are from.
const TRAINING: usize = 100;
const HELD_OUT: usize = 64;
/// Prompts, and clips in each of two sets.
const PROMPTS: usize = 1000;
const CLIPS: usize = 500;
/// Training steps of the features.
const STEPS: usize = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [training, held_out] = &folders[..] else {
        return Err("expected the folders of a training set and of a held-out one".into());
    };
    let (training, seen) = read(training, TRAINING)?;
    let (held_out, captions) = read(held_out, HELD_OUT)?;
    let reader = ClipReader::train(&training.episodes, 0)?;
    let prompts = prompts(&captions, &seen, PROMPTS, 0)?;
    let mut real = |caption: &ClipCaption, _text: &str| real_clip(&held_out, caption);
    let mut show = |_done, _total| {};
    let report = prompt_following(
        &mut real,
        &prompts,
        &reader,
        &mut EvalProgress::new(&mut show),
    )?;
    print!("{}", table::text(&tables(&report)));

    let features = ClipFeatures::train(&training.episodes, STEPS, 0)?;
    let clips = |data: &Dataset, captions: &[ClipCaption]| -> Result<Vec<Vec<u8>>, _> {
        let there = captions
            .iter()
            .filter(|c| data.files.iter().any(|file| file.ends_with(&c.file)));
        let there: Vec<&ClipCaption> = there.collect();
        let step = (there.len() / CLIPS).max(1);
        let some = there.into_iter().step_by(step).take(CLIPS);
        some.map(|caption| real_clip(data, caption)).collect()
    };
    let (a, b) = (clips(&training, &seen)?, clips(&held_out, &captions)?);
    println!(
        "Fréchet distance between {} and {} real clips: {:.3}",
        a.len(),
        b.len(),
        features.distance(&a, &b)?
    );
    Ok(())
}

/// The first episodes of a dataset, and all its captions.
fn read(
    folder: &Path,
    episodes: usize,
) -> Result<(Dataset, Vec<ClipCaption>), Box<dyn std::error::Error>> {
    let info = DatasetInfo::read(folder)?;
    let (mut read, mut files) = (Vec::new(), Vec::new());
    Dataset::for_each_episode(folder, &info, |file, episode| {
        read.push(episode?);
        files.push(file.to_path_buf());
        Ok(if read.len() < episodes {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    let captions = captions::read(folder)?.unwrap_or_default();
    let data = Dataset {
        info,
        episodes: read,
        files,
    };
    Ok((data, captions))
}
