use std::collections::BTreeMap;

use image::AnimationDecoder;

use super::*;

/// Two frames of 2×1 pixels: red and green, then blue and black.
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

/// Outputs that need no ffmpeg.
const OUTPUTS: [&str; 3] = ["clip.gif", "clip.npz", "images"];

#[test]
fn png_folder_holds_enlarged_frames() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("images");
    write(&episode(), &out, 3, 15.0).unwrap();
    let second = image::open(out.join("000001.png")).unwrap().into_rgb8();
    assert_eq!(second.dimensions(), (6, 3));
    assert_eq!(second.get_pixel(2, 2).0, [0, 0, 255]);
    assert_eq!(second.get_pixel(3, 0).0, [0, 0, 0]);
    assert_eq!(entries(&out), 2);
    assert_eq!(entries(folder.path()), 1);
}

#[test]
fn gif_frames_have_the_right_delay() {
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
fn gif_delays_do_not_drift() {
    let total = |fps, frames| (0..frames).map(|t| gif_delay(t, fps)).sum::<u32>();
    assert_eq!([0, 1, 2].map(|t| gif_delay(t, 15.0)), [7, 6, 7]);
    assert_eq!(total(15.0, 150), 1000);
    assert_eq!(total(17.5, 175), 1000);
    // Faster than viewers can play.
    assert_eq!(total(200.0, 10), 20);
}

#[test]
fn mp4_decodes_to_the_same_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    if check(&path, true).is_err() {
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
fn extension_ignores_case() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("CLIP.GIF");
    write(&episode(), &path, 1, 10.0).unwrap();
    assert_eq!(gif(&path).len(), 2);
}

#[test]
fn progress_runs_from_zero_to_all() {
    for name in OUTPUTS {
        let folder = tempfile::tempdir().unwrap();
        let mut reported = Vec::new();
        let progress = &mut |done| {
            reported.push(done);
            true
        };
        write_with_progress(
            &episode(),
            &folder.path().join(name),
            1,
            15.0,
            true,
            progress,
        )
        .unwrap();
        assert_eq!(
            (reported[0], reported[reported.len() - 1]),
            (0, 2),
            "{name}"
        );
        assert!(reported.is_sorted(), "{name}");
    }
}

#[test]
fn cancelling_leaves_old_files_unchanged() {
    for name in OUTPUTS.into_iter().chain(["clip.mp4"]) {
        for last in 0..=2 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            if check(&path, true).is_err() {
                eprintln!("skipped: no ffmpeg");
                continue;
            }
            let old = path.extension().is_some();
            if old {
                std::fs::write(&path, "older").unwrap();
            }
            let error =
                write_with_progress(&episode(), &path, 1, 15.0, true, &mut |done| done < last);
            assert!(matches!(error, Err(Error::Interrupted)), "{name} {last}");
            assert_eq!(entries(folder.path()), usize::from(old), "{name} {last}");
            if old {
                assert_eq!(std::fs::read_to_string(&path).unwrap(), "older");
            }
        }
    }
}

#[test]
fn unwritable_targets_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for name in ["clip.gif", "clip.npz", "clip.mp4"] {
        let path = missing.join(name);
        for error in [write(&episode(), &path, 1, 15.0), check(&path, true)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("missing"), "{error}");
        }
    }
    assert_eq!(entries(folder.path()), 0);
    let full = folder.path().join("images");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("mine"), "").unwrap();
    for error in [write(&episode(), &full, 1, 15.0), check(&full, true)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("is not empty"), "{error}");
    }
    assert_eq!((entries(folder.path()), entries(&full)), (1, 1));
}

#[test]
fn bad_scale_or_fps_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gif");
    let error = write(&episode(), &path, 0, 15.0).unwrap_err();
    assert!(error.to_string().contains("scale 0"), "{error}");
    for fps in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = write(&episode(), &path, 1, fps).unwrap_err();
        assert!(error.to_string().contains("fps is"), "{error}");
    }
    assert_eq!(entries(folder.path()), 0);
}

/// A file system of 64 KiB in memory, unmounted when dropped; `None` where that is not allowed.
#[cfg(target_os = "linux")]
struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"];
        let mut command = std::process::Command::new("mount");
        let mounted = command.args(mount).arg(folder.path()).output();
        mounted
            .is_ok_and(|run| run.status.success())
            .then_some(Self(folder))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("umount");
        let _ = command.arg(self.0.path()).output();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn full_disk_is_an_error_in_every_format() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: mounting is not allowed");
        return;
    };
    let folder = disk.0.path();
    // Noise, which no format compresses to 64 KiB.
    let mut state = 1_u32;
    let mut noise = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    let long = Episode {
        height: 16,
        width: 16,
        images: (0..1500 * 768).map(&mut noise).collect(),
        actions: vec![0; 1500],
        rewards: vec![0.0; 1500],
        extras: BTreeMap::new(),
    };
    for name in ["images", "clip.gif", "clip.npz", "clip.mp4"] {
        let path = folder.join(name);
        if check(&path, true).is_err() {
            eprintln!("skipped: no ffmpeg");
            continue;
        }
        let error = write(&long, &path, 8, 15.0).expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
        assert_eq!(entries(folder), 0, "{name}");
    }
    // A folder that exists is filled, a mount point too.
    let short = Episode {
        images: vec![0; 3 * 768],
        actions: vec![0; 3],
        rewards: vec![0.0; 3],
        ..long
    };
    write(&short, folder, 1, 15.0).unwrap();
    assert_eq!(entries(folder), 3);
}

#[test]
fn unknown_extensions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["clip.xyz", "clip.gif.bak", "-"] {
        let path = folder.path().join(name);
        // A name alone, as on the command line.
        let path = if name == "-" { Path::new(name) } else { &path };
        for error in [write(&episode(), path, 1, 15.0), check(path, true)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("expected the extension"), "{error}");
        }
    }
    assert_eq!(entries(folder.path()), 0);
    for name in ["clip.xyz/", "images", "Pong.frames"] {
        write(&episode(), &folder.path().join(name), 1, 15.0).unwrap();
        assert_eq!(entries(&folder.path().join(name)), 2);
    }
}

#[test]
fn nothing_is_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["clip.gif", "clip.npz"] {
        let path = folder.path().join(name);
        std::fs::write(&path, "mine").unwrap();
        let error = check(&path, false).unwrap_err().to_string();
        assert!(error.contains("--overwrite"), "{error}");
        check(&path, true).unwrap();
        // It has appeared during the work.
        let error = write_with_progress(&episode(), &path, 1, 15.0, false, &mut |_| true);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("the finished file is"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        let beside = folder.path().join(name.replace('.', "-2."));
        assert!(beside.metadata().unwrap().len() > 50);
        write(&episode(), &path, 1, 15.0).unwrap();
        assert_ne!(std::fs::read(&path).unwrap(), b"mine");
    }
    assert_eq!(entries(folder.path()), 4);
}
