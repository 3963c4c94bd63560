//! The processes that train together, on one machine or several.
//!
//! Every rank draws the whole batch, from the same random stream, and computes a share of it. Gradients and losses
//! are then added over all ranks, so all of them make the same update and keep the same parameters: a run on N
//! ranks is the run on one, up to the rounding of sums in another order. Only the first rank writes files.

#[cfg(feature = "mpi")]
pub mod mpi;
#[cfg(any(test, feature = "testing"))]
pub mod threads;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// What ranks send each other. Every rank makes the same calls in the same order.
pub trait Communicator: Send + Sync {
    /// Which rank this is, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Begins to add vectors of one length over all ranks; the same sum comes out on each.
    fn start_sum(&self, values: Vec<f32>) -> Box<dyn PendingSum>;

    /// The bytes of every rank, in the order of the ranks.
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// Ends this process and all others.
    fn abort(&self);
}

/// A sum over all ranks that has begun.
pub trait PendingSum: Send {
    /// Waits for it.
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    fn wait(self: Box<Self>) -> Result<Vec<f32>>;
}

/// The ranks of a training, or none but this process.
#[derive(Clone, Default)]
pub struct Ranks(Option<Arc<Connection>>);

struct Connection {
    ranks: Arc<dyn Communicator>,
    /// Nanoseconds that this rank has waited for others.
    waited: AtomicU64,
}

impl Connection {
    /// Counts the time of `work` as waiting.
    fn waiting<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        let nanoseconds = started.elapsed().as_nanos() as u64;
        self.waited.fetch_add(nanoseconds, Ordering::Relaxed);
        result
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.waiting(|| self.ranks.gather(own))
    }
}

/// A sum whose wait is counted.
struct Counted(Box<dyn PendingSum>, Arc<Connection>);

impl PendingSum for Counted {
    fn wait(self: Box<Self>) -> Result<Vec<f32>> {
        let Self(pending, connection) = *self;
        connection.waiting(|| pending.wait())
    }
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}

impl Ranks {
    /// The ranks that a communicator connects.
    pub fn new(communicator: Arc<dyn Communicator>) -> Self {
        if communicator.size() == 1 {
            return Self::default();
        }
        Self(Some(Arc::new(Connection {
            ranks: communicator,
            waited: AtomicU64::new(0),
        })))
    }

    /// Which rank this is, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |all| all.ranks.rank())
    }

    /// How many ranks there are, at least 1.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |all| all.ranks.size())
    }

    /// Ends all other processes, and this one with them: what one of them knows to be wrong would let the
    /// others wait for ever. Alone, does nothing.
    pub fn abort(&self) {
        if let Some(all) = &self.0 {
            all.ranks.abort();
        }
    }

    /// Whether this rank writes files and talks to people.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// This rank's share of `count` things; shares are consecutive, and differ by one at most.
    pub(crate) fn share(&self, count: usize) -> Range<usize> {
        let (rank, size) = (self.rank(), self.size());
        count * rank / size..count * (rank + 1) / size
    }

    /// How long this rank has waited for others since it was asked last; `None` if it is alone.
    pub(crate) fn take_waited(&self) -> Option<Duration> {
        let waited = self.0.as_ref()?.waited.swap(0, Ordering::Relaxed);
        Some(Duration::from_nanos(waited))
    }

    /// Begins to add vectors over all ranks.
    pub(crate) fn start_sum(&self, values: Vec<f32>) -> Box<dyn PendingSum> {
        match &self.0 {
            Some(all) => Box::new(Counted(all.ranks.start_sum(values), Arc::clone(all))),
            None => Box::new(Alone(Ok(values))),
        }
    }

    /// Adds numbers over all ranks, in their order.
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    pub(crate) fn sum(&self, own: &[f64]) -> Result<Vec<f64>> {
        let mut sum = vec![0.0; own.len()];
        for part in self.gather(own, f64::to_le_bytes, f64::from_le_bytes)? {
            if part.len() != sum.len() {
                return Err(Error::Internal("ranks send sums of different lengths"));
            }
            for (sum, part) in sum.iter_mut().zip(part) {
                *sum += part;
            }
        }
        Ok(sum)
    }

    /// The bytes of every rank, in their order.
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    pub(crate) fn exchange(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        match &self.0 {
            Some(ranks) => ranks.gather(own),
            None => Ok(vec![own]),
        }
    }

    /// The numbers of all ranks, one rank's after another's.
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    pub(crate) fn join(&self, own: Vec<f32>) -> Result<Vec<f32>> {
        if self.0.is_none() {
            return Ok(own);
        }
        let all = self.gather(&own, f32::to_le_bytes, f32::from_le_bytes)?;
        Ok(all.concat())
    }

    fn gather<T: Copy, const N: usize>(
        &self,
        own: &[T],
        to_bytes: fn(T) -> [u8; N],
        from_bytes: fn([u8; N]) -> T,
    ) -> Result<Vec<Vec<T>>> {
        let Some(ranks) = &self.0 else {
            return Ok(vec![own.to_vec()]);
        };
        let bytes = own.iter().flat_map(|value| to_bytes(*value)).collect();
        let read = |bytes: Vec<u8>| {
            let (values, _) = bytes.as_chunks::<N>();
            values.iter().copied().map(from_bytes).collect()
        };
        Ok(ranks.gather(bytes)?.into_iter().map(read).collect())
    }

    /// The first rank's word, on every rank.
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    pub(crate) fn first_says(&self, word: u8) -> Result<u8> {
        let Some(ranks) = &self.0 else {
            return Ok(word);
        };
        let all = ranks.gather(vec![word])?;
        let first = all.first().and_then(|bytes| bytes.first());
        first
            .copied()
            .ok_or(Error::Internal("the first rank said nothing"))
    }

    /// Waits for all ranks. If one brings an error, every rank returns one: its own, or the news of another's.
    ///
    /// # Errors
    /// As described, or if a rank is lost.
    pub(crate) fn agree<T>(&self, own: Result<T>) -> Result<T> {
        let Some(ranks) = &self.0 else {
            return own;
        };
        let said = own.as_ref().err().map(ToString::to_string);
        let all = ranks.gather(said.unwrap_or_default().into_bytes())?;
        let failed = all.iter().enumerate().find(|(_, said)| !said.is_empty());
        match (own, failed) {
            (Ok(value), None) => Ok(value),
            (Ok(_), Some((rank, said))) => Err(Error::Ranks(format!(
                "rank {rank} stopped: {}",
                String::from_utf8_lossy(said)
            ))),
            (Err(error), _) => Err(error),
        }
    }

    /// Checks that all ranks were given the same, line by line.
    ///
    /// # Errors
    /// Returns an error on every rank if one differs from the first: what, and from which line on.
    pub(crate) fn check_same(&self, what: &str, own: &str) -> Result<()> {
        let Some(ranks) = &self.0 else {
            return Ok(());
        };
        let all = ranks.gather(own.as_bytes().to_vec())?;
        let texts: Vec<_> = all.iter().map(|b| String::from_utf8_lossy(b)).collect();
        let Some(rank) = texts.iter().position(|text| *text != texts[0]) else {
            return Ok(());
        };
        let (mut first, mut other) = (texts[0].lines(), texts[rank].lines());
        let [a, b] = loop {
            match (first.next(), other.next()) {
                (a, b) if a == b && a.is_some() => {}
                (a, b) => break [a, b].map(|line| line.unwrap_or("nothing").trim().to_owned()),
            }
        };
        Err(Error::Ranks(format!(
            "rank {rank} has other {what} than rank 0: `{b}` instead of `{a}`"
        )))
    }
}

/// A sum that needs no waiting.
struct Alone(Result<Vec<f32>>);

impl PendingSum for Alone {
    fn wait(self: Box<Self>) -> Result<Vec<f32>> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::threads::ranks as threads;
    use super::*;

    /// What every rank returns from `work`.
    fn on_all<T: Send>(size: usize, work: impl Fn(&Ranks) -> T + Sync) -> Vec<T> {
        let ranks = threads(size);
        std::thread::scope(|scope| {
            let started: Vec<_> = ranks.iter().map(|r| scope.spawn(|| work(r))).collect();
            started.into_iter().map(|t| t.join().unwrap()).collect()
        })
    }

    #[test]
    fn shares_cover_everything_once() {
        for count in [0, 1, 3, 16] {
            let ranks = threads(3);
            let shares: Vec<usize> = ranks.iter().flat_map(|r| r.share(count)).collect();
            assert_eq!(shares, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(Ranks::default().share(5), 0..5);
    }

    #[test]
    fn every_rank_has_the_same_sum() {
        let sums = on_all(3, |ranks| {
            let own = ranks.rank() as f32;
            let floats = ranks.start_sum(vec![own, 1.0]).wait().unwrap();
            let doubles = ranks.sum(&[f64::from(own)]).unwrap();
            let joined = ranks.join(vec![own; ranks.rank()]).unwrap();
            let first = ranks.first_says(ranks.rank() as u8 + 7).unwrap();
            (floats, doubles, joined, first)
        });
        let expected = (vec![3.0, 3.0], vec![3.0], vec![1.0, 2.0, 2.0], 7);
        assert_eq!(sums, vec![expected; 3]);
    }

    #[test]
    fn an_error_of_one_stops_all() {
        let errors = on_all(2, |ranks| {
            let own = if ranks.is_first() {
                Ok(())
            } else {
                Err(Error::Argument("no such file".into()))
            };
            ranks.agree(own).unwrap_err().to_string()
        });
        assert_eq!(errors, ["rank 1 stopped: no such file", "no such file"]);
        assert!(
            on_all(2, |ranks| ranks.agree(Ok(1)).unwrap())
                .iter()
                .all(|x| *x == 1)
        );
    }

    #[test]
    fn differences_are_named() {
        let errors = on_all(3, |ranks| {
            let own = format!("seed = 1\nsteps = {}\n", 5 + ranks.rank() / 2);
            ranks.check_same("settings", &own).unwrap_err().to_string()
        });
        let expected = "rank 2 has other settings than rank 0: `steps = 6` instead of `steps = 5`";
        assert_eq!(errors, [expected; 3]);
        assert!(
            on_all(2, |ranks| ranks.check_same("data", "same").is_ok())
                .iter()
                .all(|same| *same)
        );
    }
}
