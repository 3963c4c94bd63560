//! The thread, what it starts from, and how it counts.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use driftless_data::cells::Compound;
use driftless_transport::config::KnownCompound;
use driftless_transport::{Controls, Route, TransportParams};
use driftless_worlds::cells::{CHANNELS, CellWorld, SIZE};

use super::super::specimens::Specimens;
use super::super::starts::Starts;
use super::super::wish::{dose_series, figure};
use super::*;

#[test]
fn newest_wish_wins() {
    let (sender, woken) = crossbeam_channel::unbounded();
    let notify: Notify = Arc::new(move || {
        let _ = sender.send(());
    });
    let worker = Worker::start(notify, || Ok(bench())).unwrap();
    let first = Wish::first(&config());
    // More work than the thread does between two questions.
    let wish = |cell: u64| Wish {
        cell,
        params: TransportParams {
            steps: 64,
            ..first.params
        },
        ..first
    };
    let last = 200;
    (0..=last).for_each(|cell| worker.ask(wish(cell)));
    let mut answered = 0;
    loop {
        woken.recv_timeout(TIMEOUT).unwrap();
        while let Some(answer) = worker.take() {
            if let Answer::Morph(morph) = answer {
                answered += u64::from(!morph.draft);
                if morph.wish.cell == last && !morph.draft {
                    assert!(answered < last, "{answered}");
                    return;
                }
            }
        }
    }
}

#[test]
fn what_fails_is_said() {
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().to_path_buf();
    let mut page = TransportPage::open(&empty, None, Arc::new(|| {})).unwrap();
    let since = Instant::now();
    while page.worker.is_some() {
        page.poll();
        assert!(since.elapsed() < TIMEOUT);
        std::thread::sleep(Duration::from_millis(1));
    }
    let why = page.failure.clone().unwrap();
    assert!(why.contains("config.json"), "{why}");
    let panicking = || -> Result<Bench> { panic!("on purpose") };
    let mut page = TransportPage::with(&empty, None, Arc::new(|| {}), panicking).unwrap();
    while page.worker.is_some() {
        page.poll();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(
        page.failure.as_deref(),
        Some("The network's thread stopped unexpectedly.")
    );
}

#[test]
fn simulator_knows_the_truth() {
    let world = CellWorld::new(3);
    let compounds = world.drugs.iter().map(|drug| KnownCompound {
        compound: Compound {
            name: drug.name.clone(),
            descriptor: drug.descriptor(),
            mechanism: None,
        },
        trained: !drug.held_out,
    });
    let mut config = TransportConfig {
        image: [SIZE; 2],
        channels: CHANNELS.map(str::to_owned).to_vec(),
        compounds: compounds.collect(),
        plates: vec!["P01".into(), "P03".into()],
        ..config()
    };
    let specimens = Specimens::new(&config, Controls::default());
    let trained: Vec<_> = specimens.plates.iter().map(|plate| plate.trained).collect();
    assert_eq!(trained[..3], [Some(0), None, Some(1)]);
    let control = specimens.control(2, 5).unwrap();
    assert_eq!(specimens.truth(2, 5, None, 1.0), Some(control.clone()));
    let treated = specimens.truth(2, 5, Some(1), 10.0).unwrap();
    assert_ne!(treated, control);
    assert_eq!(specimens.truth(2, 5, Some(99), 1.0), None);
    assert_eq!(specimens.control(12, 0), None);
    // Other drugs than any simulator's.
    config.compounds[4].compound.descriptor[9] = 0.5;
    let specimens = Specimens::new(&config, Controls::default());
    assert!(specimens.plates.is_empty());
    assert_eq!(specimens.truth(0, 0, None, 1.0), None);
}

#[test]
fn starts_are_kept_for_another_dose() {
    let first = Wish::first(&config());
    let start = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    let mut starts = Starts::default();
    starts.keep(&first, &start);
    let dose = Wish {
        dose: 0.3,
        compound: None,
        ..first
    };
    let cell = |cell: u64| Wish { cell, ..first };
    assert!(starts.get(&dose).is_some() && starts.get(&cell(1)).is_none());
    (1..=4).for_each(|i| starts.keep(&cell(i), &start));
    assert!(starts.get(&first).is_none() && starts.get(&cell(1)).is_some());
}

#[test]
fn doses_are_short() {
    let shown = [0.03, 0.1, 3.0, 12.34, 250.0].map(figure);
    assert_eq!(shown, ["0.03", "0.1", "3", "12", "250"]);
    let series = dose_series(&config(), 3);
    assert!((series[1] - 1.0).abs() < 1e-5, "{series:?}");
}

#[test]
fn evaluations_are_counted() {
    let first = Wish::first(&config());
    let with = |steps: usize, guidance: f64, route: Route, reverse: bool| Wish {
        reverse,
        params: TransportParams {
            steps,
            guidance,
            route,
            ..first.params
        },
        ..first
    };
    let count = |wish: Wish| wish.evaluations(false);
    assert_eq!(count(with(4, 1.0, Route::Forward, false)), 8);
    assert_eq!(count(with(4, 2.0, Route::Forward, true)), 32);
    assert_eq!(count(with(4, 2.0, Route::Invert, false)), 24);
    assert_eq!(with(4, 2.0, Route::Invert, false).evaluations(true), 16);
    let pieces = |steps| with(steps, 1.0, Route::Forward, false).pieces();
    assert_eq!([1, 4, 12, 13, 64].map(pieces), [1, 4, 6, 10, 8]);
}
