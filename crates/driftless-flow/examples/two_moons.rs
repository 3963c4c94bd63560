//! Learns two half moons by flow matching, draws samples, and gives their exact log likelihood.
//!
//! `cargo run --release -p driftless-flow --example two_moons`

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use candle_core::{DType, Device, Tensor};
use candle_nn::{
    Activation, AdamW, Module, Optimizer, Sequential, VarBuilder, VarMap, linear, seq,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_flow::Result;
use driftless_flow::likelihood::{Divergence, Integrator, log_likelihood};
use driftless_flow::path::Path;
use driftless_flow::solver::{Adaptive, Grid, Method, solve};

const PATH: Path = Path::Linear;

/// `count` points of two interleaved half circles, [count, 2].
fn two_moons(count: usize, rng: &mut impl Rng) -> Result<Tensor> {
    let mut points = Vec::with_capacity(2 * count);
    for _ in 0..count {
        let angle = rng.random_range(0.0..std::f32::consts::PI);
        let (x, y) = (angle.cos(), angle.sin());
        let jitter: [f32; 2] = std::array::from_fn(|_| rng.random_range(-0.1..0.1));
        let [x, y] = if rng.random_bool(0.5) {
            [x - 0.5, y - 0.25]
        } else {
            [0.5 - x, 0.25 - y]
        };
        points.extend([x + jitter[0], y + jitter[1]]);
    }
    Ok(Tensor::from_vec(points, (count, 2), &Device::Cpu)?)
}

/// v̂(z, τ) for points z [N, 2] at levels τ [N, 1].
fn velocity(network: &Sequential, z: &Tensor, tau: &Tensor) -> Result<Tensor> {
    Ok(network.forward(&Tensor::cat(&[z, tau], 1)?)?)
}

fn main() -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let network = train(&mut rng)?;

    // Sample: eight steps of Heun's method from noise to data.
    let field = |z: &Tensor, tau: f64| -> Result<Tensor> {
        let tau = Tensor::full(tau as f32, (z.dim(0)?, 1), z.device())?;
        velocity(&network, z, &tau)
    };
    let noise = Tensor::randn(0f32, 1.0, (1000, 2), &Device::Cpu)?;
    let levels = Grid::Uniform.levels(8, 0.0, 1.0)?;
    let samples = solve(Method::Heun, &levels, &noise, &mut |z: &Tensor, tau| {
        field(z, tau)
    })?;
    draw(&samples.to_vec2::<f32>()?);

    // Likelihood: the exact change of variables along the same ODE, back to noise.
    let integrator = Integrator::Adaptive(Adaptive {
        tolerance: 1e-4,
        absolute: 1e-4,
        max_steps: 1000,
    });
    let right = Tensor::new(&[[2f32, 0.0]], &Device::Cpu)?.broadcast_as((64, 2))?;
    for (name, points) in [
        ("on the moons", two_moons(64, &mut rng)?),
        ("2 to the right", (two_moons(64, &mut rng)? + right)?),
    ] {
        let exact = Divergence::Exact;
        let found = log_likelihood(&field, &points, PATH, 1.0, &integrator, exact, &mut rng)?;
        let mean = found.iter().map(|one| one.nats).sum::<f64>() / found.len() as f64;
        println!("{name}: mean ln p = {mean:.2} nats");
    }
    Ok(())
}

/// Trains a network: on z = (1 − τ) noise + τ data the velocity is data − noise.
fn train(rng: &mut impl Rng) -> Result<Sequential> {
    let weights = VarMap::new();
    let names = VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu);
    let network = seq()
        .add(linear(3, 64, names.pp("first"))?)
        .add(Activation::Silu)
        .add(linear(64, 64, names.pp("second"))?)
        .add(Activation::Silu)
        .add(linear(64, 2, names.pp("last"))?);
    let mut optimizer = AdamW::new_lr(weights.all_vars(), 3e-3)?;
    for step in 1..=2000 {
        let data = two_moons(256, rng)?;
        let noise = data.randn_like(0.0, 1.0)?;
        let tau = Tensor::rand(0f32, 1.0, (256, 1), &Device::Cpu)?;
        let z = PATH.interpolate(&noise, &data, &tau.broadcast_as((256, 2))?)?;
        let error = (velocity(&network, &z, &tau)? - (data - noise)?)?;
        let loss = error.sqr()?.mean_all()?;
        optimizer.backward_step(&loss)?;
        if step % 500 == 0 {
            println!("step {step}: loss {:.3}", loss.to_scalar::<f32>()?);
        }
    }
    Ok(network)
}

/// The points as text, 64 columns over [−2, 2] × [−1.2, 1.2].
fn draw(points: &[Vec<f32>]) {
    let mut rows = vec![vec![b' '; 64]; 20];
    for point in points {
        let column = ((point[0] + 2.0) * 16.0) as usize;
        let row = ((1.2 - point[1]) / 2.4 * 20.0) as usize;
        if let Some(cell) = rows.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell = b'*';
        }
    }
    for row in rows {
        println!("{}", String::from_utf8_lossy(&row).trim_end());
    }
}
