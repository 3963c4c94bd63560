//! A starting context from what a person has: a recording, a picture or a film.

use std::path::Path;

use crate::{Error, Result};
use driftless_data::Clip;
use driftless_data::Episode;
use driftless_data::PathError as _;
use driftless_data::pictures;
use driftless_data::pictures::resized;
use driftless_model::config::WorldConfig;

/// The frames at the beginning of a file, brought to the world's size, as many as its context holds:
/// an episode (`.npz`) with its actions; a picture, a GIF or a video, of which nobody knows the
/// actions, under the idle one. What is shorter begins with its first frame standing still; only an
/// episode stays as short as it is.
///
/// # Errors
/// The file is missing, broken or of another kind, a video needs ffmpeg that is not there, or an
/// episode holds an action that the world does not have.
pub fn clip(path: &Path, world: &WorldConfig) -> Result<Clip> {
    match path.extension().is_some_and(|end| end == "npz") {
        true => recorded(path, world),
        false => seen(path, world),
    }
}

fn recorded(path: &Path, world: &WorldConfig) -> Result<Clip> {
    let episode = Episode::read(path)?;
    let Clip { images, actions } = episode.clip(0..world.dynamics.context);
    let known = world.actions.len();
    if let Some(unknown) = actions.iter().find(|&&action| action as usize >= known) {
        let what = format!(
            "array `action`: holds {unknown}, expected 0 to {}, as of the world {}",
            known.saturating_sub(1),
            world.name
        );
        return Err(Error::invalid(path, what));
    }
    let size = [episode.height, episode.width];
    Ok(Clip {
        images: resized(&images, size, world.image),
        actions,
    })
}

fn seen(path: &Path, world: &WorldConfig) -> Result<Clip> {
    let frames = world.dynamics.context;
    let length = world.image_len();
    let images = pictures::first(path, world.image, world.fps, frames)?;
    let missing = (frames * length).saturating_sub(images.len()) / length;
    let still = images.get(..length).unwrap_or_default().repeat(missing);
    Ok(Clip {
        images: [still, images].concat(),
        actions: vec![0; frames],
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

    /// Frames of one grey each.
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
    fn an_episode_gives_its_first_frames_with_their_actions_at_the_worlds_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        for side in [4, 7] {
            episode(&path, side, &[0, 1, 1, 7]);
            let clip = clip(&path, &world()).unwrap();
            assert_eq!(clip.images, frames(&[0, 10, 20], 4));
            assert_eq!(clip.actions, [0, 1, 1]);
        }
        episode(&path, 4, &[0, 1]);
        assert_eq!(clip(&path, &world()).unwrap().frames(), 2);
    }

    #[test]
    fn an_episode_of_a_world_with_more_actions_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        episode(&path, 4, &[0, 2, 0]);
        let said = clip(&path, &world()).unwrap_err().to_string();
        assert!(said.contains("a.npz"), "{said}");
        assert!(said.contains("holds 2, expected 0 to 1"), "{said}");
    }

    #[test]
    fn a_picture_stands_still_for_the_whole_context() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        RgbImage::from_pixel(9, 5, Rgb([70; 3]))
            .save(&path)
            .unwrap();
        let clip = clip(&path, &world()).unwrap();
        assert_eq!(clip.images, frames(&[70; 3], 4));
        assert_eq!(clip.actions, [0; 3]);
    }

    #[test]
    fn a_short_film_is_preceded_by_its_first_frame_and_a_long_one_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        let film = |greys: &[u8]| {
            let count = greys.len();
            let film = Episode {
                height: 4,
                width: 4,
                images: frames(greys, 4),
                actions: vec![0; count],
                rewards: vec![0.0; count],
                extras: BTreeMap::new(),
            };
            driftless_data::export::write(&film, &path, 1, 10.0).unwrap();
            clip(&path, &world()).unwrap()
        };
        assert_eq!(film(&[0, 255]).images, frames(&[0, 0, 255], 4));
        let long = film(&[255, 0, 255, 0, 0]);
        assert_eq!(long.images, frames(&[255, 0, 255], 4));
        assert_eq!(long.actions, [0; 3]);
    }
}
