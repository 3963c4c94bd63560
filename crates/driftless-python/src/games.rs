//! Many games of one world, which advance together on several threads.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::thread::available_parallelism;

use numpy::{
    PyArray1, PyArray4, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray4,
};
use pyo3::prelude::*;

use driftless_data::DatasetInfo;
use driftless_engine::{Batch, SamplerParams};
use driftless_model::checkpoint;
use driftless_sim::{Player, SimulatedWorld};
use driftless_worlds::SimulatorKind;

use crate::error::{Error, Result};
use crate::players::{action_of, check_count, check_source, clip_of, learned, source_of};
use crate::remote;
use crate::settings;
use crate::state::{Game, Move, MovedGames, SavedGame, State};

/// N games of a learned world or a simulator.
#[pyclass(module = "driftless._driftless", frozen)]
pub struct Games {
    about: About,
    /// `None` once it is closed.
    state: Mutex<Option<State>>,
}

/// What does not change.
struct About {
    info: DatasetInfo,
    /// Where the world is from: its folder, its address, or the simulator's name.
    source: String,
    count: usize,
    starts: usize,
    predicts_reward: bool,
    label: String,
}

/// Where all games are.
#[pyclass(module = "driftless._driftless", frozen)]
pub struct Snapshot {
    games: Vec<SavedGame>,
    /// The world that they are of.
    source: String,
}

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
        let params = SamplerParams::of_world(&config);
        let info = DatasetInfo::from(&config);
        let predicts = config.dynamics.outcome > 0;
        let source = source_of(&folder);
        Ok(Self::of(
            players,
            threads,
            params,
            info,
            (source, predicts),
        )?)
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
        let players = (0..count).map(player).collect();
        let params = SamplerParams::default();
        let source = name.to_owned();
        Ok(Self::of(players, threads, params, info, (source, true))?)
    }

    /// Games of a world on a server, the first one if no name is given.
    #[staticmethod]
    #[pyo3(signature = (url, world, count, token, certificates))]
    fn remote(
        py: Python<'_>,
        url: &str,
        world: Option<&str>,
        count: usize,
        token: Option<&str>,
        certificates: Option<PathBuf>,
    ) -> PyResult<Self> {
        check_count(count)?;
        let world = py.detach(|| remote::world(url, world, token, certificates.as_deref()))?;
        let info = world.dataset_info();
        let player = |_| {
            let player: Box<dyn Player> = Box::new(world.player());
            player
        };
        let players = (0..count).map(player).collect();
        // Threads that wait for the server.
        let about = (format!("{url} {}", info.name), world.info().ends);
        Ok(Self::of(players, count, world.params(), info, about)?)
    }

    /// Name of the world.
    #[getter]
    fn world(&self) -> &str {
        &self.about.info.name
    }

    /// Number of games.
    #[getter]
    fn count(&self) -> usize {
        self.about.count
    }

    /// Frames a second of the recorded world.
    #[getter]
    fn fps(&self) -> f32 {
        self.about.info.fps
    }

    /// Height and width of a frame.
    #[getter]
    fn image(&self) -> (usize, usize) {
        (self.about.info.image[0], self.about.info.image[1])
    }

    /// Names of the actions.
    #[getter]
    fn actions(&self) -> Vec<String> {
        let actions = self.about.info.actions.iter();
        actions.map(|action| action.name.clone()).collect()
    }

    /// Names of the axes, which move while any action is played.
    #[getter]
    fn axes(&self) -> Vec<String> {
        let axes = self.about.info.axes.iter();
        axes.map(|axis| axis.name.clone()).collect()
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
    /// act; each array has an element for each game, and `axes` a row of the world's axes.
    fn advance<'py>(
        &self,
        py: Python<'py>,
        actions: PyReadonlyArray1<'py, i64>,
        axes: PyReadonlyArray2<'py, f32>,
        starting: PyReadonlyArray1<'py, bool>,
        seeds: PyReadonlyArray1<'py, u64>,
        clips: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<Frames<'py>> {
        let moves = self.moves(&actions, &axes, &starting, &seeds, &clips)?;
        let moved = py.detach(|| -> Result<_> {
            let mut state = self.lock()?;
            open_mut(&mut state)?.advance(&moves, self.about.info.image)
        })?;
        self.frames_of(py, moved)
    }

    /// The frames as they are.
    fn frames<'py>(&self, py: Python<'py>) -> PyResult<Frames<'py>> {
        let now = {
            let mut state = self.lock()?;
            open_mut(&mut state)?.frames(self.about.info.image)?
        };
        self.frames_of(py, now)
    }

    /// Starts a game from frames u8 [T, H, W, 3] and what led to them: actions u32 [T], axes f32 [T, A].
    fn start_from<'py>(
        &self,
        game: usize,
        images: PyReadonlyArray4<'py, u8>,
        actions: PyReadonlyArray1<'py, u32>,
        axes: PyReadonlyArray2<'py, f32>,
        seed: u64,
    ) -> PyResult<()> {
        let clip = clip_of(&images, &actions, &axes, self.about.info.image)?;
        let mut state = self.lock()?;
        Ok(open_mut(&mut state)?.start_from(game, &clip, seed)?)
    }

    /// Where all games are.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        let games = py.detach(|| {
            self.lock()
                .and_then(|mut state| open_mut(&mut state)?.snapshot())
        })?;
        Ok(self.snapshot_of(games))
    }

    /// The state of one game, in the place of every game.
    fn same(&self, game: usize) -> PyResult<Snapshot> {
        let mut state = self.lock()?;
        let games = open_mut(&mut state)?.same(game)?;
        Ok(self.snapshot_of(games))
    }

    /// Puts all games where they were.
    fn restore(&self, py: Python<'_>, snapshot: &Snapshot) -> PyResult<()> {
        check_source(&snapshot.source, &self.about.source)?;
        Ok(py.detach(|| {
            self.lock()
                .and_then(|mut state| open_mut(&mut state)?.restore(&snapshot.games))
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
        info: DatasetInfo,
        (source, predicts_reward): (String, bool),
    ) -> Result<Self> {
        let first = players.first();
        let about = About {
            count: players.len(),
            starts: first.map_or(0, |player| player.start_count()),
            label: first.map_or(String::new(), |player| player.label().to_owned()),
            predicts_reward,
            source,
            info,
        };
        let cores = || available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = NonZeroUsize::new(threads).unwrap_or_else(cores);
        let games = players.into_iter().enumerate();
        let games = games.map(|(i, player)| Game::new(player, i as u64));
        Ok(Self {
            about,
            state: Mutex::new(Some(State {
                games: Batch::new(games.collect(), threads)?,
                params,
            })),
        })
    }

    fn snapshot_of(&self, games: Vec<SavedGame>) -> Snapshot {
        Snapshot {
            games,
            source: self.about.source.clone(),
        }
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<State>>> {
        self.state.try_lock().map_err(Error::from)
    }

    /// What each of the games is to do.
    fn moves(
        &self,
        actions: &PyReadonlyArray1<'_, i64>,
        axes: &PyReadonlyArray2<'_, f32>,
        starting: &PyReadonlyArray1<'_, bool>,
        seeds: &PyReadonlyArray1<'_, u64>,
        clips: &PyReadonlyArray1<'_, u64>,
    ) -> Result<Vec<Move>> {
        let (actions, starting) = (actions.as_array(), starting.as_array());
        let (seeds, clips) = (seeds.as_array(), clips.as_array());
        let axes = axes.as_array();
        let games = self.about.count;
        let lengths = [actions.len(), starting.len(), seeds.len(), clips.len()];
        if lengths.iter().any(|&length| length != games) {
            let what = format!("arrays of {lengths:?} elements, expected {games} in each");
            return Err(Error::Value(what));
        }
        let moving = self.about.info.axes.len();
        if axes.shape() != [games, moving] {
            let shape = axes.shape();
            let what = format!("axes have shape {shape:?}, expected [{games}, {moving}]");
            return Err(Error::Value(what));
        }
        let known = self.about.info.actions.len();
        (0..games)
            .map(|i| {
                if starting[i] {
                    return Ok(Move::Start(clips[i] as usize, seeds[i]));
                }
                let index = u32::try_from(actions[i])
                    .ok()
                    .filter(|&index| (index as usize) < known);
                let index = index.ok_or_else(|| {
                    let (action, most) = (actions[i], known.saturating_sub(1));
                    Error::Value(format!("action {action} is unknown, expected 0 to {most}"))
                })?;
                let action = action_of(index, &axes.row(i).to_vec())?;
                action.check(known, moving).map_err(Error::Value)?;
                Ok(Move::Act(action))
            })
            .collect()
    }

    fn frames_of<'py>(
        &self,
        py: Python<'py>,
        (images, rewards, ended): MovedGames,
    ) -> PyResult<Frames<'py>> {
        let [height, width] = self.about.info.image;
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
