//! The fused operation: checks the shapes, splits the batch over threads, and calls the loops in
//! [`super::forward`] and [`super::backward`].

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::backward::backward_entry;
use super::forward::forward_entry;
use super::pattern::AttentionPattern;
use super::plan::AttentionPlan;
use crate::ops::{TensorResult, cpu_slice, sum_in_order, with_cpu_slices};

/// Attention as one candle operation on the CPU.
pub(super) struct AttentionOp {
    pub(super) pattern: AttentionPattern,
}

impl AttentionOp {
    /// Checks the shapes and calls `f` with the plan.
    fn plan<R>(
        &self,
        qkv: &[usize],
        parameters: (&[usize], &[f32]),
        f: impl FnOnce(&AttentionPlan) -> R,
    ) -> TensorResult<R> {
        let (&[_, frames, s, w3], &[heads, columns]) = (qkv, parameters.0) else {
            bail!(
                "attention: qkv {qkv:?} and parameters {:?}, expected 4 and 2 dimensions",
                parameters.0
            )
        };
        let whole_copies = match self.pattern {
            AttentionPattern::Space => true,
            AttentionPattern::Time { frames: t, window } => t > 0 && window > 0 && frames % t == 0,
        };
        if !whole_copies
            || columns != self.pattern.parameters()
            || heads == 0
            || w3 % (3 * heads) != 0
        {
            bail!(
                "attention: qkv {qkv:?} and parameters {:?} do not fit {:?}",
                parameters.0,
                self.pattern
            )
        }
        let length = self.pattern.length(frames, s);
        let padded = length.next_multiple_of(8);
        let mut mask = vec![0f32; length * padded];
        for i in 0..length {
            for j in 0..length {
                if self.pattern.distance(i, j).is_some() {
                    mask[i * padded + j] = 1.0;
                }
            }
        }
        Ok(f(&AttentionPlan {
            pattern: self.pattern,
            f: frames,
            s,
            heads,
            d: w3 / 3 / heads,
            length,
            padded,
            parameters: parameters.1,
            mask: &mask,
        }))
    }
}

impl CustomOp2 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        lq: &Layout,
        parameters: &CpuStorage,
        lp: &Layout,
    ) -> TensorResult<(CpuStorage, Shape)> {
        let (qkv, parameters) = (cpu_slice(qkv, lq)?, cpu_slice(parameters, lp)?);
        let (y, shape) = self.plan(lq.dims(), (lp.dims(), parameters), |p| {
            let tokens = p.f * p.s;
            let mut y = vec![0f32; qkv.len() / 3];
            y.par_chunks_mut(tokens * p.width())
                .zip(qkv.par_chunks(tokens * p.width() * 3))
                .for_each(|(y, qkv)| forward_entry(p, qkv, y));
            (y, (lq.dims()[0], p.f, p.s, p.width()))
        })?;
        Ok((CpuStorage::F32(y), Shape::from(shape)))
    }

    fn bwd(
        &self,
        qkv: &Tensor,
        parameters: &Tensor,
        _res: &Tensor,
        dy: &Tensor,
    ) -> TensorResult<(Option<Tensor>, Option<Tensor>)> {
        let (dqkv, dparameters) = with_cpu_slices([qkv, parameters, dy], |[x, values, dy]| {
            self.plan(qkv.dims(), (parameters.dims(), values), |p| {
                let size = p.f * p.s * p.width();
                let mut dqkv = vec![0f32; x.len()];
                let parts = dqkv
                    .par_chunks_mut(3 * size)
                    .zip(x.par_chunks(3 * size))
                    .zip(dy.par_chunks(size))
                    .map(|((dqkv, qkv), dy)| backward_entry(p, qkv, dy, dqkv))
                    .collect();
                (dqkv, sum_in_order(parts, values.len()))
            })
        })??;
        let device = qkv.device();
        Ok((
            Some(Tensor::from_vec(dqkv, qkv.shape(), device)?),
            Some(Tensor::from_vec(dparameters, parameters.shape(), device)?.to_dtype(DType::F32)?),
        ))
    }
}
