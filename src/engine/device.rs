//! Where to compute: the choice of the command line, and the candle device behind it.

use candle_core::Device;

use crate::{Error, Result};

/// Where networks run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
    /// CUDA or Metal where compiled in and present, else the CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU; needs the cargo feature `cuda`.
    Cuda,
    /// An Apple GPU; needs the cargo feature `metal`.
    Metal,
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
}
