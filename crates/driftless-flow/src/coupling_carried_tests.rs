//! A distribution that is data is carried to another: in closed form, and by a small network.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Linear, Module, Optimizer, ParamsAdamW};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::Coupling;
use crate::Result;
use crate::path::Path;
use crate::solver::{Adaptive, Method, State, solve};

/// Per axis: from N(1, 0.5²) and N(−2, 2²) to N(−3, 1.5²) and N(2, 0.3²).
const FROM: [(f64, f64); 2] = [(1.0, 0.5), (-2.0, 2.0)];
const TO: [(f64, f64); 2] = [(-3.0, 1.5), (2.0, 0.3)];

/// The monotone map x ↦ shift + slope · x of the first Gaussian to the second, per axis.
fn monotone() -> (Tensor, Tensor) {
    let slope = [0, 1].map(|i| TO[i].1 / FROM[i].1);
    let shift = [0, 1].map(|i| TO[i].0 - slope[i] * FROM[i].0);
    let row = |x: [f64; 2]| Tensor::new(&[x], &Device::Cpu).unwrap();
    (row(shift), row(slope))
}

fn gaussian(count: usize, moments: [(f64, f64); 2], rng: &mut ChaCha8Rng) -> Tensor {
    let rows =
        (0..count).flat_map(|_| moments.map(|(m, s)| Normal::new(m, s).unwrap().sample(rng)));
    let rows: Vec<f64> = rows.collect();
    Tensor::from_vec(rows, (count, 2), &Device::Cpu).unwrap()
}

fn largest(t: Result<Tensor>) -> f64 {
    let numbers = t.unwrap().numbers().unwrap();
    numbers.into_iter().fold(0.0, |most, x| most.max(x.abs()))
}

#[test]
fn the_flow_of_a_monotone_coupling_carries_one_gaussian_to_another() {
    let (shift, slope) = monotone();
    let map =
        |x: &Tensor| -> Result<Tensor> { Ok(x.broadcast_mul(&slope)?.broadcast_add(&shift)?) };
    let source = gaussian(4000, FROM, &mut ChaCha8Rng::seed_from_u64(1));
    let there = map(&source).unwrap();
    for path in [Path::Linear, Path::Cosine] {
        // One x₀ lies behind every z: z = σ x₀ + α (shift + slope x₀).
        let mut velocity = |z: &Tensor, tau: f64| -> Result<_> {
            let at = path.at(tau)?;
            let away = z.broadcast_sub(&(&shift * at.alpha)?)?;
            let start = away.broadcast_div(&(&slope * at.alpha)?.affine(1.0, at.sigma)?)?;
            Ok(((&start * at.sigma_dot)? + (map(&start)? * at.alpha_dot)?)?)
        };
        let adaptive = Adaptive {
            tolerance: 1e-9,
            absolute: 1e-9,
            max_steps: 1000,
        };
        let end = adaptive
            .solve(0.0, 1.0, &source, &mut velocity)
            .unwrap()
            .state;
        let gap = largest(Ok((&end - &there).unwrap()));
        eprintln!("{path:?}: ends off the monotone map by {gap:.1e} at most");
        assert!(gap < 1e-7, "{path:?} {gap}");
        for (axis, (mean, deviation)) in TO.into_iter().enumerate() {
            let numbers = end.narrow(1, axis, 1).unwrap().numbers().unwrap();
            let n = numbers.len() as f64;
            let seen = numbers.iter().sum::<f64>() / n;
            assert!((seen - mean).abs() < 4.0 * deviation / n.sqrt());
            let square = numbers.iter().map(|x| (x - seen).powi(2)).sum::<f64>() / n;
            assert!((square.sqrt() / deviation - 1.0).abs() < 0.04);
        }
        // Trajectories of optimal transport are straight on the linear path: one step does it.
        let step = solve(Method::Euler, &[0.0, 1.0], &source, &mut velocity).unwrap();
        let off = largest(Ok((step - &there).unwrap()));
        assert!((off < 1e-12) == (path == Path::Linear), "{path:?} {off}");
    }
}

#[test]
fn mini_batch_optimal_transport_finds_the_map_that_made_the_data() {
    // Gradients of convex functions, as this map is one, are optimal (Brenier).
    let (shift, slope) = monotone();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let source = gaussian(100, FROM, &mut rng);
    let data = source.broadcast_mul(&slope).unwrap();
    let data = data.broadcast_add(&shift).unwrap();
    let mut order: Vec<u32> = (0..100).collect();
    order.shuffle(&mut rng);
    let index = Tensor::new(order.as_slice(), &Device::Cpu).unwrap();
    let data = data.index_select(&index, 0).unwrap();
    let found = Coupling::MinibatchOt.order(&source, &data, &mut rng);
    assert!(
        found
            .unwrap()
            .iter()
            .zip(&order)
            .all(|(a, b)| *a == *b as usize)
    );
}

/// Two crescents.
fn moons(count: usize, rng: &mut ChaCha8Rng) -> Tensor {
    points(count, rng, |rng| {
        let (sin, cos) = rng.random_range(0.0..std::f64::consts::PI).sin_cos();
        match rng.random() {
            true => [3.0 * cos - 1.5, 3.0 * sin - 0.75],
            false => [1.5 - 3.0 * cos, 0.75 - 3.0 * sin],
        }
    })
}

/// Six blobs around a circle.
fn blobs(count: usize, rng: &mut ChaCha8Rng) -> Tensor {
    points(count, rng, |rng| {
        let angle = f64::from(rng.random_range(0..6)) * std::f64::consts::TAU / 6.0;
        [5.0 * angle.cos(), 5.0 * angle.sin()]
    })
}

fn points(
    count: usize,
    rng: &mut ChaCha8Rng,
    draw: impl Fn(&mut ChaCha8Rng) -> [f64; 2],
) -> Tensor {
    let blur = Normal::new(0.0, 0.25).unwrap();
    let rows = (0..count).flat_map(|_| draw(rng).map(|x| (x + blur.sample(rng)) as f32));
    let rows: Vec<f32> = rows.collect();
    Tensor::from_vec(rows, (count, 2), &Device::Cpu).unwrap()
}

/// v(z, τ) of two hidden layers.
struct Network([Linear; 3]);

impl Network {
    fn velocity(&self, z: &Tensor, tau: &Tensor) -> Result<Tensor> {
        let tau = tau.broadcast_as((z.dim(0)?, 1))?;
        let hidden = self.0[0].forward(&Tensor::cat(&[z, &tau], 1)?)?.silu()?;
        let hidden = self.0[1].forward(&hidden)?.silu()?;
        Ok(self.0[2].forward(&hidden)?)
    }

    fn at(&self, z: &Tensor, tau: f64) -> Result<Tensor> {
        self.velocity(z, &Tensor::new(&[[tau as f32]], z.device())?)
    }

    /// Where `start` is carried: in one step of Euler's method, and in many steps of Heun's with the
    /// mean ratio of the way's length to that of the straight line.
    fn carry(&self, start: &Tensor) -> (Tensor, Tensor, f64) {
        let mut velocity = |z: &Tensor, tau| self.at(z, tau);
        let one = solve(Method::Euler, &[0.0, 1.0], start, &mut velocity).unwrap();
        let (mut z, mut way) = (start.clone(), vec![0.0; start.dim(0).unwrap()]);
        for i in 0..24 {
            let grid = [f64::from(i) / 24.0, f64::from(i + 1) / 24.0];
            let next = solve(Method::Heun, &grid, &z, &mut velocity).unwrap();
            let lengths = distances(&z, &next);
            way.iter_mut().zip(lengths).for_each(|(way, d)| *way += d);
            z = next;
        }
        let straight = distances(start, &z);
        let ratios = way.iter().zip(&straight).map(|(way, line)| way / line);
        let ratio = ratios.sum::<f64>() / way.len() as f64;
        (one, z, ratio)
    }
}

/// Row by row.
fn distances(a: &Tensor, b: &Tensor) -> Vec<f64> {
    let squares = (a - b).unwrap().sqr().unwrap().sum(1).unwrap();
    squares.sqrt().unwrap().numbers().unwrap()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The energy distance, 2 E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖, 0 for equal distributions.
fn energy(x: &Tensor, y: &Tensor) -> f64 {
    let between = |a: &Tensor, b: &Tensor| {
        let a = a.unsqueeze(1).unwrap();
        let gaps = a.broadcast_sub(&b.unsqueeze(0).unwrap()).unwrap();
        let lengths = gaps.sqr().unwrap().sum(2).unwrap().sqrt().unwrap();
        mean(&lengths.numbers().unwrap())
    };
    2.0 * between(x, y) - between(x, x) - between(y, y)
}

/// Flow matching from the crescents to the blobs.
fn train(coupling: Coupling, steps: usize) -> Network {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut variables = Vec::new();
    let mut layer = |inputs: usize, outputs: usize| {
        let zeros = Tensor::zeros((outputs, inputs), DType::F32, &Device::Cpu).unwrap();
        let weights = zeros.normal_like(&mut rng).unwrap() / (inputs as f64).sqrt();
        let weights = Var::from_tensor(&weights.unwrap()).unwrap();
        let bias = Var::zeros(outputs, DType::F32, &Device::Cpu).unwrap();
        variables.extend([weights.clone(), bias.clone()]);
        Linear::new(weights.as_tensor().clone(), Some(bias.as_tensor().clone()))
    };
    let network = Network([layer(3, 64), layer(64, 64), layer(64, 2)]);
    let settings = ParamsAdamW {
        weight_decay: 0.0,
        ..ParamsAdamW::default()
    };
    let mut optimizer = AdamW::new(variables, settings).unwrap();
    for step in 0..steps {
        let left = 1.0 - step as f64 / steps as f64;
        optimizer.set_learning_rate(5e-3 * left);
        let data = blobs(BATCH, &mut rng);
        let source = coupling.pair(&moons(BATCH, &mut rng), &data, &mut rng);
        let source = source.unwrap();
        let tau: Vec<f32> = (0..BATCH).map(|_| rng.random()).collect();
        let tau = Tensor::from_vec(tau, (BATCH, 1), &Device::Cpu).unwrap();
        let z = Path::Linear.interpolate(&source, &data, &tau).unwrap();
        let gap = (network.velocity(&z, &tau).unwrap() - (data - source).unwrap()).unwrap();
        optimizer
            .backward_step(&gap.sqr().unwrap().mean_all().unwrap())
            .unwrap();
    }
    network
}

const BATCH: usize = 96;

#[test]
fn mini_batch_optimal_transport_gives_straighter_paths() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (start, data) = (moons(400, &mut rng), blobs(400, &mut rng));
    let untouched = energy(&start, &data);
    eprintln!("crescents to six blobs (energy distance {untouched:.3})");
    eprintln!("coupling      energy distance  way/line  one Euler step off by");
    let measured = [Coupling::Independent, Coupling::MinibatchOt].map(|coupling| {
        let (one, end, ratio) = train(coupling, 400).carry(&start);
        let (left, off) = (energy(&end, &data), mean(&distances(&one, &end)));
        eprintln!(
            "{:12}  {left:15.3}  {ratio:8.3}  {off:.3}",
            format!("{coupling:?}")
        );
        assert!(
            left < 0.1 * untouched,
            "{coupling:?} does not arrive: {left}"
        );
        (ratio - 1.0, off)
    });
    let [(bent, far), (straight, near)] = measured;
    assert!(straight < 0.5 * bent && near < 0.5 * far, "{measured:?}");
}
