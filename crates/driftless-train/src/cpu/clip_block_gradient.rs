//! The gradients of a block of the clip network.

use super::attention_heads::{HeadSizes, ProjectedGradient};
use super::clip_block::{BlockPass, BlockScratch, ClipBlock, CrossAttention, SavedBlock};
use super::modulation::{add_gated_gradient, modulate_gradient};
use super::row_ops::{add, normalize_gradient, swiglu_gradient};

impl ClipBlock {
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
