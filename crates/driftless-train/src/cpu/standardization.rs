//! Standardization of latents with the statistics of the batch, and the curvature penalty.
//!
//! The batch has N raw latents, and those of its first M frames shifted one way (ahead) and the other
//! (behind). z = (raw − mean)/std with the mean per cell and channel and the standard deviation per
//! channel. The curvature penalty is the mean of ((raw − ½(ahead + behind))/std)².

/// The shape of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchShape {
    /// Frames, N.
    pub frames: usize,
    /// Shifted pairs, M.
    pub pairs: usize,
    pub cells: usize,
    pub channels: usize,
    /// Lower bound of the standard deviations.
    pub min_std: f32,
}

/// The result, and what the backward pass needs.
#[derive(Default)]
pub(super) struct Standardized {
    /// [N, cells, channels].
    pub z: Vec<f32>,
    pub curvature: f64,
    /// (raw − ½(ahead + behind))/std, [M, cells, channels].
    curvature_error: Vec<f32>,
    std: Vec<f32>,
}

impl BatchShape {
    fn latent(&self) -> usize {
        self.cells * self.channels
    }

    /// Standardizes; `raw` has N + 2·M latents.
    pub(super) fn forward(&self, raw: &[f32], out: &mut Standardized) {
        let (latent, c) = (self.latent(), self.channels);
        let (own, shifted) = raw.split_at(self.frames * latent);
        let mean = self.mean(own);
        out.z.clear();
        for own in own.chunks_exact(latent) {
            out.z.extend(own.iter().zip(&mean).map(|(x, m)| x - m));
        }
        let mut squares = vec![0f64; c];
        for cell in out.z.chunks_exact(c) {
            for (sum, x) in squares.iter_mut().zip(cell) {
                *sum += f64::from(x * x);
            }
        }
        let count = (self.frames * self.cells) as f64;
        let min_std = f64::from(self.min_std).powi(2);
        let std = squares.iter().map(|s| (s / count + min_std).sqrt() as f32);
        out.std = std.collect();
        for cell in out.z.chunks_exact_mut(c) {
            for (x, std) in cell.iter_mut().zip(&out.std) {
                *x /= std;
            }
        }
        let (ahead, behind) = shifted.split_at(self.pairs * latent);
        out.curvature_error.clear();
        let pairs = ahead.chunks_exact(c).zip(behind.chunks_exact(c));
        for (own, (ahead, behind)) in own.chunks_exact(c).zip(pairs) {
            let cell = own.iter().zip(ahead).zip(behind).zip(&out.std);
            out.curvature_error.extend(
                cell.map(|(((own, ahead), behind), std)| (own - 0.5 * (ahead + behind)) / std),
            );
        }
        let sum: f64 = out.curvature_error.iter().map(|b| f64::from(b * b)).sum();
        out.curvature = sum / out.curvature_error.len().max(1) as f64;
    }

    /// Means over frames.
    fn mean(&self, x: &[f32]) -> Vec<f32> {
        let mut mean = vec![0f32; self.latent()];
        for x in x.chunks_exact(self.latent()) {
            for (mean, x) in mean.iter_mut().zip(x) {
                *mean += x;
            }
        }
        for mean in &mut mean {
            *mean /= self.frames as f32;
        }
        mean
    }

    /// Computes the gradient of all raw latents from that of z and the `weight` of the curvature
    /// penalty in the loss.
    pub(super) fn backward(&self, s: &Standardized, dz: &[f32], weight: f32, draw: &mut Vec<f32>) {
        let (latent, c) = (self.latent(), self.channels);
        let each = 2.0 * weight / s.curvature_error.len().max(1) as f32;
        // −dL/dstd · std per channel: z and the curvature error are both proportional to 1/std.
        let mut shrink = vec![0f64; c];
        for (z, dz) in s.z.chunks_exact(c).zip(dz.chunks_exact(c)) {
            for ((sum, z), dz) in shrink.iter_mut().zip(z).zip(dz) {
                *sum += f64::from(z * dz);
            }
        }
        for curvature_error in s.curvature_error.chunks_exact(c) {
            for (sum, curvature_error) in shrink.iter_mut().zip(curvature_error) {
                *sum += f64::from(each * curvature_error * curvature_error);
            }
        }
        let count = (self.frames * self.cells) as f64;
        // dL/dvar · 2 · centred/count = −shrink/std² · z std/count.
        let pull: Vec<f32> = shrink.iter().map(|s| (s / count) as f32).collect();
        draw.clear();
        for (z, dz) in s.z.chunks_exact(c).zip(dz.chunks_exact(c)) {
            let cell = z.iter().zip(dz).zip(&pull).zip(&s.std);
            draw.extend(cell.map(|(((z, dz), pull), std)| (dz - pull * z) / std));
        }
        let mean = self.mean(draw);
        for frame in draw.chunks_exact_mut(latent) {
            for (dx, mean) in frame.iter_mut().zip(&mean) {
                *dx -= mean;
            }
        }
        for (dx, curvature_error) in draw
            .chunks_exact_mut(c)
            .zip(s.curvature_error.chunks_exact(c))
        {
            for ((dx, curvature_error), std) in dx.iter_mut().zip(curvature_error).zip(&s.std) {
                *dx += each * curvature_error / std;
            }
        }
        for _ in 0..2 {
            for curvature_error in s.curvature_error.chunks_exact(c) {
                let cell = curvature_error.iter().zip(&s.std);
                draw.extend(cell.map(|(curvature_error, std)| -0.5 * each * curvature_error / std));
            }
        }
    }
}
