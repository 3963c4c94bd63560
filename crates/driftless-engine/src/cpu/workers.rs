//! Threads that share the work of one engine.
//!
//! The engine's thread cuts an operation into numbered tasks that write different elements. It and the
//! workers claim them one by one. Who computes a task does not change its result, so frames do not depend
//! on the number of threads. An operation ends with its last task and waits for no worker that has none:
//! if another program holds the second core, the engine's thread does all the work itself. Waiting threads
//! spin for a moment, then sleep.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::shared_slice::SharedSlice;
use crate::{Error, Result};

/// How long a thread spins before it sleeps. Longer than the gaps between the operations of a frame.
const SPIN: Duration = Duration::from_micros(100);

/// Tasks per thread that an operation is cut into, so that a thread that is held up delays little.
pub(super) const TASKS_PER_THREAD: usize = 3;

/// Minimum size of a task, so that handing it out costs little beside it.
#[derive(Clone, Copy)]
pub struct TaskSize {
    /// Elements with which it does a few operations each.
    pub light: usize,
    /// Elements of which it takes the exponential.
    pub heavy: usize,
    /// Multiply-adds of a matrix product.
    pub product: usize,
}

impl TaskSize {
    /// One or two microseconds each.
    const DEFAULT: Self = Self {
        light: 1 << 13,
        heavy: 1 << 11,
        product: 1 << 17,
    };
}

/// The engine's thread, alone or with workers.
pub struct Workers {
    team: Option<Team>,
    least: TaskSize,
}

impl Workers {
    /// No workers: the calling thread does everything.
    pub const fn none() -> Self {
        Self {
            team: None,
            least: TaskSize::DEFAULT,
        }
    }

    /// The calling thread and `threads` − 1 workers.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        Self::with_tasks(threads, TaskSize::DEFAULT)
    }

    /// As [`Workers::new`], with tasks of another size.
    pub(super) fn with_tasks(threads: usize, least: TaskSize) -> Result<Self> {
        let team = (threads > 1).then(|| Team::new(threads)).transpose()?;
        Ok(Self { team, least })
    }

    /// Minimum size of a task.
    pub fn least(&self) -> TaskSize {
        self.least
    }

    /// Number of threads, the calling one included.
    pub fn threads(&self) -> usize {
        self.team.as_ref().map_or(1, |team| team.handles.len() + 1)
    }

    /// Calls `task` for each index below `count`, in any order, on all threads. Panics if a task panics.
    pub fn run(&self, count: usize, task: impl Fn(usize) + Sync) {
        match &self.team {
            Some(team) if count > 1 => team.run(count, &|_, index| task(index)),
            _ => (0..count).for_each(task),
        }
    }

    /// As [`Workers::run`], with one element of `scratch` for each thread. Panics if there are fewer
    /// elements than threads.
    pub fn run_with<S: Send>(
        &self,
        scratch: &mut [S],
        count: usize,
        task: impl Fn(&mut S, usize) + Sync,
    ) {
        assert!(self.threads() <= scratch.len(), "too little scratch");
        match &self.team {
            Some(team) if count > 1 => {
                let scratch = SharedSlice::new(scratch);
                team.run(count, &|thread, index| {
                    // SAFETY: each thread has its own number, below the number of elements.
                    #[expect(unsafe_code, reason = "an element for each thread")]
                    let own = unsafe { scratch.slice_mut(thread, 1) };
                    task(&mut own[0], index);
                });
            }
            _ => (0..count).for_each(|index| task(&mut scratch[0], index)),
        }
    }

    /// Cuts `y` `[rows, width]` into blocks of rows with at least `least` elements, and calls `task` with the
    /// first row and the elements of each.
    pub fn for_rows<T: Send>(
        &self,
        y: &mut [T],
        width: usize,
        least: usize,
        task: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let rows = y.len().checked_div(width).unwrap_or(0);
        let tasks = self.tasks(rows, width, least);
        if tasks <= 1 {
            return task(0, y);
        }
        let y = SharedSlice::new(&mut y[..rows * width]);
        self.run(tasks, |index| {
            let (first, end) = (rows * index / tasks, rows * (index + 1) / tasks);
            // SAFETY: the blocks do not overlap, and the last one ends at the last row.
            #[expect(unsafe_code, reason = "a block for each task")]
            let block = unsafe { y.slice_mut(first * width, (end - first) * width) };
            task(first, block);
        });
    }

    /// Number of tasks for `rows` rows of `width` elements, each of at least `least` elements.
    pub(super) fn tasks(&self, rows: usize, width: usize, least: usize) -> usize {
        match self.threads() {
            1 => 1,
            threads => {
                (rows * width / least.max(1)).clamp(1, rows.clamp(1, threads * TASKS_PER_THREAD))
            }
        }
    }
}

/// Runs one task, given the thread's number and the task's.
type Task<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// The workers and what they share with the engine's thread.
struct Team {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
    /// Number of the last operation. The cell also keeps two threads from running operations at once.
    operation: Cell<u32>,
}

/// On a cache line of its own, which no other write invalidates.
#[repr(align(128))]
struct Line<T>(T);

struct Shared {
    /// The current operation and its next task.
    claim: Line<AtomicU64>,
    /// Tasks that are not finished.
    unfinished: Line<AtomicUsize>,
    /// The current operation's [`Task`], valid while it has unfinished tasks.
    task: AtomicPtr<Task<'static>>,
    /// Whether the engine's thread sleeps until the operation is finished, and that thread.
    caller_sleeps: AtomicBool,
    caller: Mutex<Option<Thread>>,
    /// Whether each worker sleeps until there is an operation.
    worker_sleeps: Vec<Line<AtomicBool>>,
    stopping: AtomicBool,
    /// What a task panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The value of [`Shared::claim`]: operation (32 bits), number of tasks (16), next task (16).
#[derive(Clone, Copy)]
struct Claim(u64);

/// Maximum number of tasks of an operation.
const MAX_TASKS: usize = u16::MAX as usize;

impl Claim {
    fn new(operation: u32, count: usize) -> Self {
        Self(u64::from(operation) << 32 | (count as u64) << 16)
    }

    /// The next task, if one is left.
    fn next(self) -> Option<usize> {
        let [next, count] = [self.0, self.0 >> 16].map(|bits| bits as u16 as usize);
        (next < count).then_some(next)
    }
}

impl Team {
    fn new(threads: usize) -> Result<Self> {
        let shared = Arc::new(Shared {
            claim: Line(AtomicU64::new(0)),
            unfinished: Line(AtomicUsize::new(0)),
            task: AtomicPtr::new(ptr::null_mut()),
            caller_sleeps: AtomicBool::new(false),
            caller: Mutex::new(None),
            worker_sleeps: (1..threads).map(|_| Line(AtomicBool::new(false))).collect(),
            stopping: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let mut team = Self {
            shared,
            handles: Vec::with_capacity(threads - 1),
            operation: Cell::new(0),
        };
        for number in 1..threads {
            let shared = Arc::clone(&team.shared);
            let started = thread::Builder::new()
                .name(format!("engine {number}"))
                .spawn(move || shared.work(number));
            // On an error, dropping the team ends the workers that have started.
            let handle = started.map_err(|error| {
                Error::Thread(format!("{threads} threads cannot be started: {error}"))
            })?;
            team.handles.push(handle);
        }
        Ok(team)
    }

    fn run(&self, count: usize, task: Task) {
        assert!(count <= MAX_TASKS, "an operation has too many tasks");
        let shared = &*self.shared;
        shared.task.store(
            ptr::from_ref(&task).cast::<Task<'static>>().cast_mut(),
            Ordering::Relaxed,
        );
        shared.unfinished.0.store(count, Ordering::Relaxed);
        self.operation.set(self.operation.get().wrapping_add(1));
        let claim = Claim::new(self.operation.get(), count);
        shared.claim.0.store(claim.0, Ordering::SeqCst);
        self.wake_workers();
        while shared.run_next(0) {}
        shared.wait_for_end();
        let panic = lock(&shared.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn wake_workers(&self) {
        for (sleeps, handle) in self.shared.worker_sleeps.iter().zip(&self.handles) {
            if sleeps.0.load(Ordering::SeqCst) && sleeps.0.swap(false, Ordering::SeqCst) {
                handle.thread().unpark();
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for handle in self.handles.drain(..) {
            handle.thread().unpark();
            // Workers catch the panics of tasks.
            let _ = handle.join();
        }
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self, number: usize) {
        let sleeps = &self.worker_sleeps[number - 1].0;
        let has_task = || Claim(self.claim.0.load(Ordering::SeqCst)).next().is_some();
        let stopping = || self.stopping.load(Ordering::SeqCst);
        while !stopping() {
            while self.run_next(number) {}
            if spin_until(|| has_task() || stopping()) {
                continue;
            }
            // Whoever starts an operation stores it before reading `sleeps`; this stores `sleeps` before
            // looking for an operation. So one of the two sees the other.
            sleeps.store(true, Ordering::SeqCst);
            while !has_task() && !stopping() {
                thread::park();
                sleeps.store(true, Ordering::SeqCst);
            }
            sleeps.store(false, Ordering::SeqCst);
        }
    }

    /// Claims the next task and runs it as the thread `number`. Returns whether there was one.
    fn run_next(&self, number: usize) -> bool {
        let mut seen = self.claim.0.load(Ordering::Acquire);
        let (index, task) = loop {
            let Some(index) = Claim(seen).next() else {
                return false;
            };
            let task = self.task.load(Ordering::Relaxed);
            let claimed = self.claim.0.compare_exchange_weak(
                seen,
                seen + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match claimed {
                Ok(_) => break (index, task),
                Err(now) => seen = now,
            }
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the claim succeeded, so its operation still was the current one after `task` was
            // read. `Team::run` keeps what `task` points to until the claimed task is finished.
            #[expect(unsafe_code, reason = "the pointer hides a lifetime")]
            let task = unsafe { *task };
            task(number, index);
        }));
        if let Err(panic) = result {
            lock(&self.panic).get_or_insert(panic);
        }
        if self.unfinished.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.wake_caller();
        }
        true
    }

    fn is_finished(&self) -> bool {
        self.unfinished.0.load(Ordering::SeqCst) == 0
    }

    fn wait_for_end(&self) {
        if spin_until(|| self.is_finished()) {
            return;
        }
        *lock(&self.caller) = Some(thread::current());
        // As in `work`: either this sees that the last task is finished, or its thread sees this.
        self.caller_sleeps.store(true, Ordering::SeqCst);
        while !self.is_finished() {
            thread::park();
        }
        self.caller_sleeps.store(false, Ordering::SeqCst);
    }

    fn wake_caller(&self) {
        if self.caller_sleeps.load(Ordering::SeqCst)
            && let Some(caller) = &*lock(&self.caller)
        {
            caller.unpark();
        }
    }
}

/// Spins until `done`, for at most [`SPIN`]. Returns whether it is done.
fn spin_until(done: impl Fn() -> bool) -> bool {
    const LOOKS: usize = 64;
    let start = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() > SPIN {
            return done();
        }
    }
}

/// Locks, also if a thread has panicked meanwhile: nothing behind these locks can be left half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "workers_tests.rs"]
mod tests;
