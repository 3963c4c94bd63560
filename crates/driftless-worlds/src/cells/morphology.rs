//! What a cell looks like, in numbers, and how the mechanisms of drugs change them.

use std::f32::consts::TAU;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{CHANNELS, SIZE};

/// Names of the parameters, in the order of [`Parameters`]. Those with `log` are natural logarithms,
/// so that a mechanism scales them.
pub const PARAMETERS: [&str; 16] = [
    "log_nucleus_area",
    "log_nucleus_axis_ratio",
    "chromatin_roughness",
    "log_dna_intensity",
    "foci",
    "nuclear_lobes",
    "log_cell_radius",
    "outline_irregularity",
    "log_fibre_count",
    "fibre_persistence",
    "log_diffuse_tubulin",
    "log_fibre_width",
    "log_actin_intensity",
    "log_cortex_width",
    "stress_fibres",
    "vesicles",
];

pub(super) const AREA: usize = 0;
pub(super) const AXIS_RATIO: usize = 1;
pub(super) const ROUGHNESS: usize = 2;
pub(super) const DNA: usize = 3;
pub(super) const FOCI: usize = 4;
pub(super) const LOBES: usize = 5;
pub(super) const RADIUS: usize = 6;
pub(super) const IRREGULARITY: usize = 7;
pub(super) const FIBRES: usize = 8;
pub(super) const PERSISTENCE: usize = 9;
pub(super) const DIFFUSE: usize = 10;
pub(super) const FIBRE_WIDTH: usize = 11;
pub(super) const ACTIN: usize = 12;
pub(super) const CORTEX: usize = 13;
pub(super) const STRESS: usize = 14;
pub(super) const VESICLES: usize = 15;

/// The morphology of a cell: one number for each of [`PARAMETERS`]. Lengths are in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parameters(pub [f32; PARAMETERS.len()]);

impl Parameters {
    /// The sum of both.
    #[must_use]
    pub fn shifted(&self, by: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + by.0[i]))
    }

    /// Adds `weight` · `direction`.
    pub(super) fn add(&mut self, weight: f32, direction: &[(usize, f32)]) {
        for (parameter, change) in direction {
            self.0[*parameter] += weight * change;
        }
    }

    /// Draws an untreated cell.
    fn untreated(rng: &mut ChaCha8Rng) -> Self {
        let mut p = [0.0; PARAMETERS.len()];
        // (parameter, mean, standard deviation)
        for (parameter, mean, deviation) in [
            (AREA, 5.0, 0.22),
            (AXIS_RATIO, 0.28, 0.14),
            (ROUGHNESS, 0.28, 0.07),
            (DNA, -0.40, 0.20),
            (FOCI, 0.6, 0.5),
            (LOBES, 1.0, 0.03),
            (RADIUS, 3.0, 0.12),
            (IRREGULARITY, 0.22, 0.05),
            (FIBRES, 3.4, 0.15),
            (PERSISTENCE, 0.72, 0.05),
            (DIFFUSE, -1.9, 0.15),
            (FIBRE_WIDTH, -0.25, 0.08),
            (ACTIN, -0.9, 0.18),
            (CORTEX, 0.55, 0.12),
            (STRESS, 6.0, 1.5),
            (VESICLES, 2.0, 1.0),
        ] {
            p[parameter] = mean + deviation * normal(rng);
        }
        Self(p)
    }
}

/// A way in which drugs act: a direction in the parameters, at full effect and weight 1.
#[derive(Debug)]
pub struct Mechanism {
    /// What it is called.
    pub name: &'static str,
    pub(super) direction: &'static [(usize, f32)],
}

/// The mechanisms, after the annotations of BBBC021 (Caie et al., 2010).
pub static MECHANISMS: [Mechanism; 8] = [
    Mechanism {
        name: "tubulin destabiliser",
        direction: &[
            (FIBRES, -1.8),
            (PERSISTENCE, -0.3),
            (DIFFUSE, 0.9),
            (RADIUS, -0.18),
            (IRREGULARITY, 0.04),
        ],
    },
    Mechanism {
        name: "tubulin stabiliser",
        direction: &[
            (FIBRES, 0.25),
            (FIBRE_WIDTH, 0.6),
            (PERSISTENCE, 0.2),
            (LOBES, 0.35),
            (DIFFUSE, -0.5),
        ],
    },
    Mechanism {
        name: "actin disruptor",
        direction: &[
            (STRESS, -9.0),
            (CORTEX, -0.35),
            (ACTIN, -0.3),
            (RADIUS, -0.28),
            (IRREGULARITY, 0.17),
            (VESICLES, 4.0),
        ],
    },
    Mechanism {
        name: "DNA damage",
        direction: &[(AREA, 0.55), (FOCI, 8.0), (RADIUS, 0.1), (DNA, -0.2)],
    },
    Mechanism {
        name: "protein synthesis",
        direction: &[
            (ACTIN, -0.75),
            (DIFFUSE, -0.6),
            (FIBRES, -0.5),
            (AREA, -0.3),
            (ROUGHNESS, -0.14),
        ],
    },
    Mechanism {
        name: "Eg5 inhibitor",
        direction: &[(LOBES, 1.7), (AREA, 0.35), (RADIUS, 0.12)],
    },
    Mechanism {
        name: "cholesterol",
        direction: &[(VESICLES, 18.0), (RADIUS, -0.08), (DIFFUSE, 0.25)],
    },
    Mechanism {
        name: "spreading",
        direction: &[
            (RADIUS, 0.28),
            (STRESS, 6.0),
            (CORTEX, 0.35),
            (AXIS_RATIO, 0.35),
        ],
    },
];

/// Most cells in a picture.
pub(super) const MOST_CELLS: usize = 3;
/// Most microtubules that are drawn of a cell.
pub(super) const MOST_FIBRES: usize = 56;
/// Most steps of a microtubule, each a pixel long.
pub(super) const MOST_STEPS: usize = 30;
/// Most stress fibres of a cell.
pub(super) const MOST_STRESS: usize = 16;
/// Most spots of one kind in a cell.
pub(super) const MOST_SPOTS: usize = 28;

/// Everything that is random about the cells of one picture. No draw depends on a parameter, so that
/// a treatment changes nothing else.
#[derive(Clone, Debug)]
pub struct CellNoise {
    pub(super) cells: Vec<OneCell>,
    /// Standard normal, one for each number of the picture.
    pub(super) shot: Vec<f32>,
}

#[derive(Clone, Debug)]
pub(super) struct OneCell {
    pub base: Parameters,
    pub centre: [f32; 2],
    pub nucleus_angle: f32,
    /// Offset of the nucleus as a share of the cell's radius.
    pub nucleus_offset: [f32; 2],
    /// (amplitude, phase) of the outline's harmonics 2, 3, …
    pub outline: [[f32; 2]; 6],
    /// (wave vector, phase) of the chromatin's texture.
    pub chromatin: [[f32; 3]; 8],
    /// Angle at which the lobes of the nucleus part.
    pub lobe_angle: f32,
    pub fibres: Vec<Fibre>,
    pub stress_angle: f32,
    /// (offset across, angle, brightness).
    pub stress: [[f32; 3]; MOST_STRESS],
    /// (radius as a share, angle, brightness).
    pub foci: [[f32; 3]; MOST_SPOTS],
    pub vesicles: [[f32; 3]; MOST_SPOTS],
}

#[derive(Clone, Debug)]
pub(super) struct Fibre {
    pub angle: f32,
    pub brightness: f32,
    /// Standard normal turns.
    pub turns: [f32; MOST_STEPS],
}

impl CellNoise {
    /// Number of cells in the picture, 1 to 3.
    pub fn count(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn new(rng: &mut ChaCha8Rng) -> Self {
        let count = match rng.random::<f32>() {
            x if x < 0.45 => 1,
            x if x < 0.8 => 2,
            _ => MOST_CELLS,
        };
        // The first cell is near the middle, as in crops around a cell; the others are beside it.
        let middle = SIZE as f32 / 2.0;
        let toward = rng.random::<f32>() * TAU;
        let cells = (0..count)
            .map(|i| {
                let jitter = [normal(rng) * 2.0, normal(rng) * 2.0];
                let angle = toward + (i as f32) * TAU * 0.42;
                let away = if i == 0 { 0.0 } else { 31.0 };
                OneCell::new(
                    rng,
                    [
                        middle + jitter[0] + away * angle.cos(),
                        middle + jitter[1] + away * angle.sin(),
                    ],
                )
            })
            .collect();
        let shot = (0..SIZE * SIZE * CHANNELS.len())
            .map(|_| normal(rng))
            .collect();
        Self { cells, shot }
    }
}

impl OneCell {
    fn new(rng: &mut ChaCha8Rng, centre: [f32; 2]) -> Self {
        let spots = |rng: &mut ChaCha8Rng| {
            std::array::from_fn(|_| {
                let [share, turn, light]: [f32; 3] = rng.random();
                [share.sqrt(), turn * TAU, 0.5 + light]
            })
        };
        Self {
            base: Parameters::untreated(rng),
            centre,
            nucleus_angle: rng.random::<f32>() * TAU,
            nucleus_offset: [0.08 * normal(rng), 0.08 * normal(rng)],
            outline: std::array::from_fn(|k| {
                let size = normal(rng) / (k + 2) as f32;
                [size, rng.random::<f32>() * TAU]
            }),
            chromatin: std::array::from_fn(|_| {
                let (angle, length) = (rng.random::<f32>() * TAU, 0.5 + 0.9 * rng.random::<f32>());
                let phase = rng.random::<f32>() * TAU;
                [length * angle.cos(), length * angle.sin(), phase]
            }),
            lobe_angle: rng.random::<f32>() * TAU,
            fibres: (0..MOST_FIBRES)
                .map(|_| Fibre {
                    angle: rng.random::<f32>() * TAU,
                    brightness: 0.6 + 0.8 * rng.random::<f32>(),
                    turns: std::array::from_fn(|_| normal(rng)),
                })
                .collect(),
            stress_angle: rng.random::<f32>() * TAU,
            stress: std::array::from_fn(|_| {
                let across = rng.random::<f32>() * 2.0 - 1.0;
                [across, 0.1 * normal(rng), 0.5 + rng.random::<f32>()]
            }),
            foci: spots(rng),
            vesicles: spots(rng),
        }
    }
}

/// A standard normal number (Box and Muller, 1958).
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (TAU * rng.random::<f32>()).cos()
}
