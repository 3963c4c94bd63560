//! The workers with small tasks: every task runs once, and whoever sleeps wakes up.

use super::*;

#[test]
fn every_task_runs_once() {
    for threads in [1, 2, 3, 5] {
        let workers = Workers::new(threads).unwrap();
        assert_eq!(workers.threads(), threads);
        for count in [0, 1, 2, 7, 100] {
            let runs: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            workers.run(count, |index| {
                runs[index].fetch_add(1, Ordering::Relaxed);
            });
            let once = |runs: &AtomicUsize| runs.load(Ordering::Relaxed) == 1;
            assert!(runs.iter().all(once), "{threads} threads, {count} tasks");
        }
    }
}

#[test]
fn many_operations_see_each_other() {
    let workers = Workers::new(3).unwrap();
    let mut values = vec![0u64; 10];
    for round in 0..5_000u64 {
        workers.for_rows(&mut values, 1, 1, |first, block| {
            for (i, value) in block.iter_mut().enumerate() {
                assert_eq!(*value, round * (first + i) as u64);
                *value += (first + i) as u64;
            }
        });
    }
}

#[test]
fn sleeping_workers_wake_up() {
    let workers = Workers::new(2).unwrap();
    let shared = &*workers.team.as_ref().unwrap().shared;
    for _ in 0..20 {
        while !shared.worker_sleeps[0].0.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        // Each task waits for the other, so both threads must run one.
        let started = AtomicUsize::new(0);
        workers.run(2, |_| {
            started.fetch_add(1, Ordering::SeqCst);
            while started.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
        });
    }
}

#[test]
fn sleeping_caller_wakes_up() {
    let workers = Workers::new(2).unwrap();
    let shared = &*workers.team.as_ref().unwrap().shared;
    let caller = thread::current().id();
    let started = AtomicUsize::new(0);
    workers.run(2, |_| {
        started.fetch_add(1, Ordering::SeqCst);
        while started.load(Ordering::SeqCst) < 2 {
            thread::yield_now();
        }
        let sleeps = || shared.caller_sleeps.load(Ordering::SeqCst);
        while thread::current().id() != caller && !sleeps() {
            thread::yield_now();
        }
    });
}

#[test]
fn rows_are_cut_without_gaps() {
    for threads in [1, 2, 3] {
        let workers = Workers::new(threads).unwrap();
        for (rows, width, least) in [(0, 3, 1), (1, 4, 1), (7, 3, 6), (50, 1, 1), (9, 5, 0)] {
            let mut y = vec![usize::MAX; rows * width];
            workers.for_rows(&mut y, width, least, |first, block| {
                for (i, y) in block.iter_mut().enumerate() {
                    *y = first * width + i;
                }
            });
            assert!(y.iter().enumerate().all(|(i, y)| *y == i), "{rows} rows");
        }
    }
}

#[test]
fn scratch_belongs_to_one_thread() {
    let workers = Workers::new(3).unwrap();
    let mut scratch = [0usize; 3];
    workers.run_with(&mut scratch, 1000, |sum, _| *sum += 1);
    assert_eq!(scratch.iter().sum::<usize>(), 1000);
}

#[test]
fn panic_reaches_the_caller() {
    let workers = Workers::new(2).unwrap();
    let run = |bad: usize| {
        catch_unwind(AssertUnwindSafe(|| {
            workers.run(8, |index| assert_ne!(index, bad, "task {bad}"));
        }))
    };
    assert!(run(5).is_err());
    assert!(run(8).is_ok(), "the workers go on");
}
