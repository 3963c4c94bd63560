//! The world-model thread, seen from the window: sending commands, polling, restarting.

use std::sync::Arc;
use std::time::Instant;

use driftless_sim::{CaptureCommand, Command, Frame, History, InputCommand, Message, SimThread};

use super::{Window, WorldFailure, WorldThread};

impl Window {
    pub(super) fn send(&self, command: impl Into<Command>) {
        if let WorldThread::Running(sim) = &self.world {
            sim.send(command);
        }
    }

    /// Handles all pending messages and shows the newest frame.
    pub(super) fn poll_world(&mut self) {
        let WorldThread::Running(sim) = &self.world else {
            return;
        };
        let (messages, frames) = (sim.messages().clone(), sim.frames().clone());
        self.show_newest(frames.try_iter());
        for message in messages.try_iter() {
            match message {
                Message::Started { engine } => self.engine = engine,
                Message::Notice(notice) => self.notices.post(notice.to_string()),
                Message::ParamsRejected { reason, active } => {
                    self.session.tuning.settings.params = active;
                    self.session.sim.params = active;
                    self.notices.post(reason);
                }
                Message::Branches(branches) => self.analysis.timeline.set_branches(branches),
                Message::StoredImages { branch, images } => {
                    let size = self.session.world.image;
                    let timeline = &mut self.analysis.timeline;
                    timeline.add_thumbnails(&self.context, branch, images, size);
                }
                Message::RenderedEpisode(episode) => self.open_save_dialog(episode),
                Message::Failed {
                    reason,
                    device_failed,
                } => self.world_failed(reason, device_failed),
            }
        }
    }

    pub(super) fn show_newest(&mut self, frames: impl Iterator<Item = Frame>) {
        let mut newest: Option<Frame> = None;
        for mut frame in frames {
            // A key change first shown by a skipped frame becomes visible with the next one.
            if let Some(skipped) = newest.take() {
                frame.timing.input_at = skipped.timing.input_at.or(frame.timing.input_at);
                self.record_sample(&skipped, None, false);
            }
            self.mouse_frame_arrived(&frame);
            newest = Some(frame);
        }
        if let Some(frame) = newest {
            let now = Instant::now();
            self.stats.record_frame(&frame, frame.timing.input_at, now);
            self.analysis.timeline.set_position(frame.position);
            if let Some(comparison) = &mut self.analysis.comparison {
                comparison.take(&self.context, &frame, self.session.world.image);
            }
            let latency = frame.timing.input_at.map(|key| now.duration_since(key));
            self.record_sample(
                &frame,
                latency.map(|time| time.as_secs_f64() * 1000.0),
                true,
            );
            if self.paused {
                self.stats.reset_rate();
            }
            self.session.sim.context = frame.context;
            self.image_id += 1;
            self.frame = Some(frame);
        }
    }

    pub(super) fn world_failed(&mut self, what: String, device: bool) {
        let mut failure = WorldFailure::new(what);
        let stopped = WorldThread::Failed(WorldFailure::new(String::new()));
        if let WorldThread::Running(sim) = std::mem::replace(&mut self.world, stopped) {
            let exit = sim.finish();
            self.recording = exit.session;
            failure.device = device;
            failure.history = Some(exit.history);
        }
        self.world = WorldThread::Failed(failure);
    }

    pub(super) fn restart(&mut self) {
        self.restart_from(None);
    }

    pub(super) fn restart_from(&mut self, history: Option<Arc<History>>) {
        if history.is_none() {
            self.analysis.reset();
        }
        self.analysis.comparison = None;
        self.analysis.timeline.clear_compared();
        self.session.sim.resume_from = history;
        let settings = &self.session.tuning.settings;
        if settings.params.check().is_ok() {
            self.session.sim.params = settings.params;
        }
        self.session.sim.random_seed = settings.free_seed;
        self.session.sim.restart_at_end = settings.ends_restart;
        self.session.sim.pace = settings.pace();
        self.session.sim.paused = self.paused;
        self.stats.reset();
        let waker = self.setup.waker.clone();
        let (options, recording) = (self.session.sim.clone(), self.recording.take());
        self.world = match SimThread::spawn(options, recording, move || waker.wake()) {
            Ok(sim) => WorldThread::Running(sim),
            Err(error) => WorldThread::Failed(WorldFailure::new(error.to_string())),
        };
        self.send(CaptureCommand::Trace(self.denoising.is_some()));
        self.send(CaptureCommand::Measure(self.analysis.plots_open));
        self.send(InputCommand::Repeat(self.session.tuning.settings.repeat));
        self.send(CaptureCommand::Inspect(self.inspect.is_some()));
        self.send_held_action(Instant::now());
    }

    /// Tells the thread which action is currently held.
    pub(super) fn send_held_action(&self, since: Instant) {
        let action = self.held.action(&self.session.keys);
        self.send(InputCommand::Hold {
            action,
            changed_at: since,
        });
    }
}
