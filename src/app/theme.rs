//! The window's dark and light themes, and its icon.

use eframe::egui;
use eframe::egui::{
    Color32, CornerRadius, FontFamily, FontId, IconData, Margin, Stroke, TextStyle, Ui, Visuals,
    vec2,
};
use serde::{Deserialize, Serialize};

/// The theme, as the user chose it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Appearance {
    /// As the desktop has it; dark where it does not say.
    #[default]
    System,
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
}

/// The colours of a theme.
#[derive(Debug)]
pub(super) struct Palette {
    /// Behind the picture.
    pub backdrop: Color32,
    /// Bars and panels.
    pub panel: Color32,
    /// Cards and raised controls.
    pub raised: Color32,
    /// Raised controls under the pointer.
    pub hovered: Color32,
    /// Raised controls while pressed.
    pub pressed: Color32,
    /// Lines and outlines.
    pub line: Color32,
    /// Primary text.
    pub text: Color32,
    /// Labels and hints.
    pub muted: Color32,
    /// Whatever is on, lit or selected.
    pub accent: Color32,
    /// Negative values in a heat map, and the first of two curves.
    pub cold: Color32,
    /// Positive values in a heat map, and the second of two curves.
    pub warm: Color32,
    /// Text on the accent colour.
    pub on_accent: Color32,
    /// Errors.
    pub alert: Color32,
    /// Shadows of raised things.
    pub shadow: Color32,
    /// Translucent background of text over the picture.
    pub over_picture: Color32,
    /// Dims everything behind a modal page.
    pub veil: Color32,
}

/// Light on dark.
pub(super) static DARK: Palette = Palette {
    backdrop: Color32::from_rgb(9, 10, 12),
    panel: Color32::from_rgb(21, 23, 28),
    raised: Color32::from_rgb(33, 36, 43),
    hovered: Color32::from_rgb(44, 48, 57),
    pressed: Color32::from_rgb(54, 59, 70),
    line: Color32::from_rgb(48, 52, 61),
    text: Color32::from_rgb(226, 229, 234),
    muted: Color32::from_rgb(150, 157, 169),
    accent: Color32::from_rgb(104, 196, 122),
    cold: Color32::from_rgb(92, 160, 255),
    warm: Color32::from_rgb(255, 150, 72),
    on_accent: Color32::from_rgb(12, 26, 16),
    alert: Color32::from_rgb(238, 126, 114),
    shadow: Color32::from_black_alpha(115),
    over_picture: Color32::from_black_alpha(215),
    veil: Color32::from_black_alpha(150),
};

/// Dark on light.
static LIGHT: Palette = Palette {
    backdrop: Color32::from_rgb(214, 217, 222),
    panel: Color32::from_rgb(240, 241, 244),
    raised: Color32::from_rgb(255, 255, 255),
    hovered: Color32::from_rgb(229, 232, 237),
    pressed: Color32::from_rgb(214, 219, 227),
    line: Color32::from_rgb(196, 201, 209),
    text: Color32::from_rgb(28, 31, 37),
    muted: Color32::from_rgb(80, 87, 99),
    accent: Color32::from_rgb(16, 100, 44),
    cold: Color32::from_rgb(20, 88, 200),
    warm: Color32::from_rgb(160, 56, 0),
    on_accent: Color32::from_rgb(244, 252, 246),
    alert: Color32::from_rgb(172, 40, 30),
    shadow: Color32::from_black_alpha(44),
    over_picture: Color32::from_rgba_unmultiplied_const(248, 249, 251, 225),
    veil: Color32::from_rgba_unmultiplied_const(60, 66, 77, 120),
};

/// The colours that `ui` is drawn with.
pub(super) fn palette(ui: &Ui) -> &'static Palette {
    palette_of(ui.visuals())
}

/// The colours that go with egui's visuals.
pub(super) fn palette_of(visuals: &Visuals) -> &'static Palette {
    if visuals.dark_mode { &DARK } else { &LIGHT }
}

/// Disables what lies behind a card: it takes no clicks and shows no tooltips, but looks as before.
pub(super) fn disable(ui: &mut Ui) {
    ui.visuals_mut().disabled_alpha = 1.0;
    ui.disable();
}

/// Sets colours, spacing and text sizes.
pub(super) fn apply(context: &egui::Context, appearance: Appearance) {
    context.set_theme(match appearance {
        Appearance::System => egui::ThemePreference::System,
        Appearance::Dark => egui::ThemePreference::Dark,
        Appearance::Light => egui::ThemePreference::Light,
    });
    for theme in [egui::Theme::Dark, egui::Theme::Light] {
        context.style_mut_of(theme, |style| {
            style.visuals.dark_mode = theme == egui::Theme::Dark;
            apply_palette(&mut style.visuals);
        });
    }
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
    });
}

/// Whether nothing slides or fades.
pub(super) fn reduce_motion(context: &egui::Context, reduce: bool) {
    let usual = egui::Style::default().animation_time;
    let time = if reduce { 0.0 } else { usual };
    context.all_styles_mut(|style| style.animation_time = time);
}

/// Whether motion is reduced.
pub(super) fn is_still(ui: &Ui) -> bool {
    ui.style().animation_time == 0.0
}

fn apply_palette(visuals: &mut Visuals) {
    let palette = palette_of(visuals);
    visuals.panel_fill = palette.panel;
    visuals.window_fill = palette.raised;
    visuals.extreme_bg_color = palette.backdrop;
    visuals.override_text_color = None;
    visuals.slider_trailing_fill = true;
    visuals.window_stroke = Stroke::new(1.0, palette.line);
    visuals.selection.bg_fill = palette.accent;
    visuals.selection.stroke = Stroke::new(1.0, palette.on_accent);
    let widgets = &mut visuals.widgets;
    let states = [
        (&mut widgets.noninteractive, palette.panel, palette.line),
        (&mut widgets.inactive, palette.raised, palette.raised),
        (&mut widgets.hovered, palette.hovered, palette.line),
        (&mut widgets.active, palette.pressed, palette.accent),
        (&mut widgets.open, palette.raised, palette.line),
    ];
    for (widget, fill, line) in states {
        widget.bg_fill = fill;
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::new(1.0, line);
        widget.fg_stroke = Stroke::new(1.0, palette.text);
        widget.corner_radius = CornerRadius::same(6);
        widget.expansion = 0.0;
    }
}

/// A card that floats over the picture.
pub(super) fn card(palette: &Palette) -> egui::Frame {
    egui::Frame::new()
        .fill(palette.panel.gamma_multiply(0.97))
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(10)
        .inner_margin(Margin::same(18))
        .shadow(egui::Shadow {
            offset: [0, 6],
            blur: 24,
            spread: 0,
            color: palette.shadow,
        })
}

/// A badge over the picture, for a word or two.
pub(super) fn badge(palette: &Palette) -> egui::Frame {
    egui::Frame::new()
        .fill(palette.over_picture)
        .corner_radius(12)
        .inner_margin(Margin::symmetric(14, 5))
}

/// The window's icon, the same one that packages install.
pub(super) fn icon() -> IconData {
    let png = include_bytes!("../../assets/icon.png");
    image::load_from_memory(png).map_or_else(
        |_| IconData::default(),
        |image| {
            let image = image.into_rgba8();
            IconData {
                width: image.width(),
                height: image.height(),
                rgba: image.into_raw(),
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use eframe::egui::Rgba;

    use super::*;

    fn luminance(colour: Color32) -> f32 {
        let [r, g, b, _] = Rgba::from(colour).to_array();
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// The contrast ratio of WCAG 2.
    fn contrast(a: Color32, b: Color32) -> f32 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    /// Every text and every ground that it is written on, with their names.
    fn pairs(palette: &Palette) -> Vec<(&'static str, Color32, Color32)> {
        let grounds = [
            ("backdrop", palette.backdrop),
            ("panel", palette.panel),
            ("raised", palette.raised),
            ("hovered", palette.hovered),
        ];
        let texts = [palette.text, palette.muted, palette.accent, palette.alert];
        let mut pairs = Vec::new();
        for (name, ground) in grounds {
            pairs.extend(texts.map(|text| (name, text, ground)));
            pairs.extend([palette.cold, palette.warm].map(|curve| (name, curve, ground)));
        }
        pairs.extend([
            ("pressed", palette.text, palette.pressed),
            ("accent", palette.on_accent, palette.accent),
        ]);
        // Badges lie over any picture.
        for under in [Color32::BLACK, Color32::WHITE] {
            let ground = under.blend(palette.over_picture);
            let texts = [palette.text, palette.accent, palette.muted, palette.alert];
            pairs.extend(texts.map(|text| ("over a picture", text, ground)));
        }
        pairs
    }

    #[test]
    fn text_is_legible() {
        let mut failures = Vec::new();
        for (look, palette) in [("dark", &DARK), ("light", &LIGHT)] {
            for (name, text, ground) in pairs(palette) {
                let ratio = contrast(text, ground);
                if ratio < 4.5 {
                    failures.push(format!("{look}: {text:?} on {name}: {ratio:.2}"));
                }
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn curves_differ_without_red_and_green() {
        // A person who sees no red or no green tells colours apart by blue and by luminance.
        for palette in [&DARK, &LIGHT] {
            let [cold, warm] = [palette.cold, palette.warm].map(|colour| i16::from(colour.b()));
            assert!((cold - warm).abs() > 100, "{cold} and {warm}");
        }
    }

    #[test]
    fn both_looks_are_set_up() {
        let context = egui::Context::default();
        for (look, dark) in [
            (Appearance::Dark, true),
            (Appearance::Light, false),
            // The desktop does not say.
            (Appearance::System, true),
        ] {
            apply(&context, look);
            let visuals = context.global_style().visuals.clone();
            assert_eq!(visuals.dark_mode, dark, "{look:?}");
            assert_eq!(visuals.panel_fill, palette_of(&visuals).panel, "{look:?}");
        }
    }

    #[test]
    fn icon_size_and_corners() {
        let icon = icon();
        assert_eq!((icon.width, icon.height), (256, 256));
        assert_eq!(icon.rgba[3], 0);
        let centre = 4 * (128 * 256 + 128);
        assert_eq!(icon.rgba[centre + 3], 255);
    }
}
