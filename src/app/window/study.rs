//! The window's ways to look into what is played: time line, truth beside the dream, curves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use eframe::egui::{ColorImage, Ui};

use super::Window;
use crate::app::beside::Side;
use crate::app::plots;
use crate::app::plots::{Plots, Sample};
use crate::app::timeline;
use crate::app::timeline::Timeline;
use crate::workspace::Task;
use crate::workspace::places::Places;
use crate::{Error, Result};
use driftless_data::Episode;
use driftless_data::PathError as _;
use driftless_sim::{Beside, Command, Frame, Place, simulator_of};

/// What the window knows of the game's past, and what it shows of it.
#[derive(Default)]
pub(super) struct Study {
    pub timeline: Timeline,
    pub timeline_open: bool,
    pub side: Option<Side>,
    pub plots: Plots,
    pub plots_open: bool,
    /// An episode that is being read, to be shown beside the dream.
    episode: Option<Task<Episode>>,
    /// A picture of the window that was asked for.
    screenshot: Option<Receiver<Arc<ColorImage>>>,
}

impl Study {
    /// Whether the truth is beside the frame.
    pub fn truth(&self) -> bool {
        self.side.is_some()
    }

    /// A new game begins: what was open stays open.
    pub fn begin_again(&mut self) {
        *self = Self {
            timeline_open: self.timeline_open,
            plots_open: self.plots_open,
            ..Self::default()
        };
    }

    /// Textures lie on a device that is gone.
    pub fn forget_pictures(&mut self) {
        self.timeline.forget_pictures();
        if let Some(side) = &mut self.side {
            side.forget_pictures();
        }
    }
}

impl Window {
    /// Goes to the frame so many after the present one, if there is one.
    pub(super) fn travel(&mut self, frames: isize) {
        if let Some(place) = self.study.timeline.away(frames) {
            self.seek(place);
        }
    }

    fn seek(&mut self, place: Place) {
        self.paused = true;
        self.stats.forget_rates();
        // The slider moves at once, and not only when the frame is there.
        self.study.timeline.shown(place);
        self.send(Command::Seek(place));
    }

    /// Draws the time line and does what it asks.
    pub(super) fn timeline_ui(&mut self, ui: &mut Ui) {
        for asked in self.study.timeline.ui(ui) {
            match asked {
                timeline::Asked::Command(Command::Seek(place)) => self.seek(place),
                timeline::Asked::Command(command) => {
                    if let Command::DropBranch(branch) = command
                        && self.study.timeline.beside() == Some(branch)
                    {
                        self.put_nothing_beside();
                    }
                    self.send(command);
                }
                timeline::Asked::Beside(Some(branch)) => {
                    let number = self.study.timeline.position(branch);
                    self.study.timeline.put_beside(Some(branch));
                    self.put_beside(Beside::Branch(branch), format!("branch {number}"));
                }
                timeline::Asked::Beside(None) => self.put_nothing_beside(),
                timeline::Asked::Save => self.save(),
            }
        }
    }

    fn put_beside(&mut self, beside: Beside, name: String) {
        let difference = self.study.side.as_ref().is_some_and(|side| side.difference);
        self.study.side = Some(Side::new(name, difference));
        if !matches!(beside, Beside::Branch(_)) {
            self.study.timeline.forget_beside();
        }
        self.send(Command::Beside(beside));
    }

    pub(super) fn put_nothing_beside(&mut self) {
        self.study.side = None;
        self.study.timeline.forget_beside();
        self.send(Command::Beside(Beside::Nothing));
    }

    /// Shows the simulator of the world beside the dream, or nothing any more.
    pub(super) fn toggle_truth(&mut self) {
        if self.study.side.is_some() {
            self.put_nothing_beside();
            return;
        }
        match simulator_of(&self.played.world) {
            Some(kind) if self.played.sampled => {
                self.put_beside(Beside::Simulator(kind), "real".into());
            }
            Some(_) => self.notices.say("This is the truth itself.".into()),
            None => {
                let how = "Of this world there is no simulator here: drop a recorded episode \
                           (.npz) on the window, and it runs beside the dream.";
                self.notices.say(how.into());
            }
        }
    }

    pub(super) fn toggle_difference(&mut self) {
        match &mut self.study.side {
            Some(side) => side.difference = !side.difference,
            None => {
                let how = "Show something beside the frame first: the truth, or a branch.";
                self.notices.say(how.into());
            }
        }
    }

    /// Reads an episode, to show it beside a dream that plays its actions.
    pub(super) fn open_episode(&mut self, path: &Path) {
        let (path, world) = (path.to_path_buf(), self.played.world.clone());
        let context = self.played.context;
        let waker = self.parts.waker.clone();
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
        match Task::start(Arc::new(move || waker.wake()), read) {
            Ok(task) => self.study.episode = Some(task),
            Err(error) => self.notices.say(error.to_string()),
        }
    }

    /// Takes what was read in the background.
    pub(super) fn take_episode(&mut self) {
        match self.study.episode.as_ref().and_then(Task::take) {
            Some(Ok(_)) if !self.played.sampled => {
                let why = "A simulator cannot be told to follow an episode.";
                self.notices.say(why.into());
            }
            Some(Ok(episode)) => {
                self.put_beside(Beside::Episode(Arc::new(episode)), "recorded".into());
            }
            Some(Err(error)) => self.notices.say(error.to_string()),
            None => return,
        }
        self.study.episode = None;
    }

    /// Remembers what was measured of a frame; `latency` is that of a key that it shows first.
    pub(super) fn measure(&mut self, frame: &Frame, latency: Option<f64>, shown: bool) {
        // A frame that was gone back to was measured when it was made.
        if self.played.sampled && frame.times.sum().is_zero() {
            return;
        }
        let outcome = frame.outcome;
        let psnr = self.study.side.as_ref().and_then(|side| side.psnr);
        self.study.plots.add(Sample {
            frame: frame.sequence,
            times: frame.times,
            latency,
            psnr: psnr.filter(|_| shown && frame.beside.is_some()),
            drift: frame.drift.map(f64::from),
            surprise: frame.surprise.map(f64::from),
            reward: outcome.map(|outcome| f64::from(outcome.reward)),
            end: outcome.map(|outcome| f64::from(outcome.end)),
        });
    }

    /// Draws the curves and does what they ask.
    pub(super) fn plots_ui(&mut self, ui: &mut Ui) {
        match self.study.plots.ui(ui) {
            Some(plots::Asked::Csv) => {
                let saved = self.saved_folder();
                let saved = saved.and_then(|folder| self.study.plots.save_csv(&folder));
                self.say_saved(saved);
            }
            Some(plots::Asked::Png) => {
                let (sender, receiver) = bounded(1);
                self.study.screenshot = Some(receiver);
                let waker = self.parts.waker.clone();
                ui.ctx().request_screenshot(move |image| {
                    // Nobody may wait for it any more.
                    let _ = sender.send(image);
                    waker.wake();
                });
            }
            None => {}
        }
    }

    /// Saves the curves once the picture of the window has come.
    pub(super) fn take_screenshot(&mut self, pixels_per_point: f32) {
        let screenshot = self.study.screenshot.as_ref();
        let Some(image) = screenshot.and_then(|waiting| waiting.try_recv().ok()) else {
            return;
        };
        self.study.screenshot = None;
        let saved = self.saved_folder();
        let plots = &self.study.plots;
        let saved = saved.and_then(|folder| plots.save_png(&image, pixels_per_point, &folder));
        self.say_saved(saved);
    }

    /// Where what is saved while playing goes.
    pub(super) fn saved_folder(&self) -> Result<PathBuf> {
        Ok(Places::find(self.parts.home.clone())?.saved())
    }

    pub(super) fn say_saved(&mut self, saved: Result<PathBuf>) {
        self.notices.say(match saved {
            Ok(path) => format!("Saved as {}", path.display()),
            Err(error) => error.to_string(),
        });
    }
}
