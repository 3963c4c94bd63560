//! The machine: its CPU name, thread count and matmul speed.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use driftless_engine::Backend;

use crate::Result;

/// Side of the matrices in the matmul measurement.
pub const MATMUL_SIDE: usize = 1024;

/// The CPU's name, on Linux.
pub fn cpu_name() -> Option<String> {
    first_model_name(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// The first `model name` in Linux' `/proc/cpuinfo`.
fn first_model_name(cpuinfo: &str) -> Option<String> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    })
}

/// Speed of the best of `times` f32 products of two [`MATMUL_SIDE`]×[`MATMUL_SIDE`] matrices, in GFLOP/s.
///
/// On the CPU this uses the `gemm` crate on `threads` threads of rayon's pool, through wgpu the engine's
/// own kernel.
///
/// # Errors
/// Returns an error if the device fails.
pub fn matmul_gflops(backend: &Backend, threads: usize, times: usize) -> Result<f64> {
    let best = match backend {
        Backend::Cpu(_) | Backend::Candle(Device::Cpu) => fastest_on_cpu(threads, times),
        Backend::Candle(device) => fastest_on_device(device, times)?,
        Backend::Wgpu(gpu) => gpu.fastest_matmul(MATMUL_SIDE, times)?,
    };
    Ok(gflops(best))
}

/// GFLOP/s of one product of two [`MATMUL_SIDE`]×[`MATMUL_SIDE`] matrices that takes `time`.
fn gflops(time: Duration) -> f64 {
    let flop = 2.0 * (MATMUL_SIDE as f64).powi(3);
    // No clock resolves less than a nanosecond.
    flop / time.max(Duration::from_nanos(1)).as_secs_f64() / 1e9
}

fn fastest_on_cpu(threads: usize, times: usize) -> Duration {
    let [a, b] = [1.0f32, 0.5].map(|scale| {
        let values = (0..MATMUL_SIDE * MATMUL_SIDE).map(|i| scale * (i % 7) as f32);
        values.collect::<Vec<f32>>()
    });
    let mut out = vec![0f32; MATMUL_SIDE * MATMUL_SIDE];
    let parallelism = match threads {
        1 => gemm::Parallelism::None,
        n => gemm::Parallelism::Rayon(n),
    };
    let mut multiply = || {
        let started = Instant::now();
        // SAFETY: all three matrices are row-major and hold MATMUL_SIDE·MATMUL_SIDE elements.
        #[expect(unsafe_code, reason = "the interface of `gemm` takes pointers")]
        unsafe {
            gemm::gemm(
                MATMUL_SIDE,
                MATMUL_SIDE,
                MATMUL_SIDE,
                out.as_mut_ptr(),
                1,
                MATMUL_SIDE as isize,
                false,
                a.as_ptr(),
                1,
                MATMUL_SIDE as isize,
                b.as_ptr(),
                1,
                MATMUL_SIDE as isize,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
        started.elapsed()
    };
    (0..times)
        .map(|_| multiply())
        .min()
        .unwrap_or(Duration::MAX)
}

/// Queues many products between two waits, because waiting for a GPU takes longer than a product.
fn fastest_on_device(device: &Device, times: usize) -> Result<Duration> {
    const QUEUED: u32 = 20;
    let a = Tensor::rand(-1f32, 1f32, (MATMUL_SIDE, MATMUL_SIDE), device)?;
    let mut best = Duration::MAX;
    for _ in 0..times {
        device.synchronize()?;
        let started = Instant::now();
        for _ in 0..QUEUED {
            a.matmul(&a)?;
        }
        device.synchronize()?;
        best = best.min(started.elapsed() / QUEUED);
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use driftless_engine::Threads;

    use super::*;

    #[test]
    fn cpu_name_is_the_first_model_name() {
        let text =
            "processor\t: 0\nmodel\t\t: 2\nmodel name\t: Some CPU @ 3: GHz\nmodel name\t: B\n";
        assert_eq!(first_model_name(text).as_deref(), Some("Some CPU @ 3: GHz"));
        assert_eq!(first_model_name("flags : fpu\n"), None);
    }

    #[test]
    fn rate_follows_from_the_time() {
        // 2 · 1024³ operations in a second, and in a millisecond.
        assert!((gflops(Duration::from_secs(1)) - 2.147_483_648).abs() < 1e-9);
        assert!((gflops(Duration::from_millis(1)) - 2_147.483_648).abs() < 1e-6);
        assert!(gflops(Duration::ZERO).is_finite());
    }

    #[test]
    fn cpu_matmul_is_measured() {
        let rate = matmul_gflops(&Backend::Cpu(Threads::ONE), 1, 1).unwrap();
        assert!(rate > 1e-3 && rate.is_finite(), "{rate} GFLOP/s");
    }
}
