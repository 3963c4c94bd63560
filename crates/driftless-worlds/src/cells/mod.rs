//! Cells under drugs: pictures with three fluorescent stains, with a truth that microscopy cannot give.
//!
//! It is no game: there are no frames and no actions, so it does not implement
//! [`Simulator`](crate::Simulator). A [`CellWorld`] has drugs, doses and plates. A picture depends on
//! a *cell noise* (who the cell is), on a treatment, and on the plate it lies on:
//!
//! ```text
//! effect(dose) = dose^h / (EC50^h + dose^h)                          Hill (1910)
//! parameters   = base(cell noise) + effect · Σ_j w_j Δ_j             mechanisms j of the drug
//! picture      = plate(draw(parameters, cell noise), shot noise)
//! ```
//!
//! The same cell noise with and without the drug is the *counterfactual pair* of one cell. At dose 0
//! both are the same picture, bit for bit.
//!
//! ```
//! use driftless_worlds::cells::{CellWorld, Treatment};
//!
//! let world = CellWorld::new(0);
//! let cell = world.cell(7);
//! let control = world.picture(&cell, None, 0);
//! let treated = world.picture(&cell, Some(Treatment { drug: 0, dose: 10.0 }), 0);
//! assert_eq!(control.len(), 64 * 64 * 3);
//! assert_ne!(control, treated);
//! assert_eq!(control, world.picture(&cell, Some(Treatment { drug: 0, dose: 0.0 }), 0));
//! ```

mod draw;
mod drugs;
mod morphology;
mod optics;
mod record;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use drugs::{DESCRIPTOR, DRUGS, Drug, hill};
pub use morphology::{CellNoise, MECHANISMS, Mechanism, PARAMETERS, Parameters};
pub use optics::Plate;
pub use record::{CellPlan, record};

/// Height and width of a picture.
pub const SIZE: usize = 64;
/// What the channels show.
pub const CHANNELS: [&str; 3] = ["DNA", "actin", "tubulin"];
/// Doses in µM, half a decade apart.
pub const DOSES: [f32; 6] = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
/// The doses that training does not see lie between ones that it sees.
pub const HELD_OUT_DOSES: [usize; 2] = [2, 4];
/// Number of plates.
pub const PLATES: usize = 12;
/// The plates that training does not see.
pub const HELD_OUT_PLATES: [usize; 2] = [10, 11];

/// A drug at a dose in µM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Treatment {
    /// Index of the drug.
    pub drug: usize,
    /// Dose in µM; 0 is no treatment.
    pub dose: f32,
}

/// Drugs and plates, drawn from a seed, and all cells that a cell number can name.
#[derive(Clone, Debug)]
pub struct CellWorld {
    seed: u64,
    /// The drugs.
    pub drugs: Vec<Drug>,
    /// The plates.
    pub plates: Vec<Plate>,
}

/// Streams of the world's random numbers below this are not cells.
const FIRST_CELL: u64 = 16;

impl CellWorld {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        let stream = |stream| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream);
            rng
        };
        let mut plates = stream(2);
        Self {
            seed,
            drugs: drugs::draw_all(&mut stream(1)),
            plates: (0..PLATES).map(|_| Plate::new(&mut plates)).collect(),
        }
    }

    /// The cell, or the cells of one picture, with this number.
    pub fn cell(&self, number: u64) -> CellNoise {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(FIRST_CELL + number);
        CellNoise::new(&mut rng)
    }

    /// The morphology of the cell in the middle under a treatment.
    pub fn parameters(&self, cell: &CellNoise, treatment: Option<Treatment>) -> Parameters {
        cell.cells[0].base.shifted(&self.shift(treatment))
    }

    /// The picture, u8 [64, 64, 3].
    ///
    /// # Panics
    /// If the drug or the plate does not exist.
    pub fn picture(&self, cell: &CellNoise, treatment: Option<Treatment>, plate: usize) -> Vec<u8> {
        let light = draw::draw(cell, &self.shift(treatment));
        self.plates[plate].photograph(light, &cell.shot)
    }

    /// What a treatment adds to the parameters.
    fn shift(&self, treatment: Option<Treatment>) -> Parameters {
        match treatment {
            Some(t) => self.drugs[t.drug].shift(t.dose),
            None => Parameters::default(),
        }
    }
}

#[cfg(test)]
mod tests;
