//! A private X server with a window manager, driven by xdotool, wmctrl and ImageMagick's import.

// Each test file uses only a part of it.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

mod server;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use image::RgbImage;
use image::imageops;

use crate::common::{path_str, wait};
use server::Server;

/// A window that does not change for this long is considered still.
const STILL: Duration = Duration::from_secs(1);

const TOOLS: [&str; 5] = ["Xvfb", "openbox", "xdotool", "wmctrl", "import"];

/// An X display with a window manager; its processes are killed when it is dropped.
pub struct Display {
    server: Server,
    manager: Child,
    /// Settings folder of the programs on this display.
    settings: tempfile::TempDir,
}

impl Display {
    /// Starts a display. Without the tools the test is skipped, or fails where `CI` is `true`.
    pub fn start() -> Option<Self> {
        if !Server::has(&TOOLS) {
            return None;
        }
        // On a loaded machine the server or its window manager sometimes fails to start.
        let display = (0..5).find_map(|_| Self::try_start());
        assert!(
            display.is_some(),
            "no X server with a window manager in five tries"
        );
        display
    }

    /// Returns `None` if the window manager does not answer in time.
    fn try_start() -> Option<Self> {
        let server = Server::start();
        let manager = Command::new("openbox")
            .arg("--sm-disable")
            .env("DISPLAY", &server.name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let display = Self {
            server,
            manager,
            settings: tempfile::tempdir().unwrap(),
        };
        for _ in 0..100 {
            if display.run("wmctrl", &["-m"]).is_ok() {
                return Some(display);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }

    /// The settings file of the programs on this display.
    pub fn settings(&self) -> PathBuf {
        self.settings.path().join("settings.toml")
    }

    /// The data folder of the programs on this display.
    fn home(&self) -> PathBuf {
        self.settings.path().join("home")
    }

    /// Runs `driftless` without a window, with the same data folder; returns its status and stdout.
    pub fn command(&self, args: &[&str]) -> (ExitStatus, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_driftless"))
            .args(args)
            .env("DRIFTLESS_HOME", self.home())
            .output()
            .unwrap();
        (output.status, String::from_utf8(output.stdout).unwrap())
    }

    /// Starts `driftless` on this display and waits until its window has the focus.
    pub fn open(&self, args: &[&str]) -> Window<'_> {
        let program = Command::new(env!("CARGO_BIN_EXE_driftless"))
            .args(args)
            .env("DISPLAY", &self.server.name)
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("WAYLAND_SOCKET")
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .env("DRIFTLESS_CONFIG", self.settings.path())
            .env("DRIFTLESS_HOME", self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut window = Window {
            display: self,
            program,
            id: String::new(),
        };
        window.id = wait("the window", || {
            if let Some(status) = window.program.try_wait().unwrap() {
                panic!("exited without a window, {status}: {}", window.stderr());
            }
            let found = self
                .run(
                    "xdotool",
                    &["search", "--onlyvisible", "--name", "Driftless"],
                )
                .ok()?;
            found.lines().next().map(str::to_owned)
        });
        wait("the focus", || {
            let _ = self.run("xdotool", &["windowactivate", &window.id]);
            let focus = self.run("xdotool", &["getwindowfocus"]).ok()?;
            (focus.trim() == window.id).then_some(())
        });
        window
    }

    /// Runs `driftless`, which must exit by itself; returns its status and stderr.
    pub fn run_to_exit(&self, args: &[&str], env: &[(&str, &str)]) -> (ExitStatus, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_driftless"))
            .args(args)
            .env("DISPLAY", &self.server.name)
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("WAYLAND_SOCKET")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status, String::from_utf8(output.stderr).unwrap())
    }

    fn run(&self, tool: &str, args: &[&str]) -> Result<String, String> {
        let output = Command::new(tool)
            .args(args)
            .env("DISPLAY", &self.server.name)
            .output()
            .map_err(|e| e.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("{tool} {args:?}: {stderr}"))
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.manager.kill();
        let _ = self.manager.wait();
    }
}

/// The program's window, which has the focus.
pub struct Window<'a> {
    display: &'a Display,
    program: Child,
    id: String,
}

impl Window<'_> {
    /// Presses a key and keeps it down.
    pub fn down(&self, key: &str) {
        self.display.run("xdotool", &["keydown", key]).unwrap();
    }

    pub fn up(&self, key: &str) {
        self.display.run("xdotool", &["keyup", key]).unwrap();
    }

    pub fn press(&self, key: &str) {
        self.down(key);
        self.up(key);
    }

    /// The window's title.
    pub fn title(&self) -> String {
        let title = self.display.run("xdotool", &["getwindowname", &self.id]);
        title.unwrap().trim().to_owned()
    }

    /// Moves the pointer to the right in steps, starting inside the window.
    pub fn move_right(&self, pixels: u32, steps: u32) {
        let middle = ["mousemove", "--window", &self.id, "400", "400"];
        self.display.run("xdotool", &middle).unwrap();
        let pixels = pixels.to_string();
        for _ in 0..steps {
            std::thread::sleep(Duration::from_millis(300));
            let by = ["mousemove_relative", &pixels, "0"];
            self.display.run("xdotool", &by).unwrap();
        }
    }

    /// A screenshot of the window.
    pub fn screenshot(&self, file: &Path) -> RgbImage {
        let path = path_str(file);
        self.display
            .run("import", &["-window", &self.id, path])
            .unwrap();
        image::open(file).unwrap().into_rgb8()
    }

    /// Takes screenshots until one satisfies `condition`.
    pub fn wait_for(
        &self,
        what: &str,
        file: &Path,
        condition: impl Fn(&RgbImage) -> bool,
    ) -> RgbImage {
        wait(what, || Some(self.screenshot(file)).filter(&condition))
    }

    /// The part of the window above the notices and the controls.
    fn upper_part(&self, file: &Path) -> RgbImage {
        let shot = self.screenshot(file);
        let (width, height) = shot.dimensions();
        imageops::crop_imm(&shot, 0, 0, width, height * 4 / 5).to_image()
    }

    /// Waits until the window has changed `count` times. Without panels, each
    /// change is at least one new frame.
    pub fn wait_for_changes(&self, count: usize, file: &Path) {
        let mut last = self.upper_part(file);
        for _ in 0..count {
            last = wait("a new frame", || {
                Some(self.upper_part(file)).filter(|shot| *shot != last)
            });
        }
    }

    /// Waits until the window no longer changes.
    pub fn wait_until_still(&self, file: &Path) {
        let (mut last, mut since) = (self.upper_part(file), Instant::now());
        wait("a still window", || {
            let shot = self.upper_part(file);
            if shot != last {
                (last, since) = (shot, Instant::now());
            }
            (since.elapsed() > STILL).then_some(())
        });
    }

    /// Presses a key and waits until it has changed the window.
    pub fn press_and_wait(&self, key: &str, file: &Path) {
        let before = self.upper_part(file);
        self.press(key);
        wait(key, || {
            Some(self.upper_part(file)).filter(|shot| *shot != before)
        });
    }

    /// Closes the window through the window manager (WM_DELETE_WINDOW); returns status and stderr.
    pub fn close(mut self) -> (ExitStatus, String) {
        self.display.run("wmctrl", &["-i", "-c", &self.id]).unwrap();
        let status = wait("the exit", || self.program.try_wait().unwrap());
        (status, self.stderr())
    }

    /// Kills the program, which can do nothing about it.
    pub fn kill(mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.program.stderr.take() {
            stderr.read_to_string(&mut text).unwrap();
        }
        text
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
