use super::*;

#[test]
fn uniform_levels_are_even_both_ways_and_end_where_they_must() {
    let up = Grid::Uniform.levels(4, 0.0, 1.0).unwrap();
    assert_eq!(up, [0.0, 0.25, 0.5, 0.75, 1.0]);
    for (from, to) in [(0.1, 0.9), (0.9, 0.1), (1.0, 0.0), (0.0, 1.0 - 1e-3)] {
        let levels = Grid::Uniform.levels(7, from, to).unwrap();
        assert_eq!((levels[0], levels[7]), (from, to));
        for step in levels.windows(2) {
            assert!((step[1] - step[0] - (to - from) / 7.0).abs() < 1e-15);
        }
    }
}

#[test]
fn shifted_levels_follow_the_formula_and_keep_the_ends() {
    // t = 3/4, 1/2, 1/4 become 3t/(1 + 2t) = 9/10, 3/4, 1/2.
    let levels = Grid::Shifted { shift: 3.0 }.levels(4, 0.0, 1.0).unwrap();
    for (level, noise) in levels.iter().zip([1.0, 0.9, 0.75, 0.5, 0.0]) {
        assert!((level - (1.0 - noise)).abs() < 1e-15, "{levels:?}");
    }
    for shift in [0.1, 0.5, 3.0, 20.0] {
        for (from, to) in [(0.0, 1.0), (0.2, 0.95), (1.0, 0.0), (0.95, 0.2)] {
            let of = |from, to| Grid::Shifted { shift }.levels(9, from, to).unwrap();
            let levels = of(from, to);
            assert_eq!((levels[0], levels[9]), (from, to));
            let sizes: Vec<f64> = levels.windows(2).map(|w| (w[1] - w[0]).abs()).collect();
            // Smaller towards the noise for s > 1.
            let smaller_first = (from < to) == (shift > 1.0);
            assert!(sizes.is_sorted_by(|a, b| (a < b) == smaller_first));
            for (a, b) in levels.iter().zip(of(to, from).iter().rev()) {
                assert!((a - b).abs() < 1e-14);
            }
        }
    }
}

#[test]
fn a_shift_of_1_is_uniform() {
    let shifted = Grid::Shifted { shift: 1.0 }.levels(10, 0.1, 1.0).unwrap();
    let uniform = Grid::Uniform.levels(10, 0.1, 1.0).unwrap();
    for (a, b) in shifted.iter().zip(&uniform) {
        assert!((a - b).abs() < 1e-15);
    }
}

#[test]
fn given_levels_are_taken_as_they_are_and_must_fit() {
    let levels = vec![0.0, 0.7, 0.9, 1.0];
    let grid = Grid::Given(levels.clone());
    assert_eq!(grid.levels(3, 0.0, 1.0).unwrap(), levels);
    let expected = "the given τ grid has 3 steps from 0 to 1, expected";
    for (steps, from, to) in [(4, 0.0, 1.0), (3, 0.1, 1.0), (3, 0.0, 0.9), (3, 1.0, 0.0)] {
        let error = said(grid.levels(steps, from, to));
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn bad_grids_are_refused() {
    let error = said(Grid::Uniform.levels(0, 0.0, 1.0));
    assert_eq!(error, "the number of steps is 0, expected 1 or more");
    for (from, to) in [(0.0, 1.1), (-0.1, 1.0), (0.5, 0.5), (0.0, f64::NAN)] {
        let error = said(Grid::Uniform.levels(4, from, to));
        assert!(error.starts_with("the τ grid ["), "{error}");
    }
    for shift in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = said(Grid::Shifted { shift }.levels(4, 0.0, 1.0));
        assert!(error.starts_with("the shift of a τ grid is "), "{error}");
    }
    // Levels that floating point does not tell apart.
    assert!(Grid::Shifted { shift: 1e30 }.levels(4, 0.0, 1.0).is_err());
    let still = &mut |z: &Tensor, _| Ok(z.clone());
    let bad: [&[f64]; 6] = [
        &[],
        &[0.5],
        &[0.0, 0.5, 0.5],
        &[0.0, 0.6, 0.5],
        &[0.5, 1.5],
        &[0.0, f64::NAN, 1.0],
    ];
    for grid in bad {
        let error = said(solve(Method::Euler, grid, &point(1.0), still));
        assert!(error.starts_with("the τ grid ["), "{error}");
        assert!(Grid::Given(grid.to_vec()).levels(2, 0.0, 1.0).is_err());
    }
}

#[test]
fn no_stage_is_asked_outside_of_the_levels_of_its_step() {
    for (from, to) in [(0.0, 1.0), (1.0, 0.0), (0.1, 0.7)] {
        for steps in [3, 7, 49] {
            let grid = Grid::Uniform.levels(steps, from, to).unwrap();
            for method in Method::ALL {
                let asked = &mut |z: &Tensor, tau: f64| -> Result<_> {
                    assert!((from.min(to)..=from.max(to)).contains(&tau), "{tau:e}");
                    Ok(z.clone())
                };
                solve(method, &grid, &point(1.0), asked).unwrap();
            }
        }
    }
}

#[test]
fn settings_name_grids_as_they_are_written() {
    let written = [
        ("\"uniform\"", Grid::Uniform),
        (
            "{\"shifted\":{\"shift\":3.0}}",
            Grid::Shifted { shift: 3.0 },
        ),
        (
            "{\"given\":[0.0,0.5,1.0]}",
            Grid::Given(vec![0.0, 0.5, 1.0]),
        ),
    ];
    for (text, grid) in written {
        assert_eq!(serde_json::from_str::<Grid>(text).unwrap(), grid);
        assert_eq!(serde_json::to_string(&grid).unwrap(), text);
    }
}
