use super::*;
use driftless_engine::Solver;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep").join(FILE);
    (folder, path)
}

fn changed() -> Config {
    let mut config = Config {
        look: Look::Light,
        scale: 1.3,
        hud: false,
        tuning: Some(false),
        scaling: Scaling::Smooth,
        ..Config::default()
    };
    config.welcomed.insert("Doom: take cover".into());
    config.mouse.sensitivity = 0.7;
    config.gamepad.on = false;
    config.gamepad.buttons.insert("south".into(), "F".into());
    let keys = Bindings::from([("up".into(), vec!["I".into(), "Up+J".into()])]);
    config.keys.insert("Pong \"quoted\"".into(), keys);
    let preset = Preset {
        solver: Solver::Heun,
        context_signal: 0.9,
        ..Preset::default()
    };
    config.presets.insert("slow, but exact".into(), preset);
    config
}

#[test]
fn without_a_file_everything_is_as_by_default_and_nothing_is_written() {
    let (_folder, path) = folder();
    let (mut store, said) = Store::open(path.clone());
    assert_eq!((store.config.clone(), said), (Config::default(), None));
    store.write().unwrap();
    assert!(!path.exists());
}

#[test]
fn what_was_set_is_there_again() {
    let (_folder, path) = folder();
    let (mut store, _) = Store::open(path.clone());
    store.config = changed();
    store.write().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("version = 1\nlook = \"light\"\n"),
        "{text}"
    );
    assert!(text.contains("scale = 1.3\n"), "{text}");
    let (again, said) = Store::open(path);
    assert_eq!((again.config, said), (changed(), None));
}

#[test]
fn a_change_is_written_after_a_moment_and_once() {
    let (_folder, path) = folder();
    let (mut store, _) = Store::open(path.clone());
    let start = Instant::now();
    store.config.hud = false;
    store.settle(start).unwrap();
    store.settle(start + MOMENT / 2).unwrap();
    assert!(store.waits() && !path.exists());
    store.settle(start + MOMENT).unwrap();
    assert!(!store.waits() && path.exists());
    std::fs::remove_file(&path).unwrap();
    store.settle(start + 3 * MOMENT).unwrap();
    store.write().unwrap();
    assert!(!path.exists());
}

#[test]
fn what_is_changed_back_is_not_written() {
    let (_folder, path) = folder();
    let (mut store, _) = Store::open(path.clone());
    let start = Instant::now();
    store.config.hud = false;
    store.settle(start).unwrap();
    store.config.hud = true;
    store.settle(start + 2 * MOMENT).unwrap();
    assert!(!path.exists());
}

#[test]
fn unknown_keys_are_passed_over_and_missing_ones_as_by_default() {
    let text = "hud = false\ncolour = \"blue\"\n[mouse]\nwheel = 3\n[presets.mine]\nsteps = 2\n";
    let config = Config::read(text).unwrap();
    assert!(!config.hud);
    assert_eq!(config.mouse, MouseConfig::default());
    let mine = Preset {
        steps: 2,
        ..Preset::default()
    };
    assert_eq!(config.presets["mine"], mine);
}

#[test]
fn a_number_out_of_its_range_is_brought_into_it() {
    let config = Config::read("scale = 100.0\n[mouse]\nsensitivity = nan").unwrap();
    assert_eq!((config.scale, config.mouse.sensitivity), (3.0, 1.0));
}

#[test]
fn a_broken_or_newer_file_is_set_aside_under_a_name_of_its_own() {
    let (_folder, path) = folder();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let broken: [&[u8]; 5] = [
        b"look = \"sepia\"",
        b"version = 2",
        b"version = \"one\"",
        b"scale = = 3",
        b"hud = \xff",
    ];
    for (number, text) in (1..).zip(broken) {
        std::fs::write(&path, text).unwrap();
        let (mut store, said) = Store::open(path.clone());
        let aside = path.with_file_name(format!("{FILE}.broken-{number}"));
        assert_eq!(std::fs::read(&aside).unwrap(), text);
        assert!(!path.exists());
        let said = said.unwrap();
        assert!(said.contains(&*aside.to_string_lossy()), "{said}");
        assert!(!said.contains('\n'), "{said}");
        assert_eq!(store.config, Config::default());
        store.config.hud = false;
        store.write().unwrap();
        assert!(!Store::open(path.clone()).0.config.hud);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_left_alone() {
    let (_folder, path) = folder();
    std::fs::create_dir_all(&path).unwrap();
    let (mut store, said) = Store::open(path.clone());
    assert!(said.unwrap().contains(FILE));
    store.config.hud = false;
    store.write().unwrap();
    assert!(!store.waits() && path.is_dir());
}

#[test]
fn a_write_that_fails_is_told_once() {
    let (_folder, path) = folder();
    let (mut store, _) = Store::open(path.clone());
    std::fs::write(path.parent().unwrap(), "in the way").unwrap();
    store.config.hud = false;
    store.write().unwrap_err();
    store.write().unwrap();
    store.config.scale = 2.0;
    store.write().unwrap_err();
}
