//! A GPU through wgpu: choosing an adapter, opening a device, reading buffers back, reporting failures.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use serde::Serialize;
use wgpu::{
    Adapter, Backends, Buffer, BufferUsages, CommandBuffer, Device, DeviceType, ErrorFilter,
    Features, Instance, InstanceDescriptor, Limits, PollType, Queue, SubmissionIndex,
};

use super::gate::SubmissionGate;
use crate::{Error, Result};

/// Interval at which the engine polls a device that is shared with a window.
const POLL_INTERVAL: Duration = Duration::from_micros(100);

/// A device and its queue.
#[derive(Clone, Debug)]
pub struct Gpu {
    pub(super) device: Device,
    pub(super) queue: Queue,
    /// Display name: adapter and graphics API.
    pub(super) name: String,
    hardware: bool,
    /// Whether a window draws with the same device.
    pub(super) shared: bool,
    /// Whether weight matrices are stored in 16 bits.
    pub(super) half: bool,
    /// Whether shaders can sum over subgroups.
    pub(super) subgroups: bool,
    /// Adapter and driver, which identify measurements.
    tuning_id: String,
    /// What a window closes while it sets up its surface.
    gate: Arc<SubmissionGate>,
    /// Why the device was lost; wgpu reports it in a callback.
    lost: Arc<OnceLock<String>>,
}

impl Gpu {
    /// Sorts adapters, the best first: a discrete GPU, an integrated one, a virtual one, a software
    /// renderer; of the same kind, OpenGL last.
    pub fn preference(adapter: &Adapter) -> impl Ord + use<> {
        let info = adapter.get_info();
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => 0,
            DeviceType::IntegratedGpu => 1,
            DeviceType::VirtualGpu => 2,
            DeviceType::Other => 3,
            DeviceType::Cpu => 4,
        };
        (kind, info.backend == wgpu::Backend::Gl)
    }

    /// Opens the best adapter: a discrete GPU before an integrated one, and a software renderer only if
    /// `software` is set.
    ///
    /// # Errors
    /// Returns an error if there is no such adapter, or its device cannot be opened.
    pub fn open(software: bool) -> Result<Self> {
        let mut adapters = ranked_adapters().into_iter();
        let best = adapters.find(|adapter| software || is_hardware(adapter));
        let Some(adapter) = best else {
            let what = if software {
                "no graphics adapter"
            } else {
                "no hardware GPU"
            };
            return Err(Error::Device(format!("wgpu: {what}")));
        };
        Self::open_adapter(&adapter)
    }

    fn open_adapter(adapter: &Adapter) -> Result<Self> {
        let (device, queue) =
            pollster::block_on(adapter.request_device(&Self::descriptor(adapter)))
                .map_err(|e| Error::Device(format!("wgpu: {}: {e}", display_name(adapter))))?;
        Ok(Self::from_device(adapter, device, queue, None))
    }

    /// Shares a window's device and queue, opened with [`Gpu::descriptor`]. Engines submit while `gate` is open.
    /// `None` if the device cannot run the engine's compute shaders.
    pub fn shared(
        adapter: &Adapter,
        device: Device,
        queue: Queue,
        gate: Arc<SubmissionGate>,
    ) -> Option<Self> {
        let limits = device.limits();
        let computes = limits.max_compute_invocations_per_workgroup
            >= Limits::default().max_compute_invocations_per_workgroup
            && limits.max_storage_buffers_per_shader_stage >= 5;
        computes.then(|| Self::from_device(adapter, device, queue, Some(gate)))
    }

    /// The device to request: buffers as large as the adapter allows, default limits otherwise.
    pub fn descriptor(adapter: &Adapter) -> wgpu::DeviceDescriptor<'static> {
        let available = adapter.limits();
        let limits = match adapter.get_info().backend {
            wgpu::Backend::Gl => Limits {
                // The largest possible window.
                max_texture_dimension_2d: 8192,
                ..Limits::downlevel_webgl2_defaults()
            },
            _ => Limits {
                max_buffer_size: available.max_buffer_size,
                max_storage_buffer_binding_size: available.max_storage_buffer_binding_size,
                ..Limits::default()
            },
        };
        wgpu::DeviceDescriptor {
            label: Some("driftless"),
            required_limits: limits,
            required_features: adapter.features()
                & (Features::TIMESTAMP_QUERY | Features::SHADER_F16 | Features::SUBGROUP),
            ..Default::default()
        }
    }

    /// `gate` is that of the window which shares the device.
    fn from_device(
        adapter: &Adapter,
        device: Device,
        queue: Queue,
        gate: Option<Arc<SubmissionGate>>,
    ) -> Self {
        let (lost, info) = (Arc::new(OnceLock::new()), adapter.get_info());
        // Error scopes catch the engine's own errors. The rest come from the window, which retries.
        device.on_uncaptured_error(Arc::new(|error: wgpu::Error| {
            tracing::warn!("{}", one_line(&error.to_string()));
        }));
        let reason_cell = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            // Keep the first reason; later ones follow from it.
            let text = format!("the device is lost ({reason:?}) {message}");
            let _ = reason_cell.set(text.trim_end().to_owned());
        });
        Self {
            subgroups: device.features().contains(Features::SUBGROUP),
            device,
            queue,
            name: display_name(adapter),
            hardware: is_hardware(adapter),
            shared: gate.is_some(),
            gate: gate.unwrap_or_default(),
            half: false,
            tuning_id: format!(
                "{} {:?} {} {}",
                info.name, info.backend, info.driver, info.driver_info
            ),
            lost,
        }
    }

    /// The same device with weight matrices in 16 bits.
    ///
    /// # Errors
    /// Returns an error if its shaders do not support 16-bit floats.
    pub fn with_half(mut self) -> Result<Self> {
        if !self.device.features().contains(Features::SHADER_F16) {
            return Err(
                self.failed("16-bit floats are not supported in shaders; use --device wgpu")
            );
        }
        self.half = true;
        Ok(self)
    }

    /// Key of the measurements of this device with this version's kernels.
    pub(super) fn tuning_key(&self) -> String {
        let bits = if self.half { 16 } else { 32 };
        format!("{} {bits} {}", env!("CARGO_PKG_VERSION"), self.tuning_id)
    }

    /// Whether the device is a hardware GPU, not a software renderer.
    pub fn is_hardware(&self) -> bool {
        self.hardware
    }

    /// Display name: adapter and graphics API.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Device and queue, to draw with.
    pub fn device_and_queue(&self) -> (&Device, &Queue) {
        (&self.device, &self.queue)
    }

    /// Submits commands, once no window is setting up its surface.
    pub(super) fn submit(&self, commands: CommandBuffer) -> SubmissionIndex {
        self.gate.submit(&self.queue, commands)
    }

    /// Waits until a submission is done.
    ///
    /// # Errors
    /// Returns an error if the device is lost.
    pub fn wait(&self, submission: SubmissionIndex) -> Result<()> {
        self.poll(PollType::Wait {
            submission_index: Some(submission),
            timeout: None,
        })
    }

    fn poll(&self, poll: PollType) -> Result<()> {
        self.check()?;
        // wgpu panics here if the device is lost.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(poll)));
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.failed(self.lost.get().unwrap_or(&error.to_string()))),
            Err(_) => {
                let _ = self.lost.set("the device is lost".into());
                self.check()
            }
        }
    }

    /// Whether the device is lost. A lost device never comes back.
    pub fn is_lost(&self) -> bool {
        // Polling delivers a pending loss callback.
        self.poll(PollType::Poll).is_err() || self.lost.get().is_some()
    }

    /// Runs `work` and turns device errors during it into an error.
    ///
    /// # Errors
    /// Returns an error if `work` fails, or if the device reports one, such as too little memory.
    pub(super) fn scoped<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let memory = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(ErrorFilter::Validation);
        let internal = self.device.push_error_scope(ErrorFilter::Internal);
        let done = work();
        let scopes = [internal, validation, memory];
        let failed = scopes.map(|scope| pollster::block_on(scope.pop()));
        let failed = failed.into_iter().flatten().next();
        if failed.is_none() && done.is_ok() {
            return done;
        }
        // On a lost device everything fails, with errors that do not mention the loss.
        if self.is_lost() {
            self.check()?;
        }
        match failed {
            Some(wgpu::Error::OutOfMemory { .. }) => Err(self.failed("not enough memory")),
            Some(error) => Err(self.failed(&error.to_string())),
            None => done,
        }
    }

    /// # Errors
    /// Returns an error if the device is lost.
    pub(super) fn check(&self) -> Result<()> {
        match self.lost.get() {
            Some(what) => Err(self.failed(what)),
            None => Ok(()),
        }
    }

    fn failed(&self, what: &str) -> Error {
        Error::Device(format!("{}: {}", self.name, one_line(what)))
    }

    /// Creates a storage buffer of `len` f32 zeros.
    ///
    /// # Errors
    /// Returns an error if the device allows no buffer of that size.
    pub(super) fn storage(&self, label: &str, len: usize) -> Result<Buffer> {
        let bytes = (len * size_of::<f32>()).max(16) as u64;
        let limits = self.device.limits();
        let largest = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size);
        if bytes > largest {
            return Err(Error::Device(format!(
                "{}: the {label} need a buffer of {bytes} bytes, but the device allows at most {largest}",
                self.name
            )));
        }
        Ok(self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        }))
    }

    /// Waits for a submission, then copies the first bytes of a mappable buffer to `out`.
    ///
    /// # Errors
    /// Returns an error if the device is lost.
    pub(super) fn read(
        &self,
        buffer: &Buffer,
        submission: SubmissionIndex,
        out: &mut [u8],
    ) -> Result<()> {
        self.check()?;
        let lost = |what: String| self.failed(self.lost.get().unwrap_or(&what));
        let bytes = out.len() as u64;
        let (send, receive) = crossbeam_channel::bounded(1);
        let slice = buffer.slice(..bytes);
        slice.map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone if waiting failed.
            let _ = send.send(result);
        });
        let mapped = if self.shared {
            // Poll, because a blocking wait holds a lock that the window needs to present.
            loop {
                self.poll(PollType::Poll)?;
                self.check()?;
                match receive.recv_timeout(POLL_INTERVAL) {
                    Err(RecvTimeoutError::Timeout) => {}
                    mapped => break mapped.map_err(|e| lost(e.to_string()))?,
                }
            }
        } else {
            self.wait(submission)?;
            receive.recv().map_err(|e| lost(e.to_string()))?
        };
        mapped.map_err(|e| lost(e.to_string()))?;
        {
            let view = slice.get_mapped_range().map_err(|e| lost(e.to_string()))?;
            out.copy_from_slice(&view);
        }
        buffer.unmap();
        Ok(())
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Display name: adapter and graphics API.
fn display_name(adapter: &Adapter) -> String {
    let info = adapter.get_info();
    format!("{} ({:?})", info.name, info.backend)
}

/// All adapters, the best first.
fn ranked_adapters() -> Vec<Adapter> {
    let instance = Instance::new(InstanceDescriptor::new_without_display_handle());
    let mut adapters = pollster::block_on(instance.enumerate_adapters(Backends::PRIMARY));
    adapters.sort_by_key(Gpu::preference);
    adapters
}

/// A graphics adapter and its capabilities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterInfo {
    /// Adapter name.
    pub name: String,
    /// Graphics API: Vulkan, Metal or DirectX 12.
    pub backend: String,
    /// Driver, with its version if known.
    pub driver: String,
    /// Whether it is a software renderer.
    pub software: bool,
    /// Size limit of a buffer in bytes. A world's matrices must fit into one buffer, and so must its
    /// activations with the KV cache.
    pub buffer_bytes: u64,
    /// Size of workgroup memory in bytes.
    pub workgroup_bytes: u32,
    /// Whether it has timestamps, to measure the stages of a frame.
    pub clock: bool,
    /// Whether its shaders support 16-bit floats.
    pub half: bool,
    /// Whether its shaders support subgroups.
    pub subgroups: bool,
}

impl fmt::Display for AdapterInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.software {
            "software renderer, not used by auto"
        } else {
            "ready: play"
        };
        let feature = |has: bool, what: &str| {
            if has {
                format!(", {what}")
            } else {
                String::new()
            }
        };
        write!(
            f,
            "{} ({}, {}): {kind}; buffers to {} MiB{}{}{}",
            self.name,
            self.backend,
            self.driver,
            self.buffer_bytes >> 20,
            feature(self.half, "f16"),
            feature(self.subgroups, "subgroups"),
            feature(self.clock, "timestamps")
        )
    }
}

/// Every graphics adapter of this machine, the best first.
pub fn adapters() -> Vec<AdapterInfo> {
    let report = |adapter: &Adapter| {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        AdapterInfo {
            backend: format!("{:?}", info.backend),
            driver: format!("{} {}", info.driver, info.driver_info)
                .trim()
                .to_owned(),
            software: !is_hardware(adapter),
            buffer_bytes: limits
                .max_storage_buffer_binding_size
                .min(limits.max_buffer_size),
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            clock: adapter.features().contains(Features::TIMESTAMP_QUERY),
            half: adapter.features().contains(Features::SHADER_F16),
            subgroups: adapter.features().contains(Features::SUBGROUP),
            name: info.name,
        }
    };
    ranked_adapters().iter().map(report).collect()
}

/// Whether an adapter is a hardware GPU, not a software renderer.
fn is_hardware(adapter: &Adapter) -> bool {
    matches!(
        adapter.get_info().device_type,
        DeviceType::DiscreteGpu | DeviceType::IntegratedGpu | DeviceType::VirtualGpu
    )
}
