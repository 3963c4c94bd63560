//! Conversion of recordings to episodes: pairing, frame stride and merging.

use super::*;
use crate::Action;

fn named_actions(values: &[&str]) -> Vec<RawAction> {
    values.iter().map(|&v| RawAction::Name(v.into())).collect()
}

/// Converts a recording whose frames 0, 1, 2, … are one grey pixel each.
fn converted(steps: &[&str], every: usize, terminal: bool) -> Episode {
    let mut frames = FrameResampler::new([1, 1], every);
    for value in 0..=steps.len() {
        frames.push([1, 1], &[value as u8; 3]);
    }
    let raw = RawEpisode {
        actions: named_actions(steps),
        rewards: (0..steps.len()).map(|t| t as f32).collect(),
        terminal,
        remarks: Vec::new(),
    };
    convert_episode(frames, &raw, every, &mut ActionMap::inferred()).unwrap()
}

#[test]
fn actions_lead_to_the_next_frame() {
    let episode = converted(&["left", "noop", "right"], 1, false);
    assert_eq!(episode.actions, [0, 1, 0, 2]);
    assert_eq!(episode.rewards, [0.0, 0.0, 1.0, 2.0]);
    assert_eq!(episode.frame(2), [2, 2, 2]);
}

#[test]
fn dropped_frames_merge_into_the_next() {
    let steps = ["left", "left", "right", "noop", "right", "noop", "left"];
    let episode = converted(&steps, 3, true);
    assert_eq!(episode.images, [[0; 3], [3; 3], [6; 3]].concat());
    assert_eq!(episode.actions, [0, 1, 2]);
    assert_eq!(episode.rewards, [0.0, 3.0, 12.0]);
    assert!(episode.extras.is_empty(), "the terminal frame is dropped");
    assert!(
        converted(&steps[..6], 3, true)
            .extras
            .contains_key("is_terminal")
    );
}

#[test]
fn pairing_selects_the_transition() {
    assert_eq!(per_transition(vec![1, 2, 3], ActionPairing::LedTo), [2, 3]);
    assert_eq!(
        per_transition(vec![1, 2, 3], ActionPairing::TakenAt),
        [1, 2]
    );
    assert!(per_transition(Vec::<u8>::new(), ActionPairing::LedTo).is_empty());
}

#[test]
fn wrong_action_count_is_rejected() {
    let mut frames = FrameResampler::new([1, 1], 1);
    frames.push([1, 1], &[0; 3]);
    let raw = RawEpisode {
        actions: named_actions(&["left"]),
        rewards: Vec::new(),
        terminal: false,
        remarks: Vec::new(),
    };
    let message = convert_episode(frames, &raw, 1, &mut ActionMap::inferred()).unwrap_err();
    assert!(message.contains("1 actions for 1 frames"), "{message}");
}

fn options() -> ImportOptions {
    ImportOptions {
        format: ImportFormat::Vpt,
        source: "videos".into(),
        out: "data".into(),
        name: None,
        size: [64, 64],
        fps: None,
        every: None,
        source_fps: None,
        actions: None,
        image_key: None,
        action_key: None,
        pairing: None,
        skip_bad: false,
    }
}

#[test]
fn fps_must_divide_the_source_fps() {
    let options = |fps| ImportOptions { fps, ..options() };
    assert_eq!(frame_stride(20.0, &options(None)).unwrap(), 1);
    assert_eq!(frame_stride(20.0, &options(Some(10.0))).unwrap(), 2);
    assert_eq!(frame_stride(59.94, &options(Some(15.0))).unwrap(), 4);
    for (wanted, nearest) in [(15.0, "20.000 or 10.000"), (30.0, "20.000")] {
        let message = frame_stride(20.0, &options(Some(wanted)))
            .unwrap_err()
            .to_string();
        assert!(message.contains(nearest), "{message}");
    }
}

#[test]
#[cfg(not(all(feature = "hdf5", feature = "parquet")))]
fn missing_features_are_named() {
    let mut options = options();
    for (format, feature) in [
        (ImportFormat::Minari, "hdf5"),
        (ImportFormat::Lerobot, "parquet"),
    ] {
        options.format = format;
        if !format.is_available() {
            let message = open_source(&options).err().unwrap().to_string();
            assert!(
                message.contains(&format!("--features {feature}")),
                "{message}"
            );
        }
    }
}

#[test]
fn cancelled_import_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (folder.path().join("shots"), folder.path().join("data"));
    std::fs::create_dir(&source).unwrap();
    for file in ["a.png", "b.png"] {
        let picture = image::RgbImage::new(4, 4);
        picture.save(source.join(file)).unwrap();
    }
    let rows = "file,action\na.png,noop\nb.png,left\n";
    std::fs::write(source.join("actions.csv"), rows).unwrap();
    let options = ImportOptions {
        format: ImportFormat::Images,
        source,
        out,
        size: [2, 2],
        source_fps: Some(10.0),
        ..options()
    };
    for calls in [1, 2] {
        let mut left = calls;
        let cancelled = run(&options, &mut |_| {
            left -= 1;
            left > 0
        });
        assert!(matches!(cancelled, Err(Error::Interrupted)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    assert_eq!(run(&options, &mut |_| true).unwrap().frames, 2);
}

/// Copies a folder.
#[cfg(all(feature = "hdf5", feature = "parquet"))]
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// Damages a few bytes of recordings at random. Whatever comes out, it is a dataset or an error in one
/// line: nothing crashes, and nothing allocates what a damaged length asks for.
#[test]
#[cfg(all(feature = "hdf5", feature = "parquet"))]
fn mutated_recordings_are_read_or_refused() {
    const MUTATIONS: u32 = 30;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/import");
    let hdf5 = "data/main_data.hdf5";
    let cases = [
        ("minari", ImportFormat::Minari, hdf5),
        ("minari-plain", ImportFormat::Minari, hdf5),
        ("minari-gzip", ImportFormat::Minari, hdf5),
        (
            "lerobot-images",
            ImportFormat::Lerobot,
            "data/chunk-000/episode_000000.parquet",
        ),
        (
            "lerobot-v3",
            ImportFormat::Lerobot,
            "meta/episodes/chunk-000/file-000.parquet",
        ),
        ("lerobot-v3", ImportFormat::Lerobot, "meta/info.json"),
    ];
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for (name, format, file) in cases {
        let folder = tempfile::tempdir().unwrap();
        copy(&fixtures.join(name), folder.path());
        let path = folder.path().join(file);
        let whole = std::fs::read(&path).unwrap();
        for mutation in 0..MUTATIONS {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(8) {
                let at = random(bytes.len());
                bytes[at] = [0, 0xff, random(256) as u8][random(3)];
            }
            std::fs::write(&path, bytes).unwrap();
            let options = ImportOptions {
                format,
                source: folder.path().into(),
                out: folder.path().join("out"),
                size: [4, 4],
                source_fps: Some(10.0),
                ..options()
            };
            match run(&options, &mut |_| true) {
                Ok(_) => std::fs::remove_dir_all(&options.out).unwrap(),
                Err(error) => {
                    let error = error.to_string();
                    assert_eq!(error.lines().count(), 1, "{name} {mutation}: {error}");
                }
            }
            assert!(!options.out.exists());
        }
    }
}

/// Imports an `.npz` file with these continuous actions, each of which led to its frame.
fn imported(rows: &[[f32; 2]], every: usize) -> (ImportReport, crate::Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("walker.npz");
    let mut file = crate::npz::NpzWriter::new(&source);
    let t = rows.len();
    file.add("image", &[t, 2, 2, 3], &vec![200_u8; t * 12])
        .unwrap();
    file.add("action", &[t, 2], rows.as_flattened()).unwrap();
    file.save().unwrap();
    let options = ImportOptions {
        format: ImportFormat::Npz,
        source,
        out: folder.path().join("out"),
        name: None,
        size: [2, 2],
        fps: None,
        every: Some(every),
        source_fps: Some(20.0),
        actions: None,
        image_key: None,
        action_key: None,
        pairing: None,
        skip_bad: false,
    };
    let report = run(&options, &mut |_| true).unwrap();
    (report, crate::Dataset::read(&options.out).unwrap())
}

#[test]
fn continuous_actions_become_axes() {
    // As DreamerV2 writes DeepMind Control: the first row led to no frame.
    let rows = [[0.0, 0.0], [0.25, -1.0], [-0.5, 0.125]];
    let (report, dataset) = imported(&rows, 1);
    let axes: Vec<&str> = dataset.info.axes.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(axes, ["axis0", "axis1"]);
    assert_eq!(dataset.info.actions.len(), 1);
    let episode = &dataset.episodes[0];
    assert_eq!(episode.axes(2).unwrap(), rows.as_flattened());
    assert_eq!(episode.action(1), Action::with_axes(0, &rows[1]));
    assert!(
        report.remarks[0].contains("`axis1` (-1 to 1)"),
        "{report:?}"
    );
}

#[test]
fn axes_beyond_one_are_normalized() {
    // As PushT has them: pixels.
    let (_, dataset) = imported(&[[0.0, 0.0], [100.0, 512.0], [300.0, 0.0]], 1);
    let ranges: Vec<_> = dataset.info.axes.iter().map(|axis| axis.range).collect();
    assert_eq!(ranges, [[100.0, 300.0], [0.0, 512.0]]);
    let axes = dataset.episodes[0].axes(2).unwrap();
    assert_eq!(axes, [0.0, 0.0, -1.0, 1.0, 1.0, -1.0]);
}

#[test]
fn axes_of_dropped_frames_are_averaged() {
    let rows = [[0.0; 2], [0.5, 0.0], [0.25, 1.0], [1.0, 1.0]];
    let (_, dataset) = imported(&rows, 2);
    assert_eq!(dataset.episodes[0].axes(2).unwrap(), [0.0, 0.0, 0.375, 0.5]);
}
