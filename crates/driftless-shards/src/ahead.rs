//! What will be needed, made ready on threads of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Error, Result};

/// How often whoever waits looks whether to stop.
const STOP_EVERY: Duration = Duration::from_millis(50);

/// Makes things ready ahead of use, in the order in which they are asked for, on a few threads. How many are ready at once
/// is up to who asks.
///
/// ```
/// use driftless_shards::Ahead;
///
/// # fn main() -> driftless_shards::Result<()> {
/// let ahead = Ahead::start(2, |number: u64| number * number)?;
/// ahead.ask(7);
/// ahead.ask(8);
/// assert_eq!(ahead.take(8, &|| false)?, 64);
/// assert_eq!(ahead.take(7, &|| false)?, 49);
/// # Ok(())
/// # }
/// ```
pub struct Ahead<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    asked: VecDeque<u64>,
    /// What is ready; `None` while it is being made.
    made: BTreeMap<u64, Option<T>>,
    closing: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        // A thread that panicked while it held the lock has left it whole: nothing is called in between.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts the threads, which call `make` with the numbers that are asked for.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    pub fn start(threads: usize, make: impl Fn(u64) -> T + Send + Sync + 'static) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                asked: VecDeque::new(),
                made: BTreeMap::new(),
                closing: false,
            }),
            changed: Condvar::new(),
        });
        let make = Arc::new(make);
        let mut ahead = Self {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        for _ in 0..threads.max(1) {
            let (shared, make) = (Arc::clone(&shared), Arc::clone(&make));
            let thread = std::thread::Builder::new().name("shards".into());
            let started = thread.spawn(move || work(&shared, make.as_ref()));
            let started =
                started.map_err(|e| Error::Thread(format!("cannot start a thread: {e}")))?;
            ahead.threads.push(started);
        }
        Ok(ahead)
    }

    /// Asks for a thing, once until it is taken.
    pub fn ask(&self, number: u64) {
        let mut state = self.shared.lock();
        if state.made.contains_key(&number) || state.asked.contains(&number) {
            return;
        }
        state.asked.push_back(number);
        self.shared.changed.notify_all();
    }

    /// Waits for a thing that was asked for, or asks for it, and takes it.
    ///
    /// # Errors
    /// Returns an error if `stop` says so, or if the thread that was to make it has ended.
    pub fn take(&self, number: u64, stop: &dyn Fn() -> bool) -> Result<T> {
        self.ask(number);
        let mut state = self.shared.lock();
        loop {
            if let Some(Some(_)) = state.made.get(&number)
                && let Some(Some(thing)) = state.made.remove(&number)
            {
                return Ok(thing);
            }
            if stop() {
                return Err(Error::Interrupted);
            }
            if self.threads.iter().any(JoinHandle::is_finished) {
                return Err(Error::Thread("a thread that reads shards has ended".into()));
            }
            let waited = self.shared.changed.wait_timeout(state, STOP_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Drop for Ahead<T> {
    /// The threads end when they have made what they are at.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.changed.notify_all();
    }
}

/// Makes one thing after another until it is to close.
fn work<T>(shared: &Shared<T>, make: &(impl Fn(u64) -> T + ?Sized)) {
    let mut state = shared.lock();
    while !state.closing {
        let Some(number) = state.asked.pop_front() else {
            let waited = shared.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        state.made.insert(number, None);
        drop(state);
        let made = make(number);
        state = shared.lock();
        state.made.insert(number, Some(made));
        shared.changed.notify_all();
    }
}
