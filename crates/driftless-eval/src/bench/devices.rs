//! What this machine has to compute on, and what each engine makes of it.

use candle_core::Device;
use serde::Serialize;

use super::machine::processor;
use driftless_engine::{AdapterReport, DeviceChoice, adapters, candle_device};

/// Everything there is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The processor's name; none where the operating system does not tell.
    pub processor: Option<String>,
    /// Threads that training may use.
    pub threads: usize,
    /// Whether this build can use CUDA, and whether there is a device for it.
    pub cuda: Support,
    /// The same for Metal.
    pub metal: Support,
    /// Graphics adapters, the best first.
    pub adapters: Vec<AdapterReport>,
    /// What `--device auto` plays on: `cpu`, `cuda`, `metal` or an adapter's name.
    pub auto: String,
}

/// Whether a device can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// This build lacks it.
    NotBuilt,
    /// It is built in, and there is no such device.
    Missing,
    /// It can be used.
    Ready,
}

impl Support {
    fn of(choice: DeviceChoice, built: bool) -> Self {
        match (built, candle_device(choice)) {
            (false, _) => Self::NotBuilt,
            (true, Err(_)) => Self::Missing,
            (true, Ok(_)) => Self::Ready,
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

impl Report {
    /// What there is at this moment.
    pub fn now() -> Self {
        let adapters = adapters();
        let real = adapters.iter().find(|adapter| !adapter.software);
        let auto = match (real, candle_device(DeviceChoice::Auto)) {
            (Some(adapter), _) => adapter.name.clone(),
            (None, Ok(Device::Cuda(_))) => "cuda".into(),
            (None, Ok(Device::Metal(_))) => "metal".into(),
            _ => "cpu".into(),
        };
        Self {
            processor: processor(),
            threads: rayon::current_num_threads(),
            cuda: Support::of(DeviceChoice::Cuda, driftless_engine::CUDA),
            metal: Support::of(DeviceChoice::Metal, driftless_engine::METAL),
            adapters,
            auto,
        }
    }
}

/// The report for people.
pub fn text(report: &Report) -> String {
    let processor = report.processor.as_deref().unwrap_or("unknown processor");
    let mut lines = vec![
        format!(
            "cpu    {processor}, {} threads: play on one, train on all",
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
    fn what_is_missing_is_said_and_what_auto_takes() {
        let report = Report {
            processor: None,
            threads: 2,
            cuda: Support::NotBuilt,
            metal: Support::Missing,
            adapters: Vec::new(),
            auto: "cpu".into(),
        };
        let text = text(&report);
        for line in [
            "cpu    unknown processor, 2 threads",
            "cuda   not in this build",
            "metal  in this build, no device",
            "wgpu   no graphics adapter",
            "auto   plays on cpu",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
