//! Analysis of the game: timeline, comparison, plots, denoising and inspection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use eframe::egui::{ColorImage, Context, Ui};

use driftless_data::{Episode, PathError as _};
use driftless_sim::{
    CaptureCommand, Command, ComparisonSource, Frame, TimelineCommand, TimelinePosition,
    matching_simulator,
};

use super::game::GameState;
use crate::app::comparison::Comparison;
use crate::app::denoising::DenoisingStrip;
use crate::app::inspect::InspectPanel;
use crate::app::plots::{FrameSample, PlotExport, Plots};
use crate::app::session::GameSession;
use crate::app::timeline::{Timeline, TimelineAction};
use crate::app::waker::Waker;
use crate::workspace::{BackgroundTask, Notify};
use crate::{Error, Result};

/// What the timeline asks the window for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TimelineRequest {
    /// Save the frames from the last restart.
    Save,
    /// Save some frames as they were shown, up to `end`.
    SaveFrames {
        end: TimelinePosition,
        frames: usize,
    },
    /// A branch was deleted.
    BranchDeleted,
}

/// The state of the analysis panels.
#[derive(Default)]
pub(super) struct Analysis {
    pub timeline: Timeline,
    pub timeline_open: bool,
    pub comparison: Option<Comparison>,
    pub plots: Plots,
    pub plots_open: bool,
    /// The denoising strip, while open.
    pub denoising: Option<DenoisingStrip>,
    /// The inspection panel, while open.
    pub inspect: Option<InspectPanel>,
    /// An episode being loaded for comparison.
    episode: Option<BackgroundTask<Episode>>,
    /// A requested screenshot of the window.
    screenshot: Option<Receiver<Arc<ColorImage>>>,
}

impl Analysis {
    /// Resets for a restarted world; open panels stay open.
    pub fn restart(&mut self) {
        *self = Self {
            timeline_open: self.timeline_open,
            plots_open: self.plots_open,
            denoising: self.denoising.take(),
            inspect: self.inspect.take(),
            ..Self::default()
        };
    }

    /// Resets for another world, which may lack some of the panels.
    pub fn reset(&mut self) {
        self.restart();
        self.denoising = None;
        self.inspect = None;
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        self.denoising = self.denoising.is_some().then(DenoisingStrip::default);
        self.inspect = self.inspect.is_some().then(InspectPanel::default);
        self.timeline.drop_textures();
        if let Some(comparison) = &mut self.comparison {
            comparison.drop_textures();
        }
    }

    /// Asks a new world-model thread for what the open panels show.
    pub fn commands(&self) -> [CaptureCommand; 3] {
        [
            CaptureCommand::Trace(self.denoising.is_some()),
            CaptureCommand::Measure(self.plots_open),
            CaptureCommand::Inspect(self.inspect.is_some()),
        ]
    }

    pub fn toggle_denoising(&mut self, game: &GameState) {
        self.denoising = match self.denoising {
            Some(_) => None,
            None => Some(DenoisingStrip::default()),
        };
        game.send(CaptureCommand::Trace(self.denoising.is_some()));
    }

    pub fn toggle_inspect(&mut self, game: &GameState) {
        self.inspect = match self.inspect {
            Some(_) => None,
            None => Some(InspectPanel::default()),
        };
        game.send(CaptureCommand::Inspect(self.inspect.is_some()));
    }

    pub fn toggle_plots(&mut self, game: &GameState) {
        self.plots_open = !self.plots_open;
        game.send(CaptureCommand::Measure(self.plots_open));
    }

    /// Closes every panel.
    pub fn close_panels(&mut self, game: &GameState) {
        self.timeline_open = false;
        if self.plots_open {
            self.toggle_plots(game);
        }
        if self.denoising.is_some() {
            self.toggle_denoising(game);
        }
        if self.inspect.is_some() {
            self.toggle_inspect(game);
        }
    }

    /// Seeks by a number of frames, backward if negative, if there is such a frame.
    pub fn seek_by(&mut self, frames: isize, game: &mut GameState) {
        if let Some(place) = self.timeline.offset(frames) {
            self.seek(place, game);
        }
    }

    /// Pauses at another frame.
    pub fn seek(&mut self, place: TimelinePosition, game: &mut GameState) {
        // Move the slider at once, before the frame arrives.
        self.timeline.set_position(place);
        game.seek(place);
    }

    /// Draws the timeline; returns what only the window can do.
    pub fn timeline_ui(&mut self, ui: &mut Ui, game: &mut GameState) -> Option<TimelineRequest> {
        let mut request = None;
        for action in self.timeline.ui(ui) {
            match action {
                TimelineAction::Command(TimelineCommand::Seek(place)) => self.seek(place, game),
                TimelineAction::Command(command) => {
                    if let TimelineCommand::DeleteBranch(branch) = command
                        && self.timeline.compared() == Some(branch)
                    {
                        self.stop_comparison(game);
                    }
                    if let TimelineCommand::DeleteBranch(_) = command {
                        request = Some(TimelineRequest::BranchDeleted);
                    }
                    game.send(command);
                }
                TimelineAction::Compare(Some(branch)) => {
                    let number = self.timeline.branch_number(branch);
                    self.timeline.set_compared(Some(branch));
                    let name = format!("Branch {number}");
                    self.start_comparison(ComparisonSource::Branch(branch), name, game);
                }
                TimelineAction::Compare(None) => self.stop_comparison(game),
                TimelineAction::Save => request = Some(TimelineRequest::Save),
                TimelineAction::SaveRange { end, frames } => {
                    request = Some(TimelineRequest::SaveFrames { end, frames });
                }
            }
        }
        request
    }

    fn start_comparison(&mut self, reference: ComparisonSource, name: String, game: &GameState) {
        let comparison = self.comparison.as_ref();
        let difference = comparison.is_some_and(|comparison| comparison.difference);
        self.comparison = Some(Comparison::new(name, difference));
        if !matches!(reference, ComparisonSource::Branch(_)) {
            self.timeline.clear_compared();
        }
        game.send(Command::Compare(reference));
    }

    /// Forgets the comparison, for example because its thread has ended.
    pub fn clear_comparison(&mut self) {
        self.comparison = None;
        self.timeline.clear_compared();
    }

    fn stop_comparison(&mut self, game: &GameState) {
        self.clear_comparison();
        game.send(Command::Compare(ComparisonSource::Off));
    }

    /// Starts or stops the comparison with the world's simulator; returns why it cannot, if so.
    pub fn toggle_comparison(&mut self, game: &GameState) -> Option<&'static str> {
        if self.comparison.is_some() {
            self.stop_comparison(game);
            return None;
        }
        let remote = game.session.remote.as_ref();
        if remote.is_some_and(|remote| !remote.info().truth) {
            return Some("The server has no simulator for this world.");
        }
        match matching_simulator(&game.session.world) {
            Some(kind) if game.session.learned => {
                let reference = ComparisonSource::Simulator(kind);
                self.start_comparison(reference, "Ground truth".into(), game);
                None
            }
            Some(_) => Some("This is the simulator itself."),
            None => Some("No simulator for this world. Drop a recorded episode (.npz) to compare."),
        }
    }

    /// Shows or hides the difference; returns why it cannot, if so.
    pub fn toggle_difference(&mut self) -> Option<&'static str> {
        let Some(comparison) = &mut self.comparison else {
            return Some("Start a comparison first: with the ground truth (G) or a branch.");
        };
        comparison.difference = !comparison.difference;
        None
    }

    /// Loads an episode in the background to compare with a rollout of its actions.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open_episode(
        &mut self,
        path: &Path,
        session: &GameSession,
        notify: Notify,
    ) -> Result<()> {
        let (path, world) = (path.to_path_buf(), session.world.clone());
        let clip_frames = session.clip_frames;
        let read = move |_: &_| {
            let episode = Episode::read(&path)?;
            if [episode.height, episode.width] != world.image {
                let what = format!(
                    "its frames are {}×{}, expected {}×{}",
                    episode.height, episode.width, world.image[0], world.image[1]
                );
                return Err(Error::invalid(&path, what));
            }
            if episode.frames() <= clip_frames {
                let what = format!("expected more than {clip_frames} frames");
                return Err(Error::invalid(&path, what));
            }
            for action in episode.played() {
                let checked = action.check(world.actions.len(), world.axes.len());
                checked.map_err(|what| Error::invalid(&path, what))?;
            }
            Ok(episode)
        };
        self.episode = Some(BackgroundTask::start(notify, read)?);
        Ok(())
    }

    /// Compares with an episode loaded in the background.
    ///
    /// # Errors
    /// Returns why the episode cannot be compared with.
    pub fn poll_episode(&mut self, game: &GameState) -> std::result::Result<(), String> {
        let Some(read) = self.episode.as_ref().and_then(BackgroundTask::take) else {
            return Ok(());
        };
        self.episode = None;
        let episode = read.map_err(|error| error.to_string())?;
        if !game.session.learned {
            return Err("A simulator cannot follow a recorded episode.".into());
        }
        if game.session.clip_frames == 0 {
            return Err("A published world cannot follow a recorded episode.".into());
        }
        let reference = ComparisonSource::Episode(Arc::new(episode));
        self.start_comparison(reference, "Recording".into(), game);
        Ok(())
    }

    /// Shows a new frame in the timeline and the comparison.
    pub fn show(&mut self, frame: &Frame, context: &Context, size: [usize; 2]) {
        self.timeline.set_position(frame.position);
        if let Some(comparison) = &mut self.comparison {
            comparison.take(context, frame, size);
        }
    }

    /// Records a frame's measurements; `latency` (ms) is set if the frame is the first to show a key.
    pub fn record(&mut self, frame: &Frame, latency: Option<f64>, shown: bool, learned: bool) {
        // A rewound frame was measured when it was generated.
        if learned && frame.timing.stages.total().is_zero() {
            return;
        }
        let outcome = frame.prediction.outcome;
        let decision = frame.diagnostics.decision.as_deref();
        let comparison = self.comparison.as_ref();
        let psnr = comparison.and_then(|comparison| comparison.psnr);
        self.plots.add(FrameSample {
            frame: frame.sequence,
            times: frame.timing.stages,
            latency,
            psnr: psnr.filter(|_| shown && frame.comparison.is_some()),
            drift: frame.diagnostics.drift.map(f64::from),
            surprise: frame.diagnostics.surprise.map(f64::from),
            reward: outcome.map(|outcome| f64::from(outcome.reward)),
            end: outcome.map(|outcome| f64::from(outcome.end)),
            value: decision.map(|decision| f64::from(decision.value)),
            certainty: decision.and_then(|decision| {
                let p = decision.probabilities.get(decision.action as usize);
                p.copied().map(f64::from)
            }),
        });
    }

    /// Draws the plots and saves them in `folder` when asked to; returns the file.
    pub fn plots_ui(
        &mut self,
        ui: &mut Ui,
        waker: &Waker,
        folder: impl FnOnce() -> Result<PathBuf>,
    ) -> Option<Result<PathBuf>> {
        match self.plots.ui(ui)? {
            PlotExport::Csv => Some(folder().and_then(|folder| self.plots.save_csv(&folder))),
            PlotExport::Png => {
                let (sender, receiver) = bounded(1);
                self.screenshot = Some(receiver);
                let waker = waker.clone();
                ui.ctx().request_screenshot(move |image| {
                    // The receiver may be gone.
                    let _ = sender.send(image);
                    waker.wake();
                });
                None
            }
        }
    }

    /// Saves the plot once the screenshot has arrived; returns the file.
    pub fn poll_screenshot(
        &mut self,
        pixels_per_point: f32,
        folder: impl FnOnce() -> Result<PathBuf>,
    ) -> Option<Result<PathBuf>> {
        let image = self.screenshot.as_ref()?.try_recv().ok()?;
        self.screenshot = None;
        let plots = &self.plots;
        Some(folder().and_then(|folder| plots.save_png(&image, pixels_per_point, &folder)))
    }
}
