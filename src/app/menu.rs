//! The menu: everything that the window can do, with the keys beside.

use eframe::egui::containers::menu::MenuButton;
use eframe::egui::{self, Rect, RichText, ScrollArea, Ui, vec2};

use super::keys::{KeyMap, Shortcut};
use super::theme;

/// The menu's entries, in groups.
const GROUPS: [&[Shortcut]; 6] = [
    &[
        Shortcut::Pause,
        Shortcut::Autoplay,
        Shortcut::Reset,
        Shortcut::NextScene,
        Shortcut::QuickSave,
        Shortcut::QuickLoad,
        Shortcut::Undo,
    ],
    &[
        Shortcut::Worlds,
        Shortcut::NewWorld,
        Shortcut::Film,
        Shortcut::OpenFile,
    ],
    &[
        Shortcut::Save,
        Shortcut::SaveRecent,
        Shortcut::Screenshot,
        Shortcut::CopyPicture,
        Shortcut::Share,
        Shortcut::ShareGame,
        Shortcut::OpenFolder,
    ],
    &[Shortcut::Lab],
    &[
        Shortcut::FullScreen,
        Shortcut::Mouse,
        Shortcut::Settings,
        Shortcut::Commands,
    ],
    &[Shortcut::Help, Shortcut::About, Shortcut::Quit],
];

/// The instruments, in a menu of their own.
const INSTRUMENTS: [Shortcut; 11] = [
    Shortcut::Timeline,
    Shortcut::Tuning,
    Shortcut::Plots,
    Shortcut::Compare,
    Shortcut::Difference,
    Shortcut::Denoising,
    Shortcut::Inspect,
    Shortcut::Overlay,
    Shortcut::Step,
    Shortcut::PreviousFrame,
    Shortcut::NextFrame,
];

/// Draws the menu's button and, while open, the menu; returns what was chosen. `is_on` tells what is on.
pub(super) fn ui(ui: &mut Ui, keys: &KeyMap, is_on: impl Fn(Shortcut) -> bool) -> Option<Shortcut> {
    let mut chosen = None;
    let button = MenuButton::from_button(egui::Button::new("").min_size(vec2(31.0, 30.0)));
    let (response, _) = button.ui(ui, |ui| {
        ui.set_min_width(270.0);
        ui.spacing_mut().item_spacing.y = 2.0;
        let tallest = ui.content_rect().height() - 70.0;
        let scroll = ScrollArea::vertical().max_height(tallest);
        // As tall as the window allows, not as tall as other popups.
        scroll.min_scrolled_height(tallest).show(ui, |ui| {
            let mut entry = |ui: &mut Ui, shortcut| {
                if entry(ui, keys, shortcut, is_on(shortcut)) {
                    chosen = Some(shortcut);
                }
            };
            for (i, group) in GROUPS.iter().enumerate() {
                if i > 0 {
                    ui.separator();
                }
                for &shortcut in *group {
                    entry(ui, shortcut);
                    if shortcut == Shortcut::Lab {
                        ui.menu_button("Instruments", |ui| {
                            ui.set_min_width(270.0);
                            INSTRUMENTS
                                .into_iter()
                                .for_each(|shortcut| entry(ui, shortcut));
                        });
                    }
                }
            }
        });
    });
    // Drawn, because the font has no sign for it.
    let colour = theme::palette(ui).text;
    for y in [-5.0, 0.0, 5.0] {
        let line = Rect::from_center_size(response.rect.center() + vec2(0.0, y), vec2(15.0, 2.0));
        ui.painter().rect_filled(line, 1, colour);
    }
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "Menu"));
    response.on_hover_text("Menu");
    chosen
}

/// An entry with its keys; returns whether it was chosen.
fn entry(ui: &mut Ui, keys: &KeyMap, shortcut: Shortcut, on: bool) -> bool {
    if !keys.shortcuts().contains(&shortcut) {
        return false;
    }
    // A dot says what is on, and not the colour alone.
    let mark = if on { "• " } else { "" };
    let text = RichText::new(format!("{mark}{}", shortcut.label()));
    let refused = keys.why_not(shortcut);
    let keys = RichText::new(keys.shortcut_text(shortcut)).color(theme::palette(ui).muted);
    let button = egui::Button::selectable(false, text).shortcut_text(keys);
    let why = refused.unwrap_or_default();
    let clicked = ui
        .add_enabled(refused.is_none(), button)
        .on_hover_text(shortcut.hint())
        .on_disabled_hover_text(why)
        .clicked();
    if clicked {
        ui.close();
    }
    clicked
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[test]
    fn menu_has_every_shortcut_once() {
        let listed = GROUPS.iter().copied().flatten().chain(&INSTRUMENTS);
        let mut listed: Vec<_> = listed.map(|s| format!("{s:?}")).collect();
        let mut all = Shortcut::ALL.map(|s| format!("{s:?}")).to_vec();
        listed.sort();
        all.sort();
        assert_eq!(listed, all);
    }

    #[test]
    fn chosen_entry_is_returned() {
        let keys = KeyMap::new(&[]).unwrap();
        let mut harness = Harness::builder()
            .with_size(vec2(400.0, 700.0))
            .build_ui_state(
                |ui, chosen: &mut Vec<Shortcut>| {
                    chosen.extend(super::ui(ui, &keys, |s| s == Shortcut::Lab));
                },
                Vec::new(),
            );
        harness.get_by_label("Menu").click();
        harness.run();
        harness.get_by_label_contains("• Lab");
        harness.get_by_label_contains("Screenshot").click();
        harness.run();
        assert_eq!(*harness.state(), [Shortcut::Screenshot]);
        assert!(harness.query_by_label_contains("Screenshot").is_none());
    }
}
