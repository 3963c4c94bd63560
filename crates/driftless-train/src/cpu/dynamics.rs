//! Forward and backward pass of the dynamics for one sequence.
//!
//! Computes the same function as `driftless_model::dynamics` on one thread. The frames of a sequence
//! go through a layer in blocks that fit into the cache. The input of each layer is saved; norms and
//! gates, which are cheap, are computed again in the backward pass.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::Var;

use driftless_data::Action;
use driftless_model::config::WorldConfig;

use super::attention::AttentionLayer;
use super::attention_temporal::FrameCounts;
use super::condition_embeddings::{Condition, ConditionEmbeddings};
use super::delta::DeltaLayer;
use super::memory::MemoryEncoder;
use super::mlp::MlpLayer;
use super::outcome_head::OutcomeHead;
use super::parameters::{Layout, Slot, Weights};
use super::recall::{RecallLayer, RecallPass};
use super::row_ops::{add, sum_rows};
use super::sequence_buffers::SequenceBuffers;
use super::sizes::Sizes;
use super::stem_and_head::{Head, Stem};
use super::sublayer::Sublayer;
use crate::{Error, Result};

/// The network: its layers in order, and the layout of their parameters.
pub(super) struct DynamicsNetwork {
    pub layout: Arc<Layout>,
    pub sizes: Sizes,
    pub stem: Stem,
    conditions: ConditionEmbeddings,
    position: Slot,
    pub trunk: Vec<Sublayer>,
    /// The sublayer after which clean frames are not needed; the outcome head reads its output.
    narrow: usize,
    pub head: Head,
    pub outcome: Option<OutcomeHead>,
    memory: Option<MemoryEncoder>,
}

/// An input frame: its latent, those before it, and its conditions.
pub(super) struct Frame<'a> {
    /// z_τ [gh, gw, c].
    pub latent: &'a [f32],
    /// [gh, gw, stem_frames·c].
    pub past: &'a [f32],
    pub action: Action,
    pub signal: f32,
    pub step: u32,
}

impl DynamicsNetwork {
    /// The network of a configuration with the parameters `vars`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another rank.
    pub(super) fn new(config: &WorldConfig, vars: &BTreeMap<String, Var>) -> Result<Self> {
        let mut layout = Layout::new(vars);
        let l = &mut layout;
        let d = &config.dynamics;
        let sizes = Sizes::new(config);
        let mut trunk = Vec::new();
        let mut narrow = None;
        for i in 0..d.depth {
            let name = |part: &str| format!("layers.{i}.{part}");
            let attention = |l: &mut Layout, part: &str| {
                AttentionLayer::new(l, &name(part), d.heads, sizes.tokens)
            };
            trunk.push(Sublayer::SpatialAttention(attention(l, "space")?));
            let timed = d.has_time(i);
            if timed && d.delta_state {
                trunk.push(Sublayer::Delta(DeltaLayer::new(l, &name("state"))?));
            }
            if timed {
                trunk.push(Sublayer::TemporalAttention(attention(l, "time")?));
            }
            if timed || i == 0 {
                narrow = Some(trunk.len() - 1);
            }
            if timed && d.memory.is_some() {
                trunk.push(Sublayer::Recall(RecallLayer::new(l, &name("memory"))?));
            }
            trunk.push(Sublayer::Mlp(MlpLayer::new(l, &name("mlp"))?));
        }
        let narrow = narrow.ok_or_else(|| Error::Argument("dynamics.depth is 0".into()))?;
        let stem = Stem::new(l, &sizes)?;
        let head = Head::new(l, &sizes)?;
        let outcome = match d.outcome {
            0 => None,
            _ => Some(OutcomeHead::new(l)?),
        };
        let memory = match d.memory {
            None => None,
            Some(_) => Some(MemoryEncoder::new(l)?),
        };
        Ok(Self {
            sizes,
            stem,
            conditions: ConditionEmbeddings::new(&layout, "token", d.width)?,
            position: layout.slot("position")?,
            trunk,
            narrow,
            head,
            outcome,
            memory,
            layout: Arc::new(layout),
        })
    }

    /// Buffers for sequences of up to `all` frames.
    pub(super) fn buffers(&self, all: FrameCounts) -> SequenceBuffers {
        SequenceBuffers::new(&self.sizes, &self.trunk, self.outcome.as_ref(), all)
    }

    /// Writes a frame into the buffers, as frame `at` of the sequence.
    ///
    /// # Errors
    /// Returns an error if the network has no such action or step size, or a latent has another size.
    pub(super) fn load(&self, at: usize, frame: &Frame, t: &mut SequenceBuffers) -> Result<()> {
        let condition = Condition::new(&frame.action, frame.signal, frame.step);
        let [actions, steps] = self.conditions.sizes();
        if condition.action >= actions || condition.step >= steps {
            return Err(Error::Argument(format!(
                "action {} of {actions} and step size {} of {steps} in a training frame",
                condition.action, condition.step
            )));
        }
        t.conditions[at] = condition;
        self.stem.load(at, frame.latent, frame.past, t)
    }

    /// Computes the tokens of what the sequence recalls, and the keys and values of all layers. Comes
    /// before [`Self::forward`].
    pub(super) fn encode_memory(&self, w: &Weights, t: &mut SequenceBuffers) {
        let (Some(encoder), Some(memory)) = (&self.memory, &mut t.memory) else {
            return;
        };
        if !memory.in_use {
            return;
        }
        encoder.forward(w, &self.sizes, t.all.length, memory, &mut t.mlp);
        let pass = self.recall_pass(w, t.all.length);
        for (sublayer, kept) in self.trunk.iter().zip(&mut t.kept) {
            if let Sublayer::Recall(layer) = sublayer {
                let saved = &mut kept.recall;
                layer.read_memory(pass, memory, saved, &mut t.attention);
            }
        }
    }

    fn recall_pass<'a>(&'a self, weights: &'a Weights, length: usize) -> RecallPass<'a> {
        RecallPass {
            weights,
            sizes: &self.sizes,
            length,
        }
    }

    /// Predicts the frames `frames` of the sequence. The clean frames must be among them or have been
    /// computed before.
    pub(super) fn forward(&self, w: &Weights, frames: Range<usize>, t: &mut SequenceBuffers) {
        let s = &self.sizes;
        self.stem.forward(w, frames.clone(), t);
        for f in frames.clone() {
            let (latent, width) = (s.latent_tokens * s.width, s.width);
            let x = &mut t.x[0][f * s.tokens * width..(f + 1) * s.tokens * width];
            x[latent..].fill(0.0);
            let (action, rest) = x[latent..].split_at_mut(width);
            self.conditions.add_action(w, &t.conditions[f], action);
            self.conditions
                .add_signal(w, &t.conditions[f], &mut rest[..width]);
            add(w.get(self.position), x);
        }
        let mut frames = frames;
        for (i, sublayer) in self.trunk.iter().enumerate() {
            if i == self.narrow + 1 {
                self.read_outcome(w, frames.clone(), t);
                frames = frames.start.max(t.all.length)..frames.end;
            }
            if frames.is_empty() {
                return;
            }
            self.sublayer_forward(w, i, sublayer, frames.clone(), t);
        }
        self.head.forward(w, frames, t);
    }

    fn sublayer_forward(
        &self,
        w: &Weights,
        i: usize,
        sublayer: &Sublayer,
        frames: Range<usize>,
        t: &mut SequenceBuffers,
    ) {
        let s = &self.sizes;
        let (before, after) = t.x.split_at_mut(i + 1);
        let (Some(x), Some(y)) = (before.last(), after.first_mut()) else {
            return;
        };
        let kept = &mut t.kept[i];
        let wide = |b: &Range<usize>, n: usize| b.start * s.tokens * n..b.end * s.tokens * n;
        for b in s.blocks(frames.clone()) {
            let rows = wide(&b, s.width);
            match sublayer {
                Sublayer::SpatialAttention(layer) => {
                    layer.spatial_forward(w, b, x, y, &mut kept.attention, &mut t.attention);
                }
                Sublayer::TemporalAttention(layer) => {
                    let saved = &mut kept.attention;
                    let qkv = &mut saved.qkv[wide(&b, 3 * s.width)];
                    let scales = &mut saved.scales[wide(&b, 2 * s.heads)];
                    layer.project(w, &x[rows], qkv, scales, &mut t.attention);
                }
                // A scan over time goes through all blocks.
                Sublayer::Delta(_) => break,
                Sublayer::Recall(layer) => {
                    let Some(memory) = &t.memory else { continue };
                    let (pass, saved) = (self.recall_pass(w, t.all.length), &mut kept.recall);
                    layer.forward(pass, b, (x, y), memory, saved, &mut t.attention);
                }
                Sublayer::Mlp(layer) => {
                    let up = &mut kept.up[wide(&b, 2 * s.hidden)];
                    layer.forward(w, &x[rows.clone()], up, &mut y[rows], &mut t.mlp);
                }
            }
        }
        if let (Sublayer::Delta(layer), Some(scratch)) = (sublayer, &mut t.delta) {
            let (scope, buffers) = ((frames.clone(), t.all), (&mut t.attention, scratch));
            layer.forward((w, s), scope, (x, y), &mut kept.delta, buffers);
        }
        if let Sublayer::TemporalAttention(layer) = sublayer {
            let saved = &mut kept.attention;
            layer.temporal_forward(w, frames.clone(), t.all, saved, &mut t.attention);
            for b in s.blocks(frames) {
                let rows = wide(&b, s.width);
                let mixed = &saved.mixed[rows.clone()];
                layer.join(w, &x[rows.clone()], mixed, &mut y[rows]);
            }
        }
    }

    /// The signal token of a frame.
    fn signal_token(&self, frame: usize) -> Range<usize> {
        let s = &self.sizes;
        let at = (frame * s.tokens + s.latent_tokens + 1) * s.width;
        at..at + s.width
    }

    fn read_outcome(&self, w: &Weights, frames: Range<usize>, t: &mut SequenceBuffers) {
        let (Some(head), Some(state)) = (&self.outcome, &mut t.outcome) else {
            return;
        };
        let (clean, width) = (t.all.length, self.sizes.width);
        if frames.start > 0 {
            return;
        }
        let x = &t.x[self.narrow + 1];
        for (f, token) in state.tokens.chunks_exact_mut(width).take(clean).enumerate() {
            token.copy_from_slice(&x[self.signal_token(f)]);
        }
        head.forward(w, clean, state);
    }

    /// Adds the gradients of all parameters to `gradient`, given those of the noised copies' outputs
    /// and of the outcomes in `t`.
    pub(super) fn backward(&self, w: &Weights, gradient: &mut [f32], t: &mut SequenceBuffers) {
        let s = &self.sizes;
        let (clean, count, frame) = (t.all.length, t.all.count, s.tokens * s.width);
        t.dx[clean * frame..count * frame].fill(0.0);
        if let Some(memory) = &mut t.memory {
            memory.dtokens.fill(0.0);
        }
        self.head.backward(w, clean..count, gradient, t);
        for (i, sublayer) in self.trunk.iter().enumerate().rev() {
            if i == self.narrow {
                t.dx[..clean * frame].fill(0.0);
                self.outcome_backward(w, gradient, t);
            }
            let first = if i > self.narrow { clean } else { 0 };
            self.sublayer_backward(w, i, sublayer, first..count, gradient, t);
        }
        let dx = &t.dx[..count * frame];
        sum_rows(dx, self.position.of_mut(gradient));
        for (f, dx) in dx.chunks_exact(frame).enumerate() {
            let (_, conditions) = dx.split_at(s.latent_tokens * s.width);
            let (action, rest) = conditions.split_at(s.width);
            let condition = &t.conditions[f];
            self.conditions.action_gradient(condition, action, gradient);
            let signal = &rest[..s.width];
            self.conditions.signal_gradient(condition, signal, gradient);
        }
        self.stem.backward(w, 0..count, gradient, t);
        if let (Some(encoder), Some(memory)) = (&self.memory, &mut t.memory)
            && memory.in_use
        {
            encoder.backward(w, s, clean, gradient, memory, &mut t.mlp);
        }
    }

    fn outcome_backward(&self, w: &Weights, gradient: &mut [f32], t: &mut SequenceBuffers) {
        let (Some(head), Some(state)) = (&self.outcome, &mut t.outcome) else {
            return;
        };
        let (clean, width) = (t.all.length, self.sizes.width);
        head.backward(w, clean, gradient, state);
        for (f, token) in state.dtokens.chunks_exact(width).take(clean).enumerate() {
            add(token, &mut t.dx[self.signal_token(f)]);
        }
    }

    fn sublayer_backward(
        &self,
        w: &Weights,
        i: usize,
        sublayer: &Sublayer,
        frames: Range<usize>,
        gradient: &mut [f32],
        t: &mut SequenceBuffers,
    ) {
        let s = &self.sizes;
        let (x, kept, dx) = (&t.x[i], &t.kept[i], &mut t.dx);
        let wide = |b: &Range<usize>, n: usize| b.start * s.tokens * n..b.end * s.tokens * n;
        match sublayer {
            Sublayer::SpatialAttention(layer) => {
                for b in s.blocks(frames) {
                    let saved = &kept.attention;
                    layer.spatial_backward(w, b, (x, saved), dx, gradient, &mut t.attention);
                }
            }
            Sublayer::Mlp(layer) => {
                for b in s.blocks(frames) {
                    let rows = wide(&b, s.width);
                    let up = &kept.up[wide(&b, 2 * s.hidden)];
                    let dx = &mut dx[rows.clone()];
                    layer.backward(w, &x[rows], up, dx, gradient, &mut t.mlp);
                }
            }
            Sublayer::Delta(layer) => {
                let Some(scratch) = &mut t.delta else { return };
                let (saved, buffers) = ((&x[..], &kept.delta), (&mut t.attention, scratch));
                let gradients = (&mut t.dmixed[..], &mut t.dqkv[..]);
                layer.backward((w, s, t.all), saved, (dx, gradient), gradients, buffers);
            }
            Sublayer::Recall(layer) => {
                let Some(memory) = &mut t.memory else { return };
                let scratch = (&mut t.attention, &mut t.dmemory);
                let (pass, saved) = (self.recall_pass(w, t.all.length), (&x[..], &kept.recall));
                layer.backward(pass, frames, saved, (dx, gradient), memory, scratch);
            }
            Sublayer::TemporalAttention(layer) => {
                let saved = &kept.attention;
                for b in s.blocks(frames.clone()) {
                    let rows = wide(&b, s.width);
                    let mixed = &saved.mixed[rows.clone()];
                    let dmixed = &mut t.dmixed[rows.clone()];
                    layer.split(w, &dx[rows], mixed, dmixed, gradient);
                }
                let dqkv = &mut t.dqkv;
                let gradients = (&t.dmixed[..], &mut dqkv[..]);
                layer.temporal_backward(w, t.all, saved, gradients, gradient, &mut t.attention);
                for b in s.blocks(frames) {
                    let rows = wide(&b, s.width);
                    let qkv = wide(&b, 3 * s.width);
                    let scales = &saved.scales[wide(&b, 2 * s.heads)];
                    let saved = [&x[rows.clone()], &saved.qkv[qkv.clone()], scales];
                    let (dqkv, dx) = (&mut dqkv[qkv], &mut dx[rows]);
                    let a = &mut t.attention;
                    let scratch = (&mut a.normed[..], &mut a.gradient[..]);
                    layer.unproject(w, saved, dqkv, dx, gradient, scratch);
                }
            }
        }
    }
}
