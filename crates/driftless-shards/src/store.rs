//! Objects beside a manifest: files of a folder, or what a server has.

use std::path::PathBuf;

use bytes::Bytes;

use driftless_data::fs::{check_target, read_source, write_atomic};

#[cfg(not(feature = "object-store"))]
use crate::Error;
use crate::Result;
use crate::location::{Location, Place};
#[cfg(feature = "object-store")]
use crate::remote::{Environment, Remote, environment};
use crate::stop::Stop;

/// The objects in a place.
pub(crate) struct Store {
    location: Location,
    #[cfg(feature = "object-store")]
    remote: Option<Remote>,
}

impl Store {
    /// Prepares to read and write; asks no server anything yet.
    ///
    /// # Errors
    /// Returns an error if the environment has no credentials for an S3-like store, or wrong settings for it.
    #[cfg(feature = "object-store")]
    pub fn open(location: &Location, stop: &Stop) -> Result<Self> {
        Self::open_in(location, &environment(), stop)
    }

    /// Prepares to read and write files.
    ///
    /// # Errors
    /// Returns an error if the place is on a server, which this build does not know.
    #[cfg(not(feature = "object-store"))]
    pub fn open(location: &Location, _stop: &Stop) -> Result<Self> {
        if !matches!(location.place, Place::Folder(_)) {
            return Err(Error::NotBuilt(format!(
                "{location}: this program was built without object stores: build it with --features object-store"
            )));
        }
        Ok(Self {
            location: location.clone(),
        })
    }

    /// As [`Store::open`], with an environment in place of the process's.
    ///
    /// # Errors
    /// As [`Store::open`].
    #[cfg(feature = "object-store")]
    pub fn open_in(location: &Location, environment: &Environment, stop: &Stop) -> Result<Self> {
        let remote = match &location.place {
            Place::Folder(_) => None,
            place => Some(Remote::open(place, location, environment, stop.clone())?),
        };
        Ok(Self {
            location: location.clone(),
            remote,
        })
    }

    /// Where the objects are.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Whether objects are files of this machine.
    pub fn is_local(&self) -> bool {
        self.location.folder().is_some()
    }

    /// Reads an object of at most `most` bytes.
    ///
    /// # Errors
    /// Returns an error if it is not there, is larger, cannot be read, or if `stop` says so.
    pub fn read(&self, name: &str, most: u64) -> Result<Bytes> {
        #[cfg(feature = "object-store")]
        if let Some(remote) = &self.remote {
            return remote.read(name, most);
        }
        Ok(read_source(&self.path(name), most)?.into())
    }

    /// Writes an object, over what has its name.
    ///
    /// # Errors
    /// Returns an error if it cannot be written, or if `stop` says so.
    pub fn write(&self, name: &str, bytes: &Bytes) -> Result<()> {
        #[cfg(feature = "object-store")]
        if let Some(remote) = &self.remote {
            return remote.write(name, bytes);
        }
        Ok(write_atomic(&self.path(name), bytes)?)
    }

    /// Whether an object is there.
    ///
    /// # Errors
    /// Returns an error if that cannot be found out, or if `stop` says so.
    pub fn has(&self, name: &str) -> Result<bool> {
        #[cfg(feature = "object-store")]
        if let Some(remote) = &self.remote {
            return remote.has(name);
        }
        check_target(&self.path(name))?;
        Ok(self.path(name).exists())
    }

    /// The path of an object that is a file.
    fn path(&self, name: &str) -> PathBuf {
        let folder = self.location.folder();
        folder.map_or_else(|| name.into(), |folder| folder.join(name))
    }
}
