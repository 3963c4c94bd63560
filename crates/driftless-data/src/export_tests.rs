use std::collections::BTreeMap;

use image::AnimationDecoder;

use super::*;

/// Two frames of 2×1: red and green, then blue and black.
fn episode() -> Episode {
    Episode {
        height: 1,
        width: 2,
        images: vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0],
        actions: vec![0, 1],
        rewards: vec![0.0; 2],
        extras: BTreeMap::new(),
    }
}

fn gif(path: &Path) -> Vec<image::Frame> {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let frames = image::codecs::gif::GifDecoder::new(file).unwrap();
    frames.into_frames().collect_frames().unwrap()
}

fn entries(folder: &Path) -> usize {
    folder.read_dir().unwrap().count()
}

/// The forms that need nothing installed.
const NAMES: [&str; 3] = ["clip.gif", "clip.npz", "pictures"];

#[test]
fn a_folder_of_pictures_shows_every_frame_enlarged() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pictures");
    write(&episode(), &out, 3, 15.0).unwrap();
    let second = image::open(out.join("000001.png")).unwrap().into_rgb8();
    assert_eq!(second.dimensions(), (6, 3));
    assert_eq!(second.get_pixel(2, 2).0, [0, 0, 255]);
    assert_eq!(second.get_pixel(3, 0).0, [0, 0, 0]);
    assert_eq!(entries(&out), 2);
    assert_eq!(entries(folder.path()), 1);
}

#[test]
fn a_gif_holds_the_frames_at_their_pace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.gif");
    write(&episode(), &path, 4, 10.0).unwrap();
    let frames = gif(&path);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].delay().numer_denom_ms(), (100, 1));
    assert_eq!(frames[1].buffer().dimensions(), (8, 4));
    assert_eq!(frames[0].buffer().get_pixel(1, 1).0, [255, 0, 0, 255]);
    assert_eq!(entries(folder.path()), 1);
}

#[test]
fn a_pace_that_hundredths_of_a_second_do_not_divide_is_kept_over_the_whole() {
    let total = |fps, frames| (0..frames).map(|t| hundredths(t, fps)).sum::<u32>();
    assert_eq!([0, 1, 2].map(|t| hundredths(t, 15.0)), [7, 6, 7]);
    assert_eq!(total(15.0, 150), 1000);
    assert_eq!(total(17.5, 175), 1000);
    // Faster than players go.
    assert_eq!(total(200.0, 10), 20);
}

#[test]
fn an_mp4_can_be_watched_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    if check(&path).is_err() {
        eprintln!("skipped: no ffmpeg");
        return;
    }
    write(&episode(), &path, 4, 10.0).unwrap();
    assert_eq!(entries(folder.path()), 1);
    let probe = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&path)
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    assert!(probe.status.success());
    assert_eq!(probe.stdout.len(), 2 * 8 * 4 * 3);
}

#[test]
fn a_name_in_capitals_asks_for_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("CLIP.GIF");
    write(&episode(), &path, 1, 10.0).unwrap();
    assert_eq!(gif(&path).len(), 2);
}

#[test]
fn frames_done_are_counted_from_none_to_all() {
    for name in NAMES {
        let folder = tempfile::tempdir().unwrap();
        let mut said = Vec::new();
        let watch = &mut |done| {
            said.push(done);
            true
        };
        write_while(&episode(), &folder.path().join(name), 1, 15.0, watch).unwrap();
        assert_eq!((said[0], said[said.len() - 1]), (0, 2), "{name}");
        assert!(said.is_sorted(), "{name}");
    }
}

#[test]
fn given_up_at_any_moment_it_leaves_nothing_and_an_older_file_as_it_was() {
    for name in NAMES.into_iter().chain(["clip.mp4"]) {
        for last in 0..=2 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            if check(&path).is_err() {
                eprintln!("skipped: no ffmpeg");
                continue;
            }
            let old = path.extension().is_some();
            if old {
                std::fs::write(&path, "older").unwrap();
            }
            let error = write_while(&episode(), &path, 1, 15.0, &mut |done| done < last);
            assert!(matches!(error, Err(Error::Interrupted)), "{name} {last}");
            assert_eq!(entries(folder.path()), usize::from(old), "{name} {last}");
            if old {
                assert_eq!(std::fs::read_to_string(&path).unwrap(), "older");
            }
        }
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for name in ["clip.gif", "clip.npz"] {
        let error = write(&episode(), &missing.join(name), 1, 15.0).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }
    assert_eq!(entries(folder.path()), 0);
    let full = folder.path().join("pictures");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("mine"), "").unwrap();
    for error in [write(&episode(), &full, 1, 15.0), check(&full)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("already holds something"), "{error}");
    }
    assert_eq!((entries(folder.path()), entries(&full)), (1, 1));
}

#[test]
fn a_scale_or_a_pace_of_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gif");
    let error = write(&episode(), &path, 0, 15.0).unwrap_err();
    assert!(error.to_string().contains("scale 0"), "{error}");
    for fps in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = write(&episode(), &path, 1, fps).unwrap_err();
        assert!(error.to_string().contains("frames a second"), "{error}");
    }
    assert_eq!(entries(folder.path()), 0);
}
