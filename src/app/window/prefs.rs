//! The window and its settings: put on, changed, kept; and the pages that lie over everything else.

use std::time::Instant;

use eframe::egui::{Context, Key, ViewportCommand};

use super::away::View;
use super::{Window, World};
use crate::app::config::{MOMENT, SCALES};
use crate::app::help::Help;
use crate::app::keys::Shortcut;
use crate::app::preferences::{Preferences, Shown};
use crate::app::theme;

/// A page over everything else.
pub(super) struct Overlay {
    page: Over,
    /// Whether it has not been drawn yet.
    fresh: bool,
    /// Whether the world goes on when it is closed.
    resumes: bool,
    /// Keys that were down when the page began to ask for one.
    down: Vec<Key>,
}

enum Over {
    Help,
    Preferences(Preferences),
}

impl Window {
    /// Makes a new window look as it is set.
    pub(super) fn put_on(&mut self) {
        theme::apply(&self.context, self.store.config.look);
        self.zoom(self.store.config.scale);
        self.hud = self.store.config.hud;
        self.dress();
    }

    /// Sets what depends on the world that is played.
    pub(super) fn dress(&mut self) {
        let config = &self.store.config;
        let own = config.keys.get(&self.played.world.name);
        self.played.rebind(&own.cloned().unwrap_or_default());
        self.played.tuning.scale(config.scaling);
        let buttons = &config.gamepad.buttons;
        self.inputs.dress(&self.played.keys, buttons);
    }

    fn zoom(&mut self, scale: f32) {
        self.zoom_asked = Some(scale);
        self.context.set_zoom_factor(scale);
    }

    /// Notes what was set elsewhere, and writes what changed a moment ago.
    pub(super) fn settle(&mut self) {
        let config = &mut self.store.config;
        config.hud = self.hud;
        config.scaling = self.played.tuning.settings.scaling;
        // Ctrl with plus and minus is egui's own; what is asked for here comes with the next frame.
        let zoom = self.context.zoom_factor();
        if self.zoom_asked.is_none_or(|asked| asked == zoom) {
            self.zoom_asked = None;
            config.scale = zoom.clamp(SCALES.0, SCALES.1);
            if config.scale != zoom {
                self.zoom(self.store.config.scale);
            }
        }
        if let Err(error) = self.store.settle(Instant::now()) {
            self.notices.say(format!("Settings are not kept: {error}"));
        }
        if self.store.waits() {
            self.context.request_repaint_after(MOMENT);
        }
    }

    /// The first card is not shown for this world again.
    pub(super) fn dismiss(&mut self) {
        if std::mem::take(&mut self.welcome) {
            let world = self.played.world.name.clone();
            self.store.config.welcomed.insert(world);
        }
    }

    pub(super) fn toggle_help(&mut self) {
        self.toggle(Over::Help);
    }

    pub(super) fn toggle_preferences(&mut self) {
        self.toggle(Over::Preferences(Preferences::default()));
    }

    pub(super) fn toggle_full_screen(&self) {
        let full = self.context.input(|input| input.viewport().fullscreen);
        let command = ViewportCommand::Fullscreen(!full.unwrap_or(false));
        self.context.send_viewport_cmd(command);
    }

    /// Opens a page, or closes it where it is open.
    fn toggle(&mut self, page: Over) {
        let kind = std::mem::discriminant(&page);
        let open = self.overlay.take();
        let same = open
            .as_ref()
            .is_some_and(|open| std::mem::discriminant(&open.page) == kind);
        if let Some(open) = open {
            self.close(&open);
        }
        if same {
            return;
        }
        self.let_all_go();
        let runs = matches!(self.world, World::Running(_))
            && !matches!(self.view, View::Page | View::Worlds { .. });
        let resumes = runs && !self.paused;
        if resumes {
            self.act(Shortcut::Pause);
        }
        self.overlay = Some(Overlay {
            page,
            fresh: true,
            resumes,
            down: Vec::new(),
        });
    }

    fn close(&mut self, page: &Overlay) {
        if page.resumes && self.paused {
            self.act(Shortcut::Pause);
        }
    }

    /// What a key does for a page over everything else, or with one; none where it is for the game
    /// or the page below.
    pub(super) fn overlay_key(&mut self, key: Key, pressed: bool, plain: bool) -> Option<bool> {
        if !pressed {
            if let Some(overlay) = &mut self.overlay {
                overlay.down.retain(|down| *down != key);
            }
            return None;
        }
        if key == Key::Escape && self.free_mouse() {
            return Some(true);
        }
        if let Some(Overlay {
            page: Over::Preferences(page),
            down,
            ..
        }) = &mut self.overlay
            && page.captures()
        {
            if !down.contains(&key) {
                let world = &self.played.world;
                page.take(key, &mut self.store.config, &world.name, &world.actions);
                self.dress();
            }
            return Some(true);
        }
        let above = self.overlay.is_some();
        let shortcut = match key {
            Key::F1 => Some(Shortcut::Help),
            Key::F10 => Some(Shortcut::Preferences),
            Key::F11 => Some(Shortcut::FullScreen),
            _ => None,
        };
        let page = matches!(self.view, View::Page | View::Worlds { .. });
        match shortcut.filter(|_| plain && (above || page)) {
            Some(shortcut) => {
                self.act(shortcut);
                Some(true)
            }
            // The others belong to the page's controls.
            None => above.then_some(false),
        }
    }

    pub(super) fn overlay_ui(&mut self, context: &Context) {
        let Some(mut overlay) = self.overlay.take() else {
            return;
        };
        let before = self.store.config.clone();
        let fresh = std::mem::take(&mut overlay.fresh);
        let world = &self.played.world;
        let closed = match &mut overlay.page {
            Over::Help => {
                let help = Help {
                    world: &world.name,
                    keys: &self.played.keys,
                    pad: &self.inputs.pad_map,
                    mouse: self.inputs.role(),
                };
                help.ui(context, fresh)
            }
            Over::Preferences(page) => {
                let asked = page.captures();
                let mut shown = Shown {
                    config: &mut self.store.config,
                    world: &world.name,
                    actions: &world.actions,
                    keys: &self.played.keys,
                    pad: &self.inputs.pad_map,
                    pads: &self.inputs.there,
                };
                let closed = page.ui(context, &mut shown, fresh);
                if page.captures() && !asked {
                    // The key that pressed the button is no answer to it.
                    overlay.down = context.input(|input| input.keys_down.iter().copied().collect());
                }
                closed
            }
        };
        let now = &self.store.config;
        if *now != before {
            self.hud = now.hud;
            if now.look != before.look {
                theme::apply(context, now.look);
            }
            if now.scale != before.scale {
                self.zoom(now.scale);
            }
            self.dress();
        }
        if closed {
            self.close(&overlay);
        } else {
            self.overlay = Some(overlay);
        }
    }

    /// Whether a page lies over everything else.
    pub(super) fn is_covered(&self) -> bool {
        self.overlay.is_some()
    }
}
