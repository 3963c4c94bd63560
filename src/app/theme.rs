//! The window's look: a dark, quiet frame around the picture, and its icon.

use eframe::egui::{
    self, Color32, CornerRadius, FontFamily, FontId, IconData, Margin, Stroke, TextStyle, vec2,
};

/// Behind the picture.
pub(super) const BACKDROP: Color32 = Color32::from_rgb(9, 10, 12);
/// Bars and panels.
pub(super) const PANEL: Color32 = Color32::from_rgb(21, 23, 28);
/// Cards and raised controls.
pub(super) const RAISED: Color32 = Color32::from_rgb(33, 36, 43);
/// Lines and outlines.
pub(super) const LINE: Color32 = Color32::from_rgb(48, 52, 61);
/// Text that matters.
pub(super) const TEXT: Color32 = Color32::from_rgb(226, 229, 234);
/// Labels and hints.
pub(super) const MUTED: Color32 = Color32::from_rgb(141, 148, 160);
/// What is on, lit or chosen.
pub(super) const ACCENT: Color32 = Color32::from_rgb(104, 196, 122);
/// Text on the accent.
pub(super) const ON_ACCENT: Color32 = Color32::from_rgb(12, 26, 16);
/// What went wrong.
pub(super) const ALERT: Color32 = Color32::from_rgb(232, 110, 98);

/// Sets colours, spacing and text sizes.
pub(super) fn apply(context: &egui::Context) {
    context.set_theme(egui::Theme::Dark);
    context.all_styles_mut(|style| {
        style.text_styles = [
            (TextStyle::Heading, 19.0, FontFamily::Proportional),
            (TextStyle::Body, 13.5, FontFamily::Proportional),
            (TextStyle::Button, 13.5, FontFamily::Proportional),
            (TextStyle::Monospace, 12.0, FontFamily::Monospace),
            (TextStyle::Small, 11.0, FontFamily::Proportional),
        ]
        .map(|(name, size, family)| (name, FontId::new(size, family)))
        .into();
        style.spacing.item_spacing = vec2(8.0, 8.0);
        style.spacing.button_padding = vec2(10.0, 5.0);
        style.spacing.interact_size.y = 24.0;
        style.spacing.slider_rail_height = 4.0;
        style.interaction.tooltip_delay = 0.25;
        colour(&mut style.visuals);
    });
}

fn colour(visuals: &mut egui::Visuals) {
    visuals.dark_mode = true;
    visuals.panel_fill = PANEL;
    visuals.window_fill = RAISED;
    visuals.extreme_bg_color = BACKDROP;
    visuals.override_text_color = None;
    visuals.slider_trailing_fill = true;
    visuals.window_stroke = Stroke::new(1.0, LINE);
    visuals.selection.bg_fill = ACCENT;
    visuals.selection.stroke = Stroke::new(1.0, ON_ACCENT);
    let widgets = &mut visuals.widgets;
    let looks = [
        (&mut widgets.noninteractive, PANEL, LINE, TEXT),
        (&mut widgets.inactive, RAISED, RAISED, TEXT),
        (
            &mut widgets.hovered,
            Color32::from_rgb(44, 48, 57),
            LINE,
            TEXT,
        ),
        (
            &mut widgets.active,
            Color32::from_rgb(54, 59, 70),
            ACCENT,
            TEXT,
        ),
        (&mut widgets.open, RAISED, LINE, TEXT),
    ];
    for (look, fill, line, text) in looks {
        look.bg_fill = fill;
        look.weak_bg_fill = fill;
        look.bg_stroke = Stroke::new(1.0, line);
        look.fg_stroke = Stroke::new(1.0, text);
        look.corner_radius = CornerRadius::same(6);
        look.expansion = 0.0;
    }
}

/// A card that floats over the picture.
pub(super) fn card() -> egui::Frame {
    egui::Frame::new()
        .fill(PANEL.gamma_multiply(0.97))
        .stroke(Stroke::new(1.0, LINE))
        .corner_radius(10)
        .inner_margin(Margin::same(18))
        .shadow(egui::Shadow {
            offset: [0, 6],
            blur: 24,
            spread: 0,
            color: Color32::from_black_alpha(120),
        })
}

/// The window's icon: a paddle, a ball and the trail that it left.
pub(super) fn icon() -> IconData {
    const SIDE: usize = 64;
    let inside = |x: usize, y: usize, left: usize, top: usize, width: usize, height: usize| {
        (left..left + width).contains(&x) && (top..top + height).contains(&y)
    };
    let mut rgba = Vec::with_capacity(SIDE * SIDE * 4);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let colour = if inside(x, y, 48, 12, 6, 26) {
                ACCENT
            } else if inside(x, y, 36, 24, 7, 7) {
                TEXT
            } else if inside(x, y, 25, 32, 6, 6) {
                MUTED
            } else if inside(x, y, 15, 40, 5, 5) {
                LINE
            } else {
                PANEL
            };
            rgba.extend_from_slice(&colour.to_array());
        }
    }
    IconData {
        rgba,
        width: 64,
        height: 64,
    }
}
