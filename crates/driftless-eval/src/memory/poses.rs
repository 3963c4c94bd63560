//! Probes that read poses from frames, one for each of the first mazes: where a view is, only the maze
//! tells.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use driftless_data::{Episode, ExtraArray};
use driftless_worlds::Simulator;
use driftless_worlds::maze::Maze;

use super::case::{FIRST_MAZE, MemoryCase};
use crate::Result;
use crate::pose::PoseProbe;

/// True frames that a probe is trained on, at random poses.
const FRAMES: usize = 2500;
/// Training steps of a probe.
const STEPS: usize = 1200;
/// How far from the middle of a block the walker stands, in blocks.
const ASIDE: f32 = 0.3;

/// Trains the probes of the first mazes.
pub(super) fn train(mazes: usize) -> Result<BTreeMap<u64, PoseProbe>> {
    let seeds = FIRST_MAZE..FIRST_MAZE + mazes as u64;
    let probes = seeds.into_par_iter().map(|seed| {
        let probe = PoseProbe::train(&[random_poses(seed, FRAMES)], STEPS, seed)?;
        Ok((seed, probe))
    });
    probes.collect()
}

/// The probes of the cases' mazes, up to the first case without one.
pub(super) fn of_cases<'a>(
    probes: &'a BTreeMap<u64, PoseProbe>,
    cases: &[MemoryCase],
) -> Vec<&'a PoseProbe> {
    cases
        .iter()
        .map_while(|case| probes.get(&case.maze))
        .collect()
}

/// Frames of a maze at random poses in its open blocks, as an episode with the arrays of the state.
fn random_poses(seed: u64, frames: usize) -> Episode {
    let mut maze = Maze::new(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let open = maze.open_blocks();
    let [height, width] = maze.info().image;
    let mut images = Vec::with_capacity(frames * height * width * 3);
    let mut extras: BTreeMap<String, ExtraArray> = BTreeMap::new();
    let mut taken = 0;
    while taken < frames {
        let [x, y] = open[rng.random_range(0..open.len())]
            .map(|side| side as f32 + 0.5 + rng.random_range(-ASIDE..ASIDE));
        let angle = rng.random_range(0.0..std::f32::consts::TAU);
        if maze.place(x, y, angle).is_err() {
            continue;
        }
        taken += 1;
        images.extend_from_slice(maze.image());
        for (name, values) in maze.state() {
            let array = extras.entry(name.to_owned()).or_insert_with(|| ExtraArray {
                shape: vec![0],
                values: Vec::new(),
            });
            array.shape[0] += 1;
            array.values.extend(values);
        }
    }
    Episode {
        height,
        width,
        images,
        actions: vec![0; frames],
        rewards: vec![0.0; frames],
        extras,
    }
}
