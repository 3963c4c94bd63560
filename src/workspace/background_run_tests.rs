//! Runs in the background, with a shell script as the trainer.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Writes the trainer's files step by step until it is asked to stop.
const TRAINER: &str = r#"#!/bin/sh
echo "$*" >> "$0.calls"
out=$(echo "$*" | sed 's/.*--out \([^ ]*\).*/\1/')
step=1
[ -f "$out/step" ] && step=$(cat "$out/step")
trap 'echo $step > "$out/step"; exit 0' TERM
printf '[tokenizer.optimizer]\nsteps = 1000\n' > "$out/settings.toml"
while :; do
    echo "{\"stage\":\"tokenizer\",\"step\":$step,\"loss\":0.5,\"frames_per_s\":9.0,\"seconds\":$step}" >> "$out/log.jsonl"
    step=$((step + 20))
    sleep 0.05
done
"#;

/// Fails a test that hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until the run's view satisfies `condition`.
fn wait_for(training: &BackgroundRun, condition: impl Fn(&RunView) -> bool) {
    let start = Instant::now();
    while !condition(&training.view()) {
        assert!(start.elapsed() < TIMEOUT, "{:?}", training.view());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A temporary folder with a run and a trainer.
struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn script(&self, text: &str) -> ChildProgram {
        let path = self.folder.path().join("trainer");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        ChildProgram::at(path)
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("trainer.calls")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn plan(&self) -> RunPlan {
        RunPlan {
            name: "Mine".into(),
            data: self.folder.path().join("data"),
            folder: self.folder.path().join("run"),
            preset: TrainPreset::Small,
            settings: None,
            playable_early: false,
        }
    }

    fn start(&self, text: &str) -> BackgroundRun {
        let program = self.script(text);
        BackgroundRun::start(&self.plan(), None, program, Arc::new(|| {})).unwrap()
    }
}

#[test]
fn stopped_run_resumes() {
    let fixture = Fixture::new();
    let training = fixture.start(TRAINER);
    wait_for(&training, |view| {
        view.progress.current_stage().steps_done() >= 41
    });
    assert_eq!(training.view().progress.stages[0].steps, 1000);
    training.request_stop();
    wait_for(&training, |view| view.state == RunState::Stopped);
    let stopped = training.view().progress.current_stage().steps_done();
    training.resume(Some(2.5));
    wait_for(&training, |view| {
        view.progress.current_stage().steps_done() > stopped
    });
    training.shut_down(TIMEOUT);
    let calls = fixture.calls();
    assert!(calls[0].contains("--preset small --config"), "{calls:?}");
    let resumed = &calls[1];
    assert!(resumed.contains("--resume") && !resumed.contains("--preset"));
    assert!(resumed.contains("--max-minutes 2.5"), "{resumed}");
    assert!(fixture.plan().folder.join("step").exists());
}

#[test]
fn failure_shows_the_trainers_message() {
    let fixture = Fixture::new();
    let training = fixture.start("#!/bin/sh\necho 'driftless: no space left' >&2\nexit 1\n");
    let failed = RunState::Failed("no space left".into());
    wait_for(&training, |view| view.state == failed);
    assert!(!training.is_busy());
}

#[test]
fn run_is_reopened() {
    let fixture = Fixture::new();
    let training = fixture.start(TRAINER);
    wait_for(&training, |view| {
        view.progress.current_stage().steps_done() >= 21
    });
    training.shut_down(TIMEOUT);
    let folder = fixture.plan().folder;
    let program = fixture.script(TRAINER);
    let opened = BackgroundRun::open(&folder, None, program, Arc::new(|| {})).unwrap();
    assert_eq!((opened.name(), opened.is_busy()), ("Mine", false));
    assert!(opened.data().ends_with("data"));
    assert!(opened.view().progress.current_stage().steps_done() >= 21);
}

#[test]
fn command_line_run_needs_its_dataset() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path().join("other");
    std::fs::create_dir(&folder).unwrap();
    let open = |data| BackgroundRun::open(&folder, data, ChildProgram::at("x"), Arc::new(|| {}));
    let error = |data| open(data).err().unwrap().to_string();
    assert!(error(None).contains("which dataset"));
    assert!(error(Some("data".into())).contains("settings.toml"));
    std::fs::write(folder.join(RunLayout::SETTINGS), "").unwrap();
    assert_eq!(open(Some("data".into())).unwrap().name(), "other");
}

#[test]
fn folder_is_locked_while_training() {
    let fixture = Fixture::new();
    let training = fixture.start(TRAINER);
    wait_for(&training, |view| {
        view.progress.current_stage().steps_done() >= 21
    });
    let program = ChildProgram::at(fixture.folder.path().join("trainer"));
    let second =
        BackgroundRun::open(&fixture.plan().folder, None, program, Arc::new(|| {})).unwrap();
    second.resume(None);
    wait_for(
        &second,
        |view| matches!(&view.state, RunState::Failed(what) if what.contains("another process")),
    );
    assert_eq!(training.view().state, RunState::Running);
    training.shut_down(TIMEOUT);
}

#[test]
fn initial_settings_keep_own_values() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "save_minutes = 7.0\n[dynamics]\nbatch = 2\n").unwrap();
    let table: toml::Table =
        toml::from_str(&initial_settings(Some(file.path()), true).unwrap()).unwrap();
    assert_eq!(table["save_minutes"].as_float(), Some(7.0));
    assert_eq!(table["preview_minutes"].as_float(), Some(MINUTES));
    let early = |text: &str, on| {
        std::fs::write(file.path(), text).unwrap();
        let table: toml::Table =
            toml::from_str(&initial_settings(Some(file.path()), on).unwrap()).unwrap();
        let dynamics = table.get("dynamics");
        dynamics.and_then(|dynamics| dynamics.get("early_steps")?.as_integer())
    };
    assert_eq!(early("", true), Some(EARLY_STEPS));
    assert_eq!(early("[dynamics]\nearly_steps = 0\n", true), Some(0));
    assert_eq!(early("", false), None);
    std::fs::write(file.path(), "save_minutes = ").unwrap();
    assert!(initial_settings(Some(file.path()), true).is_err());
}
