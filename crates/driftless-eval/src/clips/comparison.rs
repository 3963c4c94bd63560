//! Clips from several sources, under the same prompts: recorded ones, those of a clip network, rollouts.

use std::time::Instant;

use serde::Serialize;

use driftless_data::metrics::psnr;
use driftless_data::{ClipCaption, Dataset};

use super::features::ClipFeatures;
use super::following::{FollowingReport, Prompt, PromptGroup, prompt_following, real_clip};
use super::reader::ClipReader;
use crate::Result;
use crate::options::EvalProgress;
use crate::table::{Table, dash, headings, percent};

/// Makes a clip for a caption and one of its texts, u8 RGB [T, 64, 64, 3].
pub type MakeClip<'a> = Box<dyn FnMut(&ClipCaption, &str) -> Result<Vec<u8>> + 'a>;

/// Where clips come from.
pub struct ClipSource<'a> {
    /// For display.
    pub name: String,
    /// Makes a clip.
    pub make: MakeClip<'a>,
    /// Whether the first frame is that of the recorded clip, so that its fidelity can be measured.
    pub is_given_first: bool,
}

/// What clips are measured with.
pub struct ClipProbes<'a> {
    /// Reads facts from frames.
    pub reader: &'a ClipReader,
    /// Features of the Fréchet distance.
    pub features: &'a ClipFeatures,
}

/// The clips of one source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceReport {
    /// Where they come from.
    pub name: String,
    /// What of their prompts they show.
    pub following: FollowingReport,
    /// Fréchet distance to the recorded clips of half of the prompts, from those of the other half.
    pub frechet: f64,
    /// PSNR of the first frame to that which was given, pooled over all clips.
    pub first_frame_psnr: Option<f64>,
    /// Mean time of a clip.
    pub seconds: f64,
}

/// Has every source make clips for the prompts, and measures them.
///
/// # Errors
/// Returns an error if there are fewer than four prompts, if the dataset lacks a clip, or if a source fails.
pub fn compare(
    sources: &mut [ClipSource],
    data: &Dataset,
    prompts: &[Prompt],
    probes: &ClipProbes,
    progress: &mut EvalProgress,
) -> Result<Vec<SourceReport>> {
    let real = prompts
        .iter()
        .map(|prompt| real_clip(data, &prompt.caption));
    let real: Vec<Vec<u8>> = real.collect::<Result<_>>()?;
    // Clips of the other half, so that a source that shows the recorded clips does not score zero.
    let half = |which: usize, all: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let chosen = all.iter().skip(which).step_by(2);
        chosen.cloned().collect()
    };
    let reference = half(0, &real);
    let mut reports = Vec::new();
    for source in sources {
        let mut made = Vec::with_capacity(prompts.len());
        let mut seconds = 0.0;
        let following = prompt_following(
            &mut |caption, text| {
                let started = Instant::now();
                let clip = (source.make)(caption, text)?;
                seconds += started.elapsed().as_secs_f64();
                made.push(clip.clone());
                Ok(clip)
            },
            prompts,
            probes.reader,
            progress,
        )?;
        let given = source.is_given_first.then_some(());
        let first_frame_psnr = given.and_then(|()| first_frames(&made, &real, prompts));
        reports.push(SourceReport {
            name: source.name.clone(),
            following,
            frechet: probes.features.distance(&half(1, &made), &reference)?,
            first_frame_psnr,
            seconds: seconds / prompts.len() as f64,
        });
    }
    Ok(reports)
}

/// PSNR of the first frames.
fn first_frames(made: &[Vec<u8>], real: &[Vec<u8>], prompts: &[Prompt]) -> Option<f64> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for ((made, real), prompt) in made.iter().zip(real).zip(prompts) {
        let frame = real.len() / prompt.caption.frames.max(1);
        a.extend_from_slice(&made[..frame.min(made.len())]);
        b.extend_from_slice(&real[..frame]);
    }
    psnr(&a, &b)
}

/// The reports side by side.
pub fn comparison_tables(reports: &[SourceReport]) -> Vec<Table> {
    let kinds = ["motion", "whole motion", "wall", "object"];
    let mut head = headings("share of statements that hold", &kinds);
    head.extend(["Fréchet", "first frame dB", "s a clip"].map(str::to_owned));
    let groups = reports.iter().flat_map(|report| {
        let scores = report.following.scores.iter();
        scores.map(|score| score.group.clone())
    });
    let groups: std::collections::BTreeSet<PromptGroup> = groups.collect();
    let mut rows = Vec::new();
    for report in reports {
        for group in &groups {
            let score = |kind: &&str| report.following.score(group, kind);
            let mut row = vec![match group {
                PromptGroup::All => report.name.clone(),
                PromptGroup::Unseen => format!("{}, unseen combinations", report.name),
                PromptGroup::Language(language) => format!("{}, {language}", report.name),
            }];
            row.extend(
                kinds
                    .iter()
                    .map(|kind| percent(score(kind).map(|s| s.share))),
            );
            if *group == PromptGroup::All {
                row.push(format!("{:.2}", report.frechet));
                let first = report.first_frame_psnr;
                row.push(first.map_or_else(dash, |db| format!("{db:.1}")));
                row.push(format!("{:.2}", report.seconds));
            } else {
                row.extend([dash(), dash(), dash()]);
            }
            rows.push(row);
            if *group == PromptGroup::All {
                let mut row = vec![format!("{}, swapped prompts", report.name)];
                let swapped = |kind: &&str| score(kind).and_then(|s| s.swapped);
                row.extend(kinds.iter().map(|kind| percent(swapped(kind))));
                row.extend([dash(), dash(), dash()]);
                rows.push(row);
            }
        }
    }
    let count = reports.first().map_or(0, |report| report.following.clips);
    vec![Table {
        title: format!("Clips of {count} prompts"),
        head,
        rows,
    }]
}
