//! What cannot be imported: the error names file and position, and nothing is written.

use super::*;

#[test]
fn nonempty_output_is_left_alone() {
    let source = tempfile::tempdir().unwrap();
    write_images(source.path());
    let importer = Importer::new(None);
    std::fs::create_dir(importer.out()).unwrap();
    std::fs::write(importer.out().join("mine"), "mine").unwrap();
    let output = importer.import("images", source.path(), &["--source-fps", "15"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("is not empty"), "{error}");
    assert_eq!(importer.out().read_dir().unwrap().count(), 1);
}

#[test]
#[cfg(all(feature = "hdf5", feature = "parquet"))]
fn missing_parts_are_named() {
    let empty = tempfile::tempdir().unwrap();
    let minari = fixture("minari");
    let lerobot = fixture("lerobot-images");
    let wrong_key = ["--source-fps", "15", "--image-key", "x"];
    let missing = Path::new("no such folder");
    let cases: [(&str, &Path, &[&str], &str); 8] = [
        ("images", empty.path(), &[], "holds 0 .csv files"),
        ("vpt", empty.path(), &[], "holds no .mp4 file"),
        ("npz", missing, &[], "no such folder: No such file"),
        ("minari", empty.path(), &[], "main_data.hdf5"),
        ("lerobot", empty.path(), &[], "info.json"),
        ("minari", &minari, &[], "give --source-fps"),
        (
            "minari",
            &minari,
            &wrong_key,
            "`episode_0/observations/x`: shape [13, 1]",
        ),
        (
            "lerobot",
            &lerobot,
            &["--image-key", "top"],
            "observation.images.top",
        ),
    ];
    for (from, path, args, expected) in cases {
        let error = Importer::new(None).error(from, path, args);
        assert!(error.contains(expected), "{from}: {error}");
    }
}

#[test]
#[cfg(all(feature = "hdf5", feature = "parquet"))]
fn truncated_recordings_are_errors() {
    let parquet = "data/chunk-000/episode_000000.parquet";
    let cases = [
        ("minari", "minari", "data/main_data.hdf5", None),
        ("minari-plain", "minari", "data/main_data.hdf5", None),
        ("minari-gzip", "minari", "data/main_data.hdf5", None),
        (
            "lerobot-images",
            "lerobot",
            parquet,
            Some(("map.toml", SPEED)),
        ),
    ];
    for (name, from, file, map) in cases {
        let source = tempfile::tempdir().unwrap();
        let files = [file, "meta/info.json", "meta/episodes.jsonl"];
        for file in files
            .iter()
            .filter(|file| fixture(name).join(file).exists())
        {
            let to = source.path().join(file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(fixture(name).join(file), to).unwrap();
        }
        let fps = ["--source-fps", "15"];
        let whole = Importer::new(map).dataset(from, &fixture(name), &fps);
        let bytes = std::fs::read(fixture(name).join(file)).unwrap();
        let mut errors = 0;
        for part in 0..16 {
            let cut = &bytes[..bytes.len() * part / 16];
            std::fs::write(source.path().join(file), cut).unwrap();
            let importer = Importer::new(map);
            let output = importer.import(
                from,
                source.path(),
                &[&fps[..], &["--size", "12x16"]].concat(),
            );
            if output.status.success() {
                assert_eq!(
                    Dataset::read(&importer.out()).unwrap().episodes,
                    whole.episodes,
                    "{name}, {part}/16"
                );
            } else {
                let error = String::from_utf8(output.stderr).unwrap();
                assert!(
                    error.lines().count() == 1 && error.contains(file),
                    "{name}, {part}/16: {error}"
                );
                errors += 1;
            }
        }
        assert!(errors >= 8, "{name}: {errors} errors");
    }
}

#[test]
fn mismatched_video_is_an_error() {
    if !has_ffmpeg() {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    let video = source.path().join("a.mp4");
    let lines = source.path().join("a.jsonl");
    let text = std::fs::read_to_string(fixture("vpt/square-0.jsonl")).unwrap();
    std::fs::copy(fixture("vpt/square-0.mp4"), &video).unwrap();
    let error = Importer::new(None).error("vpt", source.path(), &[]);
    assert!(error.contains("a.jsonl"), "{error}");

    let fewer: Vec<&str> = text.lines().take(9).collect();
    std::fs::write(&lines, fewer.join("\n")).unwrap();
    let error = Importer::new(None).error("vpt", source.path(), &[]);
    assert!(error.contains("a.mp4: 13 frames, but 9 lines"), "{error}");

    std::fs::write(&lines, text).unwrap();
    std::fs::write(&video, "no video").unwrap();
    let error = Importer::new(None).error("vpt", source.path(), &[]);
    assert!(error.contains("a.mp4: ffmpeg failed"), "{error}");
}

#[test]
fn video_without_ffmpeg_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_driftless"))
        .args(["import", "--from", "vpt"])
        .arg(fixture("vpt"))
        .arg("--out")
        .arg(tempfile::tempdir().unwrap().path().join("out"))
        .env("PATH", "")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("square-0.mp4: this needs ffmpeg"), "{error}");
}
