//! Runs a target on one numbered input after another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::memory;

/// The longest that an input may take, and the most memory.
const MAX_TIME: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 1 << 30;
/// How often a slow input is read again: the machine may have done something else.
const RETRIES: usize = 2;
/// How often is looked whether an input hangs.
const TICK: Duration = Duration::from_millis(200);

/// Whether a reader accepts an input: its answer, or its error.
pub type Verdict = Result<(), String>;

/// One target at a time: memory is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Writes numbered inputs with `write` into a folder and has them read with `read`. `inputs` is how many the test
/// suite runs.
///
/// # Panics
/// Panics if an input makes the reader panic, takes longer than 5 s or more than 1 GiB, or gives an error of
/// several lines.
pub fn fuzz(
    name: &'static str,
    inputs: u64,
    write: impl Fn(&Path, &mut ChaCha8Rng),
    read: impl Fn(&Path) -> Verdict,
) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = variable("DRIFTLESS_FUZZ_SEED").unwrap_or(1);
    let only = variable("DRIFTLESS_FUZZ_ONLY");
    let numbers = match only {
        Some(number) => number..number + 1,
        None => {
            let first = variable("DRIFTLESS_FUZZ_FROM").unwrap_or(0);
            first..variable("DRIFTLESS_FUZZ").unwrap_or(inputs)
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let watch = Watch::start(name, folder.path());
    let (mut accepted, mut peak, mut slowest) = (0_u64, 0, Duration::ZERO);
    let (mut count, started) = (0_u64, Instant::now());
    let longest = variable("DRIFTLESS_FUZZ_SECONDS").map(Duration::from_secs);
    for number in numbers {
        if longest.is_some_and(|longest| started.elapsed() >= longest) {
            break;
        }
        count += 1;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let place = folder.path().join("input");
        std::fs::create_dir_all(&place).unwrap();
        write(&place, &mut rng);
        watch.begin(number);
        let measured = || {
            let (before, since) = (memory::start(), Instant::now());
            let verdict = catch_unwind(AssertUnwindSafe(|| read(&place)));
            (verdict, memory::peak(before), since.elapsed())
        };
        let (verdict, bytes, mut time) = measured();
        for _ in 0..RETRIES {
            if time >= MAX_TIME {
                watch.begin(number);
                time = time.min(measured().2);
            }
        }
        watch.end();
        if only.is_some() {
            println!("{verdict:?}\n{} in {time:?}", kept(&place).display());
        }
        match verdict {
            Ok(Ok(())) => accepted += 1,
            Ok(Err(error)) => assert_eq!(error.lines().count(), 1, "{name} {number}: {error}"),
            Err(_) => panic!("{name}: input {number} of seed {seed} panics"),
        }
        assert!(time < MAX_TIME, "{name}: input {number} takes {time:?}");
        assert!(
            bytes < MAX_BYTES,
            "{name}: input {number} takes {bytes} bytes"
        );
        (peak, slowest) = (peak.max(bytes), slowest.max(time));
    }
    println!(
        "| {name} | {count} | {accepted} | {:.0} | {:.1} | {:.0} |",
        slowest.as_secs_f64() * 1e3,
        peak as f64 / 1e6,
        started.elapsed().as_secs_f64()
    );
}

/// Copies the files of an input to where they stay.
fn kept(place: &Path) -> PathBuf {
    let to = std::env::temp_dir().join(format!("driftless-fuzz-{}", std::process::id()));
    let copied = std::process::Command::new("cp")
        .args(["-r".as_ref(), place.as_os_str(), to.as_os_str()])
        .status();
    assert!(copied.unwrap().success());
    to
}

/// Ends the process if an input never ends.
struct Watch {
    /// The input's number + 1 while it is read, else 0.
    current: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Watch {
    fn start(name: &'static str, folder: &Path) -> Self {
        let (current, done) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (number, finished) = (Arc::clone(&current), Arc::clone(&done));
        let folder = folder.to_path_buf();
        std::thread::spawn(move || {
            // Ticks and not the clock: a stopped process does not hang.
            let (mut last, mut ticks) = (0, 0);
            while !finished.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                let now = number.load(Ordering::Relaxed);
                if now != last || now == 0 {
                    (last, ticks) = (now, 0);
                    continue;
                }
                ticks += 1;
                if TICK * ticks > 4 * MAX_TIME {
                    let kept = folder.display();
                    eprintln!("{name}: input {} hangs; its files are in {kept}", now - 1);
                    std::process::abort();
                }
            }
        });
        Self { current, done }
    }

    fn begin(&self, number: u64) {
        self.current.store(number + 1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.current.store(0, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}
