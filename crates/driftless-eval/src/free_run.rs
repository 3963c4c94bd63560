//! Free runs: does a long rollout under random held actions still look like the game?

use serde::Serialize;

use driftless_data::Episode;
use driftless_data::metrics::{fraction, median};
use driftless_engine::rollout::{evenly_spaced, random_held_actions, windows};
use driftless_engine::{Sampler, SamplerParams, latent_difference, reencoding_error};

use super::holes::{HoleReport, HoleTracker};
use super::object_truth;
use super::objects::{DetectedObjects, Game};
use super::options::{EvalOptions, EvalProgress};
use crate::Result;

/// Number of held-out frames per episode that are re-encoded.
const REENCODED: usize = 100;

/// Fractions of frames that show each object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ObjectPresence {
    /// Number of frames.
    pub frames: usize,
    /// Fraction with the player's paddle.
    pub player: Option<f64>,
    /// Fraction with the enemy's paddle.
    pub enemy: Option<f64>,
    /// Fraction with exactly one ball.
    pub one_ball: Option<f64>,
    /// Fraction with more than one ball.
    pub more_balls: Option<f64>,
}

/// The predicted frames `from..=to` of all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FreeRunBin {
    /// First frame after the starting clip, from 1.
    pub from: usize,
    /// Last frame.
    pub to: usize,
    /// What they show; empty for worlds without known objects.
    #[serde(flatten)]
    pub presence: ObjectPresence,
    /// Re-encoding error: root mean square difference between the latent that a frame was decoded
    /// from and the latent that the tokenizer encodes it to.
    pub reencoding: Option<f64>,
}

/// Free runs compared with held-out frames.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FreeRunReport {
    /// Denoise passes per frame.
    pub steps: usize,
    /// Number of runs, each from another starting clip.
    pub runs: usize,
    /// Frames per run.
    pub frames: usize,
    /// Median change between consecutive frames, in grey levels; 0 if the run is frozen.
    pub change: Option<f64>,
    /// The same in the held-out frames.
    pub real_change: Option<f64>,
    /// What the held-out frames show; `None` for worlds without known objects.
    pub real: Option<ObjectPresence>,
    /// Root mean square difference, over standardized latents, between a held-out frame's latent
    /// and the latent of its reconstruction: the lower bound of the re-encoding error.
    pub real_reencoding: Option<f64>,
    /// What the runs show, bin by bin.
    pub bins: Vec<FreeRunBin>,
    /// Holes in Breakout's bricks; `None` for other worlds.
    pub holes: Option<HoleReport>,
    /// The same in the held-out frames.
    pub real_holes: Option<HoleReport>,
}

/// Numbers of frames that show each object.
#[derive(Clone, Copy, Debug, Default)]
struct ObjectCounts {
    frames: usize,
    player: usize,
    enemy: usize,
    one_ball: usize,
    more_balls: usize,
}

/// Running sums of a bin.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    counts: ObjectCounts,
    squared_error: f64,
    frames: usize,
}

impl Bin {
    /// Adds a frame's re-encoding error.
    fn add_error(&mut self, error: f64) {
        self.squared_error += error.powi(2);
        self.frames += 1;
    }

    /// Root mean square error over the frames, whose latents all have the same size.
    fn reencoding(&self) -> Option<f64> {
        (self.frames > 0).then(|| (self.squared_error / self.frames as f64).sqrt())
    }
}

impl ObjectCounts {
    fn add(&mut self, found: &DetectedObjects) {
        self.frames += 1;
        self.player += usize::from(found.player.is_some());
        self.enemy += usize::from(found.enemy.is_some());
        self.one_ball += usize::from(found.balls.len() == 1);
        self.more_balls += usize::from(found.balls.len() > 1);
    }

    fn presence(&self) -> ObjectPresence {
        ObjectPresence {
            frames: self.frames,
            player: fraction(self.player, self.frames),
            enemy: fraction(self.enemy, self.frames),
            one_ball: fraction(self.one_ball, self.frames),
            more_balls: fraction(self.more_balls, self.frames),
        }
    }
}

/// Makes and measures the free runs. Also returns frames of each run for its contact sheet, one
/// every [`EvalOptions::picture_interval`].
pub(crate) fn measure(
    engine: &mut Sampler,
    episodes: &[Episode],
    options: &EvalOptions,
    progress: &mut EvalProgress,
) -> Result<(FreeRunReport, Vec<Vec<u8>>)> {
    let game = object_truth::game(episodes);
    let steps = options.main_steps();
    let starts = windows(episodes, options.clip_frames, options.free_runs)?;
    let mut measurements = Measurements::new(game, options);
    for (run, start) in starts.iter().enumerate() {
        let Some(episode) = episodes.get(start.episode) else {
            continue;
        };
        let params = SamplerParams {
            steps,
            seed: options.params.seed.wrapping_add(run as u64),
            ..options.params
        };
        let clip = episode.clip(start.start..start.start + options.clip_frames);
        engine.reset(&clip, &params)?;
        measurements.run(engine, options, &params, progress)?;
    }
    let report = FreeRunReport {
        steps,
        runs: starts.len(),
        frames: options.free_frames,
        change: median(&measurements.changes),
        real_change: median(&real_changes(episodes)),
        real: game.map(|game| real_presence(episodes, game)),
        real_reencoding: real_reencoding(engine, episodes)?,
        bins: measurements.bins(options.free_frames),
        holes: measurements.holes,
        real_holes: (game == Some(Game::Breakout)).then(|| real_holes(episodes)),
    };
    Ok((report, measurements.pictures))
}

/// What the free runs so far showed.
struct Measurements {
    game: Option<Game>,
    bin_size: usize,
    bins: Vec<Bin>,
    /// Change between consecutive frames, in grey levels.
    changes: Vec<f64>,
    /// Frames for the contact sheet of each run.
    pictures: Vec<Vec<u8>>,
    /// Holes in Breakout's bricks.
    holes: Option<HoleReport>,
}

impl Measurements {
    fn new(game: Option<Game>, options: &EvalOptions) -> Self {
        let bin_size = options.free_bin.max(1);
        Self {
            game,
            bin_size,
            bins: vec![Bin::default(); options.free_frames.div_ceil(bin_size)],
            changes: Vec::new(),
            pictures: Vec::new(),
            holes: (game == Some(Game::Breakout)).then(HoleReport::default),
        }
    }

    /// Makes one run from the engine's present state.
    fn run(
        &mut self,
        engine: &mut Sampler,
        options: &EvalOptions,
        params: &SamplerParams,
        progress: &mut EvalProgress,
    ) -> Result<()> {
        let (kinds, axes) = (engine.world().actions.len(), engine.world().axes.len());
        let actions = random_held_actions(options.free_frames, kinds, axes, params.seed);
        let mut pictures = Vec::new();
        let mut last = engine.image()?.to_vec();
        let mut holes = self.holes.map(|_| HoleTracker::new());
        for (t, action) in actions.into_iter().enumerate() {
            engine.step(action, params)?;
            progress.advance(1);
            let image = engine.image()?;
            self.changes.push(image_change(&last, image));
            last.copy_from_slice(image);
            if let Some(holes) = &mut holes {
                holes.add(image);
            }
            if (t + 1).is_multiple_of(options.picture_interval()) {
                pictures.extend_from_slice(image);
            }
            let error = reencoding_error(engine)?;
            if let Some(bin) = self.bins.get_mut(t / self.bin_size) {
                bin.add_error(error.into());
                if let Some(game) = self.game {
                    bin.counts.add(&game.find(&last));
                }
            }
        }
        self.pictures.push(pictures);
        if let (Some(all), Some(holes)) = (&mut self.holes, holes) {
            *all = all.merge(holes.finish());
        }
        Ok(())
    }

    /// The bins of runs of `frames` frames.
    fn bins(&self, frames: usize) -> Vec<FreeRunBin> {
        let bins = self.bins.iter().enumerate().map(|(i, bin)| FreeRunBin {
            from: i * self.bin_size + 1,
            to: ((i + 1) * self.bin_size).min(frames),
            presence: bin.counts.presence(),
            reencoding: bin.reencoding(),
        });
        bins.collect()
    }
}

/// The re-encoding error of held-out frames, spread evenly over each episode.
fn real_reencoding(engine: &mut Sampler, episodes: &[Episode]) -> Result<Option<f64>> {
    let mut bin = Bin::default();
    for episode in episodes {
        for t in evenly_spaced(episode.frames(), REENCODED) {
            let latent = engine.encode(episode.frame(t))?;
            let reconstruction = engine.reconstruct(episode.frame(t))?;
            bin.add_error(latent_difference(&latent, &engine.encode(&reconstruction)?));
        }
    }
    Ok(bin.reencoding())
}

fn real_holes(episodes: &[Episode]) -> HoleReport {
    let holes = episodes.iter().map(|episode| {
        let mut holes = HoleTracker::new();
        (0..episode.frames()).for_each(|t| holes.add(episode.frame(t)));
        holes.finish()
    });
    holes.fold(HoleReport::default(), HoleReport::merge)
}

fn real_presence(episodes: &[Episode], game: Game) -> ObjectPresence {
    let mut counts = ObjectCounts::default();
    for episode in episodes {
        (0..episode.frames()).for_each(|t| counts.add(&game.find(episode.frame(t))));
    }
    counts.presence()
}

/// Mean absolute difference of two images, in grey levels.
fn image_change(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / a.len().max(1) as f64
}

fn real_changes(episodes: &[Episode]) -> Vec<f64> {
    episodes
        .iter()
        .flat_map(|e| (1..e.frames()).map(|t| image_change(e.frame(t - 1), e.frame(t))))
        .collect()
}
