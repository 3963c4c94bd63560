//! The heads' tensors on one thread.
//!
//! Their products are so small that a second thread gains little, and where another program holds its core,
//! waiting for it takes five times as long (measured beside two trainings).

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// A thread that computes alone: what runs in it does not wait for others.
///
/// # Errors
/// Returns an error if it cannot be started.
pub(super) fn one_thread() -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(1).build();
    pool.map_err(|e| Error::Thread(e.to_string()))
}
