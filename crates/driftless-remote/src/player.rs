//! Plays frame by frame, and waits for each: without loss, and the same frames as a world here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use driftless_data::Action;
use driftless_engine::{Outcome, SamplerParams, StageTimes};
use driftless_serve::protocol::Pictures;
use driftless_sim::{
    Command, EpisodeCommand, Frame, InputCommand, LinkState, Message, PlaybackCommand, Player,
    PlayerSnapshot, SamplerCommand, SimOptions, SimThread,
};

use crate::{Error, RemoteWorld, Result, game};

/// How often messages are looked at while a frame is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// The longest time for a frame, in which a broken link may come back.
const FRAME: Duration = Duration::from_secs(120);

/// Why parameters were refused, and those that hold.
type Refused = (String, SamplerParams);

/// A game on a server that goes on only when it is told to.
pub struct RemotePlayer {
    world: Arc<RemoteWorld>,
    label: String,
    /// The game; `None` before the first start and after a failure.
    game: Option<SimThread>,
    /// What the game was told last.
    params: SamplerParams,
    last: Option<Frame>,
}

impl RemoteWorld {
    /// A game of this world that is played frame by frame. It begins on the server with its first start.
    pub fn player(self: &Arc<Self>) -> RemotePlayer {
        RemotePlayer {
            label: self.server().address().to_string(),
            params: self.params(),
            world: Arc::clone(self),
            game: None,
            last: None,
        }
    }
}

impl Player for RemotePlayer {
    fn name(&self) -> &str {
        "remote"
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn world(&self) -> String {
        self.world.info().title.clone()
    }

    fn image_size(&self) -> [usize; 2] {
        self.world.info().image
    }

    fn actions(&self) -> usize {
        self.world.info().actions.len()
    }

    fn axes(&self) -> usize {
        self.world.info().axes.len()
    }

    fn start_count(&self) -> usize {
        self.world.info().clips
    }

    fn start(&mut self, index: usize, params: &SamplerParams) -> driftless_sim::Result<()> {
        let clips = self.start_count();
        if index >= clips {
            let what = format!("no starting clip {index}, expected less than {clips}");
            return Err(driftless_sim::Error::Argument(what));
        }
        self.change(params);
        if self.game.is_some() {
            self.send(EpisodeCommand::SelectClip(index));
        } else {
            self.game = Some(self.begin(index, params).map_err(remote)?);
        }
        self.await_frame(0, Some(index))
    }

    fn step(
        &mut self,
        action: Action,
        params: &SamplerParams,
    ) -> driftless_sim::Result<StageTimes> {
        action
            .check(self.actions(), self.axes())
            .map_err(driftless_sim::Error::Argument)?;
        let before = self.last.as_ref().ok_or_else(not_started)?.number;
        self.change(params);
        let changed_at = Instant::now();
        self.send(InputCommand::Hold { action, changed_at });
        self.send(PlaybackCommand::Step);
        self.await_frame(before + 1, None)?;
        let frame = self.last.as_ref().ok_or_else(not_started)?;
        if frame.action.index != action.index {
            return Err(remote(Error::Protocol {
                server: self.label.clone(),
                what: "a frame under another action than the one that was held".into(),
            }));
        }
        Ok(frame.timing.stages)
    }

    fn image(&mut self) -> driftless_sim::Result<&[u8]> {
        let frame = self.last.as_ref().ok_or_else(not_started)?;
        frame.image.bytes().ok_or_else(not_started)
    }

    fn snapshot(&mut self) -> driftless_sim::Result<PlayerSnapshot> {
        Err(no_snapshots())
    }

    fn restore(&mut self, _: &PlayerSnapshot) -> driftless_sim::Result<()> {
        Err(no_snapshots())
    }

    fn outcome(&self) -> Option<Outcome> {
        self.last.as_ref()?.prediction.outcome
    }
}

impl RemotePlayer {
    /// Joins the game, paused; its pictures come without loss.
    fn begin(&self, clip: usize, params: &SamplerParams) -> Result<SimThread> {
        let elsewhere = |_: &_| -> driftless_sim::Result<Box<dyn Player>> {
            let what = "the world is on a server".to_owned();
            Err(driftless_sim::Error::Remote(what))
        };
        let options = SimOptions {
            clip,
            params: *params,
            restart_at_end: false,
            paused: true,
            ..SimOptions::new(Arc::new(elsewhere))
        };
        game::spawn(&self.world, &options, Pictures::Png, || {})
    }

    fn leave(&mut self) {
        if let Some(game) = self.game.take() {
            game.finish();
        }
    }

    fn send(&self, command: impl Into<Command>) {
        if let Some(game) = &self.game {
            game.send(command);
        }
    }

    /// Tells the game of other parameters.
    fn change(&mut self, params: &SamplerParams) {
        if *params != self.params {
            self.params = *params;
            self.send(SamplerCommand::Params(*params));
        }
    }

    /// Waits for the frame with this number since the start, which may be one of a starting clip.
    fn await_frame(&mut self, number: u64, clip: Option<usize>) -> driftless_sim::Result<()> {
        let awaited = self.next_frame(number, clip);
        match awaited {
            Ok((frame, refused)) => {
                self.last = Some(frame);
                // The step was taken nevertheless, with the parameters that hold.
                if let Some((reason, active)) = refused {
                    self.params = active;
                    return Err(driftless_sim::Error::Argument(reason));
                }
            }
            Err(error) => {
                // Whoever starts again gets a new game.
                self.last = None;
                self.leave();
                return Err(remote(error));
            }
        }
        Ok(())
    }

    /// The frame, and which parameters were refused, with those that it was made with.
    fn next_frame(&self, number: u64, clip: Option<usize>) -> Result<(Frame, Option<Refused>)> {
        let mut refused = None;
        // After a broken link, the frame that was shown last comes once more.
        let known = self.last.as_ref().map(|frame| frame.position);
        let since = Instant::now();
        while let Some(game) = &self.game
            && since.elapsed() < FRAME
        {
            self.hear(game, &mut refused)?;
            match game.frames().recv_timeout(LOOK) {
                Ok(frame) if Some(frame.position) == known => {
                    // The wish to start may have been lost with the link.
                    if let Some(clip) = clip {
                        self.send(EpisodeCommand::SelectClip(clip));
                    }
                }
                Ok(frame) if frame.number == number => {
                    // What was refused was said before the frame that was made without it.
                    self.hear(game, &mut refused)?;
                    return Ok((frame, refused));
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // Its last words say why.
                    self.hear(game, &mut refused)?;
                    break;
                }
            }
        }
        Err(Error::Silent {
            server: self.label.clone(),
            waited: FRAME,
        })
    }

    /// Looks at what the server says.
    fn hear(&self, game: &SimThread, refused: &mut Option<Refused>) -> Result<()> {
        for message in game.messages().try_iter() {
            match message {
                Message::Failed { reason, .. } => {
                    return Err(driftless_sim::Error::Remote(reason).into());
                }
                Message::ParamsRejected { reason, active } => *refused = Some((reason, active)),
                Message::Link(LinkState::Lost { reason, .. }) => {
                    tracing::warn!("{reason}; trying again");
                }
                Message::Link(LinkState::Up) => tracing::info!("{}: connected again", self.label),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for RemotePlayer {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The error as this crate's users' threads report it.
fn remote(error: Error) -> driftless_sim::Error {
    match error {
        Error::Thread(error) => error,
        error => driftless_sim::Error::Remote(error.to_string()),
    }
}

fn not_started() -> driftless_sim::Error {
    driftless_sim::Error::Argument("the game has not been started".into())
}

fn no_snapshots() -> driftless_sim::Error {
    driftless_sim::Error::Argument("a game on a server has no snapshots here".into())
}
