//! The surprise of an episode's frames, and its comparison with that of perturbed frames.

use std::ops::Range;

use serde::Serialize;

use driftless_data::Episode;
use driftless_model::checkpoint::WorldModel;

use super::likelihood::{
    FrameQuery, FrameSurprise, LikelihoodOptions, default_level, measurable_frames, measure,
};
use super::perturbations::{MeanBits, Perturbation, PerturbationReport, perturbations};
use super::table::{Table, number, percent};
use crate::Result;

/// How likely the frames of an episode are under a world.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SurpriseReport {
    /// The world's name.
    pub world: String,
    /// How it was measured. `level` is always set.
    pub options: LikelihoodOptions,
    /// Length of a frame's latent.
    pub dimensions: usize,
    /// Names of the actions.
    pub actions: Vec<String>,
    /// The real frames.
    pub frames: Vec<FrameSurprise>,
    /// Mean over the real frames.
    pub mean: MeanBits,
    /// Mean excess over the real frames.
    pub excess: MeanBits,
    /// Comparisons with perturbed frames; empty unless requested.
    #[serde(rename = "against")]
    pub perturbations: Vec<PerturbationReport>,
}

/// Measures frames of an episode: those of `wanted`, or all that have a full context. With
/// `perturb`, also measures perturbed frames. Calls `show(done, total)` with numbers of frames.
///
/// # Errors
/// See [`measurable_frames`] and [`measure`].
pub fn run(
    world: &WorldModel,
    episode: &Episode,
    wanted: Option<Range<usize>>,
    options: &LikelihoodOptions,
    perturb: bool,
    show: &mut dyn FnMut(usize, usize),
) -> Result<SurpriseReport> {
    let config = &world.config;
    let range = measurable_frames(config, episode, wanted)?;
    let real = range.clone().map(|t| FrameQuery {
        frame: t,
        action: episode.action(t),
        image: episode.frame(t),
    });
    let perturbed = if perturb {
        perturbations(episode, range.clone(), options.seed)
    } else {
        Vec::new()
    };
    let queries: Vec<FrameQuery> = real
        .chain(perturbed.iter().flat_map(Perturbation::queries))
        .collect();
    let mut done = 0;
    let mut measured = measure(world, episode, &queries, options, &mut |frames| {
        done += frames;
        show(done, queries.len());
    })?;
    let mut rest = measured.split_off(range.len());
    let compare = |perturbation: &Perturbation| {
        let later = rest.split_off(perturbation.queries().count());
        let frames = std::mem::replace(&mut rest, later);
        PerturbationReport::new(perturbation.name.clone(), &measured, frames)
    };
    let perturbations = perturbed.iter().map(compare).collect();
    let mean =
        |of: fn(&FrameSurprise) -> f64| MeanBits::of(&measured.iter().map(of).collect::<Vec<_>>());
    Ok(SurpriseReport {
        world: config.name.clone(),
        options: LikelihoodOptions {
            level: Some(options.level.unwrap_or(default_level(config))),
            ..*options
        },
        dimensions: config.latent_len(),
        actions: config.actions.iter().map(|a| a.name.clone()).collect(),
        mean: mean(|s| s.bits_per_dimension),
        excess: mean(|s| s.excess),
        frames: measured,
        perturbations,
    })
}

/// The table of the comparisons, or of every frame if there are none.
pub fn tables(report: &SurpriseReport) -> Vec<Table> {
    let title = format!(
        "Surprise in bits per dimension, −log₂ p of {} numbers (the lower, the likelier), at τ = {}: \
         mean {}, excess {} over {} frames",
        report.dimensions,
        report
            .options
            .level
            .map_or_else(String::new, |tau| tau.to_string()),
        with_error(&report.mean),
        with_error(&report.excess),
        report.frames.len()
    );
    vec![if report.perturbations.is_empty() {
        frame_table(report, title)
    } else {
        perturbation_table(&report.perturbations, title)
    }]
}

fn frame_table(report: &SurpriseReport, title: String) -> Table {
    // 1 nat = 1/ln 2 bits.
    let bits = |nats: f64| nats / (report.dimensions as f64 * std::f64::consts::LN_2);
    let row = |s: &FrameSurprise| {
        let action = report.actions.get(s.action as usize);
        vec![
            s.frame.to_string(),
            action.cloned().unwrap_or_default(),
            number(Some(s.bits_per_dimension), 3),
            number(s.standard_error.map(bits), 3),
            number(Some(s.excess), 3),
            number(Some(s.nats), 1),
            number(s.standard_error, 1),
        ]
    };
    Table {
        title,
        head: ["frame", "action", "bits/dim", "±", "excess", "nats", "±"]
            .map(str::to_owned)
            .to_vec(),
        rows: report.frames.iter().map(row).collect(),
    }
}

fn perturbation_table(perturbations: &[PerturbationReport], title: String) -> Table {
    let row = |c: &PerturbationReport| {
        vec![
            c.change.clone(),
            c.frames.len().to_string(),
            with_error(&c.real),
            with_error(&c.changed),
            with_error(&c.difference),
            percent(c.real_likelier),
            percent(c.noticed),
        ]
    };
    let head = [
        "real frames against",
        "frames",
        "real",
        "changed",
        "difference",
        "real likelier",
        "noticed alone",
    ];
    Table {
        title,
        head: head.map(str::to_owned).to_vec(),
        rows: perturbations.iter().map(row).collect(),
    }
}

fn with_error(mean: &MeanBits) -> String {
    let (mean, error) = (mean.bits_per_dimension, mean.standard_error);
    format!("{} ± {}", number(mean, 3), number(error, 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;
    use driftless_engine::testing::{clip, small_config, world};

    #[test]
    fn report_compares_with_perturbed_frames() {
        let config = small_config();
        let (world, clip) = (world(&config), clip(&config, 12));
        let episode = Episode {
            height: config.image[0],
            width: config.image[1],
            images: clip.images,
            rewards: vec![0.0; clip.actions.len()],
            actions: clip.actions.iter().map(|action| action.index).collect(),
            extras: std::collections::BTreeMap::new(),
        };
        let options = LikelihoodOptions {
            steps: 2,
            ..LikelihoodOptions::default()
        };
        let mut last = (0, 0);
        let mut run = |wanted, perturb| {
            let mut show = |done, all| last = (done, all);
            run(&world, &episode, wanted, &options, perturb, &mut show).unwrap()
        };
        let alone = run(None, false);
        let numbers: Vec<usize> = alone.frames.iter().map(|s| s.frame).collect();
        assert_eq!(numbers, (5..12).collect::<Vec<_>>());
        assert_eq!(alone.options.level, Some(0.75));
        let report = run(Some(6..10), true);
        let count = report
            .perturbations
            .iter()
            .map(|c| c.frames.len())
            .sum::<usize>()
            + 4;
        assert_eq!(last, (count, count));
        let close = |a: &FrameSurprise, b: &FrameSurprise| (a.nats - b.nats).abs() < 1e-2;
        let own = report.frames.iter().zip(&alone.frames[1..]);
        assert!(report.frames.len() == 4 && own.into_iter().all(|(a, b)| close(a, b)));
        // Only the action differs.
        let other = &report.perturbations[0];
        assert_eq!(other.change, "another action");
        for s in &other.frames {
            assert_ne!(s.action, episode.actions[s.frame]);
        }
        let rows = |report: &SurpriseReport| {
            let tables = tables(report);
            assert!(table::text(&tables).contains("72 numbers"));
            tables[0].rows.len()
        };
        assert_eq!(
            (rows(&alone), rows(&report)),
            (7, report.perturbations.len())
        );
    }
}
