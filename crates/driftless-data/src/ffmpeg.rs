//! ffmpeg as a child process: started, waited for, and its complaints in one line.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::PathError as _;
use crate::{Error, Result};

/// A running ffmpeg that works on one file; dropped before it is done, it is stopped.
pub(super) struct Ffmpeg {
    /// The process, whose pipes are the caller's.
    pub child: Child,
    /// What it complains about; a file, so that it never waits for a reader.
    said: File,
}

impl Ffmpeg {
    /// Starts ffmpeg for `path`; `set` adds the arguments and the pipes.
    ///
    /// # Errors
    /// There is no ffmpeg, or it cannot be started; `otherwise` says what can be done without it.
    pub fn start(path: &Path, otherwise: &str, set: impl FnOnce(&mut Command)) -> Result<Self> {
        let said = tempfile::tempfile().map_err(|e| Error::io(std::env::temp_dir(), e))?;
        let stderr = said.try_clone().map_err(|e| Error::io(path, e))?;
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        set(&mut command);
        let child = command.stderr(stderr).spawn().map_err(|e| {
            let why = match e.kind() {
                ErrorKind::NotFound => "is not installed".to_owned(),
                _ => format!("cannot be started ({e})"),
            };
            let what = format!("this needs ffmpeg, which {why}; {otherwise}");
            Error::invalid(path, what)
        })?;
        Ok(Self { child, said })
    }

    /// Waits until it is done with `path`.
    ///
    /// # Errors
    /// It failed; the message holds what it said.
    pub fn finish(mut self, path: &Path) -> Result<()> {
        drop(self.child.stdin.take());
        drop(self.child.stdout.take());
        let status = self.child.wait().map_err(|e| Error::io(path, e))?;
        if status.success() {
            return Ok(());
        }
        let mut said = Vec::new();
        // A message that cannot be read leaves the plain one.
        let _ = self.said.rewind();
        let _ = self.said.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        Err(Error::invalid(path, format!("ffmpeg failed: {said}")))
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // One that has ended can be neither stopped nor waited for, and need not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
