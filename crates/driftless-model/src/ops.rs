//! Fused operations with hand-written backward passes: RMSNorm, SwiGLU and 3×3 convolution.
//!
//! Each runs as one loop on the CPU; on other devices the same function is composed of candle's
//! own operations, which is also what the tests compare with.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, Layout, Shape, Storage, Tensor, bail};
use rayon::prelude::*;

use super::simd::{dispatch, dot, fma, sigmoid};

type TensorResult<T> = candle_core::Result<T>;

/// ε of every norm, inside the square root.
pub const NORM_EPS: f32 = 1e-6;

/// The elements of a contiguous f32 tensor on the CPU.
pub(super) fn cpu_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> TensorResult<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a fused operation got a strided tensor"),
    }
}

/// Runs `f` on the elements of a tensor that lives on the CPU.
pub(super) fn with_cpu<R>(t: &Tensor, f: impl FnOnce(&[f32]) -> R) -> TensorResult<R> {
    let t = t.contiguous()?;
    let (storage, layout) = t.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(cpu_slice(storage, layout)?)),
        _ => bail!("expected a tensor on the CPU"),
    }
}

/// Rows handled by one task: enough to outweigh the hand-over.
const ROWS: usize = 256;

// ---- RMSNorm -------------------------------------------------------------------------------

/// y = g ∘ x / √(mean x² + ε) over the last dimension; `x` [.., w], `gain` [w].
///
/// # Errors
/// The widths differ.
pub fn rms_norm(x: &Tensor, gain: &Tensor) -> TensorResult<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op2(gain, RmsNorm);
    }
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(NORM_EPS))?
        .sqrt()?
        .recip()?;
    x.broadcast_mul(&scale)?.broadcast_mul(gain)
}

struct RmsNorm;

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
        let along = dot::<FMA>(dx, x) * r * r / width as f32;
        for (dx, x) in dx.iter_mut().zip(x) {
            *dx = r * (*dx - x * along);
        }
    }
}

impl CustomOp2 for RmsNorm {
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
            bail!("rms-norm: width {:?} against a gain of {width}", lx.dims());
        }
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(ROWS * width)
            .zip(x.par_chunks(ROWS * width))
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
        let (dx, dgain) = with_cpu(x, |xs| {
            with_cpu(gain, |gain| {
                with_cpu(dy, |dy| {
                    let width = gain.len();
                    let mut dx = vec![0f32; xs.len()];
                    let dgain = dx
                        .par_chunks_mut(ROWS * width)
                        .zip(xs.par_chunks(ROWS * width))
                        .zip(dy.par_chunks(ROWS * width))
                        .map(|((dx, x), dy)| {
                            let mut dgain = vec![0f32; width];
                            rms_norm_grad_rows(x, gain, dy, dx, &mut dgain);
                            dgain
                        })
                        .collect::<Vec<_>>();
                    (dx, sum_in_order(dgain, width))
                })
            })
        })???;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dgain, gain.shape(), x.device())?),
        ))
    }
}

/// Sums per-task gradients in task order, so that the result does not depend on the scheduler.
pub(super) fn sum_in_order(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut total = vec![0f32; len];
    for part in parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}

// ---- SwiGLU --------------------------------------------------------------------------------

/// silu(a) ∘ b for the halves a, b of the last dimension: [.., 2h] → [.., h].
///
/// # Errors
/// The last dimension is odd.
pub fn swiglu(x: &Tensor) -> TensorResult<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(SwiGlu);
    }
    let parts = x.chunk(2, D::Minus1)?;
    candle_nn::ops::silu(&parts[0])?.mul(&parts[1])
}

struct SwiGlu;

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

impl CustomOp1 for SwiGlu {
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
        y.par_chunks_mut(ROWS * half)
            .zip(x.par_chunks(ROWS * half * 2))
            .for_each(|(y, x)| swiglu_rows(half, x, y));
        Ok((CpuStorage::F32(y), Shape::from(dims)))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, dy: &Tensor) -> TensorResult<Option<Tensor>> {
        let half = dy.dim(D::Minus1)?;
        let dx = with_cpu(x, |x| {
            with_cpu(dy, |dy| {
                let mut dx = vec![0f32; x.len()];
                dx.par_chunks_mut(ROWS * half * 2)
                    .zip(x.par_chunks(ROWS * half * 2))
                    .zip(dy.par_chunks(ROWS * half))
                    .for_each(|((dx, x), dy)| swiglu_grad_rows(half, x, dy, dx));
                dx
            })
        })??;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

// ---- 3×3 convolution on a grid of cells ----------------------------------------------------

/// 3×3 convolution with zero padding over a grid of cells, without bias.
///
/// `x` [N, gh, gw, C], `weight` [M, 9·C] with the nine neighbours in row order (top left first),
/// C innermost; result [N, gh, gw, M].
///
/// # Errors
/// The shapes do not fit.
pub fn conv3x3(x: &Tensor, weight: &Tensor) -> TensorResult<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op2(&weight.contiguous()?, Conv3x3);
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

struct Conv3x3;

/// The grid and widths of one convolution.
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

    /// Frames handled by one task, so that the gathered columns stay in the cache.
    fn frames_per_task(&self) -> usize {
        (512 / self.cells()).max(1)
    }
}

/// Copies each cell's 3×3 neighbourhood: `x` [gh, gw, C] → `columns` [gh·gw, 9·C].
pub fn gather3x3(gh: usize, gw: usize, c: usize, x: &[f32], columns: &mut [f32]) {
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

/// The transpose of [`gather3x3`]: adds each column back onto the cell that it was copied from.
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

/// A row-major matrix, or the transpose of one, for [`matmul`].
#[derive(Clone, Copy)]
struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a matrix of another size");
        Self {
            data,
            rows,
            cols,
            transposed: false,
        }
    }

    fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            transposed: !self.transposed,
            ..self
        }
    }

    /// (row stride, column stride)
    fn strides(&self) -> (isize, isize) {
        if self.transposed {
            (1, self.rows as isize)
        } else {
            (self.cols as isize, 1)
        }
    }
}

/// out ← a·b, or out ← out + a·b; `out` is row-major.
fn matmul(a: Matrix, b: Matrix, out: &mut [f32], accumulate: bool) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    assert_eq!(b.rows, k, "inner dimensions differ");
    assert_eq!(out.len(), m * n, "an output of another size");
    let ((a_row, a_col), (b_row, b_col)) = (a.strides(), b.strides());
    // SAFETY: the sizes were checked against the slices above; the strides stay inside them.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            a.data.as_ptr(),
            a_col,
            a_row,
            b.data.as_ptr(),
            b_col,
            b_row,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

impl CustomOp2 for Conv3x3 {
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
                let columns = Matrix::new(&columns, rows, 9 * s.c);
                matmul(columns, Matrix::new(weight, s.m, 9 * s.c).t(), y, false);
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
        let (dx, dweight) = with_cpu(x, |xs| {
            with_cpu(weight, |weight| {
                with_cpu(dy, |dy| {
                    let mut dx = vec![0f32; xs.len()];
                    // One weight gradient per thread-sized share, so that few are summed.
                    let share = s.n.div_ceil(rayon::current_num_threads()).max(1);
                    let parts: Vec<_> = dx
                        .par_chunks_mut(share * cells * s.c)
                        .zip(xs.par_chunks(share * cells * s.c))
                        .zip(dy.par_chunks(share * cells * s.m))
                        .map(|((dx, x), dy)| conv_grad_share(s, frames, x, weight, dy, dx))
                        .collect();
                    (dx, sum_in_order(parts, weight.len()))
                })
            })
        })???;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(dweight, weight.shape(), x.device())?),
        ))
    }
}

fn gather_frames(s: ConvShape, x: &[f32], columns: &mut [f32]) {
    let cells = s.cells();
    for (x, columns) in x
        .chunks_exact(cells * s.c)
        .zip(columns.chunks_exact_mut(cells * 9 * s.c))
    {
        gather3x3(s.gh, s.gw, s.c, x, columns);
    }
}

/// Fills `dx` for some frames and returns their share of the weight's gradient [M, 9·C].
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
        let dy = Matrix::new(dy, rows, s.m);
        matmul(dy.t(), Matrix::new(columns, rows, k), &mut dweight, true);
        matmul(dy, Matrix::new(weight, s.m, k), columns, false);
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
pub(super) mod tests {
    use candle_core::{Device, Var};
    use rand::{Rng, SeedableRng};

    use super::*;

    pub fn random(shape: &[usize], seed: u64) -> Var {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        Var::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    pub fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        let d = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        d.max(0).unwrap().to_scalar().unwrap()
    }

    /// Compares values and gradients of a fused function with its composition.
    pub fn assert_same(inputs: &[&Var], fused: impl Fn() -> Tensor, composed: impl Fn() -> Tensor) {
        let (a, b) = (fused(), composed());
        assert_eq!(a.dims(), b.dims());
        assert!(largest_difference(&a, &b) < 2e-5, "values differ");
        // A loss with a different weight for every output, so that no error cancels.
        let weight = random(a.dims(), 99);
        let grads = |y: &Tensor| {
            (y * weight.as_tensor())
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
        };
        let (ga, gb) = (grads(&a).unwrap(), grads(&b).unwrap());
        for (i, v) in inputs.iter().enumerate() {
            let (a, b) = (ga.get(v).unwrap(), gb.get(v).unwrap());
            let difference = largest_difference(a, b);
            assert!(
                difference < 1e-4,
                "gradient of input {i} differs by {difference}"
            );
        }
    }

    #[test]
    fn rms_norm_and_its_gradients_equal_the_composed_form() {
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

    #[test]
    fn swiglu_and_its_gradient_equal_the_composed_form() {
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

    #[test]
    fn conv3x3_and_its_gradients_equal_candles_conv2d() {
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
