//! Plays a recorded session again and compares it, frame by frame, with the recording.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use driftless_data::metrics::psnr;
use driftless_data::{Clip, Episode, PathError as _};
use driftless_engine::SamplerParams;

use super::columns::{Columns, ENGINE, WORLD};
use super::headless::frame;
use super::{Game, Player, Session};
use crate::{Error, Result};

/// A recorded session, and what led to each of its frames.
pub struct RecordedSession {
    path: PathBuf,
    episode: Episode,
    frames: Vec<RecordedFrame>,
    world: Option<String>,
    engine: Option<String>,
    simulated: bool,
    /// The starting clips; empty if the session holds none.
    starts: Vec<Clip>,
    /// How they came about, by their place in `starts`.
    notes: BTreeMap<usize, Value>,
}

/// What led to a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RecordedFrame {
    /// Frames since the reset; 0 for a starting frame.
    number: u64,
    /// Index of the frame that it follows; `None` for a starting frame.
    follows: Option<usize>,
    /// Index of the starting clip as it was recorded.
    clip: usize,
    /// Index of the starting clip in the player that replays the session.
    start: usize,
    params: SamplerParams,
}

impl RecordedSession {
    /// Reads a session that `driftless play --record` has written.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, if an array is missing or holds an invalid
    /// value, or if a frame does not continue the one that it follows.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(path, Episode::read(path)?)
    }

    /// Uses a session in memory; `path` names it in error messages.
    ///
    /// # Errors
    /// As [`RecordedSession::read`], except for reading the file.
    pub fn of(path: &Path, episode: Episode) -> Result<Self> {
        let columns = Columns {
            path,
            episode: &episode,
        };
        let simulated = !columns.has("steps");
        let clips = columns.starts()?;
        let recorded = columns.start_notes()?;
        let notes = clips.keys().enumerate();
        let notes = notes.filter_map(|(place, index)| Some((place, recorded.get(index)?.clone())));
        let mut frames: Vec<RecordedFrame> = Vec::with_capacity(episode.frames());
        for t in 0..episode.frames() {
            let (number, follows) = read_order(&columns, &frames, t)?;
            let clip = columns.count("context", t)?;
            let start = start_index(&columns, &clips, t, clip)?;
            let (start, params) = if simulated {
                // The seed is the world's own, whatever the clip and the session's seed were.
                let params = SamplerParams {
                    seed: columns.seed(t)?,
                    ..SamplerParams::default()
                };
                (0, params)
            } else {
                (start, columns.sampler_params(t)?)
            };
            frames.push(RecordedFrame {
                number,
                follows,
                clip,
                start,
                params,
            });
        }
        Ok(Self {
            world: columns.text(WORLD)?,
            engine: columns.text(ENGINE)?,
            path: path.to_path_buf(),
            frames,
            simulated,
            notes: notes.collect(),
            starts: clips.into_values().collect(),
            episode,
        })
    }

    /// What is needed to play the session's last game again: from its last start to its last frame.
    ///
    /// # Errors
    /// Returns an error if a simulator was played, or if the session holds no starting clip.
    pub fn game(&self) -> Result<Game> {
        let missing = |what: &str| Error::invalid(&self.path, what);
        if self.simulated {
            return Err(missing(
                "was played in a simulator, expected a session of a learned world",
            ));
        }
        // Backward, because the session may hold frames of other branches in between.
        let mut frames = Vec::new();
        let mut at = self.frames.len().checked_sub(1);
        while let Some((t, frame)) = at.and_then(|t| Some((t, self.frames.get(t)?))) {
            frames.push((self.episode.action(t), frame));
            at = frame.follows;
        }
        frames.reverse();
        let (start, rest) = frames
            .split_first()
            .ok_or_else(|| missing("holds no frames"))?;
        let clip = self.starts.get(start.1.start);
        let clip = clip.ok_or_else(|| missing("does not hold the clip that it starts from"))?;
        let made = rest.iter().map(|(action, frame)| (*action, frame.params));
        Ok(Game::new(clip.clone(), start.1.params, made))
    }

    /// What was recorded.
    pub fn episode(&self) -> &Episode {
        &self.episode
    }

    /// The world's name, if the session holds it.
    pub fn world(&self) -> Option<&str> {
        self.world.as_deref()
    }

    /// Whether a simulator was played.
    pub fn simulated(&self) -> bool {
        self.simulated
    }

    /// The starting clips for a [`super::LearnedWorld`] that replays the session: the session's
    /// own, or the `fallback` ones if it holds none.
    ///
    /// # Errors
    /// Returns an error if `fallback` does.
    pub fn clips(&self, fallback: impl FnOnce() -> Result<Vec<Clip>>) -> Result<Vec<Clip>> {
        if self.starts.is_empty() {
            fallback()
        } else {
            Ok(self.starts.clone())
        }
    }

    /// How the starting clips of [`Self::clips`] came about, as far as the session tells.
    pub fn start_notes(&self) -> &BTreeMap<usize, Value> {
        &self.notes
    }

    /// Plays the session again, recording it into `session` if there is one. Calls `tick` after each
    /// frame.
    ///
    /// # Errors
    /// Returns an error if the frame size differs, if an action or a parameter does not fit the
    /// world, or if the device fails.
    pub fn replay(
        &self,
        player: &mut dyn Player,
        mut session: Option<&mut Session>,
        tick: &mut dyn FnMut(),
    ) -> Result<ReplayReport> {
        self.check_image_size(player)?;
        let mut report = ReplayReport {
            frames: self.frames.len(),
            identical: 0,
            first: None,
            recorded: Provenance {
                world: self.world.clone(),
                engine: self.engine.clone(),
            },
            replayed: Provenance {
                world: Some(player.world()),
                engine: Some(player.name().to_owned()),
            },
            own_clips: !self.simulated && self.starts.is_empty(),
        };
        // Frames to which the user went back.
        let rewinds = |(t, recorded)| rewind_target(t, recorded);
        let targets: BTreeSet<usize> = self.frames.iter().enumerate().filter_map(rewinds).collect();
        let mut snapshots = BTreeMap::new();
        for (t, recorded) in self.frames.iter().enumerate() {
            let target = rewind_target(t, recorded);
            if let Some(snapshot) = target.and_then(|target| snapshots.get(&target)) {
                player.restore(snapshot)?;
            }
            self.make_frame(player, t, recorded)?;
            if let Some(session) = &mut session {
                let (number, clip) = (recorded.number, recorded.clip);
                let action = self.episode.action(t);
                let replayed = frame(player, number, clip, action, &recorded.params)?;
                session.append(&replayed, player)?;
            }
            report.compare(t, recorded.number, player.image()?, self.episode.frame(t));
            if targets.contains(&t) {
                snapshots.insert(t, player.snapshot()?);
            }
            tick();
        }
        Ok(report)
    }

    fn check_image_size(&self, player: &dyn Player) -> Result<()> {
        let [h, w] = [self.episode.height, self.episode.width];
        let [height, width] = player.image_size();
        if [h, w] != [height, width] {
            let what = format!("frames are {h}×{w}, expected {height}×{width} for this world");
            return Err(Error::invalid(&self.path, what));
        }
        Ok(())
    }

    fn make_frame(
        &self,
        player: &mut dyn Player,
        t: usize,
        recorded: &RecordedFrame,
    ) -> Result<()> {
        let made = if recorded.number == 0 {
            player.start(recorded.start, &recorded.params)
        } else {
            let action = self.episode.action(t);
            player.step(action, &recorded.params).map(drop)
        };
        made.map_err(|e| {
            if e.is_argument() || e.is_clip() {
                Error::invalid(&self.path, format!("frame {t}: {e}"))
            } else {
                e
            }
        })
    }
}

/// The number of frame `t` and the frame that it follows, given the frames before it.
fn read_order(
    columns: &Columns,
    frames: &[RecordedFrame],
    t: usize,
) -> Result<(u64, Option<usize>)> {
    let number = columns.count("number", t)? as u64;
    if number == 0 {
        return Ok((number, None));
    }
    let follows = columns.follows(t)?;
    let before = follows.and_then(|index| frames.get(index));
    let Some(RecordedFrame { number: before, .. }) = before else {
        let what = format!("starts with {number}, in the middle of an episode, expected 0");
        return Err(columns.error("number", &what));
    };
    let expected = before + 1;
    if number != expected {
        let what =
            format!("frame {t} has number {number} after {before}, expected {expected} or 0");
        return Err(columns.error("number", &what));
    }
    Ok((number, follows))
}

/// Where frame `t`'s starting clip is among the session's clips; its index in the world if the session holds none.
fn start_index(
    columns: &Columns,
    clips: &BTreeMap<usize, Clip>,
    t: usize,
    clip: usize,
) -> Result<usize> {
    if clips.is_empty() {
        return Ok(clip);
    }
    clips
        .keys()
        .position(|&index| index == clip)
        .ok_or_else(|| {
            let what = format!("frame {t} starts from clip {clip}, which is missing");
            columns.error("context", &what)
        })
}

/// The frame that frame `t` follows, if that is not the previous one.
fn rewind_target(t: usize, recorded: &RecordedFrame) -> Option<usize> {
    recorded.follows.filter(|before| before + 1 != t)
}

/// The result of a replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplayReport {
    /// Frames of the session.
    pub frames: usize,
    /// Frames that are identical to the recorded ones, bit for bit.
    pub identical: usize,
    /// The first frame that is not.
    pub first: Option<FrameDifference>,
    /// World and engine of the recording.
    pub recorded: Provenance,
    /// World and engine of the replay.
    pub replayed: Provenance,
    /// Whether the replay used the world's own starting clips, because the session holds none.
    #[serde(rename = "own_contexts")]
    pub own_clips: bool,
}

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// The world's name; `None` if unknown.
    pub world: Option<String>,
    /// The engine's name, or several if one took over from another; `None` if unknown.
    pub engine: Option<String>,
}

/// A replayed frame that differs from the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FrameDifference {
    /// Its index in the session.
    pub frame: usize,
    /// Frames since the reset.
    pub number: u64,
    /// PSNR against the recorded frame in dB.
    pub psnr: f64,
}

impl ReplayReport {
    /// Whether all frames are bit-identical.
    pub fn is_identical(&self) -> bool {
        self.first.is_none()
    }

    fn compare(&mut self, frame: usize, number: u64, played: &[u8], recorded: &[u8]) {
        if played == recorded {
            self.identical += 1;
        } else if self.first.is_none() {
            self.first = psnr(played, recorded).map(|psnr| FrameDifference {
                frame,
                number,
                psnr,
            });
        }
    }
}

impl fmt::Display for ReplayReport {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} frames are identical",
            self.identical, self.frames
        )?;
        let Some(FrameDifference {
            frame,
            number,
            psnr,
        }) = self.first
        else {
            return Ok(());
        };
        write!(
            f,
            "; the first that differs is frame {frame} ({number} after its start), {psnr:.1} dB"
        )?;
        if number == 0 && self.own_clips {
            write!(
                f,
                "; the session does not hold its starting clips, and the world's own differ"
            )?;
        }
        let Provenance { world, engine } = &self.recorded;
        let pairs = [
            (world, &self.replayed.world),
            (engine, &self.replayed.engine),
        ];
        for (recorded, replayed) in pairs {
            if let (Some(recorded), Some(replayed)) = (recorded, replayed)
                && recorded != replayed
            {
                write!(f, "; recorded with {recorded}, replayed with {replayed}")?;
            }
        }
        Ok(())
    }
}
