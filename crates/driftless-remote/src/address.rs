//! Where a server is.

use std::fmt;
use std::net::IpAddr;

use tokio_tungstenite::tungstenite::http::Uri;

use crate::{Error, Result};

/// The path of the players' WebSocket.
const PATH: &str = "/play";

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    secure: bool,
    /// A name or an IP address; without brackets.
    host: String,
    port: u16,
    /// Before [`PATH`], behind a proxy; empty or with a slash in front.
    prefix: String,
}

impl Address {
    /// Reads `wss://HOST[:PORT]`, or `https`, or without TLS `ws` and `http`. A path is where a proxy has the server.
    ///
    /// # Errors
    /// Returns an error that names what is wrong with it.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: &str| Error::Address {
            given: text.to_owned(),
            reason: reason.to_owned(),
        };
        let uri: Uri = text.parse().map_err(|_| wrong("it is no address"))?;
        let secure = match uri.scheme_str() {
            Some("wss" | "https") => true,
            Some("ws" | "http") => false,
            Some(_) => return Err(wrong("it is not of a server of worlds")),
            None => return Err(wrong("it does not say how to connect")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it holds a name or a password, see --token-file"));
        }
        if uri.query().is_some() {
            return Err(wrong("it holds a query"));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let has_port = authority.as_str().len() > uri.host().map_or(0, str::len);
        let port = match uri.port_u16() {
            Some(port) => port,
            None if has_port => return Err(wrong("its port is no number from 0 to 65535")),
            None if secure => 443,
            None => 80,
        };
        let path = uri.path().trim_end_matches('/');
        Ok(Self {
            secure,
            host: host.to_owned(),
            port,
            prefix: path.strip_suffix(PATH).unwrap_or(path).to_owned(),
        })
    }

    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
    }

    /// The host, a name or an IP address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of the players' WebSocket.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{self}{}{PATH}", self.prefix)
    }
}

/// Host and port, as they are written in an address.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port, self.secure) {
            (true, ..) => write!(f, "[{}]:{}", self.host, self.port),
            (_, 443, true) | (_, 80, false) => f.write_str(&self.host),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        for (given, url, shown) in [
            (
                "wss://play.example",
                "wss://play.example/play",
                "play.example",
            ),
            (
                "https://play.example/",
                "wss://play.example/play",
                "play.example",
            ),
            (
                "ws://127.0.0.1:8037",
                "ws://127.0.0.1:8037/play",
                "127.0.0.1:8037",
            ),
            (
                "http://127.0.0.1:8037/play",
                "ws://127.0.0.1:8037/play",
                "127.0.0.1:8037",
            ),
            (
                "wss://[::1]:9000/worlds/",
                "wss://[::1]:9000/worlds/play",
                "[::1]:9000",
            ),
        ] {
            let address = Address::parse(given).unwrap();
            assert_eq!(
                (address.url(), address.to_string()),
                (url.into(), shown.into())
            );
            assert_eq!(Address::parse(&address.url()).unwrap(), address);
        }
        let is_loopback = |text: &str| Address::parse(text).unwrap().is_loopback();
        assert!(is_loopback("ws://LOCALHOST") && is_loopback("ws://[::1]:1"));
        assert!(!is_loopback("ws://127.0.0.1.example"));
    }

    #[test]
    fn faults_are_named() {
        for (given, expected) in [
            ("play.example", "does not say how"),
            ("ftp://play.example", "not of a server"),
            ("wss://", "no address"),
            ("wss://user:secret@play.example", "see --token-file"),
            ("wss://play.example?token=secret", "a query"),
            ("wss://play.example:99999", "port"),
            ("wss://play example", "no address"),
        ] {
            let error = Address::parse(given).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("expected wss://HOST"), "{error}");
        }
    }
}
