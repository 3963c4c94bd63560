//! Whether a graphics adapter computes what it should: every kernel, and frames of a world.

use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::Device;
use serde::Serialize;

use driftless_data::PathError as _;
use driftless_data::layout::checkpoint::STARTING_CLIPS;
use driftless_data::metrics::SquaredError;
use driftless_engine::rollout::random_held_actions;
use driftless_engine::{
    AdapterInfo, CpuNetwork, Gpu, KernelCheck, Sampler, SamplerParams, Threads, WgpuNetwork,
    adapters,
};
use driftless_model::checkpoint::WorldModel;

use crate::{Error, Result};

/// PSNR in dB below which the frames of both engines count as different. Rounding differs, and each frame
/// passes its differences on to the next.
const MIN_PSNR: f64 = 45.0;

/// What an adapter computes, compared with the CPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SelfTestReport {
    /// The program's version.
    pub version: &'static str,
    /// Operating system and architecture.
    pub system: String,
    /// The adapter that was tested.
    pub adapter: AdapterInfo,
    /// Every kernel, with and without subgroups and 16-bit matrices where the adapter has them.
    pub kernels: Vec<KernelCheck>,
    /// Frames of a world.
    pub frames: FrameParity,
    /// Whether everything is as it should be.
    pub passed: bool,
    /// Duration of the whole test.
    pub seconds: f64,
}

/// Frames of a world on the adapter and on the CPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrameParity {
    /// The world's name.
    pub world: String,
    /// Frames that were compared, each predicted from the engine's own earlier ones.
    pub count: usize,
    /// PSNR of the adapter's frames against the CPU's, in dB; 99 if they are identical.
    pub psnr: f64,
    /// Largest difference of a byte of the first frame.
    pub first_frame_bytes: u8,
    /// Median duration of a frame on the adapter in milliseconds.
    pub adapter_ms: f64,
    /// Median duration of a frame on the CPU, one thread, in milliseconds.
    pub cpu_ms: f64,
}

impl FrameParity {
    /// Whether the first frame differs by rounding only, and the others have not drifted apart.
    pub fn passed(&self) -> bool {
        self.first_frame_bytes <= 1 && self.psnr >= MIN_PSNR
    }
}

/// Tests the best adapter, even a software renderer, with the world in the checkpoint `folder`.
///
/// # Errors
/// Returns an error if there is no adapter, if it is lost, if the checkpoint is broken, or if `frames`
/// is 0.
pub fn run(folder: &Path, frames: usize) -> Result<SelfTestReport> {
    if frames == 0 {
        return Err(Error::Argument("a self-test needs at least 1 frame".into()));
    }
    let started = Instant::now();
    let gpu = Gpu::open(true)?;
    let adapter = adapters().into_iter().next();
    let none = || driftless_engine::Error::Device("no graphics adapter".into());
    let adapter = adapter.ok_or_else(none)?;
    let mut kernels = Vec::new();
    gpu.check_kernels(&mut |check| kernels.push(check))?;
    let frames = compare_frames(folder, &gpu, frames)?;
    Ok(SelfTestReport {
        version: env!("CARGO_PKG_VERSION"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        adapter,
        passed: frames.passed() && kernels.iter().all(KernelCheck::passed),
        kernels,
        frames,
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn compare_frames(folder: &Path, gpu: &Gpu, count: usize) -> Result<FrameParity> {
    let world = WorldModel::read(folder, &Device::Cpu)?;
    let config = world.config.clone();
    let clips = driftless_model::starting_clips::read(&folder.join(STARTING_CLIPS), &config)?;
    let clip = clips.first().ok_or_else(|| {
        Error::invalid(
            folder.join(STARTING_CLIPS),
            "no starting clip, expected at least 1",
        )
    })?;
    let cpu = CpuNetwork::new(&world, Threads::ONE)?;
    // Without measuring tiles, which takes longer than everything else here.
    let adapter = WgpuNetwork::new(&world, gpu)?;
    let mut engines = [
        Sampler::new(Box::new(adapter), config.clone()),
        Sampler::new(Box::new(cpu), config.clone()),
    ];
    let params = SamplerParams::default();
    for engine in &mut engines {
        engine.reset(clip, &params)?;
    }
    let (mut error, mut first_frame_bytes) = (SquaredError::default(), None);
    let mut times = [Vec::new(), Vec::new()];
    for action in random_held_actions(count, config.actions.len(), config.axes.len(), 0) {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            let started = Instant::now();
            engine.step(action, &params)?;
            times.push(milliseconds(started.elapsed()));
        }
        let [adapter, cpu] = &mut engines;
        let (adapter, cpu) = (adapter.image()?, cpu.image()?);
        error.add(adapter, cpu);
        let differences = adapter.iter().zip(cpu).map(|(a, b)| a.abs_diff(*b));
        first_frame_bytes = first_frame_bytes.or(differences.max());
    }
    let [adapter_ms, cpu_ms] =
        times.map(|times| driftless_data::metrics::median(&times).unwrap_or_default());
    Ok(FrameParity {
        world: config.name,
        count,
        psnr: error.psnr().unwrap_or_default(),
        first_frame_bytes: first_frame_bytes.unwrap_or_default(),
        adapter_ms,
        cpu_ms,
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Formats the report as lines of text.
pub fn format_report(report: &SelfTestReport) -> String {
    let (adapter, frames) = (&report.adapter, &report.frames);
    let mut lines = vec![
        format!("driftless {} on {}", report.version, report.system),
        format!("adapter  {adapter}"),
        format!(
            "         workgroup memory {} bytes",
            adapter.workgroup_bytes
        ),
        kernel_line(&report.kernels),
    ];
    let failed = report.kernels.iter().filter(|check| !check.passed());
    lines.extend(failed.map(failure_line));
    lines.push(format!(
        "frames   {} of {}: {:.1} dB against the CPU's, the first off by {} of 255 at most; \
         {:.1} ms a frame (CPU {:.1})",
        frames.count,
        frames.world,
        frames.psnr,
        frames.first_frame_bytes,
        frames.adapter_ms,
        frames.cpu_ms
    ));
    let result = if report.passed { "passed" } else { "FAILED" };
    lines.push(format!("result   {result} in {:.1} s", report.seconds));
    lines.join("\n")
}

fn kernel_line(checks: &[KernelCheck]) -> String {
    let passed = checks.iter().filter(|check| check.passed()).count();
    // The worst, relative to what is allowed.
    let worst = checks
        .iter()
        .filter_map(|check| Some((check.difference? / check.tolerance, check)))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let worst = worst.map_or_else(String::new, |(_, check)| {
        let off = check.difference.unwrap_or_default();
        let allowed = check.tolerance;
        format!(
            "; largest difference {off:.1e} of {allowed:.0e} ({})",
            check.name
        )
    });
    format!(
        "kernels  {passed} of {} agree with the CPU{worst}",
        checks.len()
    )
}

fn failure_line(check: &KernelCheck) -> String {
    let what = match (&check.error, check.difference) {
        (Some(error), _) => error.clone(),
        (None, off) => format!(
            "differs by {:.1e}, allowed {:.0e}",
            off.unwrap_or(f32::NAN),
            check.tolerance
        ),
    };
    format!("  FAILED {}: {what}", check.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> SelfTestReport {
        let check = |name: &str, difference, error: Option<&str>| KernelCheck {
            name: name.into(),
            difference,
            tolerance: 1e-4,
            error: error.map(str::to_owned),
        };
        SelfTestReport {
            version: "1.2.3",
            system: "linux x86_64".into(),
            adapter: AdapterInfo {
                name: "A GPU".into(),
                backend: "Vulkan".into(),
                driver: "driver 7".into(),
                software: false,
                buffer_bytes: 1 << 30,
                workgroup_bytes: 32768,
                clock: true,
                half: true,
                subgroups: false,
            },
            kernels: vec![
                check("norm", Some(2e-6), None),
                check("product", Some(3e-3), None),
                check("affine", None, Some("the device is lost")),
            ],
            frames: FrameParity {
                world: "Pong".into(),
                count: 16,
                psnr: 72.0,
                first_frame_bytes: 1,
                adapter_ms: 1.25,
                cpu_ms: 2.5,
            },
            passed: false,
            seconds: 3.21,
        }
    }

    #[test]
    fn text_names_what_failed() {
        let text = format_report(&report());
        for part in [
            "driftless 1.2.3 on linux x86_64",
            "A GPU (Vulkan, driver 7)",
            "1 of 3 agree",
            "  FAILED product: differs by 3.0e-3, allowed 1e-4",
            "  FAILED affine: the device is lost",
            "16 of Pong: 72.0 dB",
            "FAILED in 3.2 s",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("FAILED norm"), "{text}");
    }

    #[test]
    fn frames_must_not_drift_apart() {
        let frames = report().frames;
        let with = |psnr, first_frame_bytes| FrameParity {
            psnr,
            first_frame_bytes,
            ..frames.clone()
        };
        assert!(with(93.0, 1).passed() && with(99.0, 0).passed());
        assert!(!with(30.0, 1).passed() && !with(93.0, 2).passed());
    }
}
