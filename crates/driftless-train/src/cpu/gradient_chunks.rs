//! Data-parallel gradients that do not depend on the number of threads.
//!
//! A batch is split into *chunks* of consecutive items, depending only on its size. Threads take one
//! chunk after another. Each chunk has its own gradient; at the end, these are added in a fixed order.
//! Each rank has a share of the chunks, and the sums of all ranks are added.

use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::buffer::Buffer;
use crate::ranks::{PendingSum, Ranks};
use crate::{Error, Result};

/// Maximum number of chunks.
const CHUNKS: usize = 16;
/// Maximum total size of the chunks' gradients (1 GiB), unless there are only two.
const NUMBERS: usize = 1 << 28;
/// Numbers that ranks add at a time: while they wait for some, others are on their way.
const BUCKET: usize = 1 << 16;
/// Numbers that one task adds.
const SHARE: usize = 1 << 15;

/// The gradients of a batch's chunks.
pub(super) struct GradientChunks {
    len: usize,
    /// The part of the parameters that has a gradient.
    range: Range<usize>,
    most: usize,
    /// Minimum number of items per chunk, if the batch has as many.
    least: usize,
    parts: Vec<Buffer>,
    total: Buffer,
    ranks: Ranks,
}

/// A gradient that is on its way from the other ranks.
pub(super) struct PendingGradient(Vec<Box<dyn PendingSum>>);

impl GradientChunks {
    /// Gradients of the parameters in `range` of `len`, in chunks of at least `least` items, which these ranks
    /// share. Memory is allocated by the first batch.
    pub(super) fn new(len: usize, range: Range<usize>, least: usize, ranks: &Ranks) -> Self {
        Self {
            len,
            range,
            least: least.max(1),
            most: (NUMBERS / len.max(1)).clamp(2, CHUNKS),
            parts: Vec::new(),
            total: Buffer::new(len),
            ranks: ranks.clone(),
        }
    }

    fn count(&self, items: usize) -> usize {
        self.most.min((items / self.least).max(1)).min(items)
    }

    /// This rank's chunks of `items` items.
    pub(super) fn ranges(&self, items: usize) -> Vec<Range<usize>> {
        let n = self.count(items);
        let own = self.ranks.share(n);
        own.map(|i| items * i / n..items * (i + 1) / n).collect()
    }

    /// Who shares the chunks.
    pub(super) fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Threads that are used for `items` items.
    pub(super) fn threads(&self, items: usize) -> usize {
        let chunks = self.ranks.share(self.count(items)).len();
        rayon::current_num_threads().min(chunks)
    }

    /// This rank's chunks of `items` items with their gradients, which still hold those of an earlier batch.
    pub(super) fn jobs(&mut self, items: usize) -> Vec<(Range<usize>, &mut [f32])> {
        let ranges = self.ranges(items);
        while self.parts.len() < ranges.len() {
            self.parts.push(Buffer::new(self.len));
        }
        let parts = self.parts.iter_mut().map(|part| &mut part[..]);
        ranges.into_iter().zip(parts).collect()
    }

    /// Calls `work` for every chunk of this rank with the buffers of a thread and the gradient of the chunk, which
    /// is zero. Returns the results in the order of the chunks.
    ///
    /// # Errors
    /// Returns the first error of `work`, in the order of the chunks.
    pub(super) fn run<W: Send, R: Send>(
        &mut self,
        items: usize,
        buffers: &mut [W],
        work: impl Fn(Range<usize>, &mut W, &mut [f32]) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let zero = self.range.clone();
        let jobs = self.jobs(items);
        on_threads(jobs, buffers, |(range, gradient), buffer| {
            gradient[zero.clone()].fill(0.0);
            work(range, buffer, gradient)
        })
    }

    /// The part of the parameters that has a gradient.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Begins to add the gradients of the last batch, which had `items` items, over all ranks.
    pub(super) fn start_sum(&mut self, items: usize) -> PendingGradient {
        self.sum_own(items);
        let buckets = self.total[self.range.clone()].chunks(BUCKET);
        PendingGradient(if self.ranks.size() > 1 {
            buckets
                .map(|bucket| self.ranks.start_sum(bucket.to_vec()))
                .collect()
        } else {
            Vec::new()
        })
    }

    /// The gradient whose sum has begun; 0 outside of the range.
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    pub(super) fn finish_sum(&mut self, pending: PendingGradient) -> Result<&[f32]> {
        let buckets = self.total[self.range.clone()].chunks_mut(BUCKET);
        for (bucket, sum) in buckets.zip(pending.0) {
            bucket.copy_from_slice(&sum.wait()?);
        }
        Ok(&self.total)
    }

    /// The gradient of the last batch, which had `items` items; 0 outside of the range.
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    pub(super) fn sum(&mut self, items: usize) -> Result<&[f32]> {
        let pending = self.start_sum(items);
        self.finish_sum(pending)
    }

    /// Adds the gradients of this rank's chunks.
    fn sum_own(&mut self, items: usize) {
        let own = self.ranks.share(self.count(items)).len();
        let parts = &self.parts[..own];
        if own == 0 {
            self.total[self.range.clone()].fill(0.0);
        }
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
    }
}

/// Runs `jobs` on as many threads as there are `buffers`. Returns the results in the order of the jobs.
///
/// # Errors
/// Returns the first error of `work`, in the order of the jobs.
pub(super) fn on_threads<J: Send, W: Send, R: Send>(
    jobs: Vec<J>,
    buffers: &mut [W],
    work: impl Fn(J, &mut W) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let mut results: Vec<Option<Result<R>>> = Vec::new();
    results.resize_with(jobs.len(), || None);
    let queue = Mutex::new(jobs.into_iter().zip(&mut results));
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    rayon::scope(|scope| {
        for buffer in buffers {
            scope.spawn(|_| {
                while let Some((job, result)) = next() {
                    *result = Some(work(job, buffer));
                }
            });
        }
    });
    let undone = || Err(Error::Internal("a job of a training step was not run"));
    let all = results.into_iter();
    all.map(|r| r.unwrap_or_else(undone)).collect()
}
