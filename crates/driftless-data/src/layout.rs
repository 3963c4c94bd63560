//! The names that files on disk are agreed on by: of the files in a dataset and in a checkpoint, and
//! of the arrays in an episode. The scripts in `scripts/` write the same names, and so do the tests,
//! on purpose in their own words: a name changed here would make older files unreadable.

use std::path::Path;

/// A dataset: a folder of episodes of one world.
pub mod dataset {
    /// What all episodes have in common: [`crate::DatasetInfo`].
    pub const INFO: &str = "dataset.json";
    /// How the dataset came about; written by recorders and importers, never read back.
    pub const MANIFEST: &str = "manifest.json";

    /// What clips of the episodes show, in words, a clip a line; optional: [`crate::captions`].
    pub const CAPTIONS: &str = "captions.jsonl";

    /// File name of the episode with this number.
    pub fn episode(index: usize) -> String {
        format!("episode_{index:05}.{}", super::EPISODE_EXTENSION)
    }
}

/// A checkpoint: a folder with the networks of one learned world.
pub mod checkpoint {
    /// The configuration: shapes, actions, frame rate.
    pub const CONFIG: &str = "config.json";
    /// The tokenizer's weights.
    pub const TOKENIZER: &str = "tokenizer.safetensors";
    /// The dynamics' weights.
    pub const DYNAMICS: &str = "dynamics.safetensors";
    /// The starting clips.
    pub const STARTING_CLIPS: &str = "contexts.npz";
    /// The author's description; optional.
    pub const CARD: &str = "card.json";
    /// The configuration of the network that makes clips from words; optional, with its weights.
    pub const CLIP_CONFIG: &str = "clip.json";
    /// The weights of that network.
    pub const CLIP_WEIGHTS: &str = "clip.safetensors";
    /// The weights of the network that plans the actions of such clips; optional beside the others.
    pub const CLIP_ACTION_WEIGHTS: &str = "clip_actions.safetensors";
    /// The configuration of the agent that plays the world; optional, with its weights.
    pub const AGENT_CONFIG: &str = "agent.json";
    /// The weights of the agent.
    pub const AGENT_WEIGHTS: &str = "agent.safetensors";

    /// The files that every world has.
    pub const NEEDED: [&str; 4] = [CONFIG, TOKENIZER, DYNAMICS, STARTING_CLIPS];
    /// The files that a world may have besides.
    pub const OPTIONAL: [&str; 6] = [
        CARD,
        CLIP_CONFIG,
        CLIP_WEIGHTS,
        CLIP_ACTION_WEIGHTS,
        AGENT_CONFIG,
        AGENT_WEIGHTS,
    ];
}

/// The arrays of an episode, each with one row per frame.
pub mod array {
    /// The frames, u8 RGB.
    pub const IMAGE: &str = "image";
    /// The action that led to each frame.
    pub const ACTION: &str = "action";
    /// Where the axes of the world were in the action that led to each frame, from −1 to 1.
    pub const AXES: &str = "axes";
    /// The reward that came with each frame.
    pub const REWARD: &str = "reward";
    /// Whether the frame is the first of its episode.
    pub const IS_FIRST: &str = "is_first";
    /// Whether the frame is the last of its episode.
    pub const IS_LAST: &str = "is_last";
    /// Whether the episode ended by itself at this frame, rather than being cut off.
    pub const IS_TERMINAL: &str = "is_terminal";
    /// Whether the frame shows what a starting clip should show; optional.
    pub const CAN_START: &str = "can_start";

    /// What an episode shows, in words: one text, or one a frame; optional.
    pub const CAPTION: &str = "caption";

    /// Of a captured game: seconds since the episode's first frame.
    pub const TIME: &str = "time";
    /// Of a captured game: which of the recorded keys were held, 0 or 1 each, and the motion of the mouse.
    pub const INPUT: &str = "input";

    /// Ground truth of a game with a ball: its x and y in pixels, NaN while it is not visible.
    pub const BALL: &str = "ball";
    /// The player's paddle where it moves sideways (Breakout).
    pub const PLAYER_X: &str = "player_x";
    /// The player's paddle where it moves up and down (Pong).
    pub const PLAYER_Y: &str = "player_y";
    /// The opponent's paddle (Pong).
    pub const ENEMY_Y: &str = "enemy_y";

    /// Ground truth of a world that one moves in: the position along x.
    pub const X: &str = "x";
    /// The position along y.
    pub const Y: &str = "y";
    /// The direction of view in radians from the x axis, counterclockwise, in a first-person world.
    pub const ANGLE: &str = "angle";
    /// The direction of a car, likewise.
    pub const HEADING: &str = "heading";
    /// The cosine of the direction of view, in a first-person world.
    pub const COS: &str = "cos";
    /// The sine of the direction of view.
    pub const SIN: &str = "sin";
}

/// Extension of an episode's file.
pub const EPISODE_EXTENSION: &str = "npz";

/// Whether a path has the extension of an episode.
pub fn is_episode(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == EPISODE_EXTENSION)
}

/// Whether a file's name begins with a dot. macOS puts such a file beside each of its own (`._NAME`) on
/// other systems' disks; it holds no data.
pub fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
