//! The capture itself: a frame at a time, when it is due, into the journal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use driftless_data::journal::{Journal, JournalReader};
use driftless_data::media::resize_frames;
use driftless_data::staging::StagingFolder;

use crate::actions::CaptureActions;
use crate::clock::{Clock, Schedule};
use crate::key::check_keys;
use crate::source::{CaptureSource, Moment, Picture, WindowState};
use crate::tape::{self, Cut, MAX_FPS, TapeFrame, TapeHeader, TapeKey};
use crate::{ChosenKey, Error, Result};

/// Longest side of a recorded frame in pixels.
const MAX_SIDE: usize = 4096;
/// Default of [`CapturePlan::episode_frames`], as of the other recorders.
pub const EPISODE_FRAMES: usize = 1000;

/// What to capture, and where to.
#[derive(Clone, Debug)]
pub struct CapturePlan {
    /// Folder of the dataset, new or empty.
    pub out: PathBuf,
    /// Folder of the journal.
    pub journal: PathBuf,
    /// The world's name.
    pub name: String,
    /// Title of the window.
    pub window: String,
    /// Frames per second.
    pub fps: f32,
    /// Height and width of the recorded frames in pixels.
    pub size: [usize; 2],
    /// The keys, in the order in which the source was told them.
    pub keys: Vec<ChosenKey>,
    /// Whether the mouse's motion is recorded.
    pub mouse: bool,
    /// How keys become actions.
    pub actions: CaptureActions,
    /// Stop after so much captured play; `None` goes on until asked.
    pub length: Option<Duration>,
    /// Most frames of an episode, at least 2.
    pub episode_frames: usize,
}

impl CapturePlan {
    /// Checks everything that can be checked before the capture.
    ///
    /// # Errors
    /// Returns an error that names what is out of its range, or if there cannot be a new folder at the target.
    pub fn check(&self) -> Result<()> {
        let Self { fps, size, .. } = self;
        let out_of_range = if !(*fps >= 0.1 && *fps <= MAX_FPS) {
            Some(format!(
                "{fps} frames per second, expected 0.1 to {MAX_FPS}"
            ))
        } else if size.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
            let [height, width] = size;
            Some(format!(
                "frames of {height}×{width} pixels, expected sides of 1 to {MAX_SIDE}"
            ))
        } else if self.episode_frames < 2 {
            Some("episodes of fewer than 2 frames: expected 2 or more".to_owned())
        } else {
            None
        };
        if let Some(what) = out_of_range {
            return Err(Error::Argument(what));
        }
        check_keys(&self.keys)?;
        self.actions.check(&self.keys, self.mouse)?;
        Ok(StagingFolder::check(&self.out)?)
    }

    fn header(&self) -> TapeHeader {
        let key = |one: &ChosenKey| TapeKey {
            name: one.key.name().to_owned(),
            play: one.play.clone(),
        };
        TapeHeader {
            name: self.name.clone(),
            window: self.window.clone(),
            fps: self.fps,
            size: self.size,
            keys: self.keys.iter().map(key).collect(),
            mouse: self.mouse,
            actions: self.actions.as_toml().map(str::to_owned),
            ..TapeHeader::new(&self.out)
        }
    }
}

/// Why a capture is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The stop key, or whoever watches it.
    Stopped,
    /// It is as long as planned.
    Length,
    /// The window is gone.
    WindowClosed,
    /// The window has this width and height now.
    WindowResized([u32; 2]),
    /// The display has gone, or the disk is full: in their words.
    Failed(String),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => write!(f, "stopped"),
            Self::Length => write!(f, "finished"),
            Self::WindowClosed => write!(f, "the window was closed"),
            Self::WindowResized([width, height]) => {
                write!(f, "the window was resized to {width}×{height}")
            }
            Self::Failed(what) => write!(f, "ended early: {what}"),
        }
    }
}

/// What a capture is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It records.
    Recording,
    /// It was paused by its key.
    Paused,
    /// It waits until the window has the focus.
    Unfocused,
}

/// How far a capture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub activity: Activity,
    /// Frames recorded.
    pub frames: u64,
    /// Frames that were not taken in their time.
    pub lost: u64,
}

/// A capture that is over, in its journal.
#[derive(Debug)]
pub struct Captured {
    /// Why it is over.
    pub end: End,
    /// Frames recorded.
    pub frames: u64,
    journal: PathBuf,
}

impl Captured {
    /// The journal.
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// Opens the journal.
    ///
    /// # Errors
    /// Returns an error if it cannot be read.
    pub fn open(&self) -> Result<JournalReader> {
        Ok(JournalReader::open(&self.journal)?)
    }
}

/// Captures until something ends it. `watch` is called for each frame that is due; it stops the capture by returning
/// `false`.
///
/// Each frame has the keys that were down when its picture was taken, or were pressed since the frame before. A pause,
/// another window with the focus and lost frames begin a new episode.
///
/// # Errors
/// Returns an error if the plan cannot be carried out ([`CapturePlan::check`]) or the journal cannot be created. What
/// happens later ends the capture: [`Captured::end`].
pub fn record(
    source: &mut dyn CaptureSource,
    clock: &dyn Clock,
    plan: &CapturePlan,
    watch: &mut dyn FnMut(Progress) -> bool,
) -> Result<Captured> {
    plan.check()?;
    let tape = tape::create(&plan.journal, &plan.header())?;
    let mut recorder = Recorder {
        plan,
        tape,
        start: clock.now(),
        schedule: Schedule::new(plan.fps, clock.now()),
        picture: Picture::default(),
        paused: false,
        next_cut: Some(Cut::Start),
        episode_frames: 0,
        frames: 0,
        lost: 0,
    };
    let end = loop {
        if let Some(end) = recorder.step(source, clock, watch) {
            break end;
        }
    };
    let journal = recorder.tape.path().to_path_buf();
    Ok(Captured {
        end,
        frames: recorder.frames,
        journal,
    })
}

/// The state of a capture.
struct Recorder<'a> {
    plan: &'a CapturePlan,
    tape: Journal,
    start: Duration,
    schedule: Schedule,
    picture: Picture,
    paused: bool,
    /// Why the next frame begins an episode, if it does.
    next_cut: Option<Cut>,
    /// Frames of the current episode.
    episode_frames: usize,
    frames: u64,
    lost: u64,
}

impl Recorder<'_> {
    /// Waits for the next frame and records it. Returns why the capture is over, if it is.
    fn step(
        &mut self,
        source: &mut dyn CaptureSource,
        clock: &dyn Clock,
        watch: &mut dyn FnMut(Progress) -> bool,
    ) -> Option<End> {
        clock.wait_until(self.schedule.due());
        let moment = match source.look(&mut self.picture) {
            Ok(moment) => moment,
            Err(error) => return Some(End::Failed(error.to_string())),
        };
        let now = clock.now();
        let missed = self.schedule.reach(now);
        match moment.state {
            WindowState::Closed => return Some(End::WindowClosed),
            WindowState::Resized(size) => return Some(End::WindowResized(size)),
            WindowState::Focused | WindowState::Unfocused => {}
        }
        if moment.stop {
            return Some(End::Stopped);
        }
        if moment.pauses % 2 == 1 {
            self.paused = !self.paused;
            // Pressing the key has taken the focus for a moment.
            self.next_cut = self
                .next_cut
                .filter(|cut| *cut == Cut::Start)
                .or(Some(Cut::Pause));
        }
        let activity = match moment.state {
            _ if self.paused => Activity::Paused,
            WindowState::Focused => Activity::Recording,
            _ => Activity::Unfocused,
        };
        match activity {
            Activity::Recording => self.append(&moment, now, missed),
            Activity::Unfocused => self.cut(Cut::Focus),
            Activity::Paused => {}
        }
        self.schedule.advance();
        if let Some(error) = self.tape.failure() {
            return Some(End::Failed(error.to_string()));
        }
        let (frames, lost) = (self.frames, self.lost);
        let goes_on = watch(Progress {
            activity,
            frames,
            lost,
        });
        let is_long =
            |length: Duration| frames as f64 >= length.as_secs_f64() * f64::from(self.plan.fps);
        if !goes_on {
            return Some(End::Stopped);
        }
        let is_over = self.plan.length.is_some_and(is_long);
        is_over.then_some(End::Length)
    }

    /// The next frame begins an episode. The first reason counts.
    fn cut(&mut self, why: Cut) {
        self.next_cut.get_or_insert(why);
    }

    /// Records a frame that was taken at `now`, `missed` frames after the one before it.
    fn append(&mut self, moment: &Moment, now: Duration, missed: u64) {
        let mut lost = 0;
        if missed > 0 && self.next_cut.is_none() {
            lost = missed;
            self.cut(Cut::Lost);
        }
        if self.episode_frames >= self.plan.episode_frames {
            self.cut(Cut::Length);
        }
        if let Some(cut) = self.next_cut.take() {
            let lost_before = u32::try_from(lost).unwrap_or(u32::MAX);
            self.tape.append(&tape::episode(cut, lost_before));
            self.episode_frames = 0;
        }
        let from = [self.picture.height, self.picture.width];
        self.tape.append(&tape::frame(&TapeFrame {
            held: moment.held,
            time: now.saturating_sub(self.start).as_secs_f64(),
            late: now.saturating_sub(self.schedule.due()).as_secs_f32(),
            mouse: moment.mouse,
            image: resize_frames(&self.picture.rgb, from, self.plan.size),
        }));
        self.episode_frames += 1;
        self.frames += 1;
        self.lost += lost;
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
