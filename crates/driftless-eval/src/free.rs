//! Free running: does a long dream under random held keys still look like the game?

use serde::Serialize;

use super::objects::{Game, Objects};
use super::report::{Options, Progress};
use super::truth;
use crate::Result;
use driftless_data::Episode;
use driftless_data::metrics::{median, share};
use driftless_engine::rollout::{evenly, held_actions, windows};
use driftless_engine::{Engine, SamplerParams, latent_difference, reencoding_error};

/// Held-out frames of each episode that are re-encoded.
const REENCODED: usize = 100;

/// Shares of frames that show each object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Presence {
    /// Frames counted.
    pub frames: usize,
    /// Share with the player's paddle.
    pub player: Option<f64>,
    /// Share with the enemy's paddle.
    pub enemy: Option<f64>,
    /// Share with exactly one ball.
    pub one_ball: Option<f64>,
    /// Share with more than one ball.
    pub more_balls: Option<f64>,
}

/// The dreams' frames `from..=to`, over all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FreeBin {
    /// First frame after the context, from 1.
    pub from: usize,
    /// Last frame.
    pub to: usize,
    /// What they show; nothing counted for worlds without known objects.
    #[serde(flatten)]
    pub presence: Presence,
    /// How far the tokenizer takes their pictures from the latents they were drawn from.
    pub reencoding: Option<f64>,
}

/// Free runs beside the real game.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FreeReport {
    /// Denoise passes a frame.
    pub steps: usize,
    /// Runs, each from another start.
    pub runs: usize,
    /// Frames a run.
    pub frames: usize,
    /// Median change between two frames in a row, in grey levels: a frozen dream has none.
    pub change: Option<f64>,
    /// The same in the held-out frames.
    pub real_change: Option<f64>,
    /// What the held-out frames show; none for worlds without known objects.
    pub real: Option<Presence>,
    /// Root mean square difference, over standardised latents, between a held-out frame's latent
    /// and the latent of its reconstruction: the least that re-encoding costs.
    pub real_reencoding: Option<f64>,
    /// What the dreams show, bin by bin.
    pub bins: Vec<FreeBin>,
}

/// A count of frames by what they show.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    frames: usize,
    player: usize,
    enemy: usize,
    one_ball: usize,
    more_balls: usize,
}

/// What a bin gathers.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    count: Count,
    squares: f64,
    frames: usize,
}

impl Bin {
    /// Adds a frame's re-encoding error.
    fn add_error(&mut self, error: f64) {
        self.squares += error.powi(2);
        self.frames += 1;
    }

    /// Root mean square over the frames, which are all of one size.
    fn reencoding(&self) -> Option<f64> {
        (self.frames > 0).then(|| (self.squares / self.frames as f64).sqrt())
    }
}

impl Count {
    fn add(&mut self, found: &Objects) {
        self.frames += 1;
        self.player += usize::from(found.player.is_some());
        self.enemy += usize::from(found.enemy.is_some());
        self.one_ball += usize::from(found.balls.len() == 1);
        self.more_balls += usize::from(found.balls.len() > 1);
    }

    fn presence(&self) -> Presence {
        Presence {
            frames: self.frames,
            player: share(self.player, self.frames),
            enemy: share(self.enemy, self.frames),
            one_ball: share(self.one_ball, self.frames),
            more_balls: share(self.more_balls, self.frames),
        }
    }
}

/// Dreams and counts. Returns the frames of the first run too, one in `PICTURE_EVERY`, for pictures.
pub(crate) fn measure(
    engine: &mut dyn Engine,
    episodes: &[Episode],
    options: &Options,
    progress: &mut Progress,
) -> Result<(FreeReport, Vec<Vec<u8>>)> {
    let game = truth::game(episodes);
    let steps = options.main_steps();
    let kinds = engine.world().actions.len();
    let size = options.free_bin.max(1);
    let mut bins = vec![Bin::default(); options.free_frames.div_ceil(size)];
    let mut changes = Vec::new();
    let mut pictures = Vec::new();
    let starts = windows(episodes, options.context, options.free_runs)?;
    for (run, start) in starts.iter().enumerate() {
        let Some(episode) = episodes.get(start.episode) else {
            continue;
        };
        let params = SamplerParams {
            steps,
            seed: options.params.seed.wrapping_add(run as u64),
            ..options.params
        };
        engine.reset(
            &episode.clip(start.start..start.start + options.context),
            &params,
        )?;
        let mut kept = Vec::new();
        let mut last = engine.image()?.to_vec();
        for (t, action) in held_actions(options.free_frames, kinds, params.seed)
            .into_iter()
            .enumerate()
        {
            engine.step(action, &params)?;
            progress.tick(1);
            let image = engine.image()?;
            changes.push(change(&last, image));
            last.copy_from_slice(image);
            if (t + 1) % options.picture_every() == 0 {
                kept.extend_from_slice(image);
            }
            let error = reencoding_error(engine)?;
            if let Some(bin) = bins.get_mut(t / size) {
                bin.add_error(error.into());
                if let Some(game) = game {
                    bin.count.add(&game.find(&last));
                }
            }
        }
        pictures.push(kept);
    }
    let bins = bins.iter().enumerate().map(|(i, bin)| FreeBin {
        from: i * size + 1,
        to: ((i + 1) * size).min(options.free_frames),
        presence: bin.count.presence(),
        reencoding: bin.reencoding(),
    });
    let report = FreeReport {
        steps,
        runs: starts.len(),
        frames: options.free_frames,
        change: median(&changes),
        real_change: median(&real_changes(episodes)),
        real: game.map(|game| real(episodes, game)),
        real_reencoding: real_reencoding(engine, episodes)?,
        bins: bins.collect(),
    };
    Ok((report, pictures))
}

/// Of held-out frames, spread evenly.
fn real_reencoding(engine: &mut dyn Engine, episodes: &[Episode]) -> Result<Option<f64>> {
    let mut bin = Bin::default();
    for episode in episodes {
        for t in evenly(episode.frames(), REENCODED) {
            let latent = engine.encode(episode.frame(t))?;
            let rebuilt = engine.reconstruct(episode.frame(t))?;
            bin.add_error(latent_difference(&latent, &engine.encode(&rebuilt)?));
        }
    }
    Ok(bin.reencoding())
}

fn real(episodes: &[Episode], game: Game) -> Presence {
    let mut count = Count::default();
    for episode in episodes {
        (0..episode.frames()).for_each(|t| count.add(&game.find(episode.frame(t))));
    }
    count.presence()
}

/// Mean absolute difference of two images, in grey levels.
fn change(a: &[u8], b: &[u8]) -> f64 {
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
        .flat_map(|e| (1..e.frames()).map(|t| change(e.frame(t - 1), e.frame(t))))
        .collect()
}
