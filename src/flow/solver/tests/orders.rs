use super::*;

/// Least-squares slope of ln(error) against ln(1/steps).
fn order(steps: &[usize], errors: &[f64]) -> f64 {
    let points = steps.iter().zip(errors);
    let points: Vec<_> = points.map(|(&n, e)| (-(n as f64).ln(), e.ln())).collect();
    let count = points.len() as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |m, p| (m.0 + p.0 / count, m.1 + p.1 / count));
    let both: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    both / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}

/// Small enough for the leading term, large enough for rounding not to matter.
fn steps(method: Method) -> &'static [usize] {
    match method {
        Method::DormandPrince => &[48, 64, 96, 128, 160],
        _ => &[64, 128, 256],
    }
}

/// Steps of sizes 1 : 2 : 1 : 2 …
fn uneven(steps: usize) -> Grid {
    let mut levels: Vec<f64> = (0..=steps)
        .map(|i| (i + i / 2) as f64 / (steps + steps / 2) as f64)
        .collect();
    levels[steps] = 1.0;
    Grid::Given(levels)
}

#[test]
#[expect(clippy::print_stdout, reason = "docs/flow.md copies the table")]
fn every_solver_has_its_order() {
    let rng = &mut rng(11);
    let problems = [
        ("Gaussian, 1 dimension", Mixture::gaussian(&[0.7], &[0.4])),
        (
            "Gaussian, full covariance, 16 dimensions",
            Mixture::random(1, 16, rng),
        ),
        ("3 Gaussians, 2 dimensions", Mixture::random(3, 2, rng)),
        ("3 Gaussians, 16 dimensions", Mixture::random(3, 16, rng)),
    ];
    let grids: [(&str, fn(usize) -> Grid); 3] = [
        ("uniform", |_| Grid::Uniform),
        ("shifted by 2", |_| Grid::Shifted { shift: 2.0 }),
        ("steps 1 : 2 : 1 : 2 …", uneven),
    ];
    println!("| data | path | grid | euler | midpoint | heun | dormand_prince |");
    println!("|---|---|---|---|---|---|---|");
    for (data, mixture) in &problems {
        for path in [Path::Linear, Path::Cosine] {
            let start = mixture.samples_at(path, 0.0, 8, rng).unwrap();
            let end = reference(mixture, path, &start);
            for (grid, of) in grids {
                if grid != "uniform" && !data.starts_with("3 Gaussians, 2") {
                    continue;
                }
                let orders = Method::ALL.map(|method| {
                    let error = |&n: &usize| {
                        let grid = of(n).levels(n, 0.0, 1.0).unwrap();
                        let there = solve(method, &grid, &start, &mut velocity(mixture, path));
                        distance(&there.unwrap(), &end)
                    };
                    let errors: Vec<f64> = steps(method).iter().map(error).collect();
                    println!("{errors:?}");
                    order(steps(method), &errors)
                });
                let [a, b, c, d] = orders;
                println!("| {data} | {path:?} | {grid} | {a:.2} | {b:.2} | {c:.2} | {d:.2} |");
            }
        }
    }
}
