//! Ranks that MPI has started: `mpirun -n 4 driftless train …`.
//!
//! One thread speaks with MPI, in the order in which it was asked; the others go on computing while sums are on
//! their way.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

use super::{Communicator, PendingSum, Ranks};
use crate::{Error, Result};

/// What the thread is asked to do, and where the answer goes.
enum Request {
    Sum(Vec<f32>, Sender<Vec<f32>>),
    Gather(Vec<u8>, Sender<Result<Vec<Vec<u8>>>>),
    Abort,
}

struct Courier {
    rank: usize,
    size: usize,
    /// `None` once it is dropped.
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

/// Joins the processes that `mpirun` has started; one that was started alone has one rank. Ends with
/// `MPI_Finalize`, which waits for the others, when the last copy is dropped.
///
/// # Errors
/// Returns an error if MPI cannot be initialized.
pub fn start() -> Result<Ranks> {
    let (requests, inbox) = channel();
    let (ready, started) = channel();
    let thread = std::thread::Builder::new()
        .name("mpi".into())
        .spawn(move || {
            let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else {
                return;
            };
            let world = universe.world();
            let (rank, size) = (world.rank().max(0), world.size().max(1));
            if ready.send((rank as usize, size as usize)).is_ok() {
                serve(&world, &inbox);
            }
        })
        .map_err(|e| Error::Thread(format!("the thread of MPI cannot be started: {e}")))?;
    let (rank, size) = started
        .recv()
        .map_err(|_| Error::Ranks("MPI cannot be initialized".into()))?;
    Ok(Ranks::new(Arc::new(Courier {
        rank,
        size,
        requests: Some(requests),
        thread: Some(thread),
    })))
}

/// Answers requests until nobody is left to ask. Whoever does not wait for an answer has given up.
fn serve(world: &SimpleCommunicator, inbox: &Receiver<Request>) {
    for request in inbox {
        match request {
            Request::Sum(own, answer) => {
                let mut sum = vec![0.0; own.len()];
                world.all_reduce_into(&own[..], &mut sum[..], SystemOperation::sum());
                let _ = answer.send(sum);
            }
            Request::Gather(own, answer) => {
                let _ = answer.send(gather(world, &own));
            }
            Request::Abort => world.abort(1),
        }
    }
}

fn gather(world: &SimpleCommunicator, own: &[u8]) -> Result<Vec<Vec<u8>>> {
    let too_many = |_| Error::Ranks("a rank sends more than 2 GiB".into());
    // Never empty: the address of an empty vector may be what MPI takes for `MPI_IN_PLACE`.
    let own = [&[0], own].concat();
    let len = i32::try_from(own.len()).map_err(too_many)?;
    let mut lens = vec![0_i32; world.size().max(1) as usize];
    world.all_gather_into(&len, &mut lens[..]);
    let mut starts = Vec::with_capacity(lens.len());
    let mut total = 0_usize;
    for len in &lens {
        starts.push(i32::try_from(total).map_err(too_many)?);
        total += (*len).max(0) as usize;
    }
    let mut all = vec![0_u8; total];
    let mut parts = PartitionMut::new(&mut all[..], &lens[..], starts);
    world.all_gather_varcount_into(&own[..], &mut parts);
    let mut rest = &all[..];
    Ok(lens
        .iter()
        .map(|len| {
            let (part, others) = rest.split_at((*len).max(0) as usize);
            rest = others;
            part.get(1..).unwrap_or_default().to_vec()
        })
        .collect())
}

/// The courier is gone, which only happens if its thread has panicked.
fn lost<T>(_: T) -> Error {
    Error::Ranks("the connection to the other ranks is lost".into())
}

impl Courier {
    fn ask(&self, request: Request) {
        // Without an answer, whoever asked learns that it is lost.
        if let Some(requests) = &self.requests {
            let _ = requests.send(request);
        }
    }
}

impl Communicator for Courier {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn start_sum(&self, values: Vec<f32>) -> Box<dyn PendingSum> {
        let (answer, answers) = channel();
        self.ask(Request::Sum(values, answer));
        Box::new(Answer(answers))
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let (answer, answers) = channel();
        self.ask(Request::Gather(own, answer));
        answers.recv().map_err(lost)?
    }

    fn abort(&self) {
        self.ask(Request::Abort);
        // The process ends before an answer comes.
        loop {
            std::thread::park();
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _ = thread.join();
        }
    }
}

struct Answer(Receiver<Vec<f32>>);

impl PendingSum for Answer {
    fn wait(self: Box<Self>) -> Result<Vec<f32>> {
        self.0.recv().map_err(lost)
    }
}
