//! A player's connection: checks who it is and how much is sent, and passes messages to and from the game.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::hub::{Hub, Join, Seat};
use crate::metrics::{Refusal, count};
use crate::protocol::{Reply, Request, VERSION};
use crate::rate::RateLimit;
use crate::sending::Outgoing;
use crate::token::Token;

/// How long a connection may take, and how much it may send.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Until the first message, and for a message to be taken by the network.
    pub patience: Duration,
    /// Without any message, not even the answer to a ping.
    pub silence: Duration,
    /// Messages a second, in the long run.
    pub per_second: f64,
    /// Messages at once.
    pub burst: f64,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            silence: Duration::from_secs(40),
            // Acknowledgements at 60 frames a second, and a lively player.
            per_second: 150.0,
            burst: 300.0,
        }
    }
}

/// Games that a connection may begin: in the long run, and at once.
const GAMES_PER_SECOND: f64 = 0.5;
const GAMES_AT_ONCE: f64 = 8.0;

/// A connection.
pub struct Connection {
    socket: WebSocket,
    hub: Arc<Hub>,
    limits: ConnectionLimits,
    rate: RateLimit,
    /// Games begun and gone on with, which cost more than other messages.
    games: RateLimit,
    seat: Option<Seat>,
    heard: Instant,
    closing: watch::Receiver<bool>,
}

/// Why a connection ends, for the player and for the counts.
struct Goodbye {
    code: u16,
    reason: String,
    why: Option<Refusal>,
}

impl Goodbye {
    fn refused(why: Refusal, reason: impl Into<String>) -> Self {
        Self {
            code: close_code::POLICY,
            reason: reason.into(),
            why: Some(why),
        }
    }

    fn over(reason: &str) -> Self {
        Self {
            code: close_code::NORMAL,
            reason: reason.into(),
            why: None,
        }
    }
}

type Flow = ControlFlow<Option<Goodbye>>;

/// The connection is gone.
const GONE: Flow = Flow::Break(None);

fn goodbye(goodbye: Goodbye) -> Flow {
    Flow::Break(Some(goodbye))
}

impl Connection {
    /// A connection that has said nothing yet.
    pub fn new(
        socket: WebSocket,
        hub: Arc<Hub>,
        limits: ConnectionLimits,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            hub,
            limits,
            rate: RateLimit::new(limits.per_second, limits.burst, now),
            games: RateLimit::new(GAMES_PER_SECOND, GAMES_AT_ONCE, now),
            seat: None,
            heard: now,
            closing,
        }
    }

    /// Serves the player until one of the two ends it.
    pub async fn serve(mut self, token: Option<Token>) {
        let end = match self.greet(token.as_ref()).await {
            Flow::Continue(()) => loop {
                if let Flow::Break(end) = self.turn().await {
                    break end;
                }
            },
            Flow::Break(end) => end,
        };
        if let Some(Goodbye { code, reason, why }) = end {
            if let Some(why) = why {
                self.hub.metrics().refuse(why);
                tracing::info!("a connection is closed: {reason}");
            }
            let reply = Reply::Ended {
                reason: reason.clone(),
            };
            let _ = self.send(Message::Text(reply.to_json().into())).await;
            // A close frame holds 123 bytes.
            let reason: String = reason.chars().take(100).filter(char::is_ascii).collect();
            let close = CloseFrame {
                code,
                reason: reason.into(),
            };
            let _ = self.send(Message::Close(Some(close))).await;
        }
    }

    /// Waits for [`Request::Hello`] and answers it.
    async fn greet(&mut self, token: Option<&Token>) -> Flow {
        let Ok(first) = timeout(self.limits.patience, self.socket.recv()).await else {
            let reason = "expected the message `hello` first, and soon";
            return goodbye(Goodbye::refused(Refusal::Silent, reason));
        };
        let request = match self.read(first) {
            Ok(Some(request)) => request,
            Ok(None) => return goodbye(Goodbye::refused(Refusal::Malformed, "expected `hello`")),
            Err(end) => return Flow::Break(end),
        };
        let Request::Hello {
            version,
            token: given,
        } = request
        else {
            let reason = "expected the message `hello` first";
            return goodbye(Goodbye::refused(Refusal::Malformed, reason));
        };
        if version != VERSION {
            let reason = format!("version {version} of the protocol, expected {VERSION}");
            return goodbye(Goodbye::refused(Refusal::Version, reason));
        }
        let given = given.unwrap_or_default();
        if token.is_some_and(|token| !token.is(&given)) {
            return goodbye(Goodbye::refused(Refusal::Token, "wrong token"));
        }
        self.reply(&Reply::Welcome {
            version: VERSION,
            worlds: self.hub.worlds(),
            players: self.hub.players(),
            max_players: self.hub.max_players(),
        })
        .await
    }

    /// Waits for the next message of either side, and passes it on.
    async fn turn(&mut self) -> Flow {
        let half = self.limits.silence / 2;
        let next = match &mut self.seat {
            Some(seat) => tokio::select! {
                // Words and frames first: what comes in is limited anyway.
                biased;
                out = seat.outgoing.recv() => Next::Out(out),
                received = timeout(half, self.socket.recv()) => Next::In(received.ok()),
            },
            None => tokio::select! {
                received = timeout(half, self.socket.recv()) => Next::In(received.ok()),
                // A game ends by itself then.
                _ = self.closing.wait_for(|closes| *closes) => Next::Out(None),
            },
        };
        match next {
            Next::Out(Some(Outgoing::Text(text))) => self.send(Message::Text(text.into())).await,
            Next::Out(Some(Outgoing::Frame(bytes))) => {
                self.send(Message::Binary(bytes.into())).await
            }
            Next::Out(None) => {
                self.seat = None;
                goodbye(Goodbye::over("the game is over"))
            }
            Next::In(None) => self.ask_whether_alive().await,
            Next::In(Some(received)) => match self.read(received) {
                Ok(Some(request)) => self.answer(request).await,
                Ok(None) => Flow::Continue(()),
                Err(end) => Flow::Break(end),
            },
        }
    }

    async fn ask_whether_alive(&mut self) -> Flow {
        if self.heard.elapsed() >= self.limits.silence {
            let reason = "nothing was heard for too long";
            return goodbye(Goodbye::refused(Refusal::Silent, reason));
        }
        self.send(Message::Ping(Vec::new().into())).await
    }

    /// Reads what came in: a request, or nothing to answer.
    fn read(
        &mut self,
        received: Option<Result<Message, axum::Error>>,
    ) -> Result<Option<Request>, Option<Goodbye>> {
        let message = match received {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                // What is longer than the socket takes ends here.
                tracing::debug!("a connection broke: {error}");
                return Err(None);
            }
            None => return Err(None),
        };
        let now = Instant::now();
        self.heard = now;
        count(&self.hub.metrics().messages, 1);
        if !self.rate.allows(now) {
            return Err(Some(Goodbye::refused(Refusal::Rate, "too many messages")));
        }
        match message {
            Message::Text(text) => match Request::parse(&text) {
                Ok(request) => Ok(Some(request)),
                Err(error) => {
                    let reason = error.to_string();
                    Err(Some(Goodbye::refused(Refusal::Malformed, reason)))
                }
            },
            Message::Binary(_) => {
                let reason = "a binary message, expected text";
                Err(Some(Goodbye::refused(Refusal::Malformed, reason)))
            }
            Message::Ping(_) | Message::Pong(_) => Ok(None),
            Message::Close(_) => Err(None),
        }
    }

    async fn answer(&mut self, request: Request) -> Flow {
        let begins = matches!(request, Request::Join { .. } | Request::Resume { .. });
        if begins && !self.games.allows(Instant::now()) {
            return goodbye(Goodbye::refused(Refusal::Rate, "too many games"));
        }
        match request {
            Request::Hello { .. } => {
                let reason = "`hello` for the second time";
                goodbye(Goodbye::refused(Refusal::Malformed, reason))
            }
            Request::Join {
                world,
                clip,
                seed,
                settings,
                pictures,
                paused,
            } => {
                let join = Join {
                    world,
                    clip,
                    seed,
                    settings,
                    pictures,
                    paused,
                };
                let seat = self.hub.join(&join, self.seat.as_ref());
                if seat.is_ok() {
                    // The game before, if there is one, ends.
                    self.leave();
                }
                self.sit_down(seat).await
            }
            Request::Resume { game } => {
                let seat = self.hub.resume(&game);
                self.sit_down(seat).await
            }
            Request::Latency { ms } => {
                let latency = Duration::from_secs_f32(ms / 1e3);
                self.hub.metrics().latency.add(latency);
                Flow::Continue(())
            }
            Request::Leave {} => {
                self.leave();
                goodbye(Goodbye::over("you have left"))
            }
            request => match &self.seat {
                Some(seat) => {
                    seat.request(request);
                    Flow::Continue(())
                }
                None => {
                    let reason = "no game: expected the message `join` or `resume` first".into();
                    self.refuse(reason).await
                }
            },
        }
    }

    /// Ends the player's game.
    fn leave(&mut self) {
        if let Some(seat) = self.seat.take() {
            seat.leave();
        }
    }

    async fn sit_down(&mut self, seat: Result<Seat, String>) -> Flow {
        match seat {
            Ok(seat) => {
                let joined = Reply::Joined {
                    game: seat.key.clone(),
                    world: seat.world.info().name.clone(),
                    kept: self.hub.limits().kept.as_secs(),
                    recorded: self.hub.records(),
                };
                self.seat = Some(seat);
                self.reply(&joined).await
            }
            Err(reason) => self.refuse(reason).await,
        }
    }

    async fn refuse(&mut self, reason: String) -> Flow {
        self.hub.metrics().refuse(Refusal::Request);
        self.reply(&Reply::Refused { reason }).await
    }

    async fn reply(&mut self, reply: &Reply) -> Flow {
        self.send(Message::Text(reply.to_json().into())).await
    }

    /// Sends a message. Who does not take it in time is gone.
    async fn send(&mut self, message: Message) -> Flow {
        match timeout(self.limits.patience, self.socket.send(message)).await {
            Ok(Ok(())) => Flow::Continue(()),
            Ok(Err(_)) => GONE,
            Err(_) => {
                self.hub.metrics().refuse(Refusal::Silent);
                GONE
            }
        }
    }
}

/// What comes next.
enum Next {
    Out(Option<Outgoing>),
    In(Option<Option<Result<Message, axum::Error>>>),
}
