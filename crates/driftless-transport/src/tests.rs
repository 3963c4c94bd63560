use candle_core::{Device, Tensor};
use driftless_data::cells::Compound;
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::Method;
use driftless_model::params::Params;

use crate::config::{
    FORMAT_VERSION, FlowShape, KIND, KnownCompound, NetworkShape, Normalization, Sampling,
};
use crate::{
    Condition, Controls, Route, Source, TransportConfig, TransportNetwork, TransportParams,
    Transporter,
};

fn config(source: Source, prediction: Prediction) -> TransportConfig {
    let compound = |name: &str, descriptor: &[f32]| KnownCompound {
        compound: Compound {
            name: name.into(),
            descriptor: descriptor.to_vec(),
            mechanism: None,
        },
        trained: true,
    };
    TransportConfig {
        format: FORMAT_VERSION,
        kind: KIND.into(),
        name: "Test".into(),
        image: [8, 12],
        channels: vec!["DNA".into(), "actin".into()],
        dose_unit: "µM".into(),
        doses: [0.1, 10.0],
        compounds: vec![compound("a", &[1.0, 0.0]), compound("b", &[0.0, 1.0])],
        plates: vec!["P1".into(), "P2".into()],
        normalization: Normalization {
            mean: vec![20.0, 30.0],
            std: vec![25.0, 35.0],
        },
        network: NetworkShape {
            patch: 4,
            overlap: 1,
            width: 16,
            depth: 2,
            heads: 2,
            mlp: 12,
        },
        flow: FlowShape {
            source,
            prediction,
            source_noise: 0.5,
        },
        sampling: Sampling {
            route: Route::Forward,
            method: Method::Heun,
            steps: 8,
            guidance: 1.0,
            source_noise: 0.0,
        },
    }
}

/// A network whose output is not zero; `size` of the output weights.
fn transporter(source: Source, prediction: Prediction, size: f64) -> Transporter {
    let config = config(source, prediction);
    config.check().unwrap();
    let params = Params::seeded(1, &Device::Cpu);
    let network = TransportNetwork::new(&params, &config).unwrap();
    let vars = params.finish().unwrap();
    let out = &vars["window.out.weight"];
    out.set(&(out.randn_like(0.0, 1.0).unwrap() * size).unwrap())
        .unwrap();
    let skip = &vars["skip.weight"];
    skip.set(&(skip.randn_like(0.0, 1.0).unwrap() * (size / 10.0)).unwrap())
        .unwrap();
    Transporter::new(config, network).unwrap()
}

fn picture() -> Vec<u8> {
    (0..8 * 12 * 2).map(|i| (i * 7 % 120) as u8).collect()
}

const DRUG: Condition = Condition {
    compound: Some(0),
    dose: 1.0,
    plate: Some(1),
};

#[test]
fn every_pixel_is_in_its_own_window_once() {
    let config = config(Source::Control, Prediction::V);
    let windows = config.windows();
    assert_eq!(windows.len(), config.tokens() * config.window_len());
    let len = config.picture_len();
    let count = |pixel: usize| windows.iter().filter(|at| **at as usize == pixel).count();
    // Windows of 6×6 around patches of 4×4: a corner is in one, a pixel beside one border in two.
    assert_eq!(count(0), 1);
    assert_eq!(count((3 * 12 + 1) * 2), 2);
    assert_eq!(count((3 * 12 + 3) * 2 + 1), 4);
    assert!(windows.iter().all(|at| *at as usize <= len));
}

#[test]
fn untrained_network_changes_nothing() {
    let cells = transporter(Source::Control, Prediction::V, 0.0);
    let params = TransportParams::of(cells.config());
    assert_eq!(
        cells.transport(&picture(), &[DRUG], &params, 0).unwrap(),
        picture()
    );
}

#[test]
fn reverse_undoes_forward() {
    let cells = transporter(Source::Control, Prediction::V, 0.05);
    let start = cells.tensor(&picture()).unwrap();
    let far = |steps: usize, method: Method| {
        let params = TransportParams {
            steps,
            method,
            ..TransportParams::of(cells.config())
        };
        let there = cells.carry(&start, &[DRUG], &params, [0.0, 1.0]).unwrap();
        let back = cells.carry(&there, &[DRUG], &params, [1.0, 0.0]).unwrap();
        let size = |x: Tensor| {
            x.sqr()
                .unwrap()
                .mean_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
                .sqrt()
        };
        (
            size((back - &start).unwrap()),
            size((there - &start).unwrap()),
        )
    };
    let (coarse, moved) = far(2, Method::Euler);
    let (fine, _) = far(32, Method::Heun);
    assert!(moved > 0.05, "{moved}");
    assert!(fine < 1e-3 && fine < coarse / 10.0, "{fine} {coarse}");
}

#[test]
fn states_lead_from_the_control_to_the_result() {
    let cells = transporter(Source::Control, Prediction::V, 0.05);
    let params = TransportParams::of(cells.config());
    let states = cells.states(&picture(), &[DRUG], &params, 0, 4).unwrap();
    assert_eq!(states.len(), 5);
    assert_eq!(cells.pictures(&states[0]).unwrap(), picture());
    let whole = cells.transport(&picture(), &[DRUG], &params, 0).unwrap();
    let last = cells.pictures(&states[4]).unwrap();
    // The same eight steps.
    assert!(whole.iter().zip(&last).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn reverse_states_lead_back() {
    let cells = transporter(Source::Control, Prediction::V, 0.05);
    let params = TransportParams {
        steps: 32,
        ..TransportParams::of(cells.config())
    };
    // Bright enough that no treated byte is clamped.
    let start: Vec<u8> = picture().iter().map(|v| v + 60).collect();
    let treated = cells.transport(&start, &[DRUG], &params, 0).unwrap();
    assert_ne!(treated, start);
    let states = cells.reverse(&treated, &[DRUG], &params, 4).unwrap();
    assert_eq!(states.len(), 5);
    assert_eq!(cells.pictures(&states[0]).unwrap(), treated);
    let back = cells.pictures(&states[4]).unwrap();
    assert!(start.iter().zip(&back).all(|(a, b)| a.abs_diff(*b) <= 2));
    // The last piece of an x-prediction would start where its velocity is singular.
    let cells = transporter(Source::Noise, Prediction::X, 0.05);
    let params = TransportParams::of(cells.config());
    let states = cells.states(&picture(), &[DRUG], &params, 0, 100).unwrap();
    assert_eq!(states.len(), 101);
}

#[test]
fn controls_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(Source::Control, Prediction::V);
    let none = Controls::read(folder.path(), &config).unwrap();
    assert!(none.is_empty());
    let controls = Controls {
        images: [picture(), vec![9; 192]].concat(),
        plates: vec![1, 0],
    };
    controls.write(folder.path(), &config).unwrap();
    let read = Controls::read(folder.path(), &config).unwrap();
    assert_eq!((&read, read.len()), (&controls, 2));
    assert_eq!(read.picture(0), picture());
    let one_plate = TransportConfig {
        plates: vec!["P1".into()],
        ..config.clone()
    };
    let error = Controls::read(folder.path(), &one_plate).unwrap_err();
    let expected = "expected one plate a picture, 0 to 0";
    assert!(error.to_string().contains(expected), "{error}");
    let larger = TransportConfig {
        image: [12, 12],
        ..config
    };
    let error = Controls::read(folder.path(), &larger).unwrap_err();
    let expected = "shape is [2, 8, 12, 2], expected uint8 of [2, 12, 12, 2]";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn guidance_moves_away_from_no_condition() {
    let cells = transporter(Source::Control, Prediction::V, 0.05);
    let made = |guidance: f64, compound: usize| {
        let params = TransportParams {
            guidance,
            ..TransportParams::of(cells.config())
        };
        let condition = Condition {
            compound: Some(compound),
            ..DRUG
        };
        cells
            .transport(&picture(), &[condition], &params, 0)
            .unwrap()
    };
    assert_eq!(made(0.0, 0), made(0.0, 1));
    assert_ne!(made(1.0, 0), made(1.0, 1));
    assert_ne!(made(2.0, 0), made(1.0, 0));
}

#[test]
fn inverted_guidance_leaves_untreated_cells_alone() {
    let cells = transporter(Source::Control, Prediction::V, 0.05);
    let made = |guidance: f64, compound: Option<usize>| {
        let params = TransportParams {
            route: Route::Invert,
            guidance,
            ..TransportParams::of(cells.config())
        };
        let condition = Condition { compound, ..DRUG };
        cells
            .transport(&picture(), &[condition], &params, 0)
            .unwrap()
    };
    let off = |a: &[u8]| a.iter().zip(picture()).map(|(a, b)| a.abs_diff(b)).max();
    let untreated = made(3.0, None);
    assert!(off(&untreated) <= Some(2), "{:?}", off(&untreated));
    assert_eq!(made(0.0, Some(0)), untreated);
    assert!(off(&made(3.0, Some(0))) > off(&untreated));
}

#[test]
fn noise_has_a_seed() {
    let cells = transporter(Source::Noise, Prediction::X, 0.05);
    let params = TransportParams::of(cells.config());
    let made = |route: Route, seed: u64| {
        let params = TransportParams { route, ..params };
        cells.transport(&picture(), &[DRUG], &params, seed).unwrap()
    };
    assert_eq!(made(Route::Forward, 3), made(Route::Forward, 3));
    assert_ne!(made(Route::Forward, 3), made(Route::Forward, 4));
    // The inverted control is the only source.
    assert_eq!(made(Route::Invert, 3), made(Route::Invert, 4));
}

#[test]
fn wrong_pictures_are_refused() {
    let cells = transporter(Source::Control, Prediction::V, 0.05);
    let params = TransportParams::of(cells.config());
    let error = cells
        .transport(&picture()[1..], &[DRUG], &params, 0)
        .unwrap_err();
    assert_eq!(error.to_string(), "191 bytes, expected pictures of 192");
    let error = cells
        .transport(&picture(), &[DRUG, DRUG], &params, 0)
        .unwrap_err();
    assert_eq!(error.to_string(), "1 pictures for 2 conditions");
}

#[test]
fn packed_weights_predict_what_tensors_do() {
    let cells = transporter(Source::Control, Prediction::V, 0.3);
    let pictures = cells.tensor(&[picture(), picture()].concat()).unwrap();
    let other = Condition {
        dose: 0.2,
        plate: Some(0),
        ..DRUG
    };
    let conditions = cells.conditions(&[DRUG, other]).unwrap();
    for tau in [0.0, 0.37, 1.0] {
        let times = Tensor::new(&[tau as f32; 2], &Device::Cpu).unwrap();
        let expected = cells
            .network
            .forward(&pictures, &times, &conditions)
            .unwrap();
        let velocity = cells.velocity(&pictures, tau, &conditions).unwrap();
        let worst = (velocity - expected)
            .unwrap()
            .abs()
            .unwrap()
            .flatten_all()
            .unwrap();
        assert!(worst.max(0).unwrap().to_scalar::<f32>().unwrap() < 1e-5);
    }
}
