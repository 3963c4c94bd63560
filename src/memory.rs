//! Memory between passes with gradients: every one needs the same large blocks again.

/// Keeps freed blocks in the process instead of giving them back to the system after every pass,
/// which on glibc costs a third of a training step in page faults. Elsewhere this does nothing.
pub(crate) fn keep_freed_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [
        (libc::M_MMAP_MAX, 0),
        (libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
        (libc::M_TOP_PAD, 256 << 20),
    ] {
        // SAFETY: mallopt only sets a number of the allocator; it may be called at any time.
        #[allow(unsafe_code)]
        let taken = unsafe { libc::mallopt(parameter, value) };
        if taken == 0 {
            tracing::debug!("the allocator refused parameter {parameter}");
        }
    }
}
