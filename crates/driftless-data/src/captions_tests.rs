//! Captions from all three sources, and bad ones.

use super::*;
use crate::Episode;

const LINE: &str = r#"{"file":"a.npz","start":1,"frames":2,"texts":{"en":["a red wall"],"ru":["красная стена"]},"facts":["wall:right:red"]}"#;

/// A dataset's folder with the episode `a.npz` of four frames.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let episode = Episode {
        height: 1,
        width: 1,
        images: vec![0; 12],
        actions: vec![0; 4],
        rewards: vec![0.0; 4],
        extras: BTreeMap::new(),
    };
    episode.write(&folder.path().join("a.npz")).unwrap();
    folder
}

fn put(folder: &tempfile::TempDir, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.path().join(name), text).unwrap();
}

/// An episode `name` of two frames with the array `caption`, as NumPy writes it.
fn put_array(folder: &tempfile::TempDir, name: &str, shape: &str, texts: &[&str]) {
    use std::io::Write;
    let width = texts.iter().map(|text| text.chars().count()).max().unwrap();
    let data = texts.iter().flat_map(|text| {
        let padded = text.chars().chain(std::iter::repeat('\0')).take(width);
        padded.flat_map(|c| u32::from(c).to_le_bytes())
    });
    let header = |descr: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n")
    };
    let arrays = [
        ("image", header("|u1", "2, 1, 1, 3"), vec![0; 6]),
        ("action", header("<i4", "2,"), vec![0; 8]),
        (
            "caption",
            header(&format!("<U{width}"), shape),
            data.collect(),
        ),
    ];
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, header, data) in arrays {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(format!("{name}.npy"), options).unwrap();
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        zip.write_all(&bytes).unwrap();
    }
    put(folder, name, zip.finish().unwrap().into_inner());
}

fn error(folder: &tempfile::TempDir) -> String {
    let text = read(folder.path()).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn what_is_written_is_read_again() {
    let folder = folder();
    assert_eq!(read(folder.path()).unwrap(), None);
    let caption: ClipCaption = serde_json::from_str(LINE).unwrap();
    assert_eq!((caption.start, caption.frames), (1, 2));
    let captions = vec![
        caption.clone(),
        ClipCaption {
            start: 0,
            facts: Vec::new(),
            ..caption
        },
    ];
    write(folder.path(), &captions).unwrap();
    assert_eq!(read(folder.path()).unwrap(), Some(captions));
    let text = std::fs::read_to_string(folder.path().join("captions.jsonl")).unwrap();
    assert!(
        text.contains("красная стена") && text.lines().count() == 2,
        "{text}"
    );
    let first = text.lines().next().unwrap();
    assert_eq!(first, LINE);
}

#[test]
fn bad_lines_are_named() {
    let words = "word ".repeat(65);
    let cases = [
        (LINE.replace("a.npz", "b.npz"), "\"b.npz\" is no episode"),
        (
            LINE.replace("\"frames\":2", "\"frames\":4"),
            "past the end of a.npz, which has 4 frames",
        ),
        (
            LINE.replace("\"start\":1", "\"start\":18446744073709551615"),
            "past the end",
        ),
        (
            LINE.replace("\"frames\":2", "\"frames\":0"),
            "`frames` is 0",
        ),
        (LINE.replace("a red wall", " "), "en: a text is empty"),
        (
            LINE.replace("a red wall", &words),
            "en: a text has 65 words, expected at most 64",
        ),
        (LINE.replace("[\"a red wall\"]", "[]"), "en has no text"),
        (
            LINE.replace("\"en\"", "\"English?\""),
            "\"English?\" is no language",
        ),
        (LINE.replace("\"start\":1,", ""), "missing field `start`"),
        (LINE.replace("\"start\":1", "\"start\":-1"), "invalid value"),
        ("[".to_owned(), "EOF"),
        (
            r#"{"file":"a.npz","start":0,"frames":1,"texts":{}}"#.to_owned(),
            "`texts` is empty",
        ),
    ];
    for (line, expected) in cases {
        let folder = folder();
        put(&folder, "captions.jsonl", format!("{LINE}\n\n{line}\n"));
        let text = error(&folder);
        assert!(
            text.contains("captions.jsonl: line 3: ") && text.contains(expected),
            "{text}"
        );
    }
    let folder = folder();
    put(&folder, "captions.jsonl", b"\xff\n");
    assert!(error(&folder).contains("captions.jsonl: is not UTF-8"));
}

#[test]
fn bad_captions_are_not_written() {
    let folder = folder();
    let caption: ClipCaption = serde_json::from_str(LINE).unwrap();
    let bad = ClipCaption {
        texts: BTreeMap::new(),
        ..caption.clone()
    };
    let refused = write(folder.path(), &[caption, bad])
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("captions.jsonl: line 2: `texts` is empty"),
        "{refused}"
    );
    assert!(!folder.path().join("captions.jsonl").exists());
}

#[test]
fn text_files_caption_whole_episodes() {
    let folder = folder();
    put(&folder, "a.txt", "a walk\n\n  a stroll \n");
    put(&folder, "a.ru.txt", "прогулка");
    for passed_over in ["README.txt", "a.b.c.txt", "ab.txt", "a.RU.txt"] {
        put(&folder, passed_over, "");
    }
    let captions = read(folder.path()).unwrap().unwrap();
    let texts: Vec<_> = captions
        .iter()
        .map(|caption| caption.texts.clone())
        .collect();
    assert_eq!(
        texts[0],
        BTreeMap::from([("ru".to_owned(), vec!["прогулка".to_owned()])])
    );
    let plain = vec!["a walk".to_owned(), "a stroll".to_owned()];
    assert_eq!(texts[1], BTreeMap::from([("und".to_owned(), plain)]));
    assert!(
        captions
            .iter()
            .all(|c| c.file == "a.npz" && c.start == 0 && c.frames == 4)
    );

    put(&folder, "a.ru.txt", b"\xd0");
    assert!(error(&folder).contains("a.ru.txt: is not UTF-8"));
    put(&folder, "a.ru.txt", "\n");
    assert!(error(&folder).contains("a.ru.txt: has no text"));
    put(&folder, "a.ru.txt", format!("\n{}", "слово ".repeat(65)));
    assert!(error(&folder).contains("a.ru.txt: line 2: a text has 65 words"));
}

#[test]
fn arrays_caption_episodes_or_frames() {
    let folder = tempfile::tempdir().unwrap();
    put_array(&folder, "a.npz", "", &["вперёд"]);
    put_array(&folder, "b.npz", "2,", &["left", "left"]);
    put_array(&folder, "c.npz", "2,", &["left", ""]);
    let captions = read(folder.path()).unwrap().unwrap();
    let found: Vec<_> = captions
        .iter()
        .map(|c| {
            (
                c.file.as_str(),
                c.start,
                c.frames,
                c.texts["und"][0].as_str(),
            )
        })
        .collect();
    let expected = [
        ("a.npz", 0, 2, "вперёд"),
        ("b.npz", 0, 2, "left"),
        ("c.npz", 0, 1, "left"),
    ];
    assert_eq!(found, expected);
    // Such an array is no obstacle to reading the episode.
    assert!(
        Episode::read(&folder.path().join("c.npz"))
            .unwrap()
            .extras
            .is_empty()
    );

    put_array(&folder, "d.npz", "3,", &["a", "b", "c"]);
    let text = error(&folder);
    assert!(
        text.contains("d.npz: array `caption`: shape is [3], expected [] or [2]"),
        "{text}"
    );
    put_array(&folder, "d.npz", "2,", &["a", &"b ".repeat(65)]);
    assert!(error(&folder).contains("`caption`: frame 1: a text has 65 words"));
}

#[test]
fn files_of_several_episodes_have_no_captions() {
    let folder = folder();
    put(&folder, "captions.jsonl", LINE);
    let mut file = crate::npz::NpzWriter::new(&folder.path().join("a.npz"));
    file.add("image", &[4, 1, 1, 3], &[0_u8; 12]).unwrap();
    file.add("action", &[4], &[0_i32; 4]).unwrap();
    file.add("is_first", &[4], &[true, false, true, false])
        .unwrap();
    file.save().unwrap();
    assert!(error(&folder).contains("a.npz: holds several episodes"));
}
