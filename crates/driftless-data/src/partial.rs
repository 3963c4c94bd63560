//! What is still being written: temporary files and folders beside their target, their names, locks and removal.
//!
//! Their owner holds a lock for as long as it writes. What a killed program leaves has none, and the next
//! program that writes into the same folder removes it.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::NamedTempFile;

/// Ending of the name of what is still being written. No other program's files have it.
const SUFFIX: &str = ".driftless-partial";
/// Random characters in such a name.
const RANDOM: usize = 6;
/// The most bytes of the target's name in it: all of it must fit into 255.
const MAX_NAME: usize = 200;
/// Where there are no locks, an owner that has not written for so long is taken for dead.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a new file is made again because a sweep has taken it for a leftover.
const ATTEMPTS: usize = 20;

/// In a folder: what it was to become. Another program can go on with it, so it is not swept.
pub(crate) const RESUME: &str = ".resume.json";

/// Whether `path` has the name of something that is being written, or was left by a crash, on its way to
/// `target`.
pub fn is_partial(path: &Path, target: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let rest = name.strip_prefix(&prefix(target));
    rest.is_some_and(|rest| rest.len() == RANDOM + SUFFIX.len() && rest.ends_with(SUFFIX))
}

/// Beginning of the names of what is to become `target`.
fn prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!(".{}.", &name[..end])
}

/// Creates a locked temporary file in `folder`, readable like any new file. Dropping it removes it.
///
/// # Errors
/// Returns an error if the folder is not writable.
pub(crate) fn new_file(folder: &Path, target: &Path) -> io::Result<NamedTempFile> {
    sweep(folder);
    let prefix = prefix(target);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
    // Readable by whoever the umask allows; tempfile's default is owner only.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    claimed(|| {
        let file = builder.tempfile_in(folder).map_err(without_name)?;
        let owned = claim(file.as_file(), file.path());
        Ok(owned.then_some(file))
    })
}

/// A temporary folder that is locked. Dropping it removes it.
pub(crate) struct PartialFolder {
    path: PathBuf,
    /// `None` where folders cannot be locked.
    _lock: Option<File>,
    kept: bool,
}

impl PartialFolder {
    /// Creates a temporary folder in `parent` on its way to `target`.
    ///
    /// # Errors
    /// Returns an error if the folder is not writable.
    pub fn new(parent: &Path, target: &Path) -> io::Result<Self> {
        sweep(parent);
        let prefix = prefix(target);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        claimed(|| {
            let path = builder.tempdir_in(parent).map_err(without_name)?.keep();
            let lock = File::open(&path).ok();
            let owned = lock.as_ref().is_none_or(|lock| claim(lock, &path));
            Ok(owned.then_some(Self {
                path,
                _lock: lock,
                kept: false,
            }))
        })
    }

    /// Takes over a folder in `parent` that a killed program left on its way to `target`, if its note
    /// ([`RESUME`]) is `note`. Those with another note are removed.
    pub fn adopt(parent: &Path, target: &Path, note: &[u8]) -> Option<Self> {
        let mut found = None;
        for path in entries(parent) {
            if !is_partial(&path, target) {
                continue;
            }
            let Some(lock) = abandoned(&path) else {
                continue;
            };
            let same = std::fs::read(path.join(RESUME)).is_ok_and(|read| read == note);
            let kept = false;
            let folder = Self {
                path,
                _lock: lock,
                kept,
            };
            // All others are dropped, which removes them.
            if same && found.is_none() {
                found = Some(folder);
            }
        }
        found
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder where it is.
    pub fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.path.clone()
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is swept later.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// The error without the temporary name that tempfile adds, which means nothing to the user.
fn without_name(error: io::Error) -> io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((what, _)) => io::Error::new(error.kind(), what),
        None => error,
    }
}

/// Calls `make` until what it makes is owned.
fn claimed<T>(mut make: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    for _ in 0..ATTEMPTS {
        if let Some(made) = make()? {
            return Ok(made);
        }
    }
    Err(io::Error::other("another program removes temporary files"))
}

/// Locks what has just been created at `path`. False if a sweep was faster: it has removed it, or will.
fn claim(file: &File, path: &Path) -> bool {
    if !cfg!(unix) {
        return true;
    }
    match file.try_lock() {
        Ok(()) => is_at(file, path),
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => true,
    }
}

/// Whether `path` leads to the open `file`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let opened = file.metadata().map(id).ok();
    opened.is_some() && opened == std::fs::symlink_metadata(path).map(id).ok()
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// The lock of something whose owner is dead; the inner `None` where there are no locks. `None` if its
/// owner lives, or may live.
fn abandoned(path: &Path) -> Option<Option<File>> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    // Only what this program makes, never what a link leads to.
    if !(metadata.is_file() || metadata.is_dir()) {
        return None;
    }
    if cfg!(unix) {
        let file = File::open(path).ok()?;
        match file.try_lock() {
            Ok(()) => return is_at(&file, path).then_some(Some(file)),
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(_)) => {}
        }
    }
    let age = metadata.modified().ok()?.elapsed().ok()?;
    (age > ABANDONED_AFTER).then_some(None)
}

/// Removes what killed programs left in `folder`, once for each folder.
fn sweep(folder: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.insert(folder.to_path_buf()) {
        drop(swept);
        remove_leftovers(folder);
    }
}

fn remove_leftovers(folder: &Path) {
    for path in entries(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !(name.starts_with('.') && name.ends_with(SUFFIX)) || path.join(RESUME).exists() {
            continue;
        }
        if let Some(_lock) = abandoned(&path) {
            // What cannot be removed does no harm.
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_their_target() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.npz");
        let file = new_file(folder.path(), &target).unwrap();
        assert!(is_partial(file.path(), &target));
        assert!(!is_partial(file.path(), &folder.path().join("a")));
        assert!(!is_partial(Path::new(".a.npz.x.partial"), &target));
        let long = "ü".repeat(120);
        new_file(folder.path(), &folder.path().join(&long)).unwrap();
        PartialFolder::new(folder.path(), &folder.path().join(&long)).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn only_leftovers_are_swept() {
        let root = tempfile::tempdir().unwrap();
        let (folder, target) = (root.path(), root.path().join("a"));
        let alive = new_file(folder, &target).unwrap();
        let alive_folder = PartialFolder::new(folder, &target).unwrap();
        let others = [".a.tmp", "a.driftless-partial", ".b.partial"];
        for name in others {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let dead = folder.join(format!(".a.123456{SUFFIX}"));
        std::fs::write(&dead, "").unwrap();
        let dead_folder = folder.join(format!(".b.123456{SUFFIX}"));
        let resumable = folder.join(format!(".c.123456{SUFFIX}"));
        for dead in [&dead_folder, &resumable] {
            std::fs::create_dir(dead).unwrap();
            std::fs::write(dead.join("episode"), "").unwrap();
        }
        std::fs::write(resumable.join(RESUME), "plan").unwrap();
        remove_leftovers(folder);
        assert!(!dead.exists() && !dead_folder.exists());
        assert!(alive.path().exists() && alive_folder.path().exists() && resumable.exists());
        assert!(others.iter().all(|name| folder.join(name).exists()));

        let target = folder.join("c");
        let adopted = PartialFolder::adopt(folder, &target, b"plan").unwrap();
        assert_eq!(adopted.path(), resumable);
        assert!(PartialFolder::adopt(folder, &target, b"plan").is_none());
        drop(adopted);
        assert!(!resumable.exists());
    }

    #[test]
    #[cfg(unix)]
    fn folders_with_another_note_are_not_adopted() {
        let root = tempfile::tempdir().unwrap();
        let dead = root.path().join(format!(".a.123456{SUFFIX}"));
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(RESUME), "other").unwrap();
        let adopted = PartialFolder::adopt(root.path(), &root.path().join("a"), b"plan");
        assert!(adopted.is_none() && !dead.exists());
    }

    #[test]
    fn concurrent_writers_and_sweeps_agree() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for i in 0..4 {
                let (folder, target) = (root.path(), root.path().join(format!("{i}")));
                scope.spawn(move || {
                    for _ in 0..50 {
                        let file = new_file(folder, &target).unwrap();
                        remove_leftovers(folder);
                        file.persist(&target).unwrap();
                    }
                });
            }
        });
        assert_eq!(entries(root.path()).len(), 4);
    }
}
