//! A starting clip from a file: an episode, an image or a video.

use std::path::Path;

use driftless_data::layout::is_episode;
use driftless_data::media::resize_frames;
use driftless_data::{Action, Clip, Episode, PathError as _, media};
use driftless_model::config::WorldConfig;

use crate::{Error, Result};

/// What a world asks of a starting clip.
#[derive(Clone, Copy, Debug)]
pub struct ClipShape<'a> {
    /// Height and width of frames in pixels.
    pub image: [usize; 2],
    /// Frames per second.
    pub fps: f32,
    /// Most frames.
    pub frames: usize,
    /// Frames that a picture or a video is repeated to fill.
    pub least: usize,
    /// Number of actions.
    pub actions: usize,
    /// Number of axes.
    pub axes: usize,
    /// The world's name.
    pub world: &'a str,
}

impl<'a> From<&'a WorldConfig> for ClipShape<'a> {
    fn from(world: &'a WorldConfig) -> Self {
        Self {
            image: world.image,
            fps: world.fps,
            frames: world.dynamics.context,
            least: world.dynamics.context,
            actions: world.actions.len(),
            axes: world.axes.len(),
            world: &world.name,
        }
    }
}

/// The first frames of a file, resized for the world, as many as it sees.
///
/// An episode (`.npz`) keeps its actions and may be shorter than the context. An image, GIF or video
/// has no action labels and gets the idle action; if it is too short for the world, its first frame is repeated in
/// front.
///
/// # Errors
/// Returns an error if the file is missing, broken or of an unknown kind, if a video needs ffmpeg and
/// there is none, or if an episode contains an action that the world does not have.
pub fn read<'a>(path: &Path, shape: impl Into<ClipShape<'a>>) -> Result<Clip> {
    let shape = shape.into();
    if is_episode(path) {
        from_episode(path, shape)
    } else {
        from_images(path, shape)
    }
}

/// The starting clips of a world that has none of its own: what `--clip` names, if anything.
///
/// # Errors
/// As [`read`], and if an index is named.
pub fn given(clip: Option<&str>, shape: ClipShape) -> Result<Vec<Clip>> {
    match clip {
        Some(index) if index.parse::<usize>().is_ok() => Err(Error::Argument(format!(
            "--clip {index}: a published checkpoint holds no starting clips, expected a file"
        ))),
        Some(file) => Ok(vec![read(Path::new(file), shape)?]),
        None => Ok(Vec::new()),
    }
}

fn from_episode(path: &Path, shape: ClipShape) -> Result<Clip> {
    let episode = Episode::read(path)?;
    let Clip { images, actions } = episode.clip(0..shape.frames);
    for action in &actions {
        let checked = action.check(shape.actions, shape.axes);
        checked.map_err(|what| Error::invalid(path, format!("world {}: {what}", shape.world)))?;
    }
    let size = [episode.height, episode.width];
    Ok(Clip {
        images: resize_frames(&images, size, shape.image),
        actions,
    })
}

fn from_images(path: &Path, shape: ClipShape) -> Result<Clip> {
    let ClipShape { image, frames, .. } = shape;
    let frame_len = 3 * image[0] * image[1];
    let images = media::read_frames(path, image, shape.fps, frames)?;
    let missing = (shape.least * frame_len).saturating_sub(images.len()) / frame_len;
    let first = images.get(..frame_len).unwrap_or_default();
    let images = [first.repeat(missing), images].concat();
    Ok(Clip {
        actions: vec![Action::IDLE; images.len() / frame_len],
        images,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use image::{Rgb, RgbImage};

    use super::*;

    /// A world of 4×4 pixels with a context of three frames and two actions.
    fn world() -> WorldConfig {
        serde_json::from_value(serde_json::json!({
            "format": 1, "name": "Tiny", "fps": 10.0, "image": [4, 4],
            "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W"]}],
            "tokenizer": {"patch": 1, "width": 1, "hidden": 1, "blocks": 0, "channels": 1},
            "dynamics": {"merge": 1, "stem_width": 1, "stem_frames": 0, "width": 1, "depth": 1,
                "heads": 1, "mlp": 1, "time_every": 1, "context": 3, "registers": 0, "k_max": 1}
        }))
        .unwrap()
    }

    /// Frames, each of one grey level.
    fn frames(greys: &[u8], side: usize) -> Vec<u8> {
        let frame = |grey: &u8| vec![*grey; side * side * 3];
        greys.iter().flat_map(frame).collect()
    }

    fn episode(path: &Path, side: usize, actions: &[u32]) {
        let count = actions.len();
        let greys: Vec<u8> = (0..count as u8).map(|t| 10 * t).collect();
        let episode = Episode {
            height: side,
            width: side,
            images: frames(&greys, side),
            actions: actions.to_vec(),
            rewards: vec![0.0; count],
            extras: BTreeMap::new(),
        };
        episode.write(path).unwrap();
    }

    #[test]
    fn episode_frames_are_resized() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        for side in [4, 7] {
            episode(&path, side, &[0, 1, 1, 7]);
            let clip = read(&path, &world()).unwrap();
            assert_eq!(clip.images, frames(&[0, 10, 20], 4));
            assert_eq!(clip.actions, [0, 1, 1]);
        }
        episode(&path, 4, &[0, 1]);
        assert_eq!(read(&path, &world()).unwrap().frames(), 2);
    }

    #[test]
    fn unknown_action_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        episode(&path, 4, &[0, 2, 0]);
        let error = read(&path, &world()).unwrap_err().to_string();
        assert!(error.contains("a.npz"), "{error}");
        assert!(
            error.contains("unknown action 2, expected 0 to 1"),
            "{error}"
        );
    }

    #[test]
    fn image_fills_the_clip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        RgbImage::from_pixel(9, 5, Rgb([70; 3]))
            .save(&path)
            .unwrap();
        let clip = read(&path, &world()).unwrap();
        assert_eq!(clip.images, frames(&[70; 3], 4));
        assert_eq!(clip.actions, [0; 3]);
    }

    #[test]
    fn video_is_padded_or_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        let from_gif = |greys: &[u8]| {
            let count = greys.len();
            let episode = Episode {
                height: 4,
                width: 4,
                images: frames(greys, 4),
                actions: vec![0; count],
                rewards: vec![0.0; count],
                extras: BTreeMap::new(),
            };
            driftless_data::export::write(&episode, &path, 1, 10.0).unwrap();
            read(&path, &world()).unwrap()
        };
        assert_eq!(from_gif(&[0, 255]).images, frames(&[0, 0, 255], 4));
        let long = from_gif(&[255, 0, 255, 0, 0]);
        assert_eq!(long.images, frames(&[255, 0, 255], 4));
        assert_eq!(long.actions, [0; 3]);
    }
}
