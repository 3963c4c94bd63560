//! A child process: started at low priority, stopped gracefully, and its error message if it fails.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use driftless_data::PathError as _;

use super::background_task::CancelFlag;
use crate::{ERROR_PREFIX, Error, Result};

/// The child's niceness.
const NICENESS: &str = "10";
/// Time between two checks on a child that is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The executable that a child process runs.
#[derive(Clone, Debug)]
pub struct ChildProgram(PathBuf);

impl ChildProgram {
    /// This program's own executable.
    ///
    /// # Errors
    /// Returns an error if the system does not report the executable's path.
    pub fn own() -> Result<Self> {
        let path = std::env::current_exe();
        path.map(Self).map_err(|e| {
            Error::Process(format!(
                "cannot find the path of this program's executable: {e}"
            ))
        })
    }

    /// The executable at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Starts the program at a low priority. `input` becomes its standard input and stays open while it runs.
    ///
    /// # Errors
    /// Returns an error if the process or the thread that reads its stderr cannot be started.
    pub fn start(&self, arguments: &[OsString], input: Option<File>) -> Result<ChildProcess> {
        self.spawn(low_priority(&self.0), arguments, input, Stdio::null())
    }

    fn spawn(
        &self,
        mut command: Command,
        arguments: &[OsString],
        input: Option<File>,
        output: Stdio,
    ) -> Result<ChildProcess> {
        if std::env::var_os("RAYON_NUM_THREADS").is_none() {
            // One core stays free for the window.
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let threads = cores.saturating_sub(1).max(1);
            command.env("RAYON_NUM_THREADS", threads.to_string());
        }
        let mut child = command
            .args(arguments)
            .stdin(input.map_or_else(Stdio::null, Stdio::from))
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Error::io(&self.0, e))?;
        let stderr = child.stderr.take();
        let stderr_reader = std::thread::Builder::new()
            .name("child-stderr".into())
            .spawn(move || stderr.map(last_error_line).unwrap_or_default())
            .map_err(|e| Error::no_thread(&e))?;
        Ok(ChildProcess {
            child,
            stderr_reader: Some(stderr_reader),
            stop_requested: false,
            exit: None,
        })
    }

    /// Runs the program until it exits or `cancelled` is set.
    ///
    /// # Errors
    /// Returns an error if the program cannot be started, fails (the message is its own last line),
    /// or is cancelled.
    pub fn run(&self, arguments: &[OsString], cancelled: &CancelFlag) -> Result<()> {
        let mut process = self.start(arguments, None)?;
        while !process.has_finished()? {
            if cancelled.is_cancelled() {
                process.kill();
                return Err(driftless_data::Error::Interrupted.into());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Runs the program, at the priority of this one, until it exits. Once `stopped` is set it is asked to save and
    /// exit, and waited for. Returns what it has printed.
    ///
    /// # Errors
    /// Returns an error if the program cannot be started or fails (the message is its own last line).
    pub fn run_until_stopped(
        &self,
        arguments: &[OsString],
        stopped: &CancelFlag,
    ) -> Result<String> {
        let command = Command::new(&self.0);
        let mut process = self.spawn(command, arguments, None, Stdio::piped())?;
        let stdout = process.child.stdout.take();
        let printed = std::thread::Builder::new()
            .name("child-stdout".into())
            .spawn(move || stdout.and_then(|stdout| std::io::read_to_string(stdout).ok()))
            .map_err(|e| Error::no_thread(&e))?;
        while !process.has_finished()? {
            if stopped.is_cancelled() && !process.stop_requested {
                process.request_stop();
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        // What cannot be read is missing from what is said of the run, no more.
        Ok(printed.join().ok().flatten().unwrap_or_default())
    }
}

/// A command that runs `program` through `nice` where that is available.
fn low_priority(program: &Path) -> Command {
    match cfg!(unix).then(|| find_in_path("nice")).flatten() {
        Some(nice) => {
            let mut command = Command::new(nice);
            command.args(["-n", NICENESS]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The last line with this program's prefix, or else the last line that is not empty.
fn last_error_line(stderr: impl Read) -> String {
    let mut reader = BufReader::new(stderr);
    let (mut prefixed, mut other, mut bytes) = (None, String::new(), Vec::new());
    while let Ok(1..) = reader.read_until(b'\n', &mut bytes) {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim();
        if let Some(rest) = line.strip_prefix(ERROR_PREFIX) {
            prefixed = Some(rest.to_owned());
        } else if !line.is_empty() {
            line.clone_into(&mut other);
        }
        bytes.clear();
    }
    prefixed.unwrap_or(other)
}

/// How a process exited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With status 0, or because it was asked to stop.
    Success,
    /// With another status; the message is the last line on its stderr.
    Failure(String),
}

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    /// Returns the child's last error line once its stderr is closed.
    stderr_reader: Option<JoinHandle<String>>,
    stop_requested: bool,
    exit: Option<Exit>,
}

impl ChildProcess {
    /// How the process exited, or `None` while it runs.
    ///
    /// # Errors
    /// Returns an error if the system does not report the child's status.
    pub fn try_wait(&mut self) -> Result<Option<Exit>> {
        if self.exit.is_none() {
            let status = self.child.try_wait().map_err(|e| {
                Error::Process(format!("cannot read the status of a child process: {e}"))
            })?;
            self.exit = status.map(|status| self.exit_from(status));
        }
        Ok(self.exit.clone())
    }

    /// Whether the process has exited as it should.
    ///
    /// # Errors
    /// Returns an error with its last line if it has failed, or if the system does not report its status.
    fn has_finished(&mut self) -> Result<bool> {
        match self.try_wait()? {
            Some(Exit::Success) => Ok(true),
            Some(Exit::Failure(message)) => Err(Error::Process(message)),
            None => Ok(false),
        }
    }

    fn exit_from(&mut self, status: ExitStatus) -> Exit {
        let reader = self.stderr_reader.take();
        let message = reader.and_then(|thread| thread.join().ok());
        // A child that is asked to stop before it handles the signal is killed by it, as intended.
        let killed_by_request = self.stop_requested && status.code().is_none();
        if status.success() || killed_by_request {
            return Exit::Success;
        }
        match message.filter(|message| !message.is_empty()) {
            Some(message) => Exit::Failure(message),
            None => Exit::Failure(format!(
                "the process ended without an error message ({status})"
            )),
        }
    }

    /// Asks the process to save and exit (SIGTERM), or kills it where there is no such signal.
    pub fn request_stop(&mut self) {
        // The system may reuse the id of a process that has been waited for.
        if !matches!(self.try_wait(), Ok(None)) {
            return;
        }
        self.stop_requested = true;
        #[cfg(unix)]
        {
            let id = i32::try_from(self.child.id()).ok();
            if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
                let sent = rustix::process::kill_process(id, rustix::process::Signal::TERM);
                if sent.is_ok() {
                    return;
                }
            }
        }
        self.kill();
    }

    /// Kills the process and waits for it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if !matches!(self.try_wait(), Ok(Some(_))) {
            self.kill();
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (ChildProgram, Vec<OsString>) {
        (
            ChildProgram::at("/bin/sh"),
            ["-c", script].map(OsString::from).to_vec(),
        )
    }

    fn run(script: &str) -> Result<()> {
        let (program, arguments) = shell(script);
        program.run(&arguments, &CancelFlag::default())
    }

    #[test]
    fn reports_prefixed_error_line() {
        run("echo noise >&2").unwrap();
        let error = run("echo 'driftless: the disk is full' >&2; echo later >&2; exit 1");
        assert_eq!(error.unwrap_err().to_string(), "the disk is full");
        let error = run("echo 'a driver gave up' >&2; exit 3").unwrap_err();
        assert_eq!(error.to_string(), "a driver gave up");
    }

    #[test]
    fn silent_failure_reports_status() {
        let error = run("kill -KILL $$").unwrap_err().to_string();
        assert!(error.contains("signal: 9"), "{error}");
    }

    #[test]
    fn missing_program_is_named() {
        let error = ChildProgram::at("/nonexistent/program").run(&[], &CancelFlag::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("/nonexistent/program"), "{error}");
    }

    #[test]
    fn stop_lets_the_child_finish() {
        let folder = tempfile::tempdir().unwrap();
        let (ready, saved) = (folder.path().join("ready"), folder.path().join("saved"));
        let script = format!(
            "trap 'echo 1 > {}; exit 0' TERM; echo 1 > {}; while :; do sleep 0.05; done",
            saved.display(),
            ready.display()
        );
        let (program, arguments) = shell(&script);
        let mut process = program.start(&arguments, None).unwrap();
        while !ready.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        process.request_stop();
        let exit = loop {
            if let Some(exit) = process.try_wait().unwrap() {
                break exit;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(exit, Exit::Success);
        assert!(saved.exists());
    }

    #[test]
    fn stopped_run_waits_for_what_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let (ready, saved) = (folder.path().join("ready"), folder.path().join("saved"));
        let script = format!(
            "trap 'sleep 0.1; echo 1 > {}; echo done; exit 0' TERM; echo 1 > {}; while :; do sleep 0.05; done",
            saved.display(),
            ready.display()
        );
        let (program, arguments) = shell(&script);
        let stopped = CancelFlag::default();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| program.run_until_stopped(&arguments, &stopped));
            while !ready.exists() {
                std::thread::sleep(Duration::from_millis(10));
            }
            stopped.cancel();
            assert_eq!(run.join().unwrap().unwrap(), "done\n");
        });
        assert!(saved.exists());
    }

    #[test]
    fn failed_run_reports_its_last_line() {
        let (program, arguments) = shell("echo 'driftless: no such window' >&2; exit 1");
        let error = program.run_until_stopped(&arguments, &CancelFlag::default());
        assert_eq!(error.unwrap_err().to_string(), "no such window");
    }

    #[test]
    fn stop_before_signal_handler() {
        let (program, arguments) = shell("exec sleep 1000");
        let mut process = program.start(&arguments, None).unwrap();
        process.request_stop();
        while process.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(process.try_wait().unwrap(), Some(Exit::Success));
    }

    #[test]
    fn cancelling_kills_the_child() {
        let cancelled = CancelFlag::default();
        cancelled.cancel();
        let (program, arguments) = shell("while :; do sleep 0.05; done");
        assert!(program.run(&arguments, &cancelled).is_err());
    }
}
