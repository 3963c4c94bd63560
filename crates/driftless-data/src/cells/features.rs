//! What is measured in a picture of cells: size and shape of the nuclei, brightness and texture of
//! every channel.
//!
//! The nuclei are the pixels of the first channel above Otsu's threshold (Otsu, 1979).

/// Names of the features of a picture with three channels, as [`features`] returns them. With other
/// numbers of channels the last two names of each further channel repeat.
pub const FEATURES: [&str; 12] = [
    "nuclear area",
    "nuclear elongation",
    "nuclear intensity",
    "nuclear texture",
    "nuclei and lobes",
    "DNA spread",
    "channel 2 mean",
    "channel 2 texture",
    "channel 2 area",
    "channel 3 mean",
    "channel 3 texture",
    "channel 3 area",
];

/// Measures a picture, u8 [H, W, C]: six numbers of the nuclei, then mean, texture and area of each
/// further channel. Intensities are shares of white above the darkest hundredth of the channel,
/// areas are shares of the picture.
pub fn features(picture: &[u8], [height, width]: [usize; 2], channels: usize) -> Vec<f32> {
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
    let mut all = nuclei(&plane(0), height, width);
    for c in 1..channels {
        let values = plane(c);
        let threshold = otsu(&values);
        let area = values.iter().filter(|v| **v > 0.5 * threshold).count();
        all.push(mean(&values));
        all.push(roughness(&values, height, width, |_| true));
        all.push(area as f32 / values.len() as f32);
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
    let pieces = components(&mask, height, width).into_iter();
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

fn nuclei(values: &[f32], height: usize, width: usize) -> Vec<f32> {
    let threshold = otsu(values);
    let mask: Vec<bool> = values.iter().map(|v| *v > threshold).collect();
    let inside: Vec<usize> = (0..values.len()).filter(|&i| mask[i]).collect();
    let intensity = inside.iter().map(|&i| values[i]).sum::<f32>() / inside.len().max(1) as f32;
    let pieces = components(&mask, height, width);
    let largest = pieces.iter().max_by_key(|piece| piece.len());
    let elongation = largest.map_or(0.0, |piece| elongation(piece, width));
    let spread = spread(&inside, width);
    let count = pieces.iter().filter(|piece| piece.len() >= 12).count();
    vec![
        inside.len() as f32 / values.len() as f32,
        elongation,
        intensity,
        roughness(values, height, width, |i| mask[i]) / intensity.max(1e-3),
        count as f32,
        spread / width as f32,
    ]
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

/// The connected pieces of a mask, each as the indices of its pixels.
fn components(mask: &[bool], height: usize, width: usize) -> Vec<Vec<usize>> {
    let mut seen = vec![false; mask.len()];
    let mut pieces = Vec::new();
    for start in 0..mask.len() {
        if !mask[start] || seen[start] {
            continue;
        }
        let (mut piece, mut open) = (Vec::new(), vec![start]);
        seen[start] = true;
        while let Some(at) = open.pop() {
            piece.push(at);
            let (y, x) = (at / width, at % width);
            let mut visit = |inside: bool, next: usize| {
                if inside && mask[next] && !seen[next] {
                    seen[next] = true;
                    open.push(next);
                }
            };
            visit(y > 0, at.wrapping_sub(width));
            visit(y + 1 < height, at + width);
            visit(x > 0, at.wrapping_sub(1));
            visit(x + 1 < width, at + 1);
        }
        pieces.push(piece);
    }
    pieces
}

/// √(1 − λ₂/λ₁) of the eigenvalues of a piece's second moments: the eccentricity of the ellipse with
/// the same moments.
fn elongation(piece: &[usize], width: usize) -> f32 {
    let n = piece.len() as f32;
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
    let (large, small) = (yy + xx + apart, yy + xx - apart);
    if large > 0.0 {
        (1.0 - small / large).max(0.0).sqrt()
    } else {
        0.0
    }
}

/// Root mean square distance of pixels from their centre.
fn spread(pixels: &[usize], width: usize) -> f32 {
    let n = pixels.len().max(1) as f32;
    let variance = |of: &dyn Fn(usize) -> f32| {
        let mean = pixels.iter().map(|i| of(*i)).sum::<f32>() / n;
        pixels.iter().map(|i| (of(*i) - mean).powi(2)).sum::<f32>() / n
    };
    (variance(&|i| (i / width) as f32) + variance(&|i| (i % width) as f32)).sqrt()
}
