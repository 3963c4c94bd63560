use std::path::PathBuf;

/// What can go wrong with a published file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file: see [`driftless_data::Error`].
    #[error(transparent)]
    Data(#[from] driftless_data::Error),
    /// The name is none of a published file.
    #[error(
        "`{name}` {what}, expected hf:OWNER/NAME, hf:OWNER/NAME/FILE or hf:OWNER/NAME@REVISION/FILE"
    )]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Nothing says which file is meant.
    #[error("{repository} {what}")]
    Choice {
        /// `OWNER/NAME`.
        repository: String,
        /// What is in it, and what was expected.
        what: String,
    },
    /// The file is not there, and nothing may be downloaded.
    #[error("{0} has not been downloaded yet, and offline nothing is")]
    Offline(String),
    /// The server could not be reached, or gave another answer than expected. What has arrived is kept.
    #[error("cannot get {file} of {repository}: {what}")]
    Server {
        /// `OWNER/NAME`.
        repository: String,
        /// The file, or `the list of files`.
        file: String,
        /// What happened.
        what: String,
    },
    /// What was downloaded is not what the server says it has. It is deleted.
    #[error("{} was damaged on its way and is deleted: its checksum is {found}, expected {expected}; try again", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its checksum.
        found: String,
        /// The checksum that the server tells.
        expected: String,
    },
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;
