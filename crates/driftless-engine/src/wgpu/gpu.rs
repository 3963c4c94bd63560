//! A GPU through wgpu: adapter, device, queue, and reading back.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use serde::Serialize;
use wgpu::{
    Adapter, Backends, Buffer, BufferUsages, Device, DeviceType, ErrorFilter, Features, Instance,
    InstanceDescriptor, Limits, PollType, Queue, SubmissionIndex,
};

use crate::{Error, Result};

/// How long the engine sleeps between two looks at a device that a window draws with.
const LOOK_AGAIN: Duration = Duration::from_micros(100);

/// A device and its queue.
#[derive(Clone, Debug)]
pub struct Gpu {
    pub(super) device: Device,
    pub(super) queue: Queue,
    /// Name and kind of the adapter, for people.
    pub(super) name: String,
    real: bool,
    /// Whether a window draws with it.
    pub(super) shared: bool,
    /// Whether matrices are kept in 16 bits.
    pub(super) half: bool,
    /// Whether the threads of a workgroup can sum in subgroups.
    pub(super) subgroups: bool,
    /// Adapter and driver, as measurements are filed under.
    measured_as: String,
    /// How the device was lost: wgpu tells it where nobody waits for it.
    trouble: Arc<OnceLock<String>>,
}

impl Gpu {
    /// Opens the best adapter: a discrete GPU before an integrated one, and a software renderer only
    /// where `software` allows it.
    ///
    /// # Errors
    /// There is no such adapter, or its device cannot be opened.
    pub fn open(software: bool) -> Result<Self> {
        let mut adapters = found().into_iter();
        let best = adapters.find(|adapter| software || is_real(adapter));
        let Some(adapter) = best else {
            let what = match software {
                true => "no graphics adapter",
                false => "no GPU, only a software renderer or nothing",
            };
            return Err(Error::Device(format!("wgpu: {what}")));
        };
        Self::of(&adapter)
    }

    fn of(adapter: &Adapter) -> Result<Self> {
        let (device, queue) =
            pollster::block_on(adapter.request_device(&Self::descriptor(adapter)))
                .map_err(|e| Error::Device(format!("wgpu: {}: {e}", name(adapter))))?;
        Ok(Self::on(adapter, device, queue, false))
    }

    /// The device and queue that a window draws with, opened with [`Gpu::descriptor`]. None where the
    /// adapter has no compute shaders that write storage.
    pub fn shared(adapter: &Adapter, device: Device, queue: Queue) -> Option<Self> {
        let limits = device.limits();
        let computes = limits.max_compute_invocations_per_workgroup
            >= Limits::default().max_compute_invocations_per_workgroup
            && limits.max_storage_buffers_per_shader_stage >= 5;
        computes.then(|| Self::on(adapter, device, queue, true))
    }

    /// What a device is asked for: all of the adapter's memory, and the defaults of the rest.
    pub fn descriptor(adapter: &Adapter) -> wgpu::DeviceDescriptor<'static> {
        let own = adapter.limits();
        let limits = match adapter.get_info().backend {
            wgpu::Backend::Gl => Limits {
                // As large as a window may become.
                max_texture_dimension_2d: 8192,
                ..Limits::downlevel_webgl2_defaults()
            },
            _ => Limits {
                max_buffer_size: own.max_buffer_size,
                max_storage_buffer_binding_size: own.max_storage_buffer_binding_size,
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

    fn on(adapter: &Adapter, device: Device, queue: Queue, shared: bool) -> Self {
        let (trouble, info) = (Arc::new(OnceLock::new()), adapter.get_info());
        // The engine's own failures are caught where they happen. What is left is a window's, whose
        // surface cannot be made anew in the moment in which the engine submits; it tries again.
        device.on_uncaptured_error(Arc::new(|error: wgpu::Error| {
            tracing::warn!("{}", one_line(&error.to_string()));
        }));
        let note = Arc::clone(&trouble);
        device.set_device_lost_callback(move |reason, what| {
            // Only the first counts: what follows is its consequence.
            let text = format!("the device is lost ({reason:?}) {what}");
            let _ = note.set(text.trim_end().to_owned());
        });
        Self {
            subgroups: device.features().contains(Features::SUBGROUP),
            device,
            queue,
            name: name(adapter),
            real: is_real(adapter),
            shared,
            half: false,
            measured_as: format!(
                "{} {:?} {} {}",
                info.name, info.backend, info.driver, info.driver_info
            ),
            trouble,
        }
    }

    /// The same with matrices in 16 bits.
    ///
    /// # Errors
    /// Its shaders have no numbers of 16 bits.
    pub fn with_half(mut self) -> Result<Self> {
        if !self.device.features().contains(Features::SHADER_F16) {
            return Err(self.failed("its shaders have no 16-bit numbers; use --device wgpu"));
        }
        self.half = true;
        Ok(self)
    }

    /// What measurements of the kernels of this program on this device are filed under.
    pub(super) fn tuning_key(&self) -> String {
        let bits = if self.half { 16 } else { 32 };
        format!("{} {bits} {}", env!("CARGO_PKG_VERSION"), self.measured_as)
    }

    /// Whether it is a GPU and not a program that plays one.
    pub fn is_real(&self) -> bool {
        self.real
    }

    /// Name and kind of the adapter, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Device and queue, for drawing.
    pub fn parts(&self) -> (&Device, &Queue) {
        (&self.device, &self.queue)
    }

    /// Waits until a submission is done.
    ///
    /// # Errors
    /// The device is lost.
    pub fn wait(&self, submission: SubmissionIndex) -> Result<()> {
        self.poll(PollType::Wait {
            submission_index: Some(submission),
            timeout: None,
        })
    }

    fn poll(&self, how: PollType) -> Result<()> {
        self.check()?;
        // Where a device is lost wgpu panics here.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(how)));
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.failed(self.trouble.get().unwrap_or(&error.to_string()))),
            Err(_) => {
                let _ = self.trouble.set("the device is lost".into());
                self.check()
            }
        }
    }

    /// Whether the device is lost, for good.
    pub fn is_lost(&self) -> bool {
        // The word of it may be waiting to be fetched.
        self.poll(PollType::Poll).is_err() || self.trouble.get().is_some()
    }

    /// Runs `work`, whose failures on the device are its own and not those of what comes after.
    ///
    /// # Errors
    /// It failed, or something did not fit on the device.
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
        // On a lost device everything fails, with words that do not say so.
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
    /// The device is lost.
    pub(super) fn check(&self) -> Result<()> {
        match self.trouble.get() {
            Some(what) => Err(self.failed(what)),
            None => Ok(()),
        }
    }

    fn failed(&self, what: &str) -> Error {
        Error::Device(format!("{}: {}", self.name, one_line(what)))
    }

    /// A storage buffer of so many f32 numbers, zeros.
    ///
    /// # Errors
    /// The device allows no buffer of that size.
    pub(super) fn storage(&self, label: &str, numbers: usize) -> Result<Buffer> {
        let bytes = (numbers * size_of::<f32>()).max(16) as u64;
        let limits = self.device.limits();
        let most = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size);
        if bytes > most {
            return Err(Error::Device(format!(
                "{}: the {label} need a buffer of {bytes} bytes, and the largest may have {most}",
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

    /// Waits for a submission, and copies the first bytes of a buffer that can be mapped.
    ///
    /// # Errors
    /// The device is lost.
    pub(super) fn read(
        &self,
        buffer: &Buffer,
        submission: SubmissionIndex,
        out: &mut [u8],
    ) -> Result<()> {
        self.check()?;
        let lost = |what: String| self.failed(self.trouble.get().unwrap_or(&what));
        let bytes = out.len() as u64;
        let (send, receive) = crossbeam_channel::bounded(1);
        let slice = buffer.slice(..bytes);
        slice.map_async(wgpu::MapMode::Read, move |result| {
            // Nobody waits any more where the receiver has gone.
            let _ = send.send(result);
        });
        let mapped = if self.shared {
            // A wait holds a lock that a window needs to show what it has drawn.
            loop {
                self.poll(PollType::Poll)?;
                self.check()?;
                match receive.recv_timeout(LOOK_AGAIN) {
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

/// Name and kind of an adapter, for people.
fn name(adapter: &Adapter) -> String {
    let info = adapter.get_info();
    format!("{} ({:?})", info.name, info.backend)
}

/// All adapters, the best first.
fn found() -> Vec<Adapter> {
    let instance = Instance::new(InstanceDescriptor::new_without_display_handle());
    let mut adapters = pollster::block_on(instance.enumerate_adapters(Backends::PRIMARY));
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

/// What an adapter is and can do for the engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterReport {
    /// Its name.
    pub name: String,
    /// Vulkan, Metal or DirectX 12.
    pub backend: String,
    /// Its driver, with its version where it tells.
    pub driver: String,
    /// Whether it is a program that plays a GPU.
    pub software: bool,
    /// Most bytes of one buffer: all weights of a world, and all of its activations and rings, take
    /// one each.
    pub buffer_bytes: u64,
    /// Bytes that the threads of a workgroup share.
    pub workgroup_bytes: u32,
    /// Whether it has a clock for the stages of a frame.
    pub clock: bool,
    /// Whether its shaders have numbers of 16 bits.
    pub half: bool,
    /// Whether its threads can sum in subgroups.
    pub subgroups: bool,
}

impl fmt::Display for AdapterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.software {
            true => "software, only where asked for",
            false => "ready: play",
        };
        let yes = |has: bool, what: &str| {
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
            yes(self.half, "f16"),
            yes(self.subgroups, "subgroups"),
            yes(self.clock, "clock")
        )
    }
}

/// Every graphics adapter of the machine, the best first.
pub fn adapters() -> Vec<AdapterReport> {
    let report = |adapter: &Adapter| {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        AdapterReport {
            backend: format!("{:?}", info.backend),
            driver: format!("{} {}", info.driver, info.driver_info)
                .trim()
                .to_owned(),
            software: !is_real(adapter),
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
    found().iter().map(report).collect()
}

/// Whether an adapter is a GPU and not a program that plays one.
fn is_real(adapter: &Adapter) -> bool {
    matches!(
        adapter.get_info().device_type,
        DeviceType::DiscreteGpu | DeviceType::IntegratedGpu | DeviceType::VirtualGpu
    )
}

fn rank(kind: DeviceType) -> u8 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}
