//! A block of the clip network; see `driftless_clip::network`. It works on n groups of tokens at a time:
//! clips, or prompts. Its gradients are in `clip_block_gradient.rs`.

use driftless_clip::rotary::Rotary;

use super::attention::AttentionScratch;
use super::attention_heads::{HeadSizes, padded};
use super::buffer::Buffer;
use super::linear::Linear;
use super::modulation::{PER_SUBLAYER, VectorShape, add_gated, modulate};
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{normalize, swiglu};
use crate::Result;

/// The parameters of a block.
pub(super) struct ClipBlock {
    pub(super) modulation: Linear,
    pub(super) qkv: Linear,
    pub(super) scales: Slot,
    pub(super) out: Linear,
    pub(super) cross: Option<CrossAttention>,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) heads: usize,
}

/// The parameters of the attention to words.
pub(super) struct CrossAttention {
    pub(super) q: Linear,
    pub(super) kv: Linear,
    pub(super) scales: Slot,
    pub(super) out: Linear,
}

/// Sizes of the groups that a block works on.
#[derive(Clone, Copy)]
pub(super) struct Groups {
    /// Number of groups, n.
    pub count: usize,
    /// Tokens of a group, S.
    pub tokens: usize,
    /// Words that a group reads, L.
    pub words: usize,
}

/// What a block keeps of a forward pass.
pub(super) struct SavedBlock {
    /// Scale, shift and gate of each sublayer, [n, 3·sublayers·w].
    pub(super) vectors: Buffer,
    /// The input of each sublayer, [n·S, w].
    pub(super) x: [Buffer; 3],
    /// The output of each sublayer before its gate, [n·S, w].
    pub(super) y: [Buffer; 3],
    /// Normalized queries and keys, and values, [n·S, 3·w].
    pub(super) qkv: Buffer,
    /// 1/‖q‖ and 1/‖k‖, [n·S, 2·heads].
    pub(super) norms: Buffer,
    /// Weights of the softmax, [n, heads, S, padded S].
    pub(super) weights: Buffer,
    /// The input of W_out, [n·S, w].
    pub(super) mixed: Buffer,
    /// The same for the attention to words: [n·S, w], [n·L, 2·w] and so on.
    pub(super) q: Buffer,
    pub(super) q_norms: Buffer,
    pub(super) kv: Buffer,
    pub(super) kv_norms: Buffer,
    pub(super) read: Buffer,
    pub(super) read_mixed: Buffer,
    /// The output of the MLP's first layer, [n·S, 2·mlp].
    pub(super) up: Buffer,
}

/// Buffers that blocks share.
pub(super) struct BlockScratch {
    pub(super) h: Buffer,
    pub(super) dh: Buffer,
    pub(super) dy: Buffer,
    pub(super) dmixed: Buffer,
    pub(super) dqkv: Buffer,
    pub(super) dkv: Buffer,
    pub(super) dwords: Buffer,
    pub(super) hidden: Buffer,
    pub(super) dup: Buffer,
    pub(super) dvectors: Buffer,
    pub(super) de: Buffer,
    pub(super) attention: AttentionScratch,
}

impl BlockScratch {
    /// For groups of at most these sizes.
    pub(super) fn new(most: Groups, width: usize, heads: usize, mlp: usize) -> Self {
        let rows = most.count * most.tokens;
        let keys = padded(most.tokens.max(most.words));
        let wide = || Buffer::new(rows * width);
        Self {
            h: wide(),
            dh: wide(),
            dy: wide(),
            dmixed: wide(),
            dqkv: Buffer::new(3 * rows * width),
            dkv: Buffer::new(most.count * most.words * 2 * width),
            dwords: Buffer::new(most.count * most.words * width),
            hidden: Buffer::new(rows * mlp),
            dup: Buffer::new(rows * 2 * mlp),
            dvectors: Buffer::new(most.count * 3 * PER_SUBLAYER * width),
            de: Buffer::new(most.count * width),
            attention: AttentionScratch {
                normed: Buffer::default(),
                gradient: Buffer::default(),
                dqkv: Buffer::default(),
                columns: Buffer::new(width / heads * keys),
                dlogits: Buffer::new(most.tokens * keys),
                down: Buffer::default(),
                bias: Buffer::new(keys),
                dbias: Buffer::default(),
            },
        }
    }
}

/// What all passes of a block take.
#[derive(Clone, Copy)]
pub(super) struct BlockPass<'a> {
    pub weights: &'a Weights,
    pub groups: Groups,
    /// Positions of the tokens of a group.
    pub positions: &'a Rotary,
    /// silu(e), [n, w].
    pub e: &'a [f32],
}

impl ClipBlock {
    pub(super) fn new(
        layout: &mut Layout,
        name: &str,
        heads: usize,
        reads_words: bool,
    ) -> Result<Self> {
        let mut linear = |part: &str| Linear::new(layout, &format!("{name}.{part}"), false);
        let (qkv, out) = (linear("self.qkv")?, linear("self.out")?);
        let (up, down) = (linear("mlp.up")?, linear("mlp.down")?);
        let cross = if reads_words {
            Some((
                linear("cross.q")?,
                linear("cross.kv")?,
                linear("cross.out")?,
            ))
        } else {
            None
        };
        let cross = cross.map(|(q, kv, out)| {
            Ok::<_, crate::Error>(CrossAttention {
                q,
                kv,
                out,
                scales: layout.slot(&format!("{name}.cross.attention"))?,
            })
        });
        Ok(Self {
            modulation: Linear::new(layout, &format!("modulation.{name}"), true)?,
            scales: layout.slot(&format!("{name}.self.attention"))?,
            cross: cross.transpose()?,
            qkv,
            out,
            up,
            down,
            heads,
        })
    }

    pub(super) fn width(&self) -> usize {
        self.out.outputs()
    }

    pub(super) fn vectors(&self) -> VectorShape {
        VectorShape {
            width: self.width(),
            sublayers: 2 + usize::from(self.cross.is_some()),
        }
    }

    /// The place of the MLP among the sublayers.
    pub(super) fn last(&self) -> usize {
        self.vectors().sublayers - 1
    }

    /// What groups of at most these sizes need.
    pub(super) fn saved(&self, most: Groups) -> SavedBlock {
        let (w, heads) = (self.width(), self.heads);
        let rows = most.count * most.tokens;
        let wide = || Buffer::new(rows * w);
        let cross = |len: usize| Buffer::new(if self.cross.is_some() { len } else { 0 });
        let words = most.count * most.words;
        SavedBlock {
            vectors: Buffer::new(most.count * self.vectors().len()),
            x: [wide(), wide(), wide()],
            y: [wide(), wide(), wide()],
            qkv: Buffer::new(3 * rows * w),
            norms: Buffer::new(rows * 2 * heads),
            weights: Buffer::new(rows * heads * padded(most.tokens)),
            mixed: wide(),
            q: cross(rows * w),
            q_norms: cross(rows * heads),
            kv: cross(words * 2 * w),
            kv_norms: cross(words * heads),
            read: cross(rows * heads * padded(most.words)),
            read_mixed: cross(rows * w),
            up: Buffer::new(rows * self.up.outputs()),
        }
    }

    /// Replaces `x` [n·S, w] by the block's output. `words` [n·L, w] are read if the block reads any.
    pub(super) fn forward(
        &self,
        p: BlockPass,
        x: &mut [f32],
        words: &[f32],
        saved: &mut SavedBlock,
        t: &mut BlockScratch,
    ) {
        let vectors = self.vectors();
        let all = &mut saved.vectors[..p.groups.count * vectors.len()];
        self.modulation.forward(p.weights, p.e, all);
        self.modulated(p, 0, x, saved, t);
        self.attend(p, saved, t);
        self.add(p, 0, x, saved);
        if let Some(cross) = &self.cross {
            self.modulated(p, 1, x, saved, t);
            self.read(cross, p, words, saved, t);
            self.add(p, 1, x, saved);
        }
        let last = self.last();
        self.modulated(p, last, x, saved, t);
        let rows = x.len() / self.width();
        let up = &mut saved.up[..rows * self.up.outputs()];
        let hidden = &mut t.hidden[..rows * self.down.inputs()];
        self.up.forward(p.weights, &t.h[..x.len()], up);
        swiglu(self.down.inputs(), up, hidden);
        self.down
            .forward(p.weights, hidden, &mut saved.y[last][..x.len()]);
        self.add(p, last, x, saved);
    }

    /// Keeps x as the input of a sublayer, and computes h.
    fn modulated(
        &self,
        p: BlockPass,
        sublayer: usize,
        x: &[f32],
        saved: &mut SavedBlock,
        t: &mut BlockScratch,
    ) {
        saved.x[sublayer][..x.len()].copy_from_slice(x);
        self.modulated_again(p, sublayer, saved, t);
    }

    /// Computes h of a sublayer from what was kept.
    pub(super) fn modulated_again(
        &self,
        p: BlockPass,
        sublayer: usize,
        saved: &SavedBlock,
        t: &mut BlockScratch,
    ) {
        let one = p.groups.tokens * self.width();
        for i in 0..p.groups.count {
            let group = i * one..(i + 1) * one;
            let [scale, shift, _] = self.vectors().of(&saved.vectors, i, sublayer);
            let x = &saved.x[sublayer][group.clone()];
            modulate(x, scale, shift, &mut t.h[group]);
        }
    }

    /// x ← x + gate ∘ y of a sublayer.
    fn add(&self, p: BlockPass, sublayer: usize, x: &mut [f32], saved: &SavedBlock) {
        let one = p.groups.tokens * self.width();
        for (i, x) in x.chunks_exact_mut(one).enumerate() {
            let group = i * one..(i + 1) * one;
            let [.., gate] = self.vectors().of(&saved.vectors, i, sublayer);
            let before = &saved.x[sublayer][group.clone()];
            add_gated(before, &saved.y[sublayer][group], gate, x);
        }
    }

    /// The attention of the tokens of each group to each other.
    fn attend(&self, p: BlockPass, saved: &mut SavedBlock, t: &mut BlockScratch) {
        let (w, width) = (p.weights, self.width());
        let rows = p.groups.count * p.groups.tokens;
        let sizes = HeadSizes::own(p.groups.tokens, self.heads, width);
        let qkv = &mut saved.qkv[..rows * 3 * width];
        self.qkv.forward(w, &t.h[..rows * width], qkv);
        for (i, row) in qkv.chunks_exact_mut(3 * width).enumerate() {
            let token = i % p.groups.tokens;
            p.positions.turn_row(token, &mut row[..2 * width]);
        }
        let norms = &mut saved.norms[..rows * 2 * self.heads];
        normalize(sizes.size(), 2 * self.heads, 3 * width, qkv, norms);
        let each = self.heads * sizes.weights();
        let mixed = &mut saved.mixed[..rows * width];
        let groups = qkv
            .chunks_exact(p.groups.tokens * 3 * width)
            .zip(mixed.chunks_exact_mut(p.groups.tokens * width))
            .zip(saved.weights.chunks_exact_mut(each));
        for ((qkv, mixed), weights) in groups {
            let parts = [qkv, &qkv[width..], &qkv[2 * width..]];
            sizes.mix(w.get(self.scales), parts, weights, mixed, &mut t.attention);
        }
        self.out.forward(w, mixed, &mut saved.y[0][..rows * width]);
    }

    /// The attention of the tokens of each group to its words.
    fn read(
        &self,
        cross: &CrossAttention,
        p: BlockPass,
        words: &[f32],
        saved: &mut SavedBlock,
        t: &mut BlockScratch,
    ) {
        let (w, width, g) = (p.weights, self.width(), p.groups);
        let (rows, keys) = (g.count * g.tokens, g.count * g.words);
        let sizes = HeadSizes::across(g.tokens, g.words, self.heads, width);
        let q = &mut saved.q[..rows * width];
        cross.q.forward(w, &t.h[..rows * width], q);
        let norms = &mut saved.q_norms[..rows * self.heads];
        normalize(sizes.size(), self.heads, width, q, norms);
        let kv = &mut saved.kv[..keys * 2 * width];
        cross.kv.forward(w, &words[..keys * width], kv);
        let norms = &mut saved.kv_norms[..keys * self.heads];
        normalize(sizes.size(), self.heads, 2 * width, kv, norms);
        let each = self.heads * sizes.weights();
        let mixed = &mut saved.read_mixed[..rows * width];
        let groups = q
            .chunks_exact(g.tokens * width)
            .zip(kv.chunks_exact(g.words * 2 * width))
            .zip(mixed.chunks_exact_mut(g.tokens * width))
            .zip(saved.read.chunks_exact_mut(each));
        for (((q, kv), mixed), weights) in groups {
            let parts = [q, kv, &kv[width..]];
            sizes.mix(w.get(cross.scales), parts, weights, mixed, &mut t.attention);
        }
        cross.out.forward(w, mixed, &mut saved.y[1][..rows * width]);
    }
}
