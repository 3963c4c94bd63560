use super::*;

/// Least-squares slope of ln(error) against ln(1/steps).
fn order(steps: &[usize], errors: &[f64]) -> f64 {
    let points: Vec<_> = steps
        .iter()
        .zip(errors)
        .map(|(&n, error)| (-(n as f64).ln(), error.ln()))
        .collect();
    let count = points.len() as f64;
    let x = points.iter().map(|p| p.0).sum::<f64>() / count;
    let y = points.iter().map(|p| p.1).sum::<f64>() / count;
    let both: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    both / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}

/// Enough for the leading term of the error, too few for rounding to matter.
fn steps(method: Method) -> &'static [usize] {
    match method {
        Method::DormandPrince => &[128, 160, 192],
        _ => &[48, 96, 192],
    }
}

/// Steps of sizes 1 : 2 : 1 : 2 …
fn uneven(steps: usize) -> Grid {
    let whole = (steps + steps / 2) as f64;
    let level = |i| (i + i / 2) as f64 / whole;
    Grid::Given((0..=steps).map(level).collect())
}

/// The order that a method must show.
fn expected(method: Method, straight_gaussian: bool) -> f64 {
    match method {
        Method::Euler => 1.0,
        // There z − τ m moves as √((1 − τ)² + s² τ²), the root of a quadratic, of which the
        // midpoint rule's error of third order in a step vanishes.
        Method::Midpoint if straight_gaussian => 3.0,
        Method::Midpoint | Method::Heun => 2.0,
        Method::DormandPrince => 5.0,
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "docs/flow.md copies the table")]
fn every_solver_has_its_order_on_even_and_uneven_grids() {
    let rng = &mut rng(11);
    // Data a few times as wide as the noise: what is too smooth drowns order 5 in rounding.
    let problems = [
        ("1 Gaussian, 1 dimension", Mixture::gaussian(&[2.8], &[3.2])),
        (
            "1 Gaussian, 16 dimensions",
            Mixture::random(1, 16, rng).scaled(4.0),
        ),
        (
            "3 Gaussians, 2 dimensions",
            Mixture::random(3, 2, rng).scaled(3.0),
        ),
        (
            "3 Gaussians, 16 dimensions",
            Mixture::random(3, 16, rng).scaled(3.0),
        ),
    ];
    let grids: [(&str, &dyn Fn(usize) -> Grid); 3] = [
        ("uniform", &|_| Grid::Uniform),
        ("shifted, s = 2", &|_| Grid::Shifted { shift: 2.0 }),
        ("sizes 1 : 2 : 1 : 2 …", &uneven),
    ];
    let names = Method::ALL.map(Method::name).join(" | ");
    println!("| data | path | grid | {names} |\n|---|---|---|---|---|---|---|");
    for (i, (data, mixture)) in problems.iter().enumerate() {
        for (name, path) in [("linear", Path::Linear), ("cosine", Path::Cosine)] {
            let start = mixture.samples_at(path, 0.0, 8, rng).unwrap();
            let end = match i {
                0 | 1 => mixture.carried(path, &start, 0.0, 1.0).unwrap(),
                _ => reference(mixture, path, &start),
            };
            for (grid, of) in &grids[..if i == 2 { 3 } else { 1 }] {
                let orders = Method::ALL.map(|method| {
                    let error = |&n: &usize| {
                        let grid = of(n).levels(n, 0.0, 1.0).unwrap();
                        let there = solve(method, &grid, &start, &mut velocity(mixture, path));
                        distance(&there.unwrap(), &end)
                    };
                    let errors: Vec<f64> = steps(method).iter().map(error).collect();
                    order(steps(method), &errors)
                });
                let cells = orders.map(|order| format!("{order:.2}")).join(" | ");
                println!("| {data} | {name} | {grid} | {cells} |");
                for (method, order) in Method::ALL.into_iter().zip(orders) {
                    let expected = expected(method, i < 2 && path == Path::Linear);
                    let within = if method == Method::DormandPrince {
                        0.4
                    } else {
                        0.15
                    };
                    assert!((order - expected).abs() < within, "{method:?} {order}");
                }
            }
        }
    }
}
