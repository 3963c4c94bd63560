//! What clips of a dataset show, in words. The words come from a file `captions.jsonl` in the dataset's
//! folder, from text files beside the episodes, and from arrays in them; all of them count.
//!
//! - `captions.jsonl`: a [`ClipCaption`] a line. `driftless caption` writes it for the simulators.
//! - `NAME.txt` or `NAME.LANGUAGE.txt` beside `NAME.npz`: each line is a caption of the whole episode.
//! - The array `caption` of an episode, of texts: one for the whole episode, or one a frame; frames in a
//!   row with the same text are one clip, and those with an empty one have no caption.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dataset::episode_files;
use crate::episode::arrays::episode_ranges;
use crate::fs::{read_text, write_atomic};
use crate::layout::array::{ACTION, CAPTION};
use crate::layout::dataset::CAPTIONS;
use crate::npz::NpzReader;
use crate::{Error, PathError as _, Result};

/// The most words of a text.
pub const MAX_WORDS: usize = 64;
/// The language of a text that does not say which it is in: "undetermined" (ISO 639-2).
pub const UNKNOWN_LANGUAGE: &str = "und";

/// What consecutive frames of an episode show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipCaption {
    /// The episode's file in the dataset's folder.
    pub file: String,
    /// The clip's first frame.
    pub start: usize,
    /// Its number of frames.
    pub frames: usize,
    /// Texts that say the same in different words, by language (`en`, `ru`).
    pub texts: BTreeMap<String, Vec<String>>,
    /// What the texts say, in a form that can be checked: `motion:0:forward`, `wall:right:red`. Empty where
    /// a person wrote them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
}

impl ClipCaption {
    /// Checks texts and lengths; what is wrong in words.
    fn check(&self) -> std::result::Result<(), String> {
        if self.frames == 0 {
            return Err("`frames` is 0, expected 1 or more".to_owned());
        }
        if self.texts.is_empty() {
            return Err("`texts` is empty, expected {\"en\": [\"…\"]}".to_owned());
        }
        for (language, texts) in &self.texts {
            if !is_language(language) {
                return Err(format!(
                    "`texts`: {language:?} is no language, expected a code such as en"
                ));
            }
            if texts.is_empty() {
                return Err(format!("`texts`: {language} has no text"));
            }
            for text in texts {
                check_text(text).map_err(|what| format!("`texts`: {language}: {what}"))?;
            }
        }
        Ok(())
    }

    /// Checks that the clip lies in an episode of these many frames.
    fn check_range(&self, episode: usize) -> std::result::Result<(), String> {
        match self.start.checked_add(self.frames) {
            Some(end) if end <= episode => Ok(()),
            _ => Err(format!(
                "`start` {} and `frames` {} reach past the end of {}, which has {episode} frames",
                self.start, self.frames, self.file
            )),
        }
    }
}

/// Reads what the clips of a dataset show; `None` if nothing in its folder says so. The order is that of
/// `captions.jsonl`, then that of the episodes' files.
///
/// # Errors
/// Returns an error that names the file, and in `captions.jsonl` the line, if a caption is of an unknown
/// episode or reaches past its end, has no text or one of more than [`MAX_WORDS`] words, or is not UTF-8;
/// and if a file with captions holds several episodes.
pub fn read(folder: &Path) -> Result<Option<Vec<ClipCaption>>> {
    let mut lengths = Lengths::of(folder)?;
    let mut captions = read_lines(folder, &mut lengths, |_| true)?;
    for path in episode_files(folder)? {
        captions.extend(beside(&path, &mut lengths)?);
        captions.extend(inside(&path, &mut lengths)?);
    }
    Ok((!captions.is_empty()).then_some(captions))
}

/// Writes `captions.jsonl` in a dataset's folder, replacing it if it exists.
///
/// # Errors
/// As [`write_to`].
pub fn write(folder: &Path, captions: &[ClipCaption]) -> Result<()> {
    write_to(&folder.join(CAPTIONS), captions)
}

/// Writes captions to a file, one a line, atomically.
///
/// # Errors
/// Returns an error if a caption is one that [`read`] refuses for its texts, or if the file cannot be
/// written.
pub fn write_to(path: &Path, captions: &[ClipCaption]) -> Result<()> {
    for (i, caption) in captions.iter().enumerate() {
        caption.check().map_err(|what| at_line(path, i, &what))?;
    }
    write_atomic(path, &to_lines(captions)?)
}

/// Captions as JSON, one a line.
pub(crate) fn to_lines(captions: &[ClipCaption]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for caption in captions {
        serde_json::to_writer(&mut lines, caption).map_err(|e| Error::encode("JSON", e))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The captions in `captions.jsonl` of a folder, if it exists. No episode is looked at: any may be damaged.
pub(crate) fn read_file(folder: &Path) -> Result<Vec<ClipCaption>> {
    read_lines(folder, &mut Lengths::of(folder)?, |_| false)
}

/// What [`read`] finds of the episode in one file, which is the only one that is looked at.
pub(crate) fn read_of(folder: &Path, file: &str) -> Result<Vec<ClipCaption>> {
    let mut lengths = Lengths::of(folder)?;
    let mut captions = read_lines(folder, &mut lengths, |name| name == file)?;
    captions.retain(|caption| caption.file == file);
    let path = folder.join(file);
    captions.extend(beside(&path, &mut lengths)?);
    captions.extend(inside(&path, &mut lengths)?);
    Ok(captions)
}

/// The text files beside an episode, and what of their names follows its own.
pub(crate) fn files_beside(episode: &Path) -> Result<Vec<(PathBuf, String)>> {
    let folder = episode.parent().unwrap_or(Path::new("."));
    let stem = episode.file_stem().unwrap_or_default().to_string_lossy();
    let texts = Lengths::of(folder)?.texts.into_iter();
    let own = texts.filter(|(name, _)| language_of(name, &stem).is_some());
    Ok(own
        .map(|(name, path)| (path, name[stem.len()..].to_owned()))
        .collect())
}

/// An error about a line; the first is number 0.
fn at_line(path: &Path, line: usize, what: &str) -> Error {
    Error::invalid(path, format!("line {}: {what}", line + 1))
}

/// The captions in `captions.jsonl`, if it exists; those of the files that `compares` chooses are compared with their
/// episodes.
fn read_lines(
    folder: &Path,
    lengths: &mut Lengths,
    compares: impl Fn(&str) -> bool,
) -> Result<Vec<ClipCaption>> {
    let path = folder.join(CAPTIONS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut captions = Vec::new();
    for (i, line) in read_text(&path)?.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |what: String| at_line(&path, i, &what);
        let caption: ClipCaption =
            serde_json::from_str(line).map_err(|e| wrong(without_place(&e)))?;
        caption.check().map_err(wrong)?;
        if compares(&caption.file) {
            let Some(frames) = lengths.get(&caption.file)? else {
                let what = format!("`file`: {:?} is no episode of this dataset", caption.file);
                return Err(wrong(what));
            };
            caption.check_range(frames).map_err(wrong)?;
        }
        captions.push(caption);
    }
    Ok(captions)
}

/// serde_json's message without "at line 1 column N": each line is parsed alone.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}

/// The captions in text files beside an episode: a caption for each file.
fn beside(episode: &Path, lengths: &mut Lengths) -> Result<Vec<ClipCaption>> {
    let mut captions = Vec::new();
    let stem = episode.file_stem().unwrap_or_default().to_string_lossy();
    for (name, path) in lengths.texts.clone() {
        let Some(language) = language_of(&name, &stem) else {
            continue;
        };
        let text = read_text(&path)?;
        let lines = text.lines().map(str::trim).enumerate();
        let texts: Vec<(usize, &str)> = lines.filter(|(_, line)| !line.is_empty()).collect();
        if texts.is_empty() {
            return Err(Error::invalid(
                &path,
                "has no text, expected a caption a line",
            ));
        }
        for (i, text) in &texts {
            check_text(text).map_err(|what| at_line(&path, *i, &what))?;
        }
        let file = name_of(episode);
        let frames = lengths.get(&file)?.unwrap_or_default();
        let texts = texts.into_iter().map(|(_, text)| text.to_owned()).collect();
        captions.push(ClipCaption {
            file,
            start: 0,
            frames,
            texts: BTreeMap::from([(language.to_owned(), texts)]),
            facts: Vec::new(),
        });
    }
    Ok(captions)
}

/// The language of the text file `name` beside the episode `stem`; `None` if it is not beside it.
fn language_of<'a>(name: &'a str, stem: &str) -> Option<&'a str> {
    let between = name.strip_prefix(stem)?.strip_suffix(".txt")?;
    match between.strip_prefix('.') {
        None if between.is_empty() => Some(UNKNOWN_LANGUAGE),
        Some(language) if is_language(language) => Some(language),
        _ => None,
    }
}

/// The captions in the array of an episode.
fn inside(path: &Path, lengths: &mut Lengths) -> Result<Vec<ClipCaption>> {
    let mut file = NpzReader::open(path)?;
    if !file.names().iter().any(|name| name == CAPTION) {
        return Ok(Vec::new());
    }
    let (shape, texts) = file.texts(CAPTION)?;
    let name = name_of(path);
    let frames = lengths.get(&name)?.unwrap_or_default();
    let clips: Vec<(usize, usize)> = match shape[..] {
        [] | [1] => vec![(0, frames)],
        [length] | [length, 1] if length == frames => runs(&texts),
        _ => {
            let what = format!("shape is {shape:?}, expected [] or [{frames}]");
            return Err(file.error(CAPTION, what));
        }
    };
    let mut captions = Vec::new();
    for (start, frames) in clips {
        let text = texts.get(start).map_or("", |text| text.trim());
        if text.is_empty() {
            continue;
        }
        check_text(text).map_err(|what| file.error(CAPTION, format!("frame {start}: {what}")))?;
        captions.push(ClipCaption {
            file: name.clone(),
            start,
            frames,
            texts: BTreeMap::from([(UNKNOWN_LANGUAGE.to_owned(), vec![text.to_owned()])]),
            facts: Vec::new(),
        });
    }
    Ok(captions)
}

/// The start and length of each run of equal texts.
fn runs(texts: &[String]) -> Vec<(usize, usize)> {
    let mut start = 0;
    let runs = texts.chunk_by(|a, b| a == b).map(|run| {
        let at = start;
        start += run.len();
        (at, run.len())
    });
    runs.collect()
}

/// Whether this is a code of a language: two to eight small letters.
fn is_language(code: &str) -> bool {
    (2..=8).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn check_text(text: &str) -> std::result::Result<(), String> {
    match text.split_whitespace().count() {
        0 => Err("a text is empty".to_owned()),
        words if words > MAX_WORDS => Err(format!(
            "a text has {words} words, expected at most {MAX_WORDS}"
        )),
        _ => Ok(()),
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The lengths of the episodes in a folder, each read once it is asked for.
struct Lengths {
    files: HashMap<String, (PathBuf, Option<usize>)>,
    /// The text files of the folder, sorted by name.
    texts: Vec<(String, PathBuf)>,
}

impl Lengths {
    fn of(folder: &Path) -> Result<Self> {
        let mut texts = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
            let path = entry.map_err(|e| Error::io(folder, e))?.path();
            if path.extension().is_some_and(|end| end == "txt") {
                texts.push((name_of(&path), path));
            }
        }
        texts.sort();
        let files = episode_files(folder)?.into_iter();
        Ok(Self {
            files: files.map(|path| (name_of(&path), (path, None))).collect(),
            texts,
        })
    }

    /// The number of frames of an episode; `None` if there is no such file.
    fn get(&mut self, file: &str) -> Result<Option<usize>> {
        let Some((path, known)) = self.files.get_mut(file) else {
            return Ok(None);
        };
        if known.is_none() {
            let mut reader = NpzReader::open(path)?;
            let actions = reader.array(ACTION)?;
            let frames = actions.shape.first().copied().unwrap_or_default();
            if episode_ranges(&mut reader, frames)?.len() > 1 {
                let what = "holds several episodes, which captions cannot tell apart; `driftless import --from \
                            npz` writes one file for each";
                return Err(Error::invalid(path, what));
            }
            *known = Some(frames);
        }
        Ok(*known)
    }
}

#[cfg(test)]
#[path = "captions_tests.rs"]
mod tests;
