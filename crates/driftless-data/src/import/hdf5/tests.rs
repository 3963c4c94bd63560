//! Files in each layout, written by the same library; those of Minari's own are in `tests/data/import`.

use rust_hdf5::H5File;

use super::*;

fn write<T: rust_hdf5::types::H5Type>(file: &H5File, name: &str, shape: &[usize], values: &[T]) {
    let dataset = file.new_dataset::<T>().shape(shape).create(name).unwrap();
    dataset.write_raw(values).unwrap();
}

/// Opens the file that `fill` writes.
fn opened(keys: SourceKeys, fill: impl Fn(&H5File)) -> (tempfile::TempDir, Result<Hdf5Recordings>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.hdf5");
    let file = H5File::create(&path).unwrap();
    fill(&file);
    drop(file);
    let source = Hdf5Recordings::open(&path, keys);
    (folder, source)
}

fn groups(file: &H5File, names: &[&str]) {
    for name in names {
        file.create_group(name).unwrap();
    }
}

/// A Minari episode of three observations of `shape`, whose values are `value`.
fn minari(file: &H5File, shape: &[usize], value: impl Fn(usize) -> u8) {
    groups(file, &["episode_0"]);
    let shape = [&[3], shape].concat();
    let values: Vec<u8> = (0..shape.iter().product()).map(value).collect();
    write(file, "episode_0/observations", &shape, &values);
    write(file, "episode_0/actions", &[2], &[1_i64, 2]);
    write(file, "episode_0/rewards", &[2], &[0.5_f64, 1.5]);
    write(file, "episode_0/terminations", &[2], &[0_u8, 1]);
}

/// The first episode at 1×1 pixels.
fn read(source: &mut Hdf5Recordings) -> Result<(Vec<u8>, RawEpisode)> {
    let mut frames = FrameResampler::new([1, 1], 1);
    let pairing = source.default_pairing();
    let episode = source.read(0, pairing, &mut frames)?;
    Ok((frames.into_images(), episode))
}

#[test]
fn grey_channel_first_and_stacked_pictures_are_read() {
    let side = 20;
    // The last image of a stack is brighter.
    let last = |i: usize| [10, 90][usize::from(i % (4 * side * side) >= 3 * side * side)];
    type Value<'a> = &'a dyn Fn(usize) -> u8;
    let cases: [(&[usize], Value, [u8; 3]); 4] = [
        (&[2, 2], &|_| 50, [50; 3]),
        (&[3, 2, 2], &|i| (i / 4 % 3) as u8, [0, 1, 2]),
        (&[2, 2, 3], &|i| (i % 3) as u8, [0, 1, 2]),
        (&[4, side, side], &last, [90; 3]),
    ];
    for (shape, value, pixel) in cases {
        let (_folder, source) = opened(SourceKeys::default(), |file| minari(file, shape, value));
        let (images, episode) = read(&mut source.unwrap()).unwrap();
        assert_eq!(images, [pixel; 3].concat(), "{shape:?}");
        assert_eq!(
            episode.actions,
            [RawAction::Number(1), RawAction::Number(2)]
        );
        assert!(episode.terminal);
        let remark = episode.remarks.join(" ");
        let expected = ["2×2 values", "4 images at a time"][usize::from(shape[0] == 4)];
        assert!(remark.contains(expected), "{shape:?}: {remark}");
    }
}

#[test]
fn dictionary_of_actions_asks_for_a_key() {
    let fill = |file: &H5File| {
        groups(file, &["episode_0", "episode_0/actions"]);
        write(file, "episode_0/observations", &[2, 2, 2, 3], &[7_u8; 24]);
        write(file, "episode_0/actions/fire", &[1], &[1_i64]);
        write(file, "episode_0/actions/move", &[1], &[2_i64]);
        write(file, "episode_0/rewards", &[1], &[0.0_f64]);
        write(file, "episode_0/terminations", &[1], &[0_u8]);
    };
    let (_folder, source) = opened(SourceKeys::default(), fill);
    let message = read(&mut source.unwrap()).err().unwrap().to_string();
    assert!(
        message.contains("(fire, move)") && message.contains("--action-key"),
        "{message}"
    );
    let keys = SourceKeys {
        action: Some("move".into()),
        image: None,
    };
    let (_folder, source) = opened(keys, fill);
    let (_, episode) = read(&mut source.unwrap()).unwrap();
    assert_eq!(episode.actions, [RawAction::Number(2)]);
}

#[test]
fn robomimic_drops_the_last_action() {
    let (_folder, source) = opened(SourceKeys::default(), |file| {
        groups(file, &["data", "data/demo_0", "data/demo_0/obs"]);
        write(
            file,
            "data/demo_0/obs/agentview_image",
            &[3, 2, 2, 3],
            &[9_u8; 36],
        );
        write(
            file,
            "data/demo_0/obs/robot0_eef_pos",
            &[3, 3],
            &[0.5_f64; 9],
        );
        write(
            file,
            "data/demo_0/actions",
            &[3, 2],
            &[0.1_f64, 0.2, 0.3, 0.4, 0.5, 0.6],
        );
        write(file, "data/demo_0/rewards", &[3], &[0.0_f64, 1.0, 2.0]);
        write(file, "data/demo_0/dones", &[3], &[0_i64, 0, 1]);
    });
    let mut source = source.unwrap();
    assert_eq!(source.episode_names(), ["data/demo_0"]);
    let (images, episode) = read(&mut source).unwrap();
    assert_eq!(images, [9; 9]);
    let vectors = [[0.1, 0.2], [0.3, 0.4]];
    assert_eq!(
        episode.actions,
        vectors.map(|v| RawAction::Vector(v.to_vec()))
    );
    assert_eq!(episode.rewards, [0.0, 1.0]);
    assert!(episode.terminal);
}

#[test]
fn diamond_has_a_dataset_per_frame() {
    let (_folder, source) = opened(SourceKeys::default(), |file| {
        for t in 0..11_u8 {
            write(file, &format!("frame_{t}_x"), &[2, 2, 3], &[t; 12]);
            write(
                file,
                &format!("frame_{t}_y"),
                &[3],
                &[f32::from(t), 0.0, 1.0],
            );
        }
    });
    let (images, episode) = read(&mut source.unwrap()).unwrap();
    assert_eq!(images.len(), 11 * 3);
    assert_eq!(images[30..], [10; 3], "by number, not by name");
    assert_eq!(episode.actions.len(), 10);
    assert_eq!(episode.actions[9], RawAction::Vector(vec![9.0, 0.0, 1.0]));
}

#[test]
fn other_layouts_and_arrow_files_are_named() {
    let (_folder, source) = opened(SourceKeys::default(), |file| {
        write(file, "x", &[1], &[1_u8]);
    });
    let message = source.err().unwrap().to_string();
    for layout in ["episode_N", "data/demo_N", "frame_0_x"] {
        assert!(message.contains(layout), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("data/0");
    std::fs::create_dir_all(&part).unwrap();
    std::fs::write(part.join("part-0.arrow"), "").unwrap();
    let source = Hdf5Recordings::open(folder.path(), SourceKeys::default());
    let message = source.err().unwrap().to_string();
    assert!(
        message.contains("Arrow") && message.contains("hdf5"),
        "{message}"
    );
}

#[test]
fn chunks_and_counts_are_bounded() {
    let (_folder, source) = opened(SourceKeys::default(), |file| {
        groups(file, &["episode_0"]);
        let images = file.new_dataset::<u8>().shape([1, 2, 2, 3]);
        let images = images
            .chunk(&[1 << 26, 2, 2, 3])
            .resizable()
            .create("episode_0/observations");
        drop(images.unwrap());
    });
    let message = read(&mut source.unwrap()).err().unwrap().to_string();
    assert!(
        message.contains("`episode_0/observations`: chunks of shape"),
        "{message}"
    );
}
