//! Videos that other programs have cut, covered or slowed down.

use super::*;

/// Runs ffmpeg with `args` in a folder; its output is the last argument.
fn ffmpeg(folder: &Path, args: &str) {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-v", "error"])
        .current_dir(folder);
    let made = command.args(args.split(' ')).status().unwrap();
    assert!(made.success(), "{args}");
}

/// Thirty grey frames at ten a second.
const FILM: &str = "-f lavfi -i color=gray:size=64x64:rate=10:duration=3";

#[test]
fn cover_picture_is_not_a_frame() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(folder.path(), &format!("{FILM} -c:v mpeg4 film.mp4"));
    ffmpeg(folder.path(), &format!("{FILM} -frames:v 1 cover.png"));
    let cover = "-i cover.png -i film.mp4 -map 0 -map 1 -c copy -disposition:v:0 attached_pic with_cover.mp4";
    ffmpeg(folder.path(), cover);
    for name in ["film.mp4", "with_cover.mp4"] {
        let path = folder.path().join(name);
        let text = summary("video", &path, &["--source-fps", "10"]);
        assert!(text.contains(" 30 frames of"), "{name}: {text}");
        assert!(!text.contains("remark"), "{name}: {text}");
    }
}

#[test]
fn varying_pace_and_cut_off_films_are_remarked_on() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // No frames from 0.5 to 2 seconds.
    let gap = format!("{FILM} -vf select=not(between(t\\,0.5\\,2)) -c:v mpeg4 gap.mkv");
    ffmpeg(folder.path(), &gap);
    let text = summary(
        "video",
        &folder.path().join("gap.mkv"),
        &["--source-fps", "10"],
    );
    assert!(text.contains("remark: gap.mkv: its pace varies"), "{text}");
    ffmpeg(folder.path(), &format!("{FILM} -c:v mpeg4 -q:v 1 film.mkv"));
    let film = folder.path().join("film.mkv");
    let whole = std::fs::read(&film).unwrap();
    std::fs::write(&film, &whole[..whole.len() * 2 / 3]).unwrap();
    let text = summary("video", &film, &["--source-fps", "10"]);
    assert!(
        text.contains("remark: film.mkv: it may be cut off or damaged"),
        "{text}"
    );
    assert!(!text.contains("0x"), "no addresses: {text}");
}
