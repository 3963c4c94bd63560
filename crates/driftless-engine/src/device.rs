//! Where to compute: the choice of the command line, and the candle device behind it.

use candle_core::Device;

use super::wgpu::Gpu;
use crate::{Error, Result};

/// Whether this build can compute through candle on CUDA.
pub const CUDA: bool = cfg!(feature = "cuda");
/// Whether this build can compute through candle on Metal.
pub const METAL: bool = cfg!(feature = "metal");

/// Where networks run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum DeviceChoice {
    /// A GPU where there is one, through wgpu to play and through CUDA or Metal, where compiled in, to
    /// train; else the CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU; needs the cargo feature `cuda`.
    Cuda,
    /// An Apple GPU; needs the cargo feature `metal`.
    Metal,
    /// Any GPU, through Vulkan, Metal or DirectX 12, to play; a software renderer where there is none.
    Wgpu,
    /// The same with matrices in 16 bits: half the memory, and frames that differ a little.
    WgpuF16,
}

/// Where an engine computes.
#[derive(Clone, Debug)]
pub enum Place {
    /// The processor, or a GPU through candle.
    Candle(Device),
    /// A GPU through wgpu.
    Wgpu(Gpu),
}

impl Place {
    /// Where weights are read to.
    pub fn device(&self) -> &Device {
        match self {
            Self::Candle(device) => device,
            Self::Wgpu(_) => &Device::Cpu,
        }
    }
}

/// What somebody who plays has already opened, or has lost.
#[derive(Clone, Debug, Default)]
pub enum Seat {
    /// Nothing: the engine opens a device of its own.
    #[default]
    Own,
    /// The device that a window draws with, which shows what the engine paints there.
    Shared(Gpu),
    /// The device of choice has failed: the processor takes its place.
    Processor,
}

/// The place of a choice, for playing.
///
/// # Errors
/// The device was asked for by name and is missing, or this build does not support it.
pub fn place(choice: DeviceChoice, seat: &Seat) -> Result<Place> {
    Ok(match (choice, seat) {
        (_, Seat::Processor) => Place::Candle(Device::Cpu),
        (DeviceChoice::Wgpu, Seat::Shared(gpu)) => Place::Wgpu(gpu.clone()),
        (DeviceChoice::WgpuF16, Seat::Shared(gpu)) => Place::Wgpu(gpu.clone().with_half()?),
        (DeviceChoice::Auto, Seat::Shared(gpu)) if gpu.is_real() => Place::Wgpu(gpu.clone()),
        (DeviceChoice::Wgpu, Seat::Own) => Place::Wgpu(Gpu::open(true)?),
        (DeviceChoice::WgpuF16, Seat::Own) => Place::Wgpu(Gpu::open(true)?.with_half()?),
        (DeviceChoice::Auto, _) => match Gpu::open(false) {
            Ok(gpu) => Place::Wgpu(gpu),
            Err(error) => {
                tracing::info!("{error}");
                Place::Candle(candle_device(choice)?)
            }
        },
        _ => Place::Candle(candle_device(choice)?),
    })
}

/// The candle device of a choice.
///
/// # Errors
/// The device was asked for by name and is missing, or this build does not support it.
pub fn candle_device(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Cuda => cuda(),
        DeviceChoice::Metal => metal(),
        DeviceChoice::Wgpu | DeviceChoice::WgpuF16 => Err(Error::Device(
            "wgpu plays worlds; training and likelihoods need --device cpu, cuda or metal".into(),
        )),
        DeviceChoice::Auto => Ok(cuda().or_else(|_| metal()).unwrap_or(Device::Cpu)),
    }
}

fn cuda() -> Result<Device> {
    if !cfg!(feature = "cuda") {
        return Err(not_built("cuda"));
    }
    Device::new_cuda(0).map_err(|e| Error::Device(format!("no CUDA device: {e}")))
}

fn metal() -> Result<Device> {
    if !cfg!(feature = "metal") {
        return Err(not_built("metal"));
    }
    Device::new_metal(0).map_err(|e| Error::Device(format!("no Metal device: {e}")))
}

fn not_built(name: &str) -> Error {
    Error::Device(format!(
        "this build has no {name}: build with `--features {name}`, or use --device cpu"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_was_not_compiled_in_is_refused_by_name() {
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

    #[test]
    fn a_window_that_is_drawn_in_software_computes_with_it_only_where_asked_to() {
        let Some(gpu) = crate::testing::gpu() else {
            return;
        };
        if gpu.is_real() {
            return;
        }
        let seat = Seat::Shared(gpu);
        assert!(matches!(
            place(DeviceChoice::Wgpu, &seat),
            Ok(Place::Wgpu(_))
        ));
        let cpu = place(DeviceChoice::Cpu, &seat).unwrap();
        assert!(matches!(cpu, Place::Candle(Device::Cpu)));
        let auto = place(DeviceChoice::Auto, &seat).unwrap();
        assert!(
            matches!(auto, Place::Candle(_)) || matches!(auto, Place::Wgpu(gpu) if gpu.is_real())
        );
    }

    #[test]
    fn the_processor_takes_the_place_of_a_device_that_failed() {
        for choice in [DeviceChoice::Wgpu, DeviceChoice::Auto, DeviceChoice::Cuda] {
            let place = place(choice, &Seat::Processor).unwrap();
            assert!(matches!(place, Place::Candle(Device::Cpu)));
        }
    }
}
