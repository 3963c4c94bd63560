//! Device selection: from the command line's `--device` to a backend.

use std::path::Path;

use candle_core::Device;

use super::cpu::Threads;
use super::wgpu::Gpu;
use crate::{Error, Result};

/// Whether this build can compute through candle on CUDA.
pub const CUDA: bool = cfg!(feature = "cuda");
/// Whether this build can compute through candle on Metal.
pub const METAL: bool = cfg!(feature = "metal");

/// The device chosen on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum DeviceChoice {
    /// A GPU if there is one (wgpu to play; CUDA or Metal, if built in, to train), else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU; needs the Cargo feature `cuda`.
    Cuda,
    /// An Apple GPU; needs the Cargo feature `metal`.
    Metal,
    /// Any GPU through Vulkan, Metal or DirectX 12, or else a software renderer; to play only.
    Wgpu,
    /// Like `wgpu`, with 16-bit weights: half the memory, slightly different frames.
    WgpuF16,
}

/// Where an engine computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct DeviceOptions {
    /// Compute device.
    #[cfg_attr(feature = "clap", arg(long, value_enum, default_value_t))]
    pub device: DeviceChoice,
    /// Threads of the CPU engine: a number, or `auto` to measure at the start how many are fastest. The
    /// frames do not depend on it.
    #[cfg_attr(feature = "clap", arg(long, value_name = "N", default_value_t))]
    pub threads: Threads,
}

impl From<DeviceChoice> for DeviceOptions {
    fn from(device: DeviceChoice) -> Self {
        Self {
            device,
            threads: Threads::Auto,
        }
    }
}

/// The backend that an engine computes with.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The CPU engine.
    Cpu(Threads),
    /// A GPU through candle.
    Candle(Device),
    /// A GPU through wgpu.
    Wgpu(Gpu),
}

impl Backend {
    /// The CPU engine with `threads`, or candle on another device.
    pub fn on(device: Device, threads: Threads) -> Self {
        match device {
            Device::Cpu => Self::Cpu(threads),
            device => Self::Candle(device),
        }
    }

    /// The candle device that checkpoints are loaded to.
    pub fn device(&self) -> &Device {
        match self {
            Self::Candle(device) => device,
            Self::Cpu(_) | Self::Wgpu(_) => &Device::Cpu,
        }
    }
}

/// Where an engine gets its GPU from.
#[derive(Clone, Debug, Default)]
pub enum GpuSource {
    /// The engine opens its own device.
    #[default]
    Own,
    /// The window's device: the window can show the engine's frames without a copy.
    Shared(Gpu),
    /// No GPU: the chosen device has failed, so use the CPU.
    Unavailable,
}

/// The backend for a device choice, for playing.
///
/// # Errors
/// Returns an error if a device chosen by name is not available or not supported by this build.
pub fn choose_backend(
    options: impl Into<DeviceOptions>,
    gpu_source: &GpuSource,
) -> Result<Backend> {
    let DeviceOptions {
        device: choice,
        threads,
    } = options.into();
    Ok(match (choice, gpu_source) {
        (_, GpuSource::Unavailable) => Backend::Cpu(threads),
        (DeviceChoice::Wgpu, GpuSource::Shared(gpu)) => Backend::Wgpu(gpu.clone()),
        (DeviceChoice::WgpuF16, GpuSource::Shared(gpu)) => Backend::Wgpu(gpu.clone().with_half()?),
        (DeviceChoice::Auto, GpuSource::Shared(gpu)) if gpu.is_hardware() => {
            Backend::Wgpu(gpu.clone())
        }
        (DeviceChoice::Wgpu, GpuSource::Own) => Backend::Wgpu(Gpu::open(true)?),
        (DeviceChoice::WgpuF16, GpuSource::Own) => Backend::Wgpu(Gpu::open(true)?.with_half()?),
        (DeviceChoice::Auto, _) if !may_have_gpu() => Backend::on(candle_device(choice)?, threads),
        (DeviceChoice::Auto, _) => match Gpu::open(false) {
            Ok(gpu) => Backend::Wgpu(gpu),
            Err(error) => {
                tracing::info!("{error}");
                Backend::on(candle_device(choice)?, threads)
            }
        },
        _ => Backend::on(candle_device(choice)?, threads),
    })
}

/// Whether the system may have a graphics adapter that is no software. Looking for one loads drivers, which takes time
/// and may print words of their own.
fn may_have_gpu() -> bool {
    // Kernel drivers of Linux: most, NVIDIA's, and Windows' own for its Linux.
    const DEVICES: [&str; 3] = ["/dev/dri", "/dev/nvidiactl", "/dev/dxg"];
    !cfg!(target_os = "linux") || DEVICES.iter().any(|device| Path::new(device).exists())
}

/// The candle device for a device choice, for training and likelihoods.
///
/// # Errors
/// Returns an error if a device chosen by name is not available or not supported by this build.
pub fn candle_device(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Cuda => cuda(),
        DeviceChoice::Metal => metal(),
        DeviceChoice::Wgpu | DeviceChoice::WgpuF16 => Err(Error::Unsupported(
            "wgpu can only play; training and likelihoods need --device cpu, cuda or metal".into(),
        )),
        DeviceChoice::Auto => Ok(cuda().or_else(|_| metal()).unwrap_or(Device::Cpu)),
    }
}

fn cuda() -> Result<Device> {
    if !cfg!(feature = "cuda") {
        return Err(unsupported("cuda"));
    }
    Device::new_cuda(0).map_err(|e| Error::Device(format!("no CUDA device: {e}")))
}

fn metal() -> Result<Device> {
    if !cfg!(feature = "metal") {
        return Err(unsupported("metal"));
    }
    Device::new_metal(0).map_err(|e| Error::Device(format!("no Metal device: {e}")))
}

fn unsupported(name: &str) -> Error {
    Error::Unsupported(format!(
        "this build does not support {name}: build with `--features {name}`, or use --device cpu"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_feature_is_named() {
        for (choice, name, built) in [
            (DeviceChoice::Cuda, "cuda", cfg!(feature = "cuda")),
            (DeviceChoice::Metal, "metal", cfg!(feature = "metal")),
        ] {
            if !built {
                let error = candle_device(choice).unwrap_err().to_string();
                assert!(
                    error.contains(name) && error.contains("--features"),
                    "{error}"
                );
            }
        }
        assert!(candle_device(DeviceChoice::Cpu).unwrap().is_cpu());
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn auto_skips_software_renderer() {
        let Some(gpu) = crate::testing::gpu() else {
            return;
        };
        if gpu.is_hardware() {
            return;
        }
        let gpu_source = GpuSource::Shared(gpu);
        assert!(matches!(
            choose_backend(DeviceChoice::Wgpu, &gpu_source),
            Ok(Backend::Wgpu(_))
        ));
        let cpu = choose_backend(DeviceChoice::Cpu, &gpu_source).unwrap();
        assert!(matches!(cpu, Backend::Cpu(Threads::Auto)));
        let auto = choose_backend(DeviceChoice::Auto, &gpu_source).unwrap();
        assert!(
            matches!(auto, Backend::Cpu(_) | Backend::Candle(_))
                || matches!(auto, Backend::Wgpu(gpu) if gpu.is_hardware())
        );
    }

    #[cfg(not(feature = "wgpu"))]
    #[test]
    fn missing_wgpu_is_named() {
        let error = choose_backend(DeviceChoice::Wgpu, &GpuSource::Own).unwrap_err();
        assert!(error.to_string().contains("--features wgpu"), "{error}");
        assert!(choose_backend(DeviceChoice::Auto, &GpuSource::Own).is_ok());
    }

    #[test]
    fn failed_device_falls_back_to_cpu() {
        for choice in [DeviceChoice::Wgpu, DeviceChoice::Auto, DeviceChoice::Cuda] {
            let options = DeviceOptions {
                device: choice,
                threads: Threads::ONE,
            };
            let backend = choose_backend(options, &GpuSource::Unavailable).unwrap();
            assert!(matches!(backend, Backend::Cpu(Threads::ONE)));
        }
    }
}
