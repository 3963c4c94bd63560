//! A fixed number of threads that run the games of all players.
//!
//! A task runs in short turns, on any thread, never on two at once. Among those that have something to do, the one
//! that has computed least so far comes first (as in a completely fair scheduler), so that a game with costly
//! settings slows down itself and not the others.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftless_sim::Turn;

use crate::{Error, Result};

/// Something that runs in turns.
pub trait Task: Send {
    /// Does what there is to do, for a few milliseconds.
    fn turn(&mut self) -> Turn;

    /// Called when a turn has said [`Turn::Ended`], or has panicked.
    fn end(self: Box<Self>);
}

/// A task's number.
pub type TaskId = u64;

/// The threads and their tasks.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    tasks: HashMap<TaskId, Entry>,
    timers: BTreeSet<(Instant, TaskId)>,
    /// By the time that they have computed.
    ready: BTreeSet<(Duration, TaskId)>,
    next: TaskId,
    /// What the task that ran last had computed: no new one starts with less.
    least: Duration,
    closing: bool,
}

struct Entry {
    /// `None` while it runs.
    task: Option<Box<dyn Task>>,
    waits: Waits,
    spent: Duration,
}

/// What a task waits for.
enum Waits {
    /// [`Pool::wake`].
    Idle,
    /// This moment.
    Timer(Instant),
    /// A thread.
    Ready,
    /// Nothing: it runs. It shall run once more if it was woken meanwhile.
    Running { again: bool },
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// Returns an error if the operating system has none left.
    pub fn new(threads: usize) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let start = |number: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("games-{number}"))
                .spawn(move || shared.work())
                .map_err(|e| Error::Start(e.to_string()))
        };
        let threads = (0..threads.max(1)).map(start).collect::<Result<_>>()?;
        Ok(Self {
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// Adds a task, which gets a turn at once.
    pub fn add(&self, task: Box<dyn Task>) -> TaskId {
        let mut table = self.shared.lock();
        let id = table.next;
        table.next += 1;
        let entry = Entry {
            task: Some(task),
            waits: Waits::Idle,
            spent: Duration::ZERO,
        };
        table.tasks.insert(id, entry);
        table.wake(id);
        drop(table);
        self.shared.changed.notify_one();
        id
    }

    /// Gives a task a turn as soon as a thread is free.
    pub fn wake(&self, id: TaskId) {
        if self.shared.lock().wake(id) {
            self.shared.changed.notify_one();
        }
    }

    /// Waits until all tasks have ended, which someone must have told them.
    pub fn finish(&self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The threads catch the panics of tasks.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut table = self.lock();
        loop {
            table.expire(Instant::now());
            if let Some((id, mut task)) = table.take() {
                if !table.ready.is_empty() {
                    self.changed.notify_one();
                }
                drop(table);
                let started = Instant::now();
                let turn = catch_unwind(AssertUnwindSafe(|| task.turn()));
                let spent = started.elapsed();
                if let Ok(turn @ (Turn::Again | Turn::Idle | Turn::Due(_))) = turn {
                    table = self.lock();
                    table.put_back(id, task, turn, spent);
                    continue;
                }
                if catch_unwind(AssertUnwindSafe(|| task.end())).is_err() {
                    tracing::error!("a game panicked at its end");
                }
                table = self.lock();
                table.tasks.remove(&id);
                self.changed.notify_all();
                continue;
            }
            if table.closing && table.tasks.is_empty() {
                return;
            }
            table = match table.timers.first() {
                Some((due, _)) => {
                    let wait = due.saturating_duration_since(Instant::now());
                    let woken = self.changed.wait_timeout(table, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let woken = self.changed.wait(table);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

impl Table {
    /// Whether a thread is needed.
    fn wake(&mut self, id: TaskId) -> bool {
        let Some(entry) = self.tasks.get_mut(&id) else {
            return false;
        };
        match entry.waits {
            Waits::Ready => return false,
            Waits::Running { .. } => {
                entry.waits = Waits::Running { again: true };
                return false;
            }
            Waits::Timer(due) => {
                self.timers.remove(&(due, id));
            }
            Waits::Idle => {}
        }
        entry.waits = Waits::Ready;
        // Who has slept gets no credit for it.
        entry.spent = entry.spent.max(self.least);
        self.ready.insert((entry.spent, id));
        true
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.timers.first() {
            if due > now {
                break;
            }
            self.wake(id);
        }
    }

    fn take(&mut self) -> Option<(TaskId, Box<dyn Task>)> {
        let (spent, id) = self.ready.pop_first()?;
        self.least = self.least.max(spent);
        let entry = self.tasks.get_mut(&id)?;
        entry.waits = Waits::Running { again: false };
        Some((id, entry.task.take()?))
    }

    fn put_back(&mut self, id: TaskId, task: Box<dyn Task>, turn: Turn, spent: Duration) {
        let Some(entry) = self.tasks.get_mut(&id) else {
            return;
        };
        entry.task = Some(task);
        entry.spent += spent;
        let again = matches!(entry.waits, Waits::Running { again: true }) || turn == Turn::Again;
        entry.waits = Waits::Idle;
        match turn {
            _ if again => {
                self.wake(id);
            }
            Turn::Due(due) => {
                entry.waits = Waits::Timer(due);
                self.timers.insert((due, id));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Runs a function as each turn, and says when it ends.
    struct Fake<F> {
        turn: F,
        ended: Sender<()>,
    }

    impl<F: FnMut() -> Turn + Send> Task for Fake<F> {
        fn turn(&mut self) -> Turn {
            (self.turn)()
        }

        fn end(self: Box<Self>) {
            self.ended.send(()).unwrap();
        }
    }

    fn add(pool: &Pool, turn: impl FnMut() -> Turn + Send + 'static) -> (TaskId, Receiver<()>) {
        let (ended, end) = channel();
        (pool.add(Box::new(Fake { turn, ended })), end)
    }

    #[test]
    fn waking_gives_turns_until_the_end() {
        let pool = Pool::new(2).unwrap();
        let (done, turns) = channel();
        let mut count = 0;
        let (id, end) = add(&pool, move || {
            count += 1;
            done.send(count).unwrap();
            if count == 3 { Turn::Ended } else { Turn::Idle }
        });
        assert_eq!(turns.recv().unwrap(), 1);
        for expected in 2..=3 {
            pool.wake(id);
            assert_eq!(turns.recv().unwrap(), expected);
        }
        end.recv().unwrap();
        pool.wake(id);
        pool.finish();
    }

    #[test]
    fn timers_expire_in_order() {
        let pool = Pool::new(1).unwrap();
        let (done, turns) = channel();
        let start = Instant::now();
        for (name, after) in [("late", 40), ("early", 20)] {
            let due = start + Duration::from_millis(after);
            let done = done.clone();
            add(&pool, move || {
                if Instant::now() < due {
                    return Turn::Due(due);
                }
                let _ = done.send(name);
                Turn::Ended
            });
        }
        assert_eq!(
            [turns.recv().unwrap(), turns.recv().unwrap()],
            ["early", "late"]
        );
        pool.finish();
    }

    #[test]
    fn panic_ends_one_task_only() {
        let pool = Pool::new(1).unwrap();
        let (_, end) = add(&pool, || panic!("index out of range"));
        end.recv().unwrap();
        let (_, end) = add(&pool, || Turn::Ended);
        end.recv().unwrap();
        pool.finish();
    }

    #[test]
    fn costly_task_gets_the_smaller_share_of_turns() {
        let mut table = Table::default();
        for id in 0..2 {
            let (ended, _) = channel();
            let turn = || Turn::Again;
            let entry = Entry {
                task: Some(Box::new(Fake { turn, ended })),
                waits: Waits::Idle,
                spent: Duration::ZERO,
            };
            table.tasks.insert(id, entry);
            table.wake(id);
        }
        let mut turns = [0; 2];
        for _ in 0..90 {
            let (id, task) = table.take().unwrap();
            turns[id as usize] += 1;
            let cost = [1, 8][id as usize];
            table.put_back(id, task, Turn::Again, Duration::from_millis(cost));
        }
        assert_eq!(turns, [80, 10]);
    }
}
