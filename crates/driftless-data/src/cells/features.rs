//! What is measured in a picture of cells: size and shape of the nuclei, brightness and texture of
//! every channel.
//!
//! Brightness and texture are those of the cells, not of the picture, so that they do not depend on how many
//! cells there are. The nuclei are the pixels of the first channel above Otsu's threshold (Otsu, 1979), the
//! cells in another channel those above half of it.

use crate::components::{Neighbours, components};

/// Names of the features of a picture with three channels, as [`features`] returns them. With other
/// numbers of channels the last four names of each further channel repeat.
pub const FEATURES: [&str; 16] = [
    "area of nuclei",
    "largest nucleus",
    "nuclear elongation",
    "nuclear solidity",
    "nuclei and lobes",
    "nuclear intensity",
    "nuclear fine texture",
    "nuclear coarse texture",
    "channel 2 area",
    "channel 2 intensity",
    "channel 2 fine texture",
    "channel 2 coarse texture",
    "channel 3 area",
    "channel 3 intensity",
    "channel 3 fine texture",
    "channel 3 coarse texture",
];

/// Least pixels of a nucleus or lobe that counts.
const LEAST: usize = 12;
/// Reach of the means whose difference is the coarse texture.
const COARSE: [usize; 2] = [1, 3];

/// Measures a picture, u8 [H, W, C]: eight numbers of the nuclei, then four of each further channel.
/// Areas are shares of the picture. Solidity is the largest nucleus's area over that of the ellipse with
/// the same second moments: it falls as lobes part. Intensities are shares of white above the darkest
/// hundredth of the channel. Fine texture is the mean absolute Laplacian, coarse texture the mean absolute
/// difference of means over 3×3 and 7×7 pixels, both as shares of the intensity.
pub fn features(picture: &[u8], size: [usize; 2], channels: usize) -> Vec<f32> {
    let plane = |c: usize| -> Vec<f32> {
        let values: Vec<f32> = picture
            .iter()
            .skip(c)
            .step_by(channels)
            .map(|v| f32::from(*v))
            .collect();
        let background = percentile(&values, 0.01);
        values.iter().map(|v| (v - background) / 255.0).collect()
    };
    let mut all = nuclei(&plane(0), size);
    for c in 1..channels {
        let values = plane(c);
        let threshold = 0.5 * otsu(&values);
        let mask: Vec<bool> = values.iter().map(|v| *v > threshold).collect();
        all.push(area(&mask));
        all.extend(light(&values, &mask, size));
    }
    all
}

/// A nucleus by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nucleus {
    /// In pixels.
    pub area: f32,
    /// Of the ellipse with the same second moments: 0 is a circle.
    pub eccentricity: f32,
    /// Mean of its pixels.
    pub intensity: f32,
    /// Standard deviation of its pixels over their mean.
    pub contrast: f32,
}

/// The nuclei of a channel, f32 [H, W], that have at least `least` pixels and do not touch an edge: the
/// connected pieces above Otsu's threshold.
pub fn find_nuclei(values: &[f32], [height, width]: [usize; 2], least: usize) -> Vec<Nucleus> {
    let most = values.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let scaled: Vec<f32> = values.iter().map(|v| v / most).collect();
    let threshold = otsu(&scaled) * most;
    let mask: Vec<bool> = values.iter().map(|v| *v > threshold).collect();
    let inside = |at: &usize| {
        let (y, x) = (at / width, at % width);
        (1..height - 1).contains(&y) && (1..width - 1).contains(&x)
    };
    let pieces = components(&mask, width, Neighbours::Sides).into_iter();
    let whole = pieces.filter(|piece| piece.len() >= least && piece.iter().all(inside));
    let measured = whole.map(|piece| {
        let pixels: Vec<f32> = piece.iter().map(|at| values[*at]).collect();
        let intensity = mean(&pixels);
        let squares = pixels.iter().map(|v| (v - intensity).powi(2)).sum::<f32>();
        Nucleus {
            area: piece.len() as f32,
            eccentricity: elongation(&piece, width),
            intensity,
            contrast: (squares / pixels.len() as f32).sqrt() / intensity.max(f32::MIN_POSITIVE),
        }
    });
    measured.collect()
}

fn nuclei(values: &[f32], [height, width]: [usize; 2]) -> Vec<f32> {
    let threshold = otsu(values);
    let mask: Vec<bool> = values.iter().map(|v| *v > threshold).collect();
    let pieces = components(&mask, width, Neighbours::Sides);
    let count = pieces.iter().filter(|piece| piece.len() >= LEAST).count();
    let largest = pieces.into_iter().max_by_key(Vec::len).unwrap_or_default();
    let mut all = vec![
        area(&mask),
        largest.len() as f32 / values.len() as f32,
        elongation(&largest, width),
        solidity(&largest, width),
        count as f32,
    ];
    all.extend(light(values, &mask, [height, width]));
    all
}

fn area(mask: &[bool]) -> f32 {
    mask.iter().filter(|inside| **inside).count() as f32 / mask.len() as f32
}

/// Intensity, fine and coarse texture within a mask.
fn light(values: &[f32], mask: &[bool], [height, width]: [usize; 2]) -> [f32; 3] {
    let inside: Vec<usize> = (0..values.len()).filter(|&at| mask[at]).collect();
    let over = |of: &dyn Fn(usize) -> f32| {
        inside.iter().map(|at| of(*at)).sum::<f32>() / inside.len().max(1) as f32
    };
    let intensity = over(&|at| values[at]);
    let means = COARSE.map(|reach| box_means(values, [height, width], reach));
    let coarse = over(&|at| (means[0][at] - means[1][at]).abs());
    let scale = intensity.max(1e-3);
    [
        intensity,
        roughness(values, height, width, |at| mask[at]) / scale,
        coarse / scale,
    ]
}

/// The mean of the pixels at most `reach` away along either axis, as far as they are in the picture.
fn box_means(values: &[f32], [height, width]: [usize; 2], reach: usize) -> Vec<f32> {
    // Sums of all pixels above and to the left, with a row and a column of zeros before them.
    let mut sums = vec![0.0_f64; (height + 1) * (width + 1)];
    for y in 0..height {
        for x in 0..width {
            let at = (y + 1) * (width + 1) + x + 1;
            let (above, left) = (sums[at - width - 1], sums[at - 1]);
            let both = sums[at - width - 2];
            sums[at] = f64::from(values[y * width + x]) + above + left - both;
        }
    }
    let mut means = Vec::with_capacity(values.len());
    for y in 0..height {
        let rows = [y.saturating_sub(reach), (y + reach + 1).min(height)];
        for x in 0..width {
            let columns = [x.saturating_sub(reach), (x + reach + 1).min(width)];
            let sum = |y: usize, x: usize| sums[y * (width + 1) + x];
            let [[top, bottom], [left, right]] = [rows, columns];
            let all = sum(bottom, right) - sum(top, right) - sum(bottom, left) + sum(top, left);
            means.push((all / ((bottom - top) * (right - left)) as f64) as f32);
        }
    }
    means
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

fn percentile(values: &[f32], share: f64) -> f32 {
    let mut counts = [0_usize; 256];
    for v in values {
        counts[(*v as usize).min(255)] += 1;
    }
    let wanted = (share * values.len() as f64) as usize;
    let mut seen = 0;
    let found = counts.iter().position(|count| {
        seen += count;
        seen > wanted
    });
    found.unwrap_or(0) as f32
}

/// The threshold that best separates values in [0, 1] into two classes.
fn otsu(values: &[f32]) -> f32 {
    let mut counts = [0.0_f64; 256];
    for v in values {
        counts[((v * 255.0).clamp(0.0, 255.0)) as usize] += 1.0;
    }
    let total: f64 = counts.iter().enumerate().map(|(i, n)| i as f64 * n).sum();
    let (mut below, mut sum, mut best, mut at) = (0.0, 0.0, -1.0, 0);
    for (i, n) in counts.iter().enumerate() {
        below += n;
        sum += i as f64 * n;
        let above = values.len() as f64 - below;
        if below > 0.0 && above > 0.0 {
            let apart = sum / below - (total - sum) / above;
            let between = below * above * apart * apart;
            if between > best {
                (best, at) = (between, i);
            }
        }
    }
    (at as f32 + 0.5) / 255.0
}

/// Mean absolute Laplacian over the pixels that `of` admits, away from the edges.
fn roughness(values: &[f32], height: usize, width: usize, of: impl Fn(usize) -> bool) -> f32 {
    let (mut sum, mut count) = (0.0, 0);
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let at = y * width + x;
            if of(at) {
                let around =
                    values[at - 1] + values[at + 1] + values[at - width] + values[at + width];
                sum += (values[at] - 0.25 * around).abs();
                count += 1;
            }
        }
    }
    sum / count.max(1) as f32
}

/// √(1 − λ₂/λ₁) of the eigenvalues of a piece's second moments: the eccentricity of the ellipse with
/// the same moments.
fn elongation(piece: &[usize], width: usize) -> f32 {
    let [large, small] = second_moments(piece, width);
    if large > 0.0 {
        (1.0 - small / large).max(0.0).sqrt()
    } else {
        0.0
    }
}

/// The area of a piece over that of the ellipse with the same second moments, 4π √(λ₁ λ₂).
fn solidity(piece: &[usize], width: usize) -> f32 {
    let [large, small] = second_moments(piece, width);
    let ellipse = 4.0 * std::f32::consts::PI * (large * small).max(0.0).sqrt();
    if ellipse > 0.0 {
        piece.len() as f32 / ellipse
    } else {
        1.0
    }
}

/// The eigenvalues of a piece's second moments, the larger first.
fn second_moments(piece: &[usize], width: usize) -> [f32; 2] {
    let n = piece.len().max(1) as f32;
    let at = |i: &usize| [(i / width) as f32, (i % width) as f32];
    let centre = [0, 1].map(|k| piece.iter().map(|i| at(i)[k]).sum::<f32>() / n);
    let moment = |a: usize, b: usize| {
        let each = piece
            .iter()
            .map(|i| (at(i)[a] - centre[a]) * (at(i)[b] - centre[b]));
        each.sum::<f32>() / n
    };
    let (yy, xx, xy) = (moment(0, 0), moment(1, 1), moment(0, 1));
    let apart = ((yy - xx).powi(2) + 4.0 * xy * xy).sqrt();
    [0.5 * (yy + xx + apart), 0.5 * (yy + xx - apart)]
}
