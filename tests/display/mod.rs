//! An X server of its own with a window manager, and a person's hands on it: xdotool, wmctrl,
//! ImageMagick's import.

// Each file of tests needs a part of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use image::RgbImage;

/// Waiting longer than this ends a test that hangs.
const HANGS: Duration = Duration::from_secs(120);

const TOOLS: [&str; 5] = ["Xvfb", "openbox", "xdotool", "wmctrl", "import"];

/// Whether tests may be skipped for missing tools.
fn may_skip() -> bool {
    std::env::var("CI").as_deref() != Ok("true")
}

/// A display, ended when dropped.
pub struct Display {
    name: String,
    server: Child,
    manager: Child,
    /// Where its programs keep their settings.
    settings: tempfile::TempDir,
}

impl Display {
    /// Starts one; without the tools the test is skipped, or fails where `CI` is `true`.
    pub fn start() -> Option<Self> {
        let found = |tool: &&str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
        };
        let missing: Vec<_> = TOOLS.into_iter().filter(|tool| !found(tool)).collect();
        if !missing.is_empty() {
            assert!(may_skip(), "not installed: {missing:?}");
            eprintln!("skipped: not installed: {missing:?}");
            return None;
        }
        // On a loaded machine a server or its manager now and then fails to start.
        let tried = (0..5).find_map(|_| Self::try_start());
        assert!(
            tried.is_some(),
            "no X server with a window manager in five tries"
        );
        tried
    }

    /// One try; `None` where the window manager does not answer in time.
    fn try_start() -> Option<Self> {
        let mut server = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "1280x900x24",
                "-nolisten",
                "tcp",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The server writes the number that it found free, once it listens.
        let mut number = String::new();
        let mut told = BufReader::new(server.stdout.take().unwrap());
        told.read_line(&mut number).unwrap();
        let name = format!(":{}", number.trim());
        let manager = Command::new("openbox")
            .arg("--sm-disable")
            .env("DISPLAY", &name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let display = Self {
            name,
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

    /// The file in which programs on this display keep their settings.
    pub fn settings(&self) -> PathBuf {
        self.settings.path().join("settings.toml")
    }

    /// Starts `driftless` on this display and waits until its window has the focus.
    pub fn open(&self, args: &[&str]) -> Window<'_> {
        let program = Command::new(env!("CARGO_BIN_EXE_driftless"))
            .args(args)
            .env("DISPLAY", &self.name)
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("WAYLAND_SOCKET")
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .env("DRIFTLESS_CONFIG", self.settings.path())
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
                panic!("no window, but {status}: {}", window.stderr());
            }
            let found = self
                .run(
                    "xdotool",
                    &["search", "--onlyvisible", "--name", "^Driftless"],
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

    /// The program's own word when it opens no window on this display.
    pub fn refuse(&self, args: &[&str], env: &[(&str, &str)]) -> (ExitStatus, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_driftless"))
            .args(args)
            .env("DISPLAY", &self.name)
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
            .env("DISPLAY", &self.name)
            .output()
            .map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(format!(
                "{tool} {args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        for child in [&mut self.manager, &mut self.server] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The program's window, with the focus.
pub struct Window<'a> {
    display: &'a Display,
    program: Child,
    id: String,
}

impl Window<'_> {
    /// Presses a key and leaves it down.
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

    /// What is written above the window.
    pub fn title(&self) -> String {
        let title = self.display.run("xdotool", &["getwindowname", &self.id]);
        title.unwrap().trim().to_owned()
    }

    /// Puts the pointer into the window's middle and moves it to the right, in so many steps.
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

    /// What the window shows.
    pub fn screenshot(&self, file: &Path) -> RgbImage {
        let path = file.to_str().unwrap();
        self.display
            .run("import", &["-window", &self.id, path])
            .unwrap();
        image::open(file).unwrap().into_rgb8()
    }

    /// Takes screenshots until one is as wanted.
    pub fn wait_for(
        &self,
        what: &str,
        file: &Path,
        wanted: impl Fn(&RgbImage) -> bool,
    ) -> RgbImage {
        wait(what, || Some(self.screenshot(file)).filter(&wanted))
    }

    /// Presses the window's close button: the window manager sends WM_DELETE_WINDOW.
    pub fn close(mut self) -> (ExitStatus, String) {
        self.display.run("wmctrl", &["-i", "-c", &self.id]).unwrap();
        let status = wait("the end", || self.program.try_wait().unwrap());
        (status, self.stderr())
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

/// Asks again and again until there is an answer.
pub fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < HANGS, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}
