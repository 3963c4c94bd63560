//! A whole run on a few frames.

use std::path::Path;

use driftless_agent::{Agent, AgentConfig, Pooling};
use driftless_model::checkpoint::read_config;
use driftless_worlds::record::RecordingPlan;
use driftless_worlds::{Policy, SimulatorKind};

use super::{AgentOptions, AgentSettings, run_agent};
use crate::{TrainOutcome, TrainProgress};

/// Two short episodes of the maze, the maze's world, and settings for tiny heads.
fn prepare(root: &Path) -> AgentOptions {
    let plan = RecordingPlan {
        world: SimulatorKind::Maze,
        policy: Policy::Random,
        seed: 1,
        world_seed: None,
        frames: 36,
        episode_frames: 18,
    };
    let data = root.join("data");
    driftless_worlds::record(&plan, &data, &|_| true).unwrap();
    let mut settings = AgentSettings {
        preview_minutes: 0.0,
        features: Pooling::Mean,
        hidden: 8,
        distances: 2,
        ..AgentSettings::default()
    };
    settings.cloning.batch_size = 8;
    settings.cloning.held_out = 0.5;
    settings.imagination.games = 3;
    settings.imagination.horizon = 3;
    settings.imagination.steps = 1;
    settings.imagination.penalty = 0.5;
    let config = root.join("agent.toml");
    std::fs::write(&config, toml::to_string_pretty(&settings).unwrap()).unwrap();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/maze");
    AgentOptions {
        data,
        world: Some(world),
        out: root.join("run"),
        config: Some(config),
        skip_bad: false,
        resume: false,
        max_steps: Some(4),
        max_minutes: None,
        seed: None,
    }
}

fn weights(options: &AgentOptions) -> Vec<u8> {
    std::fs::read(options.out.join("checkpoint/agent.safetensors")).unwrap()
}

/// Stops after so many steps of both phases together.
struct StopAfter(usize);

impl TrainProgress for StopAfter {
    fn step_done(&mut self, _: &crate::StepReport) {
        self.0 -= 1;
    }

    fn should_stop(&mut self) -> bool {
        self.0 == 0
    }
}

#[test]
fn trained_agent_plays_and_resumes_exactly() {
    let root = tempfile::tempdir().unwrap();
    let whole = prepare(root.path());
    assert_eq!(run_agent(&whole, &mut ()).unwrap(), TrainOutcome::Finished);
    for stopped in [2, 6] {
        let half = AgentOptions {
            out: root.path().join(format!("stopped{stopped}")),
            ..whole.clone()
        };
        let outcome = run_agent(&half, &mut StopAfter(stopped)).unwrap();
        assert_eq!(outcome, TrainOutcome::Stopped);
        assert!(weights(&whole) != weights(&half));
        let rest = AgentOptions {
            resume: true,
            world: None,
            ..half
        };
        assert_eq!(run_agent(&rest, &mut ()).unwrap(), TrainOutcome::Finished);
        assert!(weights(&whole) == weights(&rest), "after {stopped}");
    }

    let folder = whole.out.join("checkpoint");
    let agent = Agent::read(&folder, &read_config(&folder).unwrap()).unwrap();
    assert_eq!(agent.config().distances, 2);
    let log = std::fs::read_to_string(whole.out.join("log.jsonl")).unwrap();
    let entries = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let entries: Vec<serde_json::Value> = entries.collect();
    let first_of = |name: &str| entries.iter().find(|entry| entry["stage"] == name).unwrap();
    assert!(first_of("cloning")["held_out_right"].is_number());
    // Nothing was learned yet: the policy is the cloned one.
    let divergence = first_of("imagination")["divergence"].as_f64().unwrap();
    assert!(divergence.abs() < 1e-6, "{divergence}");
}

#[test]
fn agents_of_other_data_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let options = prepare(root.path());
    let new = AgentOptions {
        world: None,
        ..options.clone()
    };
    let error = run_agent(&new, &mut ()).unwrap_err().to_string();
    assert!(error.contains("--world"), "{error}");
    let info = options.data.join("dataset.json");
    let text = std::fs::read_to_string(&info).unwrap();
    std::fs::write(&info, text.replace("strafe-left", "jump")).unwrap();
    let error = run_agent(&options, &mut ()).unwrap_err().to_string();
    assert!(
        error.contains("jump") && error.contains("as in the world"),
        "{error}"
    );
    assert!(!options.out.exists());
}

#[test]
fn resumed_run_keeps_its_heads() {
    let root = tempfile::tempdir().unwrap();
    let options = prepare(root.path());
    let first = AgentOptions {
        max_steps: Some(1),
        ..options
    };
    assert_eq!(run_agent(&first, &mut ()).unwrap(), TrainOutcome::Finished);
    let error = run_agent(&first, &mut ()).unwrap_err().to_string();
    assert!(error.contains("--resume"), "{error}");
    let wider = root.path().join("wider.toml");
    std::fs::write(&wider, "hidden = 9\n").unwrap();
    let other = AgentOptions {
        resume: true,
        config: Some(wider),
        ..first
    };
    let error = run_agent(&other, &mut ()).unwrap_err().to_string();
    assert!(
        error.contains("agent.json") && error.contains("`distances` is 8, expected 2"),
        "{error}"
    );
    let settings = AgentConfig::read(&other.out.join("checkpoint")).unwrap();
    assert_eq!(settings.hidden, 8);
}

#[test]
fn runs_keep_their_world() {
    let root = tempfile::tempdir().unwrap();
    let first = AgentOptions {
        max_steps: Some(1),
        ..prepare(root.path())
    };
    let resumed = |out: &str| AgentOptions {
        out: root.path().join(out),
        resume: true,
        ..first.clone()
    };
    let error = run_agent(&resumed("run"), &mut ()).unwrap_err().to_string();
    assert!(error.contains("holds no run to resume"), "{error}");
    let finished = TrainOutcome::Finished;
    assert_eq!(run_agent(&first, &mut ()).unwrap(), finished);
    // The world may be named again, but not another one.
    assert_eq!(run_agent(&resumed("run"), &mut ()).unwrap(), finished);
    let drive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints/drive");
    let other = AgentOptions {
        world: Some(drive),
        ..resumed("run")
    };
    let error = run_agent(&other, &mut ()).unwrap_err().to_string();
    assert!(
        error.contains("run/checkpoint") && error.contains("expected the same world"),
        "{error}"
    );
}

#[test]
fn worlds_that_teach_nothing_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let options = prepare(root.path());
    let checkpoints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints");
    let world = |name: &str| AgentOptions {
        world: Some(checkpoints.join(name)),
        ..options.clone()
    };
    let error = run_agent(&world("steer"), &mut ()).unwrap_err().to_string();
    assert!(error.contains("agents do not move"), "{error}");
    assert!(!options.out.exists());
}

#[test]
fn new_runs_overwrite_nothing() {
    let root = tempfile::tempdir().unwrap();
    let options = prepare(root.path());
    let error = |out: &Path| {
        let options = AgentOptions {
            out: out.to_owned(),
            ..options.clone()
        };
        run_agent(&options, &mut ()).unwrap_err().to_string()
    };
    let into_data = error(&options.data);
    assert!(into_data.contains("holds dataset.json"), "{into_data}");
    let out = options.out.clone();
    let checkpoint = out.join("checkpoint");
    std::fs::create_dir_all(&checkpoint).unwrap();
    // The settings of another kind of run.
    let settings = out.join("settings.toml");
    std::fs::write(&settings, "[tokenizer_shape]\n").unwrap();
    let mixed = error(&out);
    assert!(mixed.contains("no settings of such a run"), "{mixed}");
    std::fs::remove_file(&settings).unwrap();
    std::fs::write(checkpoint.join("agent.safetensors"), "mine").unwrap();
    let agent = error(&out);
    assert!(
        agent.contains("agent.safetensors: is there already"),
        "{agent}"
    );
    assert_eq!(weights(&options), b"mine");
}

#[test]
fn settings_out_of_range_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    for (text, expected) in [
        ("discount = 1.0", "discount"),
        ("value_bins = 4", "value_bins"),
        ("[imagination]\nsteps = 3", "imagination.steps"),
        ("[imagination]\nalpha = 2.0", "imagination.alpha"),
        (
            "[cloning.optimizer]\nlearning_rate = -1.0",
            "cloning.optimizer.learning_rate",
        ),
        ("colour = 3", "colour"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = AgentSettings::read(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert_eq!(
        {
            std::fs::write(&path, "").unwrap();
            AgentSettings::read(&path).unwrap()
        },
        AgentSettings::default()
    );
}
