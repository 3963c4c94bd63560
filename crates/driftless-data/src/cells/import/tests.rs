use std::path::Path;

use image::{ImageBuffer, Luma, Rgb};

use super::*;
use crate::cells::CellDataset;

/// A picture of 16-bit words: a gradient, brighter with `level`.
fn word_png(path: &Path, level: u16) {
    let pixel = |x: u32, y: u32| Luma([level * (1 + x as u16 + 16 * y as u16)]);
    ImageBuffer::from_fn(16, 16, pixel).save(path).unwrap();
}

fn words_tiff(path: &Path, pages: &[u16]) {
    let file = std::fs::File::create(path).unwrap();
    let mut tiff = tiff::encoder::TiffEncoder::new(file).unwrap();
    for level in pages {
        let values: Vec<u16> = (0..256).map(|i| level * (i + 1)).collect();
        tiff.write_image::<tiff::encoder::colortype::Gray16>(16, 16, &values)
            .unwrap();
    }
}

fn import(folder: &Path, table: &str) -> CellImport {
    std::fs::write(folder.join("table.csv"), table).unwrap();
    CellImport {
        table: folder.join("table.csv"),
        compounds: None,
        out: folder.join("out"),
        name: None,
        size: [8, 8],
        skip_bad: false,
    }
}

fn fails(folder: &Path, table: &str) -> String {
    let error = run(&import(folder, table), &mut |_, _| true)
        .unwrap_err()
        .to_string();
    assert!(
        !error.contains('\n') && !folder.join("out").exists(),
        "{error}"
    );
    error
}

#[test]
fn one_file_a_channel() {
    let folder = tempfile::tempdir().unwrap();
    for (name, level) in [("a", 100), ("b", 200)] {
        word_png(&folder.path().join(format!("{name}_dna.png")), level);
        word_png(&folder.path().join(format!("{name}_actin.png")), level / 2);
    }
    let table = "channel_DNA,channel_actin,compound,dose,plate,split\n\
                 a_dna.png,a_actin.png,DMSO,0,P1,train\n\
                 b_dna.png,b_actin.png,taxol,0.3,P1,test\n";
    let mut import = import(folder.path(), table);
    std::fs::write(
        folder.path().join("drugs.csv"),
        "compound,mechanism,f0,f1\ntaxol,stabiliser,1,0.5\n",
    )
    .unwrap();
    import.compounds = Some(folder.path().join("drugs.csv"));
    let report = run(&import, &mut |_, _| true).unwrap();
    assert_eq!(
        (
            report.pictures,
            report.controls,
            report.compounds,
            report.plates
        ),
        (2, 1, 1, 1)
    );
    let data = CellDataset::read(&import.out).unwrap();
    assert_eq!(data.info.channels, ["DNA", "actin"]);
    assert_eq!(data.info.compounds[0].descriptor, [1.0, 0.5]);
    assert_eq!(
        data.info.compounds[0].mechanism.as_deref(),
        Some("stabiliser")
    );
    assert_eq!(
        (data.compound[1], data.dose[1], data.train[1]),
        (Some(0), 0.3, false)
    );
    // Twice as bright, on one scale for the whole dataset: the last pixel is white.
    let last = |row: usize| data.picture(row)[8 * 8 * 2 - 2];
    assert!(
        last(1) >= 240 && last(0).abs_diff(last(1) / 2) <= 2,
        "{} {}",
        last(0),
        last(1)
    );
}

#[test]
fn tiff_pages_and_npy_axes_are_channels() {
    let folder = tempfile::tempdir().unwrap();
    words_tiff(&folder.path().join("a.tif"), &[50, 100, 150]);
    words_tiff(&folder.path().join("b.tif"), &[50, 100, 150]);
    let table = "image,compound,dose,plate,control\na.tif,,,P1,1\nb.tif,x,2,P1,0\n";
    let tiffs = import(folder.path(), table);
    run(&tiffs, &mut |_, _| true).unwrap();
    let data = CellDataset::read(&tiffs.out).unwrap();
    assert_eq!(data.info.channels.len(), 3);
    std::fs::remove_dir_all(&tiffs.out).unwrap();
    // The same numbers as [C, H, W].
    let mut npy = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let head = "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 16, 16), }";
    npy.extend(format!("{head:117}\n").as_bytes());
    for level in [50_u16, 100, 150] {
        npy.extend((0..256).flat_map(|i| (level * (i + 1)).to_le_bytes()));
    }
    for name in ["a.npy", "b.npy"] {
        std::fs::write(folder.path().join(name), &npy).unwrap();
    }
    let arrays = import(folder.path(), &table.replace(".tif", ".npy"));
    run(&arrays, &mut |_, _| true).unwrap();
    assert_eq!(CellDataset::read(&arrays.out).unwrap().images, data.images);
}

#[test]
fn errors_name_row_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    word_png(&path.join("a.png"), 100);
    word_png(&path.join("small.png"), 100);
    ImageBuffer::from_pixel(4, 4, Luma([7_u8]))
        .save(path.join("tiny.png"))
        .unwrap();
    ImageBuffer::from_pixel(16, 16, Luma([9_u16]))
        .save(path.join("empty.png"))
        .unwrap();
    let white = |x, y| Luma([if x + y > 8 { u16::MAX } else { 3 }]);
    ImageBuffer::from_fn(16, 16, white)
        .save(path.join("white.png"))
        .unwrap();
    ImageBuffer::from_fn(16, 16, |x, y| Luma([(x * y) as u8]))
        .save(path.join("bytes.png"))
        .unwrap();
    ImageBuffer::from_fn(16, 16, |x, y| Rgb([(x * y) as u16, x as u16, 9]))
        .save(path.join("rgb.png"))
        .unwrap();
    std::fs::write(path.join("text.png"), "no picture").unwrap();
    let head = "image,compound,dose,plate\n";
    let control = "a.png,DMSO,,P1\n";
    for (rows, expected) in [
        (
            "a.png,x,1,P2\n",
            "row 3, column `control`: plate `P2` has no control",
        ),
        (
            "a.png,x,one,P1\n",
            "row 3, column `dose`: is `one`, expected a number above 0",
        ),
        ("a.png,x,-1,P1\n", "row 3, column `dose`: is `-1`"),
        ("a.png,x,1,\n", "row 3, column `plate`: is empty"),
        (
            ",x,1,P1\n",
            "row 3, column `image`: is empty, expected a file",
        ),
        ("gone.png,x,1,P1\n", "row 3, column `image`: "),
        ("text.png,x,1,P1\n", "row 3, column `image`: "),
        (
            "empty.png,x,1,P1\n",
            "row 3, column `image`: channel 1 shows nothing: every pixel is 9",
        ),
        (
            "white.png,x,1,P1\n",
            "row 3, column `image`: channel 1 is saturated",
        ),
        (
            "tiny.png,x,1,P1\n",
            "row 3, column `image`: 4×4 pixels, expected 16×16 as in the first picture",
        ),
        (
            "bytes.png,x,1,P1\n",
            "row 3, column `image`: values up to 255, expected up to 65535 as in the first picture",
        ),
        (
            "rgb.png,x,1,P1\n",
            "row 3, column `image`: 3 channels, expected 1 as in the first picture",
        ),
    ] {
        let error = fails(path, &format!("{head}{control}{rows}"));
        assert!(error.contains(expected), "{error}");
    }
    for (head, expected) in [
        ("image,compound,dose\n", "no column `plate`"),
        (
            "image,compound,dose,plate,colour\n",
            "unknown column `colour`",
        ),
        (
            "compound,dose,plate\n",
            "expected 1 to 6 of them, or one column `image`",
        ),
        ("image,channel_a,compound,dose,plate\n", "beside `image`"),
        (
            "channel_a,channel_a,compound,dose,plate\n",
            "column `channel_a` is there twice, expected once",
        ),
        (
            "channel_,compound,dose,plate\n",
            "column `channel_` names no channel, expected channel_NAME",
        ),
        (
            "image;compound;dose;plate\n",
            "columns are separated by semicolons, expected commas",
        ),
        (
            "image\tcompound\tdose\tplate\n",
            "columns are separated by tabs, expected commas",
        ),
    ] {
        let error = fails(path, &format!("{head}{control}"));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn unknown_compounds_are_named() {
    let folder = tempfile::tempdir().unwrap();
    word_png(&folder.path().join("a.png"), 100);
    let table = "image,compound,dose,plate\na.png,DMSO,,P1\na.png,taxol,1,P1\n";
    let mut import = import(folder.path(), table);
    import.compounds = Some(folder.path().join("drugs.csv"));
    std::fs::write(folder.path().join("drugs.csv"), "compound,f0\nother,1\n").unwrap();
    let error = run(&import, &mut |_, _| true).unwrap_err().to_string();
    assert!(
        error.contains("row 3, column `compound`: `taxol` is not in"),
        "{error}"
    );
    std::fs::write(folder.path().join("drugs.csv"), "compound,f0\ntaxol,much\n").unwrap();
    let error = run(&import, &mut |_, _| true).unwrap_err().to_string();
    assert!(
        error.contains("row 2, column `f0`: is `much`, expected a number"),
        "{error}"
    );
}

#[test]
fn bad_pictures_can_be_skipped() {
    let folder = tempfile::tempdir().unwrap();
    word_png(&folder.path().join("a.png"), 100);
    let table = "image,compound,dose,plate\na.png,DMSO,,P1\ngone.png,x,1,P1\na.png,x,1,P1\n";
    let mut import = import(folder.path(), table);
    import.skip_bad = true;
    let report = run(&import, &mut |_, _| true).unwrap();
    assert_eq!(report.pictures, 2);
    assert!(
        report.remarks[0].contains("row 3, column `image`"),
        "{:?}",
        report.remarks
    );
}

#[test]
fn bad_rows_can_be_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    word_png(&path.join("a.png"), 100);
    let head = "image,compound,dose,plate\n";
    let good = "a.png,DMSO,,P1\na.png,x,1,P1\n";
    // A bad dose, an unknown compound, plates without controls: P3 has one that cannot be read.
    let bad = "a.png,x,one,P1\na.png,y,1,P1\na.png,x,1,P2\ngone.png,DMSO,,P3\na.png,x,1,P3\n";
    let mut import = import(path, &format!("{head}gone.png,DMSO,,P1\n{good}{bad}"));
    std::fs::write(path.join("drugs.csv"), "compound,f0\nx,1\n").unwrap();
    import.compounds = Some(path.join("drugs.csv"));
    import.skip_bad = true;
    let report = run(&import, &mut |_, _| true).unwrap();
    assert_eq!(
        (report.pictures, report.compounds, report.plates),
        (2, 1, 1)
    );
    let skipped = report.remarks.iter();
    let skipped: Vec<_> = skipped
        .filter(|remark| remark.starts_with("skipped: "))
        .collect();
    for row in [2, 5, 6, 7, 8, 9] {
        let said = format!("row {row}, ");
        let count = skipped
            .iter()
            .filter(|remark| remark.contains(&said))
            .count();
        assert_eq!(count, 1, "{row}: {skipped:?}");
    }
    std::fs::remove_dir_all(&import.out).unwrap();
    std::fs::write(
        &import.table,
        format!("{head}a.png,DMSO,,P1\na.png,x,one,P1\n"),
    )
    .unwrap();
    let error = run(&import, &mut |_, _| true).unwrap_err().to_string();
    assert!(
        error.contains("no treated cell could be used") && error.contains("is `one`"),
        "{error}"
    );
}

#[test]
fn cameras_of_fewer_bits_saturate_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let save = |name: &str, bright: u32| {
        let pixel = |x: u32, y: u32| {
            Luma([if x < bright {
                4095
            } else {
                (100 * x + y) as u16
            }])
        };
        let picture = ImageBuffer::from_fn(16, 16, pixel);
        picture.save(path.join(name)).unwrap();
    };
    save("a.png", 1);
    save("b.png", 8);
    let table = "image,compound,dose,plate\na.png,DMSO,,P1\na.png,x,1,P1\nb.png,x,1,P1\n";
    let error = fails(path, table);
    assert!(
        error.contains("row 4, column `image`: channel 1 is saturated: 50 % of it is at 4095"),
        "{error}"
    );
}

#[test]
fn other_aspect_is_said() {
    let folder = tempfile::tempdir().unwrap();
    word_png(&folder.path().join("a.png"), 100);
    let table = "image,compound,dose,plate\na.png,DMSO,,P1\na.png,x,1,P1\n";
    let said = |size| {
        let import = CellImport {
            size,
            ..import(folder.path(), table)
        };
        let report = run(&import, &mut |_, _| true).unwrap();
        std::fs::remove_dir_all(&import.out).unwrap();
        report.remarks.join("\n")
    };
    assert_eq!(said([8, 8]), "");
    assert!(said([16, 8]).contains("pictures of 16×16 are squeezed into 16×8"));
    assert!(said([10, 10]).contains("--size 10x10: training expects multiples of 8"));
}

#[test]
fn smaller_pictures_keep_their_mean() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    word_png(&path, 10);
    let picture = Picture::read(&path).unwrap();
    for size in [[16, 16], [8, 4], [5, 7]] {
        let small = picture.resized(size).unwrap();
        let mean = |p: &Picture| p.channel(0).sum::<f32>() / p.channel(0).count() as f32;
        assert!((mean(&small) - mean(&picture)).abs() < 1.0, "{size:?}");
    }
}
