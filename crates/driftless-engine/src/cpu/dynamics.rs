//! The dynamics on packed weights: what does not change between the passes over a frame is
//! computed once, the rest in place.

use super::attention::{Ring, Scratch, Shape, SpaceAttention, TimeAttention};
use super::cells::{Bordered, CellBlock, Norm};
use super::matrix::{Matrix, Mode, Rows};
use crate::Attention;
use crate::Result;
use crate::network::{Ask, Moment, Outcome};
use crate::weights::{bias, numbers};
use driftless_model::config::WorldConfig;
use driftless_model::dynamics;
use driftless_model::dynamics::SIGNAL_FEATURES;
use driftless_model::layers::MlpLayer;
use driftless_model::ops::swiglu_rows;

/// Embeddings of action, signal level and step size.
struct Conditions {
    width: usize,
    action: Vec<f32>,
    signal: Matrix,
    step: Vec<f32>,
}

impl Conditions {
    fn new(c: &dynamics::Conditions) -> Result<Self> {
        Ok(Self {
            width: c.action.dim(1)?,
            action: numbers(&c.action)?,
            signal: Matrix::new(&c.signal.weight)?,
            step: numbers(&c.step)?,
        })
    }

    fn action(&self, action: u32) -> &[f32] {
        row(&self.action, action, self.width)
    }

    /// The embedding of signal level and step size.
    fn signal(&self, features: &[f32], step: u32, out: &mut [f32]) {
        out.copy_from_slice(row(&self.step, step, self.width));
        self.signal
            .apply(features, Rows::plain(1, SIGNAL_FEATURES), out, Mode::Add);
    }
}

fn row(table: &[f32], index: u32, width: usize) -> &[f32] {
    let at = index as usize * width;
    &table[at..at + width]
}

/// x + W_down swiglu(W_up norm x).
struct Mlp {
    norm: Norm,
    up: Matrix,
    down: Matrix,
    hidden: usize,
}

impl Mlp {
    fn new(layer: &MlpLayer) -> Result<Self> {
        Ok(Self {
            norm: Norm::new(&layer.norm)?,
            up: Matrix::new(&layer.up.weight)?,
            down: Matrix::new(&layer.down.weight)?,
            hidden: layer.down.weight.dim(1)?,
        })
    }

    fn apply(&self, shape: Shape, x: &mut [f32], t: &mut MlpScratch) {
        self.norm.apply(x, &mut t.normed);
        self.up.apply(&t.normed, shape.rows(), &mut t.up, Mode::Set);
        swiglu_rows(self.hidden, &t.up, &mut t.hidden);
        let rows = Rows::plain(shape.tokens, self.hidden);
        self.down.apply(&t.hidden, rows, x, Mode::Add);
    }
}

struct MlpScratch {
    normed: Vec<f32>,
    up: Vec<f32>,
    hidden: Vec<f32>,
}

struct Layer {
    space: SpaceAttention,
    time: Option<(TimeAttention, Ring)>,
    mlp: Mlp,
}

/// Reward and end from a signal token; a few numbers a frame, so nothing is packed.
struct OutcomeHead {
    norm: Norm,
    up: Vec<f32>,
    up_bias: Vec<f32>,
    out: Vec<f32>,
    out_bias: Vec<f32>,
}

impl OutcomeHead {
    fn new(head: &dynamics::OutcomeHead) -> Result<Self> {
        Ok(Self {
            norm: Norm::new(&head.norm)?,
            up: numbers(&head.up.weight)?,
            up_bias: bias(&head.up)?,
            out: numbers(&head.out.weight)?,
            out_bias: bias(&head.out)?,
        })
    }

    fn apply(&self, token: &[f32]) -> Outcome {
        let mut normed = vec![0.0; token.len()];
        self.norm.apply(token, &mut normed);
        let dot = |row: &[f32], x: &[f32]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        let rows = self.up.chunks_exact(token.len()).zip(&self.up_bias);
        let hidden: Vec<f32> = rows
            .map(|(row, bias)| dot(row, &normed) + bias)
            .map(|x| x / (1.0 + (-x).exp()))
            .collect();
        let of = |i: usize| {
            let row = &self.out[i * hidden.len()..(i + 1) * hidden.len()];
            dot(row, &hidden) + self.out_bias[i]
        };
        Outcome::new([of(0), of(1)])
    }
}

/// The network with its rings and buffers.
pub(super) struct Dynamics {
    grid: [usize; 2],
    merge: usize,
    channels: usize,
    stem_width: usize,
    shape: Shape,
    latent_tokens: usize,
    slots: usize,
    stem_conditions: Conditions,
    /// The stem's convolution, apart for the current frame and for those before.
    stem_now: Matrix,
    stem_past: Matrix,
    stem_block: CellBlock,
    merge_in: Matrix,
    conditions: Conditions,
    position: Vec<f32>,
    layers: Vec<Layer>,
    norm_out: Norm,
    merge_out: Matrix,
    head_block: CellBlock,
    head_norm: Norm,
    head_out: Matrix,
    head_bias: Vec<f32>,
    skip_now: Matrix,
    skip_past: Matrix,
    /// What a frame adds to each of its passes: stem [cells, stem width], x̂ [cells, channels].
    cells_start: Vec<f32>,
    x_start: Vec<f32>,
    outcome: Option<OutcomeHead>,
    /// Slot of the current frame, and of those that it sees, nearest first.
    slot: usize,
    seen: Vec<usize>,
    now: Bordered,
    past: Bordered,
    bordered: Bordered,
    cells: Vec<f32>,
    hidden: Vec<f32>,
    tokens: Vec<f32>,
    latent: Vec<f32>,
    merged: Vec<f32>,
    condition: Vec<f32>,
    attention: Scratch,
    mlp: MlpScratch,
    /// Whether cache passes note where tokens look, and what the last one noted.
    inspected: bool,
    looked: Option<Attention>,
}

impl Dynamics {
    pub(super) fn new(net: &dynamics::Dynamics, config: &WorldConfig) -> Result<Self> {
        let (d, c) = (&config.dynamics, config.tokenizer.channels);
        let (grid, cells) = (config.grid(), config.cells());
        let shape = Shape {
            tokens: config.tokens(),
            heads: d.heads,
            d: d.width / d.heads,
        };
        let slots = d.context - 1;
        let layers = net.layers.iter().map(|layer| {
            let time = match &layer.time {
                Some(time) => Some((TimeAttention::new(time, shape)?, Ring::new(shape, slots))),
                None => None,
            };
            Ok(Layer {
                space: SpaceAttention::new(&layer.space, shape)?,
                time,
                mlp: Mlp::new(&layer.mlp)?,
            })
        });
        let (seen, past) = ((1 + d.stem_frames) * c, d.stem_frames * c);
        let stem = numbers(&net.stem_in)?;
        let skip = numbers(&net.skip.weight)?;
        // Input `i` of a part is channel `first + i % n` of tap `i / n`.
        let part = |weight: &[f32], outputs: usize, taps: usize, first: usize, n: usize| {
            Matrix::pack(outputs, taps * n, |o, i| {
                weight[(o * taps + i / n) * seen + first + i % n]
            })
        };
        let merged = d.merge * d.merge * d.stem_width;
        Ok(Self {
            grid,
            merge: d.merge,
            channels: c,
            stem_width: d.stem_width,
            shape,
            latent_tokens: config.latent_tokens(),
            slots,
            stem_conditions: Conditions::new(&net.stem_conditions)?,
            stem_now: part(&stem, d.stem_width, 9, 0, c),
            stem_past: part(&stem, d.stem_width, 9, c, past),
            stem_block: CellBlock::new(&net.stem_block)?,
            merge_in: Matrix::new(&net.merge_in.weight)?,
            conditions: Conditions::new(&net.conditions)?,
            position: numbers(&net.position)?,
            layers: layers.collect::<Result<_>>()?,
            norm_out: Norm::new(&net.norm_out)?,
            merge_out: Matrix::new(&net.merge_out.weight)?,
            head_block: CellBlock::new(&net.head_block)?,
            head_norm: Norm::new(&net.head_norm)?,
            head_out: Matrix::new(&net.head_out.weight)?,
            head_bias: bias(&net.head_out)?,
            skip_now: part(&skip, c, 1, 0, c),
            skip_past: part(&skip, c, 1, c, past),
            cells_start: vec![0.0; cells * d.stem_width],
            x_start: vec![0.0; cells * c],
            outcome: net.outcome.as_ref().map(OutcomeHead::new).transpose()?,
            slot: 0,
            seen: Vec::with_capacity(slots),
            now: Bordered::new(grid, c),
            past: Bordered::new(grid, past),
            bordered: Bordered::new(grid, d.stem_width),
            cells: vec![0.0; cells * d.stem_width],
            hidden: vec![0.0; cells * d.stem_width],
            tokens: vec![0.0; shape.tokens * d.width],
            latent: vec![0.0; config.latent_tokens() * d.width],
            merged: vec![0.0; config.latent_tokens() * merged],
            condition: vec![0.0; d.width.max(d.stem_width)],
            attention: Scratch::new(shape, d.context),
            mlp: MlpScratch {
                normed: vec![0.0; shape.tokens * d.width],
                up: vec![0.0; shape.tokens * 2 * d.mlp],
                hidden: vec![0.0; shape.tokens * d.mlp],
            },
            inspected: false,
            looked: None,
        })
    }

    /// Turns to a frame.
    pub(super) fn begin(&mut self, moment: &Moment) {
        self.seen.clear();
        if self.slots > 0 {
            let slots = self.slots as u64;
            let now = moment.frame % slots;
            self.slot = now as usize;
            let slot = |distance: usize| ((now + slots - distance as u64) % slots) as usize;
            self.seen.extend((1..=moment.seen).map(slot));
        }
        self.past
            .fill(moment.past, |from, to| to.copy_from_slice(from));
        self.past
            .convolve(&self.stem_past, &mut self.cells_start, Mode::Set);
        for cell in self.x_start.chunks_exact_mut(self.channels) {
            cell.copy_from_slice(&self.head_bias);
        }
        let cells = self.x_start.len() / self.channels;
        let rows = Rows::plain(cells, moment.past.len() / cells);
        self.skip_past
            .apply(moment.past, rows, &mut self.x_start, Mode::Add);
    }

    /// What the network puts out, [cells, channels].
    pub(super) fn denoise(&mut self, ask: &Ask, x: &mut [f32]) {
        self.stem(ask);
        for layer in &self.layers {
            layer.space.apply(&mut self.tokens, &mut self.attention);
            if let Some((time, ring)) = &layer.time {
                time.keys_and_values(&self.tokens, &mut self.attention);
                time.apply(&mut self.tokens, ring, &self.seen, &mut self.attention);
            }
            layer.mlp.apply(self.shape, &mut self.tokens, &mut self.mlp);
        }
        self.head(ask.z, x);
    }

    /// Writes the frame's keys and values over those of the oldest; the frame's outcome.
    pub(super) fn cache(&mut self, ask: &Ask) -> Option<Outcome> {
        let last = self.layers.iter().rposition(|layer| layer.time.is_some());
        let kept = self.slots > 0 && last.is_some();
        // The last time attention's mixture matters to the outcome, and to those who look.
        let whole = self.outcome.is_some() || self.inspected;
        if !kept && !whole {
            return None;
        }
        let last = last.unwrap_or(0);
        self.attention.noted = self.inspected.then(|| {
            let Shape { tokens, heads, .. } = self.shape;
            Attention::new(tokens, heads, self.seen.len() + 1)
        });
        self.stem(ask);
        for (i, layer) in self.layers[..=last].iter_mut().enumerate() {
            layer.space.apply(&mut self.tokens, &mut self.attention);
            if let Some((time, ring)) = &mut layer.time {
                time.keys_and_values(&self.tokens, &mut self.attention);
                if let Some(noted) = &mut self.attention.noted {
                    noted.time_layers.push(i);
                }
                if i < last || whole {
                    time.apply(&mut self.tokens, ring, &self.seen, &mut self.attention);
                }
                if kept {
                    time.write(ring, self.slot, &self.attention);
                }
            }
            if i < last {
                layer.mlp.apply(self.shape, &mut self.tokens, &mut self.mlp);
            }
        }
        self.looked = self.attention.noted.take();
        let width = self.shape.width();
        let at = (self.latent_tokens + 1) * width;
        let signal = &self.tokens[at..at + width];
        self.outcome.as_ref().map(|head| head.apply(signal))
    }

    /// Whether cache passes note where tokens look from now on.
    pub(super) fn inspect(&mut self, on: bool) {
        self.inspected = on;
        self.looked = self.looked.take().filter(|_| on);
    }

    /// What the last cache pass noted.
    pub(super) fn looked(&self) -> Option<&Attention> {
        self.looked.as_ref()
    }

    /// Forgets what was noted: the rings are of another frame now.
    pub(super) fn forget_looks(&mut self) {
        self.looked = None;
    }

    /// Keys and values of all rings, in order.
    pub(super) fn rings(&self) -> impl Iterator<Item = &Vec<f32>> {
        let rings = self.layers.iter().filter_map(|layer| layer.time.as_ref());
        rings.flat_map(|(_, ring)| [&ring.keys, &ring.values])
    }

    /// The same, to be written.
    pub(super) fn rings_mut(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        let rings = self
            .layers
            .iter_mut()
            .filter_map(|layer| layer.time.as_mut());
        rings.flat_map(|(_, ring)| [&mut ring.keys, &mut ring.values])
    }

    /// Fills `cells` and `tokens`.
    fn stem(&mut self, ask: &Ask) {
        let Ask {
            z,
            signal,
            step,
            action,
        } = *ask;
        let features: [f32; SIGNAL_FEATURES] =
            std::array::from_fn(|k| (signal * (k as f32 * std::f32::consts::PI)).cos());
        let condition = &mut self.condition[..self.stem_width];
        self.stem_conditions.signal(&features, step, condition);
        add(condition, self.stem_conditions.action(action));
        self.cells.copy_from_slice(&self.cells_start);
        for cell in self.cells.chunks_exact_mut(self.stem_width) {
            add(cell, condition);
        }
        self.now.fill(z, |from, to| to.copy_from_slice(from));
        self.now
            .convolve(&self.stem_now, &mut self.cells, Mode::Add);
        self.stem_block
            .apply(&mut self.cells, &mut self.bordered, &mut self.hidden);

        let width = self.shape.width();
        self.tokens.copy_from_slice(&self.position);
        let at = self.latent_tokens * width;
        add(
            &mut self.tokens[at..at + width],
            self.conditions.action(action),
        );
        let condition = &mut self.condition[..width];
        self.conditions.signal(&features, step, condition);
        let at = (self.latent_tokens + 1) * width;
        add(&mut self.tokens[at..at + width], condition);
        let blocks = Rows::blocks(self.grid, self.merge, self.stem_width);
        self.merge_in
            .apply(&self.cells, blocks, &mut self.tokens, Mode::Add);
    }

    /// From `cells` and `tokens` to x̂.
    fn head(&mut self, z: &[f32], x: &mut [f32]) {
        let width = self.shape.width();
        let latent = &self.tokens[..self.latent_tokens * width];
        self.norm_out.apply(latent, &mut self.latent);
        let rows = Rows::plain(self.latent_tokens, width);
        self.merge_out
            .apply(&self.latent, rows, &mut self.merged, Mode::Set);
        let blocks = Rows::blocks(self.grid, self.merge, self.stem_width);
        let segment = self.merge * self.stem_width;
        for (r, merged) in self.merged.chunks_exact(self.merge * segment).enumerate() {
            for (s, merged) in merged.chunks_exact(segment).enumerate() {
                let at = blocks.start(r) + s * blocks.stride;
                add(&mut self.cells[at..at + segment], merged);
            }
        }
        self.head_block
            .apply(&mut self.cells, &mut self.bordered, &mut self.hidden);
        self.head_norm.apply(&self.cells, &mut self.hidden);
        x.copy_from_slice(&self.x_start);
        let cells = z.len() / self.channels;
        let rows = Rows::plain(cells, self.stem_width);
        self.head_out.apply(&self.hidden, rows, x, Mode::Add);
        self.skip_now
            .apply(z, Rows::plain(cells, self.channels), x, Mode::Add);
    }
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
