//! Many games of one world, which advance together on several threads.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::thread::available_parallelism;

use numpy::{PyArray1, PyArray4, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray4};
use pyo3::prelude::*;

use driftless_data::{ActionSpec, Clip};
use driftless_engine::{Batch, Outcome, SamplerParams};
use driftless_model::checkpoint;
use driftless_sim::{LearnedWorld, Player, PlayerSnapshot, SimulatedWorld};
use driftless_worlds::SimulatorKind;

use crate::error::{Error, Result};
use crate::players::{check_count, clip_of, learned};
use crate::settings;

/// N games of a learned world or a simulator.
#[pyclass(module = "driftless._driftless", frozen)]
pub struct Games {
    about: About,
    /// `None` once it is closed.
    state: Mutex<Option<State>>,
}

/// What does not change.
struct About {
    world: String,
    fps: f32,
    image: [usize; 2],
    actions: Vec<ActionSpec>,
    starts: usize,
    predicts_reward: bool,
    label: String,
}

struct State {
    games: Batch<Game>,
    params: SamplerParams,
}

/// A game, and what came with its last frame.
struct Game {
    player: Box<dyn Player>,
    seed: u64,
    reward: f32,
    ended: bool,
}

/// What a game is to do.
#[derive(Clone, Copy)]
enum Move {
    /// Begin with this starting clip and seed.
    Start(usize, u64),
    Act(u32),
}

/// Where all games are.
#[pyclass(module = "driftless._driftless", frozen)]
pub struct Snapshot(Vec<(PlayerSnapshot, u64, f32, bool)>);

/// Frames u8 [N, H, W, 3], rewards f32 [N], and whether the episode ended, bool [N].
type Frames<'py> = (
    Bound<'py, PyArray4<u8>>,
    Bound<'py, PyArray1<f32>>,
    Bound<'py, PyArray1<bool>>,
);

#[pymethods]
impl Games {
    /// Games of the learned world in a checkpoint folder.
    #[staticmethod]
    fn learned(folder: PathBuf, count: usize, device: &str, threads: usize) -> PyResult<Self> {
        let players = learned(&folder, count, device, threads)?;
        let config = checkpoint::read_config(&folder).map_err(Error::from)?;
        if !config.axes.is_empty() {
            let axes: Vec<&str> = config.axes.iter().map(|axis| axis.name.as_str()).collect();
            let what = format!(
                "{} has axes ({}): environments are of worlds with discrete actions only; driftless.Engine plays it",
                config.name,
                axes.join(", ")
            );
            return Err(Error::Value(what).into());
        }
        let about = |starts, label| About {
            world: config.name.clone(),
            fps: config.fps,
            image: config.image,
            actions: config.actions.clone(),
            starts,
            predicts_reward: config.dynamics.outcome > 0,
            label,
        };
        let params = SamplerParams::of_world(&config);
        Ok(Self::of(players, threads, params, about)?)
    }

    /// Games of a simulator.
    #[staticmethod]
    fn simulated(name: &str, count: usize, threads: usize) -> PyResult<Self> {
        check_count(count)?;
        let kind = SimulatorKind::from_name(name).ok_or_else(|| {
            let names = SimulatorKind::ALL.map(SimulatorKind::name).join(", ");
            Error::Value(format!("no simulator {name:?}, expected one of {names}"))
        })?;
        let info = kind.open(0).info();
        let player = |i: usize| {
            let player: Box<dyn Player> = Box::new(SimulatedWorld::new(kind.open(i as u64)));
            player
        };
        let about = |starts, label| About {
            world: info.name,
            fps: info.fps,
            image: info.image,
            actions: info.actions,
            starts,
            predicts_reward: true,
            label,
        };
        let players = (0..count).map(player).collect();
        Ok(Self::of(players, threads, SamplerParams::default(), about)?)
    }

    /// Name of the world.
    #[getter]
    fn world(&self) -> &str {
        &self.about.world
    }

    /// Frames a second of the recorded world.
    #[getter]
    fn fps(&self) -> f32 {
        self.about.fps
    }

    /// Height and width of a frame.
    #[getter]
    fn image(&self) -> (usize, usize) {
        (self.about.image[0], self.about.image[1])
    }

    /// Names of the actions.
    #[getter]
    fn actions(&self) -> Vec<String> {
        let actions = self.about.actions.iter();
        actions.map(|action| action.name.clone()).collect()
    }

    /// Number of starting clips.
    #[getter]
    fn starts(&self) -> usize {
        self.about.starts
    }

    /// Whether frames come with a reward; without, it is 0.
    #[getter]
    fn predicts_reward(&self) -> bool {
        self.about.predicts_reward
    }

    /// What computes: `CPU, 1 thread`.
    #[getter]
    fn label(&self) -> &str {
        &self.about.label
    }

    /// The sampler settings, as a JSON object.
    fn settings(&self) -> PyResult<String> {
        let state = self.lock()?;
        Ok(settings::to_json(&open(&state)?.params)?)
    }

    /// Changes those sampler settings that a JSON object names, from the next frame on.
    fn change_settings(&self, json: &str) -> PyResult<()> {
        let mut state = self.lock()?;
        let state = open_mut(&mut state)?;
        state.params = settings::changed(&state.params, json)?;
        Ok(())
    }

    /// Starts those games that `starting` marks with their seeds and starting clips, and lets the others
    /// act; each array has an element for each game.
    fn advance<'py>(
        &self,
        py: Python<'py>,
        actions: PyReadonlyArray1<'py, i64>,
        starting: PyReadonlyArray1<'py, bool>,
        seeds: PyReadonlyArray1<'py, u64>,
        clips: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Frames<'py>> {
        let moves = {
            let state = self.lock()?;
            self.moves(
                open(&state)?.games.games().len(),
                &actions,
                &starting,
                &seeds,
                &clips,
            )?
        };
        let moved = py.detach(|| -> Result<_> {
            let mut state = self.lock()?;
            open_mut(&mut state)?.advance(&moves, self.about.image)
        })?;
        self.frames_of(py, moved)
    }

    /// The frames as they are.
    fn frames<'py>(&self, py: Python<'py>) -> PyResult<Frames<'py>> {
        let now = {
            let mut state = self.lock()?;
            open_mut(&mut state)?.frames(self.about.image)?
        };
        self.frames_of(py, now)
    }

    /// Starts a game from frames u8 [T, H, W, 3] and the actions that led to them, u32 [T].
    fn start_from<'py>(
        &self,
        game: usize,
        images: PyReadonlyArray4<'py, u8>,
        actions: PyReadonlyArray1<'py, u32>,
        seed: u64,
    ) -> PyResult<()> {
        let clip = clip_of(&images, &actions, self.about.image)?;
        let mut state = self.lock()?;
        Ok(open_mut(&mut state)?.start_from(game, &clip, seed)?)
    }

    /// Where all games are.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        Ok(py.detach(|| {
            self.lock()
                .and_then(|mut state| open_mut(&mut state)?.snapshot())
        })?)
    }

    /// The state of one game, in the place of every game.
    fn same(&self, game: usize) -> PyResult<Snapshot> {
        let mut state = self.lock()?;
        Ok(open_mut(&mut state)?.same(game)?)
    }

    /// Puts all games where they were.
    fn restore(&self, py: Python<'_>, snapshot: &Snapshot) -> PyResult<()> {
        Ok(py.detach(|| {
            self.lock()
                .and_then(|mut state| open_mut(&mut state)?.restore(snapshot))
        })?)
    }

    /// Frees the engines.
    fn close(&self) -> PyResult<()> {
        *self.lock()? = None;
        Ok(())
    }
}

impl Games {
    fn of(
        players: Vec<Box<dyn Player>>,
        threads: usize,
        params: SamplerParams,
        about: impl FnOnce(usize, String) -> About,
    ) -> Result<Self> {
        let first = players.first();
        let (starts, label) = first.map_or((0, String::new()), |player| {
            (player.start_count(), player.label().to_owned())
        });
        let cores = || available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = NonZeroUsize::new(threads).unwrap_or_else(cores);
        let games = players.into_iter().enumerate().map(|(i, player)| Game {
            player,
            seed: i as u64,
            reward: 0.0,
            ended: false,
        });
        Ok(Self {
            about: about(starts, label),
            state: Mutex::new(Some(State {
                games: Batch::new(games.collect(), threads)?,
                params,
            })),
        })
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<State>>> {
        self.state.try_lock().map_err(Error::from)
    }

    /// What each of the games is to do.
    fn moves(
        &self,
        games: usize,
        actions: &PyReadonlyArray1<'_, i64>,
        starting: &PyReadonlyArray1<'_, bool>,
        seeds: &PyReadonlyArray1<'_, u64>,
        clips: &PyReadonlyArray1<'_, u64>,
    ) -> Result<Vec<Move>> {
        let (actions, starting) = (actions.as_array(), starting.as_array());
        let (seeds, clips) = (seeds.as_array(), clips.as_array());
        let lengths = [actions.len(), starting.len(), seeds.len(), clips.len()];
        if lengths.iter().any(|&length| length != games) {
            let what = format!("arrays of {lengths:?} elements, expected {games} in each");
            return Err(Error::Value(what));
        }
        let known = self.about.actions.len();
        (0..games)
            .map(|i| {
                if starting[i] {
                    return Ok(Move::Start(clips[i] as usize, seeds[i]));
                }
                match u32::try_from(actions[i]) {
                    Ok(action) if (action as usize) < known => Ok(Move::Act(action)),
                    _ => {
                        let action = actions[i];
                        let most = known.saturating_sub(1);
                        let what = format!("action {action} is unknown, expected 0 to {most}");
                        Err(Error::Value(what))
                    }
                }
            })
            .collect()
    }

    fn frames_of<'py>(
        &self,
        py: Python<'py>,
        (images, rewards, ended): (Vec<u8>, Vec<f32>, Vec<bool>),
    ) -> PyResult<Frames<'py>> {
        let [height, width] = self.about.image;
        let size = [rewards.len(), height, width, 3];
        Ok((
            PyArray1::from_vec(py, images).reshape(size)?,
            PyArray1::from_vec(py, rewards),
            PyArray1::from_vec(py, ended),
        ))
    }
}

fn open<'a>(state: &'a MutexGuard<'_, Option<State>>) -> Result<&'a State> {
    state.as_ref().ok_or(Error::Closed)
}

fn open_mut<'a>(state: &'a mut MutexGuard<'_, Option<State>>) -> Result<&'a mut State> {
    state.as_mut().ok_or(Error::Closed)
}

impl State {
    /// Moves all games; returns frames, rewards and ends.
    fn advance(
        &mut self,
        moves: &[Move],
        image: [usize; 2],
    ) -> Result<(Vec<u8>, Vec<f32>, Vec<bool>)> {
        let params = self.params;
        self.games
            .advance(|i, game| game.advance(moves[i], &params))?;
        self.frames(image)
    }

    fn frames(&mut self, [height, width]: [usize; 2]) -> Result<(Vec<u8>, Vec<f32>, Vec<bool>)> {
        let games = self.games.games_mut();
        let mut images = Vec::with_capacity(games.len() * height * width * 3);
        for game in games.iter_mut() {
            images.extend_from_slice(game.player.image()?);
        }
        let rewards = games.iter().map(|game| game.reward).collect();
        let ended = games.iter().map(|game| game.ended).collect();
        Ok((images, rewards, ended))
    }

    fn start_from(&mut self, game: usize, clip: &Clip, seed: u64) -> Result<()> {
        let params = SamplerParams {
            seed,
            ..self.params
        };
        let games = self.games.games_mut();
        let count = games.len();
        let game = games.get_mut(game);
        let game = game.ok_or_else(|| no_game(count))?;
        let learned = game.player.learned_mut().ok_or_else(|| {
            Error::Value("a simulator cannot start from frames, only a learned world can".into())
        })?;
        learned.start_from(clip, &params)?;
        (game.seed, game.reward, game.ended) = (seed, 0.0, false);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let all = self.games.games_mut().iter_mut().map(|game| {
            let state = game.player.snapshot()?;
            Ok((state, game.seed, game.reward, game.ended))
        });
        Ok(Snapshot(all.collect::<Result<_>>()?))
    }

    fn same(&mut self, game: usize) -> Result<Snapshot> {
        let games = self.games.games_mut();
        let count = games.len();
        let game = games.get_mut(game);
        let game = game.ok_or_else(|| no_game(count))?;
        let one = (game.player.snapshot()?, game.seed, game.reward, game.ended);
        Ok(Snapshot(vec![one; count]))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let games = self.games.games_mut();
        if snapshot.0.len() != games.len() {
            let what = format!(
                "the snapshot is of {} games, these are {}",
                snapshot.0.len(),
                games.len()
            );
            return Err(Error::Value(what));
        }
        for (game, (state, seed, reward, ended)) in games.iter_mut().zip(&snapshot.0) {
            game.player.restore(state)?;
            (game.seed, game.reward, game.ended) = (*seed, *reward, *ended);
        }
        Ok(())
    }
}

impl Game {
    fn advance(&mut self, to: Move, params: &SamplerParams) -> Result<()> {
        match to {
            Move::Start(clip, seed) => {
                let params = SamplerParams { seed, ..*params };
                self.player
                    .start(clip % self.player.start_count().max(1), &params)?;
                (self.seed, self.reward, self.ended) = (seed, 0.0, false);
            }
            Move::Act(action) => {
                let params = SamplerParams {
                    seed: self.seed,
                    ..*params
                };
                self.player.step(action.into(), &params)?;
                (self.reward, self.ended) = match self.player.ground_truth() {
                    Some(truth) => (truth.reward, truth.ended),
                    None => outcome(self.player.learned().and_then(LearnedWorld::outcome)),
                };
            }
        }
        Ok(())
    }
}

/// Reward and end of a predicted frame.
fn outcome(predicted: Option<Outcome>) -> (f32, bool) {
    predicted.map_or((0.0, false), |outcome| (outcome.reward, outcome.ends()))
}

fn no_game(count: usize) -> Error {
    let most = count.saturating_sub(1);
    Error::Value(format!("there is no such game, expected 0 to {most}"))
}
