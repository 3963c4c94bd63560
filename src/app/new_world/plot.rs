//! The loss curves of both training stages.

use eframe::egui::{RichText, Ui, Vec2b};
use egui_plot::{Legend, Line, Plot, PlotPoints};

use crate::app::theme;
use crate::app::widgets::plot_axes;
use crate::workspace::progress::{RunProgress, StageProgress};

/// Points drawn per curve; more would overlap.
const POINTS: usize = 400;

/// Draws log₁₀ of the loss over the steps of each stage.
pub(super) fn loss(ui: &mut Ui, progress: &RunProgress, height: f32) {
    if progress.stages.iter().all(|stage| stage.entries.len() < 2) {
        let hint = RichText::new("Waiting for data…");
        ui.label(hint.color(theme::palette(ui).muted));
        return;
    }
    let colours = [theme::palette(ui).text, theme::palette(ui).accent];
    let [steps, losses] = plot_axes(ui);
    Plot::new("loss")
        .height(height)
        .width(ui.available_width())
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .auto_bounds(Vec2b::TRUE)
        .show_background(false)
        .grid_color(theme::palette(ui).line)
        .legend(Legend::default())
        .custom_x_axes(vec![steps.formatter(|mark, _| steps_label(mark.value))])
        .custom_y_axes(vec![losses.formatter(|mark, _| loss_label(mark.value))])
        .label_formatter(|_| None)
        .show(ui, |plot| {
            for (stage, colour) in progress.stages.iter().zip(colours) {
                if !stage.entries.is_empty() {
                    let points = PlotPoints::from(curve(stage));
                    plot.line(
                        Line::new(stage.stage.name(), points)
                            .color(colour)
                            .width(1.5),
                    );
                }
            }
        });
}

/// Points `[step, log₁₀ loss]`, averaged over chunks.
fn curve(stage: &StageProgress) -> Vec<[f64; 2]> {
    let together = stage.entries.len().div_ceil(POINTS).max(1);
    stage
        .entries
        .chunks(together)
        .map(|chunk| {
            let mean = chunk.iter().map(|entry| entry.loss).sum::<f64>() / chunk.len() as f64;
            let step = chunk.last().map_or(0, |entry| entry.step);
            [step as f64, mean.max(1e-9).log10()]
        })
        .collect()
}

/// Formats a loss from its log₁₀.
fn loss_label(exponent: f64) -> String {
    let value = 10_f64.powf(exponent);
    match value {
        0.01..1000.0 => format!("{value:.3}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        _ => format!("{value:.0e}"),
    }
}

/// Formats a number of steps.
fn steps_label(value: f64) -> String {
    match value {
        1000.0.. => format!("{}k", value / 1000.0),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use driftless_train::{LogEntry, TrainStage};

    use super::*;

    #[test]
    fn long_curve_is_averaged() {
        let entries = (0..4000).map(|i| LogEntry {
            stage: TrainStage::Dynamics,
            step: 1 + 20 * i,
            loss: if i % 2 == 0 { 0.5 } else { 1.5 },
            frames_per_s: 1.0,
            seconds: 1.0,
        });
        let stage = StageProgress {
            stage: TrainStage::Dynamics,
            steps: 80_000,
            entries: entries.collect(),
        };
        let curve = curve(&stage);
        assert_eq!(curve.len(), POINTS);
        assert!(curve.iter().all(|[_, loss]| loss.abs() < 1e-9));
        assert_eq!(curve[399][0], 79_981.0);
    }

    #[test]
    fn axis_labels() {
        let labels = [
            loss_label(0.0),
            loss_label(-1.0),
            loss_label(2.0),
            loss_label(-5.0),
            steps_label(1500.0),
        ];
        assert_eq!(labels, ["1", "0.1", "100", "1e-5", "1.5k"]);
    }
}
