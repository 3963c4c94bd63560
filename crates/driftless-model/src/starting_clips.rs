//! Reads and writes `contexts.npz`: the short clips that a rollout can start from.

use std::path::Path;

use driftless_data::layout::array::{ACTION, AXES, IMAGE};
use driftless_data::npz::{NpzReader, NpzWriter};
use driftless_data::{Action, Clip, Error, Result};

use crate::config::WorldConfig;

/// Reads a world's starting clips: `image` u8 `[N, T, H, W, 3]`, `action` i32 `[N, T]` and, of a world with A
/// axes, `axes` f32 `[N, T, A]`.
///
/// # Errors
/// Returns an error if the file is missing or corrupt, an array is missing, its dtype or shape is
/// not the world's, or an action is out of range.
pub fn read(path: &Path, world: &WorldConfig) -> Result<Vec<Clip>> {
    let mut file = NpzReader::open(path)?;
    let [height, width] = world.image;
    let image = file.array(IMAGE)?;
    let (count, frames) = match *image.shape.as_slice() {
        [n, t, h, w, 3] if !image.shape.contains(&0) && [h, w] == world.image => (n, t),
        _ => {
            let what = format!(
                "shape is {:?}, expected [N, T, {height}, {width}, 3] with N and T at least 1",
                image.shape
            );
            return Err(file.error(IMAGE, what));
        }
    };
    let dtype = image.dtype.clone();
    let images = image
        .into_u8()
        .ok_or_else(|| file.error(IMAGE, format!("dtype is {dtype}, expected uint8")))?;
    let action = file.array(ACTION)?;
    if action.shape != [count, frames] {
        let what = format!("shape is {:?}, expected [{count}, {frames}]", action.shape);
        return Err(file.error(ACTION, what));
    }
    let actions = action.to_i64().ok_or_else(|| {
        let what = format!("dtype is {}, expected int32 or int64", action.dtype);
        file.error(ACTION, what)
    })?;
    let axes = read_axes(&mut file, [count, frames], world)?;
    let axes_of = |at: usize| &axes[at * world.axes.len()..(at + 1) * world.axes.len()];
    let known = world.actions.len();
    let actions = actions.iter().enumerate().map(|(at, &value)| {
        let unknown = || {
            let last = known.saturating_sub(1);
            file.error(ACTION, format!("holds {value}, expected 0 to {last}"))
        };
        let index = u32::try_from(value).ok();
        let index = index.filter(|&index| (index as usize) < known);
        let action = Action::with_axes(index.ok_or_else(unknown)?, axes_of(at));
        let checked = action.check(known, world.axes.len());
        checked.map_err(|what| file.error(AXES, what))?;
        Ok(action)
    });
    let actions = actions.collect::<Result<Vec<_>>>()?;
    let clips = images
        .chunks_exact(frames * world.image_len())
        .zip(actions.chunks_exact(frames))
        .map(|(images, actions)| Clip {
            images: images.to_vec(),
            actions: actions.to_vec(),
        });
    Ok(clips.collect())
}

/// The axes of all frames, `[N, T, A]`; empty if the world has none.
fn read_axes(
    file: &mut NpzReader,
    [count, frames]: [usize; 2],
    world: &WorldConfig,
) -> Result<Vec<f32>> {
    let width = world.axes.len();
    if width == 0 {
        return Ok(Vec::new());
    }
    let array = file.array(AXES)?;
    if array.shape != [count, frames, width] {
        let what = format!(
            "shape is {:?}, expected [{count}, {frames}, {width}]",
            array.shape
        );
        return Err(file.error(AXES, what));
    }
    let numbers = array.to_f32();
    numbers.ok_or_else(|| file.error(AXES, format!("dtype is {}, expected float32", array.dtype)))
}

/// Writes starting clips of equal length, atomically.
///
/// # Errors
/// Returns an error if there are no clips, their lengths differ, their frames do not have the
/// world's size, an action is out of range, or the file cannot be written.
pub fn write(path: &Path, clips: &[Clip], world: &WorldConfig) -> Result<()> {
    let frames = clips.first().map_or(0, Clip::frames);
    if frames == 0 {
        return Err(Error::Empty(
            "no starting clips to write, expected at least one of at least one frame".into(),
        ));
    }
    let (mut images, mut actions, mut axes) = (Vec::new(), Vec::new(), Vec::new());
    for (index, clip) in clips.iter().enumerate() {
        if clip.frames() != frames || clip.images.len() != frames * world.image_len() {
            return Err(Error::Shape(format!(
                "starting clip {index} has {} actions and {} bytes of frames, expected {frames} and {}",
                clip.frames(),
                clip.images.len(),
                frames * world.image_len()
            )));
        }
        for action in &clip.actions {
            let checked = action.check(world.actions.len(), world.axes.len());
            checked.map_err(|what| {
                Error::Argument(format!(
                    "starting clip {index} holds a wrong action: {what}"
                ))
            })?;
            actions.push(i32::try_from(action.index).unwrap_or(i32::MAX));
            axes.extend_from_slice(&action.axes[..world.axes.len()]);
        }
        images.extend_from_slice(&clip.images);
    }
    let [height, width] = world.image;
    let mut file = NpzWriter::new(path);
    file.add(IMAGE, &[clips.len(), frames, height, width, 3], &images)?;
    file.add(ACTION, &[clips.len(), frames], &actions)?;
    if !world.axes.is_empty() {
        file.add(AXES, &[clips.len(), frames, world.axes.len()], &axes)?;
    }
    file.save()
}

#[cfg(test)]
mod tests {
    use driftless_data::layout::checkpoint::STARTING_CLIPS;

    use super::*;

    fn world() -> WorldConfig {
        serde_json::from_value(serde_json::json!({
            "format": 1, "name": "Tiny", "fps": 15.0, "image": [2, 4],
            "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W"]}],
            "tokenizer": {"patch": 1, "width": 1, "hidden": 1, "blocks": 0, "channels": 1},
            "dynamics": {"merge": 1, "stem_width": 1, "stem_frames": 0, "width": 1, "depth": 1,
                "heads": 1, "mlp": 1, "time_every": 1, "context": 1, "registers": 0, "k_max": 1}
        }))
        .unwrap()
    }

    fn clip(seed: u8, frames: usize) -> Clip {
        Clip {
            images: (0..frames * 24)
                .map(|i| seed.wrapping_add(i as u8))
                .collect(),
            actions: (0..frames as u32).map(|t| Action::from(t % 2)).collect(),
        }
    }

    #[test]
    fn clips_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STARTING_CLIPS);
        let clips = vec![clip(0, 3), clip(100, 3)];
        write(&path, &clips, &world()).unwrap();
        assert_eq!(read(&path, &world()).unwrap(), clips);
    }

    #[test]
    fn axes_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STARTING_CLIPS);
        let mut turning = world();
        turning.axes = serde_json::from_str(r#"[{"name": "wheel"}, {"name": "gas"}]"#).unwrap();
        let mut clip = clip(0, 3);
        clip.actions[1] = Action::with_axes(1, &[-0.3, 1.0]);
        let clips = vec![clip];
        write(&path, &clips, &turning).unwrap();
        assert_eq!(read(&path, &turning).unwrap(), clips);
        assert!(write(&path, &clips, &world()).is_err());
        turning.axes.pop();
        let text = read(&path, &turning).unwrap_err().to_string();
        assert!(
            text.contains("array `axes`: shape is [1, 3, 2], expected [1, 3, 1]"),
            "{text}"
        );
    }

    #[test]
    fn inconsistent_clips_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STARTING_CLIPS);
        let mut short = clip(0, 3);
        short.images.pop();
        let mut unknown = clip(0, 3);
        unknown.actions[1] = Action::from(2);
        for clips in [
            vec![],
            vec![clip(0, 3), clip(0, 2)],
            vec![short],
            vec![unknown],
        ] {
            assert!(write(&path, &clips, &world()).is_err());
        }
        assert!(!path.exists());
    }

    #[test]
    fn clips_of_another_world_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STARTING_CLIPS);
        write(&path, &[clip(0, 3)], &world()).unwrap();
        let error_text = |world: &WorldConfig| read(&path, world).unwrap_err().to_string();

        let mut other = world();
        other.image = [4, 2];
        let text = error_text(&other);
        assert!(
            text.contains("array `image`: shape is [1, 3, 2, 4, 3]"),
            "{text}"
        );
        assert!(text.contains("expected [N, T, 4, 2, 3]"), "{text}");

        let mut fewer = world();
        fewer.actions.pop();
        let text = error_text(&fewer);
        assert!(
            text.contains("array `action`: holds 1, expected 0 to 0"),
            "{text}"
        );
    }

    #[test]
    fn wrong_dtype_or_shape_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STARTING_CLIPS);
        let shape = [1, 2, 2, 4, 3];
        let error_text = |file: NpzWriter| {
            file.save().unwrap();
            read(&path, &world()).unwrap_err().to_string()
        };

        let mut file = NpzWriter::new(&path);
        file.add("image", &shape, &[0.0_f32; 48]).unwrap();
        file.add("action", &[1, 2], &[0_i32; 2]).unwrap();
        let text = error_text(file);
        assert!(
            text.contains("array `image`: dtype is float32, expected uint8"),
            "{text}"
        );

        let mut file = NpzWriter::new(&path);
        file.add("image", &shape, &[0_u8; 48]).unwrap();
        file.add("action", &[2], &[0_i32; 2]).unwrap();
        let text = error_text(file);
        assert!(
            text.contains("array `action`: shape is [2], expected [1, 2]"),
            "{text}"
        );
    }
}
