//! A whole run on a few frames.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use driftless_clip::{
    ClipMaker, ClipParams, ClipRequest, ClipShape, EncodedText, TextEncoder, TextEncoderInfo,
};
use driftless_data::captions::{self, ClipCaption};
use driftless_engine::DeviceChoice;
use driftless_worlds::caption::{CaptionPlan, describe};
use driftless_worlds::cells::CellPlan;
use driftless_worlds::record::RecordingPlan;
use driftless_worlds::{Policy, SimulatorKind};

use super::run::run_with;
use super::{ActionSettings, ClipOptions, ClipSettings, run_clip};
use crate::settings::OptimizerSettings;
use crate::{TrainOutcome, TrainProgress};

/// Two episodes of the maze with captions of clips of 4 frames, and settings for a tiny network.
fn prepare(root: &Path) -> ClipOptions {
    let plan = RecordingPlan {
        world: SimulatorKind::Maze,
        policy: Policy::Random,
        seed: 1,
        world_seed: None,
        frames: 24,
        episode_frames: 12,
    };
    let data = root.join("data");
    driftless_worlds::record(&plan, &data, &|_| true).unwrap();
    let caption = |episode: usize, start: usize, text: &str| ClipCaption {
        file: format!("episode_0000{episode}.npz"),
        start,
        frames: 4,
        texts: BTreeMap::from([("en".to_owned(), vec![text.to_owned()])]),
        facts: Vec::new(),
    };
    let all = [caption(0, 0, "a red wall"), caption(1, 8, "a ball")];
    captions::write(&data, &all).unwrap();
    let tiny = ClipShape {
        width: 16,
        depth: 1,
        heads: 2,
        mlp: 16,
        text_blocks: 1,
        text_words: 8,
        ..ClipShape::default()
    };
    let settings = ClipSettings {
        lengths: vec![4],
        batch_size: 3,
        min_word_count: 1,
        preview_minutes: 0.0,
        actions: ActionSettings {
            batch_size: 16,
            network: ClipShape {
                merge: 1,
                width: 32,
                ..tiny.clone()
            },
            optimizer: OptimizerSettings {
                steps: 300,
                warmup_steps: 10,
                learning_rate: 1e-2,
                ema_decay: 0.9,
                ..ActionSettings::default().optimizer
            },
        },
        network: tiny,
        optimizer: OptimizerSettings {
            steps: 4,
            ..ClipSettings::default().optimizer
        },
        ..ClipSettings::default()
    };
    let config = root.join("clip.toml");
    std::fs::write(&config, toml::to_string_pretty(&settings).unwrap()).unwrap();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/maze");
    ClipOptions {
        data,
        world: Some(world),
        text_encoder: None,
        out: root.join("run"),
        config: Some(config),
        from: None,
        skip_bad: false,
        resume: false,
        device: DeviceChoice::Cpu,
        max_steps: Some(4),
        max_minutes: None,
        seed: None,
    }
}

fn weights(options: &ClipOptions) -> [Vec<u8>; 2] {
    let read = |file| std::fs::read(options.out.join("checkpoint").join(file)).unwrap();
    ["clip.safetensors", "clip_actions.safetensors"].map(read)
}

#[test]
fn trained_network_makes_clips_and_resumes_exactly() {
    let root = tempfile::tempdir().unwrap();
    let whole = prepare(root.path());
    let outcome = run_clip(&whole, &mut ()).unwrap();
    assert_eq!(outcome, TrainOutcome::Finished);
    let half = ClipOptions {
        out: root.path().join("half"),
        max_steps: Some(2),
        ..whole.clone()
    };
    assert_eq!(run_clip(&half, &mut ()).unwrap(), TrainOutcome::Finished);
    let rest = ClipOptions {
        resume: true,
        world: None,
        max_steps: Some(4),
        ..half
    };
    assert_eq!(run_clip(&rest, &mut ()).unwrap(), TrainOutcome::Finished);
    assert!(weights(&whole) == weights(&rest));

    let folder = whole.out.join("checkpoint");
    let maker = ClipMaker::read(&folder, &candle_core::Device::Cpu).unwrap();
    assert_eq!(maker.config().vocabulary, ["a", "ball", "red", "wall"]);
    assert_eq!(maker.config().examples[0], "a red wall");
    assert_eq!(maker.config().actions, maker.world().actions.len());
    let params = ClipParams {
        steps: 3,
        ..ClipParams::of(maker.config())
    };
    let first = vec![90_u8; 64 * 64 * 3];
    let request = ClipRequest {
        first: Some(first),
        ..ClipRequest::new("a red dragon")
    };
    let mut steps = 0;
    let make = |params: &ClipParams, steps: &mut usize| {
        maker.make(&request, params, &mut |progress| {
            *steps = progress.step;
            true
        })
    };
    let clip = make(&params, &mut steps).unwrap();
    assert_eq!((steps, clip.images.len()), (3, 4 * 64 * 64 * 3));
    assert_eq!(clip.unknown, ["dragon"]);
    assert_eq!((clip.actions.len(), clip.actions[0]), (4, 0));
    assert_eq!(clip, make(&params, &mut steps).unwrap());
    let other = ClipParams { seed: 1, ..params };
    assert!(clip.images != make(&other, &mut steps).unwrap().images);
    let stopped = maker.make(&request, &params, &mut |_| false).unwrap_err();
    assert!(matches!(
        stopped,
        driftless_clip::Error::Data(driftless_data::Error::Interrupted)
    ));
    let long = ClipParams {
        frames: 5,
        ..params
    };
    let error = maker.make(&request, &long, &mut |_| true).unwrap_err();
    let error = error.to_string();
    let expected = "expected 2 to 4: the network has learned clips of 4 frames";
    assert!(error.contains(expected), "{error}");
}

/// Calls `f` with other lengths in the settings.
fn with_lengths<T>(options: &ClipOptions, lengths: &[usize], f: impl Fn(&ClipOptions) -> T) -> T {
    let path = options.config.as_ref().unwrap();
    let settings = ClipSettings {
        lengths: lengths.to_vec(),
        preview_minutes: 1e-6,
        ..toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let config = path.with_file_name("lengths.toml");
    std::fs::write(&config, toml::to_string_pretty(&settings).unwrap()).unwrap();
    f(&ClipOptions {
        config: Some(config),
        ..options.clone()
    })
}

/// Trains two steps on clips of these lengths, and makes one of each number of frames.
fn train_on(lengths: &[usize], made: &[usize]) -> ClipMaker {
    let root = tempfile::tempdir().unwrap();
    let options = ClipOptions {
        max_steps: Some(2),
        ..prepare(root.path())
    };
    let plan = CaptionPlan {
        lengths: lengths.to_vec(),
        ..CaptionPlan::default()
    };
    let mut described = describe(&options.data, &plan, &|_| true).unwrap();
    // One holds for a longer part of the recording than is learned.
    described.captions[0].frames = 12;
    captions::write(&options.data, &described.captions).unwrap();
    let outcome = with_lengths(&options, lengths, |options| run_clip(options, &mut ()));
    assert_eq!(outcome.unwrap(), TrainOutcome::Finished);
    let previews = std::fs::read_dir(options.out.join("previews")).unwrap();
    assert!(previews.count() > 0);
    let folder = options.out.join("checkpoint");
    let maker = ClipMaker::read(&folder, &candle_core::Device::Cpu).unwrap();
    for &frames in made {
        let params = ClipParams {
            frames,
            steps: 2,
            ..ClipParams::of(maker.config())
        };
        let clip = maker.make(&ClipRequest::new("forward"), &params, &mut |_| true);
        let clip = clip.unwrap();
        assert_eq!(clip.images.len(), frames * 64 * 64 * 3);
        assert_eq!(clip.actions.len(), frames);
    }
    maker
}

#[test]
fn several_lengths_are_learned_at_once() {
    let maker = train_on(&[4, 8], &[4, 6, 8]);
    assert_eq!(ClipParams::of(maker.config()).frames, 4);
    let long = ClipParams {
        frames: 9,
        ..ClipParams::of(maker.config())
    };
    let error = maker.make(&ClipRequest::new("x"), &long, &mut |_| true);
    let error = error.unwrap_err().to_string();
    let expected = "expected 2 to 8: the network has learned clips of 4 and 8 frames";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn single_frames_are_learned() {
    let maker = train_on(&[1], &[1]);
    let request = ClipRequest {
        first: Some(vec![0; 64 * 64 * 3]),
        ..ClipRequest::default()
    };
    let made = maker.make(&request, &ClipParams::of(maker.config()), &mut |_| true);
    let error = made.unwrap_err().to_string();
    assert!(error.contains("nothing to make"), "{error}");
}

/// Tells texts apart by their letters: each word is a token of its first letters.
struct Letters(TextEncoderInfo);

impl TextEncoder for Letters {
    fn info(&self) -> &TextEncoderInfo {
        &self.0
    }

    fn encode(&self, text: &str, most: usize) -> driftless_clip::Result<EncodedText> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let state = |word: &&str| {
            let letters = word.bytes().chain([0; 4]).take(4);
            letters
                .map(|letter| f32::from(letter) / 64.0)
                .collect::<Vec<_>>()
        };
        Ok(EncodedText {
            states: words.iter().take(most).flat_map(state).collect(),
            left_out: words.len().saturating_sub(most),
        })
    }
}

fn letters(checksum: &str) -> Arc<dyn TextEncoder> {
    Arc::new(Letters(TextEncoderInfo {
        width: 4,
        checksum: checksum.to_owned(),
    }))
}

#[test]
fn text_encoder_reads_captions_and_prompts() {
    let root = tempfile::tempdir().unwrap();
    let whole = prepare(root.path());
    let half = ClipOptions {
        out: root.path().join("half"),
        max_steps: Some(2),
        ..whole.clone()
    };
    let train = |options: &ClipOptions| {
        let outcome = run_with(options, Some(&letters("a")), &mut ());
        assert_eq!(outcome.unwrap(), TrainOutcome::Finished);
    };
    train(&whole);
    train(&half);
    let rest = ClipOptions {
        resume: true,
        world: None,
        max_steps: Some(4),
        ..half
    };
    for other in [None, Some(letters("b"))] {
        let error = run_with(&rest, other.as_ref(), &mut ())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expected the same --text-encoder"),
            "{error}"
        );
    }
    train(&rest);
    assert!(weights(&whole) == weights(&rest));

    let read =
        || ClipMaker::read(&whole.out.join("checkpoint"), &candle_core::Device::Cpu).unwrap();
    let make = |maker: &ClipMaker, prompt: &str| {
        let params = ClipParams::of(maker.config());
        maker.make(&ClipRequest::new(prompt), &params, &mut |_| true)
    };
    let error = make(&read(), "a ball").unwrap_err().to_string();
    assert!(error.contains("--text-encoder DIR"), "{error}");
    let error = read()
        .with_text_encoder(letters("b"))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("checksum b, expected a"), "{error}");
    let maker = read().with_text_encoder(letters("a")).unwrap();
    assert_eq!(maker.config().vocabulary, [""; 0]);
    let ball = make(&maker, "a ball").unwrap();
    assert_eq!(ball.unknown, [""; 0]);
    assert_eq!(ball, make(&maker, "a ball").unwrap());
    assert!(ball.images != make(&maker, "a red wall").unwrap().images);
    make(&maker, " ").unwrap();
}

#[test]
fn actions_follow_the_words() {
    let root = tempfile::tempdir().unwrap();
    let options = ClipOptions {
        max_steps: None,
        ..prepare(root.path())
    };
    assert_eq!(run_clip(&options, &mut ()).unwrap(), TrainOutcome::Finished);
    let folder = options.out.join("checkpoint");
    let maker = ClipMaker::read(&folder, &candle_core::Device::Cpu).unwrap();
    let dataset = driftless_data::Dataset::read(&options.data).unwrap();
    for (text, episode, start) in [("a red wall", 0, 0), ("a ball", 1, 8)] {
        let recorded = &dataset.episodes[episode].actions[start + 1..start + 4];
        for (steps, seed) in [(1, 0), (2, 5)] {
            let params = ClipParams {
                steps,
                seed,
                ..ClipParams::of(maker.config())
            };
            let made = maker.make(&ClipRequest::new(text), &params, &mut |_| true);
            assert_eq!(made.unwrap().actions[1..], *recorded, "{text}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_before_the_work() {
    struct NoWork;
    impl TrainProgress for NoWork {
        fn data_read(&mut self, _frames: usize) {
            panic!("the data was read");
        }
    }
    let root = tempfile::tempdir().unwrap();
    let options = prepare(root.path());
    let refuse = |options: &ClipOptions| run_clip(options, &mut NoWork).unwrap_err().to_string();
    let no_world = ClipOptions {
        world: None,
        ..options.clone()
    };
    assert!(refuse(&no_world).contains("needs --world"));
    let doom = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/doom");
    let other_size = ClipOptions {
        world: Some(doom),
        ..options.clone()
    };
    let error = refuse(&other_size);
    assert!(error.contains("as in the world"), "{error}");
    let pong = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/pong");
    let no_clips = ClipOptions {
        from: Some(pong),
        ..options.clone()
    };
    let error = refuse(&no_clips);
    assert!(error.contains("clip.json"), "{error}");
    let error = with_lengths(&options, &[4, 8], refuse);
    let expected = "no captions of clips of 8 frames, which `lengths` asks for";
    assert!(
        error.contains(expected) && error.contains("--frames 4,8"),
        "{error}"
    );
    let error = with_lengths(&options, &[8, 4], refuse);
    assert!(error.contains("lengths is out of its range"), "{error}");
    let cells = ClipOptions {
        data: root.path().join("cells"),
        ..options.clone()
    };
    let few = CellPlan {
        cells: 1,
        controls: 1,
        ..CellPlan::default()
    };
    driftless_worlds::cells::record(&few, &cells.data, &|_| true).unwrap();
    let error = refuse(&cells);
    assert!(error.contains("holds pictures of cells"), "{error}");
    std::fs::remove_file(options.data.join("captions.jsonl")).unwrap();
    let error = refuse(&options);
    assert!(error.contains("driftless caption"), "{error}");
    assert!(!options.out.exists());
}
