//! The thread that runs the network: the newest wish counts, older ones are dropped.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use crossbeam_channel::{Receiver, Sender, unbounded};

use driftless_data::PathError as _;
use driftless_flow::solver::Method;
use driftless_transport::controls::CONTROLS;
use driftless_transport::{Condition, Controls, TransportConfig, TransportParams, Transporter};

use super::specimens::Specimens;
use super::starts::Starts;
use super::wish::{Wish, dose_series};
use crate::workspace::Notify;
use crate::workspace::background_task::next_answer;
use crate::{Error, Result};

/// If a picture takes longer, a quick one comes first.
const QUICK: Duration = Duration::from_millis(60);
/// Time that the quick one may take.
const DRAFT: Duration = Duration::from_millis(45);
/// States of a film.
const FILM_PIECES: usize = 24;
/// Doses of a series.
const SERIES: usize = 8;

/// A network and the cells to try it on.
pub(super) struct Bench {
    transporter: Transporter,
    pub specimens: Specimens,
}

/// The way of a cell.
#[derive(Clone, Debug)]
pub(super) struct Morph {
    pub wish: Wish,
    /// The cell at the start, u8 [H, W, C].
    pub control: Vec<u8>,
    /// States at equal distances from τ = 0 to 1, each u8 [H, W, C]; on the way back also in that order.
    pub states: Vec<Vec<u8>>,
    /// The same cell under the drug, if the simulator knows.
    pub truth: Option<Vec<u8>>,
    /// Whether a better one follows.
    pub draft: bool,
    /// Time from the wish to the picture.
    pub took: Duration,
}

/// One cell under rising doses.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub wish: Wish,
    pub doses: Vec<f32>,
    pub control: Vec<u8>,
    /// One picture a dose, u8 [H, W, C].
    pub made: Vec<Vec<u8>>,
    /// As made, by the simulator; empty if it does not know.
    pub truth: Vec<Vec<u8>>,
}

/// Pictures for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// The way of a cell, with more states.
    Film,
    /// A series of doses.
    Series,
}

/// What the thread sends back.
pub(super) enum Answer {
    /// The network is loaded.
    Ready(Arc<Bench>),
    Morph(Morph),
    Film(Morph),
    Series(Series),
    Failed(String),
    /// The thread has ended; nothing follows.
    Ended,
}

enum Job {
    Morph(Wish, Instant),
    Record(Wish, Recorded),
}

/// The thread; it ends when this is dropped.
pub(super) struct Worker {
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
}

impl Worker {
    /// Starts the thread, which first loads the network.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn start(
        notify: Notify,
        load: impl FnOnce() -> Result<Bench> + Send + 'static,
    ) -> Result<Self> {
        let (jobs, received) = unbounded();
        let (sender, answers) = unbounded();
        let send = move |answer| {
            let heard = sender.send(answer).is_ok();
            notify();
            heard
        };
        let work = move || match load() {
            Ok(bench) => serve(&Arc::new(bench), &received, &send),
            Err(error) => {
                send(Answer::Failed(error.to_string()));
            }
        };
        std::thread::Builder::new()
            .name("cells".into())
            .spawn(work)
            .map_err(|e| Error::no_thread(&e))?;
        Ok(Self { jobs, answers })
    }

    /// Asks for the way of a cell.
    pub fn ask(&self, wish: Wish) {
        // A thread that has ended has said why.
        let _ = self.jobs.send(Job::Morph(wish, Instant::now()));
    }

    /// Asks for pictures for a file.
    pub fn record(&self, wish: Wish, what: Recorded) {
        let _ = self.jobs.send(Job::Record(wish, what));
    }

    /// The next answer, if one has arrived.
    pub fn take(&self) -> Option<Answer> {
        next_answer(&self.answers, Answer::Ended)
    }
}

/// Answers until nobody asks any more.
fn serve(bench: &Arc<Bench>, jobs: &Receiver<Job>, send: &dyn Fn(Answer) -> bool) {
    let mut heard = send(Answer::Ready(Arc::clone(bench)));
    let mut newest = None;
    let mut records = VecDeque::new();
    let mut pace = Pace::default();
    let mut starts = Starts::default();
    while heard {
        let idle = newest.is_none() && records.is_empty();
        let waited = if idle { jobs.recv().ok() } else { None };
        if idle && waited.is_none() {
            return;
        }
        for job in waited.into_iter().chain(jobs.try_iter()) {
            match job {
                Job::Morph(wish, since) => newest = Some((wish, since)),
                Job::Record(wish, what) => records.push_back((wish, what)),
            }
        }
        if let Some((wish, since)) = newest {
            let is_wanted = || jobs.is_empty();
            let mut show = |morph| send(Answer::Morph(morph));
            match bench.show(
                &wish,
                since,
                (&mut pace, &mut starts),
                &is_wanted,
                &mut show,
            ) {
                Ok(true) => newest = None,
                // Another job has arrived.
                Ok(false) => {}
                Err(error) => {
                    newest = None;
                    heard = send(Answer::Failed(error.to_string()));
                }
            }
        } else if let Some((wish, what)) = records.pop_front() {
            let recorded = match what {
                Recorded::Film => bench.film(&wish, &mut starts).map(Answer::Film),
                Recorded::Series => bench.series(&wish).map(Answer::Series),
            };
            heard = send(recorded.unwrap_or_else(|error| Answer::Failed(error.to_string())));
        }
    }
}

/// How long an evaluation of the network takes here.
#[derive(Default)]
struct Pace(Option<Duration>);

impl Pace {
    fn note(&mut self, took: Duration, evaluations: usize) {
        let each = took / u32::try_from(evaluations.max(1)).unwrap_or(1);
        // The latest counts most: other programs come and go.
        self.0 = Some(self.0.map_or(each, |before| (before + each) / 2));
    }

    /// A quicker wish, if this one takes too long.
    fn draft(&self, wish: &Wish, starts: &Starts) -> Option<Wish> {
        let each = self.0?;
        let evaluations = |wish: &Wish| wish.evaluations(starts.get(wish).is_some());
        let of = |wish: &Wish| each * u32::try_from(evaluations(wish)).unwrap_or(u32::MAX);
        if of(wish) <= QUICK {
            return None;
        }
        let quick = |steps| Wish {
            params: TransportParams {
                method: Method::Euler,
                steps,
                ..wish.params
            },
            ..*wish
        };
        let steps = (1..=8).rev().find(|steps| of(&quick(*steps)) <= DRAFT);
        let draft = quick(steps.unwrap_or(1));
        (of(&draft) < of(wish) / 2).then_some(draft)
    }
}

impl Bench {
    /// A network and the cells for it.
    pub fn new(transporter: Transporter, controls: Controls) -> Self {
        Self {
            specimens: Specimens::new(transporter.config(), controls),
            transporter,
        }
    }

    /// Reads a checkpoint folder.
    ///
    /// # Errors
    /// Returns an error if a file is missing or broken, or if there is no cell to start from.
    pub fn read(folder: &Path) -> Result<Self> {
        let transporter = Transporter::read(folder)?;
        let controls = Controls::read(folder, transporter.config())?;
        let bench = Self::new(transporter, controls);
        if bench.specimens.plates.is_empty() {
            let what = format!("has no {CONTROLS}, expected untreated cells to start from");
            return Err(Error::invalid(folder, what));
        }
        Ok(bench)
    }

    pub fn config(&self) -> &TransportConfig {
        self.transporter.config()
    }

    /// Makes a wish true, first quickly if it takes long. Returns `false` if it was given up, which is when it
    /// is no longer wanted.
    fn show(
        &self,
        wish: &Wish,
        since: Instant,
        (pace, starts): (&mut Pace, &mut Starts),
        is_wanted: &dyn Fn() -> bool,
        show: &mut dyn FnMut(Morph) -> bool,
    ) -> Result<bool> {
        let draft = pace.draft(wish, starts);
        let drafts = draft.iter().map(|draft| (draft, true));
        for (asked, draft) in drafts.chain([(wish, false)]) {
            let started = Instant::now();
            let pieces = asked.pieces();
            // A draft is quick enough to be always finished.
            let wanted = || draft || is_wanted();
            let evaluations = asked.evaluations(starts.get(asked).is_some());
            let Some(states) = self.states(asked, pieces, starts, &wanted)? else {
                return Ok(false);
            };
            pace.note(started.elapsed(), evaluations);
            let mut morph = self.morph(wish, states)?;
            (morph.draft, morph.took) = (draft, since.elapsed());
            if !show(morph) {
                return Ok(true);
            }
        }
        Ok(true)
    }

    fn morph(&self, wish: &Wish, states: Vec<Vec<u8>>) -> Result<Morph> {
        let truth = self
            .specimens
            .truth(wish.plate, wish.cell, wish.compound, wish.dose);
        Ok(Morph {
            wish: *wish,
            control: self.control(wish)?,
            states,
            truth,
            draft: false,
            took: Duration::ZERO,
        })
    }

    /// The way of a cell in more pieces.
    fn film(&self, wish: &Wish, starts: &mut Starts) -> Result<Morph> {
        let states = self.states(wish, FILM_PIECES, starts, &|| true)?;
        let states = states.unwrap_or_default();
        self.morph(wish, states)
    }

    /// The cell under rising doses.
    fn series(&self, wish: &Wish) -> Result<Series> {
        let doses = dose_series(self.config(), SERIES);
        let control = self.control(wish)?;
        let specimens = &self.specimens;
        let condition = wish.condition(&specimens.plates);
        let conditions: Vec<_> = doses
            .iter()
            .map(|d| Condition {
                dose: *d,
                ..condition
            })
            .collect();
        let controls = control.repeat(doses.len());
        let made = self
            .transporter
            .transport(&controls, &conditions, &wish.params, wish.seed)?;
        let truth = |dose: &f32| specimens.truth(wish.plate, wish.cell, wish.compound, *dose);
        Ok(Series {
            wish: *wish,
            truth: doses.iter().filter_map(truth).collect(),
            made: made
                .chunks_exact(control.len())
                .map(<[u8]>::to_vec)
                .collect(),
            control,
            doses,
        })
    }

    fn control(&self, wish: &Wish) -> Result<Vec<u8>> {
        let plate = wish.source_plate();
        let control = self.specimens.control(plate, wish.cell);
        control.ok_or_else(|| Error::Argument(format!("plate {plate} has no untreated cell")))
    }

    /// The states from τ = 0 to 1, `pieces` + 1 of them; `None` if they are no longer wanted.
    fn states(
        &self,
        wish: &Wish,
        pieces: usize,
        starts: &mut Starts,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let conditions = [wish.condition(&self.specimens.plates)];
        let control = self.control(wish)?;
        let cells = &self.transporter;
        let start = match starts.get(wish) {
            Some(start) => start,
            None => cells.start(&control, &conditions, &wish.params, wish.seed)?,
        };
        starts.keep(wish, &start);
        let there = |k: usize| [k, k + 1];
        let back = |k: usize| [pieces - k, pieces - k - 1];
        let Some(mut states) = self.follow(start, wish, pieces, &there, is_wanted)? else {
            return Ok(None);
        };
        if wish.reverse
            && let Some(treated) = states.pop()
        {
            // What is carried back is the picture, not the network's numbers.
            let treated = cells.tensor(&cells.pictures(&treated)?)?;
            let Some(returned) = self.follow(treated, wish, pieces, &back, is_wanted)? else {
                return Ok(None);
            };
            states = returned.into_iter().rev().collect();
        }
        let pictures = states.iter().map(|state| Ok(cells.pictures(state)?));
        pictures.collect::<Result<_>>().map(Some)
    }

    /// The states on the way along the pieces that `ends` names; `None` if they are no longer wanted.
    fn follow(
        &self,
        start: Tensor,
        wish: &Wish,
        pieces: usize,
        ends: &dyn Fn(usize) -> [usize; 2],
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<Tensor>>> {
        let conditions = [wish.condition(&self.specimens.plates)];
        let steps = wish.params.steps.div_ceil(pieces).max(1);
        let params = TransportParams {
            steps,
            ..wish.params
        };
        let mut states = vec![start];
        for k in 0..pieces {
            if !is_wanted() {
                return Ok(None);
            }
            let levels = ends(k).map(|end| end as f64 / pieces as f64);
            let last = &states[states.len() - 1];
            let next = self.transporter.carry(last, &conditions, &params, levels)?;
            states.push(next);
        }
        Ok(Some(states))
    }
}
