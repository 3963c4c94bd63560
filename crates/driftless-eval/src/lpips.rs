//! LPIPS: a perceptual distance between images, in the features of a network that was trained to classify photographs.
//!
//! R. Zhang et al., *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric* (2018), eq. 1, as version
//! 0.1 of its published code computes it: features behind five layers of AlexNet or VGG-16, each scaled to length 1
//! along its channels, the squared difference of two images weighted by a head per layer, averaged over positions and
//! summed over layers. The weights are the user's: none come with the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use driftless_data::{PathError as _, fs, pth};

use crate::{Error, Result};

/// The largest file of weights that is read.
const MAX_FILE: u64 = 2 << 30;
/// Mean and standard deviation of the images, in [-1, 1], that the backbones were trained on.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];
/// Added to the length of a feature vector before dividing by it.
const EPSILON: f64 = 1e-10;

/// A step from an image to its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// A convolution, then ReLU. `index` is its place in torchvision's `features`.
    Conv {
        index: usize,
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    /// The maximum over `kernel` × `kernel` positions.
    MaxPool { kernel: usize, stride: usize },
    /// The features so far are compared.
    Compare,
}

const fn conv(
    index: usize,
    channels: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Layer {
    Layer::Conv {
        index,
        channels,
        kernel,
        stride,
        padding,
    }
}

const fn pool(kernel: usize, stride: usize) -> Layer {
    Layer::MaxPool { kernel, stride }
}

#[rustfmt::skip] // A block of layers per line.
const ALEXNET: &[Layer] = &[
    conv(0, 64, 11, 4, 2), Layer::Compare,
    pool(3, 2), conv(3, 192, 5, 1, 2), Layer::Compare,
    pool(3, 2), conv(6, 384, 3, 1, 1), Layer::Compare,
    conv(8, 256, 3, 1, 1), Layer::Compare,
    conv(10, 256, 3, 1, 1), Layer::Compare,
];
#[rustfmt::skip] // A block of layers per line.
const VGG16: &[Layer] = &[
    conv(0, 64, 3, 1, 1), conv(2, 64, 3, 1, 1), Layer::Compare,
    pool(2, 2), conv(5, 128, 3, 1, 1), conv(7, 128, 3, 1, 1), Layer::Compare,
    pool(2, 2), conv(10, 256, 3, 1, 1), conv(12, 256, 3, 1, 1), conv(14, 256, 3, 1, 1), Layer::Compare,
    pool(2, 2), conv(17, 512, 3, 1, 1), conv(19, 512, 3, 1, 1), conv(21, 512, 3, 1, 1), Layer::Compare,
    pool(2, 2), conv(24, 512, 3, 1, 1), conv(26, 512, 3, 1, 1), conv(28, 512, 3, 1, 1), Layer::Compare,
];

/// The network and heads of LPIPS.
pub struct Lpips {
    name: &'static str,
    layers: &'static [Layer],
    /// Kernel [out, in, k, k] and bias [1, out, 1, 1] of each convolution, in their order.
    convolutions: Vec<(Tensor, Tensor)>,
    /// Weights of the channels of each comparison, [1, channels, 1, 1].
    heads: Vec<Tensor>,
}

impl Lpips {
    /// Reads the weights: safetensors, or PyTorch's `.pth`, which is not executed. Backbone and heads may be in
    /// different files.
    ///
    /// Expected are the names and shapes of torchvision's AlexNet or VGG-16 (`features.0.weight`, …) and of the
    /// heads of the `lpips` package (`lin0.model.1.weight`, …), or those of a whole model of that package
    /// (`net.slice1.0.weight`, …).
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, or a weight is missing or has another shape.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let mut weights = BTreeMap::new();
        for file in files {
            weights.extend(read_weights(file)?);
        }
        let named = files.iter().map(|file| file.to_string_lossy().into_owned());
        let named = named.collect::<Vec<_>>().join(", ");
        Self::of(&weights).map_err(|what| Error::Argument(format!("{named}: {what}")))
    }

    fn of(weights: &BTreeMap<String, Tensor>) -> std::result::Result<Self, String> {
        let first = convolution(weights, 0, "weight");
        let (name, layers) = match first.map(Tensor::dims) {
            Some([64, 3, 11, 11]) => ("AlexNet", ALEXNET),
            Some([64, 3, 3, 3]) => ("VGG-16", VGG16),
            Some(other) => {
                return Err(format!(
                    "features.0.weight is {other:?}, expected [64, 3, 11, 11] (AlexNet) or [64, 3, 3, 3] (VGG-16)"
                ));
            }
            None => {
                return Err("no backbone: features.0.weight is missing, expected torchvision's AlexNet or VGG-16 \
                            beside the heads of LPIPS"
                    .into());
            }
        };
        let (mut convolutions, mut heads, mut channels) = (Vec::new(), Vec::new(), 3);
        for layer in layers {
            match *layer {
                Layer::Conv {
                    index,
                    channels: out,
                    kernel,
                    ..
                } => {
                    let of = |part| {
                        (
                            format!("features.{index}.{part}"),
                            convolution(weights, index, part),
                        )
                    };
                    let weight = shaped(of("weight"), &[out, channels, kernel, kernel])?;
                    let bias = shaped(of("bias"), &[out])?;
                    let bias = bias.reshape((1, out, 1, 1)).map_err(|e| e.to_string())?;
                    convolutions.push((weight, bias));
                    channels = out;
                }
                Layer::Compare => {
                    let name = format!("lin{}.model.1.weight", heads.len());
                    let head = weights.get(&name);
                    heads.push(shaped((name, head), &[1, channels, 1, 1])?);
                }
                Layer::MaxPool { .. } => {}
            }
        }
        Ok(Self {
            name,
            layers,
            convolutions,
            heads,
        })
    }

    /// The backbone's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The distance between each image and its counterpart, u8 RGB `[N, H, W, 3]` both; `None` for images that are
    /// smaller than the network's last features (31 pixels for AlexNet, 16 for VGG-16).
    ///
    /// # Errors
    /// Returns an error if the buffers do not have that length.
    pub fn distances(&self, a: &[u8], b: &[u8], size: [usize; 2]) -> Result<Option<Vec<f64>>> {
        if size.iter().any(|&side| !self.reaches(side)) {
            return Ok(None);
        }
        let (a, b) = (self.features(a, size)?, self.features(b, size)?);
        let mut sum: Option<Tensor> = None;
        for ((a, b), head) in a.iter().zip(&b).zip(&self.heads) {
            let difference = (a - b)?.sqr()?.broadcast_mul(head)?;
            let layer = difference.sum(1)?.mean((1, 2))?;
            sum = Some(match sum {
                Some(sum) => (sum + layer)?,
                None => layer,
            });
        }
        let sum = sum.map_or_else(|| Ok(Vec::new()), |sum| sum.to_vec1::<f32>())?;
        Ok(Some(sum.into_iter().map(f64::from).collect()))
    }

    /// Whether an image with this side has features behind every layer.
    fn reaches(&self, side: usize) -> bool {
        let out = |side: usize, kernel: usize, stride: usize, padding: usize| {
            Some((side + 2 * padding).checked_sub(kernel)? / stride + 1)
        };
        let end = self
            .layers
            .iter()
            .try_fold(side, |side, layer| match *layer {
                Layer::Conv {
                    kernel,
                    stride,
                    padding,
                    ..
                } => out(side, kernel, stride, padding),
                Layer::MaxPool { kernel, stride } => out(side, kernel, stride, 0),
                Layer::Compare => Some(side),
            });
        end.is_some_and(|side| side > 0)
    }

    /// The features of images, each [N, channels, h, w] of length 1 along the channels.
    fn features(&self, images: &[u8], [height, width]: [usize; 2]) -> Result<Vec<Tensor>> {
        let count = images.len() / (height * width * 3).max(1);
        let values: Vec<f32> = images
            .iter()
            .map(|&byte| f32::from(byte) / 127.5 - 1.0)
            .collect();
        let x = Tensor::from_vec(values, (count, height, width, 3), &Device::Cpu)?;
        let per_channel =
            |values: [f32; 3]| Tensor::new(&values, &Device::Cpu)?.reshape((1, 3, 1, 1));
        let x = x.permute((0, 3, 1, 2))?.contiguous()?;
        let mut x = x
            .broadcast_sub(&per_channel(SHIFT)?)?
            .broadcast_div(&per_channel(SCALE)?)?;
        let mut convolutions = self.convolutions.iter();
        let mut features = Vec::with_capacity(self.heads.len());
        for layer in self.layers {
            match *layer {
                Layer::Conv {
                    stride, padding, ..
                } => {
                    if let Some((kernel, bias)) = convolutions.next() {
                        x = x
                            .conv2d(kernel, padding, stride, 1, 1)?
                            .broadcast_add(bias)?
                            .relu()?;
                    }
                }
                Layer::MaxPool { kernel, stride } => {
                    x = x.max_pool2d_with_stride(kernel, stride)?;
                }
                Layer::Compare => {
                    let length = (x.sqr()?.sum_keepdim(1)?.sqrt()? + EPSILON)?;
                    features.push(x.broadcast_div(&length)?);
                }
            }
        }
        Ok(features)
    }
}

/// A convolution's `weight` or `bias`, by torchvision's name or by that of the `lpips` package.
fn convolution<'a>(
    weights: &'a BTreeMap<String, Tensor>,
    index: usize,
    part: &str,
) -> Option<&'a Tensor> {
    let slice = |slice: usize| weights.get(&format!("net.slice{slice}.{index}.{part}"));
    weights
        .get(&format!("features.{index}.{part}"))
        .or_else(|| (1..=5).find_map(slice))
}

fn shaped(
    (name, tensor): (String, Option<&Tensor>),
    shape: &[usize],
) -> std::result::Result<Tensor, String> {
    match tensor {
        Some(tensor) if tensor.dims() == shape => Ok(tensor.clone()),
        Some(tensor) => Err(format!("{name} is {:?}, expected {shape:?}", tensor.dims())),
        None => Err(format!("{name} is missing, expected {shape:?}")),
    }
}

/// Reads safetensors or PyTorch's format, by the file's extension.
fn read_weights(file: &Path) -> Result<BTreeMap<String, Tensor>> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    if matches!(extension, Some("pth" | "pt")) {
        let tensors = pth::read(file)?.into_iter();
        let tensor = |(name, tensor): (String, pth::PthTensor)| {
            Ok((
                name,
                Tensor::from_vec(tensor.values, tensor.shape, &Device::Cpu)?,
            ))
        };
        return tensors.map(tensor).collect();
    }
    let bytes = fs::read_source(file, MAX_FILE)?;
    let wrong = |e: candle_core::Error| {
        Error::invalid(file, format!("not safetensors, nor named .pth: {e}"))
    };
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(wrong)?;
    let float =
        |(name, tensor): (String, Tensor)| Ok((name, tensor.to_dtype(candle_core::DType::F32)?));
    tensors.into_iter().map(float).collect()
}

#[cfg(test)]
#[path = "lpips_tests.rs"]
pub(crate) mod tests;
