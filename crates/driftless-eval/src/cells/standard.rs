//! Features in units that compare across plates: means and standard deviations of each plate's controls,
//! as profiles of microscopy are normalized (Caicedo et al., *Nature Methods* 14, 2017).

use driftless_data::cells::{CellDataset, features};

use super::wasserstein;

/// The features of pictures: one row of numbers each.
pub type Features = Vec<Vec<f32>>;

/// Mean and standard deviation.
type Moments = (f32, f32);

/// How much farther from the controls than halves of the treated cells from each other a feature has to
/// be, to count as changed.
const CLEARLY: f64 = 4.0;
/// And how far at least, in standard deviations of controls.
const LEAST_EFFECT: f64 = 0.5;

/// What is usual on each plate.
pub struct Standard<'a> {
    data: &'a CellDataset,
    /// One entry for each plate and feature.
    plates: Vec<Vec<Moments>>,
    /// The controls of each plate, in its units.
    controls: Vec<Features>,
}

impl<'a> Standard<'a> {
    /// Measures all controls. A plate without any gets the moments of all plates' controls.
    pub fn new(data: &'a CellDataset) -> Self {
        let mut controls = vec![Features::new(); data.info.plates.len()];
        for row in (0..data.len()).filter(|&row| data.compound[row].is_none()) {
            controls[data.plate[row]].push(measure(data, data.picture(row)));
        }
        let everywhere: Features = controls.iter().flatten().cloned().collect();
        let everywhere = moments(&everywhere);
        let plates: Vec<Vec<Moments>> = controls
            .iter()
            .map(|of_plate| match of_plate.len() {
                0 | 1 => everywhere.clone(),
                _ => moments(of_plate),
            })
            .collect();
        for (of_plate, usual) in controls.iter_mut().zip(&plates) {
            of_plate.iter_mut().for_each(|row| standardize(row, usual));
        }
        Self {
            data,
            plates,
            controls,
        }
    }

    /// The features of pictures, u8 [N, H, W, C], of the given plates, in their plates' units.
    pub fn features(&self, pictures: &[u8], plates: &[usize]) -> Features {
        let each = pictures.chunks_exact(self.data.info.picture_len());
        each.zip(plates)
            .map(|(picture, plate)| {
                let mut row = measure(self.data, picture);
                standardize(&mut row, &self.plates[*plate]);
                row
            })
            .collect()
    }

    /// Features of as many controls of each plate as `plates` names it, of all if it has fewer.
    pub fn controls(&self, plates: &[usize]) -> Features {
        let mut taken = vec![0; self.controls.len()];
        let next = |plate: &usize| {
            taken[*plate] += 1;
            self.controls[*plate].get(taken[*plate] - 1).cloned()
        };
        plates.iter().filter_map(next).collect()
    }
}

fn measure(data: &CellDataset, picture: &[u8]) -> Vec<f32> {
    features(picture, data.info.image, data.info.channels.len())
}

fn standardize(row: &mut [f32], usual: &[Moments]) {
    for (x, (mean, deviation)) in row.iter_mut().zip(usual) {
        *x = (*x - mean) / deviation;
    }
}

/// Of each feature; the deviation of one that never differs counts as 1.
fn moments(rows: &Features) -> Vec<Moments> {
    let n = rows.len() as f64;
    let of = |f: usize| {
        let values = rows.iter().map(|row| f64::from(row[f]));
        let mean = values.clone().sum::<f64>() / n;
        let deviation = (values.map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        (mean as f32, deviation as f32)
    };
    (0..rows.first().map_or(0, Vec::len)).map(of).collect()
}

/// Mean of each feature.
pub(super) fn means(rows: &Features) -> Vec<f64> {
    let of = |f: usize| rows.iter().map(|row| f64::from(row[f])).sum::<f64>() / rows.len() as f64;
    (0..rows.first().map_or(0, Vec::len)).map(of).collect()
}

/// The Wasserstein-1 distance of each feature.
pub(super) fn distances(a: &Features, b: &Features) -> Vec<f64> {
    let column = |x: &Features, f: usize| x.iter().map(|x| x[f]).collect::<Vec<f32>>();
    let count = a.first().map_or(0, Vec::len);
    (0..count)
        .map(|f| wasserstein(&column(a, f), &column(b, f)))
        .collect()
}

/// Which features a treatment changes, from real pictures alone: those in which treated cells are at least
/// half a standard deviation from controls of their plates, and four times as far as every other of them
/// from the rest.
pub(super) fn changed(treated: &Features, controls: &Features) -> Vec<bool> {
    let half = |odd: usize| -> Features { treated.iter().skip(odd).step_by(2).cloned().collect() };
    let noise = distances(&half(0), &half(1));
    let effect = distances(treated, controls);
    let both = effect.iter().zip(noise);
    both.map(|(effect, noise)| *effect >= LEAST_EFFECT.max(CLEARLY * noise))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_features_stand_out_of_the_noise() {
        let rows = |shift: f32| -> Features {
            (0..40_u8)
                .map(|i| vec![f32::from(i % 20) / 10.0 + shift, f32::from(i)])
                .collect()
        };
        assert_eq!(changed(&rows(3.0), &rows(0.0)), [true, false]);
        assert_eq!(changed(&rows(0.0), &rows(0.0)), [false, false]);
    }

    #[test]
    fn moments_of_a_constant_do_not_divide_by_zero() {
        let rows = vec![vec![1.0, 5.0], vec![3.0, 5.0]];
        assert_eq!(moments(&rows), [(2.0, 1.0), (5.0, 1.0)]);
        assert_eq!(means(&rows), [2.0, 5.0]);
        let mut row = vec![4.0, 6.0];
        standardize(&mut row, &moments(&rows));
        assert_eq!(row, [2.0, 1.0]);
    }
}
