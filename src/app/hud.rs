//! The performance overlay in the corner of the picture.

use std::time::Duration;

use eframe::egui;
use eframe::egui::{Align2, FontId, Ui};

use driftless_engine::StageTimes;

use super::stats::FrameStats;
use super::widgets::over_picture;
use super::{present, theme};

/// Narrower pictures, in points, have no room for the overlay.
pub(super) const MIN_WIDTH: f32 = 240.0;
/// Width of the overlay with its margins, in points.
const WIDTH: f32 = 250.0;

/// The part of `space` for the picture, of `size` `[height, width]`: beside the overlay if the picture
/// stays as large there.
pub(super) fn beside(space: egui::Rect, size: [usize; 2], pixels_per_point: f32) -> egui::Rect {
    let aside = space.with_min_x((space.min.x + WIDTH).min(space.max.x));
    let height = |slot| present::fit(slot, size, pixels_per_point).height();
    if height(aside) >= height(space) - 1.0 {
        aside
    } else {
        space
    }
}

/// Where the frames come from, which says what is known about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameSource {
    /// A simulator.
    Simulated,
    /// A model here.
    Learned,
    /// A model on a server, which tells how long a frame took as a whole.
    Remote,
}

/// Draws the overlay in the top left of `space`.
pub(super) fn show(
    ui: &Ui,
    space: egui::Rect,
    stats: &FrameStats,
    frame: u64,
    engine: &str,
    source: FrameSource,
) {
    let at = space.left_top() + egui::vec2(12.0, 12.0);
    over_picture(ui, "hud", at, Align2::LEFT_TOP, |ui| {
        draw(ui, rows(stats, frame, engine, source));
    });
}

/// The rows of the overlay: labels and values.
fn rows(
    stats: &FrameStats,
    frame: u64,
    engine: &str,
    source: FrameSource,
) -> Vec<(&'static str, String)> {
    let rate = |fps: Option<f32>| fps.map_or("–".into(), |fps| format!("{fps:.1}"));
    let latency = stats.latency();
    let (pace, engine_label) = match source {
        FrameSource::Simulated => ("World FPS", "Engine"),
        FrameSource::Learned => ("Model FPS", "Engine"),
        FrameSource::Remote => ("Model FPS", "Server"),
    };
    let mut rows = vec![
        (pace, rate(stats.model_fps())),
        ("Display FPS", rate(stats.display_fps())),
    ];
    rows.extend(making(stats, source));
    if let Some(outcome) = stats.outcome {
        rows.extend([
            ("Reward", format!("{:+.2}", rounded(outcome.reward, 100.0))),
            ("Score", format!("{:.1}", rounded(stats.score, 10.0))),
            (
                "Episode-end probability",
                format!("{:.0} %", 100.0 * outcome.end),
            ),
        ]);
    }
    rows.extend([
        (
            "Input latency p50",
            latency.map_or("–".into(), |(median, _)| ms(median)),
        ),
        (
            "Input latency p99",
            latency.map_or("–".into(), |(_, p99)| ms(p99)),
        ),
        ("Frame", frame.to_string()),
        ("Skipped frames", stats.skipped.to_string()),
        (engine_label, truncated(engine)),
    ]);
    rows
}

/// How long a frame took, by its stages where they are known.
fn making(stats: &FrameStats, source: FrameSource) -> Vec<(&'static str, String)> {
    let times = stats.times();
    let stage = |stage: fn(&StageTimes) -> Duration| {
        times.as_ref().map_or("–".into(), |times| ms(stage(times)))
    };
    match source {
        FrameSource::Simulated => Vec::new(),
        FrameSource::Learned => vec![
            ("Denoise", stage(|times| times.denoise)),
            ("Cache", stage(|times| times.cache)),
            ("Decode", stage(|times| times.decode)),
        ],
        FrameSource::Remote => vec![("Made in", stage(|times| times.total()))],
    }
}

fn draw(ui: &mut Ui, rows: Vec<(&'static str, String)>) {
    let font = FontId::monospace(11.5);
    let (height, width) = (16.0, 206.0);
    let size = egui::vec2(width, height * rows.len() as f32);
    let (rect, _) = ui.allocate_exact_size(size, egui::Sense::hover());
    let painter = ui.painter();
    for (row, (label, value)) in rows.into_iter().enumerate() {
        let y = rect.top() + height * (row as f32 + 0.5);
        let left = egui::pos2(rect.left(), y);
        let right = egui::pos2(rect.right(), y);
        painter.text(
            left,
            Align2::LEFT_CENTER,
            label,
            font.clone(),
            theme::palette(ui).muted,
        );
        painter.text(
            right,
            Align2::RIGHT_CENTER,
            value,
            font.clone(),
            theme::palette(ui).text,
        );
    }
}

/// A number in whole parts of one `parts`-th: what rounds to zero has no sign.
fn rounded(value: f32, parts: f32) -> f32 {
    (value * parts).round() / parts + 0.0
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f32() * 1000.0)
}

/// Characters of an engine's name that fit next to its label.
const MAX_ENGINE_CHARS: usize = 15;

/// Truncates a long engine name.
fn truncated(name: &str) -> String {
    if name.chars().count() <= MAX_ENGINE_CHARS {
        return name.to_owned();
    }
    let prefix: String = name.chars().take(MAX_ENGINE_CHARS - 1).collect();
    format!("{}…", prefix.trim_end())
}

#[cfg(test)]
mod tests {
    use eframe::egui::{Rect, pos2, vec2};

    use super::{WIDTH, beside, rounded, truncated};

    #[test]
    fn overlay_lies_beside_the_picture_where_there_is_room() {
        let space = |width| Rect::from_min_size(pos2(0.0, 0.0), vec2(width, 600.0));
        let wide = beside(space(1000.0), [64, 64], 1.0);
        assert_eq!((wide.min.x, wide.max.x), (WIDTH, 1000.0));
        // A smaller picture would be worse than an overlay on it.
        assert_eq!(beside(space(700.0), [64, 64], 1.0), space(700.0));
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(format!("{:.1}", rounded(-0.04, 10.0)), "0.0");
        assert_eq!(format!("{:+.2}", rounded(-0.004, 100.0)), "+0.00");
        assert_eq!(format!("{:+.2}", rounded(-0.006, 100.0)), "-0.01");
    }

    #[test]
    fn long_engine_name_is_truncated() {
        assert_eq!(truncated("candle cuda"), "candle cuda");
        assert_eq!(truncated("wgpu GPU 1000 X"), "wgpu GPU 1000 X");
        assert_eq!(truncated("wgpu llvmpipe (LLVM 15)"), "wgpu llvmpipe…");
    }
}
