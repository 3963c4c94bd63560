//! Plays given actions frame by frame, without a window.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use driftless_data::{Action, Episode};
use driftless_engine::SamplerParams;
use driftless_serve::protocol::Pictures;
use driftless_sim::{Frame, InputCommand, Message, PlaybackCommand, Player, SimOptions, SimThread};

use crate::received::Received;
use crate::{Error, RemoteWorld, Result, game};

/// How often messages are looked at while a frame is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// The longest time for a frame, in which a broken link may come back.
const FRAME: Duration = Duration::from_secs(120);

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Index of the starting clip.
    pub clip: usize,
    /// One action for each frame after the first.
    pub actions: &'a [Action],
    /// The sampler parameters, seed included.
    pub params: SamplerParams,
}

impl RemoteWorld {
    /// Plays actions frame by frame, and waits for each. Calls `tick` after each.
    ///
    /// # Errors
    /// Returns an error if the server cannot be reached, refuses something, or does not answer.
    pub fn play(self: &Arc<Self>, plan: &Plan<'_>, tick: &mut dyn FnMut()) -> Result<Episode> {
        play(self, plan, tick)
    }
}

/// Plays `plan`; the first frame of the episode is that of the start.
fn play(world: &Arc<RemoteWorld>, plan: &Plan<'_>, tick: &mut dyn FnMut()) -> Result<Episode> {
    let elsewhere = |_: &_| -> driftless_sim::Result<Box<dyn Player>> {
        let what = "the world is on a server".to_owned();
        Err(driftless_sim::Error::Remote(what))
    };
    let options = SimOptions {
        clip: plan.clip,
        params: plan.params,
        restart_at_end: false,
        paused: true,
        ..SimOptions::new(Arc::new(elsewhere))
    };
    // Without loss.
    let thread = game::spawn(world, &options, Pictures::Png, || {})?;
    let mut player = Stepping {
        thread: &thread,
        server: world.server().address().to_string(),
        received: Received::default(),
    };
    let frames = player.play(plan.actions, tick);
    let episode = frames.map(|last| {
        let (size, axes) = (world.info().image, world.info().axes.len());
        player
            .received
            .since_start(last.position, size, axes)
            .episode
    });
    thread.finish();
    episode
}

/// A game that goes on frame by frame.
struct Stepping<'a> {
    thread: &'a SimThread,
    server: String,
    received: Received,
}

impl Stepping<'_> {
    fn play(&mut self, actions: &[Action], tick: &mut dyn FnMut()) -> Result<Frame> {
        let mut last = self.frame(0, None)?;
        for (&action, number) in actions.iter().zip(1..) {
            last = self.frame(number, Some(action))?;
            tick();
        }
        Ok(last)
    }

    /// The frame of this number, made by `action` after the one before.
    fn frame(&mut self, number: u64, action: Option<Action>) -> Result<Frame> {
        self.step(action);
        let since = Instant::now();
        while since.elapsed() < FRAME {
            self.check_messages()?;
            let frame = match self.thread.frames().recv_timeout(LOOK) {
                Ok(frame) => frame,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => {
                    // Its last words say why.
                    self.check_messages()?;
                    break;
                }
            };
            if let Some(image) = frame.image.bytes() {
                self.received.add(&frame, image.into());
            }
            if frame.number != number {
                continue;
            }
            if action.is_some_and(|action| action.index != frame.action.index) {
                return Err(Error::Protocol {
                    server: self.server.clone(),
                    what: format!("frame {number} under another action than the one that was held"),
                });
            }
            return Ok(frame);
        }
        Err(Error::Silent {
            server: self.server.clone(),
            waited: FRAME,
        })
    }

    fn step(&self, action: Option<Action>) {
        if let Some(action) = action {
            let changed_at = Instant::now();
            self.thread.send(InputCommand::Hold { action, changed_at });
            self.thread.send(PlaybackCommand::Step);
        }
    }

    /// Looks at what the server says.
    fn check_messages(&self) -> Result<()> {
        for message in self.thread.messages().try_iter() {
            if let Message::Failed { reason, .. } | Message::ParamsRejected { reason, .. } = message
            {
                return Err(driftless_sim::Error::Remote(reason).into());
            }
        }
        Ok(())
    }
}
