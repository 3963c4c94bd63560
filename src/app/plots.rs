//! Curves of what is measured while playing: to pan, to zoom, and to take along as CSV or PNG.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use eframe::egui::{self, Align, Color32, ColorImage, Layout, Rect, RichText, Ui, Vec2b};
use egui_plot::{Legend, Line, Plot, PlotPoints};

use super::theme;
use crate::workspace::places::free_file;
use crate::{Error, Result};
use driftless_data::fs::write_atomic;
use driftless_engine::StageTimes;

/// Frames that are remembered.
const FRAMES: usize = 4096;
/// Points of a curve; more would lie on top of each other.
const POINTS: usize = 1000;
/// The panel's height.
pub(super) const HEIGHT: f32 = 220.0;

/// What was measured of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Frames since the thread started.
    pub frame: u64,
    pub times: StageTimes,
    /// From a key's change to the frame that shows it first, in ms.
    pub latency: Option<f64>,
    /// To the truth, in dB.
    pub psnr: Option<f64>,
    /// Root mean square error of the tokenizer's encoding of the frame against its latent.
    pub drift: Option<f64>,
    /// Of the true frame to the world model.
    pub surprise: Option<f64>,
    pub reward: Option<f64>,
    pub end: Option<f64>,
}

/// A number of a sample.
type Column = (&'static str, fn(&Sample) -> Option<f64>);

fn ms(time: std::time::Duration) -> Option<f64> {
    Some(time.as_secs_f64() * 1000.0)
}

const COLUMNS: [Column; 9] = [
    ("denoise_ms", |s| ms(s.times.denoise)),
    ("cache_ms", |s| ms(s.times.cache)),
    ("decode_ms", |s| ms(s.times.decode)),
    ("latency_ms", |s| s.latency),
    ("psnr_db", |s| s.psnr),
    ("drift", |s| s.drift),
    ("surprise", |s| s.surprise),
    ("reward", |s| s.reward),
    ("end_probability", |s| s.end),
];

/// A plot: curves of one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Chosen {
    #[default]
    Times,
    Latency,
    Psnr,
    Drift,
    Surprise,
    Reward,
}

impl Chosen {
    pub const ALL: [Self; 6] = [
        Self::Times,
        Self::Latency,
        Self::Psnr,
        Self::Drift,
        Self::Surprise,
        Self::Reward,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Times => "stages",
            Self::Latency => "latency",
            Self::Psnr => "PSNR",
            Self::Drift => "drift",
            Self::Surprise => "surprise",
            Self::Reward => "reward",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Times => "Milliseconds that each stage of a frame took.",
            Self::Latency => "Milliseconds from a key to the first frame on screen that used it.",
            Self::Psnr => "dB to the true frame; needs the truth beside the dream (G).",
            Self::Drift => {
                "How far the frame, encoded again, lies from its latent: it grows where the dream leaves what the tokenizer knows."
            }
            Self::Surprise => {
                "How far the true frame lies from what the world model expects; needs the truth beside the dream (G)."
            }
            Self::Reward => {
                "What the world model predicts of the frame: the reward, and the probability of an end."
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
            Self::Reward => &COLUMNS[7..],
        }
    }
}

/// The panel, and what it remembers.
#[derive(Default)]
pub(super) struct Plots {
    samples: VecDeque<Sample>,
    pub chosen: Chosen,
    /// Where the curves were drawn, to be cut out of a picture of the window.
    drawn: Option<Rect>,
}

/// What a click in the panel asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Csv,
    Png,
}

impl Plots {
    /// Remembers a frame.
    pub fn add(&mut self, sample: Sample) {
        if self.samples.len() == FRAMES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Draws the panel.
    pub fn ui(&mut self, ui: &mut Ui) -> Option<Asked> {
        let mut asked = None;
        ui.horizontal(|ui| {
            for plot in Chosen::ALL {
                ui.selectable_value(&mut self.chosen, plot, plot.label())
                    .on_hover_text(plot.hint());
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let some = !self.samples.is_empty();
                for (name, hint, what) in [
                    ("PNG", "Save these curves as a picture.", Asked::Png),
                    ("CSV", "Save every measured number as a table.", Asked::Csv),
                ] {
                    let button = ui.add_enabled(some, egui::Button::new(name));
                    if button.on_hover_text(hint).clicked() {
                        asked = Some(what);
                    }
                }
            });
        });
        let colours = [theme::accent(), theme::text(), theme::alert()];
        let columns = self.chosen.columns();
        let curves: Vec<_> = columns.iter().map(|column| self.curve(*column)).collect();
        if curves.iter().all(Vec::is_empty) {
            self.drawn = None;
            ui.centered_and_justified(|ui| {
                let hint = format!("Nothing of this yet. {}", self.chosen.hint());
                ui.label(RichText::new(hint).color(theme::muted()));
            });
            return asked;
        }
        let plot = Plot::new(self.chosen.label())
            .auto_bounds(Vec2b::TRUE)
            .show_background(false)
            .grid_color(theme::line())
            .legend(Legend::default())
            .x_axis_label("frame")
            .show(ui, |plot| {
                for (((name, _), curve), colour) in columns.iter().zip(curves).zip(colours) {
                    let points = PlotPoints::from(curve);
                    plot.line(Line::new(*name, points).color(colour).width(1.5));
                }
            });
        self.drawn = Some(plot.response.rect);
        asked
    }

    /// Frame and value, of every so manieth frame.
    fn curve(&self, (_, value): Column) -> Vec<[f64; 2]> {
        let points = self.samples.iter().filter_map(|sample| {
            let value = value(sample).filter(|value| value.is_finite())?;
            Some([sample.frame as f64, value])
        });
        let points: Vec<_> = points.collect();
        let every = points.len().div_ceil(POINTS).max(1);
        points.into_iter().step_by(every).collect()
    }

    /// Every remembered number as a table.
    ///
    /// # Errors
    /// A number cannot be written.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let wrong = |e: csv::Error| Error::Argument(format!("CSV: {e}"));
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
        table
            .into_inner()
            .map_err(|e| Error::Argument(format!("CSV: {e}")))
    }

    /// Where the curves lie in a picture of the window with so many pixels to a point.
    fn cut(&self, image: &ColorImage, pixels_per_point: f32) -> Option<image::RgbaImage> {
        let rect = self.drawn? * pixels_per_point;
        let [width, height] = image.size;
        let edge = |at: f32, most: usize| (at.round().max(0.0) as usize).min(most);
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

    /// Saves the curves out of a picture of the window, into a folder; the file.
    ///
    /// # Errors
    /// Nothing is drawn, or the file cannot be written.
    pub fn save_png(
        &self,
        image: &ColorImage,
        pixels_per_point: f32,
        folder: &Path,
    ) -> Result<PathBuf> {
        let cut = self.cut(image, pixels_per_point);
        let cut = cut.ok_or_else(|| Error::Argument("no curves are in sight".into()))?;
        let mut bytes = std::io::Cursor::new(Vec::new());
        cut.write_to(&mut bytes, image::ImageFormat::Png)
            .map_err(|e| Error::Argument(format!("PNG: {e}")))?;
        let name = format!("{}.png", self.chosen.label().to_lowercase());
        let path = free_file(folder, &name)?;
        write_atomic(&path, &bytes.into_inner())?;
        Ok(path)
    }

    /// Saves every remembered number as a table, into a folder; the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_csv(&self, folder: &Path) -> Result<PathBuf> {
        let path = free_file(folder, "measured.csv")?;
        write_atomic(&path, &self.csv()?)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sample(frame: u64) -> Sample {
        Sample {
            frame,
            times: StageTimes {
                denoise: Duration::from_micros(1500),
                ..StageTimes::default()
            },
            psnr: frame.is_multiple_of(2).then_some(30.5),
            ..Sample::default()
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_frame_and_leaves_out_what_was_not_measured() {
        let mut plots = Plots::default();
        plots.add(sample(7));
        plots.add(sample(8));
        let text = String::from_utf8(plots.csv().unwrap()).unwrap();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(
            rows,
            [
                "frame,denoise_ms,cache_ms,decode_ms,latency_ms,psnr_db,drift,surprise,reward,end_probability",
                "7,1.5,0,0,,,,,,",
                "8,1.5,0,0,,30.5,,,,",
            ]
        );
    }

    #[test]
    fn the_oldest_frames_are_forgotten_and_a_curve_stays_short() {
        let mut plots = Plots::default();
        for frame in 0..FRAMES as u64 + 10 {
            plots.add(sample(frame));
        }
        assert_eq!(plots.samples.front().map(|s| s.frame), Some(10));
        let curve = plots.curve(COLUMNS[0]);
        assert!(curve.len() <= POINTS && curve.len() > POINTS / 2);
        assert_eq!(plots.curve(COLUMNS[4])[0], [10.0, 30.5]);
        assert!(plots.curve(COLUMNS[5]).is_empty());
    }

    #[test]
    fn a_picture_of_the_curves_is_cut_out_of_the_windows() {
        let mut plots = Plots::default();
        let image = ColorImage::new([8, 6], (0..48).map(Color32::from_gray).collect());
        let folder = tempfile::tempdir().unwrap();
        assert!(plots.save_png(&image, 2.0, folder.path()).is_err());
        let corner = egui::pos2(1.0, 0.5);
        plots.drawn = Some(Rect::from_min_size(corner, egui::vec2(2.0, 9.0)));
        let path = plots.save_png(&image, 2.0, folder.path()).unwrap();
        let cut = image::open(path).unwrap().into_rgb8();
        assert_eq!(cut.dimensions(), (4, 5));
        assert_eq!(cut.get_pixel(0, 0).0, [10; 3]);
    }
}
