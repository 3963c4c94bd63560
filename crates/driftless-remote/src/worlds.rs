//! Which worlds a server has.

use std::sync::Arc;

use driftless_serve::protocol::WorldInfo;

use crate::server::runtime;
use crate::socket::{Socket, WORDS_BYTES};
use crate::{Error, RemoteServer, RemoteWorld, Result};

impl RemoteServer {
    /// The worlds that can be played. Waits for the answer.
    ///
    /// # Errors
    /// Returns an error if there is no connection, if the server refuses it, or if what it says cannot be.
    pub fn worlds(&self) -> Result<Vec<WorldInfo>> {
        let runtime = runtime()?;
        let worlds = runtime.block_on(async {
            let mut socket = Socket::connect(self, WORDS_BYTES).await?;
            let worlds = socket.greet(self.token()).await?;
            socket.close().await;
            Ok(worlds)
        });
        runtime.shutdown_background();
        worlds
    }

    /// The world of this name, or the first one. Waits for the answer.
    ///
    /// # Errors
    /// As [`RemoteServer::worlds`], and if there is no such world.
    pub fn world(&self, name: Option<&str>) -> Result<Arc<RemoteWorld>> {
        let mut worlds = self.worlds()?;
        let known: Vec<_> = worlds.iter().map(|world| world.name.clone()).collect();
        let place = match name {
            None => Some(0),
            Some(name) => known.iter().position(|known| known == name),
        };
        let place = place.ok_or_else(|| Error::NoWorld {
            server: self.address().to_string(),
            name: name.unwrap_or_default().to_owned(),
            known: known.join(", "),
        })?;
        let info = worlds.swap_remove(place);
        Ok(Arc::new(RemoteWorld::new(self.clone(), info)))
    }
}
