//! Forward and backward passes of the transport network for a few pictures.
//!
//! Computes the same function as `driftless_transport::network`.

use driftless_transport::config::{ConditionRow, TransportConfig};
use driftless_transport::network::TIME_FEATURES;

use super::attention::{AttentionLayer, AttentionScratch, SavedAttention};
use super::attention_heads::padded;
use super::buffer::Buffer;
use super::linear::Linear;
use super::mlp::{MlpLayer, MlpScratch};
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{add, add_row, axpy, norm, norm_gradient, sum_rows};
use crate::Result;

struct Layer {
    condition: Linear,
    attention: AttentionLayer,
    mlp: MlpLayer,
}

/// The network's parameters by their place.
pub(super) struct TransportPasses {
    windows: Vec<u32>,
    tokens: usize,
    width: usize,
    hidden: usize,
    heads: usize,
    channels: usize,
    picture: usize,
    input: Linear,
    position: Slot,
    descriptor: Linear,
    dose: Linear,
    plate: Slot,
    gain: Slot,
    null: Slot,
    signal: Linear,
    condition_mlps: [MlpLayer; 2],
    layers: Vec<Layer>,
    gain_out: Slot,
    output: Linear,
    skip: Slot,
}

/// A thread's buffers for up to `pictures` pictures.
pub(super) struct TransportBuffers {
    /// z and the network's output, [n, H, W, C], and the output's gradient.
    pub z: Buffer,
    pub output: Buffer,
    pub doutput: Buffer,
    windows: Buffer,
    dwindows: Buffer,
    /// Before and after each layer's condition, its attention and its MLP, [n·T, w].
    x: Vec<[Buffer; 3]>,
    saved: Vec<SavedAttention>,
    up: Vec<Buffer>,
    last: Buffer,
    normed: Buffer,
    dnormed: Buffer,
    dx: Buffer,
    attention: AttentionScratch,
    mlp: MlpScratch,
    condition: ConditionBuffers,
    /// [n, w], what a layer adds to the tokens of each picture, and its gradient.
    shift: Buffer,
}

/// Everything about the conditions of n pictures, one row each.
struct ConditionBuffers {
    time: Buffer,
    descriptor: Buffer,
    dose: Buffer,
    plates: Vec<usize>,
    dropped: Vec<bool>,
    /// Before the norm.
    known: Buffer,
    /// Input of each MLP and output of the last.
    c: [Buffer; 3],
    up: [Buffer; 2],
    dc: Buffer,
    scratch: Buffer,
}

impl TransportPasses {
    pub(super) fn new(layout: &mut Layout, config: &TransportConfig) -> Result<Self> {
        let n = &config.network;
        let layer = |layout: &mut Layout, l: usize| -> Result<Layer> {
            let name = |part: &str| format!("layers.{l}.{part}");
            Ok(Layer {
                condition: Linear::new(layout, &name("condition"), false)?,
                attention: AttentionLayer::new(layout, &name("space"), n.heads, config.tokens())?,
                mlp: MlpLayer::new(layout, &name("mlp"))?,
            })
        };
        Ok(Self {
            windows: config.windows(),
            tokens: config.tokens(),
            width: n.width,
            hidden: n.mlp,
            heads: n.heads,
            channels: config.channels.len(),
            picture: config.picture_len(),
            input: Linear::new(layout, "window.in", true)?,
            position: layout.slot("position")?,
            descriptor: Linear::new(layout, "condition.descriptor", false)?,
            dose: Linear::new(layout, "condition.dose", false)?,
            plate: layout.slot("condition.plate")?,
            gain: layout.slot("condition.norm.weight")?,
            null: layout.slot("condition.null")?,
            signal: Linear::new(layout, "condition.signal", false)?,
            condition_mlps: [
                MlpLayer::new(layout, "condition.mlp0")?,
                MlpLayer::new(layout, "condition.mlp1")?,
            ],
            layers: (0..n.depth)
                .map(|l| layer(layout, l))
                .collect::<Result<_>>()?,
            gain_out: layout.slot("out.norm.weight")?,
            output: Linear::new(layout, "window.out", true)?,
            skip: layout.slot("skip.weight")?,
        })
    }

    /// Numbers per picture.
    pub(super) fn picture(&self) -> usize {
        self.picture
    }

    pub(super) fn buffers(&self, pictures: usize) -> TransportBuffers {
        let (w, rows, n) = (self.width, pictures * self.tokens, padded(self.tokens));
        let wide = || Buffer::new(rows * w);
        let each = |columns: usize| Buffer::new(pictures * columns);
        let attention = || SavedAttention {
            qkv: Buffer::new(rows * 3 * w),
            scales: Buffer::new(rows * 2 * self.heads),
            weights: Buffer::new(rows * self.heads * n),
            own: Buffer::default(),
            mixed: wide(),
        };
        let depth = self.layers.len();
        TransportBuffers {
            z: each(self.picture),
            output: each(self.picture),
            doutput: each(self.picture),
            windows: each(self.windows.len()),
            dwindows: each(self.windows.len()),
            x: (0..depth).map(|_| [wide(), wide(), wide()]).collect(),
            saved: (0..depth).map(|_| attention()).collect(),
            up: (0..depth)
                .map(|_| Buffer::new(rows * 2 * self.hidden))
                .collect(),
            last: wide(),
            normed: wide(),
            dnormed: wide(),
            dx: wide(),
            attention: AttentionScratch {
                normed: wide(),
                gradient: wide(),
                dqkv: Buffer::new(rows * 3 * w),
                columns: Buffer::new(w / self.heads * n),
                dlogits: Buffer::new(self.tokens * n),
                down: Buffer::default(),
                bias: Buffer::new(n),
                dbias: Buffer::default(),
            },
            mlp: MlpScratch::new(rows, w, self.hidden),
            condition: ConditionBuffers {
                time: each(TIME_FEATURES),
                descriptor: each(self.descriptor.inputs()),
                dose: each(self.dose.inputs()),
                plates: vec![0; pictures],
                dropped: vec![false; pictures],
                known: each(w),
                c: [each(w), each(w), each(w)],
                up: [each(2 * self.hidden), each(2 * self.hidden)],
                dc: each(w),
                scratch: each(w),
            },
            shift: each(w),
        }
    }

    /// Sets transport time and condition of a picture.
    pub(super) fn set_condition(
        &self,
        t: &mut TransportBuffers,
        i: usize,
        tau: f32,
        row: &ConditionRow,
    ) {
        let c = &mut t.condition;
        for k in 0..TIME_FEATURES {
            c.time[i * TIME_FEATURES + k] = (tau * (k as f32 * std::f32::consts::PI)).cos();
        }
        let (d, f) = (self.descriptor.inputs(), self.dose.inputs());
        c.descriptor[i * d..(i + 1) * d].copy_from_slice(&row.descriptor);
        c.dose[i * f..(i + 1) * f].copy_from_slice(&row.dose);
        (c.plates[i], c.dropped[i]) = (row.plate, row.dropped);
    }

    /// Computes `output` of n pictures from `z` and their conditions.
    pub(super) fn forward(&self, w: &Weights, n: usize, t: &mut TransportBuffers) {
        let (width, tokens) = (self.width, self.tokens);
        let (one, all) = (tokens * width, n * tokens * width);
        self.gather(n, t);
        let c = self.condition_forward(w, n, t);
        let windows = &t.windows[..n * self.windows.len()];
        self.input.forward(w, windows, &mut t.x[0][0][..all]);
        for x in t.x[0][0][..all].chunks_exact_mut(one) {
            add(w.get(self.position), x);
        }
        for (l, layer) in self.layers.iter().enumerate() {
            let shift = &mut t.shift[..n * width];
            layer
                .condition
                .forward(w, &t.condition.c[c][..n * width], shift);
            let (here, later) = t.x.split_at_mut(l + 1);
            let [x, mixed, after] = &mut here[l];
            for (shift, x) in shift
                .chunks_exact(width)
                .zip(x[..all].chunks_exact_mut(one))
            {
                add_row(shift, x);
            }
            let saved = &mut t.saved[l];
            layer
                .attention
                .spatial_forward(w, 0..n, x, mixed, saved, &mut t.attention);
            let up = &mut t.up[l][..n * tokens * 2 * self.hidden];
            layer
                .mlp
                .forward(w, &mixed[..all], up, &mut after[..all], &mut t.mlp);
            match later.first_mut() {
                Some([next, ..]) => next[..all].copy_from_slice(&after[..all]),
                None => t.last[..all].copy_from_slice(&after[..all]),
            }
        }
        norm(&t.last[..all], w.get(self.gain_out), &mut t.normed[..all]);
        let windows = &mut t.dwindows[..n * self.windows.len()];
        self.output.forward(w, &t.normed[..all], windows);
        self.add_up(w, n, t);
    }

    /// Adds the gradients of the parameters, given `doutput` of the n pictures of the last forward
    /// pass.
    pub(super) fn backward(
        &self,
        w: &Weights,
        n: usize,
        gradient: &mut [f32],
        t: &mut TransportBuffers,
    ) {
        let (width, tokens) = (self.width, self.tokens);
        let (one, all) = (tokens * width, n * tokens * width);
        self.skip_gradient(n, gradient, t);
        self.spread(n, t);
        let dwindows = &t.dwindows[..n * self.windows.len()];
        let dnormed = &mut t.dnormed[..all];
        self.output
            .weight_gradient(dwindows, &t.normed[..all], gradient);
        self.output.input_gradient(w, dwindows, dnormed);
        let dx = &mut t.dx[..all];
        dx.fill(0.0);
        let (gain, dgain) = (w.get(self.gain_out), self.gain_out.of_mut(gradient));
        norm_gradient(&t.last[..all], gain, dnormed, dx, dgain);
        t.condition.dc[..n * width].fill(0.0);
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let [x, mixed, _] = &t.x[l];
            let up = &t.up[l][..n * tokens * 2 * self.hidden];
            layer
                .mlp
                .backward(w, &mixed[..all], up, dx, gradient, &mut t.mlp);
            let given = (&x[..], &t.saved[l]);
            layer
                .attention
                .spatial_backward(w, 0..n, given, dx, gradient, &mut t.attention);
            let dshift = &mut t.shift[..n * width];
            dshift.fill(0.0);
            for (dshift, dx) in dshift.chunks_exact_mut(width).zip(dx.chunks_exact(one)) {
                sum_rows(dx, dshift);
            }
            let c = &t.condition.c[2][..n * width];
            layer.condition.weight_gradient(dshift, c, gradient);
            let dc = &mut t.condition.scratch[..n * width];
            layer.condition.input_gradient(w, dshift, dc);
            add(dc, &mut t.condition.dc[..n * width]);
        }
        for dx in dx.chunks_exact(one) {
            add(dx, self.position.of_mut(gradient));
        }
        let windows = &t.windows[..n * self.windows.len()];
        self.input.weight_gradient(dx, windows, gradient);
        self.condition_backward(w, n, gradient, t);
    }

    /// Writes each token's window.
    fn gather(&self, n: usize, t: &mut TransportBuffers) {
        let windows = t.windows.chunks_exact_mut(self.windows.len());
        for (windows, z) in windows.zip(t.z.chunks_exact(self.picture)).take(n) {
            for (out, at) in windows.iter_mut().zip(&self.windows) {
                *out = z.get(*at as usize).copied().unwrap_or(0.0);
            }
        }
    }

    /// Adds up the outputs of the windows, and the skip.
    fn add_up(&self, w: &Weights, n: usize, t: &mut TransportBuffers) {
        let skip = w.get(self.skip);
        for i in 0..n {
            let picture = i * self.picture..(i + 1) * self.picture;
            let time = &t.condition.time[i * TIME_FEATURES..(i + 1) * TIME_FEATURES];
            let output = &mut t.output[picture.clone()];
            let share = |c: usize| {
                let row = &skip[c * TIME_FEATURES..(c + 1) * TIME_FEATURES];
                row.iter().zip(time).map(|(a, b)| a * b).sum::<f32>()
            };
            let shares: Vec<f32> = (0..self.channels).map(share).collect();
            let pixels = output.chunks_exact_mut(self.channels);
            for (output, z) in pixels.zip(t.z[picture].chunks_exact(self.channels)) {
                for ((output, z), share) in output.iter_mut().zip(z).zip(&shares) {
                    *output = share * z;
                }
            }
            let windows = &t.dwindows[i * self.windows.len()..(i + 1) * self.windows.len()];
            for (value, at) in windows.iter().zip(&self.windows) {
                if let Some(output) = output.get_mut(*at as usize) {
                    *output += value;
                }
            }
        }
    }

    /// The gradient of [`Self::add_up`] for the windows.
    fn spread(&self, n: usize, t: &mut TransportBuffers) {
        let windows = t.dwindows.chunks_exact_mut(self.windows.len());
        for (windows, dy) in windows.zip(t.doutput.chunks_exact(self.picture)).take(n) {
            for (out, at) in windows.iter_mut().zip(&self.windows) {
                *out = dy.get(*at as usize).copied().unwrap_or(0.0);
            }
        }
    }

    fn skip_gradient(&self, n: usize, gradient: &mut [f32], t: &TransportBuffers) {
        let gradient = self.skip.of_mut(gradient);
        for i in 0..n {
            let picture = i * self.picture..(i + 1) * self.picture;
            let (z, dy) = (&t.z[picture.clone()], &t.doutput[picture]);
            let time = &t.condition.time[i * TIME_FEATURES..(i + 1) * TIME_FEATURES];
            for c in 0..self.channels {
                let of = |x: &[f32]| {
                    x.iter()
                        .skip(c)
                        .step_by(self.channels)
                        .copied()
                        .collect::<Vec<_>>()
                };
                let share: f32 = of(z).iter().zip(of(dy)).map(|(z, dy)| z * dy).sum();
                axpy(
                    share,
                    time,
                    &mut gradient[c * TIME_FEATURES..(c + 1) * TIME_FEATURES],
                );
            }
        }
    }

    /// Computes the conditions; returns the index of the last in `condition.c`.
    fn condition_forward(&self, w: &Weights, n: usize, t: &mut TransportBuffers) -> usize {
        let (width, c) = (self.width, &mut t.condition);
        let all = n * width;
        let known = &mut c.known[..all];
        let (d, f) = (self.descriptor.inputs(), self.dose.inputs());
        self.descriptor.forward(w, &c.descriptor[..n * d], known);
        self.dose.forward_add(w, &c.dose[..n * f], known);
        let plates = w.get(self.plate);
        for (known, plate) in known.chunks_exact_mut(width).zip(&c.plates) {
            add(&plates[plate * width..(plate + 1) * width], known);
        }
        norm(known, w.get(self.gain), &mut c.c[0][..all]);
        for (row, dropped) in c.c[0][..all].chunks_exact_mut(width).zip(&c.dropped) {
            if *dropped {
                row.copy_from_slice(w.get(self.null));
            }
        }
        let time = &c.time[..n * TIME_FEATURES];
        self.signal.forward_add(w, time, &mut c.c[0][..all]);
        for (i, mlp) in self.condition_mlps.iter().enumerate() {
            let (before, after) = c.c.split_at_mut(i + 1);
            let up = &mut c.up[i][..n * 2 * self.hidden];
            mlp.forward(w, &before[i][..all], up, &mut after[0][..all], &mut t.mlp);
        }
        self.condition_mlps.len()
    }

    fn condition_backward(
        &self,
        w: &Weights,
        n: usize,
        gradient: &mut [f32],
        t: &mut TransportBuffers,
    ) {
        let (width, c) = (self.width, &mut t.condition);
        let all = n * width;
        let dc = &mut c.dc[..all];
        for (i, mlp) in self.condition_mlps.iter().enumerate().rev() {
            let up = &c.up[i][..n * 2 * self.hidden];
            mlp.backward(w, &c.c[i][..all], up, dc, gradient, &mut t.mlp);
        }
        self.signal
            .weight_gradient(dc, &c.time[..n * TIME_FEATURES], gradient);
        for (row, dropped) in dc.chunks_exact_mut(width).zip(&c.dropped) {
            if *dropped {
                add(row, self.null.of_mut(gradient));
                row.fill(0.0);
            }
        }
        let dknown = &mut c.scratch[..all];
        dknown.fill(0.0);
        let (gain, dgain) = (w.get(self.gain), self.gain.of_mut(gradient));
        norm_gradient(&c.known[..all], gain, dc, dknown, dgain);
        let (d, f) = (self.descriptor.inputs(), self.dose.inputs());
        self.descriptor
            .weight_gradient(dknown, &c.descriptor[..n * d], gradient);
        self.dose
            .weight_gradient(dknown, &c.dose[..n * f], gradient);
        let plates = self.plate.of_mut(gradient);
        for (dknown, plate) in dknown.chunks_exact(width).zip(&c.plates) {
            add(dknown, &mut plates[plate * width..(plate + 1) * width]);
        }
    }
}
