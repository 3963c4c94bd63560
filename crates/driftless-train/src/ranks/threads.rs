//! Ranks that are threads of one process: to see without MPI what several do together.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::{Alone, Communicator, PendingSum, Ranks};
use crate::{Error, Result};

/// Where the threads meet.
struct Room {
    meeting: Mutex<Meeting>,
    changed: Condvar,
}

struct Meeting {
    /// What each rank has brought to the next exchange.
    brought: Vec<Option<Vec<u8>>>,
    /// The last exchange, until every rank has taken it.
    exchanged: Option<Vec<Vec<u8>>>,
    taken: usize,
}

struct Member {
    room: Arc<Room>,
    rank: usize,
    size: usize,
}

/// So many ranks, one for each of as many threads.
pub fn ranks(size: usize) -> Vec<Ranks> {
    let room = Arc::new(Room {
        meeting: Mutex::new(Meeting {
            brought: vec![None; size],
            exchanged: None,
            taken: 0,
        }),
        changed: Condvar::new(),
    });
    let member = |rank| {
        let room = Arc::clone(&room);
        Ranks::new(Arc::new(Member { room, rank, size }))
    };
    (0..size).map(member).collect()
}

fn lost<T>(_: T) -> Error {
    Error::Ranks("another rank has panicked".into())
}

impl Room {
    fn wait<'a>(&self, meeting: MutexGuard<'a, Meeting>) -> Result<MutexGuard<'a, Meeting>> {
        self.changed.wait(meeting).map_err(lost)
    }
}

impl Communicator for Member {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn start_sum(&self, values: Vec<f32>) -> Box<dyn PendingSum> {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let add = |all: Vec<Vec<u8>>| {
            let mut sum = vec![0.0; values.len()];
            for bytes in all {
                let (parts, _) = bytes.as_chunks::<4>();
                for (sum, part) in sum.iter_mut().zip(parts) {
                    *sum += f32::from_le_bytes(*part);
                }
            }
            sum
        };
        Box::new(Alone(self.gather(bytes).map(add)))
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let room = &self.room;
        let mut meeting = room.meeting.lock().map_err(lost)?;
        while meeting.exchanged.is_some() {
            meeting = room.wait(meeting)?;
        }
        meeting.brought[self.rank] = Some(own);
        if meeting.brought.iter().all(Option::is_some) {
            let all = meeting.brought.iter_mut().filter_map(Option::take);
            meeting.exchanged = Some(all.collect());
            room.changed.notify_all();
        }
        loop {
            if let Some(all) = meeting.exchanged.clone() {
                meeting.taken += 1;
                if meeting.taken == self.size {
                    (meeting.taken, meeting.exchanged) = (0, None);
                    room.changed.notify_all();
                }
                return Ok(all);
            }
            meeting = room.wait(meeting)?;
        }
    }

    /// The others are threads of this process.
    fn abort(&self) {
        std::process::abort();
    }
}
