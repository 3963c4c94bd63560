//! Plots of per-frame measurements, with CSV and PNG export.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use eframe::egui;
use eframe::egui::{Align, Color32, ColorImage, Layout, Rect, RichText, Ui, Vec2b};
use egui_plot::{Corner, Legend, Line, Plot, PlotPoints};

use driftless_data::fs::write_atomic;
use driftless_engine::StageTimes;

use super::theme;
use super::widgets::plot_axes;
use crate::Result;
use crate::workspace::paths::unused_file;

/// Number of frames kept.
const MAX_SAMPLES: usize = 4096;
/// Points drawn per curve; more would overlap.
const MAX_POINTS: usize = 1000;
/// The panel's height in points.
pub(super) const HEIGHT: f32 = 220.0;

/// The measurements of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct FrameSample {
    /// Frames since the world-model thread started.
    pub frame: u64,
    pub times: StageTimes,
    /// Input latency in ms, if this frame is the first to show a key change.
    pub latency: Option<f64>,
    /// PSNR to the ground truth, in dB.
    pub psnr: Option<f64>,
    /// Root mean square error between the re-encoded frame and its latent.
    pub drift: Option<f64>,
    /// How unexpected the true frame is to the model.
    pub surprise: Option<f64>,
    pub reward: Option<f64>,
    pub end: Option<f64>,
    /// The discounted return that the agent expects.
    pub value: Option<f64>,
    /// The probability of the action that the agent takes next.
    pub certainty: Option<f64>,
}

/// A column of the table: name and value of a sample.
type Column = (&'static str, fn(&FrameSample) -> Option<f64>);

fn ms(time: std::time::Duration) -> Option<f64> {
    Some(time.as_secs_f64() * 1000.0)
}

const COLUMNS: [Column; 11] = [
    ("denoise_ms", |s| ms(s.times.denoise)),
    ("cache_ms", |s| ms(s.times.cache)),
    ("decode_ms", |s| ms(s.times.decode)),
    ("latency_ms", |s| s.latency),
    ("psnr_db", |s| s.psnr),
    ("drift", |s| s.drift),
    ("surprise", |s| s.surprise),
    ("reward", |s| s.reward),
    ("end_probability", |s| s.end),
    ("agent_return", |s| s.value),
    ("agent_probability", |s| s.certainty),
];

/// The plots; each shows curves of one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PlotKind {
    #[default]
    Times,
    Latency,
    Psnr,
    Drift,
    Surprise,
    Reward,
    Return,
    Certainty,
}

impl PlotKind {
    pub const ALL: [Self; 8] = [
        Self::Times,
        Self::Latency,
        Self::Psnr,
        Self::Drift,
        Self::Surprise,
        Self::Reward,
        Self::Return,
        Self::Certainty,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Times => "Frame time",
            Self::Latency => "Latency",
            Self::Psnr => "PSNR",
            Self::Drift => "Drift",
            Self::Surprise => "Surprise",
            Self::Reward => "Reward",
            Self::Return => "Return",
            Self::Certainty => "Certainty",
        }
    }

    /// What the vertical axis shows.
    fn unit(self) -> &'static str {
        match self {
            Self::Times | Self::Latency => "ms",
            Self::Psnr => "dB",
            Self::Drift => "RMS error",
            Self::Surprise => "Squared error",
            Self::Reward => "Reward, probability",
            Self::Return => "Discounted reward",
            Self::Certainty => "Probability",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Times => "Time of each stage of a frame, in ms.",
            Self::Latency => {
                "Time from a key change to the first displayed frame that uses it, in ms."
            }
            Self::Psnr => {
                "PSNR to the ground truth, in dB. Compare with the ground truth (G) to measure it."
            }
            Self::Drift => {
                "Distance between the re-encoded frame and its latent; it grows when the rollout leaves what the tokenizer knows."
            }
            Self::Surprise => {
                "Distance between the true frame and the model's prediction. Compare with the ground truth (G) to measure it."
            }
            Self::Reward => "The model's predicted reward and episode-end probability.",
            Self::Return => {
                "The discounted return that the agent expects. Let it play (B) to measure it."
            }
            Self::Certainty => {
                "The probability of the action that the agent takes; while it plans, the share of the best plans that begin with it."
            }
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Self::Times => &COLUMNS[..3],
            Self::Latency => &COLUMNS[3..4],
            Self::Psnr => &COLUMNS[4..5],
            Self::Drift => &COLUMNS[5..6],
            Self::Surprise => &COLUMNS[6..7],
            Self::Reward => &COLUMNS[7..9],
            Self::Return => &COLUMNS[9..10],
            Self::Certainty => &COLUMNS[10..],
        }
    }
}

/// The Plots panel and its samples.
#[derive(Default)]
pub(super) struct Plots {
    samples: VecDeque<FrameSample>,
    pub chosen: PlotKind,
    /// Where the plot was drawn, to be cropped from a screenshot.
    drawn: Option<Rect>,
}

/// An export requested in the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlotExport {
    Csv,
    Png,
}

impl Plots {
    /// Adds a frame's measurements.
    pub fn add(&mut self, sample: FrameSample) {
        if self.samples.len() == MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Draws what can be chosen: the plots, and how to save one.
    fn tabs(&mut self, ui: &mut Ui) -> Option<PlotExport> {
        let mut export = None;
        ui.horizontal(|ui| {
            for plot in PlotKind::ALL {
                ui.selectable_value(&mut self.chosen, plot, plot.label())
                    .on_hover_text(plot.hint());
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let some = !self.samples.is_empty();
                for (name, hint, what) in [
                    ("PNG", "Save this plot as an image.", PlotExport::Png),
                    ("CSV", "Save all measurements as a table.", PlotExport::Csv),
                ] {
                    let button = ui.add_enabled(some, egui::Button::new(name));
                    if button.on_hover_text(hint).clicked() {
                        export = Some(what);
                    }
                }
            });
        });
        export
    }

    /// Draws the panel.
    pub fn ui(&mut self, ui: &mut Ui) -> Option<PlotExport> {
        let export = self.tabs(ui);
        // Blue, orange and the text's colour: told apart without red and green.
        let palette = theme::palette(ui);
        let colours = [palette.cold, palette.warm, palette.text];
        let columns = self.chosen.columns();
        let curves: Vec<_> = columns.iter().map(|column| self.curve(*column)).collect();
        if curves.iter().all(Vec::is_empty) {
            self.drawn = None;
            ui.centered_and_justified(|ui| {
                let none = match self.chosen {
                    PlotKind::Reward if self.samples.len() > 1 => {
                        "This world predicts no rewards and no episode ends."
                    }
                    _ => "No data yet.",
                };
                let hint = format!("{none} {}", self.chosen.hint());
                ui.label(RichText::new(hint).color(theme::palette(ui).muted));
            });
            return export;
        }
        let [frames, values] = plot_axes(ui);
        // Room for their names beside the numbers.
        let frames = frames.label("Frame").min_thickness(36.0);
        let values = values.label(self.chosen.unit()).min_thickness(48.0);
        let plot = Plot::new(self.chosen.label())
            .auto_bounds(Vec2b::TRUE)
            .show_background(false)
            .grid_color(theme::palette(ui).line)
            // The newest data is on the right.
            .legend(Legend::default().position(Corner::LeftTop))
            .custom_x_axes(vec![frames])
            .custom_y_axes(vec![values])
            .show(ui, |plot| {
                for (((name, _), curve), colour) in columns.iter().zip(curves).zip(colours) {
                    let points = PlotPoints::from(curve);
                    plot.line(
                        Line::new(name.replace('_', " "), points)
                            .color(colour)
                            .width(1.5),
                    );
                }
            });
        self.drawn = Some(plot.response.rect);
        export
    }

    /// Points `[frame, value]`, thinned out to at most `MAX_POINTS`.
    fn curve(&self, (_, value): Column) -> Vec<[f64; 2]> {
        let points = self.samples.iter().filter_map(|sample| {
            let value = value(sample).filter(|value| value.is_finite())?;
            Some([sample.frame as f64, value])
        });
        let points: Vec<_> = points.collect();
        let every = points.len().div_ceil(MAX_POINTS).max(1);
        points.into_iter().step_by(every).collect()
    }

    /// All measurements as CSV.
    ///
    /// # Errors
    /// Returns an error if a value cannot be written.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let wrong = |e: csv::Error| driftless_data::Error::encode("CSV", e);
        let mut table = csv::Writer::from_writer(Vec::new());
        let names = COLUMNS.iter().map(|(name, _)| (*name).to_owned());
        table
            .write_record(std::iter::once("frame".to_owned()).chain(names))
            .map_err(wrong)?;
        for sample in &self.samples {
            let text = |(_, value): &Column| value(sample).map_or(String::new(), |v| v.to_string());
            let row = std::iter::once(sample.frame.to_string()).chain(COLUMNS.iter().map(text));
            table.write_record(row).map_err(wrong)?;
        }
        let bytes = table.into_inner();
        Ok(bytes.map_err(|e| driftless_data::Error::encode("CSV", e.into_error()))?)
    }

    /// Crops the plot from a screenshot of the window.
    fn crop(&self, image: &ColorImage, pixels_per_point: f32) -> Option<image::RgbaImage> {
        let rect = self.drawn? * pixels_per_point;
        let [width, height] = image.size;
        let edge = |at: f32, max: usize| (at.round().max(0.0) as usize).min(max);
        let (left, right) = (edge(rect.min.x, width), edge(rect.max.x, width));
        let (top, bottom) = (edge(rect.min.y, height), edge(rect.max.y, height));
        let side = |from: usize, to: usize| u32::try_from(to.checked_sub(from)?).ok();
        let (w, h) = (side(left, right)?, side(top, bottom)?);
        let pixel = |x: u32, y: u32| {
            let at = (top + y as usize) * width + left + x as usize;
            let [r, g, b, _] = image.pixels.get(at).unwrap_or(&Color32::BLACK).to_array();
            image::Rgba([r, g, b, 255])
        };
        (w > 0 && h > 0).then(|| image::RgbaImage::from_fn(w, h, pixel))
    }

    /// Saves the plot from a screenshot as a PNG in `folder`; returns the file.
    ///
    /// # Errors
    /// Returns an error if no plot is visible or the file cannot be written.
    pub fn save_png(
        &self,
        image: &ColorImage,
        pixels_per_point: f32,
        folder: &Path,
    ) -> Result<PathBuf> {
        let crop = self.crop(image, pixels_per_point);
        let crop = crop.ok_or_else(|| driftless_data::Error::Empty("no plot is visible".into()))?;
        let mut bytes = std::io::Cursor::new(Vec::new());
        crop.write_to(&mut bytes, image::ImageFormat::Png)
            .map_err(|e| driftless_data::Error::encode("PNG", e))?;
        let name = format!(
            "{}.png",
            self.chosen.label().to_lowercase().replace(' ', "-")
        );
        let path = unused_file(folder, &name)?;
        write_atomic(&path, &bytes.into_inner())?;
        Ok(path)
    }

    /// Saves all measurements as CSV in `folder`; returns the file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn save_csv(&self, folder: &Path) -> Result<PathBuf> {
        let path = unused_file(folder, "measured.csv")?;
        write_atomic(&path, &self.csv()?)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sample(frame: u64) -> FrameSample {
        FrameSample {
            frame,
            times: StageTimes {
                denoise: Duration::from_micros(1500),
                ..StageTimes::default()
            },
            psnr: frame.is_multiple_of(2).then_some(30.5),
            ..FrameSample::default()
        }
    }

    #[test]
    fn csv_has_one_row_per_frame() {
        let mut plots = Plots::default();
        plots.add(sample(7));
        plots.add(sample(8));
        let text = String::from_utf8(plots.csv().unwrap()).unwrap();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(
            rows,
            [
                "frame,denoise_ms,cache_ms,decode_ms,latency_ms,psnr_db,drift,surprise,reward,end_probability,agent_return,agent_probability",
                "7,1.5,0,0,,,,,,,,",
                "8,1.5,0,0,,30.5,,,,,,",
            ]
        );
    }

    #[test]
    fn samples_and_points_are_limited() {
        let mut plots = Plots::default();
        for frame in 0..MAX_SAMPLES as u64 + 10 {
            plots.add(sample(frame));
        }
        assert_eq!(plots.samples.front().map(|s| s.frame), Some(10));
        let curve = plots.curve(COLUMNS[0]);
        assert!(curve.len() <= MAX_POINTS && curve.len() > MAX_POINTS / 2);
        assert_eq!(plots.curve(COLUMNS[4])[0], [10.0, 30.5]);
        assert!(plots.curve(COLUMNS[5]).is_empty());
    }

    #[test]
    fn png_is_cropped_from_screenshot() {
        let mut plots = Plots::default();
        let image = ColorImage::new([8, 6], (0..48).map(Color32::from_gray).collect());
        let folder = tempfile::tempdir().unwrap();
        assert!(plots.save_png(&image, 2.0, folder.path()).is_err());
        let corner = egui::pos2(1.0, 0.5);
        plots.drawn = Some(Rect::from_min_size(corner, egui::vec2(2.0, 9.0)));
        let path = plots.save_png(&image, 2.0, folder.path()).unwrap();
        let crop = image::open(path).unwrap().into_rgb8();
        assert_eq!(crop.dimensions(), (4, 5));
        assert_eq!(crop.get_pixel(0, 0).0, [10; 3]);
    }
}
