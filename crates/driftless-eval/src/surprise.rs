//! The surprise of a stretch of an episode, frame by frame, and beside frames that are wrong.

use std::ops::Range;

use serde::Serialize;

use super::against::{Changed, Comparison, Mean, changes};
use super::likelihood::{Asked, Options, Surprise, frames, level_of, measure};
use super::table::{Table, number, percent};
use crate::Result;
use driftless_data::Episode;
use driftless_model::checkpoint::World;

/// How likely the frames of an episode are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The world's name.
    pub world: String,
    /// How it was measured.
    pub options: Options,
    /// Numbers in a frame's latent.
    pub dimensions: usize,
    /// Names of the actions.
    pub actions: Vec<String>,
    /// The real frames.
    pub frames: Vec<Surprise>,
    /// Over the real frames.
    pub mean: Mean,
    /// Over the real frames, the excess.
    pub excess: Mean,
    /// The real frames beside wrong ones; empty unless asked for.
    pub against: Vec<Comparison>,
}

/// Measures the frames of an episode that `wanted` names (all that have a context without it), and
/// where asked wrong ones in their places; `show` is called with (done, all).
///
/// # Errors
/// As [`frames`] and [`measure`].
pub fn run(
    world: &World,
    episode: &Episode,
    wanted: Option<Range<usize>>,
    options: &Options,
    against: bool,
    show: &mut dyn FnMut(usize, usize),
) -> Result<Report> {
    let config = &world.config;
    let range = frames(config, episode, wanted)?;
    let real = range.clone().map(|t| Asked {
        frame: t,
        action: episode.actions[t],
        image: episode.frame(t),
    });
    let wrong = match against {
        true => changes(episode, range.clone(), options.seed),
        false => Vec::new(),
    };
    let asked: Vec<Asked> = real.chain(wrong.iter().flat_map(Changed::asked)).collect();
    let mut done = 0;
    let mut found = measure(world, episode, &asked, options, &mut |frames| {
        done += frames;
        show(done, asked.len());
    })?;
    let mut rest = found.split_off(range.len());
    let compare = |changed: &Changed| {
        let later = rest.split_off(changed.asked().count());
        let own = std::mem::replace(&mut rest, later);
        Comparison::new(changed.name.clone(), &found, own)
    };
    let against = wrong.iter().map(compare).collect();
    let mean = |of: fn(&Surprise) -> f64| Mean::of(&found.iter().map(of).collect::<Vec<_>>());
    Ok(Report {
        world: config.name.clone(),
        options: Options {
            level: Some(options.level.unwrap_or(level_of(config))),
            ..*options
        },
        dimensions: config.latent_len(),
        actions: config.actions.iter().map(|a| a.name.clone()).collect(),
        mean: mean(|s| s.bits_per_dimension),
        excess: mean(|s| s.excess),
        frames: found,
        against,
    })
}

/// The report as tables: every frame, or where there are comparisons these.
pub fn tables(report: &Report) -> Vec<Table> {
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
    vec![match report.against.is_empty() {
        true => every_frame(report, title),
        false => comparisons(&report.against, title),
    }]
}

fn every_frame(report: &Report, title: String) -> Table {
    // 1 nat = 1/ln 2 bits.
    let bits = |nats: f64| nats / (report.dimensions as f64 * std::f64::consts::LN_2);
    let row = |s: &Surprise| {
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

fn comparisons(against: &[Comparison], title: String) -> Table {
    let row = |c: &Comparison| {
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
        rows: against.iter().map(row).collect(),
    }
}

fn with_error(mean: &Mean) -> String {
    let (mean, error) = (mean.bits_per_dimension, mean.standard_error);
    format!("{} ± {}", number(mean, 3), number(error, 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;
    use driftless_engine::testing::{clip, plain, world};

    #[test]
    fn a_report_has_every_frame_once_and_beside_wrong_ones() {
        let config = plain();
        let (world, clip) = (world(&config), clip(&config, 12));
        let episode = Episode {
            height: config.image[0],
            width: config.image[1],
            images: clip.images,
            rewards: vec![0.0; clip.actions.len()],
            actions: clip.actions,
            extras: std::collections::BTreeMap::new(),
        };
        let options = Options {
            steps: 2,
            ..Options::default()
        };
        let mut last = (0, 0);
        let mut run = |wanted, against| {
            let mut show = |done, all| last = (done, all);
            run(&world, &episode, wanted, &options, against, &mut show).unwrap()
        };
        let alone = run(None, false);
        let places: Vec<usize> = alone.frames.iter().map(|s| s.frame).collect();
        assert_eq!(places, (5..12).collect::<Vec<_>>());
        assert_eq!(alone.options.level, Some(0.75));
        let report = run(Some(6..10), true);
        let asked = report.against.iter().map(|c| c.frames.len()).sum::<usize>() + 4;
        assert_eq!(last, (asked, asked));
        let close = |a: &Surprise, b: &Surprise| (a.nats - b.nats).abs() < 1e-2;
        let own = report.frames.iter().zip(&alone.frames[1..]);
        assert!(report.frames.len() == 4 && own.into_iter().all(|(a, b)| close(a, b)));
        // Of another action: only the action.
        let other = &report.against[0];
        assert_eq!(other.change, "another action");
        for s in &other.frames {
            assert_ne!(s.action, episode.actions[s.frame]);
        }
        let rows = |report: &Report| {
            let tables = tables(report);
            assert!(table::text(&tables).contains("72 numbers"));
            tables[0].rows.len()
        };
        assert_eq!((rows(&alone), rows(&report)), (7, report.against.len()));
    }
}
