//! Files that are damaged, missing, or of another model: refused in one line that names the file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use driftless_oasis::{MAX_WINDOW, Oasis, OasisFiles};
use driftless_published::refuse_foreign;
use driftless_published::{Error, WindowNetwork as _, World, WorldParams};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

use common::{LATENT, data, files};

const TRANSFORMER: &str = "oasis500m.safetensors";
const AUTOENCODER: &str = "vit-l-20.safetensors";

/// A folder with both files.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [TRANSFORMER, AUTOENCODER] {
        fs::copy(data(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn one_line(error: &Error) -> String {
    let message = error.to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

/// Writes tensors of 16-bit floats, given as sides and bytes.
fn write(path: &Path, tensors: &BTreeMap<String, (Vec<usize>, Vec<u8>)>) {
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(Dtype::F16, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The error of the checkpoint with other tensors in one file.
fn error_with(name: &str, change: impl Fn(&mut BTreeMap<String, (Vec<usize>, Vec<u8>)>)) -> String {
    let folder = folder();
    let path = folder.path().join(name);
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter();
    let parts = |view: TensorView| (view.shape().to_vec(), view.data().to_vec());
    let mut tensors = tensors.map(|(name, view)| (name, parts(view))).collect();
    change(&mut tensors);
    write(&path, &tensors);
    let files = OasisFiles::inside(folder.path()).unwrap().unwrap();
    match Oasis::read_sized(&files, LATENT) {
        Ok(_) => panic!("the files were read"),
        Err(error) => {
            let message = one_line(&error);
            assert!(message.contains(name), "{message}");
            message
        }
    }
}

#[test]
fn both_files_are_found_from_either_and_their_folder() {
    let folder = folder();
    let found = OasisFiles::inside(folder.path()).unwrap().unwrap();
    assert_eq!(found.transformer, folder.path().join(TRANSFORMER));
    assert_eq!(found.autoencoder, folder.path().join(AUTOENCODER));
    for name in [TRANSFORMER, AUTOENCODER] {
        let beside = OasisFiles::beside(&folder.path().join(name)).unwrap();
        assert_eq!(beside, Some(found.clone()));
    }
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(OasisFiles::inside(empty.path()).unwrap(), None);
}

#[test]
fn names_of_files_do_not_matter() {
    let folder = folder();
    let renamed = folder.path().join("x.safetensors");
    fs::rename(folder.path().join(AUTOENCODER), &renamed).unwrap();
    let found = OasisFiles::inside(folder.path()).unwrap().unwrap();
    assert_eq!(found.autoencoder, renamed);
}

#[test]
fn torch_file_gives_the_same_network() {
    let folder = folder();
    fs::remove_file(folder.path().join(TRANSFORMER)).unwrap();
    fs::copy(data("oasis500m.pt"), folder.path().join("oasis500m.pt")).unwrap();
    let found = OasisFiles::inside(folder.path()).unwrap().unwrap();
    let of = |files: &OasisFiles| {
        let oasis = Oasis::read_sized(files, LATENT).unwrap();
        let mut world = World::new(oasis);
        let params = WorldParams::seeded(MAX_WINDOW, 1);
        world.step(&1.into(), &params).unwrap();
        world.image().to_vec()
    };
    assert!(of(&found) == of(&files()));
}

#[test]
fn missing_second_file_is_named() {
    for (name, other) in [(TRANSFORMER, AUTOENCODER), (AUTOENCODER, TRANSFORMER)] {
        let folder = folder();
        fs::remove_file(folder.path().join(other)).unwrap();
        for error in [
            OasisFiles::inside(folder.path()).unwrap_err(),
            OasisFiles::beside(&folder.path().join(name)).unwrap_err(),
        ] {
            let message = one_line(&error);
            let what = format!("is missing: expected {other} beside it");
            assert!(
                message.contains(&what) && message.contains(name),
                "{message}"
            );
        }
    }
}

#[test]
fn two_files_of_a_kind_are_named() {
    let folder = folder();
    fs::copy(data(TRANSFORMER), folder.path().join("other.safetensors")).unwrap();
    let error = OasisFiles::inside(folder.path()).unwrap_err();
    let message = one_line(&error);
    assert!(
        message.contains("holds oasis500m.safetensors and other.safetensors"),
        "{message}"
    );
}

#[test]
fn foreign_models_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    for (tensor, what) in [
        ("denoiser.inner_model.x", "a DIAMOND agent"),
        ("conv.weight", "holds `conv.weight`"),
    ] {
        let tensors = [(tensor.to_owned(), (vec![1], vec![0, 0]))].into();
        write(&path, &tensors);
        assert_eq!(OasisFiles::beside(&path).unwrap(), None);
        let message = one_line(&refuse_foreign(&path, "Oasis's").unwrap_err());
        assert!(
            message.contains(what) && message.contains("a.safetensors"),
            "{message}"
        );
        assert_eq!(OasisFiles::inside(folder.path()).unwrap(), None);
    }
    // PyTorch's files are left to others.
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/lpips/heads.pth");
    assert_eq!(OasisFiles::beside(&other).unwrap(), None);
}

#[test]
fn truncated_files_are_named() {
    for name in [TRANSFORMER, AUTOENCODER] {
        let folder = folder();
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for len in [0, 4, 100, bytes.len() / 2, bytes.len() - 2] {
            fs::write(&path, &bytes[..len]).unwrap();
            for error in [
                OasisFiles::inside(folder.path()).unwrap_err(),
                OasisFiles::beside(&path).unwrap_err(),
                Oasis::read_sized(
                    &OasisFiles {
                        transformer: folder.path().join(TRANSFORMER),
                        autoencoder: folder.path().join(AUTOENCODER),
                    },
                    LATENT,
                )
                .err()
                .unwrap(),
            ] {
                let message = one_line(&error);
                assert!(
                    message.contains(name) && message.contains("cannot be read as safetensors"),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn missing_and_foreign_tensors_are_named() {
    let gone = "blocks.1.t_mlp.fc2.weight";
    let message = error_with(TRANSFORMER, |tensors| {
        tensors.remove(gone);
    });
    assert!(
        message.contains(&format!("`{gone}` is missing")),
        "{message}"
    );
    let message = error_with(AUTOENCODER, |tensors| {
        tensors.insert("loss.step".into(), (vec![1], vec![0, 0]));
    });
    assert!(message.contains("also holds `loss.step`"), "{message}");
}

#[test]
fn other_widths_are_named() {
    let narrow = |name: &'static str| {
        move |tensors: &mut BTreeMap<String, (Vec<usize>, Vec<u8>)>| {
            let (shape, bytes) = tensors.get_mut(name).unwrap();
            shape[0] /= 2;
            bytes.truncate(bytes.len() / 2);
        }
    };
    let message = error_with(TRANSFORMER, narrow("blocks.0.s_attn.to_qkv.weight"));
    assert!(
        message.contains("to_qkv.weight` is [48, 32], expected 96 outputs"),
        "{message}"
    );
    let message = error_with(AUTOENCODER, narrow("decoder.1.norm2.bias"));
    assert!(
        message.contains("`decoder.1.norm2.bias` is [64], expected [128]"),
        "{message}"
    );
    let message = error_with(TRANSFORMER, |tensors| {
        let external = tensors.get_mut("external_cond.weight").unwrap();
        *external = (vec![32, 24], vec![0; 2 * 32 * 24]);
    });
    assert!(message.contains("expected 25 inputs"), "{message}");
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let message = error_with(AUTOENCODER, |tensors| {
        let (_, bytes) = tensors.get_mut("predictor.bias").unwrap();
        bytes[..2].copy_from_slice(&0x7e00_u16.to_le_bytes());
    });
    assert!(
        message.contains("`predictor.bias` holds a number that is not finite"),
        "{message}"
    );
}

#[test]
fn pictures_of_another_size_are_refused() {
    let mut oasis = common::oasis().unwrap();
    let message = one_line(&oasis.encode_all(&[&[0; 12]]).unwrap_err());
    assert!(
        message.contains("12 bytes, expected 2304: 24×32 in RGB"),
        "{message}"
    );
}
