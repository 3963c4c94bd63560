//! The states of a delta layer over a sequence, head by head, and their gradients.

use std::ops::Range;

use super::buffer::Buffer;
use super::row_ops::dot;
use super::simd::vectorized;
use super::sizes::Sizes;
use driftless_model::simd::axpy;

/// Buffers for the states of one head, [keys, values] each.
pub(super) struct Scan {
    /// Before each time step, and after the last.
    states: Buffer,
    /// The gradient of a state.
    dstate: Buffer,
    /// What a frame changes, v − α S k̂, and its gradient.
    change: Buffer,
    dchange: Buffer,
}

/// What the frames of a sequence ask and write; see `SavedDelta`.
#[derive(Clone, Copy)]
pub(super) struct ScanInputs<'a> {
    tokens: usize,
    heads: usize,
    d: usize,
    /// Time steps, T.
    length: usize,
    q: &'a [f32],
    kv: &'a [f32],
    gates: &'a [f32],
}

/// The gradient of what is read, and where those of the inputs go; of the gates those of α and β.
pub(super) struct ScanGradients<'a> {
    pub read: &'a [f32],
    pub q: &'a mut [f32],
    pub kv: &'a mut [f32],
    pub gates: &'a mut [f32],
}

/// Where things of a token and a head are at a time step.
#[derive(Clone, Copy)]
struct Offsets {
    k: usize,
    v: usize,
    keep: usize,
    replace: usize,
}

impl<'a> ScanInputs<'a> {
    pub(super) fn new(
        s: &Sizes,
        length: usize,
        q: &'a [f32],
        kv: &'a [f32],
        gates: &'a [f32],
    ) -> Self {
        Self {
            tokens: s.tokens,
            heads: s.heads,
            d: s.width / s.heads,
            length,
            q,
            kv,
            gates,
        }
    }

    /// Offset of a frame's query.
    #[inline(always)]
    fn query(&self, frame: usize, token: usize, head: usize) -> usize {
        ((frame * self.tokens + token) * self.heads + head) * self.d
    }

    #[inline(always)]
    fn written(&self, time: usize, token: usize, head: usize) -> Offsets {
        let row = 2 * (time * self.tokens + token);
        let k = (row * self.heads + head) * self.d;
        let keep = row * self.heads + head;
        Offsets {
            k,
            v: k + self.heads * self.d,
            keep,
            replace: keep + self.heads,
        }
    }
}

impl Scan {
    /// For heads of size `d` and up to `length` time steps.
    pub(super) fn new(d: usize, length: usize) -> Self {
        Self {
            states: Buffer::new((length + 1) * d * d),
            dstate: Buffer::new(d * d),
            change: Buffer::new(d),
            dchange: Buffer::new(d),
        }
    }

    /// Computes what the frames `frames`, whole copies of the sequence, read.
    pub(super) fn forward(&mut self, s: &ScanInputs, frames: Range<usize>, read: &mut [f32]) {
        let copies = frames.start / s.length..frames.end / s.length;
        let (states, change) = (&mut self.states[..2 * s.d * s.d], &mut self.change);
        for token in 0..s.tokens {
            for head in 0..s.heads {
                scan(s, [token, head], copies.clone(), states, change, read);
            }
        }
    }

    /// Computes the gradients of the inputs from that of what the frames `frames` read.
    pub(super) fn backward(
        &mut self,
        s: &ScanInputs,
        frames: Range<usize>,
        mut gradients: ScanGradients,
    ) {
        let copies = frames.start / s.length..frames.end / s.length;
        for token in 0..s.tokens {
            for head in 0..s.heads {
                scan_gradient(s, [token, head], copies.clone(), self, &mut gradients);
            }
        }
    }
}

/// Computes `after` = α S + β k̂ changeᵀ with change = v − α S k̂ from the state S before.
#[inline(always)]
fn write<const FMA: bool>(
    s: &ScanInputs,
    at: Offsets,
    before: &[f32],
    change: &mut [f32],
    after: &mut [f32],
) {
    let d = s.d;
    let (keys, values) = (&s.kv[at.k..at.k + d], &s.kv[at.v..at.v + d]);
    let (keep, replace) = (s.gates[at.keep], s.gates[at.replace]);
    change.copy_from_slice(values);
    for (key, row) in keys.iter().zip(before.chunks_exact(d)) {
        axpy::<FMA>(-keep * key, row, change);
    }
    let rows = before.chunks_exact(d).zip(after.chunks_exact_mut(d));
    for (key, (before, after)) in keys.iter().zip(rows) {
        for (after, before) in after.iter_mut().zip(before) {
            *after = keep * before;
        }
        axpy::<FMA>(replace * key, change, after);
    }
}

vectorized!(
    fn scan = scan_body(s: &ScanInputs, place: [usize; 2], copies: Range<usize>, states: &mut [f32], change: &mut [f32], read: &mut [f32])
);
/// What a token and a head of the copies `copies` read. `states` has room for two.
#[inline(always)]
fn scan_body<const FMA: bool>(
    s: &ScanInputs,
    [token, head]: [usize; 2],
    copies: Range<usize>,
    states: &mut [f32],
    change: &mut [f32],
    read: &mut [f32],
) {
    let d = s.d;
    let (mut state, mut next) = states.split_at_mut(d * d);
    state.fill(0.0);
    for time in 0..s.length {
        for copy in copies.clone() {
            let at = s.query(copy * s.length + time, token, head);
            let (query, read) = (&s.q[at..at + d], &mut read[at..at + d]);
            read.fill(0.0);
            for (query, row) in query.iter().zip(state.chunks_exact(d)) {
                axpy::<FMA>(*query, row, read);
            }
        }
        write::<FMA>(s, s.written(time, token, head), state, change, next);
        std::mem::swap(&mut state, &mut next);
    }
}

vectorized!(
    fn scan_gradient = scan_gradient_body(s: &ScanInputs, place: [usize; 2], copies: Range<usize>, scan: &mut Scan, to: &mut ScanGradients)
);
/// With G the gradient of the state after a write: the gradient of change is β Gᵀ k̂, that of β is
/// k̂ᵀ G change, that of k̂ is β G change − α S dchange, that of α is ⟨S, G⟩ − k̂ᵀ S dchange, and that of S is
/// α G − α k̂ dchangeᵀ, each with S and G as [keys, values].
#[inline(always)]
fn scan_gradient_body<const FMA: bool>(
    s: &ScanInputs,
    [token, head]: [usize; 2],
    copies: Range<usize>,
    scan: &mut Scan,
    to: &mut ScanGradients,
) {
    let (d, n) = (s.d, s.d * s.d);
    let (change, dchange) = (&mut scan.change[..], &mut scan.dchange[..]);
    let (states, dstate) = (&mut scan.states[..], &mut scan.dstate[..]);
    states[..n].fill(0.0);
    for time in 0..s.length {
        let (before, after) = states[time * n..].split_at_mut(n);
        let at = s.written(time, token, head);
        write::<FMA>(s, at, before, change, &mut after[..n]);
    }
    dstate.fill(0.0);
    for time in (0..s.length).rev() {
        let state = &states[time * n..(time + 1) * n];
        let at = s.written(time, token, head);
        let (keys, values) = (&s.kv[at.k..at.k + d], &s.kv[at.v..at.v + d]);
        let (keep, replace) = (s.gates[at.keep], s.gates[at.replace]);
        change.copy_from_slice(values);
        dchange.fill(0.0);
        for (key, (row, drow)) in keys
            .iter()
            .zip(state.chunks_exact(d).zip(dstate.chunks_exact(d)))
        {
            axpy::<FMA>(-keep * key, row, change);
            axpy::<FMA>(replace * key, drow, dchange);
        }
        let (mut dkeep, mut dreplace) = (0.0, 0.0);
        let rows = state.chunks_exact(d).zip(dstate.chunks_exact_mut(d));
        let dkeys = &mut to.kv[at.k..at.k + d];
        for ((key, dkey), (row, drow)) in keys.iter().zip(dkeys).zip(rows) {
            let (along, against) = (dot::<FMA>(change, drow), dot::<FMA>(dchange, row));
            dreplace += key * along;
            dkeep += dot::<FMA>(row, drow) - key * against;
            *dkey = replace * along - keep * against;
            for drow in drow.iter_mut() {
                *drow *= keep;
            }
            axpy::<FMA>(-keep * key, dchange, drow);
        }
        to.kv[at.v..at.v + d].copy_from_slice(dchange);
        (to.gates[at.keep], to.gates[at.replace]) = (dkeep, dreplace);
        for copy in copies.clone() {
            let at = s.query(copy * s.length + time, token, head);
            let (query, dread) = (&s.q[at..at + d], &to.read[at..at + d]);
            let rows = state.chunks_exact(d).zip(dstate.chunks_exact_mut(d));
            let dquery = &mut to.q[at..at + d];
            for ((query, dquery), (row, drow)) in query.iter().zip(dquery).zip(rows) {
                *dquery = dot::<FMA>(row, dread);
                axpy::<FMA>(*query, dread, drow);
            }
        }
    }
}
