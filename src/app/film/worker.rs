//! The thread that makes clips. One job at a time; a new one cancels the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use driftless_clip::{ClipConfig, ClipMaker, ClipOrigin, ClipParams, ClipRequest, MadeClip};
use driftless_engine::{GpuSource, Sampler, candle_device, rollout};
use driftless_model::config::WorldConfig;

use crate::workspace::Notify;
use crate::workspace::background_task::next_answer;
use crate::workspace::playable_world::CheckpointOrigin;
use crate::{Error, Result};

/// Shortest time between two previews.
const PREVIEW_INTERVAL: Duration = Duration::from_millis(120);

/// The network, as far as the page needs it.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub world: WorldConfig,
    pub config: ClipConfig,
}

/// Clips of one prompt with seeds in a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub request: ClipRequest,
    /// With the first seed.
    pub params: ClipParams,
    /// How many clips.
    pub variants: usize,
    /// Whether the world draws the frames after the first.
    pub world_draws: bool,
}

/// What the thread sends back. Answers of a job begin with its number.
pub(super) enum Answer {
    /// The network is loaded.
    Ready(Box<About>),
    /// How far a clip is: its number, steps done, and from time to time x̂ as frames.
    Step(u64, usize, usize, Option<Vec<u8>>),
    /// A clip is finished, with its number, how it came about, and the time that it took.
    Clip(u64, usize, MadeClip, ClipOrigin, Duration),
    /// All clips of the job are finished, or it was cancelled.
    Done(u64),
    Failed(String),
    /// The thread has ended; nothing follows.
    Ended,
}

/// The thread; it ends when this is dropped.
pub(super) struct Worker {
    jobs: Sender<(u64, Job)>,
    answers: Receiver<Answer>,
    /// The number of the job that is wanted.
    wanted: Arc<AtomicU64>,
}

impl Worker {
    /// Starts the thread, which first loads the clip network of a world.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn start(origin: &CheckpointOrigin, notify: Notify) -> Result<Self> {
        let (jobs, received) = unbounded();
        let (sender, answers) = unbounded();
        let wanted = Arc::new(AtomicU64::new(0));
        let thread = Thread {
            jobs: received,
            answers: sender,
            wanted: Arc::clone(&wanted),
            notify,
            origin: origin.clone(),
            engine: None,
        };
        let (folder, device) = (origin.folder.clone(), origin.device.device);
        let load = move || {
            // wgpu plays worlds only; candle has the CPU and CUDA.
            let device = candle_device(device).unwrap_or(candle_core::Device::Cpu);
            Ok(ClipMaker::read(&folder, &device)?)
        };
        std::thread::Builder::new()
            .name("film".into())
            .spawn(move || thread.run(load))
            .map_err(|e| Error::no_thread(&e))?;
        Ok(Self {
            jobs,
            answers,
            wanted,
        })
    }

    /// Makes clips; returns the number of the job.
    pub fn make(&self, job: Job) -> u64 {
        let number = self.cancel();
        // A thread that has ended has said why.
        let _ = self.jobs.send((number, job));
        number
    }

    /// Cancels the job that runs; returns a number that no job has.
    pub fn cancel(&self) -> u64 {
        self.wanted.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The next answer, if one has arrived.
    pub fn take(&self) -> Option<Answer> {
        next_answer(&self.answers, Answer::Ended)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// What the thread holds.
struct Thread {
    jobs: Receiver<(u64, Job)>,
    answers: Sender<Answer>,
    wanted: Arc<AtomicU64>,
    notify: Notify,
    origin: CheckpointOrigin,
    /// The world, once it has drawn a clip.
    engine: Option<Sampler>,
}

impl Thread {
    fn run(mut self, load: impl FnOnce() -> Result<ClipMaker>) {
        let maker = match load() {
            Ok(maker) => maker,
            Err(error) => {
                self.send(Answer::Failed(error.to_string()));
                return;
            }
        };
        self.send(Answer::Ready(Box::new(About {
            world: maker.world().clone(),
            config: maker.config().clone(),
        })));
        while let Ok((number, job)) = self.jobs.recv() {
            match self.make(&maker, number, &job) {
                Ok(()) | Err(Error::Data(driftless_data::Error::Interrupted)) => {}
                Err(error) => self.send(Answer::Failed(error.to_string())),
            }
            self.send(Answer::Done(number));
        }
    }

    fn send(&self, answer: Answer) {
        // The page may be gone.
        let _ = self.answers.send(answer);
        (self.notify)();
    }

    fn make(&mut self, maker: &ClipMaker, number: u64, job: &Job) -> Result<()> {
        for i in 0..job.variants {
            let started = Instant::now();
            let mut shown: Option<Instant> = None;
            let params = ClipParams {
                seed: job.params.seed.wrapping_add(i as u64),
                ..job.params
            };
            let mut clip = maker.make(&job.request, &params, &mut |progress| {
                let due = shown.is_none_or(|at| at.elapsed() >= PREVIEW_INTERVAL);
                let preview = due.then(|| maker.decode(progress.clean).ok()).flatten();
                if preview.is_some() {
                    shown = Some(Instant::now());
                }
                self.send(Answer::Step(number, i, progress.step, preview));
                self.wanted.load(Ordering::Relaxed) == number
            })?;
            let mut origin = ClipOrigin::new(&job.request, &params);
            if job.world_draws {
                self.redraw(&mut clip, params.seed)?;
                origin.drawn_by_world = true;
            }
            self.send(Answer::Clip(number, i, clip, origin, started.elapsed()));
        }
        Ok(())
    }

    /// Lets the world draw the frames after the first.
    fn redraw(&mut self, clip: &mut MadeClip, seed: u64) -> Result<()> {
        let engine = match &mut self.engine {
            Some(engine) => engine,
            empty => {
                let CheckpointOrigin { folder, device } = &self.origin;
                let opened = driftless_engine::open(folder, *device, &GpuSource::Unavailable)?;
                empty.insert(opened)
            }
        };
        clip.images = rollout::redraw(engine, &clip.clip(), seed)?;
        Ok(())
    }
}
