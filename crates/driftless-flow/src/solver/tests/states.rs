use candle_core::DType;

use super::*;

#[test]
fn a_solver_moves_plain_vectors_and_tensors_alike() {
    // z′ = −z + τ, from 1: 2 e^−1 + 1 − 1 at τ = 1.
    let grid = Grid::Uniform.levels(64, 0.0, 1.0).unwrap();
    let plain = solve(Method::Heun, &grid, &vec![1f32, 0.5], &mut |z: &Vec<
        f32,
    >,
                                                                   tau|
     -> Result<
        _,
    > {
        Ok(z.iter().map(|z| tau as f32 - z).collect())
    });
    let plain = plain.unwrap();
    assert!((f64::from(plain[0]) - 2.0 * (-1f64).exp()).abs() < 1e-4);
    for dtype in [DType::F32, DType::F64] {
        let start = Tensor::new(&[[1f32, 0.5]], &Device::Cpu).unwrap();
        let start = start.to_dtype(dtype).unwrap();
        let there = solve(Method::Heun, &grid, &start, &mut |z: &Tensor,
                                                             tau|
         -> Result<_> {
            Ok(z.affine(-1.0, tau)?)
        });
        let there = there.unwrap();
        assert_eq!((there.dtype(), there.dims()), (dtype, &[1, 2][..]));
        for (a, b) in there.numbers().unwrap().iter().zip(&plain) {
            assert!((a - f64::from(*b)).abs() < 1e-5);
        }
    }
}

#[test]
fn fresh_noise_is_standard_normal_in_the_shape_and_type_of_the_state() {
    let like = Tensor::zeros((100, 80), DType::F32, &Device::Cpu).unwrap();
    let noise = like.normal_like(&mut rng(1)).unwrap();
    assert_eq!((noise.dims(), noise.dtype()), (like.dims(), like.dtype()));
    let numbers = noise.numbers().unwrap();
    let moment = |p| numbers.iter().map(|x| x.powi(p)).sum::<f64>() / 8000.0;
    // Five standard errors.
    for (p, expected, error) in [(1, 0.0, 1.0), (2, 1.0, 2f64.sqrt()), (4, 3.0, 96f64.sqrt())] {
        assert!(
            (moment(p) - expected).abs() < 5.0 * error / 8000f64.sqrt(),
            "{p}"
        );
    }
    let plain = vec![0f32; 8000].normal_like(&mut rng(1)).unwrap();
    assert_eq!(plain.numbers().unwrap(), numbers);
}

#[test]
fn sums_of_nothing_and_of_different_shapes_are_refused() {
    let error = said(Vec::<f32>::combine(&[]));
    assert_eq!(
        error,
        "the number of terms of a sum is 0, expected 1 or more"
    );
    assert!(Tensor::combine(&[]).is_err());
    let error = said(Vec::combine(&[(1.0, &vec![1f32]), (1.0, &vec![1.0, 2.0])]));
    assert!(error.contains("the length of a state is 2"), "{error}");
    let wide = Tensor::new(&[1f64, 2.0], &Device::Cpu).unwrap();
    assert!(Tensor::combine(&[(1.0, &point(1.0)), (1.0, &wide)]).is_err());
}

#[test]
fn names_read_back_and_others_are_refused() {
    for method in Method::ALL {
        assert_eq!(method.name().parse::<Method>().unwrap(), method);
        let json = serde_json::to_string(&method).unwrap();
        assert_eq!(json, format!("{:?}", method.name()));
    }
    let error = said("rk4".parse::<Method>());
    let expected = "unknown solver \"rk4\", expected euler, midpoint, heun or dormand_prince";
    assert_eq!(error, expected);
}

#[test]
fn what_is_not_finite_is_refused_where_it_appears() {
    let grid = [0.0, 0.5, 1.0];
    let late = |z: &Tensor, tau: f64| Ok((z * if tau < 0.5 { 1.0 } else { f64::NAN })?);
    for method in Method::ALL {
        let error = said(solve(method, &grid, &point(1.0), &mut { late }));
        assert!(
            error.starts_with("the velocity at signal level τ = "),
            "{error}"
        );
        let error = said(solve(method, &grid, &point(f64::INFINITY), &mut { late }));
        assert_eq!(error, "the state at signal level τ = 0 is not finite");
        let huge = said(solve(method, &grid, &vec![3e38f32], &mut |z, _| {
            Ok(z.clone())
        }));
        assert!(huge.starts_with("the state at signal level τ = "), "{huge}");
    }
    let adaptive = Adaptive {
        tolerance: 1e-3,
        absolute: 1e-3,
        max_steps: 100,
    };
    let error = said(adaptive.solve(0.0, 1.0, &point(1.0), &mut { late }));
    assert!(
        error.starts_with("the velocity at signal level τ = "),
        "{error}"
    );
}
