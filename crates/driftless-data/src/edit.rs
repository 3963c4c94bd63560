//! Changes by hand to a dataset: episodes set aside, cut, split and held out, and actions renamed and merged.
//!
//! Nothing is deleted. An episode that is replaced or set aside moves into the folder [`REMOVED`] of its
//! dataset, with its captions, and every change can be undone. A program that is killed in the middle of a
//! change leaves an episode twice at worst.

use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use crate::captions::{self, ClipCaption};
use crate::fs::{
    create_file, sync_folder, temporary_file_for, unused_path, write_atomic, write_json,
};
use crate::layout::dataset::{CAPTIONS, INFO, MANIFEST};
use crate::staging::StagingFolder;
use crate::{ActionSpec, Dataset, DatasetInfo, Episode, Error, PathError as _, Result};

/// The folder in a dataset's folder that episodes are moved to. Nothing reads it.
pub const REMOVED: &str = "removed";

/// What a change did to the files.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Episodes that it wrote.
    created: Vec<PathBuf>,
    /// Files that it moved: from where, and to where.
    moved: Vec<(PathBuf, PathBuf)>,
    /// Files with captions that it changed, with what they held before, if they existed.
    captions: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// The folder of a dataset that did not exist before.
    founded: Option<PathBuf>,
}

impl Change {
    /// Episodes that it wrote.
    pub fn created(&self) -> &[PathBuf] {
        &self.created
    }

    /// Puts everything back. Changes are undone in the opposite order.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written or has been moved meanwhile.
    pub fn undo(&self) -> Result<()> {
        // A change that broke off has not taken them away yet.
        for (from, to) in self.moved.iter().filter(|(from, _)| !from.exists()) {
            link_or_copy(to, from)?;
        }
        for (path, before) in self.captions.iter().rev() {
            match before {
                Some(bytes) => write_atomic(path, bytes)?,
                None => std::fs::remove_file(path).map_err(|e| Error::io(path, e))?,
            }
        }
        for path in self.moved.iter().map(|(_, to)| to).chain(&self.created) {
            std::fs::remove_file(path).map_err(|e| Error::io(path, e))?;
        }
        if let Some(folder) = &self.founded {
            remove_empty_dataset(folder)?;
        }
        Ok(())
    }

    /// Writes a file with captions and remembers what it held.
    fn write_captions(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let before = path.exists().then(|| std::fs::read(path));
        let before = before.transpose().map_err(|e| Error::io(path, e))?;
        if before.as_deref() == Some(bytes) {
            return Ok(());
        }
        write_atomic(path, bytes)?;
        self.captions.push((path.to_owned(), before));
        Ok(())
    }
}

/// Sets an episode aside: moves its file into [`REMOVED`].
///
/// # Errors
/// Returns an error if it is the last one, if there is no such episode, or if a file cannot be moved.
pub fn remove(folder: &Path, file: &str) -> Result<Change> {
    if crate::dataset::episode_files(folder)?.len() < 2 {
        let what = "has no other episode; a dataset needs one";
        return Err(Error::invalid(folder, what));
    }
    replace(folder, file, &[], &folder.join(REMOVED))
}

/// Keeps these frames of an episode, in a file of its own; the whole moves into [`REMOVED`].
///
/// # Errors
/// Returns an error if the range is empty or reaches past the episode's end, if the file holds several
/// episodes, or if a file cannot be written.
pub fn cut(folder: &Path, file: &str, range: Range<usize>) -> Result<Change> {
    replace(folder, file, &[range], &folder.join(REMOVED))
}

/// Makes two episodes of one: the second begins with frame `at`. The whole moves into [`REMOVED`].
///
/// # Errors
/// As [`cut`].
pub fn split(folder: &Path, file: &str, at: usize) -> Result<Change> {
    let frames = Episode::read(&folder.join(file))?.frames();
    replace(folder, file, &[0..at, at..frames], &folder.join(REMOVED))
}

/// Moves an episode to another dataset, which is created if it does not exist: one that is not trained on.
///
/// # Errors
/// Returns an error if the other dataset has other frames, actions or axes, if the episode is the last one of its
/// own, or if a file cannot be moved.
pub fn hold_out(folder: &Path, file: &str, other: &Path) -> Result<Change> {
    if crate::dataset::episode_files(folder)?.len() < 2 {
        let what = "has no other episode; a dataset needs one";
        return Err(Error::invalid(folder, what));
    }
    let info = DatasetInfo::read(folder)?;
    let mut change = Change::default();
    if other.join(INFO).exists() {
        let others = DatasetInfo::read(other)?;
        let same = others.image == info.image
            && others.actions == info.actions
            && others.axes == info.axes;
        if !same {
            let what = format!(
                "has other frames, actions or axes, expected those of {}",
                folder.display()
            );
            return Err(Error::invalid(other, what));
        }
    } else {
        std::fs::create_dir_all(other).map_err(|e| Error::io(other, e))?;
        write_json(&other.join(INFO), &info)?;
        change.founded = Some(other.to_owned());
    }
    replace_with(change, folder, file, &[], other)
}

/// Deletes the folder of a dataset that has nothing but its description.
fn remove_empty_dataset(folder: &Path) -> Result<()> {
    for entry in folder.read_dir().map_err(|e| Error::io(folder, e))? {
        if entry.map_err(|e| Error::io(folder, e))?.file_name() != INFO {
            return Ok(());
        }
    }
    let info = folder.join(INFO);
    std::fs::remove_file(&info).map_err(|e| Error::io(&info, e))?;
    std::fs::remove_dir(folder).map_err(|e| Error::io(folder, e))
}

/// The dataset beside this one that [`hold_out`] is meant for: `NAME-val`.
///
/// # Errors
/// As [`beside`].
pub fn held_out_folder(folder: &Path) -> Result<PathBuf> {
    beside(folder, "-val")
}

/// A folder beside this one, whose name is its own with this ending, wherever the current folder is.
///
/// # Errors
/// Returns an error if the folder does not exist.
pub fn beside(folder: &Path, ending: &str) -> Result<PathBuf> {
    let folder = folder.canonicalize().map_err(|e| Error::io(folder, e))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(folder.with_file_name(format!("{name}{ending}")))
}

/// Puts parts of an episode in its place and moves the whole to another folder. If it fails, nothing is changed.
fn replace(folder: &Path, file: &str, parts: &[Range<usize>], to: &Path) -> Result<Change> {
    replace_with(Change::default(), folder, file, parts, to)
}

/// As [`replace`], as a part of a change that has begun.
fn replace_with(
    mut change: Change,
    folder: &Path,
    file: &str,
    parts: &[Range<usize>],
    to: &Path,
) -> Result<Change> {
    if let Err(error) = try_replace(&mut change, folder, file, parts, to) {
        // The first error is the one that tells why; what cannot be undone leaves the episode twice.
        let _ = change.undo();
        return Err(error);
    }
    Ok(change)
}

/// As [`replace`]; `change` tells what has been done, even after an error.
fn try_replace(
    change: &mut Change,
    folder: &Path,
    file: &str,
    parts: &[Range<usize>],
    to: &Path,
) -> Result<()> {
    let path = folder.join(file);
    let lines = captions::read_file(folder)?.into_iter();
    let (own, mut kept): (Vec<_>, Vec<_>) = lines.partition(|line| line.file == file);
    if !parts.is_empty() {
        let said = captions::read_of(folder, file)?;
        let episode = Episode::read(&path)?;
        check_parts(&path, parts, episode.frames())?;
        for range in parts {
            let part = unused_path(&part_path(&path, range));
            episode.part(range.clone()).write(&part)?;
            kept.extend(
                said.iter()
                    .filter_map(|line| moved_into(line, range, &part)),
            );
            change.created.push(part);
        }
    }
    std::fs::create_dir_all(to).map_err(|e| Error::io(to, e))?;
    let target = unused_path(&to.join(file));
    let aside = with_sidecars(&path, &target)?;
    for (from, to) in aside {
        link_or_copy(&from, &to)?;
        change.moved.push((from, to));
    }
    let renamed = own.into_iter().map(|line| ClipCaption {
        file: name_of(&target),
        ..line
    });
    let renamed: Vec<ClipCaption> = renamed.collect();
    let there = to.join(CAPTIONS);
    if !renamed.is_empty() {
        let mut bytes = std::fs::read(&there).unwrap_or_default();
        // A line that a person wrote last may lack its end.
        if bytes.last().is_some_and(|last| *last != b'\n') {
            bytes.push(b'\n');
        }
        bytes.extend(captions::to_lines(&renamed)?);
        change.write_captions(&there, &bytes)?;
    }
    let here = folder.join(CAPTIONS);
    if here.exists() || !kept.is_empty() {
        change.write_captions(&here, &captions::to_lines(&kept)?)?;
    }
    for (from, _) in &change.moved {
        std::fs::remove_file(from).map_err(|e| Error::io(from, e))?;
    }
    sync_folder(folder)
}

fn check_parts(path: &Path, parts: &[Range<usize>], frames: usize) -> Result<()> {
    let mut parts = parts.iter();
    match parts.find(|range| range.is_empty() || range.end > frames) {
        Some(Range { start, end }) => {
            let what = format!("frames {start} to {end} are no part of its {frames} frames");
            Err(Error::invalid(path, what))
        }
        None => Ok(()),
    }
}

/// What a caption says of a part of its episode, if the part holds its frames.
fn moved_into(line: &ClipCaption, range: &Range<usize>, part: &Path) -> Option<ClipCaption> {
    let is_within = range.start <= line.start && line.start + line.frames <= range.end;
    is_within.then(|| ClipCaption {
        file: name_of(part),
        start: line.start - range.start,
        ..line.clone()
    })
}

/// `NAME_START-END.npz` beside an episode; END is the last frame.
fn part_path(path: &Path, range: &Range<usize>) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let end = range.end.saturating_sub(1);
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_{}-{end}.{ending}", range.start))
}

/// An episode and the text files beside it, each with its target.
fn with_sidecars(path: &Path, target: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = vec![(path.to_owned(), target.to_owned())];
    let stem = target.file_stem().unwrap_or_default().to_string_lossy();
    for (text, ending) in captions::files_beside(path)? {
        let name = format!("{stem}{ending}");
        files.push((text, unused_path(&target.with_file_name(name))));
    }
    Ok(files)
}

/// A second name for a file, or a copy where there are no links.
fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mut copy = temporary_file_for(to)?;
    let mut source = File::open(from).map_err(|e| Error::io(from, e))?;
    std::io::copy(&mut source, copy.as_file_mut()).map_err(|e| Error::io(to, e))?;
    create_file(copy, to)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Writes a copy of a dataset in which action i is `map[i]` of `actions`. `progress` is called after each
/// episode with their number and stops the work by returning `false`.
///
/// # Errors
/// Returns an error if `map` has another length than the dataset has actions, names an action that does not
/// exist or makes the idle action another one; if `out` is not empty; if an episode cannot be read; if the
/// disk is full; or [`Error::Interrupted`].
pub fn remap(
    folder: &Path,
    out: &Path,
    actions: Vec<ActionSpec>,
    map: &[u32],
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<()> {
    let info = DatasetInfo::read(folder)?;
    if map.len() != info.actions.len() {
        return Err(Error::Argument(format!(
            "the map has {} actions, the dataset {}",
            map.len(),
            info.actions.len()
        )));
    }
    if map.first() != Some(&0) || map.iter().any(|&to| to as usize >= actions.len()) {
        return Err(Error::Argument(
            "action 0, the idle one, stays action 0, and all others become one of the new ones"
                .into(),
        ));
    }
    let staging = StagingFolder::new(out)?;
    let mut done = 0;
    Dataset::for_each_episode(folder, &info, |path, episode| {
        let mut episode = episode?;
        for action in &mut episode.actions {
            *action = map[*action as usize];
        }
        // A file with several episodes becomes several files.
        episode.write(&unused_path(&staging.path().join(name_of(path))))?;
        done += 1;
        if progress(done) {
            Ok(ControlFlow::Continue(()))
        } else {
            Err(Error::Interrupted)
        }
    })?;
    if let Some(all) = captions::read(folder)? {
        captions::write(staging.path(), &all)?;
    }
    let manifest = folder.join(MANIFEST);
    if manifest.exists() {
        link_or_copy(&manifest, &staging.path().join(MANIFEST))?;
    }
    write_json(&staging.path().join(INFO), &DatasetInfo { actions, ..info })?;
    staging.finish()
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
