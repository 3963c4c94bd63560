//! Videos of which nobody wrote down what was done: for training beside labelled data, as film
//! whose actions are unknown (`driftless train --unlabelled`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::actions::{ActionMap, Taken};
use super::film::Film;
use super::{Pairing, Recording, Source, video};
use crate::PathError as _;
use crate::{Error, Result};

/// What counts as a video in a folder.
const EXTENSIONS: [&str; 6] = ["mp4", "mkv", "webm", "mov", "avi", "gif"];

/// One video, or those of a folder.
pub struct Clips {
    videos: Vec<PathBuf>,
}

impl Clips {
    /// Lists the videos.
    ///
    /// # Errors
    /// The path is missing, or is a folder that holds none.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_file() {
            let videos = vec![path.to_owned()];
            return Ok(Self { videos });
        }
        let mut videos = Vec::new();
        for extension in EXTENSIONS {
            videos.extend(super::files(path, extension)?);
        }
        videos.sort();
        match videos.is_empty() {
            true => Err(Error::invalid(
                path,
                format!("holds no video, expected .{}", EXTENSIONS.join(", .")),
            )),
            false => Ok(Self { videos }),
        }
    }
}

impl Source for Clips {
    fn fps(&self) -> Option<f32> {
        None
    }

    fn episodes(&self) -> Vec<String> {
        super::names(&self.videos)
    }

    fn pairing(&self) -> Pairing {
        Pairing::LedTo
    }

    fn default_actions(&self) -> Result<ActionMap> {
        ActionMap::built_in("[[actions]]\nname = \"unknown\"\n")
    }

    fn read(&mut self, episode: usize, _: Pairing, film: &mut Film) -> Result<Recording> {
        video::read(&self.videos[episode], film)?;
        let nothing = || Taken::Held {
            down: BTreeSet::new(),
            moved: BTreeMap::new(),
        };
        Ok(Recording {
            steps: (1..film.seen()).map(|_| nothing()).collect(),
            rewards: Vec::new(),
            terminal: false,
        })
    }
}
