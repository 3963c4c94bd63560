//! The thread of a game elsewhere: connects, passes commands and frames, and comes back when the link breaks.

mod asking;
mod hearing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use driftless_data::Action;
use driftless_engine::SamplerParams;
use driftless_serve::protocol::{Pictures, Reply, Request};
use driftless_sim::{Command, LinkState, Message, Notice, Outbox, Pace, SimOptions, SimThread};
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until, timeout};

use crate::outgoing::Outgoing;
use crate::received::Received;
use crate::retry::Waits;
use crate::server::runtime;
use crate::socket::{Heard, Socket};
use crate::{Error, RemoteWorld, Result};

/// How pictures are asked for, unless none may be lost.
const PICTURES: Pictures = Pictures::Auto;
/// How soon a request that could not be sent yet is tried again.
const SOON: Duration = Duration::from_millis(10);
/// The longest time for which a server says that it keeps a game, in seconds.
const MOST_KEPT: u64 = 24 * 3600;

/// What a game begins with, and what its owner has asked for since.
struct Wishes {
    clip: usize,
    params: SamplerParams,
    random_seed: bool,
    restart_at_end: bool,
    pace: Pace,
    paused: bool,
    pictures: Pictures,
}

/// A game that the server has.
struct Joined {
    key: String,
    kept: Duration,
    recorded: bool,
}

impl RemoteWorld {
    /// Plays the world as `options` say, in a thread. Its player, device, history, actions and recording are of no
    /// use here. `notify` is called after each frame and message.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started. A server that cannot be reached arrives as
    /// [`driftless_sim::Message::Failed`].
    pub fn spawn(
        self: &Arc<Self>,
        options: &SimOptions,
        notify: impl Fn() + Send + 'static,
    ) -> Result<SimThread> {
        spawn(self, options, PICTURES, notify)
    }
}

/// Plays a world in a thread.
pub fn spawn(
    world: &Arc<RemoteWorld>,
    options: &SimOptions,
    pictures: Pictures,
    notify: impl Fn() + Send + 'static,
) -> Result<SimThread> {
    let wishes = Wishes {
        clip: options.clip,
        params: options.params,
        random_seed: options.random_seed,
        restart_at_end: options.restart_at_end,
        pace: options.pace,
        paused: options.paused,
        pictures,
    };
    let wake = Arc::new(Notify::new());
    let (world, woken) = (Arc::clone(world), Arc::clone(&wake));
    let play = move |commands: Receiver<Command>, outbox: &Outbox| {
        let failed = |e: Error| driftless_sim::Error::Remote(e.to_string());
        let runtime = runtime().map_err(failed)?;
        let game = RemoteGame::new(world, wishes, commands, outbox, woken);
        let ended = runtime.block_on(game.run());
        // A name that is still looked up is not waited for.
        runtime.shutdown_background();
        ended.map_err(failed)
    };
    let thread = SimThread::with("remote-game", notify, move || wake.notify_one(), play)?;
    Ok(thread)
}

/// A game elsewhere.
struct RemoteGame<'a> {
    world: Arc<RemoteWorld>,
    wishes: Wishes,
    commands: Receiver<Command>,
    outbox: &'a Outbox,
    /// A command has come.
    wake: Arc<Notify>,
    outgoing: Outgoing,
    joined: Joined,
    /// What is held, and when inputs were made that no frame has reflected yet.
    held: Action,
    inputs: VecDeque<(u32, Instant)>,
    last_input: u32,
    /// Frames made so far, those that did not come included, and the number of the last one.
    sequence: u64,
    number: u64,
    /// The number of the frame that a step was asked for, until it comes.
    stepping: Option<u64>,
    /// The same of a step that a broken link may have taken with it: the first frame over the new one tells.
    lost_step: Option<u64>,
    received: Received,
}

impl<'a> RemoteGame<'a> {
    fn new(
        world: Arc<RemoteWorld>,
        wishes: Wishes,
        commands: Receiver<Command>,
        outbox: &'a Outbox,
        wake: Arc<Notify>,
    ) -> Self {
        Self {
            world,
            wishes,
            commands,
            outbox,
            wake,
            outgoing: Outgoing::new(Instant::now()),
            joined: Joined {
                key: String::new(),
                kept: Duration::ZERO,
                recorded: false,
            },
            held: Action::IDLE,
            inputs: VecDeque::new(),
            last_input: 0,
            sequence: 0,
            number: 0,
            stepping: None,
            lost_step: None,
            received: Received::default(),
        }
    }

    /// Plays until told to quit.
    ///
    /// # Errors
    /// Returns an error if the server cannot be reached at first, if it ends the game, or if it sends what it should
    /// not.
    async fn run(mut self) -> Result<()> {
        let server = self.world.server().address().to_string();
        let join = self.join();
        let Some(mut socket) = self.enter(join).await? else {
            return Ok(());
        };
        self.outbox.message(Message::Started { engine: server });
        if self.joined.recorded {
            let what = "The server records this game.".to_owned();
            self.outbox.notice(Notice::Remote(what));
        }
        loop {
            match self.play(&mut socket).await {
                Ok(()) => {
                    socket.leave().await;
                    return Ok(());
                }
                Err(error) if error.is_passing() => {
                    drop(socket);
                    match self.come_back(&error).await? {
                        Some(back) => socket = back,
                        None => return Ok(()),
                    }
                }
                Err(error) => {
                    socket.leave().await;
                    return Err(error);
                }
            }
        }
    }

    /// Passes commands and frames on; returns when told to quit.
    async fn play(&mut self, socket: &mut Socket) -> Result<()> {
        let wake = Arc::clone(&self.wake);
        loop {
            if self.take_commands() {
                return Ok(());
            }
            while let Some(request) = self.outgoing.next(Instant::now()) {
                tokio::select! {
                    sent = socket.send(&request) => sent?,
                    () = self.until_quit() => return Ok(()),
                }
            }
            let waits = self.outgoing.is_waiting();
            tokio::select! {
                () = wake.notified() => {}
                () = sleep(SOON), if waits => {}
                heard = socket.hear() => match heard? {
                    Heard::Reply(reply) => self.hear(reply).map_err(|what| socket.protocol(what))?,
                    Heard::Frame(bytes) => {
                        self.take_frame(&bytes).map_err(|what| socket.protocol(what))?;
                    }
                },
            }
        }
    }

    /// Says that the link is broken, and tries to go on with the same game until that succeeds; `None` when told to
    /// quit.
    ///
    /// # Errors
    /// Returns an error if the server no longer has the game.
    async fn come_back(&mut self, error: &Error) -> Result<Option<Socket>> {
        let timing = *self.world.server().timing();
        let mut waits = Waits::new(timing.first_wait, timing.longest_wait);
        let kept_until = Instant::now() + self.joined.kept;
        let mut reason = error.to_string();
        loop {
            self.inputs.clear();
            let again_at = Instant::now() + waits.next(rand::random());
            self.outbox.message(Message::Link(LinkState::Lost {
                reason,
                again_at,
                kept_until,
            }));
            tokio::select! {
                () = sleep_until(again_at.into()) => {}
                () = self.until_quit() => return Ok(None),
            }
            let resume = Request::Resume {
                game: self.joined.key.clone(),
            };
            match self.enter(resume).await {
                Ok(None) => return Ok(None),
                Ok(socket) => {
                    self.outbox.message(Message::Link(LinkState::Up));
                    self.outgoing.forget_link();
                    self.hold_again();
                    self.lost_step = self.stepping.take().or(self.lost_step);
                    return Ok(socket);
                }
                Err(error) if error.is_passing() => reason = error.to_string(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Connects, and begins a game or goes on with one; `None` when told to quit.
    async fn enter(&mut self, request: Request) -> Result<Option<Socket>> {
        let world = Arc::clone(&self.world);
        let entered = tokio::select! {
            entered = enter(&world, &request) => entered?,
            () = self.until_quit() => return Ok(None),
        };
        let (socket, joined) = entered;
        self.joined = joined;
        Ok(Some(socket))
    }

    /// Handles commands until one says to quit.
    async fn until_quit(&mut self) {
        let wake = Arc::clone(&self.wake);
        while !self.take_commands() {
            wake.notified().await;
        }
    }

    /// Handles the commands that have come; returns whether to quit.
    fn take_commands(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Quit) | Err(TryRecvError::Disconnected) => return true,
                Ok(command) => self.ask(command),
                Err(TryRecvError::Empty) => return false,
            }
        }
    }
}

/// Connects, and asks for a game.
async fn enter(world: &RemoteWorld, request: &Request) -> Result<(Socket, Joined)> {
    let server = world.server();
    let mut socket = Socket::connect(server, world.max_bytes()).await?;
    socket.greet(server.token()).await?;
    socket.send(request).await?;
    let waited = server.timing().patience;
    let joined = timeout(waited, joined(&mut socket)).await;
    let joined = joined.map_err(|_| Error::Silent {
        server: server.address().to_string(),
        waited,
    })?;
    joined.map(|joined| (socket, joined))
}

async fn joined(socket: &mut Socket) -> Result<Joined> {
    loop {
        match socket.hear().await? {
            Heard::Reply(Reply::Joined {
                game,
                kept,
                recorded,
                ..
            }) => {
                return Ok(Joined {
                    key: game,
                    kept: Duration::from_secs(kept.min(MOST_KEPT)),
                    recorded,
                });
            }
            Heard::Reply(Reply::Refused { reason }) => return Err(socket.refused(&reason)),
            _ => {}
        }
    }
}
