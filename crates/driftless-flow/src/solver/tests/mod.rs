//! Solvers against closed-form solutions.

mod adaptive;
mod grids;
mod marginals;
mod orders;
mod states;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::closed::Mixture;
use crate::path::Path;
use crate::{FlowError, Result};

const EXPLODING: Path = Path::Exploding {
    least: 0.05,
    most: 10.0,
};

const PATHS: [Path; 3] = [Path::Linear, Path::Cosine, EXPLODING];

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn point(z: f64) -> Tensor {
    Tensor::new(&[z], &Device::Cpu).unwrap()
}

/// The root mean square of a − b.
fn distance<S: State>(a: &S, b: &S) -> f64 {
    let (a, b) = (a.numbers().unwrap(), b.numbers().unwrap());
    let sum: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
    (sum / a.len() as f64).sqrt()
}

/// The velocity of a mixture, as solvers ask for it.
fn velocity(mixture: &Mixture, path: Path) -> impl FnMut(&Tensor, f64) -> Result<Tensor> {
    move |z, tau| mixture.velocity(path, z, tau)
}

/// The end of the ODE from noise to data, to about 12 digits.
fn reference(mixture: &Mixture, path: Path, start: &Tensor) -> Tensor {
    let grid = Grid::Uniform.levels(600, 0.0, 1.0).unwrap();
    let end = solve(
        Method::DormandPrince,
        &grid,
        start,
        &mut velocity(mixture, path),
    );
    end.unwrap()
}

fn error_text<T>(result: Result<T>) -> String {
    result.err().map(|error| error.to_string()).unwrap()
}
