//! RMSNorm.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{ROWS_PER_TASK, TensorResult, cpu_slice, sum_in_order, with_cpu_slices};
use crate::simd::{dispatch, dot, fma};

/// ε of all norms, added inside the square root.
pub const NORM_EPS: f32 = 1e-6;

/// y = g ∘ x / √(mean x² + ε) over the last dimension of `x` `[.., w]`, with `gain` g `[w]`.
///
/// # Errors
/// Returns an error if the widths differ.
pub fn rms_norm(x: &Tensor, gain: &Tensor) -> TensorResult<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op2(gain, RmsNormOp);
    }
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(NORM_EPS))?
        .sqrt()?
        .recip()?;
    x.broadcast_mul(&scale)?.broadcast_mul(gain)
}

struct RmsNormOp;

dispatch!(/// RMSNorm of every row of `x` by `gain` into `y`.
pub fn rms_norm_rows = rms_norm_body(x: &[f32], gain: &[f32], y: &mut [f32]));
#[inline(always)]
fn rms_norm_body<const FMA: bool>(x: &[f32], gain: &[f32], y: &mut [f32]) {
    let width = gain.len();
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let r = (dot::<FMA>(x, x) / width as f32 + NORM_EPS).sqrt().recip();
        for ((y, x), g) in y.iter_mut().zip(x).zip(gain) {
            *y = x * r * g;
        }
    }
}

dispatch!(fn rms_norm_grad_rows = rms_norm_grad_body(x: &[f32], gain: &[f32], dy: &[f32], dx: &mut [f32], dgain: &mut [f32]));
#[inline(always)]
fn rms_norm_grad_body<const FMA: bool>(
    x: &[f32],
    gain: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dgain: &mut [f32],
) {
    let width = gain.len();
    let rows = x.chunks_exact(width).zip(dy.chunks_exact(width));
    for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(width)) {
        let r = (dot::<FMA>(x, x) / width as f32 + NORM_EPS).sqrt().recip();
        for i in 0..width {
            dx[i] = dy[i] * gain[i];
            dgain[i] = fma::<FMA>(dy[i], x[i] * r, dgain[i]);
        }
        let radial = dot::<FMA>(dx, x) * r * r / width as f32;
        for (dx, x) in dx.iter_mut().zip(x) {
            *dx = r * (*dx - x * radial);
        }
    }
}

impl CustomOp2 for RmsNormOp {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        gain: &CpuStorage,
        lg: &Layout,
    ) -> TensorResult<(CpuStorage, Shape)> {
        let (x, gain) = (cpu_slice(x, lx)?, cpu_slice(gain, lg)?);
        let width = gain.len();
        if lx.dims().last() != Some(&width) {
            bail!(
                "rms-norm: input {:?} with a gain of width {width}",
                lx.dims()
            );
        }
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(ROWS_PER_TASK * width)
            .zip(x.par_chunks(ROWS_PER_TASK * width))
            .for_each(|(y, x)| rms_norm_rows(x, gain, y));
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        _res: &Tensor,
        dy: &Tensor,
    ) -> TensorResult<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dgain) = with_cpu_slices([x, gain, dy], |[x, gain, dy]| {
            let width = gain.len();
            let mut dx = vec![0f32; x.len()];
            let dgain = dx
                .par_chunks_mut(ROWS_PER_TASK * width)
                .zip(x.par_chunks(ROWS_PER_TASK * width))
                .zip(dy.par_chunks(ROWS_PER_TASK * width))
                .map(|((dx, x), dy)| {
                    let mut dgain = vec![0f32; width];
                    rms_norm_grad_rows(x, gain, dy, dx, &mut dgain);
                    dgain
                })
                .collect::<Vec<_>>();
            (dx, sum_in_order(dgain, width))
        })?;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dgain, gain.shape(), x.device())?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::test_support::{assert_same, random};

    #[test]
    fn rms_norm_matches_composed_form() {
        let (x, g) = (random(&[3, 5, 19], 1), random(&[19], 2));
        assert_same(
            &[&x, &g],
            || rms_norm(&x, &g).unwrap(),
            || {
                let mean = x.sqr().unwrap().mean_keepdim(D::Minus1).unwrap();
                let r = (mean + f64::from(NORM_EPS)).unwrap().sqrt().unwrap();
                let y = x.broadcast_div(&r).unwrap();
                y.broadcast_mul(&g).unwrap()
            },
        );
    }
}
