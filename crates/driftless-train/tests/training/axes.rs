//! A block that an axis moves: it goes as far as the axis is turned.

use super::*;

const AXES: &str = r#"{"name": "Slider", "fps": 10.0, "image": [16, 16],
    "actions": [{"name": "any", "keys": []}], "axes": [{"name": "speed"}]}"#;
/// Pixels per frame at the end of the axis.
const SPEED: f32 = 3.0;

/// Draws the block with its left edge anywhere between pixels.
fn draw(x: f32, images: &mut Vec<u8>) {
    for at in 0..SIDE * SIDE {
        let column = (at % SIDE) as f32;
        let covered = ((x + BLOCK as f32).min(column + 1.0) - x.max(column)).clamp(0.0, 1.0);
        let is_row = (6..10).contains(&(at / SIDE));
        let value = 20.0 + if is_row { 210.0 * covered } else { 0.0 };
        images.extend([value as u8; 3]);
    }
}

fn record(folder: &Path, seed: u64, episodes: usize) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("dataset.json"), AXES).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let last = (SIDE - BLOCK) as f32;
    for e in 0..episodes {
        let frames = 40;
        let (mut images, mut played) = (Vec::new(), vec![Action::IDLE]);
        let mut x = rng.random_range(0.0..=last);
        draw(x, &mut images);
        while played.len() < frames {
            let speed = rng.random_range(-1.0f32..=1.0);
            x = (x + SPEED * speed).clamp(0.0, last);
            draw(x, &mut images);
            played.push(Action::with_axes(0, &[speed]));
        }
        let mut episode = Episode {
            height: SIDE,
            width: SIDE,
            images,
            actions: Vec::new(),
            rewards: vec![0.0; frames],
            extras: BTreeMap::new(),
        };
        episode.set_played(&played, 1);
        episode.write(&folder.join(format!("{e:02}.npz"))).unwrap();
    }
}

#[test]
fn block_moves_as_far_as_its_axis() {
    let folder = tempfile::tempdir().unwrap();
    record(&folder.path().join("data"), 1, 24);
    let options = options(folder.path(), "run");
    // How far is harder to learn than whether.
    let longer = SETTINGS.replace("steps = 300", "steps = 800");
    assert_ne!(longer, SETTINGS);
    std::fs::write(folder.path().join("settings.toml"), longer).unwrap();
    train(&options).unwrap();
    let checkpoint = folder.path().join("run/checkpoint");
    let mut engine =
        driftless_engine::open(&checkpoint, DeviceChoice::Cpu, &GpuSource::Own).unwrap();
    assert_eq!(engine.world().axes[0].name, "speed");

    // The block stands in the middle.
    let mut images = Vec::new();
    let middle = (SIDE - BLOCK) as f32 / 2.0;
    (0..CONTEXT).for_each(|_| draw(middle, &mut images));
    let clip = Clip {
        images,
        actions: vec![Action::IDLE; CONTEXT],
    };
    let params = SamplerParams::default();
    let speeds = [-1.0, -0.5, 0.0, 0.5, 1.0];
    let moved = speeds.map(|speed| {
        let action = Action::with_axes(0, &[speed]);
        let image = rollout(&mut engine, &clip, &[action], &params).unwrap();
        column(&image) - column(&clip.images)
    });
    assert!(moved.is_sorted_by(|a, b| a < b), "{moved:?}");
    for (speed, moved) in speeds.iter().zip(moved) {
        let true_motion = f64::from(SPEED * speed);
        assert!((moved - true_motion).abs() < 1.0, "{speed}: {moved}");
    }
}
