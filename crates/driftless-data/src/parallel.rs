//! Work on many files at once that fails the same way each time.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

/// `map` of every item and its index, on all threads, in the order of the items.
///
/// # Errors
/// Returns the error of the *first* item that has one, whichever thread was faster; what comes
/// after it and has not begun is left out.
pub fn try_map<T, R, E>(
    items: &[T],
    map: impl Fn(usize, &T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
{
    let first_failed = AtomicUsize::new(usize::MAX);
    let mapped: Vec<Option<Result<R, E>>> = items
        .par_iter()
        .enumerate()
        .map(|(index, item)| {
            if first_failed.load(Ordering::Relaxed) < index {
                return None;
            }
            let result = map(index, item);
            if result.is_err() {
                first_failed.fetch_min(index, Ordering::Relaxed);
            }
            Some(result)
        })
        .collect();
    // All before the first error are there.
    mapped.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        let doubled = try_map(&items, |index, &item| Ok::<_, ()>(index + item));
        assert_eq!(doubled.unwrap(), (0..2000).step_by(2).collect::<Vec<_>>());
        assert_eq!(try_map(&[(); 0], |_, ()| Err::<(), _>(())), Ok(Vec::new()));
    }

    #[test]
    fn first_error_is_told() {
        let items: Vec<usize> = (0..1000).collect();
        for first in [0, 1, 499, 500, 999] {
            let odd = |_: usize, &item: &usize| if item >= first { Err(item) } else { Ok(()) };
            assert_eq!(try_map(&items, odd), Err(first));
        }
    }
}
