//! Cells: datasets, tables beside pictures, and checkpoints of transport networks.

use std::io::Cursor;
use std::path::Path;

use candle_core::{Device, Tensor};
use image::ImageFormat;
use rand::Rng as _;

use driftless_data::cells::import::{self, CellImport};
use driftless_data::cells::{
    CELLS_FORMAT, CellDataset, CellInfo, CellRow, CellWriter, Compound, DrugTruth, INFO, Plate,
    TRUTH, TruthInfo,
};
use driftless_data::fs::write_json;
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::Method;
use driftless_model::checkpoint::write_tensors;
use driftless_model::params::Params;
use driftless_transport::config::{
    FORMAT_VERSION, FlowShape, KIND, KnownCompound, NetworkShape, Normalization, Sampling, WEIGHTS,
};
use driftless_transport::{
    Condition, Route, Source, TransportConfig, TransportNetwork, TransportParams, Transporter,
};

use crate::files::{mutated_npz, mutated_png, mutated_safetensors, read_npz};
use crate::mutate;
use crate::run::fuzz;
use crate::targets::verdict;

const SIDE: usize = 8;

fn compound(name: &str, descriptor: [f32; 2]) -> Compound {
    Compound {
        name: name.into(),
        descriptor: descriptor.to_vec(),
        mechanism: Some(name.into()),
    }
}

/// Six pictures with their truth.
fn write_dataset(folder: &Path) {
    let mut writer = CellWriter::new([SIDE, SIDE, 2]);
    for i in 0..6 {
        let row = CellRow {
            compound: (i > 1).then_some(i % 2),
            dose: if i > 1 { 0.5 * i as f32 } else { 0.0 },
            plate: 0,
            train: i < 5,
        };
        let picture: Vec<u8> = (0..SIDE * SIDE * 2)
            .map(|at| (at * (i + 1)) as u8)
            .collect();
        writer.push(row, &picture);
        writer.push_truth(&picture, &[i as f32]);
    }
    let info = CellInfo {
        format: CELLS_FORMAT,
        name: "Tiny".into(),
        image: [SIDE, SIDE],
        channels: vec!["DNA".into(), "actin".into()],
        dose_unit: "µM".into(),
        compounds: vec![compound("a", [1.0, 0.0]), compound("b", [0.0, 1.0])],
        plates: vec![Plate { name: "P1".into() }],
        shards: vec![writer.write(folder, 0).unwrap()],
    };
    write_json(&folder.join(INFO), &info).unwrap();
    let drugs = ["a", "b"].map(|name| DrugTruth {
        name: name.into(),
        ec50: 1.0,
        hill: 1.5,
    });
    let truth = TruthInfo {
        parameters: vec!["area".into()],
        drugs: drugs.to_vec(),
    };
    write_json(&folder.join(TRUTH), &truth).unwrap();
}

#[test]
fn cell_datasets() {
    let folder = tempfile::tempdir().unwrap();
    write_dataset(folder.path());
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let texts = [INFO, TRUTH].map(|name| (name, text(name)));
    let archives = ["cells-00000.npz", "truth-00000.npz"]
        .map(|name| (name, read_npz(&folder.path().join(name))));
    fuzz(
        "dataset of cells",
        500,
        |place, rng| {
            write_dataset(place);
            if rng.random() {
                let (name, text) = &texts[rng.random_range(0..texts.len())];
                std::fs::write(place.join(name), mutate::text(text, rng)).unwrap();
            } else {
                let (name, arrays) = &archives[rng.random_range(0..archives.len())];
                std::fs::write(place.join(name), mutated_npz(arrays, rng)).unwrap();
            }
        },
        |place| {
            let data = CellDataset::read(place).map_err(|e| e.to_string())?;
            let all = data.len() * data.info.picture_len();
            assert_eq!(data.images.len(), all);
            assert_eq!(data.held_out().len(), data.len());
            let truth = data.read_truth().map_err(|e| e.to_string())?;
            assert!(truth.is_none_or(|truth| truth.controls.len() == all));
            Ok(())
        },
    );
}

const TABLE: &str = "channel_DNA,channel_actin,compound,dose,plate,well,control,split\n\
    a.png,a.tif,DMSO,,P1,B02,1,train\n\
    b.png,a.tif,taxol,0.3,P1,B03,0,train\n\
    b.png,a.tif,\"colchicine, pure\",1e-2,P1,B04,0,test\n";
const WHOLE: &str = "image,compound,dose,plate\na.npy,,,P1\na.npy,taxol,3,P1\n";
const COMPOUNDS: &str = "compound,mechanism,f0,f1\ntaxol,tubulin stabiliser,1,0.5\n\
    \"colchicine, pure\",,0,-1\n";

const WIDTH: u32 = 12;
const HEIGHT: u32 = 10;

fn pixels(times: u32) -> impl Iterator<Item = u16> {
    (0..WIDTH * HEIGHT).map(move |at| (at % WIDTH * (at / WIDTH) * times * 40) as u16)
}

fn png(times: u32) -> Vec<u8> {
    let pixels = pixels(times).collect();
    let picture = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_raw(WIDTH, HEIGHT, pixels);
    let mut bytes = Vec::new();
    picture
        .unwrap()
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .unwrap();
    bytes
}

/// A grey TIFF of 16 bit in one strip, without compression.
fn tiff(times: u32) -> Vec<u8> {
    let tags: [(u16, u32); 9] = [
        (256, WIDTH),
        (257, HEIGHT),
        (258, 16),
        (259, 1),
        (262, 1),
        (273, 8 + 2 + 9 * 12 + 4),
        (277, 1),
        (278, HEIGHT),
        (279, WIDTH * HEIGHT * 2),
    ];
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        bytes.extend(tag.to_le_bytes());
        // One value of 32 bit.
        bytes.extend([4, 0, 1, 0, 0, 0]);
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend(pixels(times).flat_map(u16::to_le_bytes));
    bytes
}

/// An array of 16 bit, [2, 10, 12].
fn npy() -> Vec<u8> {
    let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 10, 12), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((0..240_u16).flat_map(|v| (v * 200).to_le_bytes()));
    bytes
}

#[test]
fn cell_tables() {
    let good = [
        ("a.png", png(1)),
        ("b.png", png(3)),
        ("a.tif", tiff(2)),
        ("a.npy", npy()),
        ("table.csv", TABLE.into()),
        ("compounds.csv", COMPOUNDS.into()),
    ];
    fuzz(
        "table of cells",
        500,
        |place, rng| {
            for (name, bytes) in &good {
                std::fs::write(place.join(name), bytes).unwrap();
            }
            let table = if rng.random_bool(0.3) { WHOLE } else { TABLE };
            std::fs::write(place.join("table.csv"), table).unwrap();
            let (name, bytes) = &good[rng.random_range(0..good.len())];
            let changed = match *name {
                "table.csv" => mutate::text(table, rng),
                "compounds.csv" => mutate::text(COMPOUNDS, rng),
                "a.png" | "b.png" => mutated_png(bytes, rng),
                _ => {
                    let mut bytes = bytes.clone();
                    mutate::bytes(&mut bytes, rng);
                    bytes
                }
            };
            std::fs::write(place.join(name), changed).unwrap();
        },
        |place| {
            let import = CellImport {
                table: place.join("table.csv"),
                compounds: Some(place.join("compounds.csv")),
                out: place.join("out"),
                name: None,
                size: [SIDE, SIDE],
                skip_bad: false,
            };
            let imported = import::run(&import, &mut |_, _| true);
            // What was imported can be read.
            let read = imported.is_ok().then(|| CellDataset::read(&import.out));
            let _ = std::fs::remove_dir_all(&import.out);
            verdict(imported)?;
            read.map_or(Ok(()), verdict)
        },
    );
}

fn config() -> TransportConfig {
    let known = |compound| KnownCompound {
        compound,
        trained: true,
    };
    TransportConfig {
        format: FORMAT_VERSION,
        kind: KIND.into(),
        name: "Tiny".into(),
        image: [SIDE, SIDE],
        channels: vec!["DNA".into(), "actin".into()],
        dose_unit: "µM".into(),
        doses: [0.1, 10.0],
        compounds: [compound("a", [1.0, 0.0]), compound("b", [0.0, 1.0])]
            .map(known)
            .to_vec(),
        plates: vec!["P1".into()],
        normalization: Normalization {
            mean: vec![20.0, 30.0],
            std: vec![25.0, 35.0],
        },
        network: NetworkShape {
            patch: 4,
            overlap: 1,
            width: 8,
            depth: 1,
            heads: 2,
            mlp: 8,
        },
        flow: FlowShape {
            source: Source::Control,
            prediction: Prediction::V,
            source_noise: 0.5,
        },
        sampling: Sampling {
            route: Route::Forward,
            method: Method::Heun,
            steps: 1,
            guidance: 1.0,
            source_noise: 0.0,
        },
    }
}

#[test]
fn transport_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let config = config();
    let params = Params::seeded(0, &Device::Cpu);
    TransportNetwork::new(&params, &config).unwrap();
    let vars = params.finish().unwrap().into_iter();
    let tensors: std::collections::BTreeMap<String, Tensor> = vars
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect();
    write_tensors(&folder.path().join(WEIGHTS), &tensors).unwrap();
    write_json(&folder.path().join("config.json"), &config).unwrap();
    let weights = std::fs::read(folder.path().join(WEIGHTS)).unwrap();
    let text = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    fuzz(
        "transport network",
        500,
        |place, rng| {
            let (mut text, mut weights) = (text.clone().into_bytes(), weights.clone());
            if rng.random() {
                text = mutate::text(&String::from_utf8_lossy(&text), rng);
            } else {
                weights = mutated_safetensors(&weights, rng);
            }
            std::fs::write(place.join("config.json"), text).unwrap();
            std::fs::write(place.join(WEIGHTS), weights).unwrap();
        },
        |place| {
            let transporter = Transporter::read(place).map_err(|e| e.to_string())?;
            let config = transporter.config();
            let condition = Condition {
                compound: Some(0),
                dose: 1.0,
                plate: None,
            };
            let params = TransportParams {
                steps: 1,
                ..TransportParams::of(config)
            };
            let control = vec![0; config.picture_len()];
            verdict(transporter.transport(&control, &[condition], &params, 0))
        },
    );
}
