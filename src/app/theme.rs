//! The window's look: a quiet frame around the picture, dark or light, and its icon.

use std::sync::atomic::{AtomicBool, Ordering};

use eframe::egui::{
    self, Color32, CornerRadius, FontFamily, FontId, IconData, Margin, Stroke, TextStyle, vec2,
};
use serde::{Deserialize, Serialize};

/// The looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Look {
    /// Light on dark.
    #[default]
    Dark,
    /// Dark on light.
    Light,
}

/// Whether the look is light: one for all of a program's windows.
static LIGHT: AtomicBool = AtomicBool::new(false);

fn pick(dark: [u8; 3], light: [u8; 3]) -> Color32 {
    let [r, g, b] = if LIGHT.load(Ordering::Relaxed) {
        light
    } else {
        dark
    };
    Color32::from_rgb(r, g, b)
}

/// Behind the picture.
pub(super) fn backdrop() -> Color32 {
    pick([9, 10, 12], [214, 217, 222])
}

/// Bars and panels.
pub(super) fn panel() -> Color32 {
    pick([21, 23, 28], [240, 241, 244])
}

/// Cards and raised controls.
pub(super) fn raised() -> Color32 {
    pick([33, 36, 43], [255, 255, 255])
}

/// Raised controls under the pointer.
pub(super) fn hovered() -> Color32 {
    pick([44, 48, 57], [229, 232, 237])
}

/// Raised controls that are pressed.
pub(super) fn pressed() -> Color32 {
    pick([54, 59, 70], [214, 219, 227])
}

/// Lines and outlines.
pub(super) fn line() -> Color32 {
    pick([48, 52, 61], [196, 201, 209])
}

/// Text that matters.
pub(super) fn text() -> Color32 {
    pick([226, 229, 234], [28, 31, 37])
}

/// Labels and hints.
pub(super) fn muted() -> Color32 {
    pick([141, 148, 160], [92, 99, 111])
}

/// What is on, lit or chosen.
pub(super) fn accent() -> Color32 {
    pick([104, 196, 122], [34, 128, 62])
}

/// Numbers below 0 in a picture of numbers.
pub(super) fn cold() -> Color32 {
    pick([92, 160, 255], [20, 88, 200])
}

/// Numbers above 0 in a picture of numbers.
pub(super) fn warm() -> Color32 {
    pick([255, 150, 72], [200, 72, 8])
}

/// Text on the accent.
pub(super) fn on_accent() -> Color32 {
    pick([12, 26, 16], [244, 252, 246])
}

/// What went wrong.
pub(super) fn alert() -> Color32 {
    pick([232, 110, 98], [186, 48, 38])
}

/// What raised things throw on what is below them.
pub(super) fn shadow() -> Color32 {
    match LIGHT.load(Ordering::Relaxed) {
        true => Color32::from_black_alpha(44),
        false => Color32::from_black_alpha(115),
    }
}

/// Behind words over the picture, which shines through.
pub(super) fn over_picture() -> Color32 {
    match LIGHT.load(Ordering::Relaxed) {
        true => Color32::from_rgba_unmultiplied(248, 249, 251, 215),
        false => Color32::from_black_alpha(180),
    }
}

/// Over all that has to wait for what is on top.
pub(super) fn veil() -> Color32 {
    match LIGHT.load(Ordering::Relaxed) {
        true => Color32::from_rgba_unmultiplied(60, 66, 77, 120),
        false => Color32::from_black_alpha(150),
    }
}

/// Sets colours, spacing and text sizes.
pub(super) fn apply(context: &egui::Context, look: Look) {
    LIGHT.store(look == Look::Light, Ordering::Relaxed);
    context.set_theme(match look {
        Look::Dark => egui::Theme::Dark,
        Look::Light => egui::Theme::Light,
    });
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
    visuals.dark_mode = !LIGHT.load(Ordering::Relaxed);
    visuals.panel_fill = panel();
    visuals.window_fill = raised();
    visuals.extreme_bg_color = backdrop();
    visuals.override_text_color = None;
    visuals.slider_trailing_fill = true;
    visuals.window_stroke = Stroke::new(1.0, line());
    visuals.selection.bg_fill = accent();
    visuals.selection.stroke = Stroke::new(1.0, on_accent());
    let widgets = &mut visuals.widgets;
    let looks = [
        (&mut widgets.noninteractive, panel(), line(), text()),
        (&mut widgets.inactive, raised(), raised(), text()),
        (&mut widgets.hovered, hovered(), line(), text()),
        (&mut widgets.active, pressed(), accent(), text()),
        (&mut widgets.open, raised(), line(), text()),
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
        .fill(panel().gamma_multiply(0.97))
        .stroke(Stroke::new(1.0, line()))
        .corner_radius(10)
        .inner_margin(Margin::same(18))
        .shadow(egui::Shadow {
            offset: [0, 6],
            blur: 24,
            spread: 0,
            color: shadow(),
        })
}

/// The window's icon, the one that packages install.
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
    use super::icon;

    #[test]
    fn the_icon_is_as_large_as_packages_say_and_clear_around_its_corners() {
        let icon = icon();
        assert_eq!((icon.width, icon.height), (256, 256));
        assert_eq!(icon.rgba[3], 0);
        let centre = 4 * (128 * 256 + 128);
        assert_eq!(icon.rgba[centre + 3], 255);
    }
}
