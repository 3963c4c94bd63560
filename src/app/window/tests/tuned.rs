//! What is turned in the panels reaches the world-model thread.

use eframe::egui::accesskit::Role;
use egui_kittest::kittest::NodeT as _;

use super::*;
use driftless_engine::Solver;

#[test]
fn steps_seed_and_solver_count_from_the_next_frame_on() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    let own = SamplerParams {
        context: 12,
        ..SamplerParams::default()
    };
    assert_eq!(step(&mut window).params, own);
    click(&mut window, "8");
    assert_eq!(step(&mut window).params.steps, 8);
    window
        .get_by_role_and_label(Role::ComboBox, "Solver")
        .click();
    window.run_ok();
    click(&mut window, "heun");
    assert_eq!(step(&mut window).params.solver, Solver::Heun);
    click(&mut window, "Defaults");
    assert_eq!(step(&mut window).params, own);
}

#[test]
fn sliders_offer_what_the_world_allows_and_no_more() {
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
    // Arrow keys turn a slider that has the focus.
    window
        .get_by_role_and_label(Role::Slider, "Context length")
        .focus();
    window.run_ok();
    window.key_press(Key::ArrowLeft);
    window.run_ok();
    assert_eq!(step(&mut window).params.context, 11);
}

#[test]
fn presets_set_the_sampler_and_keep_the_seed() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut window) = open(learned("pong"), home.path()) else {
        return;
    };
    for (preset, steps) in [("fast", 1), ("best", 8), ("balanced", 4)] {
        click(&mut window, preset);
        let params = step(&mut window).params;
        assert_eq!((params.steps, params.seed), (steps, 0), "{preset}");
    }
}

#[test]
fn keys_count_while_they_are_held_and_all_go_up_when_the_window_loses_the_focus() {
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
