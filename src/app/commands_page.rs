//! The list of commands: find one by its name and do it.

use eframe::egui;
use eframe::egui::{Context, Key, RichText, TextEdit, Ui, vec2};

use super::keys::{KeyMap, Shortcut};
use super::theme;
use super::widgets::{modal, page};

const WIDTH: f32 = 440.0;

/// The page: a field, and the commands that fit what is typed there.
#[derive(Default)]
pub(super) struct CommandsPage {
    typed: String,
    /// Index among the commands found.
    selected: usize,
}

/// How the page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandChoice {
    Run(Shortcut),
    Close,
}

impl CommandsPage {
    /// Draws the modal page. `fresh` is true on the first draw.
    pub fn ui(&mut self, context: &Context, keys: &KeyMap, fresh: bool) -> Option<CommandChoice> {
        let space = context.content_rect().size() - vec2(60.0, 140.0);
        let response = modal(context, "commands").show(context, |ui| {
            ui.set_width(WIDTH.min(space.x));
            self.content(ui, keys, space.y, fresh)
        });
        let left = response.should_close().then_some(CommandChoice::Close);
        response.inner.or(left)
    }

    fn content(
        &mut self,
        ui: &mut Ui,
        keys: &KeyMap,
        height: f32,
        fresh: bool,
    ) -> Option<CommandChoice> {
        let hint = "Type what you want to do";
        let field = TextEdit::singleline(&mut self.typed).hint_text(hint);
        let field = ui.add(field.desired_width(f32::INFINITY));
        if fresh {
            field.request_focus();
        }
        if field.changed() {
            self.selected = 0;
        }
        let found = matching(keys, &self.typed);
        let last = found.len().saturating_sub(1);
        let (down, up, enter) = ui.input(|input| {
            let pressed = |key| input.key_pressed(key);
            let moved = (pressed(Key::ArrowDown), pressed(Key::ArrowUp));
            (moved.0, moved.1, pressed(Key::Enter))
        });
        if down {
            self.selected = (self.selected + 1).min(last);
        } else if up {
            self.selected = self.selected.saturating_sub(1);
        }
        self.selected = self.selected.min(last);
        let mut choice = None;
        page(height).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            if found.is_empty() {
                let text = RichText::new("No command of this name.");
                ui.label(text.color(theme::palette(ui).muted));
            }
            ui.with_layout(egui::Layout::top_down_justified(egui::Align::Min), |ui| {
                for (i, &shortcut) in found.iter().enumerate() {
                    let selected = i == self.selected;
                    let row = row(ui, keys, shortcut, selected);
                    if selected && (down || up) {
                        row.scroll_to_me(None);
                    }
                    if row.clicked() || (selected && enter) {
                        choice = Some(CommandChoice::Run(shortcut));
                    }
                }
            });
        });
        choice
    }
}

fn row(ui: &mut Ui, keys: &KeyMap, shortcut: Shortcut, selected: bool) -> egui::Response {
    let palette = theme::palette(ui);
    let beside = if selected {
        palette.on_accent
    } else {
        palette.muted
    };
    let refused = keys.why_not(shortcut);
    let keys = RichText::new(keys.shortcut_text(shortcut)).color(beside);
    let button = egui::Button::selectable(selected, shortcut.label()).shortcut_text(keys);
    ui.add_enabled(refused.is_none(), button)
        .on_hover_text(shortcut.hint())
        .on_disabled_hover_text(refused.unwrap_or_default())
}

/// The commands whose name or hint has every word that is typed; those with it in their name come first.
fn matching(keys: &KeyMap, typed: &str) -> Vec<Shortcut> {
    let words: Vec<_> = typed.split_whitespace().map(str::to_lowercase).collect();
    let has_words = |text: &str| {
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    let all = keys.shortcuts().iter().copied();
    let all = all.filter(|shortcut| *shortcut != Shortcut::Commands);
    let (mut named, others): (Vec<_>, Vec<_>) = all.partition(|s| has_words(s.label()));
    let hinted = others
        .into_iter()
        .filter(|s| has_words(&format!("{} {} {}", s.label(), s.hint(), s.found_by())));
    named.extend(hinted);
    named
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    #[test]
    fn words_find_commands() {
        let keys = KeyMap::new(&[]).unwrap();
        let first = |typed: &str| matching(&keys, typed).first().copied();
        assert_eq!(first("full"), Some(Shortcut::FullScreen));
        assert_eq!(first("last SAVE"), Some(Shortcut::SaveRecent));
        // By its hint.
        assert_eq!(first("rewind"), Some(Shortcut::Timeline));
        assert_eq!(first("cells"), Some(Shortcut::Worlds));
        assert_eq!(first("abracadabra"), None);
        assert_eq!(matching(&keys, " ").len(), Shortcut::ALL.len() - 1);
    }

    #[test]
    fn typing_and_enter_choose() {
        let keys = KeyMap::new(&[]).unwrap();
        let state = (CommandsPage::default(), None, true);
        let mut harness = Harness::new_ui_state(
            |ui, (page, choice, fresh): &mut (CommandsPage, Option<CommandChoice>, bool)| {
                let chosen = page.ui(ui.ctx(), &keys, std::mem::take(fresh));
                *choice = choice.or(chosen);
            },
            state,
        );
        harness.run();
        harness
            .get_by_role(egui::accesskit::Role::TextInput)
            .type_text("save");
        harness.run();
        harness.key_press(Key::ArrowDown);
        harness.run();
        harness.key_press(Key::Enter);
        harness.run();
        let second = matching(&keys, "save")[1];
        assert_eq!(harness.state().1, Some(CommandChoice::Run(second)));
    }
}
