//! A world as one file to share, `NAME.driftless`: a zip archive of the checkpoint's files, and with a game those of
//! the [`Game`].
//!
//! Such a file comes from someone else. Only the names of these files are taken out of it, each once, and nothing is
//! written before all of them are checked; the world is opened like any other after that.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use driftless_data::PathError as _;
use driftless_data::fs::{check_new, create_file, open_source, replace_file, temporary_file_for};
use driftless_data::layout::checkpoint::{
    AGENT_CONFIG, AGENT_WEIGHTS, CLIP_ACTION_WEIGHTS, CLIP_CONFIG, CLIP_WEIGHTS, NEEDED, OPTIONAL,
};
use driftless_data::staging::StagingFolder;
use driftless_model::checkpoint::read_config;
use driftless_sim::{GAME_FILES, Game};

use super::library::is_playable;
use super::paths::{UserPaths, folder_name, unused_folder};
use crate::{Error, Result};

/// Extension of a world's file.
pub const EXTENSION: &str = "driftless";
/// Most bytes that all files of a world take.
const MAX_BYTES: u64 = 8 << 30;
/// Most bytes that a file of a game takes.
const MAX_GAME_BYTES: u64 = 64 << 20;
/// Name of a world whose own cannot be used as a folder's.
const NAMELESS: &str = "world";

/// A world that was put among the saved ones.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenedWorld {
    /// The checkpoint folder.
    pub folder: PathBuf,
    /// The game that came with it.
    pub game: Option<Game>,
}

impl From<PathBuf> for OpenedWorld {
    fn from(folder: PathBuf) -> Self {
        Self { folder, game: None }
    }
}

/// The files of a world.
fn files() -> impl Iterator<Item = &'static str> {
    NEEDED.into_iter().chain(OPTIONAL)
}

/// Whether a path has the extension of a world's file.
pub fn is_world_file(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == EXTENSION)
}

/// Writes the world in a checkpoint folder as one file, with a game if one is given. An existing file is replaced only
/// with `overwrite`.
///
/// # Errors
/// Returns an error if the checkpoint is not a whole world, if the game does not fit it, if the file exists or has
/// another extension, or if it cannot be written.
pub fn export(checkpoint: &Path, game: Option<&Game>, file: &Path, overwrite: bool) -> Result<()> {
    if !is_world_file(file) {
        let what = format!("expected a name that ends in .{EXTENSION}");
        return Err(Error::invalid(file, what));
    }
    if !is_playable(checkpoint) {
        let what = "is not a complete world, expected both networks";
        return Err(Error::invalid(checkpoint, what));
    }
    if !overwrite {
        check_new(file)?;
    }
    let files = files().map(|name| (name, checkpoint.join(name)));
    let files = files.filter(|(name, path)| NEEDED.contains(name) || path.is_file());
    let mut files: Vec<_> = files.collect();
    let folder = game.map(|game| game_folder(game, checkpoint)).transpose()?;
    if let Some(folder) = &folder {
        files.extend(GAME_FILES.map(|name| (name, folder.path().join(name))));
    }
    let temporary = temporary_file_for(file)?;
    let io = |e: std::io::Error| Error::io(file, e);
    let mut zip = ZipWriter::new(temporary.as_file());
    // Weights do not get smaller.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, path) in files {
        let mut source = open_source(&path)?;
        let len = source.metadata().map_err(|e| Error::io(&path, e))?.len();
        let options = options.large_file(len >= u64::from(u32::MAX));
        zip.start_file(name, options).map_err(|e| io(e.into()))?;
        std::io::copy(&mut source, &mut zip).map_err(io)?;
    }
    zip.finish()
        .map_err(|e| io(e.into()))?
        .flush()
        .map_err(io)?;
    if overwrite {
        Ok(replace_file(temporary, file)?)
    } else {
        Ok(create_file(temporary, file)?)
    }
}

/// A temporary folder with the files of a game.
fn game_folder(game: &Game, checkpoint: &Path) -> Result<TempDir> {
    let folder = tempfile::tempdir().map_err(|e| Error::io(std::env::temp_dir(), e))?;
    let written = game.write(folder.path(), &read_config(checkpoint)?);
    written.map_err(|e| Error::invalid(checkpoint, in_folder(folder.path(), &e)))?;
    Ok(folder)
}

/// An error about a file in a folder whose own name tells nobody anything.
fn in_folder(folder: &Path, error: &driftless_sim::Error) -> String {
    let prefix = format!("{}{}", folder.display(), std::path::MAIN_SEPARATOR);
    error.to_string().replace(&prefix, "")
}

/// Puts the world in a file among the saved worlds, and returns its folder, that of the same world if it is there
/// already, with the game in the file.
///
/// # Errors
/// Returns an error if the file is not a world's, holds anything else, or unpacks to more than 8 GiB, or if the folder
/// cannot be written. Nothing is left behind then.
pub fn import(file: &Path, paths: &UserPaths) -> Result<OpenedWorld> {
    let mut zip = open(file)?;
    let names = check(file, &mut zip)?;
    let staging = StagingFolder::new(&unused_folder(&paths.worlds(), NAMELESS))?;
    let mut left = MAX_BYTES;
    for (index, name) in names.iter().enumerate() {
        let is_game = GAME_FILES.contains(name);
        let most = if is_game { MAX_GAME_BYTES } else { MAX_BYTES };
        let to = staging.path().join(name);
        left = left.saturating_sub(unpack(file, &mut zip, index, &to, most.min(left))?);
    }
    let config = read_config(staging.path())?;
    let game = names
        .contains(&GAME_FILES[0])
        .then(|| Game::read(staging.path(), &config));
    let game = game.transpose().map_err(|e| {
        let why = in_folder(staging.path(), &e);
        not_a_world(file, &format!("its game is damaged ({why})"))
    })?;
    let name = folder_name(&config.name).unwrap_or_else(|_| NAMELESS.to_owned());
    let target = unused_folder(&paths.worlds(), &name);
    if let Some(same) = same_world(staging.path(), &target, paths, &name)? {
        return Ok(OpenedWorld { folder: same, game });
    }
    let named = StagingFolder::new(&target)?;
    for name in names.iter().filter(|name| !GAME_FILES.contains(name)) {
        let [from, to] = [staging.path(), named.path()].map(|folder| folder.join(name));
        std::fs::rename(&from, to).map_err(|e| Error::io(&from, e))?;
    }
    named.finish()?;
    Ok(OpenedWorld {
        folder: target,
        game,
    })
}

type Archive = ZipArchive<BufReader<File>>;

fn open(file: &Path) -> Result<Archive> {
    let source = BufReader::new(open_source(file)?);
    ZipArchive::new(source).map_err(|e| not_a_world(file, &format!("it is no zip archive ({e})")))
}

fn not_a_world(file: &Path, why: &str) -> Error {
    Error::invalid(file, format!("is not a world: {why}"))
}

/// The names of the entries in their order: the files of a world, or of a world and a game, and nothing else.
fn check(file: &Path, zip: &mut Archive) -> Result<Vec<&'static str>> {
    let mut found = BTreeSet::new();
    let mut names = Vec::new();
    let mut bytes = 0_u64;
    for index in 0..zip.len() {
        let entry = zip.by_index(index);
        let entry = entry.map_err(|e| not_a_world(file, &e.to_string()))?;
        let name = entry
            .name()
            .map_err(|e| not_a_world(file, &e.to_string()))?;
        let known = files().chain(GAME_FILES).find(|known| *known == name);
        let Some(known) = known.filter(|_| entry.is_file()) else {
            let files: Vec<&str> = files().chain(GAME_FILES).collect();
            let why = format!("it holds `{name}`, expected only {}", files.join(", "));
            return Err(not_a_world(file, &why));
        };
        if !found.insert(known) {
            return Err(not_a_world(file, &format!("it holds {known} twice")));
        }
        bytes = bytes.saturating_add(entry.size());
        names.push(known);
    }
    let has_game = GAME_FILES.iter().any(|name| found.contains(name));
    for [config, weights] in [[CLIP_CONFIG, CLIP_WEIGHTS], [AGENT_CONFIG, AGENT_WEIGHTS]] {
        if found.contains(config) != found.contains(weights) {
            let why = format!("it holds one of {config} and {weights} without the other");
            return Err(not_a_world(file, &why));
        }
    }
    if found.contains(CLIP_ACTION_WEIGHTS) && !found.contains(CLIP_CONFIG) {
        let why = format!("it holds {CLIP_ACTION_WEIGHTS} without {CLIP_CONFIG}");
        return Err(not_a_world(file, &why));
    }
    let mut needed = NEEDED
        .into_iter()
        .chain(GAME_FILES.into_iter().filter(|_| has_game));
    if let Some(missing) = needed.find(|name| !found.contains(name)) {
        return Err(not_a_world(file, &format!("it holds no {missing}")));
    }
    if bytes > MAX_BYTES {
        return Err(not_a_world(file, "it unpacks to more than 8 GiB"));
    }
    Ok(names)
}

/// Writes an entry to `to`, of at most `most` bytes, whatever its header says; returns how many it has.
fn unpack(file: &Path, zip: &mut Archive, index: usize, to: &Path, most: u64) -> Result<u64> {
    let entry = zip.by_index(index);
    let entry = entry.map_err(|e| not_a_world(file, &e.to_string()))?;
    let mut target = File::create_new(to).map_err(|e| Error::io(to, e))?;
    let mut bounded = entry.take(most.saturating_add(1));
    let copied = std::io::copy(&mut bounded, &mut target);
    let copied = copied.map_err(|e| not_a_world(file, &format!("it is damaged ({e})")))?;
    if copied > most {
        let why = format!("it unpacks to more than {most} bytes");
        return Err(not_a_world(file, &why));
    }
    Ok(copied)
}

/// A saved world of this name with the same files as the folder `new`.
fn same_world(new: &Path, target: &Path, paths: &UserPaths, name: &str) -> Result<Option<PathBuf>> {
    if target == paths.worlds().join(name) {
        return Ok(None);
    }
    for folder in paths.list_worlds() {
        let own = folder.file_name().unwrap_or_default().to_string_lossy();
        if own.starts_with(name) && same_files(new, &folder)? {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

/// Whether two folders hold the same files of a world.
fn same_files(a: &Path, b: &Path) -> Result<bool> {
    for name in files() {
        let (a, b) = (a.join(name), b.join(name));
        let len = |path: &Path| path.metadata().ok().map(|found| found.len());
        if len(&a) != len(&b) || (a.is_file() && !same_bytes(&a, &b)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_bytes(a: &Path, b: &Path) -> Result<bool> {
    let reader =
        |path: &Path| Ok::<_, Error>(BufReader::with_capacity(1 << 20, open_source(path)?));
    let (mut first, mut second) = (reader(a)?, reader(b)?);
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    loop {
        let [x, y] = &mut buffers;
        let count = first.read(x).map_err(|e| Error::io(a, e))?;
        if count == 0 {
            return Ok(true);
        }
        let same = y.get_mut(..count).map(|y| second.read_exact(y));
        if same.is_none_or(|read| read.is_err()) || x.get(..count) != y.get(..count) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
#[path = "world_file_tests.rs"]
mod tests;
