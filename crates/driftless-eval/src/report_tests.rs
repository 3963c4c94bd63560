//! The complete evaluation of real frames with fake engines of known quality.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftless_data::{DatasetInfo, Episode};

use super::*;
use crate::fake::{FakeBehaviour, fake_sampler, world};
use crate::free_run::ObjectPresence;
use crate::{lpips, report_tables, table};

fn real_episode() -> Episode {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pong/episode_00000.npz");
    Episode::read(&path).unwrap()
}

fn options() -> EvalOptions {
    EvalOptions {
        sequences: 12,
        horizon: 16,
        steps: vec![4],
        tokenizer_frames: 50,
        one_step: 20,
        free_runs: 1,
        free_frames: 0,
        ..EvalOptions::default()
    }
}

fn evaluate(
    episode: Episode,
    behaviour: FakeBehaviour,
    options: &EvalOptions,
) -> Result<EvalReport> {
    evaluate_with(episode, behaviour, options, Probes::default())
}

fn evaluate_with(
    episode: Episode,
    behaviour: FakeBehaviour,
    options: &EvalOptions,
    probes: Probes<'_>,
) -> Result<EvalReport> {
    let mut engine = fake_sampler(Arc::new(episode.clone()), behaviour);
    let dataset = Dataset {
        info: DatasetInfo {
            name: "test".to_owned(),
            fps: 15.0,
            image: [64, 64],
            actions: world().actions,
            axes: Vec::new(),
        },
        episodes: vec![episode],
        files: vec![PathBuf::from("episode.npz")],
    };
    run(
        &mut engine,
        &dataset,
        options,
        probes,
        None,
        &mut EvalProgress::new(&mut |_, _| ()),
    )
}

fn rollout<'a>(report: &'a EvalReport, label: &str) -> &'a RolloutReport {
    report
        .rollouts
        .iter()
        .find(|row| row.label == label)
        .unwrap()
}

#[test]
fn perfect_world_matches_real_frames() {
    let report = evaluate(real_episode(), FakeBehaviour::Perfect, &options()).unwrap();
    let predicted = rollout(&report, "K = 4");
    assert_eq!(predicted.spans, rollout(&report, "real frames").spans);
    for span in &predicted.spans {
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
    let regions = report.one_step_regions.as_ref().unwrap();
    assert_eq!((regions.frames, regions.objects), (20, Some(99.0)));
}

#[test]
fn frozen_world_matches_repeated_frames() {
    let report = evaluate(real_episode(), FakeBehaviour::Frozen, &options()).unwrap();
    let (predicted, repeated) = (
        rollout(&report, "K = 4"),
        rollout(&report, "repeat the last frame"),
    );
    assert_eq!(predicted.spans, repeated.spans);
    let late = predicted
        .spans
        .iter()
        .find(|s| (s.from, s.to) == (5, 16))
        .unwrap();
    assert!(late.ball.as_ref().unwrap().within_2px.unwrap() < 0.3);
    // Actions have no effect.
    let shuffled = report.shuffled.unwrap();
    assert!(shuffled.spans.iter().all(|span| span.factor == Some(1.0)));
}

#[test]
fn shuffled_actions_harm_an_obedient_world() {
    let report = evaluate(real_episode(), FakeBehaviour::Obedient, &options()).unwrap();
    let whole = report.shuffled.unwrap().spans.pop().unwrap();
    assert_eq!((whole.from, whole.to), (1, 16));
    assert!(whole.factor.unwrap() > 5.0, "{whole:?}");
}

#[test]
fn empty_world_misses_everything() {
    let report = evaluate(real_episode(), FakeBehaviour::Empty, &options()).unwrap();
    for span in &rollout(&report, "K = 4").spans {
        assert_eq!(span.player.as_ref().unwrap().missing, Some(1.0));
        assert_eq!(span.player.as_ref().unwrap().mean, None);
        assert!(span.ball.as_ref().unwrap().none.unwrap_or(1.0) == 1.0);
    }
}

#[test]
fn free_runs_are_counted_in_bins() {
    let mut episode = real_episode();
    episode.extras.clear();
    let options = EvalOptions {
        free_frames: 60,
        free_bin: 25,
        ..options()
    };
    let report = evaluate(episode, FakeBehaviour::Frozen, &options).unwrap();
    let free = report.free.unwrap();
    assert_eq!((free.real, free.change), (None, Some(0.0)));
    assert_eq!(free.bins[0].presence, ObjectPresence::default());

    let report = evaluate(real_episode(), FakeBehaviour::Frozen, &options).unwrap();
    let free = report.free.unwrap();
    let ends: Vec<_> = free.bins.iter().map(|bin| (bin.from, bin.to)).collect();
    assert_eq!(ends, [(1, 25), (26, 50), (51, 60)]);
    assert_eq!(free.bins[2].presence.frames, 10);
    assert_eq!(free.bins[0].presence.player, Some(1.0));
    assert!(free.real.unwrap().player.unwrap() > 0.95);
    // The fake engine's latents differ by 0.5 from the encoding of its images.
    assert!((free.bins[1].reencoding.unwrap() - 0.5).abs() < 1e-4);
    assert_eq!(free.real_reencoding, Some(0.0));
}

#[test]
fn unknown_worlds_are_measured_by_pixels() {
    let mut episode = real_episode();
    episode.extras.clear();
    let report = evaluate(episode, FakeBehaviour::Perfect, &options()).unwrap();
    assert!(
        rollout(&report, "K = 4")
            .spans
            .iter()
            .all(|s| s.ball.is_none())
    );
    assert_eq!((&report.shuffled, report.one_step.len()), (&None, 0));
    let text = table::text(&report_tables::tables(&report));
    assert!(text.contains("PSNR") && !text.contains("paddle"), "{text}");
}

#[test]
fn tables_name_the_measures() {
    let report = evaluate(real_episode(), FakeBehaviour::Perfect, &options()).unwrap();
    let markdown = table::markdown(&report_tables::tables(&report));
    for part in [
        "h = 8",
        "h 5–16",
        "K = 4",
        "ratio",
        "crosses",
        "ball removed",
    ] {
        assert!(markdown.contains(part), "{part} is missing in\n{markdown}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["rollouts"][3]["steps"], 4);
}

#[test]
fn perceptual_distances_are_reported() {
    let lpips = lpips::tests::random_alexnet();
    let probes = Probes {
        lpips: Some(&lpips),
        ..Probes::default()
    };
    let report = evaluate_with(real_episode(), FakeBehaviour::Frozen, &options(), probes).unwrap();
    assert_eq!(report.lpips.as_deref(), Some("AlexNet"));
    let text = table::text(&report_tables::tables(&report));
    assert!(
        text.contains("LPIPS (AlexNet)") && text.contains("latents after h"),
        "{text}"
    );
    for (label, is_equal) in [("real frames", true), ("K = 4", false)] {
        for span in &rollout(&report, label).spans {
            let distance = span.latent_distance.unwrap();
            assert_eq!(distance == 0.0, is_equal, "{label}: {span:?}");
            match (span.from == span.to, span.lpips) {
                (true, Some(distance)) => {
                    assert_eq!(distance == 0.0, is_equal, "{label}: {span:?}");
                }
                (false, None) => {}
                _ => panic!("{label}: {span:?}"),
            }
        }
    }
    let without = evaluate(real_episode(), FakeBehaviour::Frozen, &options()).unwrap();
    let text = table::text(&report_tables::tables(&without));
    assert!(
        !text.contains("LPIPS (") && text.contains("not LPIPS"),
        "{text}"
    );
}

#[test]
fn invalid_options_are_refused() {
    let none = EvalOptions {
        sequences: 0,
        ..options()
    };
    let error = evaluate(real_episode(), FakeBehaviour::Perfect, &none).unwrap_err();
    assert!(error.to_string().contains("sequences is 0"), "{error}");
    let long = EvalOptions {
        horizon: 100_000,
        ..options()
    };
    let error = evaluate(real_episode(), FakeBehaviour::Perfect, &long).unwrap_err();
    assert!(error.to_string().contains("100012 frames"), "{error}");
}
