//! SwiGLU.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{ROWS_PER_TASK, TensorResult, cpu_slice, with_cpu_slices};
use crate::simd::{dispatch, sigmoid};

/// silu(a) ∘ b for the halves a and b of the last dimension; maps [.., 2h] to [.., h].
///
/// # Errors
/// Returns an error if the last dimension is odd.
pub fn swiglu(x: &Tensor) -> TensorResult<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(SwiGluOp);
    }
    let parts = x.chunk(2, D::Minus1)?;
    candle_nn::ops::silu(&parts[0])?.mul(&parts[1])
}

struct SwiGluOp;

dispatch!(/// SwiGLU of every row of `x` (2 × `half` numbers) into `y` (`half` numbers).
pub fn swiglu_rows = swiglu_body(half: usize, x: &[f32], y: &mut [f32]));
#[inline(always)]
fn swiglu_body<const FMA: bool>(half: usize, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(2 * half).zip(y.chunks_exact_mut(half)) {
        let (a, b) = x.split_at(half);
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a * sigmoid::<FMA>(*a) * b;
        }
    }
}

dispatch!(fn swiglu_grad_rows = swiglu_grad_body(half: usize, x: &[f32], dy: &[f32], dx: &mut [f32]));
#[inline(always)]
fn swiglu_grad_body<const FMA: bool>(half: usize, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let rows = x.chunks_exact(2 * half).zip(dy.chunks_exact(half));
    for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(2 * half)) {
        let (a, b) = x.split_at(half);
        let (da, db) = dx.split_at_mut(half);
        for i in 0..half {
            let s = sigmoid::<FMA>(a[i]);
            db[i] = dy[i] * a[i] * s;
            da[i] = dy[i] * b[i] * s * (1.0 + a[i] * (1.0 - s));
        }
    }
}

impl CustomOp1 for SwiGluOp {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> TensorResult<(CpuStorage, Shape)> {
        let mut dims = l.dims().to_vec();
        let half = match dims.last_mut() {
            Some(last) if *last % 2 == 0 && *last > 0 => {
                *last /= 2;
                *last
            }
            _ => bail!("swiglu: the last dimension of {:?} is not even", l.dims()),
        };
        let x = cpu_slice(x, l)?;
        let mut y = vec![0f32; x.len() / 2];
        y.par_chunks_mut(ROWS_PER_TASK * half)
            .zip(x.par_chunks(ROWS_PER_TASK * half * 2))
            .for_each(|(y, x)| swiglu_rows(half, x, y));
        Ok((CpuStorage::F32(y), Shape::from(dims)))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, dy: &Tensor) -> TensorResult<Option<Tensor>> {
        let half = dy.dim(D::Minus1)?;
        let dx = with_cpu_slices([x, dy], |[x, dy]| {
            let mut dx = vec![0f32; x.len()];
            dx.par_chunks_mut(ROWS_PER_TASK * half * 2)
                .zip(x.par_chunks(ROWS_PER_TASK * half * 2))
                .zip(dy.par_chunks(ROWS_PER_TASK * half))
                .for_each(|((dx, x), dy)| swiglu_grad_rows(half, x, dy, dx));
            dx
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::test_support::{assert_same, random};

    #[test]
    fn swiglu_matches_composed_form() {
        let x = random(&[7, 22], 3);
        assert_same(
            &[&x],
            || swiglu(&x).unwrap(),
            || {
                let p = x.chunk(2, 1).unwrap();
                (candle_nn::ops::silu(&p[0]).unwrap() * &p[1]).unwrap()
            },
        );
    }
}
