//! A played game as it is shared: where it started, and what each of its frames was made with.
//!
//! In a folder it is two files. `game.json` has the sampler parameters and the actions:
//!
//! ```json
//! {
//!   "format": 1,
//!   "params": [{"frame": 0, "seed": 7, "solver": "shortcut", "steps": 4}, {"frame": 90, "steps": 2}],
//!   "actions": [[2, 15], [0, 80]]
//! }
//! ```
//!
//! `params` holds what changes from a frame on; frame 0 is the start. `actions` holds pairs of an action and the
//! number of frames that it is repeated for, from frame 1 on; `axes`, of a world that has some, where they are and
//! for how many frames, likewise. `start.npz` is the starting clip, in the form of a
//! checkpoint's `contexts.npz`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use driftless_data::fs::{read_source, write_json};
use driftless_data::layout::array::{ACTION, AXES, IMAGE};
use driftless_data::npz::NpzReader;
use driftless_data::{Action, Clip, MAX_AXES, PathError as _};
use driftless_engine::{PARAMS, ParamSpec, SamplerParams};
use driftless_model::config::WorldConfig;
use driftless_model::starting_clips;

use crate::{Error, Result};

/// The files of a game in a folder.
pub const GAME_FILES: [&str; 2] = [GAME, START];
const GAME: &str = "game.json";
const START: &str = "start.npz";
/// Most frames of a game after its start.
pub const MAX_GAME_FRAMES: usize = 36_000;
/// Largest `game.json`, in bytes.
const MAX_JSON: u64 = 16 << 20;
/// Largest starting clip, in bytes of its frames and of its actions.
const MAX_IMAGES: u64 = 64 << 20;
const MAX_ACTIONS: u64 = 8 << 20;
const FORMAT: u32 = 1;

/// A starting clip, and the actions and sampler parameters of the frames that followed. The same engine makes the
/// same frames of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Game {
    clip: Clip,
    params: Vec<(usize, SamplerParams)>,
    actions: Vec<Action>,
}

/// The text of `game.json`.
#[derive(Serialize, Deserialize)]
struct GameFile {
    format: u32,
    params: Vec<ParamChange>,
    /// Actions, and how many frames each is repeated for.
    actions: Vec<(u32, usize)>,
    /// Where the axes are, and for how many frames; nothing if they are at rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    axes: Vec<(Vec<f32>, usize)>,
}

/// Parameters that differ from those before, from a frame on.
#[derive(Serialize, Deserialize)]
struct ParamChange {
    frame: usize,
    #[serde(flatten)]
    values: Map<String, Value>,
}

impl Game {
    /// A game that starts from `clip` under `start`; each of `frames` is the action and the parameters of a frame
    /// after that.
    pub fn new(
        clip: Clip,
        start: SamplerParams,
        frames: impl Iterator<Item = (Action, SamplerParams)>,
    ) -> Self {
        let mut game = Self {
            clip,
            params: vec![(0, start)],
            actions: Vec::new(),
        };
        let mut before = start;
        for (action, params) in frames {
            game.actions.push(action);
            if params != before {
                game.params.push((game.actions.len(), params));
                before = params;
            }
        }
        game
    }

    /// The starting clip.
    pub fn clip(&self) -> &Clip {
        &self.clip
    }

    /// The actions: `actions[t]` led to frame `t + 1`.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The sampler parameters, each with the number of the first frame that they made. The first is 0, the start.
    pub fn params(&self) -> &[(usize, SamplerParams)] {
        &self.params
    }

    /// The sampler parameters of a frame.
    pub fn params_at(&self, frame: usize) -> SamplerParams {
        let after = self.params.partition_point(|(first, _)| *first <= frame);
        let at = after.checked_sub(1).and_then(|at| self.params.get(at));
        at.map_or_else(SamplerParams::default, |(_, params)| *params)
    }

    /// The same game under other parameters, which `change` makes of its own.
    ///
    /// # Errors
    /// Returns the first error of `change`.
    pub fn with_params<E>(
        &self,
        change: impl Fn(SamplerParams) -> std::result::Result<SamplerParams, E>,
    ) -> std::result::Result<Self, E> {
        let changed = self
            .params
            .iter()
            .map(|(frame, params)| Ok((*frame, change(*params)?)));
        Ok(Self {
            params: changed.collect::<std::result::Result<_, E>>()?,
            ..self.clone()
        })
    }

    /// Writes the game's files into a folder.
    ///
    /// # Errors
    /// Returns an error if the game is too long, if it does not fit the world, or if a file cannot be written.
    pub fn write(&self, folder: &Path, world: &WorldConfig) -> Result<()> {
        let file = folder.join(GAME);
        self.check(world)
            .map_err(|what| Error::invalid(&file, what))?;
        let mut before = None;
        let change = |&(frame, params): &(usize, SamplerParams)| ParamChange {
            frame,
            values: changed_values(&params, before.replace(params).as_ref()),
        };
        let text = GameFile {
            format: FORMAT,
            params: self.params.iter().map(change).collect(),
            actions: runs(self.actions.iter().map(|action| action.index)),
            axes: self.axes(world.axes.len()),
        };
        write_json(&file, &text)?;
        let clips = std::slice::from_ref(&self.clip);
        Ok(starting_clips::write(&folder.join(START), clips, world)?)
    }

    /// Reads the game's files from a folder.
    ///
    /// # Errors
    /// Returns an error that names the file if one is missing, too large or damaged, or if the game does not fit the
    /// world.
    pub fn read(folder: &Path, world: &WorldConfig) -> Result<Self> {
        let file = folder.join(GAME);
        let invalid = |what: String| Error::invalid(&file, what);
        let bytes = read_source(&file, MAX_JSON)?;
        let text: GameFile = serde_json::from_slice(&bytes).map_err(|e| invalid(e.to_string()))?;
        if text.format != FORMAT {
            let what = format!("format is {}, expected {FORMAT}", text.format);
            return Err(invalid(what));
        }
        let game = Self {
            params: read_params(&text.params).map_err(invalid)?,
            actions: read_actions(&text).map_err(invalid)?,
            clip: read_clip(&folder.join(START), world)?,
        };
        game.check(world).map_err(invalid)?;
        Ok(game)
    }

    /// Where so many axes are, and for how many frames; nothing if they are at rest.
    fn axes(&self, count: usize) -> Vec<(Vec<f32>, usize)> {
        let mut actions = self.actions.iter();
        if actions.all(|action| action.axes == Action::IDLE.axes) {
            return Vec::new();
        }
        let of_world = |action: &Action| action.axes[..count].to_vec();
        runs(self.actions.iter().map(of_world))
    }

    /// Says what does not fit the world, if anything.
    fn check(&self, world: &WorldConfig) -> std::result::Result<(), String> {
        let frames = self.actions.len();
        if frames > MAX_GAME_FRAMES {
            return Err(format!(
                "{frames} frames, expected at most {MAX_GAME_FRAMES}"
            ));
        }
        let mut actions = self.actions.iter();
        actions.try_for_each(|action| action.check(world.actions.len(), world.axes.len()))?;
        let mut next = 0;
        for (frame, params) in &self.params {
            if *frame < next || *frame > frames || (next == 0 && *frame > 0) {
                return Err(format!(
                    "parameters of frame {frame}, expected 0 first, then growing numbers up to {frames}"
                ));
            }
            next = frame + 1;
            params.check().map_err(|e| format!("frame {frame}: {e}"))?;
        }
        if next == 0 {
            return Err("no parameters, expected those of frame 0".into());
        }
        Ok(())
    }
}

/// Repeated values with how often they are repeated.
fn runs<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut runs: Vec<(T, usize)> = Vec::new();
    for value in values {
        match runs.last_mut().filter(|(last, _)| *last == value) {
            Some((_, count)) => *count += 1,
            None => runs.push((value, 1)),
        }
    }
    runs
}

fn expand<T: Clone>(runs: &[(T, usize)]) -> std::result::Result<Vec<T>, String> {
    let mut values = Vec::new();
    for (value, frames) in runs {
        if *frames > MAX_GAME_FRAMES - values.len() {
            return Err(format!("more than {MAX_GAME_FRAMES} frames"));
        }
        values.extend(std::iter::repeat_n(value.clone(), *frames));
    }
    Ok(values)
}

fn read_actions(text: &GameFile) -> std::result::Result<Vec<Action>, String> {
    let (actions, axes) = (expand(&text.actions)?, expand(&text.axes)?);
    if !axes.is_empty() && axes.len() != actions.len() {
        return Err(format!(
            "axes of {} frames, actions of {}",
            axes.len(),
            actions.len()
        ));
    }
    if let Some(longest) = axes.iter().map(Vec::len).find(|len| *len > MAX_AXES) {
        return Err(format!("{longest} axes, expected at most {MAX_AXES}"));
    }
    let mut axes = axes.iter();
    let mut next = || axes.next().map(Vec::as_slice).unwrap_or_default();
    let actions = actions.into_iter();
    Ok(actions
        .map(|index| Action::with_axes(index, next()))
        .collect())
}

/// The values that differ from those before, or all.
fn changed_values(params: &SamplerParams, before: Option<&SamplerParams>) -> Map<String, Value> {
    let differs = |spec: &&ParamSpec| before.is_none_or(|b| spec.get(b) != spec.get(params));
    let mut values: Map<String, Value> = PARAMS
        .iter()
        .filter(differs)
        .map(|spec| (spec.name.to_owned(), spec.to_json(spec.get(params))))
        .collect();
    if before.is_none_or(|before| before.seed != params.seed) {
        values.insert("seed".to_owned(), params.seed.into());
    }
    values
}

fn read_params(
    changes: &[ParamChange],
) -> std::result::Result<Vec<(usize, SamplerParams)>, String> {
    if changes.len() > MAX_GAME_FRAMES + 1 {
        return Err(format!(
            "parameters change more than {MAX_GAME_FRAMES} times"
        ));
    }
    let mut params = SamplerParams::default();
    let read = |change: &ParamChange| {
        for (name, value) in &change.values {
            let invalid = || {
                format!(
                    "frame {}: `{name}` is {value}, which is not valid",
                    change.frame
                )
            };
            if name == "seed" {
                params.seed = value.as_u64().ok_or_else(invalid)?;
                continue;
            }
            let unknown = || format!("frame {}: unknown parameter `{name}`", change.frame);
            let spec = PARAMS.iter().find(|spec| spec.name == name);
            let spec = spec.ok_or_else(unknown)?;
            spec.set(&mut params, spec.of_json(value).ok_or_else(invalid)?);
        }
        Ok((change.frame, params))
    };
    changes.iter().map(read).collect()
}

/// The only clip of a file, which is not unpacked if it is too large.
fn read_clip(path: &Path, world: &WorldConfig) -> Result<Clip> {
    let mut file = NpzReader::open(path)?;
    for (array, most) in [
        (IMAGE, MAX_IMAGES),
        (ACTION, MAX_ACTIONS),
        (AXES, MAX_ACTIONS),
    ] {
        let len = file.unpacked_len(array);
        if len > most {
            let what = format!("is {len} bytes long, expected at most {most}");
            return Err(file.error(array, what).into());
        }
    }
    let clips = starting_clips::read(path, world)?;
    match <[Clip; 1]>::try_from(clips) {
        Ok([clip]) => Ok(clip),
        Err(clips) => {
            let what = format!("holds {} clips, expected one", clips.len());
            Err(Error::invalid(path, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use driftless_engine::Solver;
    use driftless_engine::testing::{actions, clip, edge_case_configs, small_config};

    use super::*;

    /// Parameters that no default has.
    fn params(seed: u64) -> SamplerParams {
        SamplerParams {
            steps: 8,
            solver: Solver::Euler,
            shift: 1.3,
            churn: 0.1,
            context_signal: 0.85,
            seed,
            ..SamplerParams::default()
        }
    }

    fn game() -> Game {
        let last = SamplerParams {
            temperature: 0.7,
            context: 4,
            ..params(u64::MAX)
        };
        let frames = [(1, params(7)), (1, params(7)), (0, last), (2, last)];
        let frames = frames.map(|(index, params)| (Action::from(index), params));
        Game::new(clip(&small_config(), 3), params(7), frames.into_iter())
    }

    #[test]
    fn game_comes_back_whole() {
        let (folder, game, world) = (tempfile::tempdir().unwrap(), game(), small_config());
        game.write(folder.path(), &world).unwrap();
        assert_eq!(Game::read(folder.path(), &world).unwrap(), game);
        assert_eq!(game.params().len(), 2);
        assert_eq!(game.params_at(2), params(7));
        assert_eq!(game.params_at(3).seed, u64::MAX);
        assert_eq!(game.params_at(99), game.params_at(3));
        let text = std::fs::read_to_string(folder.path().join(GAME)).unwrap();
        assert!(text.contains("\"euler\"") && text.len() < 1000, "{text}");
    }

    #[test]
    fn axes_come_back_bit_for_bit() {
        let config = edge_case_configs().into_iter();
        let (_, world) = config
            .into_iter()
            .find(|(name, _)| *name == "axes")
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let played = actions(&world, 500, 3).into_iter();
        let frames = played.map(|action| (action, params(7)));
        let game = Game::new(clip(&world, 3), params(7), frames);
        game.write(folder.path(), &world).unwrap();
        let read = Game::read(folder.path(), &world).unwrap();
        let bits = |game: &Game| -> Vec<_> {
            let axes = game.actions().iter().map(|action| action.axes);
            axes.map(|axes| axes.map(f32::to_bits)).collect()
        };
        assert_eq!(bits(&read), bits(&game));
        assert_eq!(read, game);
        let error = Game::read(folder.path(), &small_config()).unwrap_err();
        assert!(error.to_string().contains("axis"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (folder, world) = (tempfile::tempdir().unwrap(), small_config());
        game().write(folder.path(), &world).unwrap();
        for (text, expected) in [
            ("", "EOF"),
            (
                r#"{"format": 2, "params": [], "actions": []}"#,
                "format is 2",
            ),
            (
                r#"{"format": 1, "params": [], "actions": []}"#,
                "no parameters",
            ),
            (
                r#"{"format": 1, "params": [{"frame": 1}], "actions": [[0, 3]]}"#,
                "expected 0 first",
            ),
            (
                r#"{"format": 1, "params": [{"frame": 0}, {"frame": 4}], "actions": [[0, 3]]}"#,
                "up to 3",
            ),
            (
                r#"{"format": 1, "params": [{"frame": 0, "steps": -1}], "actions": []}"#,
                "`steps` is -1",
            ),
            (
                r#"{"format": 1, "params": [{"frame": 0, "steps": 3}], "actions": []}"#,
                "frame 0: ",
            ),
            (
                r#"{"format": 1, "params": [{"frame": 0, "magic": 3}], "actions": []}"#,
                "unknown parameter `magic`",
            ),
            (
                r#"{"format": 1, "params": [{"frame": 0}], "actions": [[9, 3]]}"#,
                "unknown action 9",
            ),
            (
                r#"{"format": 1, "params": [{"frame": 0}], "actions": [[0, 18446744073709551615]]}"#,
                "more than 36000",
            ),
            (
                r#"{"format": 1, "params": [{"frame": 0}], "actions": [[0, 36000], [0, 1]]}"#,
                "more than 36000",
            ),
        ] {
            std::fs::write(folder.path().join(GAME), text).unwrap();
            let error = Game::read(folder.path(), &world).unwrap_err().to_string();
            assert!(error.contains("game.json"), "{error}");
            assert!(error.contains(expected), "{expected}: {error}");
        }
        game().write(folder.path(), &world).unwrap();
        let clips = vec![clip(&world, 3); 2];
        starting_clips::write(&folder.path().join(START), &clips, &world).unwrap();
        let error = Game::read(folder.path(), &world).unwrap_err().to_string();
        assert!(error.contains("start.npz: holds 2 clips"), "{error}");
    }
}
