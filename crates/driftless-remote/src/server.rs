//! How a server is reached.

use std::time::Duration;

use driftless_serve::Token;
use tokio::runtime::{Builder, Runtime};

use crate::{Address, Error, Result, Trust};

/// How long is waited for a server.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For a connection, and for the answer to what asks for one.
    pub patience: Duration,
    /// Without any message; half of it, and the server is asked whether it is there.
    pub silence: Duration,
    /// Before the first attempt to come back.
    pub first_wait: Duration,
    /// Between two attempts at most.
    pub longest_wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            silence: Duration::from_secs(10),
            first_wait: Duration::from_millis(400),
            longest_wait: Duration::from_secs(8),
        }
    }
}

/// A server, and how it is reached.
#[derive(Clone)]
pub struct RemoteServer {
    address: Address,
    token: Option<Token>,
    /// Without TLS, nobody needs to be trusted.
    trust: Option<Trust>,
    timing: Timing,
}

impl RemoteServer {
    /// A server that asks for no token, or for this one; with TLS, its certificate must be one that `trust`, or else
    /// browsers, trust.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up, or if `trust` is given for an address without TLS.
    pub fn new(address: Address, token: Option<Token>, trust: Option<Trust>) -> Result<Self> {
        let trust = match (address.is_secure(), trust) {
            (true, Some(trust)) => Some(trust),
            (true, None) => Some(Trust::public()?),
            (false, None) => None,
            (false, Some(_)) => {
                return Err(Error::Address {
                    given: address.url(),
                    reason: "it is without TLS, which --ca is for".into(),
                });
            }
        };
        Ok(Self {
            address,
            token,
            trust,
            timing: Timing::default(),
        })
    }

    /// The same with other times to wait.
    #[must_use]
    pub fn with_timing(self, timing: Timing) -> Self {
        Self { timing, ..self }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether whoever listens on the way can read the token.
    pub fn tells_token(&self) -> bool {
        self.token.is_some() && !self.address.is_secure() && !self.address.is_loopback()
    }

    pub(crate) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    pub(crate) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    pub(crate) fn timing(&self) -> &Timing {
        &self.timing
    }
}

/// What runs a connection, on the thread that asks for it.
pub fn runtime() -> Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| {
        let what = format!("cannot start the network: {e}");
        driftless_sim::Error::Thread(what).into()
    })
}
