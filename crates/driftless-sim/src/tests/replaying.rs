//! Replaying recorded sessions.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use driftless_data::journal::JournalReader;
use driftless_data::{Action, Clip, Episode, ExtraArray};
use driftless_engine::{PARAMS, SamplingPath};
use driftless_worlds::SimulatorKind;

use super::fake::MISFIT;
use super::*;
use crate::columns;
use crate::columns::Columns;

const FILE: &str = "played.npz";

/// A session with changed and rejected parameters, a reset and another starting clip.
fn played() -> Episode {
    let sim = spawn(SimOptions {
        record: Some(FILE.into()),
        clip: 1,
        ..options()
    });
    next(&sim);
    hold(&sim, 1);
    step(&sim);
    sim.send(SamplerCommand::Params(SamplerParams {
        steps: 2,
        ..SamplerParams::default()
    }));
    step(&sim);
    sim.send(EpisodeCommand::Reset);
    next(&sim);
    sim.send(SamplerCommand::Params(SamplerParams {
        steps: 9,
        ..SamplerParams::default()
    }));
    hold(&sim, 2);
    step(&sim);
    sim.send(EpisodeCommand::SelectClip(0));
    next(&sim);
    step(&sim);
    recording(sim).into_episode()
}

fn reread(episode: &Episode) -> Episode {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    episode.write(&path).unwrap();
    Episode::read(&path).unwrap()
}

fn of(episode: Episode) -> Result<RecordedSession> {
    RecordedSession::of(Path::new(FILE), episode)
}

/// A fake that starts from the clips of the session.
fn player(recording: &RecordedSession) -> LearnedWorld {
    let fallback = || Err(Error::Argument("the session holds no clips".into()));
    let clips = recording.clips(fallback).unwrap();
    LearnedWorld::new(Fake::new().into_sampler(), clips.into())
}

fn replay(episode: Episode) -> ReplayReport {
    let recording = of(episode).unwrap();
    let mut player = player(&recording);
    recording.replay(&mut player, None, &mut || {}).unwrap()
}

#[test]
fn replay_is_bit_identical() {
    let report = replay(reread(&played()));
    assert_eq!((report.frames, report.identical), (7, 7));
    assert!(report.is_identical());
    assert_eq!(report.recorded, report.replayed);
    assert_eq!(report.recorded.world.as_deref(), Some("Fake"));
    assert_eq!(report.to_string(), "7 of 7 frames are identical");
}

#[test]
fn replay_records_the_same_session() {
    let recording = of(reread(&played())).unwrap();
    let mut copy = Session::new(FILE);
    let mut ticks = 0;
    let mut player = player(&recording);
    let mut tick = || ticks += 1;
    recording
        .replay(&mut player, Some(&mut copy), &mut tick)
        .unwrap();
    assert_eq!(ticks, 7);
    assert_eq!(reread(&copy.into_episode()), *recording.episode());
}

#[test]
fn replay_finds_first_difference() {
    let mut other = played();
    other.images[4 * 3] += 1;
    let report = replay(other);
    assert_eq!(report.identical, 6);
    let first = report.first.unwrap();
    assert_eq!((first.frame, first.number), (4, 1));
    // One of three bytes is off by one.
    assert!((first.psnr - 52.9).abs() < 0.05, "{}", first.psnr);
    let message = report.to_string();
    assert!(message.contains("6 of 7") && message.contains("frame 4 (1 after its start), 52.9 dB"));

    let mut other = played();
    other.actions[2] = 2;
    assert_eq!(replay(other).first.unwrap().frame, 2);
    let mut other = played();
    other.extras.get_mut("steps").unwrap().values[6] = 1.0;
    assert_eq!(replay(other).first.unwrap().frame, 6);
}

#[test]
fn session_tells_how_its_start_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let note = serde_json::json!({"prompt": "налево", "seed": 7});
    let notes = BTreeMap::from([(0, note.clone()), (5, note.clone())]);
    let record = RecordOptions {
        journal: Some(folder.path().to_path_buf()),
        ..FILE.into()
    };
    let clips: Arc<[Clip]> = [Clip {
        images: vec![9; 3],
        actions: vec![0.into()],
    }]
    .into();
    let sim = spawn(SimOptions {
        player: Arc::new(move |_| {
            let world = LearnedWorld::new(Fake::new().into_sampler(), Arc::clone(&clips));
            Ok(Box::new(world.with_notes(notes.clone())))
        }),
        record: Some(record),
        ..options()
    });
    next(&sim);
    step(&sim);
    let mut session = recording(sim);
    // What is on disk says the same.
    drop(session.take_journal());
    let journal = std::fs::read_dir(folder.path()).unwrap().next();
    let mut journal = JournalReader::open(&journal.unwrap().unwrap().path()).unwrap();
    let recovered = Session::recover(&mut journal).unwrap().into_episode();
    for episode in [reread(&session.into_episode()), recovered] {
        let recording = of(episode).unwrap();
        assert_eq!(
            *recording.start_notes(),
            BTreeMap::from([(0, note.clone())])
        );
    }
    let mut broken = played();
    broken
        .extras
        .insert("start_notes".into(), columns::text("{"));
    let error = of(broken).err().unwrap().to_string();
    assert!(error.contains("`start_notes`"), "{error}");
}

#[test]
fn session_holds_starting_clips() {
    let clip = Clip {
        images: vec![7, 7, 7, 50, 50, 50],
        actions: vec![0.into(), 2.into()],
    };
    let clips: Arc<[Clip]> = [clip].into();
    let sim = spawn(SimOptions {
        player: Arc::new(move |_| {
            let world = LearnedWorld::new(Fake::new().into_sampler(), Arc::clone(&clips));
            Ok(Box::new(world))
        }),
        record: Some(FILE.into()),
        ..options()
    });
    next(&sim);
    step(&sim);
    let episode = reread(&recording(sim).into_episode());
    assert_eq!(episode.extras["start_image"].shape, [2, 1, 1, 3]);
    assert_eq!(episode.extras["start_action"].values, [0.0, 2.0]);
    assert!(replay(episode.clone()).is_identical());

    // Without the clips, the world's own are used, and the report says that they differ.
    let mut without = episode;
    for name in ["start_image", "start_action", "start_context"] {
        without.extras.remove(name);
    }
    let recording = of(without).unwrap();
    let mut player = (options().player)(&GpuSource::Own).unwrap();
    let report = recording.replay(player.as_mut(), None, &mut || {}).unwrap();
    assert_eq!(report.first.unwrap().frame, 0);
    let message = report.to_string();
    assert!(
        message.contains("does not hold its starting clips"),
        "{message}"
    );
}

#[test]
fn replays_simulators_by_seed() {
    for kind in SimulatorKind::ALL {
        let sim = spawn(SimOptions {
            player: Arc::new(move |_| Ok(Box::new(SimulatedWorld::new(kind.open(0))))),
            record: Some(FILE.into()),
            random_seed: true,
            ..options()
        });
        next(&sim);
        hold(&sim, 1);
        step(&sim);
        for command in [EpisodeCommand::Reset, EpisodeCommand::NextClip] {
            sim.send(command);
            next(&sim);
            let axes = &[0.3, -0.7][..kind.open(0).info().axes.len()];
            let action = if axes.is_empty() { 3 } else { 0 };
            hold(&sim, Action::with_axes(action, axes));
            assert_eq!(step(&sim).action.axes[..axes.len()], *axes);
        }
        let recording = of(reread(&recording(sim).into_episode())).unwrap();
        assert!(recording.simulated());
        assert_eq!(
            recording.world().and_then(SimulatorKind::from_name),
            Some(kind)
        );
        let mut player = SimulatedWorld::new(kind.open(0));
        let mut copy = Session::new(FILE);
        let report = recording
            .replay(&mut player, Some(&mut copy), &mut || {})
            .unwrap();
        assert_eq!((report.frames, report.identical), (6, 6));
        assert_eq!(reread(&copy.into_episode()), *recording.episode());
        let mut other = recording.episode().clone();
        other.extras.get_mut("seed").unwrap().values[2 * 4] += 1.0;
        let report = of(other).unwrap().replay(&mut player, None, &mut || {});
        assert_eq!(report.unwrap().first.unwrap().frame, 2);
    }
}

#[test]
fn invalid_sessions_are_rejected() {
    let change = |name: &str, change: &dyn Fn(&mut ExtraArray)| {
        let mut episode = played();
        change(episode.extras.get_mut(name).unwrap());
        of(episode).err().unwrap().to_string()
    };
    for (message, expected) in [
        (
            change("number", &|n| n.values[0] = 3.0),
            "array `number`: starts with 3, in the middle of an episode, expected 0",
        ),
        (
            change("number", &|n| n.values[2] = 3.0),
            "array `number`: frame 2 has number 3 after 1, expected 2 or 0",
        ),
        (
            change("number", &|n| n.values[1] = 0.5),
            "array `number`: holds 0.5, expected a whole number of 0 or more",
        ),
        (
            change("solver", &|n| n.values[1] = 5.0),
            "array `solver`: holds 5, expected a whole number from 0 to 4",
        ),
        (
            change("seed", &|n| n.shape = vec![28]),
            "array `seed`: shape is [28], expected [7, 4]",
        ),
        (
            change("context", &|n| n.values[0] = 2.0),
            "array `context`: frame 0 starts from clip 2, which is missing",
        ),
        (
            change("start_image", &|n| n.values[0] = 256.0),
            "array `start_image`: holds 256, expected a whole number from 0 to 255",
        ),
        (
            change("start_action", &|n| n.shape = vec![1]),
            "array `start_action`: shape is [1], expected [2]",
        ),
        (
            change("world", &|n| n.values[0] = 255.0),
            "array `world`: is not valid UTF-8",
        ),
    ] {
        assert!(
            message.starts_with(FILE) && message.contains(expected),
            "{message}"
        );
    }
    let mut episode = played();
    episode.extras.remove("number");
    let message = of(episode).err().unwrap().to_string();
    assert!(message.contains("array `number`: missing"), "{message}");
}

#[test]
fn missing_parameters_have_their_defaults() {
    let full = played();
    let params_of = |episode: &Episode, t| {
        let path = Path::new(FILE);
        Columns { path, episode }.sampler_params(t).unwrap()
    };
    for spec in &PARAMS {
        let mut older = full.clone();
        older.extras.remove(spec.column).unwrap();
        for t in 0..full.frames() {
            let mut expected = params_of(&full, t);
            spec.set(&mut expected, spec.get(&SamplerParams::default()));
            assert_eq!(params_of(&older, t), expected, "{}", spec.name);
        }
    }
    let mut older = reread(&full);
    older.extras.remove("churn").unwrap();
    assert!(replay(reread(&older)).is_identical());
}

#[test]
fn replay_errors_name_the_frame() {
    let mut episode = played();
    episode.extras.get_mut("steps").unwrap().values[1] = 9.0;
    let recording = of(episode).unwrap();
    let mut player = player(&recording);
    let message = recording.replay(&mut player, None, &mut || {});
    let message = message.unwrap_err().to_string();
    assert_eq!(
        message,
        "played.npz: frame 1: K is 9, expected a power of two: shortcut steps are 1, 1/2, 1/4, …"
    );
    let unequal = Clip {
        images: vec![7; 3],
        actions: vec![0.into(), 2.into()],
    };
    let unequal = [unequal.clone(), unequal];
    let mut unequal = LearnedWorld::new(Fake::new().into_sampler(), Arc::new(unequal));
    let message = recording.replay(&mut unequal, None, &mut || {});
    assert_eq!(
        message.unwrap_err().to_string(),
        "played.npz: frame 0: the starting clip has 1 images and 2 actions, expected equal numbers, at least 1"
    );
    // A mistake in the program is not blamed on the file.
    let misfit = Clip {
        images: MISFIT.to_vec(),
        actions: vec![0.into()],
    };
    let misfit = [misfit.clone(), misfit];
    let mut misfit = LearnedWorld::new(Fake::new().into_sampler(), Arc::new(misfit));
    let message = recording.replay(&mut misfit, None, &mut || {});
    assert_eq!(
        message.unwrap_err().to_string(),
        "a latent of the wrong length"
    );
    let mut other = SimulatedWorld::new(SimulatorKind::Maze.open(0));
    let message = recording.replay(&mut other, None, &mut || {});
    let message = message.unwrap_err().to_string();
    assert!(message.contains("frames are 1×1, expected 64×64 for this world"));
}

fn params() -> impl Strategy<Value = SamplerParams> {
    let number = prop::num::f32::POSITIVE | prop::num::f32::ZERO;
    let context = prop_oneof![1_usize..1 << 24, Just(usize::MAX)];
    let choices = (
        0..Solver::ALL.len(),
        0..SamplingPath::ALL.len(),
        any::<bool>(),
    );
    let numbers = prop::array::uniform6(number);
    (
        1..=driftless_engine::MAX_STEPS,
        context,
        choices,
        numbers,
        any::<u64>(),
    )
        .prop_map(|(steps, context, (solver, path, recall), numbers, seed)| {
            let [
                shift,
                churn,
                tolerance,
                guidance,
                context_signal,
                temperature,
            ] = numbers;
            SamplerParams {
                steps,
                solver: Solver::ALL[solver],
                path: SamplingPath::ALL[path],
                shift,
                churn,
                tolerance,
                guidance,
                context_signal,
                context,
                recall,
                temperature,
                seed,
                ..SamplerParams::default()
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn parameters_round_trip_exactly(all in prop::collection::vec(params(), 1..4)) {
        let frames = all.len();
        let mut extras = BTreeMap::<String, ExtraArray>::new();
        for params in &all {
            let mut rows = vec![("seed", columns::seed(params.seed))];
            rows.extend(columns::sampler_params(params));
            for (name, values) in rows {
                let shape = match values.len() {
                    1 => vec![frames],
                    width => vec![frames, width],
                };
                let empty = ExtraArray { shape, values: Vec::new() };
                extras.entry(name.to_owned()).or_insert(empty).values.extend(values);
            }
        }
        let episode = reread(&Episode {
            height: 1,
            width: 1,
            images: vec![0; 3 * frames],
            actions: vec![0; frames],
            rewards: vec![0.0; frames],
            extras,
        });
        let columns = Columns { path: Path::new(FILE), episode: &episode };
        for (t, params) in all.iter().enumerate() {
            prop_assert_eq!(columns.sampler_params(t).unwrap(), *params);
        }
    }
}

#[test]
fn replays_rewound_sessions() {
    let sim = spawn(SimOptions {
        record: Some(FILE.into()),
        ..options()
    });
    next(&sim);
    let mut frames = Vec::new();
    for action in [1, 2, 1, 1] {
        hold(&sim, action);
        frames.push(step(&sim));
    }
    sim.send(TimelineCommand::Seek(frames[1].position));
    next(&sim);
    hold(&sim, 2);
    step(&sim);
    sim.send(TimelineCommand::Seek(frames[3].position));
    next(&sim);
    step(&sim);
    let episode = reread(&recording(sim).into_episode());
    assert_eq!(
        episode.extras["follows"].values,
        [-1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 4.0]
    );
    let recording = of(episode.clone()).unwrap();
    let report = recording.replay(&mut player(&recording), None, &mut || {});
    assert!(report.unwrap().is_identical());
    // Following another frame, the last one comes out differently.
    let mut wrong = episode;
    wrong.extras.get_mut("follows").unwrap().values[6] = 5.0;
    wrong.extras.get_mut("number").unwrap().values[6] = 4.0;
    let recording = of(wrong).unwrap();
    let report = recording.replay(&mut player(&recording), None, &mut || {});
    assert_eq!(report.unwrap().first.unwrap().frame, 6);
}
