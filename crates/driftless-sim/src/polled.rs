//! What the world-model thread does, without a thread: its owner gives it turns.
//!
//! Many games share a few threads this way.

use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use driftless_engine::GpuSource;

use super::ports::{CommandQueue, Event, Outbox};
use super::sim_loop::SimLoop;
use super::thread::caught;
use super::{Command, Frame, Message, Session, SimOptions, ThreadExit};
use crate::{Error, Result};

/// The most commands that a turn handles.
const COMMANDS_PER_TURN: usize = 16;

/// A game that advances in turns, on whatever thread calls it.
pub struct PolledSim {
    sim: SimLoop,
    gpu_source: GpuSource,
    commands: Sender<Command>,
    frames: Receiver<Frame>,
    messages: Receiver<Message>,
    ended: bool,
}

/// What a game waits for after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has commands to handle still.
    Again,
    /// Its next frame, due at this moment.
    Due(Instant),
    /// A command.
    Idle,
    /// Nothing: it was told to quit, or failed, which [`Message::Failed`] says.
    Ended,
}

impl PolledSim {
    /// Makes the player and the first frame. `session` is the recording, if there is one.
    ///
    /// # Errors
    /// Returns an error if the player fails or panics.
    pub fn start(options: &SimOptions, session: Option<Session>) -> Result<Self> {
        let (commands, queue) = unbounded();
        // Only the newest frame.
        let (frame_sender, frames) = bounded(1);
        let (message_sender, messages) = unbounded();
        let outbox = Outbox {
            frames: frame_sender,
            oldest_frame: frames.clone(),
            messages: message_sender,
            notify: Box::new(|| {}),
        };
        let exit = ThreadExit {
            session: session.or_else(|| options.record.clone().map(Session::new)),
            history: options.resume_from.as_deref().cloned().unwrap_or_default(),
        };
        let gpu_source = options.gpu_source.clone();
        let started = caught(&gpu_source, || {
            let player = (options.player)(&gpu_source)?;
            let queue = CommandQueue::new(queue);
            let mut sim = SimLoop::new(options, player, exit, queue, outbox);
            sim.start(options)?;
            Ok(sim)
        });
        let sim = started.map_err(|failed| Error::Thread(reason(failed)))?;
        Ok(Self {
            sim,
            gpu_source,
            commands,
            frames,
            messages,
            ended: false,
        })
    }

    /// Where commands go, from any thread. They are handled in turns.
    pub fn commands(&self) -> &Sender<Command> {
        &self.commands
    }

    /// The newest frame that was not taken yet. It has the `input_at` of those that were dropped.
    pub fn take_frame(&self) -> Option<Frame> {
        self.frames.try_recv().ok()
    }

    /// Messages, oldest first.
    pub fn messages(&self) -> &Receiver<Message> {
        &self.messages
    }

    /// Handles commands that have come, and makes a frame if one is due.
    pub fn turn(&mut self) -> Turn {
        let Self { sim, .. } = self;
        for _ in 0..COMMANDS_PER_TURN {
            if self.ended {
                return Turn::Ended;
            }
            let due = sim.pacer.next_due();
            let Some(event) = sim.commands.poll(due) else {
                return due.map_or(Turn::Idle, Turn::Due);
            };
            let is_frame = matches!(event, Event::FrameDue(_));
            match caught(&self.gpu_source, || sim.answer(event)) {
                Ok(flow) => self.ended = flow.is_break(),
                Err(failed) => {
                    self.ended = true;
                    sim.outbox.message(failed);
                }
            }
            if is_frame && !self.ended {
                return sim.pacer.next_due().map_or(Turn::Idle, Turn::Due);
            }
        }
        Turn::Again
    }

    /// What remains of the game.
    pub fn finish(self) -> ThreadExit {
        self.sim.exit
    }
}

fn reason(message: Message) -> String {
    match message {
        Message::Failed { reason, .. } => reason,
        other => format!("{other:?}"),
    }
}
