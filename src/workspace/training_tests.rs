//! A run in the background, with a shell script in the trainer's place.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Writes what a trainer writes, step by step, until it is asked to stop.
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

/// A person who waits until the run looks as wanted.
fn wait_for(training: &Training, wanted: impl Fn(&View) -> bool) {
    while !wanted(&training.view()) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn script(&self, text: &str) -> Program {
        let path = self.folder.path().join("trainer");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Program::at(path)
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("trainer.calls")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn plan(&self) -> Plan {
        Plan {
            name: "Mine".into(),
            data: self.folder.path().join("data"),
            folder: self.folder.path().join("run"),
            preset: Preset::Small,
            settings: None,
        }
    }

    fn start(&self, text: &str) -> Training {
        let program = self.script(text);
        Training::start(&self.plan(), None, program, Arc::new(|| {})).unwrap()
    }
}

#[test]
fn a_run_is_seen_as_it_goes_and_goes_on_where_it_was_stopped() {
    let place = Place::new();
    let training = place.start(TRAINER);
    wait_for(&training, |view| view.progress.current().done() >= 41);
    assert_eq!(training.view().progress.stages[0].steps, 1000);
    training.stop();
    wait_for(&training, |view| view.state == State::Stopped);
    let stopped = training.view().progress.current().done();
    training.go_on(Some(2.5));
    wait_for(&training, |view| view.progress.current().done() > stopped);
    training.finish(Duration::from_secs(60));
    let calls = place.calls();
    assert!(calls[0].contains("--preset small --config"), "{calls:?}");
    let again = &calls[1];
    assert!(again.contains("--resume") && !again.contains("--preset"));
    assert!(again.contains("--max-minutes 2.5"), "{again}");
    assert!(place.plan().folder.join("step").exists());
}

#[test]
fn a_failure_is_told_in_the_trainers_own_words() {
    let place = Place::new();
    let training = place.start("#!/bin/sh\necho 'driftless: no space left' >&2\nexit 1\n");
    let failed = State::Failed("no space left".into());
    wait_for(&training, |view| view.state == failed);
    assert!(!training.busy());
}

#[test]
fn a_run_is_opened_again_with_its_name_its_data_and_its_log() {
    let place = Place::new();
    let training = place.start(TRAINER);
    wait_for(&training, |view| view.progress.current().done() >= 21);
    training.finish(Duration::from_secs(60));
    let folder = place.plan().folder;
    let program = place.script(TRAINER);
    let opened = Training::open(&folder, None, program, Arc::new(|| {})).unwrap();
    assert_eq!((opened.name(), opened.busy()), ("Mine", false));
    assert!(opened.data().ends_with("data"));
    assert!(opened.view().progress.current().done() >= 21);
}

#[test]
fn a_run_of_the_command_line_asks_for_its_dataset() {
    let place = Place::new();
    let folder = place.folder.path().join("other");
    std::fs::create_dir(&folder).unwrap();
    let open = |data| Training::open(&folder, data, Program::at("x"), Arc::new(|| {}));
    let complaint = |data| open(data).err().unwrap().to_string();
    assert!(complaint(None).contains("which dataset"));
    assert!(complaint(Some("data".into())).contains("settings.toml"));
    std::fs::write(folder.join("settings.toml"), "").unwrap();
    assert_eq!(open(Some("data".into())).unwrap().name(), "other");
}

#[test]
fn two_do_not_train_in_one_folder() {
    let place = Place::new();
    let training = place.start(TRAINER);
    wait_for(&training, |view| view.progress.current().done() >= 21);
    let program = Program::at(place.folder.path().join("trainer"));
    let second = Training::open(&place.plan().folder, None, program, Arc::new(|| {})).unwrap();
    second.go_on(None);
    wait_for(
        &second,
        |view| matches!(&view.state, State::Failed(what) if what.contains("another process")),
    );
    assert_eq!(training.view().state, State::Running);
    training.finish(Duration::from_secs(60));
}

#[test]
fn settings_save_and_show_often_unless_they_say_otherwise() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "save_minutes = 7.0\n[dynamics]\nbatch = 2\n").unwrap();
    let table: toml::Table = toml::from_str(&first_settings(Some(file.path())).unwrap()).unwrap();
    assert_eq!(table["save_minutes"].as_float(), Some(7.0));
    assert_eq!(table["preview_minutes"].as_float(), Some(MINUTES));
    std::fs::write(file.path(), "save_minutes = ").unwrap();
    assert!(first_settings(Some(file.path())).is_err());
}
