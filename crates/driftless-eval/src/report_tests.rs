//! The whole evaluation on real frames, with engines whose quality is known beforehand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::fake::{Fake, Manner, world};
use crate::free::Presence;
use crate::table;
use driftless_data::{DatasetInfo, Episode};

fn real() -> Episode {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pong/episode_00000.npz");
    Episode::read(&path).unwrap()
}

fn options() -> Options {
    Options {
        sequences: 12,
        horizon: 16,
        steps: vec![4],
        tokenizer_frames: 50,
        one_step: 20,
        free_runs: 1,
        free_frames: 0,
        ..Options::default()
    }
}

fn evaluate(episode: Episode, manner: Manner, options: &Options) -> Result<Report> {
    let mut engine = Fake::new(Arc::new(episode.clone()), manner);
    let dataset = Dataset {
        info: DatasetInfo {
            name: "test".to_owned(),
            fps: 15.0,
            image: [64, 64],
            actions: world().actions,
        },
        episodes: vec![episode],
        files: vec![PathBuf::from("episode.npz")],
    };
    run(
        &mut engine,
        &dataset,
        options,
        None,
        None,
        &mut Progress::new(&mut |_, _| ()),
    )
}

fn row<'a>(report: &'a Report, label: &str) -> &'a RolloutReport {
    report
        .rollouts
        .iter()
        .find(|rollout| rollout.label == label)
        .unwrap()
}

#[test]
fn a_perfect_world_scores_like_the_real_frames() {
    let report = evaluate(real(), Manner::Perfect, &options()).unwrap();
    let dream = row(&report, "K = 4");
    assert_eq!(dream.spans, row(&report, "real frames").spans);
    for span in &dream.spans {
        let (player, ball) = (span.player.as_ref().unwrap(), span.ball.as_ref().unwrap());
        assert!(player.mean.unwrap() < 0.3, "{span:?}");
        assert_eq!(player.missing, Some(0.0));
        assert!(
            ball.frames == 0 || ball.exactly_one == Some(1.0),
            "{span:?}"
        );
        assert!(ball.frames == 0 || ball.within_2px == Some(1.0), "{span:?}");
    }
    let one_step = &report.one_step[0];
    assert_eq!(one_step.inside.frames + one_step.crossing.frames, 20);
    assert_eq!(one_step.inside.within_2px, Some(1.0));
    assert_eq!(report.tokenizer.ball.as_ref().unwrap().survives, Some(1.0));
}

#[test]
fn a_frozen_world_scores_like_repeating_the_last_frame() {
    let report = evaluate(real(), Manner::Frozen, &options()).unwrap();
    let (dream, repeat) = (row(&report, "K = 4"), row(&report, "repeat the last frame"));
    assert_eq!(dream.spans, repeat.spans);
    let late = dream
        .spans
        .iter()
        .find(|s| (s.from, s.to) == (5, 16))
        .unwrap();
    assert!(late.ball.as_ref().unwrap().within_2px.unwrap() < 0.3);
    // It obeys nobody: shuffled actions change nothing.
    let shuffled = report.shuffled.unwrap();
    assert!(shuffled.spans.iter().all(|span| span.factor == Some(1.0)));
}

#[test]
fn a_world_that_obeys_suffers_from_shuffled_actions() {
    let report = evaluate(real(), Manner::Strict, &options()).unwrap();
    let whole = report.shuffled.unwrap().spans.pop().unwrap();
    assert_eq!((whole.from, whole.to), (1, 16));
    assert!(whole.factor.unwrap() > 5.0, "{whole:?}");
}

#[test]
fn an_empty_world_misses_everything() {
    let report = evaluate(real(), Manner::Empty, &options()).unwrap();
    for span in &row(&report, "K = 4").spans {
        assert_eq!(span.player.as_ref().unwrap().missing, Some(1.0));
        assert_eq!(span.player.as_ref().unwrap().mean, None);
        assert!(span.ball.as_ref().unwrap().none.unwrap_or(1.0) == 1.0);
    }
}

#[test]
fn free_runs_are_counted_in_bins_beside_the_real_frames() {
    let mut episode = real();
    // The fake can play as long as its episode: start early.
    episode.extras.clear();
    let options = Options {
        free_frames: 60,
        free_bin: 25,
        ..options()
    };
    let report = evaluate(episode, Manner::Frozen, &options).unwrap();
    let free = report.free.unwrap();
    assert_eq!((free.real, free.change), (None, Some(0.0)));
    assert_eq!(free.bins[0].presence, Presence::default());

    let report = evaluate(real(), Manner::Frozen, &options).unwrap();
    let free = report.free.unwrap();
    let ends: Vec<_> = free.bins.iter().map(|bin| (bin.from, bin.to)).collect();
    assert_eq!(ends, [(1, 25), (26, 50), (51, 60)]);
    assert_eq!(free.bins[2].presence.frames, 10);
    assert_eq!(free.bins[0].presence.player, Some(1.0));
    assert!(free.real.unwrap().player.unwrap() > 0.95);
    // The fake's latents are 0.5 off what its pictures are encoded to; real frames lose nothing.
    assert!((free.bins[1].reencoding.unwrap() - 0.5).abs() < 1e-4);
    assert_eq!(free.real_reencoding, Some(0.0));
}

#[test]
fn worlds_without_known_objects_are_measured_by_their_pixels_alone() {
    let mut episode = real();
    episode.extras.clear();
    let report = evaluate(episode, Manner::Perfect, &options()).unwrap();
    assert!(row(&report, "K = 4").spans.iter().all(|s| s.ball.is_none()));
    assert_eq!((&report.shuffled, report.one_step.len()), (&None, 0));
    let text = table::text(&table::tables(&report));
    assert!(text.contains("PSNR") && !text.contains("paddle"), "{text}");
}

#[test]
fn the_tables_name_what_was_measured() {
    let report = evaluate(real(), Manner::Perfect, &options()).unwrap();
    let markdown = table::markdown(&table::tables(&report));
    for part in [
        "h = 8",
        "h 5–16",
        "K = 4",
        "times worse",
        "crosses",
        "taken away",
    ] {
        assert!(markdown.contains(part), "{part} is missing in\n{markdown}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["rollouts"][3]["steps"], 4);
}

#[test]
fn episodes_of_another_world_and_zero_sizes_are_refused() {
    let none = Options {
        sequences: 0,
        ..options()
    };
    let error = evaluate(real(), Manner::Perfect, &none).unwrap_err();
    assert!(error.to_string().contains("sequences is 0"), "{error}");
    let long = Options {
        horizon: 100_000,
        ..options()
    };
    let error = evaluate(real(), Manner::Perfect, &long).unwrap_err();
    assert!(error.to_string().contains("100012 frames"), "{error}");
}
