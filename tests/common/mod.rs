//! Helpers that several integration tests share.

// Each test file uses only some of them.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::path::Path;
use std::time::{Duration, Instant};

/// Fails a test that hangs.
pub const TIMEOUT: Duration = Duration::from_secs(120);

pub fn path_str(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Reports that a test is skipped because `tool` is missing. Where `CI` is `true` that is a failure.
pub fn skip_without(tool: &str) {
    let ci = std::env::var("CI").as_deref() == Ok("true");
    assert!(!ci, "missing, which is a failure with CI=true: {tool}");
    eprintln!("skipped, missing: {tool}");
}

/// Calls `poll` until it returns a value.
pub fn wait<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(start.elapsed() < TIMEOUT, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
