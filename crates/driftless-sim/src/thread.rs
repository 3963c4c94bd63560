//! The world-model thread as its owner sees it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use driftless_engine::GpuSource;

use super::ports::{CommandQueue, Outbox};
use super::sim_loop::SimLoop;
use super::{Command, Frame, Message, Session, SimOptions, ThreadExit};
use crate::{Error, Result};

/// Capacity of the frame channel. When it is full, the oldest frame is dropped.
pub const FRAMES_IN_FLIGHT: usize = 3;

/// A running world-model thread, or another that stands for one: it takes commands, and makes frames.
pub struct SimThread {
    commands: Sender<Command>,
    /// Tells a thread that waits for more than commands that one has come.
    wake: Option<Box<dyn Fn() + Send>>,
    frames: Receiver<Frame>,
    messages: Receiver<Message>,
    thread: JoinHandle<ThreadExit>,
}

impl SimThread {
    /// Starts the thread. It calls `notify` after each frame and message. A `session` continues the
    /// recording of an earlier thread.
    ///
    /// # Errors
    /// Returns an error if the operating system cannot start a thread. A failing player arrives as
    /// [`Message::Failed`].
    pub fn spawn(
        options: SimOptions,
        session: Option<Session>,
        notify: impl Fn() + Send + 'static,
    ) -> Result<Self> {
        Self::run("world-model", notify, None, move |queue, outbox| {
            run(&options, session, queue, outbox)
        })
    }

    /// Starts a thread that makes frames in another way, with a program elsewhere for example: `play` runs until
    /// [`Command::Quit`], or until its commands end. An error or a panic of it arrives as [`Message::Failed`].
    /// `wake` is called after each command that is sent.
    ///
    /// # Errors
    /// Returns an error if the operating system cannot start a thread.
    pub fn with(
        name: &str,
        notify: impl Fn() + Send + 'static,
        wake: impl Fn() + Send + 'static,
        play: impl FnOnce(Receiver<Command>, &Outbox) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        Self::run(name, notify, Some(Box::new(wake)), move |queue, outbox| {
            if let Err(failed) = caught(&GpuSource::Unavailable, || play(queue, &outbox)) {
                outbox.message(failed);
            }
            ThreadExit::default()
        })
    }

    fn run(
        name: &str,
        notify: impl Fn() + Send + 'static,
        wake: Option<Box<dyn Fn() + Send>>,
        play: impl FnOnce(Receiver<Command>, Outbox) -> ThreadExit + Send + 'static,
    ) -> Result<Self> {
        let (commands, queue) = unbounded();
        let (frame_sender, frames) = bounded(FRAMES_IN_FLIGHT);
        let (message_sender, messages) = unbounded();
        let outbox = Outbox {
            frames: frame_sender,
            oldest_frame: frames.clone(),
            messages: message_sender,
            notify: Box::new(notify),
        };
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || play(queue, outbox))
            .map_err(|e| Error::Thread(format!("cannot start the {name} thread: {e}")))?;
        Ok(Self {
            commands,
            wake,
            frames,
            messages,
            thread,
        })
    }

    /// Sends a command. It is lost if the thread has ended, which [`Message::Failed`] announces.
    pub fn send(&self, command: impl Into<Command>) {
        let _ = self.commands.send(command.into());
        if let Some(wake) = &self.wake {
            wake();
        }
    }

    /// Finished frames, oldest first.
    pub fn frames(&self) -> &Receiver<Frame> {
        &self.frames
    }

    /// Messages, oldest first.
    pub fn messages(&self) -> &Receiver<Message> {
        &self.messages
    }

    /// Ends the thread after its current frame.
    pub fn finish(self) -> ThreadExit {
        self.send(Command::Quit);
        // The thread catches its own panics, so a join error is not expected.
        self.thread.join().unwrap_or_default()
    }
}

/// Runs until told to quit or until something fails. The returned state survives both.
fn run(
    options: &SimOptions,
    session: Option<Session>,
    commands: Receiver<Command>,
    outbox: Outbox,
) -> ThreadExit {
    let exit = ThreadExit {
        session: session.or_else(|| options.record.clone().map(Session::new)),
        history: options.resume_from.as_deref().cloned().unwrap_or_default(),
    };
    let gpu = &options.gpu_source;
    let player = match caught(gpu, || (options.player)(gpu)) {
        Ok(player) => player,
        Err(failed) => {
            outbox.message(failed);
            return exit;
        }
    };
    let mut sim = SimLoop::new(options, player, exit, CommandQueue::new(commands), outbox);
    let ran = caught(gpu, || {
        sim.start(options)?;
        sim.run()
    });
    if let Err(failed) = ran {
        sim.outbox.message(failed);
    }
    sim.exit
}

/// Runs `work`; an error or a panic of it becomes [`Message::Failed`].
pub(super) fn caught<T>(
    gpu_source: &GpuSource,
    work: impl FnOnce() -> Result<T>,
) -> std::result::Result<T, Message> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Message::Failed {
            reason: error.to_string(),
            device_failed: error.is_device() || is_lost(gpu_source),
        }),
        Err(panic) => Err(Message::Failed {
            reason: format!(
                "the world-model thread panicked: {}",
                panic_text(panic.as_ref())
            ),
            device_failed: is_lost(gpu_source),
        }),
    }
}

/// Whether the engine computes on the window's device and that device is lost.
fn is_lost(gpu_source: &GpuSource) -> bool {
    matches!(gpu_source, GpuSource::Shared(gpu) if gpu.is_lost())
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}
