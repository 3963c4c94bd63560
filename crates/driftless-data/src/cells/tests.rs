use super::*;

fn info(shards: Vec<Shard>) -> CellInfo {
    CellInfo {
        format: CELLS_FORMAT,
        name: "Test".into(),
        image: [8, 10],
        channels: vec!["DNA".into(), "actin".into()],
        dose_unit: "µM".into(),
        compounds: ["a", "b"]
            .map(|name| Compound {
                name: name.into(),
                descriptor: vec![1.0, 0.0],
                mechanism: None,
            })
            .to_vec(),
        plates: vec![Plate { name: "P1".into() }],
        shards,
    }
}

fn row(compound: Option<usize>, dose: f32) -> CellRow {
    CellRow {
        compound,
        dose,
        plate: 0,
        train: dose < 2.0,
    }
}

fn write(rows: &[CellRow]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = CellWriter::new([8, 10, 2]);
    for (i, row) in rows.iter().enumerate() {
        writer.push(*row, &[i as u8; 160]);
    }
    let shard = writer.write(folder.path(), 0).unwrap();
    crate::fs::write_json(&folder.path().join(INFO), &info(vec![shard])).unwrap();
    folder
}

#[test]
fn dataset_is_read_back() {
    let folder = write(&[row(None, 0.0), row(Some(1), 0.5), row(Some(0), 3.0)]);
    let data = CellDataset::read(folder.path()).unwrap();
    assert_eq!(data.len(), 3);
    assert_eq!(data.picture(1), [1; 160]);
    assert_eq!(data.compound, [None, Some(1), Some(0)]);
    assert_eq!(data.dose, [0.0, 0.5, 3.0]);
    assert_eq!(data.train, [true, true, false]);
    let kinds = [HeldOut::Seen, HeldOut::Seen, HeldOut::Compound];
    assert_eq!(data.held_out(), kinds);
    assert!(data.read_truth().unwrap().is_none());
}

#[test]
fn rows_out_of_range_are_named() {
    for (rows, expected) in [
        (
            [row(None, 0.0), row(Some(2), 1.0)],
            "array `compound`: row 1 is 2, expected -1 or 0 to 1",
        ),
        (
            [row(None, 0.0), row(Some(1), 0.0)],
            "array `dose`: row 1 is 0, expected above 0",
        ),
        (
            [row(None, 1.0), row(Some(1), 1.0)],
            "array `dose`: row 0 is 1, expected above 0",
        ),
    ] {
        let error = CellDataset::read(write(&rows).path())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn wrong_tables_are_refused() {
    let folder = write(&[row(None, 0.0)]);
    let path = folder.path().join(INFO);
    let good = std::fs::read_to_string(&path).unwrap();
    for (from, to, expected) in [
        ("\"format\": 1", "\"format\": 9", "format is 9, expected 1"),
        (
            "cells-00000.npz",
            "../x.npz",
            "expected the name of a file in the folder",
        ),
        ("\"plates\"", "\"wells\"", "unknown field `wells`"),
    ] {
        assert!(good.contains(from), "{good}");
        std::fs::write(&path, good.replace(from, to)).unwrap();
        let error = CellDataset::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn nuclei_are_measured() {
    // Two bright rectangles of 6×6 and 4×12 pixels on black.
    let (height, width) = (32, 32);
    let mut picture = vec![10_u8; height * width];
    let mut fill = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
        for y in rows {
            picture[y * width + columns.start..y * width + columns.end].fill(110);
        }
    };
    fill(3..9, 3..9);
    fill(20..24, 10..22);
    let measured = features(&picture, [height, width], 1);
    assert!((measured[0] - 84.0 / 1024.0).abs() < 1e-6, "{measured:?}");
    assert!((measured[1] - 48.0 / 1024.0).abs() < 1e-6, "{measured:?}");
    // Second moments of a rectangle are (n² − 1)/12.
    let eccentricity = (1.0_f32 - 15.0 / 143.0).sqrt();
    assert!((measured[2] - eccentricity).abs() < 1e-4, "{measured:?}");
    let ellipse = 4.0 * std::f32::consts::PI * (143.0_f32 * 15.0).sqrt() / 12.0;
    assert!((measured[3] - 48.0 / ellipse).abs() < 1e-4, "{measured:?}");
    assert_eq!(measured[4], 2.0);
    assert!((measured[5] - 100.0 / 255.0).abs() < 1e-6, "{measured:?}");
}

#[test]
fn light_does_not_depend_on_the_number_of_cells() {
    let (height, width) = (24, 48);
    let cells = |count: usize| {
        let mut picture = vec![10_u8; height * width * 2];
        for cell in 0..count {
            for (y, x) in (0..100).map(|i| (7 + i / 10, 7 + 24 * cell + i % 10)) {
                let at = (y * width + x) * 2;
                picture[at..at + 2].fill(80 + 20 * ((x + y) % 2) as u8);
            }
        }
        features(&picture, [height, width], 2)
    };
    let (one, two) = (cells(1), cells(2));
    assert_eq!(one.len(), 12);
    for (area, number) in [(0, 4), (8, 8)] {
        assert!((two[area] - 2.0 * one[area]).abs() < 1e-6);
        assert!(two[number] > one[number]);
    }
    for light in [5, 6, 7, 9, 10, 11] {
        assert!(
            (two[light] - one[light]).abs() < 1e-5 && one[light] > 0.0,
            "{light}"
        );
    }
}
