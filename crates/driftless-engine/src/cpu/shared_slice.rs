//! A slice that several threads write at once.

use std::marker::PhantomData;
use std::slice;

/// A mutable slice of which several threads write different elements.
pub struct SharedSlice<'a, T> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: it only lends elements to one thread at a time, as `slice_mut` requires.
#[expect(unsafe_code, reason = "the pointer stands for a mutable slice")]
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    /// Lends `slice`.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            owner: PhantomData,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The elements from `at` on. Panics if there are fewer.
    pub fn tail(&self, at: usize) -> Self {
        assert!(at <= self.len, "the tail starts outside the slice");
        Self {
            start: self.start.wrapping_add(at),
            len: self.len - at,
            owner: PhantomData,
        }
    }

    /// Pointer to the first element.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn as_ptr(&self) -> *mut T {
        self.start
    }

    /// The `len` elements from `at` on. Panics if they do not exist.
    ///
    /// # Safety
    /// No one else reads or writes them while the result is in use.
    #[expect(
        unsafe_code,
        reason = "whoever calls it knows which thread has which elements"
    )]
    #[expect(clippy::mut_from_ref, reason = "the elements are lent one by one")]
    pub unsafe fn slice_mut(&self, at: usize, len: usize) -> &mut [T] {
        assert!(
            at <= self.len && len <= self.len - at,
            "the part is outside the slice"
        );
        // SAFETY: in bounds as asserted; the caller makes sure that the parts in use do not overlap.
        unsafe { slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}
