//! Worlds on a server of `driftless serve`.

use std::path::Path;
use std::sync::Arc;

use driftless_remote::{Address, RemoteServer, RemoteWorld, Trust};
use driftless_serve::Token;

use crate::error::{Error, Result};

/// The world of this name on a server, or its first one. Waits for the server.
///
/// # Errors
/// Returns an error if the address, the token or the certificates (PEM) cannot be used, if the server cannot be
/// reached or refuses, or if it has no such world.
pub fn world(
    url: &str,
    name: Option<&str>,
    token: Option<&str>,
    certificates: Option<&Path>,
) -> Result<Arc<RemoteWorld>> {
    let address = Address::parse(url)?;
    let token = token.map(Token::new).transpose();
    let token = token.map_err(|what| Error::Value(format!("token: {what}")))?;
    let trust = certificates.map(Trust::read).transpose()?;
    Ok(RemoteServer::new(address, token, trust)?.world(name)?)
}
