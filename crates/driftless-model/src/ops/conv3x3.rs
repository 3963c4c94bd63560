//! 3×3 convolution on a grid of cells, by way of matrix products.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::matmul::{MatrixView, matmul};
use super::{TensorResult, cpu_slice, sum_in_order, with_cpu_slices};

/// 3×3 convolution over a grid of cells, with zero padding and without bias.
///
/// Takes `x` [N, gh, gw, C] and `weight` [M, 9·C], with the nine taps in row-major order (top left
/// first) and C innermost; returns [N, gh, gw, M].
///
/// # Errors
/// Returns an error if the shapes are inconsistent.
pub fn conv3x3(x: &Tensor, weight: &Tensor) -> TensorResult<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op2(&weight.contiguous()?, Conv3x3Op);
    }
    let (n, gh, gw, c) = x.dims4()?;
    let padded = x.pad_with_zeros(1, 1, 1)?.pad_with_zeros(2, 1, 1)?;
    let mut taps = Vec::with_capacity(9);
    for dy in 0..3 {
        for dx in 0..3 {
            taps.push(padded.narrow(1, dy, gh)?.narrow(2, dx, gw)?);
        }
    }
    // [N, gh, gw, 9·C] → [N·gh·gw, M]
    let columns = Tensor::cat(&taps, 3)?.reshape((n * gh * gw, 9 * c))?;
    columns
        .matmul(&weight.t()?)?
        .reshape((n, gh, gw, weight.dim(0)?))
}

struct Conv3x3Op;

/// Shape of a convolution: N frames of gh×gw cells, C input and M output channels.
#[derive(Clone, Copy)]
struct ConvShape {
    n: usize,
    gh: usize,
    gw: usize,
    c: usize,
    m: usize,
}

impl ConvShape {
    fn new(x: &[usize], weight: &[usize]) -> TensorResult<Self> {
        match (x, weight) {
            (&[n, gh, gw, c], &[m, k]) if k == 9 * c => Ok(Self { n, gh, gw, c, m }),
            _ => bail!("conv3x3: input {x:?} does not fit weight {weight:?}"),
        }
    }

    fn cells(&self) -> usize {
        self.gh * self.gw
    }

    /// Frames per parallel task; few enough that the gathered columns stay in the cache.
    fn frames_per_task(&self) -> usize {
        (512 / self.cells()).max(1)
    }
}

/// Copies each cell's 3×3 neighbourhood: `x` [gh, gw, C] → `columns` [gh·gw, 9·C].
fn gather3x3(gh: usize, gw: usize, c: usize, x: &[f32], columns: &mut [f32]) {
    for (cell, row) in columns.chunks_exact_mut(9 * c).enumerate() {
        let (y, x0) = (cell / gw, cell % gw);
        for (tap, out) in row.chunks_exact_mut(c).enumerate() {
            let (ny, nx) = (y + tap / 3, x0 + tap % 3);
            if (1..=gh).contains(&ny) && (1..=gw).contains(&nx) {
                let from = ((ny - 1) * gw + nx - 1) * c;
                out.copy_from_slice(&x[from..from + c]);
            } else {
                out.fill(0.0);
            }
        }
    }
}

/// The transpose of [`gather3x3`]: adds each tap to the cell that it was copied from.
fn scatter3x3(gh: usize, gw: usize, c: usize, columns: &[f32], x: &mut [f32]) {
    for (cell, row) in columns.chunks_exact(9 * c).enumerate() {
        let (y, x0) = (cell / gw, cell % gw);
        for (tap, from) in row.chunks_exact(c).enumerate() {
            let (ny, nx) = (y + tap / 3, x0 + tap % 3);
            if (1..=gh).contains(&ny) && (1..=gw).contains(&nx) {
                let to = ((ny - 1) * gw + nx - 1) * c;
                for (x, from) in x[to..to + c].iter_mut().zip(from) {
                    *x += from;
                }
            }
        }
    }
}

impl CustomOp2 for Conv3x3Op {
    fn name(&self) -> &'static str {
        "conv3x3"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
    ) -> TensorResult<(CpuStorage, Shape)> {
        let s = ConvShape::new(lx.dims(), lw.dims())?;
        let (x, weight) = (cpu_slice(x, lx)?, cpu_slice(weight, lw)?);
        let (cells, frames) = (s.cells(), s.frames_per_task());
        let mut y = vec![0f32; s.n * cells * s.m];
        y.par_chunks_mut(frames * cells * s.m)
            .zip(x.par_chunks(frames * cells * s.c))
            .for_each(|(y, x)| {
                let rows = y.len() / s.m;
                let mut columns = vec![0f32; rows * 9 * s.c];
                gather_frames(s, x, &mut columns);
                let columns = MatrixView::new(&columns, rows, 9 * s.c);
                matmul(
                    columns,
                    MatrixView::new(weight, s.m, 9 * s.c).transpose(),
                    y,
                    false,
                );
            });
        Ok((CpuStorage::F32(y), Shape::from((s.n, s.gh, s.gw, s.m))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        dy: &Tensor,
    ) -> TensorResult<(Option<Tensor>, Option<Tensor>)> {
        let s = ConvShape::new(x.dims(), weight.dims())?;
        let (cells, frames) = (s.cells(), s.frames_per_task());
        let (dx, dweight) = with_cpu_slices([x, weight, dy], |[x, weight, dy]| {
            let mut dx = vec![0f32; x.len()];
            // Split by thread, so that only few weight gradients need to be summed.
            let share = s.n.div_ceil(rayon::current_num_threads()).max(1);
            let parts: Vec<_> = dx
                .par_chunks_mut(share * cells * s.c)
                .zip(x.par_chunks(share * cells * s.c))
                .zip(dy.par_chunks(share * cells * s.m))
                .map(|((dx, x), dy)| conv_grad_share(s, frames, x, weight, dy, dx))
                .collect();
            (dx, sum_in_order(parts, weight.len()))
        })?;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dweight, weight.shape(), x.device())?),
        ))
    }
}

/// [`gather3x3`] for several frames.
fn gather_frames(s: ConvShape, x: &[f32], columns: &mut [f32]) {
    let cells = s.cells();
    for (x, columns) in x
        .chunks_exact(cells * s.c)
        .zip(columns.chunks_exact_mut(cells * 9 * s.c))
    {
        gather3x3(s.gh, s.gw, s.c, x, columns);
    }
}

/// Writes the input gradient of some frames to `dx`; returns their part of the weight gradient,
/// [M, 9·C].
fn conv_grad_share(
    s: ConvShape,
    frames: usize,
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Vec<f32> {
    let (cells, k) = (s.cells(), 9 * s.c);
    let mut dweight = vec![0f32; s.m * k];
    let mut columns = vec![0f32; frames * cells * k];
    for ((x, dy), dx) in x
        .chunks(frames * cells * s.c)
        .zip(dy.chunks(frames * cells * s.m))
        .zip(dx.chunks_mut(frames * cells * s.c))
    {
        let rows = dy.len() / s.m;
        let columns = &mut columns[..rows * k];
        gather_frames(s, x, columns);
        let dy = MatrixView::new(dy, rows, s.m);
        matmul(
            dy.transpose(),
            MatrixView::new(columns, rows, k),
            &mut dweight,
            true,
        );
        matmul(dy, MatrixView::new(weight, s.m, k), columns, false);
        for (dx, columns) in dx
            .chunks_exact_mut(cells * s.c)
            .zip(columns.chunks_exact(cells * k))
        {
            scatter3x3(s.gh, s.gw, s.c, columns, dx);
        }
    }
    dweight
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::test_support::{assert_same, random};

    #[test]
    fn conv3x3_matches_candle_conv2d() {
        let (x, w) = (random(&[5, 4, 6, 3], 4), random(&[7, 27], 5));
        assert_same(
            &[&x, &w],
            || conv3x3(&x, &w).unwrap(),
            || {
                // [M, 9·C] → [M, C, 3, 3]
                let kernel = w
                    .reshape((7, 3, 3, 3))
                    .unwrap()
                    .permute((0, 3, 1, 2))
                    .unwrap();
                let x = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
                let y = x.conv2d(&kernel.contiguous().unwrap(), 1, 1, 1, 1).unwrap();
                y.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
            },
        );
    }
}
