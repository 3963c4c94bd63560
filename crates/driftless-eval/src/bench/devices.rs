//! The compute devices of this machine and how each can be used.

use candle_core::Device;
use serde::Serialize;

use driftless_engine::{AdapterInfo, DeviceChoice, adapters, candle_device};

use super::machine::cpu_name;

/// The compute devices of this machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceReport {
    /// The CPU's name; `None` if unknown.
    pub processor: Option<String>,
    /// Threads available to training.
    pub threads: usize,
    /// Whether CUDA is built in and a device is present.
    pub cuda: DeviceSupport,
    /// Whether Metal is built in and a device is present.
    pub metal: DeviceSupport,
    /// Graphics adapters, the best first.
    pub adapters: Vec<AdapterInfo>,
    /// What `--device auto` plays on: `cpu`, `cuda`, `metal` or an adapter name.
    pub auto: String,
}

/// Whether a kind of device can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceSupport {
    /// Not built in.
    NotBuilt,
    /// Built in, but no device is present.
    Missing,
    /// Ready to use.
    Ready,
}

impl DeviceSupport {
    fn of(choice: DeviceChoice, built: bool) -> Self {
        if !built {
            Self::NotBuilt
        } else if candle_device(choice).is_ok() {
            Self::Ready
        } else {
            Self::Missing
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::NotBuilt => "not in this build",
            Self::Missing => "in this build, no device",
            Self::Ready => "ready: play, train",
        }
    }
}

impl DeviceReport {
    /// Queries the devices.
    pub fn now() -> Self {
        let adapters = adapters();
        let hardware = adapters.iter().find(|adapter| !adapter.software);
        let auto = match (hardware, candle_device(DeviceChoice::Auto)) {
            (Some(adapter), _) => adapter.name.clone(),
            (None, Ok(Device::Cuda(_))) => "cuda".into(),
            (None, Ok(Device::Metal(_))) => "metal".into(),
            _ => "cpu".into(),
        };
        Self {
            processor: cpu_name(),
            threads: rayon::current_num_threads(),
            cuda: DeviceSupport::of(DeviceChoice::Cuda, cfg!(feature = "cuda")),
            metal: DeviceSupport::of(DeviceChoice::Metal, cfg!(feature = "metal")),
            adapters,
            auto,
        }
    }
}

/// Formats the report as lines of text.
pub fn format_report(report: &DeviceReport) -> String {
    let processor = report.processor.as_deref().unwrap_or("unknown CPU");
    let mut lines = vec![
        format!(
            "cpu    {processor}, {} threads: play on one or all, train on all",
            report.threads
        ),
        format!("cuda   {}", report.cuda.label()),
        format!("metal  {}", report.metal.label()),
    ];
    if report.adapters.is_empty() {
        lines.push("wgpu   no graphics adapter".into());
    }
    for adapter in &report.adapters {
        lines.push(format!("wgpu   {adapter}"));
    }
    lines.push(format!("auto   plays on {}", report.auto));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_lists_every_device() {
        let report = DeviceReport {
            processor: None,
            threads: 2,
            cuda: DeviceSupport::NotBuilt,
            metal: DeviceSupport::Missing,
            adapters: Vec::new(),
            auto: "cpu".into(),
        };
        let text = format_report(&report);
        for line in [
            "cpu    unknown CPU, 2 threads",
            "cuda   not in this build",
            "metal  in this build, no device",
            "wgpu   no graphics adapter",
            "auto   plays on cpu",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
