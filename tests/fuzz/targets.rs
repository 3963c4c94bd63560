//! Every reader with files that it accepts and how they are changed.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use image::ImageFormat;
use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

use driftless::workspace::PlayableWorld;
use driftless_data::journal::{Journal, JournalReader, MAGIC};
use driftless_data::{Dataset, DatasetInfo, Episode, fs, info, media};
use driftless_engine::testing::{clip, small_config};
use driftless_engine::{DeviceChoice, GpuSource, SamplerParams};
use driftless_model::checkpoint::{self, WorldModel};
use driftless_model::dynamics::Dynamics;
use driftless_model::params::Params;
use driftless_model::starting_clips;
use driftless_model::tokenizer::Tokenizer;
use driftless_sim::{
    Command, EpisodeCommand, PlaybackCommand, RecordOptions, RecordedSession, Session, SimOptions,
    SimThread, headless,
};
use driftless_train::{TrainPreset, TrainSettings};
use driftless_worlds::SimulatorKind;

use crate::files::{mutated_npz, mutated_png, mutated_safetensors, read_npz};
use crate::mutate;
use crate::run::{Verdict, fuzz};
use crate::still::{Still, is_for_the_simulator};

pub(crate) fn verdict<T>(result: Result<T, impl std::fmt::Display>) -> Verdict {
    result.map(drop).map_err(|error| error.to_string())
}

pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// An episode of a few small frames with every kind of array.
pub(crate) fn episode() -> Episode {
    let frames = 4;
    let extra = |width: usize| driftless_data::ExtraArray {
        shape: vec![frames, width],
        values: (0..frames * width).map(|i| i as f32 / 3.0).collect(),
    };
    Episode {
        height: 2,
        width: 4,
        images: (0..frames * 24).map(|i| i as u8).collect(),
        actions: vec![0, 1, 1, 0],
        rewards: vec![0.0, 0.5, -1.0, 0.0],
        extras: [("ball", 2), ("seed", 4)]
            .map(|(name, width)| (name.to_owned(), extra(width)))
            .into(),
    }
}

const DATASET: &str = r#"{"name": "Tiny", "fps": 15.0, "image": [2, 4],
 "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W", "ArrowUp"]}]}"#;

#[test]
fn npz() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.npz");
    episode().write(&file).unwrap();
    let arrays = read_npz(&file);
    fuzz(
        "episode .npz",
        3000,
        |place, rng| std::fs::write(place.join("a.npz"), mutated_npz(&arrays, rng)).unwrap(),
        |place| {
            let path = place.join("a.npz");
            let summary = info::summarize(&path).map_err(|e| e.to_string())?;
            let episodes = Episode::read_all(&path).map_err(|e| e.to_string())?;
            assert!(!summary.to_string().is_empty());
            for episode in episodes {
                assert_eq!(
                    episode.images.len(),
                    episode.frames() * episode.height * episode.width * 3
                );
                // What was read can be written.
                verdict(episode.write(&place.join("b.npz")))?;
            }
            Ok(())
        },
    );
}

#[test]
fn dataset_json() {
    fuzz(
        "dataset.json",
        3000,
        |place, rng| {
            std::fs::write(place.join("dataset.json"), mutate::text(DATASET, rng)).unwrap();
            if !place.join("a.npz").exists() {
                episode().write(&place.join("a.npz")).unwrap();
            }
        },
        |place| verdict(Dataset::read(place)),
    );
}

/// Writes a small world that can be played.
pub(crate) fn write_checkpoint(folder: &Path) {
    let config = small_config();
    let vars = |params: Params| {
        let vars = params.finish().unwrap();
        vars.into_iter()
            .map(|(name, var)| (name, var.as_detached_tensor()))
            .collect::<std::collections::BTreeMap<String, Tensor>>()
    };
    let tokenizer = Params::seeded(0, &Device::Cpu);
    Tokenizer::new(&tokenizer, &config).unwrap();
    let dynamics = Params::seeded(1, &Device::Cpu);
    Dynamics::new(&dynamics, &config).unwrap();
    let path = |name: &str| folder.join(name);
    checkpoint::write_tensors(&path(checkpoint::TOKENIZER), &vars(tokenizer)).unwrap();
    checkpoint::write_tensors(&path(checkpoint::DYNAMICS), &vars(dynamics)).unwrap();
    let clips = [clip(&config, config.dynamics.context)];
    starting_clips::write(&path(checkpoint::STARTING_CLIPS), &clips, &config).unwrap();
    fs::write_json(&path(checkpoint::CONFIG), &config).unwrap();
}

/// Opens a checkpoint, starts it and plays two frames.
fn play(folder: &Path) -> Verdict {
    let world =
        PlayableWorld::learned(folder, DeviceChoice::Cpu, None).map_err(|e| e.to_string())?;
    let mut player = (world.player)(&GpuSource::Unavailable).map_err(|e| e.to_string())?;
    let params = SamplerParams {
        steps: 1,
        ..SamplerParams::default()
    };
    verdict(player.start(world.first_clip, &params))?;
    for action in [0, 1] {
        verdict(player.step(action.into(), &params))?;
    }
    Ok(())
}

/// Copies a checkpoint into `place`, with one of its files changed.
fn damaged(from: &Path, place: &Path, file: &str, bytes: &[u8]) {
    for name in [
        checkpoint::CONFIG,
        checkpoint::TOKENIZER,
        checkpoint::DYNAMICS,
        checkpoint::STARTING_CLIPS,
    ] {
        let to = place.join(name);
        if name == file {
            std::fs::write(to, bytes).unwrap();
        } else if !to.exists() {
            std::fs::copy(from.join(name), to).unwrap();
        }
    }
}

#[test]
fn config_json() {
    let folder = tempfile::tempdir().unwrap();
    write_checkpoint(folder.path());
    play(folder.path()).unwrap();
    let config = std::fs::read_to_string(folder.path().join(checkpoint::CONFIG)).unwrap();
    fuzz(
        "config.json",
        800,
        |place, rng| {
            damaged(
                folder.path(),
                place,
                checkpoint::CONFIG,
                &mutate::text(&config, rng),
            );
        },
        play,
    );
}

#[test]
fn safetensors() {
    let folder = tempfile::tempdir().unwrap();
    write_checkpoint(folder.path());
    let weights = std::fs::read(folder.path().join(checkpoint::DYNAMICS)).unwrap();
    fuzz(
        "weights .safetensors",
        300,
        |place, rng| {
            damaged(
                folder.path(),
                place,
                checkpoint::DYNAMICS,
                &mutated_safetensors(&weights, rng),
            );
        },
        |place| {
            WorldModel::read(place, &Device::Cpu).map_err(|e| e.to_string())?;
            play(place)
        },
    );
}

#[test]
fn contexts_npz() {
    let folder = tempfile::tempdir().unwrap();
    write_checkpoint(folder.path());
    let arrays = read_npz(&folder.path().join(checkpoint::STARTING_CLIPS));
    let config = small_config();
    fuzz(
        "contexts.npz",
        3000,
        |place, rng| std::fs::write(place.join("a.npz"), mutated_npz(&arrays, rng)).unwrap(),
        |place| verdict(starting_clips::read(&place.join("a.npz"), &config)),
    );
}

/// Plays a few frames of a maze, and leaves a journal if there is a folder for it.
fn played(journal: Option<&Path>) -> Session {
    let options = SimOptions {
        paused: true,
        record: Some(RecordOptions {
            journal: journal.map(Path::to_path_buf),
            ..RecordOptions::from("played.npz")
        }),
        ..SimOptions::new(PlayableWorld::simulator(SimulatorKind::Maze).player)
    };
    let sim = SimThread::spawn(options, None, || {}).unwrap();
    sim.frames().recv().unwrap();
    let step: Command = PlaybackCommand::Step.into();
    for command in [
        step.clone(),
        step.clone(),
        EpisodeCommand::Reset.into(),
        step,
    ] {
        sim.send(command);
        sim.frames().recv().unwrap();
    }
    sim.finish().session.unwrap()
}

#[test]
fn recording() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.npz");
    played(None).into_episode().write(&file).unwrap();
    let arrays = read_npz(&file);
    let world = PlayableWorld::simulator(SimulatorKind::Maze);
    let mut maze = (world.player)(&GpuSource::Unavailable).unwrap();
    let still = RefCell::new(Still::of(maze.as_mut()).unwrap());
    let maze = RefCell::new(maze);
    fuzz(
        "recording .npz",
        1000,
        |place, rng| std::fs::write(place.join("a.npz"), mutated_npz(&arrays, rng)).unwrap(),
        |place| {
            let path = place.join("a.npz");
            let recording = RecordedSession::read(&path).map_err(|e| e.to_string())?;
            verdict(if is_for_the_simulator(&path) {
                recording.replay(maze.borrow_mut().as_mut(), None, &mut || {})
            } else {
                recording.replay(&mut *still.borrow_mut(), None, &mut || {})
            })
        },
    );
}

/// The records of a journal: kind and content.
fn journal_records() -> Vec<(u8, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let journal: Option<Journal> = played(Some(folder.path())).take_journal();
    let path = journal.unwrap().path().to_path_buf();
    let reader = JournalReader::open(&path).unwrap();
    reader.map(|record| (record.kind, record.payload)).collect()
}

pub(crate) fn mutated_journal(records: &[(u8, Vec<u8>)], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut records = records.to_vec();
    let index = rng.random_range(0..records.len());
    match rng.random_range(0..6) {
        0 => drop(records.remove(index)),
        1 => {
            let twin = records[index].clone();
            records.push(twin);
        }
        2 => records[index].0 = rng.random_range(0..6),
        3 => mutate::bytes(&mut records[0].1, rng),
        _ => mutate::bytes(&mut records[index].1, rng),
    }
    let mut bytes = MAGIC.to_vec();
    for (kind, payload) in records {
        let length = (payload.len() as u32).to_le_bytes();
        let sum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), &length);
        bytes.push(kind);
        bytes.extend(length);
        bytes.extend(crc32c::crc32c_append(sum, &payload).to_le_bytes());
        bytes.extend(payload);
    }
    if rng.random_bool(0.2) {
        mutate::bytes(&mut bytes, rng);
    }
    bytes
}

#[test]
fn journal() {
    let records = journal_records();
    fuzz(
        "journal of a recording",
        1000,
        |place, rng| {
            std::fs::write(place.join("a.journal"), mutated_journal(&records, rng)).unwrap();
        },
        |place| {
            let opened = JournalReader::open(&place.join("a.journal"));
            let mut reader = opened.map_err(|e| e.to_string())?;
            let session = Session::recover(&mut reader).map_err(|e| e.to_string())?;
            verdict(session.into_episode().write(&place.join("b.npz")))
        },
    );
}

#[test]
fn train_settings() {
    let base = TrainSettings::default();
    let text = toml::to_string(&base).unwrap();
    let data: DatasetInfo = serde_json::from_str(DATASET).unwrap();
    let info = DatasetInfo {
        image: [64, 64],
        ..data
    };
    fuzz(
        "training settings .toml",
        2000,
        |place, rng| std::fs::write(place.join("a.toml"), mutate::text(&text, rng)).unwrap(),
        |place| {
            let settings = TrainSettings::read(&place.join("a.toml"), &base);
            verdict(settings.map_err(|e| e.to_string())?.world(&info))
        },
    );
    assert!(
        TrainSettings::preset(TrainPreset::Tiny)
            .world(&info)
            .is_ok()
    );
}

#[test]
fn window_settings() {
    let text = "version = 1\nlook = \"light\"\nscale = 1.3\nhud = false\ntuning = true\nscaling = \"smooth\"\n\
                welcomed = [\"Pong\"]\n[mouse]\nsensitivity = 0.7\n[gamepad]\non = false\n\
                [gamepad.buttons]\nsouth = \"F\"\n[keys.Pong]\nup = [\"I\", \"Up+J\"]\n\
                [presets.slow]\nfps = 30.0\nsteps = 2\nsolver = \"heun\"\n";
    driftless::app::check_settings(text).unwrap();
    fuzz(
        "window's settings.toml",
        3000,
        |place, rng| std::fs::write(place.join("a.toml"), mutate::text(text, rng)).unwrap(),
        |place| {
            let text = fs::read_text(&place.join("a.toml")).map_err(|e| e.to_string())?;
            driftless::app::check_settings(&text)
        },
    );
}

#[test]
fn action_files() {
    let text = "# a comment\nnoop\nup 3 wheel=-0.5\n\ndown 12 # twelve\nup\n";
    let mut known = DatasetInfo::from(&small_config());
    known.axes = serde_json::from_str(r#"[{"name": "wheel"}]"#).unwrap();
    fuzz(
        "actions .txt",
        3000,
        |place, rng| std::fs::write(place.join("a.txt"), mutate::text(text, rng)).unwrap(),
        |place| verdict(headless::read_actions(&place.join("a.txt"), &known)),
    );
}

/// A picture of 8×6 pixels in every format.
pub(crate) fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let picture = image::RgbaImage::from_fn(8, 6, |x, y| {
        image::Rgba([(x * 30) as u8, (y * 40) as u8, 128, 255 - (x * y) as u8])
    });
    let formats = [
        ("png", ImageFormat::Png),
        ("gif", ImageFormat::Gif),
        ("bmp", ImageFormat::Bmp),
        ("webp", ImageFormat::WebP),
        ("jpg", ImageFormat::Jpeg),
    ];
    formats
        .map(|(end, format)| {
            let mut bytes = std::io::Cursor::new(Vec::new());
            let whole = image::DynamicImage::from(picture.clone());
            let opaque = image::DynamicImage::from(whole.to_rgb8());
            let written = if format == ImageFormat::Jpeg {
                &opaque
            } else {
                &whole
            };
            written.write_to(&mut bytes, format).unwrap();
            (end, bytes.into_inner())
        })
        .into()
}

#[test]
fn images() {
    let pictures = pictures();
    let name = |place: &Path| {
        let entries = place.read_dir().unwrap();
        entries.map(|entry| entry.unwrap().path()).next().unwrap()
    };
    fuzz(
        "picture .png .gif .bmp .webp .jpg",
        2500,
        |place, rng| {
            let _ = std::fs::remove_dir_all(place);
            std::fs::create_dir(place).unwrap();
            let (end, bytes) = pictures.choose(rng).unwrap();
            let mut changed = bytes.clone();
            match *end {
                "png" => changed = mutated_png(bytes, rng),
                _ => mutate::bytes(&mut changed, rng),
            }
            std::fs::write(place.join(format!("a.{end}")), changed).unwrap();
        },
        |place| verdict(media::read_frames(&name(place), [16, 16], 15.0, 8)),
    );
}
