//! The weights of the denoiser's network, as every backend takes them.

use crate::Result;
use crate::blocks::BlockBuilder;
use crate::map::COLOURS;
use crate::norm::GroupNorm;
use crate::unet::UNetWeights;
use crate::weights::Affine;

/// The weights of a network.
pub(crate) struct NetworkWeights {
    /// Height and width of frames.
    pub size: [usize; 2],
    pub conv_in: Affine,
    pub unet: UNetWeights,
    pub norm_out: GroupNorm,
    pub conv_out: Affine,
}

impl NetworkWeights {
    /// Takes the weights of `name`, which sees so many past frames.
    pub(crate) fn take(
        builder: &mut BlockBuilder,
        name: &str,
        size: [usize; 2],
        past: usize,
    ) -> Result<Self> {
        let part = |part: &str| format!("{name}.{part}");
        let frames = (past + 1) * COLOURS;
        let conv_in = builder
            .weights
            .convolution(&part("conv_in"), Some(frames), 3)?;
        let unet = UNetWeights::take(builder, &part("unet"), size, conv_in.outputs())?;
        let (weights, outputs) = (&mut *builder.weights, unet.outputs());
        let norm_out = GroupNorm::new(weights, &part("norm_out.norm"), outputs)?;
        let conv_out = weights.convolution(&part("conv_out"), Some(outputs), 3)?;
        if conv_out.outputs() != COLOURS {
            let expected = format!("{COLOURS} outputs");
            return Err(weights.wrong(&part("conv_out.weight"), &conv_out.shape, &expected));
        }
        Ok(Self {
            size,
            conv_in,
            unet,
            norm_out,
            conv_out,
        })
    }
}
