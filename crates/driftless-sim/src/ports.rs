//! The thread's ends of the channels.

use std::collections::VecDeque;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError};

use super::{Command, Frame, Message, Notice, TimelineCommand, TimelinePosition};

/// Where frames and messages go.
pub struct Outbox {
    pub(super) frames: Sender<Frame>,
    /// A second reader of `frames`, to take out the oldest when the channel is full.
    pub(super) oldest_frame: Receiver<Frame>,
    pub(super) messages: Sender<Message>,
    pub(super) notify: Box<dyn Fn() + Send>,
}

impl Outbox {
    /// Sends a message.
    pub fn message(&self, message: Message) {
        // An error means that the owner is gone; its disconnect ends the loop.
        let _ = self.messages.send(message);
        (self.notify)();
    }

    /// Sends a notice, if there is one.
    pub fn notice(&self, notice: impl Into<Option<Notice>>) {
        if let Some(notice) = notice.into() {
            self.message(Message::Notice(notice));
        }
    }

    /// Sends a frame without ever waiting: a slow reader loses the oldest one.
    pub fn frame(&self, mut frame: Frame) {
        while let Err(TrySendError::Full(rejected)) = self.frames.try_send(frame) {
            frame = rejected;
            if let Ok(dropped) = self.oldest_frame.try_recv() {
                // The next frame that is shown is the first to reflect the key.
                frame.timing.input_at = dropped.timing.input_at.or(frame.timing.input_at);
            }
        }
        (self.notify)();
    }
}

/// What ends the wait between two frames.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    Command(Command),
    /// A frame is due, since this moment.
    FrameDue(Instant),
    /// The sender of the commands was dropped.
    OwnerGone,
}

/// The commands to handle, in order.
pub(super) struct CommandQueue {
    commands: Receiver<Command>,
    /// Commands received while frames were replayed, to be handled afterwards.
    deferred: VecDeque<Command>,
}

impl CommandQueue {
    pub fn new(commands: Receiver<Command>) -> Self {
        Self {
            commands,
            deferred: VecDeque::new(),
        }
    }

    /// Waits for a command or until `due`; without it, for a command. Commands come first.
    pub fn next(&mut self, due: Option<Instant>) -> Event {
        if let Some(command) = self.deferred.pop_front() {
            return Event::Command(command);
        }
        let Some(due) = due else {
            return self
                .commands
                .recv()
                .map_or(Event::OwnerGone, Event::Command);
        };
        if due > Instant::now() {
            match self.commands.recv_deadline(due) {
                Ok(command) => return Event::Command(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Event::OwnerGone,
            }
        }
        match self.commands.try_recv() {
            Ok(command) => Event::Command(command),
            Err(TryRecvError::Empty) => Event::FrameDue(due),
            Err(TryRecvError::Disconnected) => Event::OwnerGone,
        }
    }

    /// As [`CommandQueue::next`], without waiting: `None` if there is nothing to do yet.
    pub fn poll(&mut self, due: Option<Instant>) -> Option<Event> {
        if let Some(command) = self.deferred.pop_front() {
            return Some(Event::Command(command));
        }
        match self.commands.try_recv() {
            Ok(command) => Some(Event::Command(command)),
            Err(TryRecvError::Disconnected) => Some(Event::OwnerGone),
            Err(TryRecvError::Empty) => {
                let due = due.filter(|due| *due <= Instant::now())?;
                Some(Event::FrameDue(due))
            }
        }
    }

    /// Moves all received commands to the deferred ones.
    fn defer(&mut self) {
        self.deferred.extend(self.commands.try_iter());
    }

    /// The last of the seeks to handle next, which are taken out; `position` if there is none.
    pub fn last_seek(&mut self, mut position: TimelinePosition) -> TimelinePosition {
        self.defer();
        while let Some(Command::Timeline(TimelineCommand::Seek(later))) = self.deferred.front() {
            position = *later;
            self.deferred.pop_front();
        }
        position
    }

    /// Whether the frames of a request are no longer to be made; takes the command out.
    pub fn cancel_requested(&mut self, request: u64) -> bool {
        self.defer();
        let cancel = Command::Timeline(TimelineCommand::CancelRender(request));
        let before = self.deferred.len();
        self.deferred.retain(|command| *command != cancel);
        self.deferred.len() < before
    }

    /// Whether the thread should end now. The commands before [`Command::Quit`] are then dropped:
    /// they would act on a frame halfway through a replay.
    pub fn quit_requested(&mut self) -> bool {
        self.defer();
        let quit = self.deferred.iter().position(|c| *c == Command::Quit);
        if let Some(quit) = quit {
            self.deferred.drain(..quit);
        }
        quit.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::PlaybackCommand;

    fn queue(commands: &[Command]) -> (Sender<Command>, CommandQueue) {
        let (sender, receiver) = crossbeam_channel::unbounded();
        for command in commands {
            sender.send(command.clone()).unwrap();
        }
        (sender, CommandQueue::new(receiver))
    }

    fn seek(index: usize) -> Command {
        TimelineCommand::Seek(TimelinePosition { branch: 0, index }).into()
    }

    const STEP: Command = Command::Playback(PlaybackCommand::Step);

    #[test]
    fn commands_come_before_frames() {
        let (sender, mut queue) = queue(&[STEP]);
        let due = Instant::now();
        assert_eq!(queue.next(Some(due)), Event::Command(STEP));
        assert_eq!(queue.next(Some(due)), Event::FrameDue(due));
        drop(sender);
        assert_eq!(queue.next(Some(due)), Event::OwnerGone);
        assert_eq!(queue.next(None), Event::OwnerGone);
    }

    #[test]
    fn polling_never_waits() {
        let (sender, mut queue) = queue(&[STEP]);
        let now = Instant::now();
        assert_eq!(queue.poll(None), Some(Event::Command(STEP)));
        assert_eq!(queue.poll(None), None);
        assert_eq!(queue.poll(Some(now + Duration::from_secs(3600))), None);
        assert_eq!(queue.poll(Some(now)), Some(Event::FrameDue(now)));
        drop(sender);
        assert_eq!(queue.poll(Some(now)), Some(Event::OwnerGone));
    }

    #[test]
    fn consecutive_seeks_become_one() {
        let (_sender, mut queue) = queue(&[seek(3), seek(1), STEP, seek(2)]);
        let start = TimelinePosition::default();
        assert_eq!(queue.last_seek(start).index, 1);
        assert_eq!(queue.next(None), Event::Command(STEP));
        assert_eq!(queue.next(None), Event::Command(seek(2)));
        assert_eq!(queue.last_seek(start), start);
    }

    #[test]
    fn cancelling_keeps_other_commands() {
        let cancel = Command::Timeline(TimelineCommand::CancelRender(7));
        let (_sender, mut queue) = queue(&[STEP, cancel, seek(1)]);
        assert!(!queue.cancel_requested(6));
        assert!(queue.cancel_requested(7));
        assert!(!queue.cancel_requested(7));
        assert_eq!(queue.next(None), Event::Command(STEP));
        assert_eq!(queue.next(None), Event::Command(seek(1)));
    }

    #[test]
    fn quit_drops_earlier_commands() {
        let (sender, mut queue) = queue(&[STEP, seek(1)]);
        assert!(!queue.quit_requested());
        sender.send(Command::Quit).unwrap();
        assert!(queue.quit_requested());
        assert_eq!(queue.next(None), Event::Command(Command::Quit));
    }
}
