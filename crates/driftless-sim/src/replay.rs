//! A recorded session played again, frame by frame, and compared with what was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::columns::{Columns, ENGINE, WORLD};
use super::headless::frame;
use super::{Player, Session};
use crate::{Error, Result};
use driftless_data::Clip;
use driftless_data::Episode;
use driftless_data::PathError as _;
use driftless_data::metrics::psnr;
use driftless_engine::SamplerParams;

/// A session, and what led to each of its frames.
pub struct Recording {
    path: PathBuf,
    episode: Episode,
    moves: Vec<Move>,
    world: Option<String>,
    engine: Option<String>,
    simulated: bool,
    /// The clips that were started from; empty where the session does not hold them.
    starts: Vec<Clip>,
}

/// What led to a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Move {
    /// Frames since the reset; 0 of a start.
    number: u64,
    /// The frame that it follows; none of a start.
    follows: Option<usize>,
    /// Index of the starting context as it was recorded.
    context: usize,
    /// What a player has to start from.
    start: usize,
    params: SamplerParams,
}

impl Recording {
    /// Reads a session as `driftless play --record` writes it.
    ///
    /// # Errors
    /// The file is missing or no session; an array is missing or holds what cannot be; the session
    /// begins or goes on in the middle of a game.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(path, Episode::read(path)?)
    }

    /// The same of a session in memory that belongs to `path`.
    ///
    /// # Errors
    /// As [`Recording::read`].
    pub fn of(path: &Path, episode: Episode) -> Result<Self> {
        let columns = Columns {
            path,
            episode: &episode,
        };
        let simulated = !columns.has("steps");
        let clips = columns.starts()?;
        let mut moves: Vec<Move> = Vec::with_capacity(episode.frames());
        for t in 0..episode.frames() {
            let number = columns.count("number", t)? as u64;
            let follows = match number {
                0 => None,
                _ => columns.follows(t)?,
            };
            let before = follows.and_then(|at| moves.get(at)).map(|m| m.number);
            if number != 0 && before.is_none_or(|before| number != before + 1) {
                let what = match before {
                    None => format!("begins with {number}, in the middle of a game, expected 0"),
                    Some(before) => format!(
                        "frame {t} has number {number} after {before}, expected {} or 0",
                        before + 1
                    ),
                };
                return Err(columns.error("number", &what));
            }
            let context = columns.count("context", t)?;
            let start = match clips.is_empty() {
                true => context,
                false => clips.keys().position(|&of| of == context).ok_or_else(|| {
                    let what =
                        format!("frame {t} is of context {context}, whose frames are missing");
                    columns.error("context", &what)
                })?,
            };
            moves.push(match simulated {
                // The seed is that of the world itself, whichever start of whichever seed it was.
                true => Move {
                    number,
                    follows,
                    context,
                    start: 0,
                    params: SamplerParams {
                        seed: columns.seed(t)?,
                        ..SamplerParams::default()
                    },
                },
                false => Move {
                    number,
                    follows,
                    context,
                    start,
                    params: columns.sampled(t)?,
                },
            });
        }
        Ok(Self {
            world: columns.text(WORLD)?,
            engine: columns.text(ENGINE)?,
            path: path.to_path_buf(),
            moves,
            simulated,
            starts: clips.into_values().collect(),
            episode,
        })
    }

    /// What was recorded.
    pub fn episode(&self) -> &Episode {
        &self.episode
    }

    /// The world's name, where the session tells it.
    pub fn world(&self) -> Option<&str> {
        self.world.as_deref()
    }

    /// Whether a simulator was played.
    pub fn simulated(&self) -> bool {
        self.simulated
    }

    /// The starting contexts that a [`super::Dream`] plays it from: those of the session, or the
    /// world's `own` where it holds none.
    ///
    /// # Errors
    /// As `own`.
    pub fn contexts(&self, own: impl FnOnce() -> Result<Vec<Clip>>) -> Result<Vec<Clip>> {
        match self.starts.is_empty() {
            true => own(),
            false => Ok(self.starts.clone()),
        }
    }

    /// Plays the session again; `kept` records it, and `tick` is called after each frame.
    ///
    /// # Errors
    /// The frames are of another size, an action or a parameter does not fit the world, or the
    /// device failed.
    pub fn replay(
        &self,
        player: &mut dyn Player,
        mut kept: Option<&mut Session>,
        tick: &mut dyn FnMut(),
    ) -> Result<Report> {
        let size = [self.episode.height, self.episode.width];
        if player.image_size() != size {
            let ([h, w], [height, width]) = (size, player.image_size());
            let what = format!("frames are {h}×{w}, those of this world {height}×{width}");
            return Err(Error::invalid(&self.path, what));
        }
        let mut report = Report {
            frames: self.moves.len(),
            identical: 0,
            first: None,
            recorded: Made {
                world: self.world.clone(),
                engine: self.engine.clone(),
            },
            replayed: Made {
                world: Some(player.world()),
                engine: Some(player.name().to_owned()),
            },
            own_contexts: !self.simulated && self.starts.is_empty(),
        };
        // Where the player went back to.
        let jumps = |(t, made): (usize, &Move)| made.follows.filter(|before| before + 1 != t);
        let left: BTreeSet<usize> = self.moves.iter().enumerate().filter_map(jumps).collect();
        let mut saved = BTreeMap::new();
        for (t, made) in self.moves.iter().enumerate() {
            if let Some(back) = made.follows.filter(|before| before + 1 != t)
                && let Some(there) = saved.get(&back)
            {
                player.restore(there)?;
            }
            let action = self.episode.actions[t];
            let done = match made.number {
                0 => player.start(made.start, &made.params),
                _ => player.step(action, &made.params).map(|_| ()),
            };
            done.map_err(|e| match e {
                e if e.is_argument() => Error::invalid(&self.path, format!("frame {t}: {e}")),
                other => other,
            })?;
            if let Some(session) = &mut kept {
                let again = frame(player, made.number, made.context, action, &made.params)?;
                session.append(&again, player)?;
            }
            report.compare(t, made.number, player.image()?, self.episode.frame(t));
            if left.contains(&t) {
                saved.insert(t, player.snapshot()?);
            }
            tick();
        }
        Ok(report)
    }
}

/// What a session came to when it was played again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Frames of the session.
    pub frames: usize,
    /// Frames that are the recorded ones, bit for bit.
    pub identical: usize,
    /// The first one that is not.
    pub first: Option<Difference>,
    /// How it was recorded, as far as the session tells.
    pub recorded: Made,
    /// How it was played again.
    pub replayed: Made,
    /// Whether it began from the world's own contexts since the session holds none.
    pub own_contexts: bool,
}

/// What made frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The world's name.
    pub world: Option<String>,
    /// The engine's, or several where one went on for another.
    pub engine: Option<String>,
}

/// A frame that differs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its place in the session.
    pub frame: usize,
    /// Frames since the reset before it.
    pub number: u64,
    /// PSNR against the recorded frame in dB.
    pub psnr: f64,
}

impl Report {
    /// Whether the session was replayed to the bit.
    pub fn is_identical(&self) -> bool {
        self.first.is_none()
    }

    fn compare(&mut self, frame: usize, number: u64, played: &[u8], recorded: &[u8]) {
        if played == recorded {
            self.identical += 1;
        } else if self.first.is_none() {
            self.first = psnr(played, recorded).map(|psnr| Difference {
                frame,
                number,
                psnr,
            });
        }
    }
}

impl fmt::Display for Report {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} frames are identical",
            self.identical, self.frames
        )?;
        let Some(Difference {
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
        if number == 0 && self.own_contexts {
            write!(
                f,
                "; the session does not hold its starting contexts, and this is none of the world's"
            )?;
        }
        let Made { world, engine } = &self.recorded;
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
