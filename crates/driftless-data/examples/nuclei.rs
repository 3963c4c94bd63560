//! Sets the nuclei of a dataset of cells beside those of a real picture:
//! `cargo run --release -p driftless-data --example nuclei -- img2d.tif data/cells`.
//!
//! The picture is a grey TIFF of 16 bit. PyPI's `stardist` ships one, `stardist/data/images/img2d.tif`.

#![allow(clippy::print_stdout, reason = "an example shows its results")]

use std::path::Path;

use driftless_data::cells::{CellDataset, Nucleus, find_nuclei};
use tiff::decoder::{Decoder, DecodingResult};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [picture, dataset] = paths.as_slice() else {
        return Err("expected a TIFF and a dataset of cells".into());
    };
    println!(
        "{:10} {:>6} {:>9} {:>7} {:>7} {:>12} {:>9} {:>9}",
        "", "nuclei", "area", "cv", "eccent.", "(10-90 %)", "light cv", "contrast"
    );
    print("real", &real(picture)?);
    print("simulated", &simulated(Path::new(dataset))?);
    Ok(())
}

fn real(path: &str) -> Result<Vec<Nucleus>, Error> {
    let mut decoder = Decoder::new(std::fs::File::open(path)?)?;
    let (width, height) = decoder.dimensions()?;
    let DecodingResult::U16(values) = decoder.read_image()? else {
        return Err("expected a TIFF of 16 bit".into());
    };
    let values: Vec<f32> = values.into_iter().map(f32::from).collect();
    Ok(find_nuclei(&values, [height as usize, width as usize], 100))
}

/// The nuclei of untreated cells.
fn simulated(folder: &Path) -> Result<Vec<Nucleus>, Error> {
    let data = CellDataset::read(folder)?;
    let channels = data.info.channels.len();
    let controls = (0..data.len()).filter(|row| data.compound[*row].is_none());
    let nuclei = controls.flat_map(|row| {
        let dna = data.picture(row).iter().step_by(channels);
        let values: Vec<f32> = dna.map(|v| f32::from(*v)).collect();
        find_nuclei(&values, data.info.image, 40)
    });
    Ok(nuclei.collect())
}

fn print(name: &str, nuclei: &[Nucleus]) {
    let sorted = |of: fn(&Nucleus) -> f32| {
        let mut all: Vec<f32> = nuclei.iter().map(of).collect();
        all.sort_by(f32::total_cmp);
        all
    };
    let at = |all: &[f32], share: f32| all[((all.len() - 1) as f32 * share) as usize];
    let cv = |of: fn(&Nucleus) -> f32| {
        let mean = nuclei.iter().map(of).sum::<f32>() / nuclei.len() as f32;
        let squares = nuclei.iter().map(|n| (of(n) - mean).powi(2)).sum::<f32>();
        (squares / nuclei.len() as f32).sqrt() / mean
    };
    let (area, eccentricity, contrast) = (
        sorted(|n| n.area),
        sorted(|n| n.eccentricity),
        sorted(|n| n.contrast),
    );
    println!(
        "{name:10} {:6} {:6.0} px {:7.2} {:7.2} {:12} {:9.2} {:9.2}",
        nuclei.len(),
        at(&area, 0.5),
        cv(|n| n.area),
        at(&eccentricity, 0.5),
        format!(
            "{:.2}-{:.2}",
            at(&eccentricity, 0.1),
            at(&eccentricity, 0.9)
        ),
        cv(|n| n.intensity),
        at(&contrast, 0.5)
    );
}
