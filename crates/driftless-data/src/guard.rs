//! Turns a panic of a file format's library into an error about the file. Damaged files make the Parquet
//! and HDF5 libraries panic; it is the file that is at fault then, and the next one may be read.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use crate::{Error, PathError as _, Result};

thread_local! {
    /// Whether a panic of this thread is caught, and not reported.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Calls `read`, which reads `path`; a panic becomes an error. What `read` changes must be fit to be used,
/// or dropped, after that.
///
/// # Errors
/// Returns the error of `read`, or one that says that the file is damaged.
pub(crate) fn catch_panic<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    // The hook prints; a caught panic should not. It passes on those of other threads.
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |info| {
            if !CAUGHT.get() {
                previous(info);
            }
        }));
    });
    let outer = CAUGHT.replace(true);
    let read = catch_unwind(AssertUnwindSafe(read));
    CAUGHT.set(outer);
    read.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("unknown").replace(['\n', '\r'], " ");
        Err(Error::invalid(path, format!("is damaged: {text}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_errors() {
        let path = Path::new("a.parquet");
        let values: [u8; 0] = [];
        let index = std::hint::black_box(3);
        let damaged = catch_panic(path, || Ok(values[index]));
        let message = damaged.unwrap_err().to_string();
        assert!(
            message.starts_with("a.parquet: is damaged: index out of bounds"),
            "{message}"
        );
        assert_eq!(catch_panic(path, || Ok(7)).unwrap(), 7);
        let error = catch_panic(path, || Err::<(), _>(Error::Interrupted));
        assert!(matches!(error, Err(Error::Interrupted)));
    }
}
