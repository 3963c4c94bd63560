//! Untreated cells to start from: the simulator's own, or those that a checkpoint brings along.

use driftless_transport::{Controls, TransportConfig};
use driftless_worlds::cells::{CHANNELS, CellWorld, DRUGS, PLATES, SIZE, Treatment};

/// Seeds of the simulator that are tried to find a checkpoint's drugs.
const SEEDS: u64 = 256;
/// Numbers of cells from here on are in no dataset.
const FIRST_CELL: u64 = 1 << 40;

/// A plate that a cell can lie on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownPlate {
    pub name: String,
    /// Its index among those of the training; `None` for one that training has not seen.
    pub trained: Option<usize>,
    /// How many cells it has; `None` if the simulator makes them.
    cells: Option<usize>,
}

/// Where cells come from.
pub(super) struct Specimens {
    controls: Controls,
    /// The simulator with the checkpoint's drugs, which knows the truth.
    world: Option<CellWorld>,
    pub plates: Vec<KnownPlate>,
}

impl Specimens {
    /// The cells for a checkpoint: new ones of the simulator, if its drugs are the checkpoint's, else the
    /// checkpoint's controls.
    pub fn new(config: &TransportConfig, controls: Controls) -> Self {
        let world = find_world(config);
        let plates = match &world {
            Some(world) => simulated_plates(config, world.plates.len()),
            None => {
                let of = |(i, name): (usize, &String)| {
                    let cells = controls.plates.iter().filter(|plate| **plate == i).count();
                    let plate = KnownPlate {
                        name: name.clone(),
                        trained: Some(i),
                        cells: Some(cells),
                    };
                    (cells > 0).then_some(plate)
                };
                config.plates.iter().enumerate().filter_map(of).collect()
            }
        };
        Self {
            controls,
            world,
            plates,
        }
    }

    /// An untreated cell on a plate, u8 [H, W, C]; `None` if there is no such plate. Where the
    /// checkpoint's controls are all there is, cell numbers go round.
    pub fn control(&self, plate: usize, cell: u64) -> Option<Vec<u8>> {
        let known = self.plates.get(plate)?;
        if let Some(world) = &self.world {
            return Some(world.picture(&world.cell(FIRST_CELL + cell), None, plate));
        }
        let all = 0..self.controls.len();
        let on_plate = all.filter(|i| Some(self.controls.plates[*i]) == known.trained);
        let number = usize::try_from(cell).ok()? % known.cells.unwrap_or(1).max(1);
        let index = on_plate.into_iter().nth(number)?;
        Some(self.controls.picture(index).to_vec())
    }

    /// The same cell as it is under a drug, u8 [H, W, C], if the simulator knows.
    pub fn truth(
        &self,
        plate: usize,
        cell: u64,
        compound: Option<usize>,
        dose: f32,
    ) -> Option<Vec<u8>> {
        let world = self.world.as_ref()?;
        self.plates.get(plate)?;
        let treatment = match compound {
            Some(drug) if drug >= world.drugs.len() => return None,
            Some(drug) => Some(Treatment { drug, dose }),
            None => None,
        };
        Some(world.picture(&world.cell(FIRST_CELL + cell), treatment, plate))
    }

    /// A cell's name: `cell 3` or `cell 3 of 16`.
    pub fn cell_name(&self, plate: usize, cell: u64) -> String {
        match self.plates.get(plate).and_then(|plate| plate.cells) {
            Some(count) => format!("cell {} of {count}", cell % count.max(1) as u64 + 1),
            None => format!("cell {}", cell + 1),
        }
    }
}

/// The simulator whose drugs have the names and descriptors of the checkpoint's compounds.
fn find_world(config: &TransportConfig) -> Option<CellWorld> {
    let shown = config.image == [SIZE; 2] && config.channels == CHANNELS;
    if !shown || config.compounds.len() != DRUGS {
        return None;
    }
    let is_of = |world: &CellWorld| {
        let pairs = world.drugs.iter().zip(&config.compounds);
        let mut pairs = pairs.map(|(drug, known)| (drug, &known.compound));
        let names = simulated_plates(config, PLATES);
        let known = names.iter().filter(|plate| plate.trained.is_some()).count();
        known == config.plates.len()
            && pairs.all(|(drug, c)| drug.name == c.name && drug.descriptor() == c.descriptor)
    };
    (0..SEEDS).map(CellWorld::new).find(is_of)
}

/// The simulator's plates, by the names that its datasets give them.
fn simulated_plates(config: &TransportConfig, count: usize) -> Vec<KnownPlate> {
    let plate = |i: usize| {
        let name = format!("P{:02}", i + 1);
        KnownPlate {
            trained: config.plate(&name),
            name,
            cells: None,
        }
    };
    (0..count).map(plate).collect()
}
