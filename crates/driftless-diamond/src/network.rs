//! The denoiser's network: what EDM's preconditioning scales, on the CPU or on a GPU.

use driftless_engine::Backend;

use crate::Result;
use crate::conv::{Conv3x3, Onto, Source};
#[cfg(feature = "wgpu")]
use crate::gpu::GpuNetwork;
use crate::map::{Compute, Map};
use crate::network_weights::NetworkWeights;
use crate::norm::GroupNorm;
use crate::unet::UNet;

/// The network, packed for what computes it.
pub(crate) enum Network {
    Cpu(Box<CpuNetwork>),
    #[cfg(feature = "wgpu")]
    Gpu(Box<GpuNetwork>),
}

impl Network {
    /// Packs the weights for `backend`.
    ///
    /// # Errors
    /// Returns an error if the network does not fit on the device, or if this build computes nothing on it.
    pub(crate) fn new(weights: NetworkWeights, backend: &Backend) -> Result<Self> {
        match backend {
            Backend::Cpu(_) | Backend::Candle(_) => Ok(Self::Cpu(CpuNetwork::new(weights).into())),
            #[cfg(feature = "wgpu")]
            Backend::Wgpu(gpu) => Ok(Self::Gpu(GpuNetwork::new(gpu, &weights)?.into())),
            #[cfg(not(feature = "wgpu"))]
            Backend::Wgpu(_) => Err(driftless_engine::Error::Unsupported(
                "this build has DIAMOND's networks on the CPU only, use --device cpu".into(),
            )
            .into()),
        }
    }

    /// Name and graphics API of the GPU that computes; `None` for the CPU.
    pub(crate) fn gpu_name(&self) -> Option<&str> {
        match self {
            Self::Cpu(_) => None,
            #[cfg(feature = "wgpu")]
            Self::Gpu(network) => Some(network.name()),
        }
    }

    /// Measures what is fastest on a GPU; on the CPU there is no choice.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(crate) fn tune(&mut self) -> Result<()> {
        match self {
            Self::Cpu(_) => Ok(()),
            #[cfg(feature = "wgpu")]
            Self::Gpu(network) => network.tune(),
        }
    }

    /// Takes the past frames of the passes that follow: `[H, W, 3 · past]`, divided by σ_data.
    #[cfg_attr(
        not(feature = "wgpu"),
        expect(unused_variables, reason = "only a GPU takes them")
    )]
    pub(crate) fn begin_frame(&self, past: &Map) {
        match self {
            // It reads them where they are.
            Self::Cpu(_) => {}
            #[cfg(feature = "wgpu")]
            Self::Gpu(network) => network.set_past(&past.data),
        }
    }

    /// What the network predicts from a noisy frame `[H, W, 3]`, after [`Self::begin_frame`] with the same `past`.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(crate) fn predict(
        &self,
        compute: &mut Compute,
        past: &Map,
        noisy: &Map,
        modulation: &[f32],
    ) -> Result<Map> {
        match self {
            Self::Cpu(network) => Ok(network.predict(compute, past, noisy, modulation)),
            #[cfg(feature = "wgpu")]
            Self::Gpu(network) => {
                let mut predicted = compute.map(noisy.size, noisy.channels);
                network.predict(&noisy.data, modulation, &mut predicted.data)?;
                Ok(predicted)
            }
        }
    }
}

/// The network on the CPU.
pub(crate) struct CpuNetwork {
    conv_in: Conv3x3,
    unet: UNet,
    norm_out: GroupNorm,
    conv_out: Conv3x3,
}

impl CpuNetwork {
    fn new(weights: NetworkWeights) -> Self {
        let size = weights.size;
        Self {
            conv_in: Conv3x3::new(weights.conv_in, size, 1),
            unet: UNet::new(weights.unet),
            norm_out: weights.norm_out,
            conv_out: Conv3x3::new(weights.conv_out, size, 1),
        }
    }

    fn predict(&self, compute: &mut Compute, past: &Map, noisy: &Map, modulation: &[f32]) -> Map {
        let x = self
            .conv_in
            .apply(compute, &Source::plain(&[past, noisy]), Onto::Zero);
        let x = self.unet.apply(compute, x, modulation);
        let affine = self.norm_out.affine(&x);
        let y = self
            .conv_out
            .apply(compute, &Source::activated(&[&x], &affine), Onto::Zero);
        compute.give(x);
        y
    }
}
