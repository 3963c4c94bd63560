//! Settings changed in the Tuning panel reach the world-model thread.

use eframe::egui::accesskit::Role;
use egui_kittest::kittest::NodeT as _;

use driftless_engine::Solver;

use super::*;

#[test]
fn changes_apply_to_the_next_frame() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let defaults = SamplerParams {
        context: 12,
        ..SamplerParams::default()
    };
    assert_eq!(step(&mut window).params, defaults);
    click(&mut window, "8");
    assert_eq!(step(&mut window).params.steps, 8);
    window
        .get_by_role_and_label(Role::ComboBox, "Solver")
        .click();
    window.run_ok();
    click(&mut window, "Heun");
    assert_eq!(step(&mut window).params.solver, Solver::Heun);
    click(&mut window, "Defaults");
    assert_eq!(step(&mut window).params, defaults);
}

#[test]
fn sliders_respect_the_worlds_limits() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let slider = window.get_by_role_and_label(Role::Slider, "Context length");
    let context = slider.accesskit_node();
    assert_eq!(
        (context.min_numeric_value(), context.max_numeric_value()),
        (Some(3.0), Some(12.0))
    );
    // Arrow keys move a focused slider.
    window
        .get_by_role_and_label(Role::Slider, "Context length")
        .focus();
    window.run_ok();
    window.key_press(Key::ArrowLeft);
    window.run_ok();
    assert_eq!(step(&mut window).params.context, 11);
}

#[test]
fn quality_presets_keep_the_seed() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    for (preset, steps) in [("Fast", 1), ("Best", 8), ("Balanced", 4)] {
        click(&mut window, preset);
        let params = step(&mut window).params;
        assert_eq!((params.steps, params.seed), (steps, 0), "{preset}");
    }
}

#[test]
fn focus_loss_releases_keys() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    key(&mut window, Key::ArrowDown, true);
    assert_eq!(step(&mut window).action, 2);
    let mut input = RawInput {
        events: vec![Event::WindowFocused(false)],
        ..RawInput::default()
    };
    let context = window.ctx.clone();
    window.state_mut().raw_input_hook(&context, &mut input);
    assert_eq!(step(&mut window).action, 0);
}
