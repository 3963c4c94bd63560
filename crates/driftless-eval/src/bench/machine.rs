//! What the machine is, and how fast it multiplies matrices.

use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use crate::Result;
use driftless_engine::Place;

/// Side of the measured matrices.
pub const SIDE: usize = 1024;

/// The processor's name, where the operating system tells it in a file.
pub fn processor() -> Option<String> {
    name_in(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// The first `model name` of a Linux `cpuinfo`.
fn name_in(cpuinfo: &str) -> Option<String> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    })
}

/// Threads that an engine computes on: the engine named `cpu` one, and one hands the work to wgpu;
/// others rayon's pool.
pub fn threads(engine: &str) -> usize {
    match engine {
        "cpu" => 1,
        name if name.starts_with("wgpu") => 1,
        _ => rayon::current_num_threads(),
    }
}

/// The best of `times` f32 multiplications of two [`SIDE`]×[`SIDE`] matrices, in GFLOP/s.
///
/// On the processor it is the `gemm` crate's, on `threads` threads of rayon's pool; through wgpu it is
/// the engine's own kernel.
///
/// # Errors
/// The device failed.
pub fn matmul_gflops(place: &Place, threads: usize, times: usize) -> Result<f64> {
    let best = match place {
        Place::Candle(Device::Cpu) => fastest_on_processor(threads, times),
        Place::Candle(device) => fastest_on(device, times)?,
        Place::Wgpu(gpu) => gpu.fastest_matmul(SIDE, times)?,
    };
    let flop = 2.0 * (SIDE as f64).powi(3);
    Ok(flop / best.as_secs_f64().max(f64::MIN_POSITIVE) / 1e9)
}

fn fastest_on_processor(threads: usize, times: usize) -> Duration {
    let [a, b] = [1.0f32, 0.5].map(|scale| {
        let values = (0..SIDE * SIDE).map(|i| scale * (i % 7) as f32);
        values.collect::<Vec<f32>>()
    });
    let mut out = vec![0f32; SIDE * SIDE];
    let parallelism = match threads {
        1 => gemm::Parallelism::None,
        n => gemm::Parallelism::Rayon(n),
    };
    let mut multiply = || {
        let started = Instant::now();
        // SAFETY: all three are row-major and hold SIDE·SIDE numbers.
        #[allow(unsafe_code)]
        unsafe {
            gemm::gemm(
                SIDE,
                SIDE,
                SIDE,
                out.as_mut_ptr(),
                1,
                SIDE as isize,
                false,
                a.as_ptr(),
                1,
                SIDE as isize,
                b.as_ptr(),
                1,
                SIDE as isize,
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

/// Many products are queued between two waits, as a GPU takes longer to answer than to multiply.
fn fastest_on(device: &Device, times: usize) -> Result<Duration> {
    const QUEUED: u32 = 20;
    let a = Tensor::rand(-1f32, 1f32, (SIDE, SIDE), device)?;
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
    use super::*;

    #[test]
    fn the_processors_name_is_the_first_model_name() {
        let text =
            "processor\t: 0\nmodel\t\t: 2\nmodel name\t: Some CPU @ 3: GHz\nmodel name\t: B\n";
        assert_eq!(name_in(text).as_deref(), Some("Some CPU @ 3: GHz"));
        assert_eq!(name_in("flags : fpu\n"), None);
    }

    #[test]
    fn the_matmul_rate_is_a_rate_of_this_age() {
        let rate = matmul_gflops(&Place::Candle(Device::Cpu), 1, 1).unwrap();
        assert!((0.05..100_000.0).contains(&rate), "{rate} GFLOP/s");
    }
}
