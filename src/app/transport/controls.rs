//! The controls: drug, dose, plates, flow, channels, files.

use eframe::egui;
use eframe::egui::{
    Align2, AtomExt as _, Button, Color32, ComboBox, DragValue, EventFilter, FontId, Key,
    Modifiers, Response, RichText, ScrollArea, Sense, Slider, TextEdit, TextWrapMode, Ui, pos2,
    vec2,
};

use driftless_flow::solver::Method;
use driftless_transport::{Route, Source};

use super::export::{drug_name, mechanism};
use super::specimens::KnownPlate;
use super::view::{FileKind, View};
use super::wish::{dose_ends, dose_warning, figure, matching};
use crate::app::theme;
use crate::app::widgets::{choices, outlined, row, section};

/// Height of the list of drugs, in points.
const DRUGS: f32 = 150.0;
/// Most of a line in it that what is beside a name may take.
const ABOUT: f32 = 0.6;
/// The training range is labelled at both ends if it is so long, in points.
const LABELLED: f32 = 90.0;
/// Most steps that can be chosen, and the largest guidance and source noise.
const MOST_STEPS: usize = 64;
const MOST_GUIDANCE: f64 = 4.0;
const MOST_NOISE: f32 = 1.0;

/// Draws all controls; returns the kind of file that was asked for.
pub(super) fn panel(ui: &mut Ui, view: &mut View, busy: bool) -> Option<FileKind> {
    section(ui, "Drug");
    drug(ui, view);
    section(ui, "Dose");
    dose(ui, view);
    section(ui, "Cell");
    cell(ui, view);
    section(ui, "Channels");
    channels(ui, view);
    section(ui, "Flow");
    flow(ui, view);
    section(ui, "Save");
    files(ui, busy)
}

/// The search field and the drugs that it finds.
fn drug(ui: &mut Ui, view: &mut View) {
    let config = view.bench.config();
    let field = TextEdit::singleline(&mut view.search)
        .hint_text("Search by name or mechanism")
        .desired_width(f32::INFINITY);
    let field = ui.add(field);
    field.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Search drugs"));
    let found = matching(config, &view.search);
    if field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
        view.wish.compound = found.first().copied().or(view.wish.compound);
        // The keyboard goes on from here.
        field.request_focus();
    }
    let palette = theme::palette(ui);
    egui::Frame::new()
        .fill(palette.backdrop)
        .corner_radius(6)
        .inner_margin(4)
        .show(ui, |ui| {
            let scroll = ScrollArea::vertical().id_salt("drugs").max_height(DRUGS);
            scroll.auto_shrink([false, true]).show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 1.0;
                let justified = egui::Layout::top_down_justified(egui::Align::Min);
                ui.with_layout(justified, |ui| {
                    if view.search.trim().is_empty() {
                        let none = entry(ui, view.wish.compound.is_none(), "No drug", "untreated");
                        if none.clicked() {
                            view.wish.compound = None;
                        }
                    }
                    for index in &found {
                        let known = &config.compounds[*index];
                        let mut about = mechanism(&known.compound).to_owned();
                        if !known.trained {
                            about.push_str(", new to the network");
                        }
                        let chosen = view.wish.compound == Some(*index);
                        let entry = entry(ui, chosen, &known.compound.name, &about);
                        if entry.clicked() {
                            view.wish.compound = Some(*index);
                        }
                    }
                    if found.is_empty() {
                        let text = RichText::new("No drug of this name or mechanism.");
                        ui.label(text.color(palette.muted));
                    }
                });
            });
        });
    let untrained = view
        .wish
        .compound
        .and_then(|index| config.compounds.get(index));
    if untrained.is_some_and(|known| !known.trained) {
        let name = drug_name(config, view.wish.compound);
        let text =
            format!("The training has not seen {name}: it is known by its descriptor alone.");
        ui.label(RichText::new(text).small().color(palette.alert));
    }
}

/// A line of the list of drugs.
fn entry(ui: &mut Ui, chosen: bool, name: &str, about: &str) -> Response {
    let palette = theme::palette(ui);
    let colour = if chosen {
        palette.on_accent
    } else {
        palette.muted
    };
    let most = ABOUT * ui.available_width();
    let beside = RichText::new(about).small().color(colour);
    let button = Button::selectable(chosen, name).shortcut_text(beside.atom_max_width(most));
    ui.add(button.truncate())
        .on_hover_text(format!("{name}: {about}"))
}

/// The dose on a logarithmic scale, with the training range marked.
fn dose(ui: &mut Ui, view: &mut View) {
    let config = view.bench.config();
    let palette = theme::palette(ui);
    let [least, most] = dose_ends(config);
    let enabled = view.wish.compound.is_some();
    ui.add_enabled_ui(enabled, |ui| {
        ui.spacing_mut().slider_width = ui.available_width();
        let hint = "The dose. The bar below is the range of the training.";
        let slider = Slider::new(&mut view.wish.dose, least..=most)
            .logarithmic(true)
            .show_value(false);
        let slider = ui.add(slider).on_hover_text(hint);
        let shown = f64::from(view.wish.dose);
        slider.widget_info(|| egui::WidgetInfo::slider(enabled, shown, "Dose"));
        marks(ui, slider.rect, [least, most], config.doses);
        ui.horizontal(|ui| {
            let value = DragValue::new(&mut view.wish.dose)
                .range(least..=most)
                .speed(shown * 0.01)
                .custom_formatter(|value, _| figure(value as f32))
                .custom_parser(|text| text.trim().replace(',', ".").parse().ok())
                .suffix(format!(" {}", config.dose_unit));
            let value = ui
                .add(value)
                .on_hover_text("Drag, or click to type a dose.");
            value.widget_info(|| {
                let mut info = egui::WidgetInfo::drag_value(enabled, shown);
                info.label = Some("Dose as a number".to_owned());
                info
            });
        });
    });
    if let Some(warning) = dose_warning(config, view.wish.dose).filter(|_| enabled) {
        ui.label(RichText::new(warning).small().color(palette.alert));
    }
}

/// The training range as a bar below the slider, with the doses at its ends.
fn marks(ui: &mut Ui, rail: egui::Rect, ends: [f32; 2], trained: [f32; 2]) {
    let palette = theme::palette(ui);
    let (space, _) = ui.allocate_exact_size(vec2(rail.width(), 18.0), Sense::hover());
    // The handle stays on the rail.
    let inset = rail.height() / 2.5;
    let range = rail.x_range().shrink(inset);
    let [from, to] = ends.map(f32::log10);
    let at = |dose: f32| {
        let place = (dose.log10() - from) / (to - from).max(f32::EPSILON);
        egui::lerp(range, place)
    };
    let [left, right] = trained.map(at);
    let bar = egui::Rect::from_x_y_ranges(
        left..=right.max(left + 3.0),
        space.top()..=space.top() + 3.0,
    );
    ui.painter().rect_filled(bar, 1, palette.accent);
    let font = FontId::proportional(11.0);
    if right - left < LABELLED {
        let [least, most] = trained.map(figure);
        let text = if least == most {
            format!("trained: {least}")
        } else {
            format!("trained: {least} to {most}")
        };
        let inside = space.x_range().shrink(LABELLED / 2.0);
        let place = pos2(inside.clamp(0.5 * (left + right)), space.top() + 5.0);
        let painter = ui.painter();
        painter.text(place, Align2::CENTER_TOP, text, font, palette.muted);
        return;
    }
    for (x, dose, align) in [
        (left, trained[0], Align2::LEFT_TOP),
        (right, trained[1], Align2::RIGHT_TOP),
    ] {
        let place = pos2(x, space.top() + 5.0);
        ui.painter()
            .text(place, align, figure(dose), font.clone(), palette.muted);
    }
    let middle = pos2(0.5 * (left + right), space.top() + 5.0);
    let painter = ui.painter();
    painter.text(middle, Align2::CENTER_TOP, "trained", font, palette.muted);
}

/// The cell and the plates.
fn cell(ui: &mut Ui, view: &mut View) {
    let specimens = &view.bench.specimens;
    let plates = &specimens.plates;
    let wish = &mut view.wish;
    let hint = "The plate of the treated cell, and of the control unless another is chosen.";
    let all: Vec<usize> = (0..plates.len()).collect();
    row(ui, "Plate", hint, |ui| {
        menu(ui, "plate", &mut wish.plate, &all, |index| {
            plate_name(plates, index)
        })
    });
    let hint = "Where the control comes from. Training has only seen controls of the same plate.";
    row(ui, "Control from", hint, |ui| {
        let name = |source: Option<usize>| match source {
            Some(index) => plate_name(plates, index),
            None => "the same plate".to_owned(),
        };
        let others = (0..plates.len()).filter(|index| *index != wish.plate);
        let all: Vec<_> = std::iter::once(None).chain(others.map(Some)).collect();
        menu(ui, "source", &mut wish.source, &all, name)
    });
    if wish.source == Some(wish.plate) {
        wish.source = None;
    }
    ui.horizontal_wrapped(|ui| {
        if ui.button("Another cell").on_hover_text("N").clicked() {
            wish.cell += 1;
        }
        let first = ui.add_enabled(wish.cell > 0, Button::new("Previous"));
        if first.on_hover_text("The cell before").clicked() {
            wish.cell -= 1;
        }
        let name = specimens.cell_name(wish.source_plate(), wish.cell);
        ui.label(RichText::new(name).color(theme::palette(ui).muted));
    });
}

fn plate_name(plates: &[KnownPlate], index: usize) -> String {
    match plates.get(index) {
        Some(plate) if plate.trained.is_none() => format!("{} (new)", plate.name),
        Some(plate) => plate.name.clone(),
        None => String::new(),
    }
}

/// A menu; while it has the focus, the arrow keys go through what it offers.
fn menu<T: Copy + PartialEq>(
    ui: &mut Ui,
    id: &str,
    value: &mut T,
    all: &[T],
    name: impl Fn(T) -> String,
) -> Response {
    let moved = ui.scope_id().with((id, "moved"));
    let menu = ComboBox::from_id_salt(id)
        .selected_text(name(*value))
        .truncate()
        .width(ui.available_width());
    let menu = menu.show_ui(ui, |ui| {
        let scrolls = ui
            .data_mut(|data| data.remove_temp::<bool>(moved))
            .is_some();
        for choice in all {
            let item = ui.selectable_value(value, *choice, name(*choice));
            if scrolls && *value == *choice {
                item.scroll_to_me(None);
            }
        }
    });
    let response = menu.response.on_hover_text(name(*value));
    if response.has_focus() {
        let arrows = EventFilter {
            vertical_arrows: true,
            ..EventFilter::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
        let [down, up] = [Key::ArrowDown, Key::ArrowUp]
            .map(|key| ui.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key)));
        let place = all
            .iter()
            .position(|choice| choice == value)
            .unwrap_or_default();
        let place = (place + down).saturating_sub(up);
        if down != up
            && let Some(choice) = all.get(place).or(all.last())
        {
            *value = *choice;
            ui.data_mut(|data| data.insert_temp(moved, true));
            ui.request_repaint();
        }
    }
    response
}

/// Which channels are drawn, and how.
fn channels(ui: &mut Ui, view: &mut View) {
    let names = view.bench.config().channels.clone();
    let look = &mut view.look;
    outlined(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            // A box that does not fit begins a row; what does not fit there has its end in the hint.
            ui.style_mut().wrap_mode = Some(TextWrapMode::Truncate);
            for (i, (name, shown)) in names.iter().zip(&mut look.shown).enumerate() {
                let colour = channel_colour(ui, i, names.len());
                let text = RichText::new(name).color(colour);
                let hint = format!("{}: show or hide {name}.", i + 1);
                ui.checkbox(shown, text).on_hover_text(hint);
            }
        });
    });
    ui.scope(|ui| {
        let name = |greys: &bool| if *greys { "Greys" } else { "False colours" };
        choices(ui, &mut look.greys, &[false, true], name);
    })
    .response
    .on_hover_text("G: a colour for each channel, or the brightest of those shown in grey.");
}

/// A channel's false colour, light enough to be read on the panel.
fn channel_colour(ui: &Ui, index: usize, channels: usize) -> Color32 {
    let palette = theme::palette(ui);
    match (index, channels) {
        (_, 1) => palette.text,
        (0, _) => palette.cold,
        (1, _) => palette.alert,
        (2, _) => palette.accent,
        _ => palette.text,
    }
}

/// How the flow is followed.
fn flow(ui: &mut Ui, view: &mut View) {
    let source = view.bench.config().flow.source;
    let defaults = driftless_transport::TransportParams::of(view.bench.config());
    let params = &mut view.wish.params;
    ui.scope(|ui| {
        let name = |route: &Route| match route {
            Route::Forward => "Forward",
            Route::Invert => "Invert first",
        };
        choices(ui, &mut params.route, &[Route::Forward, Route::Invert], name);
    })
    .response
    .on_hover_text(
        "Route: straight forward under the drug; or first back to the source as an untreated cell, and from \
         there forward under the drug.",
    );
    row(ui, "Solver", "How the flow is integrated.", |ui| {
        let name = |method| solver_name(method).to_owned();
        menu(ui, "solver", &mut params.method, &Method::ALL, name)
    });
    let hint =
        "Steps of the solver on the way from τ = 0 to 1. More are more exact and take longer.";
    row(ui, "Steps", hint, |ui| {
        slider(
            ui,
            Slider::new(&mut params.steps, 1..=MOST_STEPS)
                .logarithmic(true)
                .integer(),
        )
    });
    let hint = "How much more the condition counts than in the training: 1 is as trained, 0 ignores the drug. \
                Other values than 1 take twice as long.";
    row(ui, "Guidance", hint, |ui| {
        slider(
            ui,
            Slider::new(&mut params.guidance, 0.0..=MOST_GUIDANCE)
                .step_by(0.1)
                .max_decimals(2),
        )
    });
    if source == Source::Control {
        let hint = "Noise that is added to the control, in standard deviations of the pictures.";
        let forward = params.route == Route::Forward;
        row(ui, "Noise", hint, |ui| {
            let slider_of = Slider::new(&mut params.source_noise, 0.0..=MOST_NOISE)
                .step_by(0.05)
                .max_decimals(2);
            ui.add_enabled_ui(forward, |ui| slider(ui, slider_of)).inner
        });
    }
    let params = view.wish.params;
    let draws =
        params.route == Route::Forward && (source == Source::Noise || params.source_noise > 0.0);
    ui.horizontal(|ui| {
        let other = ui.add_enabled(draws, Button::new("Other noise"));
        let hint = "Draw the noise anew.";
        if other
            .on_hover_text(hint)
            .on_disabled_hover_text("There is no noise.")
            .clicked()
        {
            view.wish.seed += 1;
        }
        let changed = ui.add_enabled(params != defaults, Button::new("As shipped"));
        let hint = "Route, solver, steps, guidance and noise as the checkpoint has them.";
        if changed.on_hover_text(hint).clicked() {
            view.wish.params = defaults;
        }
    });
}

fn solver_name(method: Method) -> &'static str {
    match method {
        Method::Euler => "Euler",
        Method::Midpoint => "Midpoint",
        Method::Heun => "Heun",
        Method::DormandPrince => "Dormand–Prince",
    }
}

/// A slider as wide as what is left of its row.
fn slider(ui: &mut Ui, slider: Slider<'_>) -> Response {
    let spacing = ui.spacing_mut();
    spacing.interact_size.x = 46.0;
    spacing.item_spacing.x = 6.0;
    ui.spacing_mut().slider_width = (ui.available_width() - 54.0).max(40.0);
    ui.add(slider)
}

/// The buttons that write files.
fn files(ui: &mut Ui, busy: bool) -> Option<FileKind> {
    let mut asked = None;
    let buttons = [
        (FileKind::Gif, "GIF", "The way there and back as a GIF."),
        (
            FileKind::Mp4,
            "MP4",
            "The way there and back as a video; needs ffmpeg.",
        ),
        (
            FileKind::Sheet,
            "Doses as PNG",
            "The cell under eight doses of the training range, with the truth if it is known.",
        ),
    ];
    ui.horizontal_wrapped(|ui| {
        for (kind, name, hint) in buttons {
            let button = ui.add_enabled(!busy, Button::new(name));
            if button.on_hover_text(hint).clicked() {
                asked = Some(kind);
            }
        }
    });
    if busy {
        ui.label(RichText::new("Writing…").color(theme::palette(ui).muted));
    }
    asked
}
