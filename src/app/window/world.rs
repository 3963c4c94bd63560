//! The world-model thread as the window has it: told, listened to, started again.

use std::sync::Arc;
use std::time::Instant;

use super::{Failure, Window, World};
use driftless_sim::{Command, Frame, History, Message, Sim};

impl Window {
    pub(super) fn send(&self, command: Command) {
        if let World::Running(sim) = &self.world {
            sim.send(command);
        }
    }

    /// Takes every message and the newest frame.
    pub(super) fn listen(&mut self) {
        let World::Running(sim) = &self.world else {
            return;
        };
        let (messages, frames) = (sim.messages().clone(), sim.frames().clone());
        self.take_newest(frames.try_iter());
        for message in messages.try_iter() {
            match message {
                Message::Started { engine } => self.engine = engine,
                Message::Notice(text) => self.notices.say(text),
                Message::ParamsRefused { why, kept } => {
                    self.played.tuning.settings.params = kept;
                    self.played.sim.params = kept;
                    self.notices.say(why);
                }
                Message::Branches(branches) => self.study.timeline.tell(branches),
                Message::Pictures { branch, pictures } => {
                    let size = self.played.world.image;
                    let timeline = &mut self.study.timeline;
                    timeline.take(&self.context, branch, pictures, size);
                }
                Message::Kept(episode) => self.offer_to_save(episode),
                Message::Failed { what, device } => self.fail(what, device),
            }
        }
    }

    pub(super) fn take_newest(&mut self, frames: impl Iterator<Item = Frame>) {
        let mut newest: Option<Frame> = None;
        for mut frame in frames {
            // A key that a skipped frame was the first to show is first seen on the next one.
            if let Some(skipped) = newest.take() {
                frame.reflects = skipped.reflects.or(frame.reflects);
                self.measure(&skipped, None, false);
            }
            self.mouse_saw(&frame);
            newest = Some(frame);
        }
        if let Some(frame) = newest {
            let now = Instant::now();
            self.stats.shown(&frame, frame.reflects, now);
            self.study.timeline.shown(frame.place);
            if let Some(side) = &mut self.study.side {
                side.take(&self.context, &frame, self.played.world.image);
            }
            let latency = frame.reflects.map(|key| now.duration_since(key));
            self.measure(
                &frame,
                latency.map(|time| time.as_secs_f64() * 1000.0),
                true,
            );
            if self.paused {
                self.stats.forget_rates();
            }
            self.played.sim.context = frame.context;
            self.image_id += 1;
            self.frame = Some(frame);
        }
    }

    pub(super) fn fail(&mut self, what: String, device: bool) {
        let mut failure = Failure::new(what);
        let stopped = World::Failed(Failure::new(String::new()));
        if let World::Running(sim) = std::mem::replace(&mut self.world, stopped) {
            let left = sim.finish();
            self.session = left.session;
            failure.device = device;
            failure.history = Some(left.history);
        }
        self.world = World::Failed(failure);
    }

    pub(super) fn restart(&mut self) {
        self.restart_from(None);
    }

    pub(super) fn restart_from(&mut self, history: Option<Arc<History>>) {
        if history.is_none() {
            self.study.begin_again();
        }
        self.study.side = None;
        self.study.timeline.forget_beside();
        self.played.sim.from = history;
        let settings = &self.played.tuning.settings;
        if settings.params.check().is_ok() {
            self.played.sim.params = settings.params;
        }
        self.played.sim.free_seed = settings.free_seed;
        self.played.sim.ends_restart = settings.ends_restart;
        self.played.sim.pace = settings.pace();
        self.played.sim.paused = self.paused;
        self.stats.restarted();
        let waker = self.parts.waker.clone();
        let (options, session) = (self.played.sim.clone(), self.session.take());
        self.world = match Sim::spawn(options, session, move || waker.wake()) {
            Ok(sim) => World::Running(sim),
            Err(error) => World::Failed(Failure::new(error.to_string())),
        };
        self.send(Command::Trace(self.denoising.is_some()));
        self.send(Command::Measure(self.study.plots_open));
        self.send(Command::Repeat(self.played.tuning.settings.repeat));
        self.send(Command::Inspect(self.inspect.is_some()));
        self.hold(Instant::now());
    }

    /// Tells the thread which action is held now.
    pub(super) fn hold(&self, since: Instant) {
        let action = self.held.action(&self.played.keys);
        self.send(Command::Held { action, since });
    }
}
