//! The messages between a player and the server, version 2.
//!
//! A player sends short JSON texts ([`Request`]); the server answers with JSON texts ([`Reply`]) and with frames
//! ([`FrameHeader`] and pictures). Whatever a request holds that this version does not know is refused by name.

mod frame;

use driftless_data::{Action, ActionSpec, AxisSpec, MAX_AXES};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use frame::{FrameFlags, FrameHeader, HEADER_BYTES, PictureFormat};

/// The version that [`Request::Hello`] must name. Since version 2, worlds have axes, and frames say what led to them.
pub const VERSION: u32 = 2;
/// The longest request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 4096;
/// The longest token, name and key, in bytes.
const MAX_TEXT_BYTES: usize = 256;
/// The most frames for which an action is repeated.
pub const MAX_REPEAT: u32 = 60;
/// The range of [`Request::Pace`], in frames per second.
pub const PACES: std::ops::RangeInclusive<f32> = 0.1..=240.0;

/// What a player asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The first message.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// The server's token, if it asks for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// Begins a game.
    Join {
        /// The world's name, as [`Reply::Welcome`] lists it.
        world: String,
        /// Index of the starting clip.
        #[serde(default)]
        clip: usize,
        /// The seed; without one, every start draws another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        /// Sampler settings other than the world's own, by name.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        settings: Map<String, Value>,
        /// How pictures are sent.
        #[serde(default)]
        pictures: Pictures,
        /// Whether the game waits at its first frame.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        paused: bool,
    },
    /// Goes on with a game whose link broke.
    Resume {
        /// The key that [`Reply::Joined`] gave.
        game: String,
    },
    /// Holds an action from the next frame on.
    Hold {
        /// Index into the world's actions.
        action: u32,
        /// Where the world's axes are, in their order, each from −1 to 1; those that are left out are at rest.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        axes: Vec<f32>,
        /// Counts the player's inputs; the first frame that reflects this one repeats it. Not 0.
        input: u32,
    },
    /// A frame was drawn: the server may send another.
    Ack {
        /// [`FrameHeader::frame`].
        frame: u32,
    },
    /// How long the player waited from an input to the drawn frame that reflects it; for the server's metrics.
    Latency {
        /// Milliseconds.
        ms: f32,
    },
    /// Changes sampler settings, by name.
    Settings {
        /// Names and values.
        values: Map<String, Value>,
    },
    /// The seed of the frames that follow, and of every start.
    Seed {
        /// The seed; without one, every start draws another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
    },
    /// Frames per second.
    Pace {
        /// Within [`PACES`].
        fps: f32,
    },
    /// For how many frames an action is held.
    Repeat {
        /// 1 to [`MAX_REPEAT`].
        frames: u32,
    },
    /// Lets the world play itself, or no longer.
    Autoplay {
        /// Whether it does.
        on: bool,
    },
    /// What follows when the model predicts that the episode has ended.
    Ends {
        /// Whether it starts over.
        restart: bool,
    },
    /// Stops or goes on.
    Pause {
        /// Whether no frames are made.
        on: bool,
    },
    /// Makes one frame while paused.
    // With braces, an unknown field is refused; serde lets it pass without.
    Step {},
    /// Starts over.
    Reset {
        /// Another starting clip.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip: Option<usize>,
    },
    /// Pauses and goes to a frame that was made.
    Seek {
        /// [`FrameHeader::branch`].
        branch: u32,
        /// [`FrameHeader::index`].
        index: u32,
    },
    /// Begins a branch at the frame where the game stands.
    NewBranch {},
    /// Deletes a branch other than the one that is played.
    DeleteBranch {
        /// [`BranchReply::branch`].
        branch: u32,
    },
    /// Brings back the branch that was deleted last.
    RestoreBranch {},
    /// Shows the simulator's frames beside the predicted ones, or no longer. Starts over.
    Truth {
        /// Whether they are shown.
        on: bool,
    },
    /// Shows the frames of a branch beside those that are played, until [`Request::Truth`].
    Beside {
        /// [`BranchReply::branch`].
        branch: u32,
    },
    /// How pictures are sent from now on.
    Pictures {
        /// How.
        pictures: Pictures,
    },
    /// Ends the game.
    Leave {},
}

/// How pictures are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pictures {
    /// As the link allows: PNG where it is fast, JPEG where it is not.
    #[default]
    Auto,
    /// Bytes, three a pixel.
    Raw,
    /// JPEG.
    Jpeg,
    /// PNG, without loss.
    Png,
    /// WebP, without loss.
    #[serde(rename = "webp")]
    WebP,
}

/// Why a request cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is too long.
    #[error("the message has {0} bytes, expected at most {MAX_REQUEST_BYTES}")]
    TooLong(usize),
    /// It is not JSON of a known form.
    #[error("{0}")]
    Form(String),
    /// A number or a text is out of its range.
    #[error("`{field}` is {value}, expected {expected}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// Returns an error that names what is unknown, missing or out of its range.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > MAX_REQUEST_BYTES {
            return Err(Malformed::TooLong(text.len()));
        }
        let request: Self =
            serde_json::from_str(text).map_err(|e| Malformed::Form(one_line(&e)))?;
        request.check()?;
        Ok(request)
    }

    /// A request to hold an action. Axes at rest at the end are left out.
    pub fn hold(action: &Action, input: u32) -> Self {
        let moved = action.axes.iter().rposition(|value| *value != 0.0);
        Self::Hold {
            action: action.index,
            axes: action.axes[..moved.map_or(0, |last| last + 1)].to_vec(),
            input,
        }
    }

    fn check(&self) -> Result<(), Malformed> {
        match self {
            Self::Hello { token, .. } => short("token", token.as_deref().unwrap_or_default()),
            Self::Join { world, .. } => short("world", world),
            Self::Resume { game } => short("game", game),
            Self::Hold { input: 0, .. } => Err(range("input", "0", "at least 1")),
            Self::Hold { axes, .. } => check_axes(axes),
            Self::Repeat { frames } if !(1..=MAX_REPEAT).contains(frames) => {
                Err(range("frames", frames.to_string(), "1 to 60"))
            }
            Self::Latency { ms } if !(0.0..=60_000.0).contains(ms) => {
                Err(range("ms", ms.to_string(), "0 to 60000"))
            }
            Self::Pace { fps } if !PACES.contains(fps) => {
                Err(range("fps", fps.to_string(), "0.1 to 240"))
            }
            _ => Ok(()),
        }
    }
}

fn check_axes(axes: &[f32]) -> Result<(), Malformed> {
    if axes.len() > MAX_AXES {
        let value = format!("{} numbers", axes.len());
        return Err(range("axes", value, "at most 16"));
    }
    let off = axes.iter().find(|value| !(-1.0..=1.0).contains(*value));
    off.map_or(Ok(()), |value| {
        Err(range("axes", value.to_string(), "-1 to 1 each"))
    })
}

fn short(field: &'static str, text: &str) -> Result<(), Malformed> {
    if text.len() <= MAX_TEXT_BYTES {
        return Ok(());
    }
    let value = format!("{} bytes long", text.len());
    Err(range(field, value, "at most 256 bytes"))
}

fn range(field: &'static str, value: impl Into<String>, expected: &'static str) -> Malformed {
    let value = value.into();
    Malformed::Range {
        field,
        value,
        expected,
    }
}

/// What serde says, which may repeat what the player wrote, in one line of moderate length.
fn one_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(200).collect()
}

/// What the server says in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// Answers [`Request::Hello`].
    Welcome {
        /// [`VERSION`].
        version: u32,
        /// The worlds that can be played.
        worlds: Vec<WorldInfo>,
        /// Games that are played.
        players: usize,
        /// The most games.
        max_players: usize,
    },
    /// Answers [`Request::Join`] and [`Request::Resume`]. [`Reply::Settings`] and a frame follow.
    Joined {
        /// The key for [`Request::Resume`]; nobody else should know it.
        game: String,
        /// The world's name.
        world: String,
        /// Seconds for which the game is kept when the link breaks.
        kept: u64,
        /// Whether the server records the game.
        recorded: bool,
    },
    /// The sampler settings that are in use, after a change.
    Settings {
        /// Names and values.
        values: Map<String, Value>,
        /// Why they are not those that were asked for, if so.
        #[serde(skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// The branches of the game, after their list changed.
    Branches {
        /// All of them, oldest first.
        branches: Vec<BranchReply>,
    },
    /// Something the player should know.
    Notice {
        /// A sentence.
        text: String,
    },
    /// The episode ended and starts again.
    EpisodeEnded {},
    /// The player plays again: a key has ended [`Request::Autoplay`].
    AutoplayStopped {},
    /// A request cannot be granted; nothing has changed.
    Refused {
        /// Why.
        reason: String,
    },
    /// The game or the connection is over.
    Ended {
        /// Why.
        reason: String,
    },
}

impl Reply {
    /// As JSON.
    pub fn to_json(&self) -> String {
        // Maps with names as keys can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A world that can be played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorldInfo {
    /// Its name, for [`Request::Join`].
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Frames per second of the recorded world.
    pub fps: f32,
    /// Height and width of a frame.
    pub image: [usize; 2],
    /// Actions and their keys. Action 0 is the idle one.
    pub actions: Vec<ActionSpec>,
    /// Axes, and what moves them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<AxisSpec>,
    /// Whether the model predicts that episodes end.
    pub ends: bool,
    /// Number of starting clips.
    pub clips: usize,
    /// Whether there is a simulator to compare with.
    pub truth: bool,
    /// The sampler settings that have an effect.
    pub settings: Vec<SettingInfo>,
    /// Their values in this world.
    pub defaults: Map<String, Value>,
}

/// A sampler setting, as a panel shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingInfo {
    /// The name.
    pub name: String,
    /// The name for people.
    pub label: String,
    /// What it does.
    pub help: String,
    /// Its values.
    #[serde(flatten)]
    pub kind: SettingKind,
}

/// The values of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SettingKind {
    /// A slider.
    Number {
        /// The ends of the slider.
        min: f64,
        /// The ends of the slider.
        max: f64,
        /// The distance of two positions; 0 on a logarithmic scale.
        step: f64,
        /// Decimals shown.
        decimals: usize,
    },
    /// One of a list.
    Choice {
        /// Names, and names for people.
        choices: Vec<[String; 2]>,
    },
}

/// A branch of a game.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchReply {
    /// Its number.
    pub branch: u32,
    /// The branch that it forked from; `None` for the first.
    pub parent: Option<u32>,
    /// Index of its first frame that the parent does not share.
    pub fork: usize,
    /// Index of the first frame that is kept.
    pub first: usize,
    /// One more than the index of the last.
    pub end: usize,
}

#[cfg(test)]
mod tests;
