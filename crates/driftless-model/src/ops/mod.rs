//! Fused operations with hand-written backward passes: RMSNorm, SwiGLU and 3×3 convolution.
//!
//! On the CPU each is one fused loop. On other devices the same function is composed of candle
//! operations; the tests compare the two.

mod conv3x3;
mod matmul;
mod norm;
mod swiglu;
#[cfg(test)]
pub(super) mod test_support;

use candle_core::{CpuStorage, Layout, Storage, Tensor, bail};

pub use self::conv3x3::conv3x3;
pub use self::norm::{NORM_EPS, rms_norm, rms_norm_rows};
pub use self::swiglu::{swiglu, swiglu_rows};

pub(super) type TensorResult<T> = candle_core::Result<T>;

/// Rows per parallel task; enough to outweigh the cost of scheduling it.
const ROWS_PER_TASK: usize = 256;

/// The elements of a contiguous f32 tensor on the CPU.
pub(super) fn cpu_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> TensorResult<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a fused operation needs a contiguous tensor"),
    }
}

/// Calls `f` with the elements of CPU tensors.
pub(super) fn with_cpu_slices<R, const N: usize>(
    tensors: [&Tensor; N],
    f: impl FnOnce([&[f32]; N]) -> R,
) -> TensorResult<R> {
    let mut contiguous = Vec::with_capacity(N);
    for tensor in tensors {
        contiguous.push(tensor.contiguous()?);
    }
    let storages: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let mut slices = [&[][..]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&storages) {
        *slice = match &**storage {
            Storage::Cpu(storage) => cpu_slice(storage, layout)?,
            _ => bail!("expected a tensor on the CPU"),
        };
    }
    Ok(f(slices))
}

/// Sums per-task gradients in task order, so that the result does not depend on scheduling.
pub(super) fn sum_in_order(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut total = vec![0f32; len];
    for part in parts {
        for (t, p) in total.iter_mut().zip(part) {
            *t += p;
        }
    }
    total
}
