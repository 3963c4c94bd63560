//! A server on loopback, and players who talk to it.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod server;

use std::io::{Read, Write};
use std::net::TcpStream;

use driftless_serve::protocol::{FrameHeader, Pictures, Reply, Request, VERSION};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket, client};

pub use server::{Running, TIMEOUT, checkpoint, options};

impl Running {
    /// A player who has said nothing yet.
    pub fn connect(&self) -> Player<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Player::over(stream, &format!("ws://{}/play", self.address))
    }

    /// A player who is welcome.
    pub fn welcome(&self) -> Player<TcpStream> {
        let mut player = self.connect();
        player.say(&hello(None));
        assert!(matches!(player.reply(), Reply::Welcome { .. }));
        player
    }

    /// A player of Pong.
    pub fn player(&self) -> Player<TcpStream> {
        let mut player = self.connect();
        player.say(&hello(None));
        player.join_after_welcome("pong");
        player
    }
}

pub fn hello(token: Option<&str>) -> Request {
    Request::Hello {
        version: VERSION,
        token: token.map(str::to_owned),
    }
}

pub fn join(world: &str) -> Request {
    Request::Join {
        world: world.into(),
        clip: 0,
        seed: Some(7),
        settings: serde_json::Map::new(),
        pictures: Pictures::Png,
        paused: false,
    }
}

/// What a player hears.
#[derive(Debug)]
pub enum Heard {
    Reply(Reply),
    Frame(Seen),
    Closed,
}

/// A frame with its pictures.
#[derive(Debug)]
pub struct Seen {
    pub header: FrameHeader,
    pub picture: Vec<u8>,
    pub truth: Vec<u8>,
}

/// A player's end of a connection.
pub struct Player<S> {
    pub socket: WebSocket<S>,
    /// The key of the game.
    pub key: String,
    /// The number of the last frame.
    number: u32,
}

impl<S: Read + Write> Player<S> {
    pub fn over(stream: S, url: &str) -> Self {
        let (socket, _) = client(url.into_client_request().unwrap(), stream)
            .map_err(|e| e.to_string())
            .unwrap();
        Self {
            socket,
            key: String::new(),
            number: 0,
        }
    }

    pub fn say(&mut self, request: &Request) {
        let text = serde_json::to_string(request).unwrap();
        self.socket.send(Message::text(text)).unwrap();
    }

    pub fn hear(&mut self) -> Heard {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    return Heard::Reply(serde_json::from_str(&text).unwrap());
                }
                Ok(Message::Binary(bytes)) => {
                    let (header, picture, truth) = FrameHeader::parse(&bytes).unwrap();
                    return Heard::Frame(Seen {
                        header,
                        picture: picture.to_vec(),
                        truth: truth.to_vec(),
                    });
                }
                Ok(Message::Close(_)) | Err(_) => return Heard::Closed,
                Ok(_) => {}
            }
        }
    }

    /// The next words; frames are acknowledged and left out.
    pub fn reply(&mut self) -> Reply {
        loop {
            match self.hear() {
                Heard::Reply(reply) => return reply,
                Heard::Frame(seen) => self.say(&Request::Ack {
                    frame: seen.header.frame,
                }),
                Heard::Closed => panic!("the connection was closed"),
            }
        }
    }

    /// The next frame, acknowledged; words are left out.
    pub fn frame(&mut self) -> Seen {
        let seen = self.unacknowledged();
        self.say(&Request::Ack {
            frame: seen.header.frame,
        });
        seen
    }

    /// The next frame; words are left out.
    pub fn unacknowledged(&mut self) -> Seen {
        loop {
            match self.hear() {
                Heard::Frame(seen) => {
                    self.number = seen.header.number;
                    return seen;
                }
                Heard::Reply(_) => {}
                Heard::Closed => panic!("the connection was closed"),
            }
        }
    }

    /// The next frame for which `is` holds, of those that are shown.
    pub fn frame_where(&mut self, is: impl Fn(&FrameHeader) -> bool) -> Seen {
        loop {
            let seen = self.frame();
            if is(&seen.header) {
                return seen;
            }
        }
    }

    /// Waits for the welcome, and begins a game.
    pub fn join_after_welcome(&mut self, world: &str) {
        assert!(matches!(self.reply(), Reply::Welcome { .. }));
        self.join(world);
    }

    /// Begins a game.
    pub fn join(&mut self, world: &str) {
        self.say(&join(world));
        match self.reply() {
            Reply::Joined { game, .. } => self.key = game,
            other => panic!("{other:?}"),
        }
    }

    /// Why the connection ends.
    pub fn goodbye(&mut self) -> String {
        let mut why = String::new();
        loop {
            match self.hear() {
                Heard::Reply(Reply::Ended { reason }) => why = reason,
                Heard::Closed => return why,
                _ => {}
            }
        }
    }

    /// Pauses at the start of an episode, so that frames come one by one.
    pub fn halt(&mut self) -> Seen {
        self.say(&Request::Pause { on: true });
        self.say(&Request::Reset { clip: Some(0) });
        self.frame_where(|header| header.flags.paused && header.number == 0)
    }

    /// Makes one frame under an action.
    pub fn step(&mut self, action: u32, input: u32) -> Seen {
        let next = self.number + 1;
        self.say(&Request::hold(&action.into(), input));
        self.say(&Request::Step {});
        self.frame_where(|header| header.number == next)
    }
}
