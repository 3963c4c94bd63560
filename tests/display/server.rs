//! A private X server (Xvfb), which is killed when it is dropped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::common::skip_without;

/// An X server without a window manager.
pub struct Server {
    /// The display's name, for `DISPLAY`.
    pub name: String,
    process: Child,
}

impl Server {
    /// Whether all tools are installed. Without them the test is skipped, or fails where `CI` is `true`.
    pub fn has(tools: &[&str]) -> bool {
        let found = |tool: &&&str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
        };
        let missing: Vec<_> = tools.iter().filter(|tool| !found(tool)).copied().collect();
        if !missing.is_empty() {
            skip_without(&missing.join(", "));
        }
        missing.is_empty()
    }

    /// Starts a server and waits until it listens.
    pub fn start() -> Self {
        let mut process = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "1280x900x24",
                // No key repeat: on a busy machine a key may stay down for long.
                "-r",
                "-nolisten",
                "tcp",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Once the server listens, it writes the display number it has chosen.
        let mut number = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut number).unwrap();
        let name = format!(":{}", number.trim());
        Self { name, process }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
