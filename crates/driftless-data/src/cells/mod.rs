//! Datasets of cell pictures: control and treated cells on plates, *unpaired*.
//!
//! A folder holds `cells.json` ([`CellInfo`]) and shards, `cells-00000.npz` and so on, with one row per
//! picture. A simulator adds `truth.json` and `truth-00000.npz`, what microscopy cannot give; training
//! does not read them unless it is asked to pair cells. docs/cells.md describes every field.

mod colours;
mod dataset;
mod features;
pub mod import;

mod info;
mod writer;

use std::path::Path;

pub use colours::false_colours;
pub use dataset::{CellDataset, CellTruth, HeldOut};
pub use features::{FEATURES, Nucleus, features, find_nuclei};
pub use info::{CELLS_FORMAT, CellInfo, Compound, DrugTruth, Plate, Shard, TruthInfo};
pub use writer::{CellRow, CellWriter};

/// Name of the dataset's table of compounds, plates and shards.
pub const INFO: &str = "cells.json";
/// Name of the table of true effects.
pub const TRUTH: &str = "truth.json";
/// Most channels of a picture.
pub const MAX_CHANNELS: usize = 6;
/// Largest height or width of a picture.
pub const MAX_SIDE: usize = 512;

/// Names of the arrays in a shard.
pub(crate) mod array {
    /// u8 [N, H, W, C].
    pub const IMAGE: &str = "image";
    /// i32 [N]: index of the compound, −1 for a control.
    pub const COMPOUND: &str = "compound";
    /// f32 [N]: dose, 0 for a control.
    pub const DOSE: &str = "dose";
    /// i32 [N]: index of the plate.
    pub const PLATE: &str = "plate";
    /// bool [N]: whether training may see the picture.
    pub const TRAIN: &str = "train";
    /// In truth shards: u8 [N, H, W, C], the same cell without treatment.
    pub const CONTROL: &str = "control";
    /// In truth shards: f32 [N, P], the cell's parameters.
    pub const PARAMETERS: &str = "parameters";
    /// In truth shards, from the simulator: u8 [N], the number of cells in each picture.
    pub const CELLS: &str = "cells";
}

/// Whether a folder holds a dataset of cells.
pub fn is_dataset(folder: &Path) -> bool {
    folder.join(INFO).is_file()
}

/// File name of a shard.
pub(crate) fn shard(index: usize) -> String {
    format!("cells-{index:05}.npz")
}

/// File name of a shard's truth.
pub(crate) fn truth_shard(index: usize) -> String {
    format!("truth-{index:05}.npz")
}

#[cfg(test)]
mod tests;
