use driftless_engine::Solver;

use super::*;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep").join(FILE);
    (folder, path)
}

fn changed() -> UserConfig {
    let mut config = UserConfig {
        appearance: Appearance::Light,
        scale: 1.3,
        hud: false,
        tuning: Some(false),
        scaling: Scaling::Smooth,
        ..UserConfig::default()
    };
    config.welcomed.insert("Doom: take cover".into());
    config.mouse.sensitivity = 0.7;
    config.gamepad.on = false;
    config.gamepad.buttons.insert("south".into(), "F".into());
    let keys = Bindings::from([("up".into(), vec!["I".into(), "Up+J".into()])]);
    config.keys.insert("Pong \"quoted\"".into(), keys);
    let mut preset = SamplerPreset {
        fps: 30.0,
        ..SamplerPreset::default()
    };
    preset.params.solver = Solver::Heun;
    preset.params.context_signal = 0.9;
    config.presets.insert("slow, but exact".into(), preset);
    config
}

#[test]
fn missing_file_gives_defaults() {
    let (_folder, path) = folder();
    let (mut store, notice) = ConfigStore::open(path.clone());
    assert_eq!(
        (store.config.clone(), notice),
        (UserConfig::default(), None)
    );
    store.write().unwrap();
    assert!(!path.exists());
}

#[test]
fn settings_survive_reload() {
    let (_folder, path) = folder();
    let (mut store, _) = ConfigStore::open(path.clone());
    store.config = changed();
    store.write().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("version = 1\nlook = \"light\"\n"),
        "{text}"
    );
    assert!(text.contains("scale = 1.3\n"), "{text}");
    let (again, notice) = ConfigStore::open(path);
    assert_eq!((again.config, notice), (changed(), None));
}

#[test]
fn changes_are_written_once_after_delay() {
    let (_folder, path) = folder();
    let (mut store, _) = ConfigStore::open(path.clone());
    let start = Instant::now();
    store.config.hud = false;
    store.autosave(start).unwrap();
    store.autosave(start + AUTOSAVE_DELAY / 2).unwrap();
    assert!(store.is_dirty() && !path.exists());
    store.autosave(start + AUTOSAVE_DELAY).unwrap();
    assert!(!store.is_dirty() && path.exists());
    std::fs::remove_file(&path).unwrap();
    store.autosave(start + 3 * AUTOSAVE_DELAY).unwrap();
    store.write().unwrap();
    assert!(!path.exists());
}

#[test]
fn reverted_change_is_not_written() {
    let (_folder, path) = folder();
    let (mut store, _) = ConfigStore::open(path.clone());
    let start = Instant::now();
    store.config.hud = false;
    store.autosave(start).unwrap();
    store.config.hud = true;
    store.autosave(start + 2 * AUTOSAVE_DELAY).unwrap();
    assert!(!path.exists());
}

#[test]
fn unknown_keys_are_ignored() {
    let text = "hud = false\ncolour = \"blue\"\n[mouse]\nwheel = 3\n[presets.mine]\nsteps = 2\n";
    let config = UserConfig::read(text).unwrap();
    assert!(!config.hud);
    assert_eq!(config.mouse, MouseConfig::default());
    let mut mine = SamplerPreset::default();
    mine.params.steps = 2;
    assert_eq!(config.presets["mine"], mine);
}

#[test]
fn numbers_are_clamped() {
    let config = UserConfig::read("scale = 100.0\n[mouse]\nsensitivity = nan").unwrap();
    assert_eq!((config.scale, config.mouse.sensitivity), (3.0, 1.0));
}

#[test]
fn broken_file_is_set_aside() {
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
        let (mut store, notice) = ConfigStore::open(path.clone());
        let backup = path.with_file_name(format!("{FILE}.broken-{number}"));
        assert_eq!(std::fs::read(&backup).unwrap(), text);
        assert!(!path.exists());
        let notice = notice.unwrap();
        assert!(notice.contains(&*backup.to_string_lossy()), "{notice}");
        assert!(!notice.contains('\n'), "{notice}");
        assert_eq!(store.config, UserConfig::default());
        store.config.hud = false;
        store.write().unwrap();
        assert!(!ConfigStore::open(path.clone()).0.config.hud);
    }
}

#[test]
fn unreadable_file_is_left_alone() {
    let (_folder, path) = folder();
    std::fs::create_dir_all(&path).unwrap();
    let (mut store, notice) = ConfigStore::open(path.clone());
    assert!(notice.unwrap().contains(FILE));
    store.config.hud = false;
    store.write().unwrap();
    assert!(!store.is_dirty() && path.is_dir());
}

#[test]
fn write_error_is_reported_once() {
    let (_folder, path) = folder();
    let (mut store, _) = ConfigStore::open(path.clone());
    std::fs::write(path.parent().unwrap(), "in the way").unwrap();
    store.config.hud = false;
    store.write().unwrap_err();
    store.write().unwrap();
    store.config.scale = 2.0;
    store.write().unwrap_err();
}

#[test]
fn two_windows_keep_each_others_changes() {
    let (_folder, path) = folder();
    let (mut first, _) = ConfigStore::open(path.clone());
    first.config.scale = 1.5;
    first.write().unwrap();
    let (mut second, _) = ConfigStore::open(path.clone());
    second.config.tuning = Some(false);
    second.config.welcomed.insert("Pong".into());
    second
        .config
        .presets
        .insert("a".into(), SamplerPreset::default());
    second.write().unwrap();
    first.config.hud = false;
    first.config.welcomed.insert("Maze".into());
    first
        .config
        .presets
        .insert("b".into(), SamplerPreset::default());
    first.write().unwrap();
    second.config.presets.remove("a");
    second.write().unwrap();
    let (read, notice) = ConfigStore::open(path);
    let read = read.config;
    assert_eq!(notice, None);
    assert_eq!(
        (read.scale, read.hud, read.tuning),
        (1.5, false, Some(false))
    );
    assert!(read.welcomed.iter().eq(["Maze", "Pong"]));
    assert!(read.presets.keys().eq(["b"]));
}

#[test]
fn file_broken_meanwhile_is_replaced() {
    let (_folder, path) = folder();
    let (mut store, _) = ConfigStore::open(path.clone());
    for (text, scale) in [("hud = = 1", 1.25), ("scale = \"large\"", 1.5)] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        store.config.scale = scale;
        store.write().unwrap();
        assert_eq!(ConfigStore::open(path.clone()).0.config.scale, scale);
    }
}
