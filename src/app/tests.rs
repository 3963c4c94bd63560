//! Shared test helpers, and tests of the checks before the window opens.

use driftless_data::{ActionSpec, DatasetInfo};
use driftless_engine::SamplerParams;
use driftless_model::config::{
    DynamicsConfig, FORMAT_VERSION, SamplingConfig, TokenizerConfig, WorldConfig,
};

use eframe::egui::{Ui, Vec2};
use egui_kittest::{Harness, SnapshotOptions};

use super::adapter::{no_adapter, no_display};
use super::theme::Appearance;
use super::*;
use crate::workspace::PlayableWorld;

/// A small world with these actions and keys.
pub(super) fn world(actions: &[(&str, &[&str])]) -> WorldConfig {
    WorldConfig {
        format: FORMAT_VERSION,
        sampling: SamplingConfig::default(),
        flow: driftless_model::config::FlowConfig::default(),
        name: "Test".into(),
        fps: 15.0,
        image: [8, 8],
        actions: actions
            .iter()
            .map(|(name, keys)| ActionSpec {
                name: (*name).into(),
                keys: keys.iter().map(|key| (*key).into()).collect(),
            })
            .collect(),
        axes: Vec::new(),
        tokenizer: TokenizerConfig {
            patch: 4,
            width: 8,
            hidden: 10,
            blocks: 1,
            channels: 4,
        },
        dynamics: DynamicsConfig {
            merge: 1,
            stem_width: 8,
            stem_frames: 2,
            width: 8,
            depth: 1,
            heads: 1,
            mlp: 8,
            time_every: 1,
            context: 16,
            registers: 1,
            k_max: 8,
            unknown_action: false,
            outcome: 0,
            memory: None,
            delta_state: false,
        },
    }
}

/// Whether a test that draws can run. Without a graphics adapter it is skipped, except with `CI=true`,
/// where that is a failure.
pub(super) fn has_adapter() -> bool {
    let found = !driftless_engine::adapters().is_empty();
    let ci = std::env::var("CI").as_deref() == Ok("true");
    assert!(found || !ci, "no graphics adapter");
    if !found {
        eprintln!("skipped: no graphics adapter");
    }
    found
}

/// How a drawn picture is compared with its snapshot. On the software driver that drew them, not a
/// pixel differs; another driver may round the edge of a letter otherwise, but a whole letter has more
/// pixels than this.
pub(super) fn snapshot_options() -> SnapshotOptions {
    SnapshotOptions::new().max_failed_pixels(8_usize)
}

/// Compares a part of the window with a snapshot in the light theme, unless there is no graphics
/// adapter.
pub(super) fn snapshot_light(name: &str, size: Vec2, mut content: impl FnMut(&mut Ui)) {
    if !has_adapter() {
        return;
    }
    let mut harness = Harness::builder()
        .with_size(size)
        .wgpu()
        .build_ui(move |ui| {
            theme::apply(ui.ctx(), Appearance::Light);
            content(ui);
        });
    harness.run_ok();
    harness.snapshot_options(name, &snapshot_options());
}

fn options(keys: &[&str]) -> WindowOptions {
    let world = world(&[("noop", &[]), ("up", keys)]);
    WindowOptions {
        game: PlayableWorld {
            world: DatasetInfo::from(&world),
            dynamics: Some(world.dynamics),
            published: None,
            sampling: SamplerParams::default(),
            first_clip: 0,
            game: None,
            origin: None,
            remote: None,
            player: Arc::new(|_| Err(driftless_sim::Error::Thread("not expected".into()))),
        },
        fps: None,
        actions: Arc::default(),
        params: SamplerParams::default(),
        record: None,
        first: FirstPage::Game,
        home: None,
    }
}

#[test]
fn invalid_key_fails_before_opening() {
    let error = run(options(&["Upwards"])).unwrap_err();
    assert!(error.to_string().contains("`Upwards`"), "{error}");
}

#[test]
fn missing_display_suggests_headless() {
    for error in [no_display("x"), no_adapter("y")] {
        assert!(matches!(error, Error::Display(_)));
        assert!(error.to_string().contains("--headless"), "{error}");
    }
}
