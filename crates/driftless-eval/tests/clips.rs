//! Real clips: what they are said to show is found in them, and what other clips show is not.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use driftless_data::{ClipCaption, Dataset};
use driftless_worlds::caption::{CaptionPlan, describe};
use driftless_worlds::record::{RecordingPlan, record};
use driftless_worlds::{Policy, SimulatorKind};

use driftless_eval::clips::{
    ClipFeatures, ClipReader, MotionProbe, PromptGroup, prompt_following, prompts, real_clip,
    tables,
};
use driftless_eval::{EvalProgress, table};

/// Bytes of a frame.
const FRAME: usize = 64 * 64 * 3;

/// A recorded dataset of the maze and its captions.
fn data(seed: u64, episodes: usize) -> (Dataset, Vec<ClipCaption>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("data");
    let plan = RecordingPlan {
        world: SimulatorKind::Maze,
        policy: Policy::Revisit,
        seed,
        world_seed: None,
        frames: 120 * episodes,
        episode_frames: 120,
    };
    record(&plan, &folder, &|_| true).unwrap();
    let plan = CaptionPlan {
        seed,
        ..CaptionPlan::default()
    };
    let captions = describe(&folder, &plan, &|_| true).unwrap().captions;
    (Dataset::read(&folder).unwrap(), captions)
}

#[test]
fn real_clips_show_what_their_captions_say() {
    let (training, seen) = data(1, 16);
    let (held_out, captions) = data(2, 8);
    let probe = MotionProbe::train(&training.episodes, 4000, 700, 0).unwrap();
    let reader = ClipReader::new(probe);
    let prompts = prompts(&captions, &seen, 120, 5).unwrap();
    assert!(
        prompts.iter().any(|prompt| prompt.unseen) && prompts.iter().any(|prompt| !prompt.unseen)
    );
    let mut calls = 0;
    let mut clip = |caption: &ClipCaption, text: &str| {
        calls += 1;
        assert!(caption.texts.values().flatten().any(|own| own == text));
        real_clip(&held_out, caption)
    };
    let mut show = |_, _| {};
    let progress = &mut EvalProgress::new(&mut show);
    let report = prompt_following(&mut clip, &prompts, &reader, progress).unwrap();
    assert_eq!((calls, report.clips), (prompts.len(), prompts.len()));
    let text = table::text(&tables(&report));
    for kind in ["motion", "wall", "object"] {
        let score = report.score(&PromptGroup::All, kind).unwrap();
        assert!(score.share >= 0.95, "{text}");
        assert!(score.swapped.unwrap() < 0.6, "{text}");
    }
    let whole = report.score(&PromptGroup::All, "whole prompt").unwrap();
    assert!(
        whole.share > 0.85 && whole.swapped.unwrap() < 0.15,
        "{text}"
    );
    let languages = ["en", "ru"].map(|code| PromptGroup::Language(code.to_owned()));
    let count = |group| report.score(group, "whole prompt").unwrap().statements;
    assert_eq!(count(&languages[0]) + count(&languages[1]), prompts.len());
    assert_eq!(count(&PromptGroup::Unseen), report.unseen);
}

#[test]
fn worse_clips_are_farther_from_real_ones() {
    let (training, _) = data(1, 8);
    let (held_out, captions) = data(2, 8);
    let features = ClipFeatures::train(&training.episodes, 200, 0).unwrap();
    let clips: Vec<Vec<u8>> = captions
        .iter()
        .map(|caption| real_clip(&held_out, caption).unwrap())
        .collect();
    let half = clips.len() / 2;
    let (a, b) = clips.split_at(half);
    let apart = features.distance(a, b).unwrap();
    // Coarse, and frozen in steps.
    let coarse = |clip: &Vec<u8>| clip.iter().map(|value| value / 32 * 32).collect();
    let coarse: Vec<Vec<u8>> = b.iter().map(coarse).collect();
    let held = |clip: &Vec<u8>| {
        let frames = clip.chunks_exact(FRAME).step_by(5);
        frames.flat_map(|frame| frame.repeat(4)).collect()
    };
    let jerky: Vec<Vec<u8>> = b.iter().map(held).collect();
    for worse in [coarse, jerky] {
        let far = features.distance(a, &worse).unwrap();
        assert!(far > 1.5 * apart, "{far}, real clips {apart}");
    }
    assert!(features.distance(a, a).unwrap() < 1e-3);
    assert!(features.distance(a, &b[..1]).is_err());
    assert!(features.distance(a, &[vec![0; 7], vec![0; 7]]).is_err());
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let caption = |facts: &[&str]| ClipCaption {
        file: "a.npz".to_owned(),
        start: 0,
        frames: 16,
        texts: [("en".to_owned(), vec!["a walk".to_owned()])].into(),
        facts: facts.iter().map(|fact| (*fact).to_owned()).collect(),
    };
    let error = |captions: &[ClipCaption]| prompts(captions, &[], 4, 0).unwrap_err().to_string();
    assert!(error(&[caption(&[])]).contains("captions with facts"));
    assert!(error(&[caption(&["wall:up:red"])]).contains("wall:up:red"));
    let two = [caption(&["wall:left:red"]), caption(&["pace:fast"])];
    let seen = [caption(&["wall:left:red"])];
    let asked = prompts(&two, &seen, 9, 0).unwrap();
    assert_eq!(
        asked.iter().map(|prompt| prompt.unseen).collect::<Vec<_>>(),
        [false, true]
    );
}
