//! A server on loopback, a cable to it that can be pulled out, and a player at the other end.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

#[path = "../../../driftless-serve/tests/common/server.rs"]
mod server;

use std::io::Read as _;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use driftless_remote::{Address, RemoteServer, RemoteWorld, Timing};
use driftless_sim::{
    Command, Frame, InputCommand, Message, PlaybackCommand, Player, SimOptions, SimThread,
};

pub use server::{Running, TIMEOUT, checkpoint, options};

/// Passes bytes to a server and back, until it is pulled out.
pub struct Cable {
    pub address: SocketAddr,
    plugged: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let plugged = Arc::new(AtomicBool::new(true));
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (plug, kept) = (Arc::clone(&plugged), Arc::clone(&streams));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if !plug.load(Ordering::Relaxed) {
                    // As a proxy without a server does: it listens, and hangs up.
                    near.set_read_timeout(Some(TIMEOUT)).unwrap();
                    let _ = (&near).read(&mut [0; 1024]);
                    continue;
                }
                let mut kept = kept.lock().unwrap();
                if !plug.load(Ordering::Relaxed) {
                    continue;
                }
                let far = TcpStream::connect(server).unwrap();
                kept.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                pass(near.try_clone().unwrap(), far.try_clone().unwrap());
                pass(far, near);
            }
        });
        Self {
            address,
            plugged,
            streams,
        }
    }

    pub fn pull_out(&self) {
        let mut streams = self.streams.lock().unwrap();
        self.plugged.store(false, Ordering::Relaxed);
        for stream in streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn plug_in(&self) {
        self.plugged.store(true, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Comes back soon, and does not wait long.
pub fn timing() -> Timing {
    Timing {
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(50),
        ..Timing::default()
    }
}

pub fn server_at(address: SocketAddr) -> RemoteServer {
    let address = Address::parse(&format!("ws://{address}")).unwrap();
    let server = RemoteServer::new(address, None, None).unwrap();
    server.with_timing(timing())
}

pub fn world_at(address: SocketAddr, name: &str) -> Arc<RemoteWorld> {
    server_at(address).world(Some(name)).unwrap()
}

/// Plays with the world's parameters and a fixed seed.
pub fn playing(world: &RemoteWorld) -> SimOptions {
    let nobody = |_: &_| -> driftless_sim::Result<Box<dyn Player>> { panic!("not here") };
    SimOptions {
        params: world.params(),
        pace: driftless_sim::Pace::Fps(world.info().fps),
        ..SimOptions::new(Arc::new(nobody))
    }
}

/// Who plays.
pub struct Person {
    thread: Option<SimThread>,
    /// Messages that were not looked at yet.
    waiting: Vec<Message>,
}

impl Person {
    pub fn at(world: &Arc<RemoteWorld>) -> Self {
        Self::with(world, &playing(world))
    }

    pub fn with(world: &Arc<RemoteWorld>, options: &SimOptions) -> Self {
        Self {
            thread: Some(world.spawn(options, || {}).unwrap()),
            waiting: Vec::new(),
        }
    }

    fn thread(&self) -> &SimThread {
        self.thread.as_ref().unwrap()
    }

    pub fn send(&self, command: impl Into<Command>) {
        self.thread().send(command);
    }

    pub fn hold(&self, action: u32) {
        self.send(InputCommand::Hold {
            action: action.into(),
            changed_at: Instant::now(),
        });
    }

    fn collect(&mut self) {
        let messages: Vec<_> = self.thread().messages().try_iter().collect();
        self.waiting.extend(messages);
    }

    /// The next frame for which `is` holds.
    pub fn frame_where(&mut self, is: impl Fn(&Frame) -> bool) -> Frame {
        let since = Instant::now();
        loop {
            let frame = self
                .thread()
                .frames()
                .recv_timeout(Duration::from_millis(5));
            self.collect();
            match frame {
                Ok(frame) if is(&frame) => return frame,
                _ => {}
            }
            if let Some(Message::Failed { reason, .. }) = self.waiting.last() {
                panic!("{reason}");
            }
            assert!(since.elapsed() < TIMEOUT, "no such frame");
        }
    }

    pub fn frame(&mut self) -> Frame {
        self.frame_where(|_| true)
    }

    /// The next message that `is` takes.
    pub fn message<T>(&mut self, is: impl Fn(&Message) -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            self.collect();
            let found = self.waiting.iter().enumerate();
            let found = found
                .filter_map(|(i, message)| Some((i, is(message)?)))
                .next();
            if let Some((i, found)) = found {
                self.waiting.drain(..=i);
                return found;
            }
            // Frames that nobody takes are dropped.
            let since = since.elapsed();
            assert!(since < TIMEOUT, "no such message: {:?}", self.waiting);
            std::thread::yield_now();
        }
    }

    /// Why the game failed.
    pub fn failure(&mut self) -> String {
        self.message(|message| match message {
            Message::Failed { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }

    /// Pauses at the start of an episode, so that frames come one by one.
    pub fn halt(&mut self) -> Frame {
        self.send(PlaybackCommand::Pause);
        self.send(driftless_sim::EpisodeCommand::Reset);
        self.frame_where(|frame| frame.number == 0)
    }

    /// Makes one frame under an action.
    pub fn step(&mut self, action: u32, after: &Frame) -> Frame {
        self.hold(action);
        self.send(PlaybackCommand::Step);
        let next = after.number + 1;
        self.frame_where(|frame| frame.number == next)
    }

    pub fn quit(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.finish();
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.quit();
    }
}

/// Whether two pictures are the same, but for what JPEG changes: a busy machine looks like a slow link.
pub fn alike(a: &Frame, b: &Frame) -> bool {
    let (a, b) = (rgb(a), rgb(b));
    let off: u32 = a
        .iter()
        .zip(&b)
        .map(|(a, b)| u32::from(a.abs_diff(*b)))
        .sum();
    a.len() == b.len() && off < 4 * a.len() as u32
}

pub fn rgb(frame: &Frame) -> Vec<u8> {
    frame.image.bytes().unwrap().to_vec()
}
