//! The controls: the words, and how the clip is sampled.

use eframe::egui;
use eframe::egui::{DragValue, RichText, Slider, TextEdit, Ui, vec2};

use driftless_clip::config::SHORTCUT_STEPS;

use super::view::{MOST_VARIANTS, View};
use crate::app::theme;
use crate::app::widgets::{choices, row, section};

/// Most steps that can be chosen, and the largest guidance.
const MOST_STEPS: usize = 64;
const MOST_GUIDANCE: f64 = 8.0;

/// What a control asks the page for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Make,
    Cancel,
    Save,
}

/// Draws all controls.
pub(super) fn panel(ui: &mut Ui, view: &mut View) -> Option<Asked> {
    section(ui, "What happens");
    words(ui, view);
    let asked = make(ui, view);
    section(ui, "How it is made");
    sampling(ui, view);
    section(ui, "Examples");
    examples(ui, view);
    asked
}

fn words(ui: &mut Ui, view: &mut View) {
    let field = TextEdit::multiline(&mut view.prompt)
        .hint_text("Say what happens, in English or Russian")
        .desired_rows(3)
        .desired_width(f32::INFINITY);
    let field = ui.add(field);
    field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Prompt"));
    let field = TextEdit::singleline(&mut view.negative)
        .hint_text("But not …")
        .desired_width(f32::INFINITY);
    let field = ui.add(field);
    let label = "Negative prompt";
    field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, label));
    if let Some(remark) = &view.remark {
        let text = RichText::new(remark).small();
        ui.label(text.color(theme::palette(ui).alert));
    }
}

fn make(ui: &mut Ui, view: &View) -> Option<Asked> {
    ui.add_space(4.0);
    let size = vec2(ui.available_width(), 34.0);
    let (text, asked) = if view.is_making {
        ("Cancel", Asked::Cancel)
    } else {
        ("Make the clip", Asked::Make)
    };
    let button = ui.add_sized(size, egui::Button::new(RichText::new(text).strong()));
    button.clicked().then_some(asked)
}

fn sampling(ui: &mut Ui, view: &mut View) {
    let lengths = view.about.config.lengths.clone();
    if lengths.len() > 1 {
        let hint = "Length of the clip.";
        row(ui, "Frames", hint, |ui| {
            ui.horizontal(|ui| choices(ui, &mut view.params.frames, &lengths, usize::to_string))
                .response
        });
    }
    let hint = "Sampling steps: more is sharper and slower. For 4, 8 and 16 there are shortcuts.";
    row(ui, "Steps K", hint, |ui| {
        let value = ui.add(DragValue::new(&mut view.params.steps).range(1..=MOST_STEPS));
        choices(
            ui,
            &mut view.params.steps,
            &SHORTCUT_STEPS,
            usize::to_string,
        );
        value
    });
    let hint = "How much the words count. 1 is as trained, more follows them closer.";
    row(ui, "Guidance", hint, |ui| {
        ui.add(Slider::new(&mut view.params.guidance, 0.0..=MOST_GUIDANCE).fixed_decimals(1))
    });
    let hint = "Seed of the noise. The same words and seed make the same clip.";
    row(ui, "Seed", hint, |ui| {
        let value = ui.add(DragValue::new(&mut view.params.seed));
        if ui.button("New").on_hover_text("Another seed.").clicked() {
            view.params.seed = rand::random::<u32>().into();
        }
        value
    });
    let hint = "Clips side by side, with seeds in a row, to choose from.";
    row(ui, "Clips", hint, |ui| {
        let numbers: Vec<usize> = (1..=MOST_VARIANTS).collect();
        ui.horizontal(|ui| choices(ui, &mut view.variants, &numbers, usize::to_string))
            .response
    });
    if view.about.config.actions > 0 {
        let hint = "The network makes all frames at once. The world draws them one after another, under \
                    the actions that the network has made of the words.";
        row(ui, "Frames by", hint, |ui| {
            let name = |by_world: &bool| if *by_world { "world" } else { "network" };
            ui.horizontal(|ui| choices(ui, &mut view.world_draws, &[false, true], name))
                .response
        });
    }
    let can = view.picture.is_some();
    ui.add_enabled_ui(can, |ui| {
        let text = "Begin with the game's picture";
        ui.checkbox(&mut view.begins_with_picture, text)
            .on_hover_text("The first frame is what the game shows now.");
    });
}

fn examples(ui: &mut Ui, view: &mut View) {
    let palette = theme::palette(ui);
    for example in view.about.config.examples.clone() {
        let text = RichText::new(&example).small().color(palette.muted);
        let button = egui::Button::new(text).wrap().frame(false);
        if ui.add(button).on_hover_text("Use these words.").clicked() {
            view.prompt = example;
        }
    }
}
