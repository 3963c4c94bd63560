//! A block of the clip network; see `driftless_clip::network`. It works on n groups of tokens at a time:
//! clips, or prompts.

use driftless_clip::rotary::Rotary;

use super::attention::AttentionScratch;
use super::attention_heads::{HeadSizes, ProjectedGradient, padded};
use super::buffer::Buffer;
use super::linear::Linear;
use super::modulation::{
    PER_SUBLAYER, VectorShape, add_gated, add_gated_gradient, modulate, modulate_gradient,
};
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{add, normalize, normalize_gradient, swiglu, swiglu_gradient};
use crate::Result;

/// The parameters of a block.
pub(super) struct ClipBlock {
    modulation: Linear,
    qkv: Linear,
    scales: Slot,
    out: Linear,
    cross: Option<CrossAttention>,
    up: Linear,
    down: Linear,
    heads: usize,
}

/// The parameters of the attention to words.
struct CrossAttention {
    q: Linear,
    kv: Linear,
    scales: Slot,
    out: Linear,
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
    vectors: Buffer,
    /// The input of each sublayer, [n·S, w].
    x: [Buffer; 3],
    /// The output of each sublayer before its gate, [n·S, w].
    y: [Buffer; 3],
    /// Normalized queries and keys, and values, [n·S, 3·w].
    qkv: Buffer,
    /// 1/‖q‖ and 1/‖k‖, [n·S, 2·heads].
    norms: Buffer,
    /// Weights of the softmax, [n, heads, S, padded S].
    weights: Buffer,
    /// The input of W_out, [n·S, w].
    mixed: Buffer,
    /// The same for the attention to words: [n·S, w], [n·L, 2·w] and so on.
    q: Buffer,
    q_norms: Buffer,
    kv: Buffer,
    kv_norms: Buffer,
    read: Buffer,
    read_mixed: Buffer,
    /// The output of the MLP's first layer, [n·S, 2·mlp].
    up: Buffer,
}

/// Buffers that blocks share.
pub(super) struct BlockScratch {
    h: Buffer,
    dh: Buffer,
    dy: Buffer,
    dmixed: Buffer,
    dqkv: Buffer,
    dkv: Buffer,
    dwords: Buffer,
    hidden: Buffer,
    dup: Buffer,
    dvectors: Buffer,
    de: Buffer,
    attention: AttentionScratch,
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

    fn width(&self) -> usize {
        self.out.outputs()
    }

    fn vectors(&self) -> VectorShape {
        VectorShape {
            width: self.width(),
            sublayers: 2 + usize::from(self.cross.is_some()),
        }
    }

    /// The place of the MLP among the sublayers.
    fn last(&self) -> usize {
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
    fn modulated_again(
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

    /// Replaces the gradient of the block's output in `dx` by that of its input. Adds the gradients of the
    /// parameters, of silu(e) to `de`, and of the words to `dwords`.
    pub(super) fn backward(
        &self,
        p: BlockPass,
        words: &[f32],
        saved: &SavedBlock,
        (dx, de, dwords): (&mut [f32], &mut [f32], &mut [f32]),
        gradient: &mut [f32],
        t: &mut BlockScratch,
    ) {
        let len = p.groups.count * self.vectors().len();
        t.dvectors[..len].fill(0.0);
        self.mlp_backward(p, saved, dx, gradient, t);
        if let Some(cross) = &self.cross {
            self.read_backward(cross, p, words, saved, (&mut *dx, dwords), gradient, t);
        }
        self.attend_backward(p, saved, dx, gradient, t);
        let dvectors = &t.dvectors[..len];
        self.modulation.weight_gradient(dvectors, p.e, gradient);
        let own = &mut t.de[..de.len()];
        self.modulation.input_gradient(p.weights, dvectors, own);
        add(own, de);
    }

    /// The gradient of a sublayer's y, from that of its output `dx`.
    fn gated_backward(
        &self,
        p: BlockPass,
        sublayer: usize,
        saved: &SavedBlock,
        dx: &[f32],
        t: &mut BlockScratch,
    ) {
        let one = p.groups.tokens * self.width();
        for (i, dx) in dx.chunks_exact(one).enumerate() {
            let group = i * one..(i + 1) * one;
            let [.., gate] = self.vectors().of(&saved.vectors, i, sublayer);
            let [.., dgate] = self.vectors().of_mut(&mut t.dvectors, i, sublayer);
            let y = &saved.y[sublayer][group.clone()];
            add_gated_gradient(dx, y, gate, &mut t.dy[group], dgate);
        }
    }

    /// Adds the gradient of a sublayer's input to `dx`, from that of h in `t.dh`.
    fn modulated_backward(
        &self,
        p: BlockPass,
        sublayer: usize,
        saved: &SavedBlock,
        dx: &mut [f32],
        t: &mut BlockScratch,
    ) {
        let one = p.groups.tokens * self.width();
        for (i, dx) in dx.chunks_exact_mut(one).enumerate() {
            let group = i * one..(i + 1) * one;
            let [scale, ..] = self.vectors().of(&saved.vectors, i, sublayer);
            let [dscale, dshift, _] = self.vectors().of_mut(&mut t.dvectors, i, sublayer);
            let x = &saved.x[sublayer][group.clone()];
            modulate_gradient(x, scale, &mut t.dh[group], dx, dscale, dshift);
        }
    }

    fn mlp_backward(
        &self,
        p: BlockPass,
        saved: &SavedBlock,
        dx: &mut [f32],
        gradient: &mut [f32],
        t: &mut BlockScratch,
    ) {
        let last = self.last();
        let rows = dx.len() / self.width();
        self.gated_backward(p, last, saved, dx, t);
        let dy = &t.dy[..dx.len()];
        let up = &saved.up[..rows * self.up.outputs()];
        let hidden = &mut t.hidden[..rows * self.down.inputs()];
        let dup = &mut t.dup[..up.len()];
        self.down.input_gradient(p.weights, dy, hidden);
        swiglu_gradient(self.down.inputs(), up, hidden, dup);
        self.down.weight_gradient(dy, hidden, gradient);
        self.modulated_again(p, last, saved, t);
        let dup = &t.dup[..up.len()];
        self.up.weight_gradient(dup, &t.h[..dx.len()], gradient);
        self.up
            .input_gradient(p.weights, dup, &mut t.dh[..dx.len()]);
        self.modulated_backward(p, last, saved, dx, t);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a backward pass")]
    fn read_backward(
        &self,
        cross: &CrossAttention,
        p: BlockPass,
        words: &[f32],
        saved: &SavedBlock,
        (dx, dwords): (&mut [f32], &mut [f32]),
        gradient: &mut [f32],
        t: &mut BlockScratch,
    ) {
        let (w, width, g) = (p.weights, self.width(), p.groups);
        let (rows, keys) = (g.count * g.tokens, g.count * g.words);
        let sizes = HeadSizes::across(g.tokens, g.words, self.heads, width);
        self.gated_backward(p, 1, saved, dx, t);
        let (dy, dmixed) = (&t.dy[..dx.len()], &mut t.dmixed[..dx.len()]);
        cross.out.input_gradient(w, dy, dmixed);
        cross
            .out
            .weight_gradient(dy, &saved.read_mixed[..dx.len()], gradient);
        let (q, kv) = (&saved.q[..rows * width], &saved.kv[..keys * 2 * width]);
        let (dq, dkv) = (&mut t.dqkv[..q.len()], &mut t.dkv[..kv.len()]);
        let each = self.heads * sizes.weights();
        for i in 0..g.count {
            let (of_q, of_kv) = (
                i * g.tokens * width..(i + 1) * g.tokens * width,
                i * g.words * 2 * width..(i + 1) * g.words * 2 * width,
            );
            let kv = &kv[of_kv.clone()];
            let split =
                &mut ProjectedGradient::Split(&mut dq[of_q.clone()], &mut dkv[of_kv], width);
            sizes.mix_gradient(
                w.get(cross.scales),
                [&q[of_q.clone()], kv, &kv[width..]],
                (&saved.read[i * each..(i + 1) * each], &dmixed[of_q]),
                split,
                cross.scales.of_mut(gradient),
                (&mut t.attention.columns, &mut t.attention.dlogits),
            );
        }
        let (d, heads) = (sizes.size(), self.heads);
        let norms = &saved.q_norms[..rows * heads];
        normalize_gradient(d, heads, width, q, norms, dq);
        let norms = &saved.kv_norms[..keys * heads];
        normalize_gradient(d, heads, 2 * width, kv, norms, dkv);
        cross
            .kv
            .weight_gradient(dkv, &words[..keys * width], gradient);
        let own = &mut t.dwords[..keys * width];
        cross.kv.input_gradient(w, dkv, own);
        add(own, &mut dwords[..keys * width]);
        self.modulated_again(p, 1, saved, t);
        let dq = &t.dqkv[..rows * width];
        cross.q.weight_gradient(dq, &t.h[..dx.len()], gradient);
        cross.q.input_gradient(w, dq, &mut t.dh[..dx.len()]);
        self.modulated_backward(p, 1, saved, dx, t);
    }

    fn attend_backward(
        &self,
        p: BlockPass,
        saved: &SavedBlock,
        dx: &mut [f32],
        gradient: &mut [f32],
        t: &mut BlockScratch,
    ) {
        let (w, width, g) = (p.weights, self.width(), p.groups);
        let rows = g.count * g.tokens;
        let sizes = HeadSizes::own(g.tokens, self.heads, width);
        self.gated_backward(p, 0, saved, dx, t);
        let (dy, dmixed) = (&t.dy[..dx.len()], &mut t.dmixed[..dx.len()]);
        self.out.input_gradient(w, dy, dmixed);
        self.out
            .weight_gradient(dy, &saved.mixed[..dx.len()], gradient);
        let qkv = &saved.qkv[..rows * 3 * width];
        let dqkv = &mut t.dqkv[..qkv.len()];
        let each = self.heads * sizes.weights();
        let groups = qkv
            .chunks_exact(g.tokens * 3 * width)
            .zip(dqkv.chunks_exact_mut(g.tokens * 3 * width))
            .zip(dmixed.chunks_exact(g.tokens * width))
            .zip(saved.weights.chunks_exact(each));
        for (((qkv, dqkv), dmixed), weights) in groups {
            sizes.mix_gradient(
                w.get(self.scales),
                [qkv, &qkv[width..], &qkv[2 * width..]],
                (weights, dmixed),
                &mut ProjectedGradient::Joint(dqkv, width),
                self.scales.of_mut(gradient),
                (&mut t.attention.columns, &mut t.attention.dlogits),
            );
        }
        let norms = &saved.norms[..rows * 2 * self.heads];
        normalize_gradient(sizes.size(), 2 * self.heads, 3 * width, qkv, norms, dqkv);
        for (i, row) in dqkv.chunks_exact_mut(3 * width).enumerate() {
            p.positions
                .turn_row_back(i % g.tokens, &mut row[..2 * width]);
        }
        self.modulated_again(p, 0, saved, t);
        let dqkv = &t.dqkv[..qkv.len()];
        self.qkv.weight_gradient(dqkv, &t.h[..dx.len()], gradient);
        self.qkv.input_gradient(w, dqkv, &mut t.dh[..dx.len()]);
        self.modulated_backward(p, 0, saved, dx, t);
    }
}
