//! Videos without action labels, for training alongside labelled data
//! (`driftless train --unlabelled`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::actions::ActionMap;
use super::frame_resampler::FrameResampler;
use super::raw_action::RawAction;
use super::{ActionPairing, RawEpisode, RecordingSource, video_decoder};
use crate::{Error, PathError as _, Result};

/// Extensions of the files that are read from a folder.
const EXTENSIONS: [&str; 6] = ["mp4", "mkv", "webm", "mov", "avi", "gif"];

/// A single video, or the videos of a folder.
pub struct VideoFiles {
    videos: Vec<PathBuf>,
}

impl VideoFiles {
    /// Lists the videos.
    ///
    /// # Errors
    /// Returns an error if the path does not exist or is a folder without videos.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_file() {
            let videos = vec![path.to_owned()];
            return Ok(Self { videos });
        }
        let mut videos = Vec::new();
        for extension in EXTENSIONS {
            videos.extend(super::files_with_extension(path, extension)?);
        }
        videos.sort();
        if videos.is_empty() {
            let what = format!("holds no video, expected .{}", EXTENSIONS.join(", ."));
            return Err(Error::invalid(path, what));
        }
        Ok(Self { videos })
    }
}

impl RecordingSource for VideoFiles {
    fn fps(&self) -> Option<f32> {
        None
    }

    fn episode_names(&self) -> Vec<String> {
        super::file_names(&self.videos)
    }

    fn default_pairing(&self) -> ActionPairing {
        ActionPairing::LedTo
    }

    fn default_action_map(&self) -> Result<ActionMap> {
        ActionMap::built_in("videos", "[[actions]]\nname = \"unknown\"\n")
    }

    fn read(
        &mut self,
        episode: usize,
        _: ActionPairing,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode> {
        let path = &self.videos[episode];
        let complaint = video_decoder::read(path, frames)?;
        // Of a damaged video the pace tells nothing.
        let pace = match complaint {
            Some(_) => None,
            None => video_decoder::remark_on_pace(path),
        };
        let idle = || RawAction::Controls {
            pressed: BTreeSet::new(),
            axes: BTreeMap::new(),
        };
        Ok(RawEpisode {
            actions: (1..frames.received()).map(|_| idle()).collect(),
            rewards: Vec::new(),
            terminal: false,
            remarks: complaint.into_iter().chain(pace).collect(),
        })
    }
}
