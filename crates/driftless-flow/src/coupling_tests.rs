use candle_core::{Device, Tensor};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::Error;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn tensor(rows: &[f64], width: usize) -> Tensor {
    Tensor::from_slice(rows, (rows.len() / width, width), &Device::Cpu).unwrap()
}

fn ot(source: &Tensor, data: &Tensor) -> Vec<usize> {
    Coupling::MinibatchOt
        .order(source, data, &mut rng(0))
        .unwrap()
}

/// Σ‖source of order n − data n‖².
fn cost(order: &[usize], source: &[f64], data: &[f64], width: usize) -> f64 {
    let (source, data) = (source.chunks(width), data.chunks(width));
    let source: Vec<_> = source.collect();
    let pairs = order.iter().map(|&n| source[n]).zip(data);
    pairs
        .map(|(x, y)| x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>())
        .sum()
}

/// The least cost of all orders that begin with `head`.
fn least(head: &mut Vec<usize>, source: &[f64], data: &[f64], width: usize) -> f64 {
    let n = data.len() / width;
    if head.len() == n {
        return cost(head, source, data, width);
    }
    let mut best = f64::INFINITY;
    for next in 0..n {
        if !head.contains(&next) {
            head.push(next);
            best = best.min(least(head, source, data, width));
            head.pop();
        }
    }
    best
}

fn ranks(values: &[f64]) -> Vec<usize> {
    let below = |x: &f64| values.iter().filter(|y| *y < x).count();
    values.iter().map(below).collect()
}

/// Two batches of up to `most` samples of 1 to 3 numbers.
fn batches(most: usize) -> impl Strategy<Value = (usize, Vec<f64>, Vec<f64>)> {
    (1..=most, 1usize..=3).prop_flat_map(|(n, width)| {
        let values = || proptest::collection::vec(-5.0..5.0, n * width);
        (Just(width), values(), values())
    })
}

proptest! {
    #[test]
    fn in_one_dimension_optimal_transport_pairs_by_rank(
        (source, data) in (1usize..40).prop_flat_map(|n| {
            let values = || proptest::collection::vec(-5.0..5.0, n);
            (values(), values())
        }),
    ) {
        let order = ot(&tensor(&source, 1), &tensor(&data, 1));
        let paired: Vec<f64> = order.iter().map(|&n| source[n]).collect();
        prop_assert_eq!(ranks(&paired), ranks(&data));
    }

    #[test]
    fn few_samples_cost_what_the_best_of_all_orders_costs((width, source, data) in batches(6)) {
        let order = ot(&tensor(&source, width), &tensor(&data, width));
        let best = least(&mut vec![], &source, &data, width);
        let own = cost(&order, &source, &data, width);
        prop_assert!((own - best).abs() <= 1e-9 * (1.0 + best), "{own} {best}");
    }

    #[test]
    fn no_random_order_costs_less((width, source, data) in batches(60), seed: u64) {
        let (x, y) = (tensor(&source, width), tensor(&data, width));
        let own = cost(&ot(&x, &y), &source, &data, width);
        for draw in 0..20 {
            let mut rng = rng(seed.wrapping_add(draw));
            let order = Coupling::Independent.order(&x, &y, &mut rng).unwrap();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..order.len()).collect::<Vec<_>>());
            prop_assert!(own <= cost(&order, &source, &data, width) + 1e-9);
        }
    }
}

#[test]
fn batches_far_apart_and_batches_of_equal_samples_are_paired_too() {
    let source = [3.0, 1.0, 2.0];
    let far = [1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0];
    assert_eq!(ot(&tensor(&source, 1), &tensor(&far, 1)), [1, 2, 0]);
    let mut order = ot(&tensor(&[2.0; 5], 1), &tensor(&[7.0; 5], 1));
    order.sort_unstable();
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[test]
fn the_source_is_reordered_in_its_own_type_and_shape() {
    let source = Tensor::new(&[[[3f32, 3.0]], [[1.0, 1.0]]], &Device::Cpu).unwrap();
    let data = Tensor::new(&[[[0f32, 0.5]], [[4.0, 4.0]]], &Device::Cpu).unwrap();
    let pair = |coupling: Coupling| -> Vec<Vec<Vec<f32>>> {
        let source = coupling.pair(&source, &data, &mut rng(1)).unwrap();
        source.to_vec3().unwrap()
    };
    assert_eq!(pair(Coupling::MinibatchOt), [[[1.0, 1.0]], [[3.0, 3.0]]]);
    assert_eq!(pair(Coupling::Paired), [[[3.0, 3.0]], [[1.0, 1.0]]]);
}

#[test]
fn what_has_no_pairing_is_refused() {
    let refusal = |source: &[f64], data: &[f64], width| {
        let (source, data) = (tensor(source, 1), tensor(data, width));
        match Coupling::MinibatchOt.order(&source, &data, &mut rng(0)) {
            Err(Error::Flow(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let error = refusal(&[1.0, 2.0], &[1.0], 1);
    assert_eq!(
        error.to_string(),
        "the source has 2 samples and the data 1, expected as many"
    );
    assert!(matches!(
        refusal(&[1.0], &[1.0, 2.0], 2),
        FlowError::Shape { .. }
    ));
    assert!(matches!(refusal(&[], &[], 1), FlowError::Shape { .. }));
    for bad in [f64::NAN, f64::INFINITY] {
        let error = refusal(&[1.0, bad], &[1.0, 2.0], 1);
        assert!(matches!(
            error,
            FlowError::NotFinite {
                what: "the source",
                ..
            }
        ));
    }
}
