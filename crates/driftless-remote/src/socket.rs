//! A connection to a server: what is said and heard, within limits.

use std::io;
use std::time::{Duration, Instant};

use driftless_serve::protocol::{Reply, Request, VERSION, WorldInfo};
use driftless_serve::{RateLimit, Token};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};
use tokio_rustls::rustls::{self, CertificateError};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::server::{RemoteServer, Timing};
use crate::{Error, Result, check, trust};

/// The longest words of a server, in bytes.
pub const WORDS_BYTES: usize = 1 << 20;
/// Words and frames a second, in the long run and at once. A game makes at most 240 frames a second.
const WORDS: [f64; 2] = [60.0, 600.0];
const FRAMES: [f64; 2] = [500.0, 1000.0];
/// How long a connection that is left may take for its last words.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Letters of the server's that are shown.
const SHOWN: usize = 300;

/// TCP, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What comes from the server.
#[derive(Debug)]
pub enum Heard {
    /// Words.
    Reply(Reply),
    /// A frame.
    Frame(Bytes),
}

/// A connection.
pub struct Socket {
    stream: WebSocketStream<Box<dyn Stream>>,
    server: String,
    timing: Timing,
    heard: Instant,
    /// Whether the server was asked whether it is there.
    asked: bool,
    words: RateLimit,
    frames: RateLimit,
}

impl Socket {
    /// Connects; messages have at most so many bytes.
    ///
    /// # Errors
    /// Returns an error if there is no connection in time, or if the certificate is not trusted.
    pub async fn connect(server: &RemoteServer, max_bytes: usize) -> Result<Self> {
        let waited = server.timing().patience;
        let connected = timeout(waited, open(server, max_bytes)).await;
        let stream = connected.map_err(|_| Error::Silent {
            server: server.address().to_string(),
            waited,
        })??;
        let now = Instant::now();
        let limit = |[per_second, burst]: [f64; 2]| RateLimit::new(per_second, burst, now);
        Ok(Self {
            stream,
            server: server.address().to_string(),
            timing: *server.timing(),
            heard: now,
            asked: false,
            words: limit(WORDS),
            frames: limit(FRAMES),
        })
    }

    /// Says hello; returns the server's worlds.
    ///
    /// # Errors
    /// Returns an error if the server refuses the token or speaks another version, or if its worlds cannot be.
    pub async fn greet(&mut self, token: Option<&Token>) -> Result<Vec<WorldInfo>> {
        let hello = Request::Hello {
            version: VERSION,
            token: token.map(|token| token.text().to_owned()),
        };
        self.send(&hello).await?;
        let (version, worlds) = loop {
            if let Heard::Reply(Reply::Welcome {
                version, worlds, ..
            }) = self.hear_soon().await?
            {
                break (version, worlds);
            }
        };
        if version != VERSION {
            let what = format!("version {version} of the protocol, expected {VERSION}");
            return Err(self.protocol(what));
        }
        check::worlds(&worlds).map_err(|what| self.protocol(what))?;
        Ok(worlds)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Returns an error if the connection is broken, or if the server does not take the request in time.
    pub async fn send(&mut self, request: &Request) -> Result<()> {
        // Maps with names as keys can always be written.
        let text = serde_json::to_string(request).unwrap_or_default();
        self.send_message(Message::text(text)).await
    }

    async fn send_message(&mut self, message: Message) -> Result<()> {
        let waited = self.timing.patience;
        match timeout(waited, self.stream.send(message)).await {
            Ok(sent) => sent.map_err(|e| self.broken(e)),
            Err(_) => Err(self.silent(waited)),
        }
    }

    /// What the server says next, within its patience.
    ///
    /// # Errors
    /// As [`Socket::hear`].
    pub async fn hear_soon(&mut self) -> Result<Heard> {
        let waited = self.timing.patience;
        match timeout(waited, self.hear()).await {
            Ok(heard) => heard,
            Err(_) => Err(self.silent(waited)),
        }
    }

    /// What the server says next. What was heard is not lost if this is not waited for.
    ///
    /// # Errors
    /// Returns an error if the connection is broken or ended, if nothing is heard for too long, or if what is
    /// heard is too long, too much or cannot be understood.
    pub async fn hear(&mut self) -> Result<Heard> {
        loop {
            let silence = self.timing.silence;
            let patience = if self.asked { silence } else { silence / 2 };
            let until = self.heard + patience;
            let message = match timeout_at(until.into(), self.stream.next()).await {
                Ok(Some(message)) => message.map_err(|e| self.broken(e))?,
                Ok(None) => return Err(self.broken(WsError::ConnectionClosed)),
                Err(_) if self.asked => return Err(self.silent(silence)),
                Err(_) => {
                    self.asked = true;
                    self.send_message(Message::Ping(Bytes::new())).await?;
                    continue;
                }
            };
            (self.heard, self.asked) = (Instant::now(), false);
            if let Some(heard) = self.read(message)? {
                return Ok(heard);
            }
        }
    }

    fn read(&mut self, message: Message) -> Result<Option<Heard>> {
        let limit = match &message {
            Message::Binary(_) => &mut self.frames,
            _ => &mut self.words,
        };
        if !limit.allows(self.heard) {
            return Err(self.protocol("more messages than a game has"));
        }
        match message {
            Message::Text(text) => self.reply(&text).map(|reply| Some(Heard::Reply(reply))),
            Message::Binary(bytes) => Ok(Some(Heard::Frame(bytes))),
            Message::Close(_) => Err(self.broken(WsError::ConnectionClosed)),
            _ => Ok(None),
        }
    }

    fn reply(&self, text: &Utf8Bytes) -> Result<Reply> {
        match serde_json::from_str(text.as_str()) {
            Ok(Reply::Ended { reason }) => Err(Error::Refused {
                server: self.server.clone(),
                reason: shown(&reason),
            }),
            Ok(reply) => Ok(reply),
            Err(error) => {
                let what = shown(&error.to_string());
                Err(self.protocol(format!("what is no message of version {VERSION}: {what}")))
            }
        }
    }

    /// Says that the game ends, and closes the connection.
    pub async fn leave(&mut self) {
        let _ = timeout(LAST_WORDS, self.send(&Request::Leave {})).await;
        self.close().await;
    }

    /// Closes the connection.
    pub async fn close(&mut self) {
        let _ = timeout(LAST_WORDS, self.stream.close(None)).await;
    }

    /// The server sends what it should not.
    pub fn protocol(&self, what: impl Into<String>) -> Error {
        Error::Protocol {
            server: self.server.clone(),
            what: what.into(),
        }
    }

    /// The server says no.
    pub fn refused(&self, reason: &str) -> Error {
        Error::Refused {
            server: self.server.clone(),
            reason: shown(reason),
        }
    }

    fn silent(&self, waited: Duration) -> Error {
        Error::Silent {
            server: self.server.clone(),
            waited,
        }
    }

    fn broken(&self, error: WsError) -> Error {
        broken(&self.server, error)
    }
}

/// What a server says, as it can be shown.
pub fn shown(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    printable.take(SHOWN).collect()
}

async fn open(server: &RemoteServer, max_bytes: usize) -> Result<WebSocketStream<Box<dyn Stream>>> {
    let address = server.address();
    let name = address.to_string();
    let link = |reason: String| Error::Link {
        server: name.clone(),
        reason,
    };
    let tcp = TcpStream::connect((address.host(), address.port()))
        .await
        .map_err(|e| link(format!("no connection: {e}")))?;
    // A key is a message of its own, which does not wait for others.
    let _ = tcp.set_nodelay(true);
    let stream: Box<dyn Stream> = match server.trust() {
        None => Box::new(tcp),
        Some(trust) => {
            let host = ServerName::try_from(address.host().to_owned())
                .map_err(|_| link("its host is no name of a certificate".into()))?;
            let secure = trust.connector().connect(host, tcp).await;
            Box::new(secure.map_err(|e| insecure(&name, &e))?)
        }
    };
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(max_bytes);
    config.max_frame_size = Some(max_bytes);
    let opened = client_async_with_config(address.url(), stream, Some(config)).await;
    let (stream, _) = opened.map_err(|e| broken(&name, e))?;
    Ok(stream)
}

/// Why there is no TLS.
fn insecure(server: &str, error: &io::Error) -> Error {
    let server = server.to_owned();
    let inner = error.get_ref().and_then(|e| e.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => Error::Certificate {
            server,
            reason: distrust(reason),
        },
        Some(rustls::Error::InvalidMessage(_)) => Error::Refused {
            server,
            reason: "it does not speak TLS; ws:// is without".into(),
        },
        _ => Error::Link {
            server,
            reason: format!("no TLS: {error}"),
        },
    }
}

/// Why a certificate is not trusted.
fn distrust(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "no authority that is trusted has signed it (--ca FILE names another)".into()
        }
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the authority that it names has not signed it".into()
        }
        CertificateError::Other(other) if other.to_string() == trust::AUTHORITY => {
            "it is that of an authority, not of a server (--ca FILE trusts it nevertheless)".into()
        }
        error => error.to_string(),
    }
}

/// Why there is no WebSocket, or no longer.
fn broken(server: &str, error: WsError) -> Error {
    let server = server.to_owned();
    let reason = match error {
        WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete,
        ) => "the connection has ended".into(),
        WsError::Io(error) => format!("the connection is broken: {error}"),
        WsError::Http(answer) if answer.status().is_client_error() => {
            let reason = match answer.status().as_u16() {
                404 => "there is no server of worlds at this address".into(),
                403 => "it lets nobody play from here: without a token, only from its own machine"
                    .into(),
                status => format!("it answers with the status {status}"),
            };
            return Error::Refused { server, reason };
        }
        WsError::Protocol(ProtocolError::HttparseError(_)) => {
            let reason = "it does not answer in HTTP; wss:// is with TLS".into();
            return Error::Refused { server, reason };
        }
        WsError::Http(answer) => format!("it answers with the status {}", answer.status()),
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            let what = format!("a message of {size} bytes, expected at most {max_size}");
            return Error::Protocol { server, what };
        }
        error => {
            let what = format!("what is no WebSocket message: {error}");
            return Error::Protocol { server, what };
        }
    };
    Error::Link { server, reason }
}
