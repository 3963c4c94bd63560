//! The dynamics as dispatches: what begins a frame, one denoise pass, the pass that writes the ring.

use super::kernels::{Kernel, groups};
use super::ops::{Act, CloseOp, ConditionOp, NONE, RememberOp, Rows, SpaceOp, TimeOp};
use super::parts::{Attention, Conditions, Heads, Layer, OutcomeHead, Ring, Time};
use super::program::Recorder;
use super::recorder::{Arena, CellBlock, Norm};
use super::weights::{Matrix, Weights};
use crate::Result;
use crate::weights::numbers;
use driftless_model::config::WorldConfig;
use driftless_model::dynamics;

/// The network with its rings and its regions of the arena.
pub(super) struct Dynamics {
    grid: [u32; 2],
    merge: u32,
    channels: u32,
    past_channels: u32,
    stem_width: u32,
    width: u32,
    mlp: u32,
    pub heads: Heads,
    pub tokens: u32,
    latent_tokens: u32,
    pub slots: u32,
    context: u32,
    stem_conditions: Conditions,
    stem_now: Matrix,
    stem_past: Matrix,
    stem_block: CellBlock,
    merge_in: Matrix,
    conditions: Conditions,
    layers: Vec<Layer>,
    norm_out: Norm,
    merge_out: Matrix,
    head_block: CellBlock,
    head_norm: Norm,
    head_out: Matrix,
    skip_now: Matrix,
    skip_past: Matrix,
    outcome_head: Option<OutcomeHead>,
    /// Positions [tokens, width], and where they are in the arena.
    pub position: (u32, Vec<f32>),
    /// z_τ and what the network puts out, [cells, channels].
    pub z: u32,
    pub x: u32,
    /// The clean latent in the making, and the last finite one, [cells, channels].
    pub clean: u32,
    pub latent: u32,
    /// The frames before, [cells, stem frames · c].
    pub past: u32,
    /// Of a frame: reward, logit of the end, and 1 where its latent is finite.
    pub report: u32,
    cells_start: u32,
    x_start: u32,
    cells: u32,
    cells_hidden: u32,
    now_bordered: u32,
    past_bordered: u32,
    bordered: u32,
    stream: u32,
    normed: u32,
    qkv: u32,
    attended: u32,
    hidden: u32,
    outcome_hidden: u32,
}

impl Dynamics {
    /// Numbers of a frame's report.
    pub const REPORT: usize = 3;

    pub fn new(
        weights: &mut Weights,
        arena: &mut Arena,
        net: &dynamics::Dynamics,
        config: &WorldConfig,
    ) -> Result<Self> {
        let (d, c) = (&config.dynamics, config.tokenizer.channels);
        let ([gh, gw], cells, tokens) = (config.grid(), config.cells(), config.tokens());
        let heads = Heads::new(d.heads, d.width);
        let slots = d.context - 1;
        let ring = slots * tokens * heads.width();
        let mut layers = Vec::with_capacity(net.layers.len());
        for layer in &net.layers {
            let time = match &layer.time {
                Some(time) => Some(Time {
                    attention: Attention::new(weights, time, heads)?,
                    ring: Ring {
                        keys: arena.take(ring),
                        values: arena.take(ring),
                    },
                }),
                None => None,
            };
            layers.push(Layer {
                space: Attention::new(weights, &layer.space, heads)?,
                time,
                norm: Norm::new(weights, &layer.mlp.norm)?,
                up: weights.halves(&layer.mlp.up)?,
                down: weights.linear(&layer.mlp.down)?,
            });
        }
        let (seen, past) = ((1 + d.stem_frames) * c, d.stem_frames * c);
        let stem = numbers(&net.stem_in)?;
        let skip = numbers(&net.skip.weight)?;
        // Input `i` of a part is channel `first + i % n` of tap `i / n`.
        let mut part = |weight: &[f32], outputs: usize, taps: usize, first: usize, n: usize| {
            weights.matrix(outputs, taps * n, |o, i| {
                weight[(o * taps + i / n) * seen + first + i % n]
            })
        };
        let stem_now = part(&stem, d.stem_width, 9, 0, c);
        let stem_past = part(&stem, d.stem_width, 9, c, past);
        let skip_now = part(&skip, c, 1, 0, c);
        let skip_past = part(&skip, c, 1, c, past);
        let head_out = weights.linear(&net.head_out)?;
        let outcome_head = match &net.outcome {
            Some(head) => Some(OutcomeHead {
                norm: Norm::new(weights, &head.norm)?,
                up: weights.linear(&head.up)?,
                out: weights.linear(&head.out)?,
            }),
            None => None,
        };
        let bordered = (gh + 2) * (gw + 2);
        Ok(Self {
            grid: [gh as u32, gw as u32],
            merge: d.merge as u32,
            channels: c as u32,
            past_channels: past as u32,
            stem_width: d.stem_width as u32,
            width: d.width as u32,
            mlp: d.mlp as u32,
            heads,
            tokens: tokens as u32,
            latent_tokens: config.latent_tokens() as u32,
            slots: slots as u32,
            context: d.context as u32,
            stem_conditions: Conditions::new(weights, &net.stem_conditions)?,
            stem_now,
            stem_past,
            stem_block: CellBlock::new(weights, &net.stem_block)?,
            merge_in: weights.linear(&net.merge_in)?,
            conditions: Conditions::new(weights, &net.conditions)?,
            layers,
            norm_out: Norm::new(weights, &net.norm_out)?,
            merge_out: weights.linear(&net.merge_out)?,
            head_block: CellBlock::new(weights, &net.head_block)?,
            head_norm: Norm::new(weights, &net.head_norm)?,
            head_out: Matrix {
                bias: NONE,
                ..head_out
            },
            skip_now,
            skip_past: Matrix {
                bias: head_out.bias,
                ..skip_past
            },
            outcome_head,
            position: (arena.take(tokens * d.width), numbers(&net.position)?),
            z: arena.take(cells * c),
            x: arena.take(cells * c),
            clean: arena.take(cells * c),
            latent: arena.take(cells * c),
            past: arena.take(cells * past),
            report: arena.take(Self::REPORT),
            cells_start: arena.take(cells * d.stem_width),
            x_start: arena.take(cells * c),
            cells: arena.take(cells * d.stem_width),
            cells_hidden: arena.take(cells * d.stem_width),
            now_bordered: arena.take(bordered * c),
            past_bordered: arena.take(bordered * past),
            bordered: arena.take(bordered * d.stem_width),
            stream: arena.take(tokens * d.width),
            normed: arena.take(tokens * d.width),
            qkv: arena.take(tokens * 3 * heads.width()),
            attended: arena.take(tokens * heads.width()),
            hidden: arena.take(tokens * d.mlp),
            outcome_hidden: arena.take(d.outcome),
        })
    }

    /// Ends a frame whose kept version is in `z`.
    pub fn close(&self, r: &mut Recorder) {
        let op = CloseOp {
            clean: self.clean,
            kept: self.z,
            latent: self.latent,
            past: self.past,
            frames: self.past_channels / self.channels,
            cells: self.cell_count(),
            channels: self.channels,
            report: self.report + 2,
        };
        r.push(Kernel::Close, &op, [1, 1]);
    }

    /// The rings, in order.
    pub fn rings(&self) -> impl Iterator<Item = Ring> {
        let time = self.layers.iter().filter_map(|layer| layer.time.as_ref());
        time.map(|time| time.ring)
    }

    fn cell_count(&self) -> u32 {
        self.grid[0] * self.grid[1]
    }

    /// What does not change between the passes over a frame, from `past`.
    pub fn begin(&self, r: &mut Recorder) {
        let (cells, past) = (self.cell_count(), self.past_channels);
        let from = Rows::plain(self.past, past);
        if past > 0 {
            let inside = Rows::inside(self.past_bordered, self.grid, past);
            r.copy([cells, past], from, inside);
        }
        let around = Rows::around(self.past_bordered, self.grid, past);
        let start = Rows::plain(self.cells_start, self.stem_width);
        r.matmul(self.stem_past, cells, around, start, Act::None, false);
        let x = Rows::plain(self.x_start, self.channels);
        r.matmul(self.skip_past, cells, from, x, Act::None, false);
    }

    /// What the network puts out for `z` in pass `pass`, into `x`.
    pub fn denoise(&self, r: &mut Recorder, pass: u32) {
        self.stem(r, pass);
        for layer in &self.layers {
            self.space(r, &layer.space);
            if let Some(Time { attention, ring }) = &layer.time {
                self.look(r, attention);
                self.over_time(r, attention, *ring);
            }
            self.mlp(r, layer);
        }
        self.head(r);
    }

    /// Writes the keys and values of `z` into the ring, and its outcome into `report`;
    /// nothing where there is neither ring nor outcome.
    pub fn cache(&self, r: &mut Recorder, pass: u32) {
        let last = self.layers.iter().rposition(|layer| layer.time.is_some());
        let kept = self.slots > 0 && last.is_some();
        if !kept && self.outcome_head.is_none() {
            return;
        }
        let last = last.unwrap_or(0);
        self.stem(r, pass);
        for (i, layer) in self.layers[..=last].iter().enumerate() {
            self.space(r, &layer.space);
            if let Some(Time { attention, ring }) = &layer.time {
                self.look(r, attention);
                if i < last || self.outcome_head.is_some() {
                    self.over_time(r, attention, *ring);
                }
                if kept {
                    let op = RememberOp {
                        qkv: self.qkv,
                        keys: ring.keys,
                        values: ring.values,
                        tokens: self.tokens,
                        heads: self.heads.count as u32,
                        unused: [0; 3],
                    };
                    r.push(Kernel::Remember, &op, [self.head_groups(), 1]);
                }
            }
            if i < last {
                self.mlp(r, layer);
            }
        }
        if let Some(head) = &self.outcome_head {
            let signal = self.stream + (self.latent_tokens + 1) * self.width;
            let normed = Rows::plain(self.normed, self.width);
            let hidden = Rows::plain(self.outcome_hidden, head.up.n);
            r.norm(head.norm, 1, Rows::plain(signal, self.width), normed);
            r.matmul(head.up, 1, normed, hidden, Act::Silu, false);
            let outcome = Rows::plain(self.report, 2);
            r.matmul(head.out, 1, hidden, outcome, Act::None, false);
        }
    }

    /// Fills `cells` and `stream`.
    fn stem(&self, r: &mut Recorder, pass: u32) {
        let cells = self.cell_count();
        let both = (NONE, NONE);
        let (start, y) = (self.cells_start, self.cells);
        let size = [cells, self.stem_width];
        condition(r, &self.stem_conditions, size, [start, y], both, pass);
        let inside = Rows::inside(self.now_bordered, self.grid, self.channels);
        let z = Rows::plain(self.z, self.channels);
        r.copy([cells, self.channels], z, inside);
        let around = Rows::around(self.now_bordered, self.grid, self.channels);
        let to = Rows::plain(self.cells, self.stem_width);
        r.matmul(self.stem_now, cells, around, to, Act::None, true);
        let (bordered, hidden) = (self.bordered, self.cells_hidden);
        r.block(&self.stem_block, self.grid, self.cells, bordered, hidden);
        let rows = (self.latent_tokens, self.latent_tokens + 1);
        let (start, y) = (self.position.0, self.stream);
        let size = [self.tokens, self.width];
        condition(r, &self.conditions, size, [start, y], rows, pass);
        let blocks = Rows::blocks(self.cells, self.grid, self.merge, self.stem_width);
        let to = self.stream();
        r.matmul(
            self.merge_in,
            self.latent_tokens,
            blocks,
            to,
            Act::None,
            true,
        );
    }

    /// From `cells` and `stream` to `x`.
    fn head(&self, r: &mut Recorder) {
        let (cells, latent) = (self.cell_count(), self.latent_tokens);
        let normed = Rows::plain(self.normed, self.width);
        r.norm(self.norm_out, latent, self.stream(), normed);
        let blocks = Rows::blocks(self.cells, self.grid, self.merge, self.stem_width);
        r.matmul(self.merge_out, latent, normed, blocks, Act::None, true);
        let (bordered, hidden) = (self.bordered, self.cells_hidden);
        r.block(&self.head_block, self.grid, self.cells, bordered, hidden);
        let from = Rows::plain(self.cells, self.stem_width);
        let hidden = Rows::plain(self.cells_hidden, self.stem_width);
        r.norm(self.head_norm, cells, from, hidden);
        let of = |at| Rows::plain(at, self.channels);
        r.copy([cells, self.channels], of(self.x_start), of(self.x));
        r.matmul(self.head_out, cells, hidden, of(self.x), Act::None, true);
        r.matmul(
            self.skip_now,
            cells,
            of(self.z),
            of(self.x),
            Act::None,
            true,
        );
    }

    fn stream(&self) -> Rows {
        Rows::plain(self.stream, self.width)
    }

    fn head_groups(&self) -> u32 {
        groups(self.tokens * self.heads.count as u32)
    }

    /// Queries, keys and values of `stream`, into `qkv`.
    fn look(&self, r: &mut Recorder, attention: &Attention) {
        let normed = Rows::plain(self.normed, self.width);
        r.norm(attention.norm, self.tokens, self.stream(), normed);
        let qkv = Rows::plain(self.qkv, 3 * self.heads.width() as u32);
        r.matmul(attention.qkv, self.tokens, normed, qkv, Act::None, false);
    }

    fn space(&self, r: &mut Recorder, attention: &Attention) {
        self.look(r, attention);
        let op = SpaceOp {
            qkv: self.qkv,
            y: self.attended,
            tokens: self.tokens,
            heads: self.heads.count as u32,
            scale: attention.parameters,
            unused: [0; 3],
        };
        r.push(Kernel::AttendSpace, &op, [self.head_groups(), 1]);
        self.join(r, attention);
    }

    fn over_time(&self, r: &mut Recorder, attention: &Attention, ring: Ring) {
        let op = TimeOp {
            qkv: self.qkv,
            y: self.attended,
            keys: ring.keys,
            values: ring.values,
            tokens: self.tokens,
            heads: self.heads.count as u32,
            parameters: attention.parameters,
            context: self.context,
        };
        r.push(Kernel::AttendTime, &op, [self.head_groups(), 1]);
        self.join(r, attention);
    }

    fn join(&self, r: &mut Recorder, attention: &Attention) {
        let attended = Rows::plain(self.attended, self.heads.width() as u32);
        let to = self.stream();
        r.matmul(attention.out, self.tokens, attended, to, Act::None, true);
    }

    fn mlp(&self, r: &mut Recorder, layer: &Layer) {
        let normed = Rows::plain(self.normed, self.width);
        let hidden = Rows::plain(self.hidden, self.mlp);
        r.norm(layer.norm, self.tokens, self.stream(), normed);
        r.matmul(layer.up, self.tokens, normed, hidden, Act::SwiGlu, false);
        r.matmul(
            layer.down,
            self.tokens,
            hidden,
            self.stream(),
            Act::None,
            true,
        );
    }
}

/// y ← start and the embeddings: of the action and of the signal each in one row, or in all.
fn condition(
    r: &mut Recorder,
    tables: &Conditions,
    [rows, width]: [u32; 2],
    [start, y]: [u32; 2],
    (action_row, signal_row): (u32, u32),
    pass: u32,
) {
    let op = ConditionOp {
        start,
        y,
        rows,
        width,
        action: tables.action,
        signal: tables.signal,
        step: tables.step,
        action_row,
        signal_row,
        pass,
        unused: [0; 2],
    };
    r.push(Kernel::Condition, &op, [groups(rows * width), 1]);
}
