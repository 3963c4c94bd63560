//! Where an episode is, and the columns that say so.

/// Rewards, one per row.
pub(super) const REWARD_COLUMN: &str = "next.reward";
/// Number of the episode that a row belongs to.
pub(super) const EPISODE_COLUMN: &str = "episode_index";

/// Where an episode is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LerobotEpisode {
    pub index: usize,
    /// Version 3: its files, which hold other episodes, too.
    pub shared: Option<SharedFiles>,
}

/// The files that an episode shares with others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SharedFiles {
    /// Numbers of folder and file of its rows.
    pub data: [usize; 2],
    /// Numbers of folder and file of its video.
    pub video: [usize; 2],
    /// Time of its first frame in the video, in seconds.
    pub video_start: f64,
}
