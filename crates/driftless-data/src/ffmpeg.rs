//! Runs ffmpeg as a child process and turns its error output into one line.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::{Error, PathError as _, Result};

/// Most of its error output that is shown, in bytes.
const MAX_ERROR_OUTPUT: u64 = 1 << 16;

/// The option that passes on every decoded frame once, whatever its time: no frame is dropped or comes
/// twice. Before version 5.1 it had another name, which the newest no longer know.
pub(super) fn every_frame_once() -> [&'static str; 2] {
    static IS_OLD: OnceLock<bool> = OnceLock::new();
    let is_old = IS_OLD.get_or_init(|| {
        let output = Command::new("ffmpeg").arg("-version").output();
        output.is_ok_and(|output| is_before_5_1(&String::from_utf8_lossy(&output.stdout)))
    });
    let name = if *is_old { "-vsync" } else { "-fps_mode" };
    [name, "passthrough"]
}

/// Whether the output of `ffmpeg -version` is that of a version before 5.1. Builds between releases,
/// which have no number, count as newer.
fn is_before_5_1(text: &str) -> bool {
    let version = text.strip_prefix("ffmpeg version ").unwrap_or_default();
    let mut parts = version.trim_start_matches('n').split(['.', '-', ' ']);
    let mut number = || parts.next()?.parse::<u32>().ok();
    match (number(), number()) {
        // Some builds are named by their date.
        (Some(major), _) if major > 1000 => false,
        (Some(major), minor) => (major, minor.unwrap_or(0)) < (5, 1),
        (None, _) => false,
    }
}

/// A line of ffmpeg's without the part that says which part of it speaks, and where that is in memory:
/// `[mov,mp4 @ 0x55d0c8] `.
fn without_source(line: &str) -> &str {
    let line = line.trim();
    match line.split_once("] ") {
        Some((source, message)) if source.starts_with('[') && source.contains(" @ 0x") => {
            without_source(message)
        }
        _ => line,
    }
}

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

    /// Waits for ffmpeg to finish with `path`; returns what it complained about, in one line, although it
    /// did not fail: nothing, mostly.
    ///
    /// # Errors
    /// Returns an error with ffmpeg's own message if it exits with a failure.
    pub fn finish(mut self, path: &Path) -> Result<String> {
        drop(self.child.stdin.take());
        drop(self.child.stdout.take());
        let status = self.child.wait().map_err(|e| Error::io(path, e))?;
        let mut error_output = Vec::new();
        // If its output cannot be read, the error is reported without it.
        let _ = self.error_output.rewind();
        let shown = (&self.error_output).take(MAX_ERROR_OUTPUT);
        let _ = BufReader::new(shown).read_to_end(&mut error_output);
        let error_output = String::from_utf8_lossy(&error_output)
            .lines()
            .map(without_source)
            .filter(|line| !line.is_empty())
            .collect::<Vec<&str>>()
            .join("; ");
        if status.success() {
            return Ok(error_output);
        }
        let what = format!("ffmpeg failed: {error_output}");
        Err(Error::invalid(path, what))
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // Both calls fail once the process has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_messages_are_left_out() {
        for (line, message) in [
            ("[h264 @ 0x55d0] [x @ 0x1] broken", "broken"),
            ("[1, 2] is a range ", "[1, 2] is a range"),
        ] {
            assert_eq!(without_source(line), message);
        }
    }

    #[test]
    fn versions_are_told_apart() {
        let old = ["4.2.7-0ubuntu0.1 Copyright", "n4.4", "5.0.1-static", "3.4"];
        let new = [
            "5.1.9-0+deb12u1 C",
            "n6.0",
            "9.0.2",
            "N-109000-g1",
            "2023-05-01-git-x",
            "",
        ];
        for (versions, is_old) in [(&old[..], true), (&new[..], false)] {
            for version in versions {
                let text = format!("ffmpeg version {version}");
                assert_eq!(is_before_5_1(&text), is_old, "{text}");
            }
        }
    }
}
