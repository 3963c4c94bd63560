use candle_core::{Device, Var};

use super::*;

const WEIGHTS: PmpoWeights = PmpoWeights {
    alpha: 0.5,
    beta: 0.3,
};

#[test]
fn returns_with_lambda_one_are_discounted_sums() {
    let returns = lambda_returns(
        &[1.0, 2.0, 3.0],
        &[1.0; 3],
        &[9.0, 9.0, 9.0, 10.0],
        0.5,
        1.0,
    );
    let last = 3.0 + 0.5 * 10.0;
    assert_eq!(
        returns,
        [1.0 + 0.5 * (2.0 + 0.5 * last), 2.0 + 0.5 * last, last]
    );
}

#[test]
fn returns_with_lambda_zero_look_one_frame_ahead() {
    let returns = lambda_returns(&[1.0, 2.0], &[1.0, 1.0], &[7.0, 20.0, 30.0], 0.9, 0.0);
    assert_eq!(returns, [1.0 + 0.9 * 20.0, 2.0 + 0.9 * 30.0]);
}

#[test]
fn nothing_counts_after_the_end() {
    let returns = lambda_returns(&[1.0, 5.0, 8.0], &[1.0, 0.0, 1.0], &[3.0; 4], 0.5, 0.9);
    assert_eq!(returns[1], 5.0);
    assert_eq!(returns[0], 1.0 + 0.5 * (0.1f32.mul_add(3.0, 0.9 * 5.0)));
}

/// The sum over n-step returns that λ-returns are defined by, eq. 12.2 and 12.3 of the book.
#[test]
fn returns_mix_all_lookaheads() {
    let rewards = [0.3, -1.2, 2.0, 0.7];
    let continues = [1.0, 0.8, 1.0, 0.5];
    let values = [0.1, 1.5, -0.4, 0.9, 2.2];
    let (discount, lambda, end) = (0.9f32, 0.8f32, 4);
    let returns = lambda_returns(&rewards, &continues, &values, discount, lambda);
    for t in 0..end {
        let n_step = |n: usize| {
            let (mut sum, mut factor) = (0.0, 1.0);
            for k in t..t + n {
                sum += factor * rewards[k];
                factor *= discount * continues[k];
            }
            sum + factor * values[t + n]
        };
        let longest = end - t;
        let mut expected = lambda.powi(longest as i32 - 1) * n_step(longest);
        for n in 1..longest {
            expected += (1.0 - lambda) * lambda.powi(n as i32 - 1) * n_step(n);
        }
        assert!(
            (returns[t] - expected).abs() < 1e-5,
            "{t}: {} {expected}",
            returns[t]
        );
    }
}

#[test]
fn recorded_returns_count_where_they_are_known() {
    let rewards = [9.0, 1.0, 2.0, 4.0, 8.0];
    let (returns, weights) = recorded_returns(&rewards, &[0.0; 5], 0.5, 2);
    // 1 + 2/2 + 4/4 + 8/8, and so on; the first reward came with the first frame.
    assert_eq!(returns, [4.0, 6.0, 8.0, 8.0, 0.0]);
    assert_eq!(weights, [1.0, 1.0, 1.0, 0.0, 0.0]);
    let ends = [0.0, 0.0, 0.0, 0.0, 1.0];
    let (returns, weights) = recorded_returns(&rewards, &ends, 0.5, 2);
    assert_eq!(returns[2], 8.0);
    assert_eq!(weights, [1.0, 1.0, 1.0, 1.0, 0.0]);
    let ends = [0.0, 1.0, 0.0, 0.0, 0.0];
    let (returns, weights) = recorded_returns(&rewards, &ends, 0.5, 3);
    assert_eq!(returns[0], 1.0);
    assert_eq!(weights, [1.0, 0.0, 0.0, 0.0, 0.0]);
}

fn var(values: &[f32], shape: (usize, usize)) -> Var {
    Var::from_slice(values, shape, &Device::Cpu).unwrap()
}

/// Largest relative difference between candle's gradient and central differences.
fn gradient_error(values: &[f32], shape: (usize, usize), loss: &dyn Fn(&Tensor) -> Tensor) -> f64 {
    let at = |values: &[f32]| -> f64 {
        let loss = loss(var(values, shape).as_tensor());
        f64::from(loss.to_scalar::<f32>().unwrap())
    };
    let variable = var(values, shape);
    let grads = loss(variable.as_tensor()).backward().unwrap();
    let gradient = grads.get(&variable).unwrap().flatten_all().unwrap();
    let gradient = gradient.to_vec1::<f32>().unwrap();
    let differences = (0..values.len()).map(|i| {
        let step = 1e-2;
        let moved = |by: f32| {
            let mut values = values.to_vec();
            values[i] += by;
            at(&values)
        };
        let expected = (moved(step) - moved(-step)) / f64::from(2.0 * step);
        (f64::from(gradient[i]) - expected).abs()
    });
    differences.fold(0.0, f64::max)
}

const LOGITS: [f32; 12] = [
    0.2, -0.5, 1.0, 0.0, 0.4, 0.3, -1.0, 0.8, 0.1, 0.9, -0.2, 0.5,
];

#[test]
fn pmpo_agrees_with_its_formula() {
    let prior = [0.0, 0.1, 0.2, -0.3, 0.5, 0.1, 0.0, 0.3, -0.4, 0.2, 0.2, 0.6];
    let (actions, advantages) = ([2, 0, 1, 1], [1.5, -0.2, 0.0, -8.0]);
    let logits = var(&LOGITS, (4, 3));
    let prior_tensor = var(&prior, (4, 3));
    let result = pmpo(&logits, &prior_tensor, &actions, &advantages, WEIGHTS).unwrap();
    let distribution = |logits: &[f32], row: usize| -> Vec<f64> {
        let row = &logits[3 * row..3 * row + 3];
        let total: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
        row.iter().map(|x| f64::from(*x).exp() / total).collect()
    };
    let log = |row: usize| distribution(&LOGITS, row)[actions[row] as usize].ln();
    let divergence: f64 = (0..4)
        .map(|row| {
            let (p, q) = (distribution(&LOGITS, row), distribution(&prior, row));
            p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum::<f64>()
        })
        .sum::<f64>()
        / 4.0;
    let expected = 0.5 * (log(1) + log(3)) / 2.0 - 0.5 * (log(0) + log(2)) / 2.0 + 0.3 * divergence;
    let loss = f64::from(result.loss.to_scalar::<f32>().unwrap());
    assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    let found = f64::from(result.divergence.to_scalar::<f32>().unwrap());
    assert!((found - divergence).abs() < 1e-6);
    let error = gradient_error(&LOGITS, (4, 3), &|logits| {
        let prior = var(&prior, (4, 3));
        pmpo(logits, &prior, &actions, &advantages, WEIGHTS)
            .unwrap()
            .loss
    });
    assert!(error < 1e-4, "{error}");
}

#[test]
fn pmpo_without_bad_actions_is_finite() {
    let logits = var(&LOGITS, (4, 3));
    let result = pmpo(&logits, &logits, &[0, 1, 2, 0], &[1.0; 4], WEIGHTS).unwrap();
    assert!(result.loss.to_scalar::<f32>().unwrap().is_finite());
    assert!(result.divergence.to_scalar::<f32>().unwrap().abs() < 1e-6);
}

#[test]
fn other_losses_have_the_right_gradients() {
    let bins = TwoHot {
        bins: 3,
        limit: 2.0,
    };
    let two_hot = |logits: &Tensor| {
        two_hot_loss(logits, &[0.5, -3.0, 0.0, 1.9], &[1.0, 0.5, 0.0, 2.0], &bins).unwrap()
    };
    assert!(gradient_error(&LOGITS, (4, 3), &two_hot) < 1e-4);
    let targets = [1.0, 0.0, 1.0, 0.0];
    let binary = |x: &Tensor| binary_loss(x, &targets, &[1.0, 2.0, 0.0, 1.0]).unwrap();
    assert!(gradient_error(&[0.3, -2.0, 5.0, 0.1], (4, 1), &binary) < 1e-4);
    let cloning = |x: &Tensor| {
        let x = x.reshape((2, 2, 3)).unwrap();
        cloning_loss(&x, &[0, 2, 1, 0], &[1.0, 1.0, 1.0, 0.0]).unwrap()
    };
    assert!(gradient_error(&LOGITS, (4, 3), &cloning) < 1e-4);
}

#[test]
fn binary_loss_agrees_with_its_formula() {
    let logits = var(&[1.2, -0.7], (2, 1));
    let loss = binary_loss(&logits, &[1.0, 0.0], &[1.0, 3.0]).unwrap();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let expected = (-sigmoid(1.2).ln() - 3.0 * (1.0 - sigmoid(-0.7)).ln()) / 4.0;
    let found = f64::from(loss.to_scalar::<f32>().unwrap());
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
}
