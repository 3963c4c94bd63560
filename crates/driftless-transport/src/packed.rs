//! The network on packed weights: each picture by itself, without tensors.

use rayon::prelude::*;

use driftless_engine::kernels::{
    PackedMatrix, RowLayout, SpaceLayer, SpaceScratch, Workers, WriteMode,
};
use driftless_model::export::{ExportedAttention, ExportedMlp, gain, matrix};
use driftless_model::ops::rms_norm_rows;

use crate::Result;
use crate::network::{LayerConditions, TransportNetwork};

/// The weights of a network. L = H·W·C values of a picture, N values of a window.
pub(crate) struct PackedNetwork {
    /// Which value of the picture each value of a window is, \[tokens, N\]; L where the window reaches beyond it.
    windows: Vec<u32>,
    picture_len: usize,
    tokens: usize,
    width: usize,
    input: PackedMatrix,
    /// Bias of the input + positions, \[tokens, width\].
    start: Vec<f32>,
    layers: Vec<SpaceLayer>,
    norm_out: Vec<f32>,
    output: PackedMatrix,
    output_bias: Vec<f32>,
}

/// Buffers for one picture.
struct Scratch {
    windows: Vec<f32>,
    x: Vec<f32>,
    normed: Vec<f32>,
    layer: Option<SpaceScratch>,
}

impl PackedNetwork {
    /// Packs the weights of a network.
    pub fn new(network: &TransportNetwork) -> Result<Self> {
        let (input, output) = (matrix(&network.input)?, matrix(&network.output)?);
        let mut start: Vec<f32> = network.position.flatten_all()?.to_vec1()?;
        for row in start.chunks_exact_mut(input.outputs) {
            row.iter_mut()
                .zip(input.bias_or_zeros())
                .for_each(|(x, bias)| *x += bias);
        }
        let layers = network.layers.iter().map(|layer| {
            let attention = ExportedAttention::new(&layer.attention)?;
            let mlp = ExportedMlp::new(&layer.mlp)?;
            Ok(SpaceLayer::new(&attention, &mlp, network.tokens))
        });
        Ok(Self {
            windows: network.windows.to_vec1()?,
            picture_len: network.picture.iter().product(),
            tokens: network.tokens,
            width: input.outputs,
            input: PackedMatrix::new(&input),
            start,
            layers: layers.collect::<Result<_>>()?,
            norm_out: gain(&network.norm_out)?,
            output: PackedMatrix::new(&output),
            output_bias: output.bias_or_zeros(),
        })
    }

    /// What the network predicts of `z`, \[B, L\], under its conditions.
    pub fn forward(&self, z: &[f32], conditions: &LayerConditions) -> Vec<f32> {
        let mut out = vec![0.0; z.len()];
        if z.len() == self.picture_len {
            // No other thread has to wake up for a single picture.
            self.predict(z, 0, conditions, &mut self.scratch(), &mut out);
            return out;
        }
        let pictures = z.par_chunks_exact(self.picture_len);
        pictures
            .zip(out.par_chunks_exact_mut(self.picture_len))
            .enumerate()
            .for_each_init(
                || self.scratch(),
                |scratch, (b, (z, out))| self.predict(z, b, conditions, scratch, out),
            );
        out
    }

    fn scratch(&self) -> Scratch {
        Scratch {
            windows: vec![0.0; self.windows.len()],
            x: vec![0.0; self.start.len()],
            normed: vec![0.0; self.start.len()],
            layer: self.layers.first().map(SpaceLayer::scratch),
        }
    }

    /// Predicts picture `b` into `out`.
    fn predict(
        &self,
        z: &[f32],
        b: usize,
        conditions: &LayerConditions,
        t: &mut Scratch,
        out: &mut [f32],
    ) {
        let alone = Workers::none();
        for (value, at) in t.windows.iter_mut().zip(&self.windows) {
            *value = z.get(*at as usize).copied().unwrap_or(0.0);
        }
        let rows = |width| RowLayout::contiguous(self.tokens, width);
        let window = self.output_bias.len();
        t.x.copy_from_slice(&self.start);
        self.input
            .apply(&alone, &t.windows, rows(window), &mut t.x, WriteMode::Add);
        if let Some(scratch) = &mut t.layer {
            for (l, layer) in self.layers.iter().enumerate() {
                let condition = conditions.of_layer(l, b, self.width);
                for token in t.x.chunks_exact_mut(self.width) {
                    token.iter_mut().zip(condition).for_each(|(x, c)| *x += c);
                }
                layer.apply(&mut t.x, scratch);
            }
        }
        rms_norm_rows(&t.x, &self.norm_out, &mut t.normed);
        self.output.apply(
            &alone,
            &t.normed,
            rows(self.width),
            &mut t.windows,
            WriteMode::Set,
        );
        let skip = conditions.skip(b);
        for (pixel, z) in out
            .chunks_exact_mut(skip.len())
            .zip(z.chunks_exact(skip.len()))
        {
            for ((out, z), skip) in pixel.iter_mut().zip(z).zip(skip) {
                *out = z * skip;
            }
        }
        let bias = self.output_bias.iter().cycle();
        for ((value, bias), at) in t.windows.iter().zip(bias).zip(&self.windows) {
            if let Some(out) = out.get_mut(*at as usize) {
                *out += value + bias;
            }
        }
    }
}
