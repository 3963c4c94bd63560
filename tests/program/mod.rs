//! The program from outside, for several integration tests.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::path::Path;
use std::process::{Command, Output};

/// Where the project is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program with these arguments.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    // Without it a graphics driver may print a warning.
    command.env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command.current_dir(root()).args(args);
    command
}

/// Runs the program.
pub fn driftless(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// Runs a command that must succeed; returns what it prints.
pub fn success(args: &[&str]) -> String {
    let output = driftless(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail with exit status 1; returns its one line on stderr.
pub fn failure(args: &[&str]) -> String {
    let output = driftless(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    stderr
}
