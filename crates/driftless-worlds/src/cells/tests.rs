use driftless_data::cells::{CellDataset, HeldOut};

use super::*;

fn treated(drug: usize, dose: f32) -> Option<Treatment> {
    Some(Treatment { drug, dose })
}

#[test]
fn half_the_effect_at_ec50() {
    for slope in [0.5, 1.0, 2.5] {
        assert_eq!(hill(0.7, 0.7, slope), 0.5);
        assert_eq!(hill(0.0, 0.7, slope), 0.0);
    }
    // 9 EC50 at slope 1, and 3 EC50 at slope 2.
    assert!((hill(9.0, 1.0, 1.0) - 0.9).abs() < 1e-6);
    assert!((hill(3.0, 1.0, 2.0) - 0.9).abs() < 1e-6);
}

#[test]
fn parameters_move_along_the_mechanisms() {
    let world = CellWorld::new(3);
    let cell = world.cell(11);
    let drug = 17;
    let dose = world.drugs[drug].ec50;
    let (before, after) = (
        world.parameters(&cell, None),
        world.parameters(&cell, treated(drug, dose)),
    );
    let mut expected = before;
    for (mechanism, weight) in MECHANISMS.iter().zip(world.drugs[drug].weights) {
        expected.add(0.5 * weight, mechanism.direction);
    }
    for (a, b) in after.0.iter().zip(expected.0) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    assert_ne!(before, after);
}

#[test]
fn no_dose_is_no_treatment_to_the_bit() {
    let world = CellWorld::new(1);
    for number in 0..20 {
        let cell = world.cell(number);
        let plate = number as usize % PLATES;
        let control = world.picture(&cell, None, plate);
        let drug = number as usize % DRUGS;
        assert_eq!(control, world.picture(&cell, treated(drug, 0.0), plate));
        assert_ne!(control, world.picture(&cell, treated(drug, 10.0), plate));
    }
}

#[test]
fn same_seed_gives_the_same_world() {
    let (a, b) = (CellWorld::new(5), CellWorld::new(5));
    assert_eq!(a.drugs, b.drugs);
    let picture = |world: &CellWorld, n| world.picture(&world.cell(n), treated(2, 1.0), 4);
    assert_eq!(picture(&a, 9), picture(&b, 9));
    assert_ne!(picture(&a, 9), picture(&a, 10));
    assert_ne!(a.drugs, CellWorld::new(6).drugs);
}

#[test]
fn held_out_drugs_mix_mechanisms_that_training_sees() {
    let world = CellWorld::new(0);
    let (held_out, seen): (Vec<_>, Vec<_>) = world.drugs.iter().partition(|d| d.held_out);
    assert_eq!((held_out.len(), seen.len()), (4, 20));
    for drug in held_out {
        assert!(seen.iter().all(|other| other.weights != drug.weights));
        for (j, weight) in drug.weights.iter().enumerate() {
            assert!(*weight == 0.0 || seen.iter().any(|d| d.weights[j] > 0.0));
        }
    }
    for drug in &world.drugs {
        assert!((DOSES[0]..=DOSES[5]).contains(&drug.ec50), "{drug:?}");
    }
}

#[test]
fn recording_is_read_back_with_its_truth() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("cells");
    let plan = CellPlan {
        seed: 2,
        cells: 1,
        controls: 8,
    };
    let info = record(&plan, &out, &|_| true).unwrap();
    let data = CellDataset::read(&out).unwrap();
    assert_eq!(data.info, info);
    assert_eq!(data.len(), PLATES * plan.pictures_per_plate());
    let truth = data.read_truth().unwrap().unwrap();
    let world = CellWorld::new(2);
    let row = plan.pictures_per_plate() + plan.controls + 5;
    let cell = world.cell(row as u64);
    assert_eq!(
        (data.compound[row], data.dose[row], data.plate[row]),
        (Some(0), 10.0, 1)
    );
    assert_eq!(data.picture(row), world.picture(&cell, treated(0, 10.0), 1));
    let len = info.picture_len();
    let control = &truth.controls[row * len..(row + 1) * len];
    assert_eq!(control, world.picture(&cell, None, 1));
    assert_eq!(truth.info.drugs[3].ec50, world.drugs[3].ec50);
    let held_out = data.held_out();
    let count = |kind| held_out.iter().filter(|h| **h == kind).count();
    // 4 drugs everywhere; 2 of 6 doses of 20 drugs; 4 doses of 20 drugs and controls on 2 plates.
    assert_eq!(count(HeldOut::Compound), 4 * 6 * 12);
    assert_eq!(count(HeldOut::Dose), 20 * 2 * 12);
    assert_eq!(count(HeldOut::Plate), 2 * (20 * 4 + 8));
    assert_eq!(data.training_doses(), [0.03, 0.1, 1.0, 10.0]);
    assert!(record(&plan, &out, &|_| true).is_err());
}

#[test]
fn too_few_cells_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plan = CellPlan {
        cells: 0,
        ..CellPlan::default()
    };
    let error = record(&plan, &folder.path().join("x"), &|_| true).unwrap_err();
    assert!(error.to_string().contains("1 to 10000"), "{error}");
}

#[test]
fn pictures_look_exposed() {
    let world = CellWorld::new(0);
    for plate in 0..PLATES {
        let picture = world.picture(&world.cell(plate as u64), None, plate);
        for channel in 0..3 {
            let values = picture.iter().skip(channel).step_by(3);
            let white = values.clone().filter(|v| **v == 255).count();
            let bright = values.filter(|v| **v > 60).count();
            assert!(
                white < 40 && bright > 40,
                "{plate} {channel}: {white} {bright}"
            );
        }
    }
}
