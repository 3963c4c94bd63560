//! Properties of every simulator, and recordings.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use driftless_data::{Action, Dataset, Episode};

use super::record::RecordingPlan;
use super::*;

/// Plays `frames` frames by the scripted policy. Returns images and states.
fn played(world: &mut dyn Simulator, seed: u64, frames: usize) -> Vec<(Vec<u8>, SimulatorState)> {
    let mut agent = PolicyAgent::new(Policy::Scripted, world, seed);
    let mut seen = vec![(world.image().to_vec(), world.state())];
    for _ in 0..frames {
        let action = agent.act(world);
        world.step(action).unwrap();
        seen.push((world.image().to_vec(), world.state()));
    }
    seen
}

#[test]
fn simulators_are_deterministic() {
    for kind in SimulatorKind::ALL {
        let (mut first, mut second) = (kind.open(0), kind.open(0));
        second.reset(8);
        second.step(Action::IDLE).unwrap();
        first.reset(7);
        second.reset(7);
        let seen = played(first.as_mut(), 1, 60);
        assert!(seen == played(second.as_mut(), 1, 60), "{kind:?}");
        second.reset(7);
        assert!(seen != played(second.as_mut(), 2, 60), "{kind:?}");
        second.reset(8);
        assert!(seen[0].0 != second.image(), "{kind:?}: another seed");
    }
}

#[test]
fn shapes_are_constant_and_keys_valid() {
    for kind in SimulatorKind::ALL {
        let mut world = kind.open(0);
        let info = world.info();
        assert_eq!(info.name, kind.title());
        assert_eq!(info.actions[0].keys, [""; 0]);
        assert_eq!(world.image().len(), info.image[0] * info.image[1] * 3);
        let shape = |state: SimulatorState| -> Vec<(&str, usize)> {
            state.iter().map(|(name, v)| (*name, v.len())).collect()
        };
        let first = shape(world.state());
        for action in 0..info.actions.len() as u32 {
            world.step(action.into()).unwrap();
            assert_eq!(shape(world.state()), first);
        }
        let count = info.actions.len();
        let error = world.step((count as u32).into()).unwrap_err().to_string();
        let expected = format!("expected 0 to {}", count - 1);
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn snapshots_restore_in_other_instances() {
    for kind in SimulatorKind::ALL {
        let mut world = kind.open(0);
        world.reset(3);
        played(world.as_mut(), 4, 100);
        let snapshot = world.snapshot();
        let onward = played(world.as_mut(), 5, 50);
        let (reward, after) = (world.reward(), world.snapshot());
        let mut other = kind.open(0);
        for world in [world.as_mut(), other.as_mut()] {
            world.restore(&snapshot).unwrap();
            assert_eq!(world.snapshot(), snapshot, "{kind:?}");
            assert!(played(world, 5, 50) == onward, "{kind:?}");
            assert_eq!((world.reward(), world.snapshot()), (reward, after.clone()));
        }
        let foreign = SimulatorSnapshot {
            seed: 0,
            state: vec![0.0],
        };
        assert!(world.restore(&foreign).is_err());
        assert_eq!(world.snapshot(), after);
    }
}

#[test]
fn policies_play_all_actions() {
    for kind in SimulatorKind::ALL {
        let mut world = kind.open(0);
        let mut counts = vec![0; world.info().actions.len()];
        let mut agent = PolicyAgent::new(Policy::Random, world.as_ref(), 1);
        for _ in 0..100 * counts.len() {
            let action = agent.act(world.as_ref());
            counts[action.index as usize] += 1;
            world.step(action).unwrap();
        }
        assert!(counts.iter().all(|&n| n > 30), "{kind:?}: {counts:?}");
    }
    let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(0);
    let random = |_: &usize| Policy::Mixed.of_episode(&mut rng) == Policy::Random;
    let random = (0..400).filter(random).count();
    assert!((70..130).contains(&random), "{random} of 400");
}

fn plan(world: SimulatorKind) -> RecordingPlan {
    RecordingPlan {
        world,
        policy: Policy::Mixed,
        seed: 11,
        world_seed: None,
        frames: 70,
        episode_frames: 30,
    }
}

/// The bytes of every file of a folder, by name.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn recording_reads_back_as_dataset() {
    for kind in SimulatorKind::ALL {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/data");
        let ticked = AtomicUsize::new(0);
        let tick = |frames: usize| {
            ticked.fetch_add(frames, Ordering::Relaxed);
            true
        };
        let manifest = record(&plan(kind), &out, &tick).unwrap();
        let data = Dataset::read(&out).unwrap();
        assert_eq!(data.info, kind.open(0).info());
        assert_eq!((data.episodes.len(), manifest.episodes.len()), (3, 3));
        let frames: usize = data.episodes.iter().map(Episode::frames).sum();
        assert_eq!((frames, manifest.frames), (70, 70));
        assert_eq!(data.episodes[2].frames(), 10);
        // Whole episodes were played before the last was cut.
        assert_eq!(ticked.into_inner(), 90);
        let line = &manifest.episodes[2];
        let reward: f32 = data.episodes[2].rewards.iter().sum();
        assert!((line.reward - f64::from(reward)).abs() < 1e-4);
        let shares: f64 = manifest.action_share.iter().sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        for (episode, line) in data.episodes.iter().zip(&manifest.episodes) {
            assert_eq!(episode.actions[0], 0);
            // Replayed from the manifest's seed: action t led to frame t.
            let mut world = kind.open(line.seed);
            for t in 0..episode.frames() {
                if t > 0 {
                    world.step(episode.action(t)).unwrap();
                }
                assert!(episode.frame(t) == world.image(), "{kind:?}: frame {t}");
                assert_eq!(episode.rewards[t], world.reward());
                for (name, values) in world.state() {
                    assert_eq!(episode.extras[name].shape, [episode.frames()]);
                    assert_eq!(episode.extras[name].values[t], values[0], "{name}");
                }
            }
        }
    }
}

#[test]
fn episodes_depend_on_seed_and_index() {
    let folder = tempfile::tempdir().unwrap();
    let [first, again, longer, other] = ["a", "b", "c", "d"].map(|name| folder.path().join(name));
    let plan = plan(SimulatorKind::Maze);
    record(&plan, &first, &|_| true).unwrap();
    record(&plan, &again, &|_| true).unwrap();
    assert!(contents(&first) == contents(&again));
    let more = RecordingPlan {
        frames: 130,
        ..plan
    };
    record(&more, &longer, &|_| true).unwrap();
    let episodes = |folder: &Path| {
        let mut files = contents(folder);
        files.retain(|(name, _)| name.ends_with(".npz"));
        files
    };
    assert_eq!(episodes(&longer).len(), 5);
    assert!(episodes(&longer)[..2] == episodes(&first)[..2]);
    // The last episode is the beginning of the same one.
    let third = |folder: &Path| Dataset::read(folder).unwrap().episodes.swap_remove(2);
    let (whole, cut) = (third(&longer), third(&first));
    assert_eq!((whole.frames(), cut.frames()), (30, 10));
    assert!(whole.clip(0..10) == cut.clip(0..10));
    record(&RecordingPlan { seed: 12, ..plan }, &other, &|_| true).unwrap();
    assert!(episodes(&other)[0] != episodes(&first)[0]);
}

#[test]
fn last_episode_has_two_frames_at_least() {
    let folder = tempfile::tempdir().unwrap();
    let plan = RecordingPlan {
        frames: 31,
        ..plan(SimulatorKind::Maze)
    };
    let out = folder.path().join("data");
    let manifest = record(&plan, &out, &|_| true).unwrap();
    let frames: Vec<_> = manifest.episodes.iter().map(|line| line.frames).collect();
    assert_eq!(frames, [30, 2]);
}

#[test]
fn world_seed_is_shared_by_episodes() {
    let folder = tempfile::tempdir().unwrap();
    let plan = RecordingPlan {
        world_seed: Some(7),
        ..plan(SimulatorKind::Maze)
    };
    let manifest = record(&plan, &folder.path().join("one"), &|_| true).unwrap();
    assert!(manifest.episodes.iter().all(|line| line.seed == 7));
    let data = Dataset::read(&folder.path().join("one")).unwrap();
    let [first, second, ..] = data.episodes.as_slice() else {
        panic!("{} episodes", data.episodes.len());
    };
    assert!(first.frame(0) == second.frame(0) && first.actions != second.actions);
}

#[test]
fn each_episode_has_a_maze_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let plan = RecordingPlan {
        frames: 80,
        episode_frames: 2,
        policy: Policy::Revisit,
        ..plan(SimulatorKind::Maze)
    };
    let out = folder.path().join("data");
    let manifest = record(&plan, &out, &|_| true).unwrap();
    let seeds: HashSet<_> = manifest.episodes.iter().map(|line| line.seed).collect();
    assert_eq!(seeds.len(), 40);
    assert!(
        manifest
            .episodes
            .iter()
            .all(|line| line.policy == "revisit")
    );
    let data = Dataset::read(&out).unwrap();
    let frames: HashSet<_> = data.episodes.iter().map(|one| one.frame(0)).collect();
    assert_eq!(frames.len(), 40);
}

#[test]
fn cancelled_recording_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("data");
    let error = record(&plan(SimulatorKind::Maze), &out, &|_| false).unwrap_err();
    assert!(error.to_string().contains("interrupted"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn used_folders_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("data");
    std::fs::create_dir(&out).unwrap();
    record(&plan(SimulatorKind::Maze), &out, &|_| true).unwrap();
    let before = contents(&out);
    let error = record(&plan(SimulatorKind::Drive), &out, &|_| true).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
    assert!(contents(&out) == before);
    let error = record(&plan(SimulatorKind::Drive), folder.path(), &|_| true).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
    let nothing = RecordingPlan {
        frames: 0,
        ..plan(SimulatorKind::Maze)
    };
    assert!(record(&nothing, &folder.path().join("none"), &|_| true).is_err());
    // No unfinished folder remains.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
