//! Expected values are from PyTorch 2.15 (`scripts/reference/lpips.py`), with the weights that are made here; the
//! script's function and version 0.1.4 of the `lpips` package give the same for them.

use std::collections::HashMap;

use super::*;

/// The script's pseudo-random numbers in [0, 1).
fn uniform(count: usize, seed: u64) -> Vec<f32> {
    let at = |at: usize| {
        let hash = (at as u64 + (seed << 24)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> 40) as f32 / (1 << 24) as f32
    };
    (0..count).map(at).collect()
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn backbone(layers: &[Layer]) -> HashMap<String, Tensor> {
    let (mut weights, mut channels) = (HashMap::new(), 3);
    for layer in layers {
        if let Layer::Conv {
            index,
            channels: out,
            kernel,
            ..
        } = *layer
        {
            let fan_in = channels * kernel * kernel;
            let scale = (24.0 / fan_in as f64).sqrt() as f32;
            let weight = uniform(out * fan_in, index as u64)
                .into_iter()
                .map(|u| (u - 0.5) * scale);
            let bias = uniform(out, 500 + index as u64)
                .into_iter()
                .map(|u| (u - 0.5) * 0.2);
            let weight = tensor(weight.collect(), &[out, channels, kernel, kernel]);
            weights.insert(format!("features.{index}.weight"), weight);
            weights.insert(
                format!("features.{index}.bias"),
                tensor(bias.collect(), &[out]),
            );
            channels = out;
        }
    }
    weights
}

fn heads(channels: [usize; 5]) -> HashMap<String, Tensor> {
    let head = |(i, channels): (usize, usize)| {
        let head = tensor(uniform(channels, 900 + i as u64), &[1, channels, 1, 1]);
        (format!("lin{i}.model.1.weight"), head)
    };
    channels.into_iter().enumerate().map(head).collect()
}

fn image(seed: u64, [height, width]: [usize; 2]) -> Vec<u8> {
    let pixels = uniform(height * width * 3, seed);
    pixels.into_iter().map(|u| (u * 256.0) as u8).collect()
}

/// AlexNet with pseudo-random weights.
pub(crate) fn random_alexnet() -> Lpips {
    let mut weights: BTreeMap<String, Tensor> = backbone(ALEXNET).into_iter().collect();
    weights.extend(heads([64, 192, 384, 256, 256]));
    Lpips::of(&weights).unwrap()
}

/// The distances of two images, and of one from itself with its upper half replaced.
fn check(lpips: &Lpips, size: [usize; 2], expected: [f64; 2]) {
    let (a, b) = (image(1000, size), image(1001, size));
    let mut near = a.clone();
    let half = size[0] / 2 * size[1] * 3;
    near[..half].copy_from_slice(&b[..half]);
    let found = lpips.distances(&[a.clone(), a].concat(), &[b, near].concat(), size);
    for (found, expected) in found.unwrap().unwrap().into_iter().zip(expected) {
        assert!(
            (found / expected - 1.0).abs() < 2e-5,
            "{found}, expected {expected}"
        );
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/lpips")
        .join(name)
}

#[test]
fn alexnet_agrees_with_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alexnet.safetensors");
    candle_core::safetensors::save(&backbone(ALEXNET), &file).unwrap();
    for heads in ["heads.pth", "heads_old.pth"] {
        let lpips = Lpips::read(&[file.clone(), fixture(heads)]).unwrap();
        assert_eq!(lpips.name(), "AlexNet");
        check(&lpips, [64, 64], [2.171_691_417_7, 1.726_293_206_2]);
        check(&lpips, [48, 80], [2.298_695_087_4, 1.436_027_050_0]);
    }
    let lpips = Lpips::read(&[file, fixture("heads.pth")]).unwrap();
    let small = image(1, [30, 64]);
    assert_eq!(lpips.distances(&small, &small, [30, 64]).unwrap(), None);
    let same = image(1, [31, 31]);
    assert_eq!(
        lpips.distances(&same, &same, [31, 31]).unwrap(),
        Some(vec![0.0])
    );
}

#[test]
fn vgg_agrees_with_pytorch() {
    let mut weights: BTreeMap<String, Tensor> = backbone(VGG16).into_iter().collect();
    weights.extend(heads([64, 128, 256, 512, 512]));
    let lpips = Lpips::of(&weights).unwrap();
    assert_eq!(lpips.name(), "VGG-16");
    check(&lpips, [64, 64], [1.782_192_468_6, 0.989_292_562_0]);
    check(&lpips, [48, 80], [1.578_830_361_4, 0.923_684_716_2]);
    assert!(!lpips.reaches(15) && lpips.reaches(16));
}

#[test]
fn names_of_the_whole_model_are_known() {
    let renamed = backbone(ALEXNET).into_iter().map(|(name, tensor)| {
        let index = name.split('.').nth(1).unwrap().to_owned();
        let slice = ["0", "3", "6", "8", "10"].iter().position(|i| *i == index);
        let slice = slice.unwrap() + 1;
        (
            name.replace("features", &format!("net.slice{slice}")),
            tensor,
        )
    });
    let mut weights: BTreeMap<String, Tensor> = renamed.collect();
    weights.extend(heads([64, 192, 384, 256, 256]));
    let lpips = Lpips::of(&weights).unwrap();
    check(&lpips, [64, 64], [2.171_691_417_7, 1.726_293_206_2]);
}

#[test]
fn what_is_missing_is_named() {
    let message = |files: &[PathBuf]| Lpips::read(files).err().unwrap().to_string();
    let heads_only = message(&[fixture("heads.pth")]);
    assert!(
        heads_only.contains("heads.pth: no backbone: features.0.weight is missing"),
        "{heads_only}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alexnet.safetensors");
    candle_core::safetensors::save(&backbone(ALEXNET), &file).unwrap();
    let no_heads = message(std::slice::from_ref(&file));
    assert!(
        no_heads.contains("lin0.model.1.weight is missing, expected [1, 64, 1, 1]"),
        "{no_heads}"
    );
    let mut other = backbone(ALEXNET);
    other.insert("features.3.bias".into(), tensor(vec![0.0; 7], &[7]));
    candle_core::safetensors::save(&other, &file).unwrap();
    let wrong = message(&[file.clone(), fixture("heads.pth")]);
    assert!(
        wrong.contains("features.3.bias is [7], expected [192]"),
        "{wrong}"
    );
    std::fs::write(&file, b"nothing").unwrap();
    let damaged = message(&[file]);
    assert!(
        damaged.contains("not safetensors, nor named .pth"),
        "{damaged}"
    );
}
