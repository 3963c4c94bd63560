//! The page that makes clips: how it is reached, and how a clip is played on.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use driftless_clip::config::{CLIP_CONFIG, CLIP_WEIGHTS, FORMAT_VERSION};
use driftless_clip::{ClipConfig, ClipNetwork, ClipSampling, ClipShape};
use driftless_model::params::Params;

use super::*;

/// The included maze with a small clip network that has learned nothing.
fn maze_with_clips(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for file in std::fs::read_dir(checkpoint("maze")).unwrap() {
        let from = file.unwrap().path();
        std::fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    }
    let config = ClipConfig {
        format: FORMAT_VERSION,
        lengths: vec![4, 32],
        grid: [8, 8],
        channels: 8,
        actions: 0,
        action_network: None,
        network: ClipShape {
            width: 16,
            depth: 1,
            heads: 2,
            mlp: 16,
            text_blocks: 1,
            text_words: 8,
            ..ClipShape::default()
        },
        sampling: ClipSampling {
            steps: 4,
            ..ClipSampling::default()
        },
        examples: vec!["turn left".into()],
        text_encoder: None,
        vocabulary: vec!["left".into(), "turn".into()],
    };
    let params = Params::seeded(0, &Device::Cpu);
    ClipNetwork::new(&params, &config).unwrap();
    let halves = params.finish().unwrap().into_iter();
    let halves: BTreeMap<String, Tensor> = halves
        .map(|(name, var)| (name, var.to_dtype(DType::F16).unwrap()))
        .collect();
    driftless_model::checkpoint::write_tensors(&folder.join(CLIP_WEIGHTS), &halves).unwrap();
    driftless_data::fs::write_json(&folder.join(CLIP_CONFIG), &config).unwrap();
}

/// A window that plays such a maze; `None` without a graphics adapter.
fn maze_window(home: &Path) -> Option<TestWindow> {
    let folder = home.join("maze");
    maze_with_clips(&folder);
    let world = PlayableWorld::learned(&folder, DeviceChoice::Cpu, None).unwrap();
    let mut window = open(world, home)?;
    wait(&mut window, "a frame", |window| {
        window.game().frame.is_some()
    });
    Some(window)
}

/// Presses *Play on*, and waits for the world to start.
fn play_on(window: &mut TestWindow) {
    click(window, "Play on");
    wait(window, "the world", |window| {
        let frame = window.game().frame.as_ref();
        let screen = &window.stage.navigation.screen;
        *screen == Screen::Game && frame.is_some_and(|frame| frame.number == 0)
    });
}

#[test]
fn clip_is_made_and_played_on() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = maze_window(home.path()) else {
        return;
    };
    let before = rgb(shown(&window));
    press(&mut window, Key::F);
    let screen = window.state().stage.navigation.screen.clone();
    assert_eq!(screen, Screen::Film { resume: false });
    wait_for(&mut window, "Make the clip");
    click(&mut window, "Make the clip");
    wait_for(&mut window, "seed 0, ");
    play_on(&mut window);
    // It starts from the clip's last frame, and not from a scene of its own.
    assert!(rgb(shown(&window)) != before);
}

#[test]
fn longer_clip_is_made_and_played_on() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = maze_window(home.path()) else {
        return;
    };
    press(&mut window, Key::F);
    wait_for(&mut window, "Make the clip");
    click(&mut window, "32");
    click(&mut window, "Make the clip");
    wait_for(&mut window, "seed 0, ");
    let has = |window: &TestWindow, label: &str| window.query_by_label(label).is_some();
    assert!(has(&window, "Frame 32"));
    assert!(!has(&window, "Frame 33"));
    // What is asked for next does not change what is shown.
    window.get_all_by_label("4").next().unwrap().click();
    window.step();
    assert!(has(&window, "Frame 32"));
    play_on(&mut window);
}

#[test]
fn start_card_leads_to_the_page() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("maze");
    maze_with_clips(&folder);
    let world = PlayableWorld::learned(&folder, DeviceChoice::Cpu, None).unwrap();
    let config = UserConfig::default();
    let Some(mut window) = open_with(world, home.path(), config, SIZE) else {
        return;
    };
    click(&mut window, "Begin with your words…");
    let screen = window.state().stage.navigation.screen.clone();
    assert!(matches!(screen, Screen::Film { .. }), "{screen:?}");
    assert!(!window.state().env.preferences.welcome);
}

#[test]
fn world_without_clips_has_no_such_page() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    press(&mut window, Key::F);
    assert_eq!(window.state().stage.navigation.screen, Screen::Game);
}
