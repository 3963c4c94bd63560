//! Runs ffmpeg as a child process and turns its error output into one line.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{Error, PathError as _, Result};

/// Most of its error output that is shown, in bytes.
const MAX_ERROR_OUTPUT: u64 = 1 << 16;

/// A running ffmpeg process. It is killed if dropped before it has finished.
pub(super) struct Ffmpeg {
    /// The process; its pipes belong to the caller.
    pub child: Child,
    /// Its standard error. A file rather than a pipe, so that ffmpeg never blocks on a full one.
    error_output: File,
}

impl Ffmpeg {
    /// Starts ffmpeg to work on `path`; `configure` adds arguments and pipes.
    ///
    /// # Errors
    /// Returns an error if ffmpeg is not installed or cannot be started; its message ends with
    /// `alternative`, which tells the user what works without ffmpeg.
    pub fn start(
        path: &Path,
        alternative: &str,
        configure: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let error_output = tempfile::tempfile().map_err(|e| Error::io(std::env::temp_dir(), e))?;
        let stderr = error_output.try_clone().map_err(|e| Error::io(path, e))?;
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        configure(&mut command);
        let child = command.stderr(stderr).spawn().map_err(|e| {
            let reason = match e.kind() {
                ErrorKind::NotFound => "is not installed".to_owned(),
                _ => format!("cannot be started ({e})"),
            };
            let what = format!("this needs ffmpeg, which {reason}; {alternative}");
            Error::invalid(path, what)
        })?;
        Ok(Self {
            child,
            error_output,
        })
    }

    /// Waits for ffmpeg to finish with `path`.
    ///
    /// # Errors
    /// Returns an error with ffmpeg's own message if it exits with a failure.
    pub fn finish(mut self, path: &Path) -> Result<()> {
        drop(self.child.stdin.take());
        drop(self.child.stdout.take());
        let status = self.child.wait().map_err(|e| Error::io(path, e))?;
        if status.success() {
            return Ok(());
        }
        let mut error_output = Vec::new();
        // If its output cannot be read, the error is reported without it.
        let _ = self.error_output.rewind();
        let shown = (&self.error_output).take(MAX_ERROR_OUTPUT);
        let _ = BufReader::new(shown).read_to_end(&mut error_output);
        let error_output = String::from_utf8_lossy(&error_output)
            .trim()
            .replace('\n', "; ");
        Err(Error::invalid(
            path,
            format!("ffmpeg failed: {error_output}"),
        ))
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // Both calls fail once the process has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
