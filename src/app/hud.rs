//! The numbers in the corner of the picture.

use std::time::Duration;

use eframe::egui::{self, Align2, FontId, Id, Margin, Ui};

use super::stats::Stats;
use super::theme;

/// A picture narrower than this has no room for the numbers.
pub(super) const ROOM: f32 = 240.0;

/// Draws the numbers over the top left of `space`; those of the sampler where there is one.
pub(super) fn show(
    ui: &Ui,
    space: egui::Rect,
    stats: &Stats,
    frame: u64,
    engine: &str,
    sampled: bool,
) {
    egui::Area::new(Id::unique("hud"))
        .fixed_pos(space.left_top() + egui::vec2(12.0, 12.0))
        .order(egui::Order::Middle)
        .interactable(false)
        .show(ui.ctx(), |ui| {
            egui::Frame::new()
                .fill(theme::over_picture())
                .corner_radius(6)
                .inner_margin(Margin::symmetric(10, 8))
                .show(ui, |ui| lines(ui, stats, frame, engine, sampled));
        });
}

fn lines(ui: &mut Ui, stats: &Stats, frame: u64, engine: &str, sampled: bool) {
    let rate = |fps: Option<f32>| fps.map_or("–".into(), |fps| format!("{fps:.1} /s"));
    let times = stats.times();
    let stage = |stage: fn(&driftless_engine::StageTimes) -> Duration| {
        times.as_ref().map_or("–".into(), |times| ms(stage(times)))
    };
    let latency = stats.latency();
    let pace = if sampled { "model" } else { "world" };
    let mut rows = vec![
        (pace, rate(stats.model_fps())),
        ("screen", rate(stats.screen_fps())),
    ];
    if sampled {
        rows.extend([
            ("denoise", stage(|times| times.denoise)),
            ("cache", stage(|times| times.cache)),
            ("decode", stage(|times| times.decode)),
        ]);
    }
    if let Some(outcome) = stats.outcome {
        rows.extend([
            ("reward", format!("{:+.2}", outcome.reward)),
            ("score", format!("{:.1}", stats.score)),
            ("ends", format!("{:.0} %", 100.0 * outcome.end)),
        ]);
    }
    rows.extend([
        (
            "key to frame",
            latency.map_or("–".into(), |(median, _)| ms(median)),
        ),
        ("      99 %", latency.map_or("–".into(), |(_, p99)| ms(p99))),
        ("frame", frame.to_string()),
        ("dropped", stats.dropped.to_string()),
        ("engine", shortened(engine)),
    ]);
    let font = FontId::monospace(11.5);
    let (height, width) = (16.0, 164.0);
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
            theme::muted(),
        );
        painter.text(
            right,
            Align2::RIGHT_CENTER,
            value,
            font.clone(),
            theme::text(),
        );
    }
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f32() * 1000.0)
}

/// Letters of an engine's name that fit beside their label.
const FITTING: usize = 15;

/// A name, or its beginning: a GPU's can be long.
fn shortened(name: &str) -> String {
    if name.chars().count() <= FITTING {
        return name.to_owned();
    }
    let begun: String = name.chars().take(FITTING - 1).collect();
    format!("{}…", begun.trim_end())
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_long_name_of_an_engine_is_cut_where_it_would_cover_its_label() {
        assert_eq!(shortened("candle cuda"), "candle cuda");
        assert_eq!(shortened("wgpu GPU 1000 X"), "wgpu GPU 1000 X");
        assert_eq!(shortened("wgpu llvmpipe (LLVM 15)"), "wgpu llvmpipe…");
    }
}
