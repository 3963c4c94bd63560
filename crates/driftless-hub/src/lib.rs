//! Files of published checkpoints: `hf:OWNER/NAME[@REVISION][/FILE]` is downloaded once and kept in a folder that other
//! programs which know these names share.
//!
//! A download that was cut off goes on where it ended. A file is used once its checksum is that of the server; nothing in
//! it is executed. Without a connection ([`HubOptions::offline`]) files that are there already are found.
//!
//! - [`Reference`]: what is named.
//! - [`Hub`]: downloads it, or finds it.

mod checksum;
mod choice;
mod error;
mod hub;
mod reference;

pub use error::{Error, Result};
pub use hub::{Download, Hub, HubOptions};
pub use reference::Reference;
