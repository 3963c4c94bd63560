//! A batch on all threads, with sums that do not depend on how many there are.
//!
//! A batch is cut into *chunks* of consecutive items, by its size alone. A thread takes one chunk
//! after another, with its own workspace; each chunk has its own gradient; and at the end the
//! chunks' gradients are added in their order.

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::buffer::Buffer;
use crate::{Error, Result};

/// Most chunks of a batch.
const CHUNKS: usize = 16;
/// All chunks' gradients take no more than so many numbers (1 GiB), but for two chunks.
const NUMBERS: usize = 1 << 28;
/// Numbers that one task adds up.
const SHARE: usize = 1 << 15;

/// The gradients of a batch's chunks.
pub(super) struct GradientChunks {
    len: usize,
    /// The parameters that have a gradient here.
    range: Range<usize>,
    most: usize,
    /// Fewest items of a chunk, where there are as many.
    least: usize,
    parts: Vec<Buffer>,
    total: Buffer,
}

impl GradientChunks {
    /// For those of `len` parameters that lie in `range`, and chunks of `least` items or more; nothing
    /// is allocated before the first batch.
    pub(super) fn new(len: usize, range: Range<usize>, least: usize) -> Self {
        Self {
            len,
            range,
            least: least.max(1),
            most: (NUMBERS / len.max(1)).clamp(2, CHUNKS),
            parts: Vec::new(),
            total: Buffer::new(len),
        }
    }

    fn count(&self, items: usize) -> usize {
        self.most.min((items / self.least).max(1)).min(items)
    }

    /// The chunks of `items` items.
    pub(super) fn ranges(&self, items: usize) -> Vec<Range<usize>> {
        let n = self.count(items);
        (0..n).map(|i| items * i / n..items * (i + 1) / n).collect()
    }

    /// Threads that have something to do at `items` items.
    pub(super) fn threads(&self, items: usize) -> usize {
        rayon::current_num_threads().min(self.count(items))
    }

    /// The chunks of `items` items, each with its gradient, which still holds an earlier batch's.
    pub(super) fn jobs(&mut self, items: usize) -> Vec<(Range<usize>, &mut [f32])> {
        let ranges = self.ranges(items);
        while self.parts.len() < ranges.len() {
            self.parts.push(Buffer::new(self.len));
        }
        let parts = self.parts.iter_mut().map(|part| &mut part[..]);
        ranges.into_iter().zip(parts).collect()
    }

    /// Calls `work` for every chunk, with a thread's workspace and the chunk's gradient, which starts
    /// at zero. What it returns comes back in the chunks' order.
    ///
    /// # Errors
    /// The first one of `work`, in the chunks' order.
    pub(super) fn run<W: Send, R: Send>(
        &mut self,
        items: usize,
        workspaces: &mut [W],
        work: impl Fn(Range<usize>, &mut W, &mut [f32]) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let zero = self.range.clone();
        let jobs = self.jobs(items);
        on_threads(jobs, workspaces, |(range, gradient), workspace| {
            gradient[zero.clone()].fill(0.0);
            work(range, workspace, gradient)
        })
    }

    /// The parameters that have a gradient here.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The sum of the gradients of the last batch, of `items` items; 0 outside of the range.
    pub(super) fn sum(&mut self, items: usize) -> &[f32] {
        let parts = &self.parts[..self.count(items)];
        let start = self.range.start;
        let total = &mut self.total[self.range.clone()];
        let shares = total.par_chunks_mut(SHARE).enumerate();
        shares.for_each(|(i, total)| {
            let range = start + i * SHARE..start + i * SHARE + total.len();
            for (n, part) in parts.iter().enumerate() {
                let part = &part[range.clone()];
                match n {
                    0 => total.copy_from_slice(part),
                    _ => super::row_ops::add(part, total),
                }
            }
        });
        &self.total
    }
}

/// Does `jobs` on as many threads as there are workspaces; the results come back in the jobs' order.
///
/// # Errors
/// The first one of `work`, in the jobs' order.
pub(super) fn on_threads<J: Send, W: Send, R: Send>(
    jobs: Vec<J>,
    workspaces: &mut [W],
    work: impl Fn(J, &mut W) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let mut results: Vec<Option<Result<R>>> = Vec::new();
    results.resize_with(jobs.len(), || None);
    let queue = Mutex::new(jobs.into_iter().zip(&mut results));
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    rayon::scope(|scope| {
        for workspace in workspaces {
            scope.spawn(|_| {
                while let Some((job, result)) = next() {
                    *result = Some(work(job, workspace));
                }
            });
        }
    });
    let undone = || Err(Error::Internal("a job of a training step was not run"));
    let all = results.into_iter();
    all.map(|r| r.unwrap_or_else(undone)).collect()
}
