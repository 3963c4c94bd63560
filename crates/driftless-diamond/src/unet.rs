//! The U-Net of the denoiser: residual blocks at halved sizes, and back up with skip connections.

use crate::Result;
use crate::blocks::{BlockBuilder, BlockWeights, ResBlock};
use crate::conv::{Conv3x3, Onto, Source};
use crate::map::{Compute, Map};
use crate::weights::Affine;

/// The weights of one size on the way down or up.
pub(crate) struct LevelWeights {
    /// Height and width.
    pub size: [usize; 2],
    /// Halves the size of what comes from above, or doubles that of what comes from below; the first level of each way
    /// has none.
    pub resample: Option<Affine>,
    pub blocks: Vec<BlockWeights>,
}

/// The weights of a [`UNet`].
pub(crate) struct UNetWeights {
    pub down: Vec<LevelWeights>,
    pub middle: Vec<BlockWeights>,
    pub up: Vec<LevelWeights>,
}

impl UNetWeights {
    /// The network `name` for maps of `size` with so many channels. Sides must be multiples of 2 to the number of
    /// halvings.
    pub(crate) fn take(
        builder: &mut BlockBuilder,
        name: &str,
        size: [usize; 2],
        mut channels: usize,
    ) -> Result<Self> {
        let part = |part: &str| format!("{name}.{part}");
        let levels = builder.weights.count(&part("d_blocks."));
        let factor = 1_usize << levels.saturating_sub(1).min(16);
        if levels == 0 || !size.iter().all(|side| side.is_multiple_of(factor)) {
            return Err(builder.weights.error(format!(
                "`{name}` has {levels} sizes, which frames of {}×{} pixels cannot be halved to",
                size[1], size[0]
            )));
        }
        let at_level = |level: usize| size.map(|side| side >> level);
        let mut down = Vec::new();
        // Of each level, the channels of its maps: its input, then the output of each block.
        let mut widths = Vec::new();
        for level in 0..levels {
            let halve = (level > 0)
                .then(|| builder.resampling(&part(&format!("downsamples.{level}.conv")), channels));
            let resample = halve.transpose()?;
            let mut of_level = vec![channels];
            let name = part(&format!("d_blocks.{level}"));
            let blocks = builder.blocks(&name, &mut channels, None)?;
            of_level.extend(blocks.iter().map(BlockWeights::outputs));
            widths.push(of_level);
            down.push(LevelWeights {
                size: at_level(level),
                resample,
                blocks,
            });
        }
        let middle = builder.blocks(&part("mid_blocks"), &mut channels, None)?;
        let mut up = Vec::new();
        for (i, mut skips) in widths.into_iter().rev().enumerate() {
            let double = (i > 0)
                .then(|| builder.resampling(&part(&format!("upsamples.{i}.conv")), channels));
            let resample = double.transpose()?;
            skips.reverse();
            let name = part(&format!("u_blocks.{i}"));
            let blocks = builder.blocks(&name, &mut channels, Some(&skips))?;
            up.push(LevelWeights {
                size: at_level(levels - 1 - i),
                resample,
                blocks,
            });
        }
        Ok(Self { down, middle, up })
    }

    /// Channels of the output.
    pub(crate) fn outputs(&self) -> usize {
        let last = self.up.last().and_then(|up| up.blocks.last());
        last.map_or(0, BlockWeights::outputs)
    }
}

/// One size of the way down or up.
struct Level {
    resample: Option<Conv3x3>,
    blocks: Vec<ResBlock>,
}

impl Level {
    fn down(weights: LevelWeights) -> Self {
        // It reads the maps of the level above.
        let above = weights.size.map(|side| 2 * side);
        Self::new(weights, above, 2)
    }

    fn up(weights: LevelWeights) -> Self {
        let size = weights.size;
        Self::new(weights, size, 1)
    }

    fn new(weights: LevelWeights, resampled: [usize; 2], stride: usize) -> Self {
        let resample = weights.resample;
        let blocks = weights.blocks.into_iter();
        Self {
            resample: resample.map(|affine| Conv3x3::new(affine, resampled, stride)),
            blocks: blocks
                .map(|block| ResBlock::new(block, weights.size))
                .collect(),
        }
    }
}

pub(crate) struct UNet {
    down: Vec<Level>,
    middle: Vec<ResBlock>,
    up: Vec<Level>,
}

impl UNet {
    pub(crate) fn new(weights: UNetWeights) -> Self {
        let lowest = weights.down.last().map_or([0; 2], |level| level.size);
        let middle = weights.middle.into_iter();
        Self {
            down: weights.down.into_iter().map(Level::down).collect(),
            middle: middle.map(|block| ResBlock::new(block, lowest)).collect(),
            up: weights.up.into_iter().map(Level::up).collect(),
        }
    }

    pub(crate) fn apply(&self, compute: &mut Compute, x: Map, modulation: &[f32]) -> Map {
        // All maps of the way down; each is read once more on the way up.
        let mut skips = Vec::new();
        let mut x = Some(x);
        for down in &self.down {
            if let (Some(halve), Some(from)) = (&down.resample, skips.last()) {
                x = Some(halve.apply(compute, &Source::plain(&[from]), Onto::Zero));
            }
            skips.extend(x.take());
            for block in &down.blocks {
                if let Some(from) = skips.last() {
                    let y = block.apply(compute, &[from], modulation);
                    skips.push(y);
                }
            }
        }
        let mut x: Option<Map> = None;
        for block in &self.middle {
            let from = x.take();
            if let Some(input) = from.as_ref().or(skips.last()) {
                x = Some(block.apply(compute, &[input], modulation));
            }
            from.into_iter().for_each(|map| compute.give(map));
        }
        let mut x = x.unwrap_or_default();
        for up in &self.up {
            if let Some(double) = &up.resample {
                let maps = [&x];
                let source = Source {
                    doubled: true,
                    ..Source::plain(&maps)
                };
                let doubled = double.apply(compute, &source, Onto::Zero);
                compute.give(std::mem::replace(&mut x, doubled));
            }
            for block in &up.blocks {
                let skip = skips.pop().unwrap_or_default();
                let y = block.apply(compute, &[&x, &skip], modulation);
                compute.give(std::mem::replace(&mut x, y));
                compute.give(skip);
            }
        }
        x
    }
}
