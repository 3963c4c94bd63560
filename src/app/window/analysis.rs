//! Analysis of the game: timeline, comparison and plots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use eframe::egui::{ColorImage, Ui};

use driftless_data::{Episode, PathError as _};
use driftless_sim::{
    Command, ComparisonSource, Frame, TimelineCommand, TimelinePosition, matching_simulator,
};

use super::Window;
use crate::app::comparison::Comparison;
use crate::app::plots::{FrameSample, PlotExport, Plots};
use crate::app::timeline::{Timeline, TimelineAction};
use crate::workspace::BackgroundTask;
use crate::workspace::paths::UserPaths;
use crate::{Error, Result};

/// The state of the analysis panels.
#[derive(Default)]
pub(super) struct Analysis {
    pub timeline: Timeline,
    pub timeline_open: bool,
    pub comparison: Option<Comparison>,
    pub plots: Plots,
    pub plots_open: bool,
    /// An episode being loaded for comparison.
    episode: Option<BackgroundTask<Episode>>,
    /// A requested screenshot of the window.
    screenshot: Option<Receiver<Arc<ColorImage>>>,
}

impl Analysis {
    /// Whether a comparison is shown.
    pub fn is_comparing(&self) -> bool {
        self.comparison.is_some()
    }

    /// Resets for a new game; open panels stay open.
    pub fn reset(&mut self) {
        *self = Self {
            timeline_open: self.timeline_open,
            plots_open: self.plots_open,
            ..Self::default()
        };
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        self.timeline.drop_textures();
        if let Some(comparison) = &mut self.comparison {
            comparison.drop_textures();
        }
    }
}

impl Window {
    /// Seeks by a number of frames, backward if negative, if there is such a frame.
    pub(super) fn seek_by(&mut self, frames: isize) {
        if let Some(place) = self.analysis.timeline.offset(frames) {
            self.seek(place);
        }
    }

    fn seek(&mut self, place: TimelinePosition) {
        self.paused = true;
        self.stats.reset_rate();
        // Move the slider at once, before the frame arrives.
        self.analysis.timeline.set_position(place);
        self.send(TimelineCommand::Seek(place));
    }

    /// Draws the timeline and handles its actions.
    pub(super) fn timeline_ui(&mut self, ui: &mut Ui) {
        for action in self.analysis.timeline.ui(ui) {
            match action {
                TimelineAction::Command(TimelineCommand::Seek(place)) => self.seek(place),
                TimelineAction::Command(command) => {
                    if let TimelineCommand::DeleteBranch(branch) = command
                        && self.analysis.timeline.compared() == Some(branch)
                    {
                        self.stop_comparison();
                    }
                    self.send(command);
                }
                TimelineAction::Compare(Some(branch)) => {
                    let number = self.analysis.timeline.branch_number(branch);
                    self.analysis.timeline.set_compared(Some(branch));
                    self.start_comparison(
                        ComparisonSource::Branch(branch),
                        format!("Branch {number}"),
                    );
                }
                TimelineAction::Compare(None) => self.stop_comparison(),
                TimelineAction::Save => self.save(),
            }
        }
    }

    fn start_comparison(&mut self, reference: ComparisonSource, name: String) {
        let difference = self
            .analysis
            .comparison
            .as_ref()
            .is_some_and(|comparison| comparison.difference);
        self.analysis.comparison = Some(Comparison::new(name, difference));
        if !matches!(reference, ComparisonSource::Branch(_)) {
            self.analysis.timeline.clear_compared();
        }
        self.send(Command::Compare(reference));
    }

    pub(super) fn stop_comparison(&mut self) {
        self.analysis.comparison = None;
        self.analysis.timeline.clear_compared();
        self.send(Command::Compare(ComparisonSource::Off));
    }

    /// Starts or stops the comparison with the world's simulator.
    pub(super) fn toggle_comparison(&mut self) {
        if self.analysis.comparison.is_some() {
            self.stop_comparison();
            return;
        }
        match matching_simulator(&self.session.world) {
            Some(kind) if self.session.learned => {
                self.start_comparison(ComparisonSource::Simulator(kind), "Ground truth".into());
            }
            Some(_) => self.notices.post("This is the simulator itself.".into()),
            None => {
                let how = "No simulator for this world. Drop a recorded episode (.npz) to compare.";
                self.notices.post(how.into());
            }
        }
    }

    pub(super) fn toggle_difference(&mut self) {
        match &mut self.analysis.comparison {
            Some(comparison) => comparison.difference = !comparison.difference,
            None => {
                let how = "Start a comparison first: with the ground truth (G) or a branch.";
                self.notices.post(how.into());
            }
        }
    }

    /// Loads an episode to compare with a rollout of its actions.
    pub(super) fn open_episode(&mut self, path: &Path) {
        let (path, world) = (path.to_path_buf(), self.session.world.clone());
        let context = self.session.context;
        let waker = self.setup.waker.clone();
        let read = move |_: &_| {
            let episode = Episode::read(&path)?;
            if [episode.height, episode.width] != world.image {
                let what = format!(
                    "its frames are {}×{}, expected {}×{}",
                    episode.height, episode.width, world.image[0], world.image[1]
                );
                return Err(Error::invalid(&path, what));
            }
            let known = |action: &&u32| (**action as usize) < world.actions.len();
            if episode.frames() <= context || !episode.actions.iter().all(|action| known(&action)) {
                let what = format!(
                    "expected more than {context} frames, and actions below {}",
                    world.actions.len()
                );
                return Err(Error::invalid(&path, what));
            }
            Ok(episode)
        };
        match BackgroundTask::start(Arc::new(move || waker.wake()), read) {
            Ok(task) => self.analysis.episode = Some(task),
            Err(error) => self.notices.post(error.to_string()),
        }
    }

    /// Takes an episode loaded in the background.
    pub(super) fn poll_episode(&mut self) {
        match self
            .analysis
            .episode
            .as_ref()
            .and_then(BackgroundTask::take)
        {
            Some(Ok(_)) if !self.session.learned => {
                let why = "A simulator cannot follow a recorded episode.";
                self.notices.post(why.into());
            }
            Some(Ok(episode)) => {
                self.start_comparison(
                    ComparisonSource::Episode(Arc::new(episode)),
                    "Recording".into(),
                );
            }
            Some(Err(error)) => self.notices.post(error.to_string()),
            None => return,
        }
        self.analysis.episode = None;
    }

    /// Records a frame's measurements; `latency` (ms) is set if the frame is the first to show a key.
    pub(super) fn record_sample(&mut self, frame: &Frame, latency: Option<f64>, shown: bool) {
        // A rewound frame was measured when it was generated.
        if self.session.learned && frame.timing.stages.total().is_zero() {
            return;
        }
        let outcome = frame.prediction.outcome;
        let psnr = self
            .analysis
            .comparison
            .as_ref()
            .and_then(|comparison| comparison.psnr);
        self.analysis.plots.add(FrameSample {
            frame: frame.sequence,
            times: frame.timing.stages,
            latency,
            psnr: psnr.filter(|_| shown && frame.comparison.is_some()),
            drift: frame.diagnostics.drift.map(f64::from),
            surprise: frame.diagnostics.surprise.map(f64::from),
            reward: outcome.map(|outcome| f64::from(outcome.reward)),
            end: outcome.map(|outcome| f64::from(outcome.end)),
        });
    }

    /// Draws the plots and handles their exports.
    pub(super) fn plots_ui(&mut self, ui: &mut Ui) {
        match self.analysis.plots.ui(ui) {
            Some(PlotExport::Csv) => {
                let saved = self.saved_folder();
                let saved = saved.and_then(|folder| self.analysis.plots.save_csv(&folder));
                self.report_saved(saved);
            }
            Some(PlotExport::Png) => {
                let (sender, receiver) = bounded(1);
                self.analysis.screenshot = Some(receiver);
                let waker = self.setup.waker.clone();
                ui.ctx().request_screenshot(move |image| {
                    // The receiver may be gone.
                    let _ = sender.send(image);
                    waker.wake();
                });
            }
            None => {}
        }
    }

    /// Saves the plot once the screenshot has arrived.
    pub(super) fn poll_screenshot(&mut self, pixels_per_point: f32) {
        let screenshot = self.analysis.screenshot.as_ref();
        let Some(image) = screenshot.and_then(|waiting| waiting.try_recv().ok()) else {
            return;
        };
        self.analysis.screenshot = None;
        let saved = self.saved_folder();
        let plots = &self.analysis.plots;
        let saved = saved.and_then(|folder| plots.save_png(&image, pixels_per_point, &folder));
        self.report_saved(saved);
    }

    /// The folder for saved clips, plots and tables.
    pub(super) fn saved_folder(&self) -> Result<PathBuf> {
        Ok(UserPaths::resolve(self.setup.home.clone())?.saved())
    }

    pub(super) fn report_saved(&mut self, saved: Result<PathBuf>) {
        self.notices.post(match saved {
            Ok(path) => format!("Saved as {}", path.display()),
            Err(error) => error.to_string(),
        });
    }
}
