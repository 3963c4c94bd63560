//! The parts of a layer of the dynamics as dispatches.

use driftless_model::memory::KEEP_OFFSET;

use super::super::kernel_args::{
    DeltaReadArgs, DeltaWriteArgs, RowLayout, SpatialAttentionArgs, TemporalAttentionArgs,
};
use super::super::kernels::{Kernel, workgroups};
use super::super::layers::{AttentionWeights, Delta, Layer, TemporalAttention};
use super::super::program::ProgramBuilder;
use super::super::weights::MatrixRef;
use super::WgpuDynamics;

impl WgpuDynamics {
    pub(super) fn stream(&self) -> RowLayout {
        RowLayout::contiguous(self.scratch.stream, self.width)
    }

    pub(super) fn attention_workgroups(&self) -> u32 {
        workgroups(self.tokens * self.heads.count as u32)
    }

    /// Computes queries, keys and values of `stream`, into `qkv`.
    pub(super) fn project_qkv(&self, r: &mut ProgramBuilder, attention: &AttentionWeights) {
        let normed = RowLayout::contiguous(self.scratch.normed, self.width);
        r.rms_norm(attention.norm, self.tokens, self.stream(), normed);
        let qkv = RowLayout::contiguous(self.scratch.qkv, 3 * self.heads.width() as u32);
        r.matmul(attention.qkv, self.tokens, normed, qkv);
    }

    pub(super) fn spatial_attention(&self, r: &mut ProgramBuilder, attention: &AttentionWeights) {
        self.project_qkv(r, attention);
        let args = SpatialAttentionArgs {
            qkv: self.scratch.qkv,
            y: self.scratch.attention_out,
            tokens: self.tokens,
            heads: self.heads.count as u32,
            scales: attention.parameters,
            scale: 0.0,
            unused: [0; 2],
        };
        r.push(
            Kernel::AttentionSpatial,
            &args,
            [self.attention_workgroups(), 1],
        );
        self.project_out(r, attention.out);
    }

    pub(super) fn temporal_attention(&self, r: &mut ProgramBuilder, time: &TemporalAttention) {
        let args = TemporalAttentionArgs {
            qkv: self.scratch.qkv,
            y: self.scratch.attention_out,
            keys: time.kv_cache.keys,
            values: time.kv_cache.values,
            tokens: self.tokens,
            heads: self.heads.count as u32,
            parameters: time.attention.parameters,
            context: self.context,
        };
        let groups = [self.attention_workgroups(), 1];
        r.push(Kernel::AttentionTemporal, &args, groups);
        self.project_out(r, time.attention.out);
    }

    /// Adds W · (what was attended to) to `stream`.
    pub(super) fn project_out(&self, r: &mut ProgramBuilder, out: MatrixRef) {
        let attended = RowLayout::contiguous(self.scratch.attention_out, self.heads.width() as u32);
        r.matmul_add(out, self.tokens, attended, self.stream());
    }

    pub(super) fn mlp(&self, r: &mut ProgramBuilder, layer: &Layer) {
        let scratch = [self.scratch.normed, self.scratch.hidden];
        layer.mlp.record(r, self.tokens, self.stream(), scratch);
    }

    /// Lets the tokens of `stream` read a delta state; then the frame writes, if it is finished.
    pub(super) fn delta_state(&self, r: &mut ProgramBuilder, delta: &Delta, writes: bool) {
        let (tokens, heads) = (self.tokens, self.heads.count as u32);
        let width = self.heads.width() as u32;
        let rows = |at, width| RowLayout::contiguous(at, width);
        let normed = rows(self.scratch.normed, self.width);
        r.rms_norm(delta.norm, tokens, self.stream(), normed);
        let (q, kv) = (self.scratch.qkv, self.scratch.qkv + tokens * width);
        let (read_gates, write_gates) = (self.scratch.read_gates, self.scratch.write_gates);
        r.matmul(delta.q, tokens, normed, rows(q, width));
        r.matmul(delta.read_gate, tokens, normed, rows(read_gates, heads));
        let groups = [self.attention_workgroups(), 1];
        let read = DeltaReadArgs {
            q,
            gates: read_gates,
            state: delta.state,
            y: self.scratch.attention_out,
            tokens,
            heads,
            unused: [0; 2],
        };
        r.push(Kernel::DeltaRead, &read, groups);
        if writes {
            r.matmul(delta.kv, tokens, normed, rows(kv, 2 * width));
            let gates = rows(write_gates, 2 * heads);
            r.matmul(delta.write_gates, tokens, normed, gates);
            let write = DeltaWriteArgs {
                kv,
                gates: write_gates,
                state: delta.state,
                tokens,
                heads,
                keep_offset: KEEP_OFFSET,
                unused: [0; 2],
            };
            r.push(Kernel::DeltaWrite, &write, groups);
        }
        self.project_out(r, delta.out);
    }
}
