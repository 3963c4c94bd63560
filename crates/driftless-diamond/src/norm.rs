//! Group normalization, as a gain and an offset for each channel of a feature map.

use crate::Result;
use crate::map::{Map, channels};
use crate::weights::Weights;

/// Channels of a group.
const GROUP: usize = 32;
const EPSILON: f64 = 1e-5;

/// y = gain x + offset, one of each for every channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChannelAffine {
    pub gain: Vec<f32>,
    pub offset: Vec<f32>,
}

/// Group normalization with a learned gain and offset.
pub(crate) struct GroupNorm {
    pub gain: Vec<f32>,
    pub offset: Vec<f32>,
}

impl GroupNorm {
    pub(crate) fn new(weights: &mut Weights, name: &str, channels: usize) -> Result<Self> {
        check_groups(weights, name, channels)?;
        Ok(Self {
            gain: weights.take_shaped(&format!("{name}.weight"), &[channels])?,
            offset: weights.take_shaped(&format!("{name}.bias"), &[channels])?,
        })
    }

    /// What normalizes a map.
    pub(crate) fn affine(&self, map: &Map) -> ChannelAffine {
        group_norm(&[map], |c| [self.gain[c], self.offset[c]])
    }
}

/// Refuses channels that cannot be cut into equal groups.
pub(crate) fn check_groups(weights: &Weights, name: &str, channels: usize) -> Result<()> {
    if channels.is_multiple_of(groups(channels)) {
        return Ok(());
    }
    Err(weights.error(format!(
        "`{name}` normalizes {channels} channels, which are no multiple of {GROUP}"
    )))
}

/// Number of groups of so many channels.
pub(crate) fn groups(channels: usize) -> usize {
    (channels / GROUP).max(1)
}

/// Normalizes each group of channels of maps that are read as one, then applies `affine(channel)`: a gain and an offset.
/// Needs the maps' [`Map::sums`].
pub(crate) fn group_norm(maps: &[&Map], affine: impl Fn(usize) -> [f32; 2]) -> ChannelAffine {
    let all: Vec<[f64; 2]> = maps
        .iter()
        .flat_map(|map| map.sums.iter().copied())
        .collect();
    let channels = channels(maps);
    debug_assert_eq!(all.len(), channels, "a map without sums");
    let size = channels / groups(channels);
    let count = maps.first().map_or(0, |map| map.pixels()) * size;
    let mut normalized = ChannelAffine::default();
    for (group, sums) in all.chunks(size).enumerate() {
        let [sum, squares] = [0, 1].map(|i| sums.iter().map(|sums| sums[i]).sum::<f64>());
        let mean = sum / count as f64;
        let variance = (squares / count as f64 - mean * mean).max(0.0);
        let scale = 1.0 / (variance + EPSILON).sqrt();
        for c in group * size..(group + 1) * size {
            let [gain, offset] = affine(c).map(f64::from);
            normalized.gain.push((gain * scale) as f32);
            normalized
                .offset
                .push((offset - gain * scale * mean) as f32);
        }
    }
    normalized
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_span_maps() {
        // One group of two channels, one in each map: values 1, 3 and 5, 7 have mean 4 and variance 5.
        let map = |data: [f32; 2]| {
            let squares = data.iter().map(|x| f64::from(x * x)).sum();
            Map {
                size: [1, 2],
                channels: 1,
                data: data.to_vec(),
                sums: vec![[f64::from(data[0] + data[1]), squares]],
            }
        };
        let (a, b) = (map([1.0, 3.0]), map([5.0, 7.0]));
        let affine = group_norm(&[&a, &b], |_| [2.0, 10.0]);
        let at = |c: usize, x: f32| affine.gain[c] * x + affine.offset[c];
        let expected = |x: f32| 10.0 + 2.0 * (x - 4.0) / (5.0f32 + 1e-5).sqrt();
        for (c, x) in [(0, 1.0), (0, 3.0), (1, 5.0), (1, 7.0)] {
            assert!((at(c, x) - expected(x)).abs() < 1e-5);
        }
    }
}
