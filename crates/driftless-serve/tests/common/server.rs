//! A server on loopback; the tests of the client use it, too.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftless_serve::{Server, ServerOptions};

/// Only ends a test that hangs.
pub const TIMEOUT: Duration = Duration::from_secs(60);

pub fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../checkpoints")
        .join(name)
}

/// Serves Pong and the maze on any free port.
pub fn options() -> ServerOptions {
    let worlds = ["pong", "maze"].map(|name| (name.to_owned(), checkpoint(name)));
    ServerOptions::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), worlds.into())
}

/// A server that runs until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<driftless_serve::Result<()>>>,
}

impl Running {
    pub fn start(options: ServerOptions) -> Self {
        let server = Server::bind(options).unwrap();
        let address = server.address();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let run = move || server.run(move || asked.load(Ordering::Relaxed));
        Self {
            address,
            stop,
            thread: Some(std::thread::spawn(run)),
        }
    }

    /// Stops, and waits for what the server still does then.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }

    /// The answer to a request without a body, headers included.
    pub fn get(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let host = self.address;
        let connection = if headers.contains("Upgrade: ") {
            "close, upgrade"
        } else {
            "close"
        };
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n");
        let request = format!("{head}{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A number of the metrics.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics", "");
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value).expect("the metric")
    }

    /// Asks until a number of the metrics is as expected.
    pub fn await_metric(&self, name: &str, is: impl Fn(u64) -> bool) {
        let since = Instant::now();
        while !is(self.metric(name)) {
            assert!(since.elapsed() < TIMEOUT, "{name} is {}", self.metric(name));
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
