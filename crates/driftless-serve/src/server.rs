//! The server: what is checked before it starts, and how it runs until it is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use driftless_sim::HistoryLimits;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::connection::ConnectionLimits;
use crate::game::GameLimits;
use crate::http::{App, router};
use crate::hub::{Hub, Recordings};
use crate::tls;
use crate::token::Token;
use crate::world::ServedWorld;
use crate::{Error, Result};

/// The most players that can be asked for.
const MAX_PLAYERS: usize = 1024;
/// Connections beyond those of players: pages that load, and players who come back.
const MORE_CONNECTIONS: usize = 64;
/// How often is asked whether to stop, and how long connections have to end then.
const ASK: Duration = Duration::from_millis(100);
const LAST_WORDS: Duration = Duration::from_secs(3);
/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// What a server serves, to whom, and within which limits.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Names and checkpoint folders of the worlds.
    pub worlds: Vec<(String, PathBuf)>,
    /// The file that holds the token. Needed beyond loopback.
    pub token_file: Option<PathBuf>,
    /// Certificates and their key, both PEM; without, there is no TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The most games.
    pub max_players: usize,
    /// Threads that run the games; `None` for as many as there are cores.
    pub threads: Option<usize>,
    /// The most sampling steps per frame.
    pub max_steps: usize,
    /// Where games are recorded, if they are.
    pub recordings: Option<Recordings>,
    /// The limits of a game.
    pub games: GameLimits,
    /// The limits of a connection.
    pub connections: ConnectionLimits,
}

impl ServerOptions {
    /// Up to 8 players on loopback, without recordings.
    pub fn new(listen: SocketAddr, worlds: Vec<(String, PathBuf)>) -> Self {
        Self {
            listen,
            worlds,
            token_file: None,
            tls: None,
            max_players: 8,
            threads: None,
            max_steps: 16,
            recordings: None,
            games: GameLimits {
                kept: Duration::from_secs(60),
                stalled: Duration::from_secs(10),
                recorded: 9_000,
                history: HistoryLimits {
                    snapshots: 32 << 20,
                    images: 16 << 20,
                },
            },
            connections: ConnectionLimits::default(),
        }
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Argument(what));
        if !(1..=MAX_PLAYERS).contains(&self.max_players) {
            let players = self.max_players;
            return wrong(format!(
                "--max-players {players}: expected 1 to {MAX_PLAYERS}"
            ));
        }
        if self.worlds.is_empty() {
            return wrong("no world to serve, expected at least one --world".into());
        }
        for (i, (name, _)) in self.worlds.iter().enumerate() {
            if self.worlds[..i].iter().any(|(before, _)| before == name) {
                return wrong(format!("--world {name}: given twice"));
            }
        }
        if self.token_file.is_none() && !self.listen.ip().is_loopback() {
            let listen = self.listen;
            return wrong(format!(
                "--listen {listen}: others could play; expected a loopback address such as \
                 127.0.0.1:8037, or a --token-file"
            ));
        }
        Ok(())
    }
}

/// A server that listens, and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    closing: watch::Sender<bool>,
    tls: Option<TlsAcceptor>,
    sockets: usize,
}

impl Server {
    /// Checks everything, opens the worlds, and listens.
    ///
    /// # Errors
    /// Returns an error if an option is out of range, if token, certificate, key or world cannot be read, or if the
    /// address is in use.
    pub fn bind(options: ServerOptions) -> Result<Self> {
        options.check()?;
        let token = options.token_file.as_deref().map(Token::read).transpose()?;
        let tls = options.tls.as_ref();
        let tls = tls
            .map(|(chain, key)| tls::acceptor(chain, key))
            .transpose()?;
        let unheard = |e: std::io::Error| Error::Listen {
            address: options.listen.to_string(),
            reason: e.to_string(),
        };
        let listener = TcpListener::bind(options.listen).map_err(unheard)?;
        listener.set_nonblocking(true).map_err(unheard)?;
        let address = listener.local_addr().map_err(unheard)?;
        let open = |(name, folder): &(String, PathBuf)| {
            ServedWorld::open(name, folder, options.max_steps).map(Arc::new)
        };
        let worlds = options.worlds.iter().map(open).collect::<Result<_>>()?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let hub = Hub::new(
            worlds,
            options.threads.unwrap_or_else(cores),
            options.games,
            options.max_players,
            options.recordings,
        )?;
        let (closing, closes) = watch::channel(false);
        let sockets = 2 * options.max_players + MORE_CONNECTIONS;
        Ok(Self {
            listener,
            address,
            app: Arc::new(App {
                hub: Arc::new(hub),
                token,
                limits: options.connections,
                sockets: Arc::new(Semaphore::new(sockets)),
                closing: closes,
            }),
            closing,
            tls,
            sockets,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Serves until `stop` returns true; then ends all games, and writes their recordings.
    ///
    /// # Errors
    /// Returns an error if the runtime cannot be started.
    pub fn run(self, stop: impl Fn() -> bool) -> Result<()> {
        let failed = |e: std::io::Error| Error::Start(e.to_string());
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(failed)?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener).map_err(failed)?;
            let acceptor = Acceptor {
                router: router(Arc::clone(&self.app)),
                tls: self.tls,
                patience: self.app.limits.patience,
                places: Arc::new(Semaphore::new(self.sockets)),
                closing: self.app.closing.clone(),
            };
            tokio::select! {
                () = acceptor.accept(listener) => {}
                () = until(stop) => {}
            }
            let _ = self.closing.send(true);
            let hub = Arc::clone(&self.app.hub);
            // The recordings are written there.
            let closed = tokio::task::spawn_blocking(move || hub.close()).await;
            closed.map_err(|e| Error::Start(e.to_string()))?;
            let all = u32::try_from(self.sockets).unwrap_or(u32::MAX);
            let _ = timeout(LAST_WORDS, self.app.sockets.acquire_many(all)).await;
            Ok(())
        })
    }
}

async fn until(stop: impl Fn() -> bool) {
    while !stop() {
        sleep(ASK).await;
    }
}

/// Takes connections, each into a task of its own.
struct Acceptor {
    router: Router,
    tls: Option<TlsAcceptor>,
    patience: Duration,
    places: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

impl Acceptor {
    async fn accept(&self, listener: tokio::net::TcpListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // No more files, mostly: others will be closed.
                    tracing::warn!("cannot take a connection: {error}");
                    sleep(ASK).await;
                    continue;
                }
            };
            // Without a place, it is closed at once.
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                continue;
            };
            // A frame is a message of its own, which does not wait for others.
            let _ = stream.set_nodelay(true);
            let (router, patience) = (self.router.clone(), self.patience);
            let (tls, closing) = (self.tls.clone(), self.closing.clone());
            tokio::spawn(async move {
                connect(stream, tls, router, patience, closing).await;
                drop(place);
            });
        }
    }
}

async fn connect(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    patience: Duration,
    closing: watch::Receiver<bool>,
) {
    let Some(tls) = tls else {
        return answer(stream, router, patience, closing).await;
    };
    match timeout(patience, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, router, patience, closing).await,
        Ok(Err(error)) => tracing::debug!("no TLS connection: {error}"),
        Err(_) => tracing::debug!("no TLS connection in time"),
    }
}

/// Answers the requests of a connection until it is upgraded to a WebSocket, or until it or the server is closed.
async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    patience: Duration,
    mut closing: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::select! {
        result = connection => {
            if let Err(error) = result {
                tracing::debug!("a connection broke: {error}");
            }
        }
        _ = closing.wait_for(|closes| *closes) => {}
    }
}
