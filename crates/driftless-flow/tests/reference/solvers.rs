//! Solvers, likelihoods and couplings.

use super::*;

/// Our method for torchdiffeq's name.
fn method(name: &Value) -> Method {
    match name.as_str().unwrap() {
        "euler" => Method::Euler,
        "midpoint" => Method::Midpoint,
        "heun2" => Method::Heun,
        "dopri5" => Method::DormandPrince,
        other => unreachable!("{other}"),
    }
}

/// The integrator of a run over the whole path.
fn integrator(run: &Value) -> Integrator {
    match run["step_size"].as_f64() {
        Some(size) => Integrator::Fixed {
            method: method(&run["method"]),
            grid: Grid::Uniform,
            steps: (1.0 / size) as usize,
        },
        None => Integrator::Adaptive(Adaptive {
            tolerance: run["rtol"].as_f64().unwrap(),
            absolute: run["atol"].as_f64().unwrap(),
            max_steps: 10_000,
        }),
    }
}

#[test]
fn fixed_step_states() {
    let mut gap = Gap::new("states after the same steps");
    let file = read("flow_solutions.json");
    let mixture = Mixture::read(&file);
    for run in list(&file["runs"]) {
        if run.get("rtol").is_some() {
            continue;
        }
        let (path, grid) = (path(&run["path"]), numbers(&run["time_grid"]));
        let mut velocity = |z: &Tensor, tau: f64| mixture.velocity(path, z, tau);
        let start = tensor(&run["start"]);
        let name = format!("{} {} {grid:?}", run["method"], run["path"]);
        if run.get("step_size").is_some() {
            let end = integrator(run).solve(grid[0], grid[1], &start, &mut velocity);
            gap.compare(name, &flat(&end.unwrap()), &run["states"]);
            continue;
        }
        let states = (2..=grid.len()).flat_map(|n| {
            flat(&solve(method(&run["method"]), &grid[..n], &start, &mut velocity).unwrap())
        });
        gap.compare(name, &states.collect::<Vec<_>>(), &run["states"]);
    }
    gap.within(1e-12);
}

#[test]
fn adaptive_end_points() {
    let file = read("flow_solutions.json");
    let mixture = Mixture::read(&file);
    let tolerance = |run: &Value| run["rtol"].as_f64();
    // The steps differ: torchdiffeq has another error estimate and step control, and steps beyond the
    // end and interpolates. The tolerance bounds the error of one step, as a mean over the batch; the
    // errors of all steps add up.
    let mut loose = Gap::new("ends of adaptive steps, tolerance 1e-5");
    let mut truth = Gap::new("ends of our adaptive steps at 1e-5 and of theirs at 1e-11");
    let mut tight = Gap::new("ends of adaptive steps, tolerance 1e-11");
    let runs = list(&file["runs"]);
    for run in runs.iter().filter(|run| tolerance(run).is_some()) {
        let (path, ends) = (path(&run["path"]), numbers(&run["time_grid"]));
        let mut velocity = |z: &Tensor, tau: f64| mixture.velocity(path, z, tau);
        let end = integrator(run).solve(ends[0], ends[1], &tensor(&run["start"]), &mut velocity);
        let end = flat(&end.unwrap());
        let name = format!("{} {ends:?}", run["path"]);
        if tolerance(run) == Some(1e-11) {
            tight.compare(&name, &end, &run["states"]);
            continue;
        }
        loose.compare(&name, &end, &run["states"]);
        let same = |other: &&Value| {
            let key = |run: &Value| (run["path"].clone(), run["time_grid"].clone());
            tolerance(other) == Some(1e-11) && key(other) == key(run)
        };
        let exact = runs.iter().find(same).unwrap();
        truth.compare(&name, &end, &exact["states"]);
    }
    loose.within(5e-4);
    truth.within(5e-4);
    tight.within(2e-9);
}

/// A random number generator that yields the signs of given probes.
struct Signs(std::vec::IntoIter<f64>);

impl RngCore for Signs {
    fn next_u32(&mut self) -> u32 {
        // A random bool is the sign bit.
        if self.0.next().unwrap() > 0.0 {
            u32::MAX
        } else {
            0
        }
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!()
    }

    fn fill_bytes(&mut self, _: &mut [u8]) {
        unreachable!()
    }
}

#[test]
fn log_likelihoods() {
    let file = read("flow_likelihoods.json");
    let mixture = Mixture::read(&file);
    let z = tensor(&file["x_1"]);
    let mut fixed = Gap::new("log likelihoods after the same steps");
    let mut adaptive = Gap::new("log likelihoods of adaptive steps, tolerance 1e-10");
    let mut density = Gap::new("log likelihoods and the log density itself");
    for run in list(&file["runs"]) {
        let path = path(&run["path"]);
        let velocity = |z: &Tensor, tau: f64| mixture.velocity(path, z, tau);
        let (divergence, probe) = if run["probe"].is_null() {
            (Divergence::Exact, Vec::new())
        } else {
            (
                Divergence::Hutchinson {
                    probes: 1,
                    kind: Probe::Rademacher,
                },
                numbers(&run["probe"]),
            )
        };
        let mut signs = Signs(probe.into_iter());
        let found = log_likelihood(
            &velocity,
            &z,
            path,
            1.0,
            &integrator(run),
            divergence,
            &mut signs,
        );
        let found: Vec<_> = found.unwrap().iter().map(|l| l.nats).collect();
        let name = format!("{} {}", run["path"], run["method"]);
        if run.get("rtol").is_some() {
            adaptive.compare(&name, &found, &run["log_p"]);
            density.compare(&name, &found, &file["log_density"]);
        } else {
            fixed.compare(&name, &found, &run["log_p"]);
        }
    }
    fixed.within(1e-12);
    // Their steps differ, and they interpolate: see adaptive_end_points.
    adaptive.within(1e-8);
    density.within(1e-9);
}

#[test]
fn least_cost_pairings() {
    let mut gap = Gap::new("mean cost of the exact pairing");
    for batch in list(&read("flow_pairings.json")["batches"]) {
        let (source, data) = (tensor(&batch["x_0"]), tensor(&batch["x_1"]));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let order = Coupling::MinibatchOt
            .order(&source, &data, &mut rng)
            .unwrap();
        // Ours names the source of each datum, theirs the datum of each source.
        let mut partner = vec![f64::NAN; order.len()];
        for (datum, source) in order.into_iter().enumerate() {
            partner[source] = datum as f64;
        }
        assert_eq!(partner, numbers(&batch["partner"]));
        for drawn in list(&batch["drawn"]) {
            let drawn = numbers(drawn);
            assert_eq!(partner[drawn[0] as usize], drawn[1]);
        }
        let paired = Coupling::MinibatchOt.pair(&source, &data, &mut rng);
        let away = (paired.unwrap() - data).unwrap().sqr().unwrap();
        let cost = away.sum(1).unwrap().mean_all().unwrap();
        gap.compare("cost", &[cost.to_scalar().unwrap()], &batch["mean_cost"]);
    }
    gap.within(1e-13);
}
