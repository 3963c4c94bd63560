//! A child process: started at low priority, asked to stop, and what it said when it failed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use super::task::Cancelled;
use crate::{Error, Result};
use driftless_data::PathError as _;

/// How far a child's priority is lowered.
const NICENESS: &str = "10";
/// Between two looks at a child that is waited for.
const LOOK: Duration = Duration::from_millis(100);
/// What a line of this program's own on stderr begins with.
const OWN: &str = "driftless: ";

/// The program that does the work.
#[derive(Clone, Debug)]
pub struct Program(PathBuf);

impl Program {
    /// This very program.
    ///
    /// # Errors
    /// The system does not say where it lies.
    pub fn own() -> Result<Self> {
        let path = std::env::current_exe();
        path.map(Self)
            .map_err(|e| Error::Device(format!("where this program lies is unknown: {e}")))
    }

    /// The program at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Starts it. `input` is its standard input, kept open as long as it runs.
    ///
    /// # Errors
    /// The system starts no process.
    pub fn start(&self, arguments: &[OsString], input: Option<File>) -> Result<Process> {
        let mut command = low_priority(&self.0);
        if std::env::var_os("RAYON_NUM_THREADS").is_none() {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let left_over = cores.saturating_sub(1).max(1);
            command.env("RAYON_NUM_THREADS", left_over.to_string());
        }
        let mut child = command
            .args(arguments)
            .stdin(input.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Error::io(&self.0, e))?;
        let stderr = child.stderr.take();
        let said = std::thread::Builder::new()
            .name("child-stderr".into())
            .spawn(move || stderr.map(last_word).unwrap_or_default())
            .map_err(|e| Error::Device(format!("cannot start a thread: {e}")))?;
        Ok(Process {
            child,
            said: Some(said),
            asked: false,
            end: None,
        })
    }

    /// Runs it to its end, or until `cancelled`.
    ///
    /// # Errors
    /// It failed; the message is its own last line.
    pub fn run(&self, arguments: &[OsString], cancelled: &Cancelled) -> Result<()> {
        let mut process = self.start(arguments, None)?;
        loop {
            match process.ended()? {
                Some(End::Done) => return Ok(()),
                Some(End::Failed(what)) => return Err(Error::Device(what)),
                None if cancelled.is_set() => {
                    process.kill();
                    return Err(Error::Device("stopped".into()));
                }
                None => std::thread::sleep(LOOK),
            }
        }
    }
}

/// The command at low priority, where the system has a way to ask for that.
fn low_priority(program: &Path) -> Command {
    match cfg!(unix).then(|| in_path("nice")).flatten() {
        Some(nice) => {
            let mut command = Command::new(nice);
            command.args(["-n", NICENESS]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The last line of this program's own, else the last line that says anything.
fn last_word(stderr: impl Read) -> String {
    let mut reader = BufReader::new(stderr);
    let (mut own, mut other, mut bytes) = (None, String::new(), Vec::new());
    while let Ok(1..) = reader.read_until(b'\n', &mut bytes) {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim();
        if let Some(rest) = line.strip_prefix(OWN) {
            own = Some(rest.to_owned());
        } else if !line.is_empty() {
            line.clone_into(&mut other);
        }
        bytes.clear();
    }
    own.unwrap_or(other)
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With status 0.
    Done,
    /// Otherwise; what it said last.
    Failed(String),
}

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    said: Option<JoinHandle<String>>,
    /// Whether it was asked to stop.
    asked: bool,
    end: Option<End>,
}

impl Process {
    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<End>> {
        if self.end.is_none() {
            let status = self.child.try_wait();
            let status =
                status.map_err(|e| Error::Device(format!("a process is out of sight: {e}")))?;
            self.end = status.map(|status| self.said_at_the_end(status));
        }
        Ok(self.end.clone())
    }

    fn said_at_the_end(&mut self, status: ExitStatus) -> End {
        let said = self.said.take().and_then(|thread| thread.join().ok());
        // Asked before it listens, it ends at once, which is what was asked for.
        let obeyed = self.asked && status.code().is_none();
        match said.filter(|said| !said.is_empty()) {
            _ if status.success() || obeyed => End::Done,
            Some(said) => End::Failed(said),
            None => End::Failed(format!("the process ended without a word ({status})")),
        }
    }

    /// Asks it to save and end, where the system knows a polite way; else ends it.
    pub fn ask_to_stop(&mut self) {
        // A process that has ended and was waited for may have given its number to another.
        if !matches!(self.ended(), Ok(None)) {
            return;
        }
        self.asked = true;
        #[cfg(unix)]
        {
            let id = i32::try_from(self.child.id()).ok();
            if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
                let asked = rustix::process::kill_process(id, rustix::process::Signal::TERM);
                if asked.is_ok() {
                    return;
                }
            }
        }
        self.kill();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.ended(), Ok(Some(_))) {
            self.kill();
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Program, Vec<OsString>) {
        (
            Program::at("/bin/sh"),
            ["-c", script].map(OsString::from).to_vec(),
        )
    }

    fn run(script: &str) -> Result<()> {
        let (program, arguments) = shell(script);
        program.run(&arguments, &Cancelled::default())
    }

    #[test]
    fn a_failure_is_told_in_the_programs_own_last_line() {
        run("echo noise >&2").unwrap();
        let error = run("echo 'driftless: the disk is full' >&2; echo later >&2; exit 1");
        assert_eq!(error.unwrap_err().to_string(), "the disk is full");
        let error = run("echo 'a driver gave up' >&2; exit 3").unwrap_err();
        assert_eq!(error.to_string(), "a driver gave up");
    }

    #[test]
    fn a_process_that_dies_without_a_word_is_told_by_its_status() {
        let error = run("kill -KILL $$").unwrap_err().to_string();
        assert!(error.contains("signal: 9"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Program::at("/nonexistent/program").run(&[], &Cancelled::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("/nonexistent/program"), "{error}");
    }

    #[test]
    fn a_polite_stop_lets_the_process_finish_its_work() {
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
        process.ask_to_stop();
        let end = loop {
            if let Some(end) = process.ended().unwrap() {
                break end;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(end, End::Done);
        assert!(saved.exists());
    }

    #[test]
    fn a_process_that_does_not_listen_yet_ends_all_the_same() {
        let (program, arguments) = shell("exec sleep 1000");
        let mut process = program.start(&arguments, None).unwrap();
        process.ask_to_stop();
        while process.ended().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(process.ended().unwrap(), Some(End::Done));
    }

    #[test]
    fn what_is_cancelled_is_ended() {
        let cancelled = Cancelled::default();
        cancelled.set();
        let (program, arguments) = shell("while :; do sleep 0.05; done");
        assert!(program.run(&arguments, &cancelled).is_err());
    }
}
