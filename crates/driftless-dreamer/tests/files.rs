//! Files that are damaged, missing, or of another model: refused in one line that names the file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure fails the test"
)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use driftless_data::pth::{self, PthTensor};
use driftless_dreamer::{Dreamer, DreamerFiles};
use driftless_published::{Error, WindowNetwork as _, World, WorldParams};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use common::{DYNAMICS, TOKENIZER, data};

/// A folder with both files.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [TOKENIZER, DYNAMICS] {
        fs::copy(data(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn one_line(error: &Error) -> String {
    let message = error.to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

/// The error of the checkpoint in a folder, which names the file.
fn error_in(folder: &Path, name: &str) -> String {
    let read = DreamerFiles::inside(folder).and_then(|files| Dreamer::read(&files.unwrap()));
    let message = one_line(&read.err().unwrap());
    assert!(message.contains(name), "{message}");
    message
}

/// The error of the checkpoint with other bytes in the pickle of a file.
fn error_with(name: &str, from: &[u8], to: &[u8]) -> String {
    let folder = folder();
    let mut old = ZipArchive::new(File::open(data(name)).unwrap()).unwrap();
    let mut new = ZipWriter::new(File::create(folder.path().join(name)).unwrap());
    // As PyTorch writes it.
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for i in 0..old.len() {
        let mut entry = old.by_index(i).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let path = entry.name().unwrap().into_owned();
        if path.ends_with("data.pkl") {
            bytes = replaced(&bytes, from, to);
        }
        new.start_file(path, stored).unwrap();
        new.write_all(&bytes).unwrap();
    }
    new.finish().unwrap();
    error_in(folder.path(), name)
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut rest, mut out, mut count) = (bytes, Vec::new(), 0);
    while !rest.is_empty() {
        if rest.starts_with(from) {
            (rest, count) = (&rest[from.len()..], count + 1);
            out.extend_from_slice(to);
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    assert!(count > 0, "nothing was replaced");
    out
}

/// A folder whose dynamics are a `safetensors` file with other tensors.
fn with_dynamics(change: impl Fn(&mut BTreeMap<String, PthTensor>)) -> (TempDir, PathBuf) {
    let folder = folder();
    let torch = folder.path().join(DYNAMICS);
    let mut tensors = pth::read(&torch).unwrap();
    fs::remove_file(torch).unwrap();
    change(&mut tensors);
    let bytes = |tensor: &PthTensor| -> Vec<u8> {
        let values = tensor.values.iter();
        values.flat_map(|value| value.to_le_bytes()).collect()
    };
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (name, &tensor.shape, bytes(tensor)))
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
        (name.as_str(), view)
    });
    let file = folder.path().join("d.safetensors");
    fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
    (folder, file)
}

fn error_with_dynamics(change: impl Fn(&mut BTreeMap<String, PthTensor>)) -> String {
    let (folder, _) = with_dynamics(change);
    error_in(folder.path(), "d.safetensors")
}

#[test]
fn both_files_are_found_from_either_and_their_folder() {
    let folder = folder();
    let found = DreamerFiles::inside(folder.path()).unwrap().unwrap();
    assert_eq!(found.tokenizer, folder.path().join(TOKENIZER));
    assert_eq!(found.dynamics, folder.path().join(DYNAMICS));
    for name in [TOKENIZER, DYNAMICS] {
        let beside = DreamerFiles::beside(&folder.path().join(name)).unwrap();
        assert_eq!(beside, Some(found.clone()));
    }
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(DreamerFiles::inside(empty.path()).unwrap(), None);
}

#[test]
fn missing_second_file_is_named() {
    for (name, other) in [(TOKENIZER, DYNAMICS), (DYNAMICS, TOKENIZER)] {
        let folder = folder();
        fs::remove_file(folder.path().join(other)).unwrap();
        for error in [
            DreamerFiles::inside(folder.path()).unwrap_err(),
            DreamerFiles::beside(&folder.path().join(name)).unwrap_err(),
        ] {
            let message = one_line(&error);
            let what = format!("is missing: expected {other} beside it");
            assert!(
                message.contains(&what) && message.contains(name) && error.is_missing(),
                "{message}"
            );
        }
    }
}

#[test]
fn foreign_file_of_a_published_name_is_named() {
    let folder = folder();
    let foreign = data("../../../../tests/data/lpips/heads.pth");
    fs::copy(foreign, folder.path().join(DYNAMICS)).unwrap();
    let message = error_in(folder.path(), DYNAMICS);
    assert!(
        message.contains("holds no weights of the dynamics of Dreamer 4"),
        "{message}"
    );
}

#[test]
fn foreign_files_are_left_to_others() {
    let lpips = data("../../../../tests/data/lpips/heads.pth");
    assert_eq!(DreamerFiles::beside(&lpips).unwrap(), None);
    let diamond = data("../../../driftless-diamond/tests/data/small.pt");
    assert_eq!(DreamerFiles::beside(&diamond).unwrap(), None);
}

#[test]
fn weights_alone_give_the_same_network() {
    // Of a network that was compiled, and trained on several devices.
    let (folder, file) = with_dynamics(|tensors| {
        let named = |(name, tensor)| (format!("module._orig_mod.{name}"), tensor);
        *tensors = std::mem::take(tensors).into_iter().map(named).collect();
    });
    let found = DreamerFiles::inside(folder.path()).unwrap().unwrap();
    assert_eq!(found.dynamics, file);
    let frame = |dreamer: Dreamer| {
        let mut world = World::new(dreamer);
        world.step(&0.into(), &WorldParams::seeded(25, 1)).unwrap();
        world.image().to_vec()
    };
    let expected = frame(common::dreamer(DYNAMICS).unwrap());
    assert!(frame(Dreamer::read(&found).unwrap()) == expected);
}

#[test]
fn truncated_files_are_named() {
    for name in [TOKENIZER, DYNAMICS] {
        let folder = folder();
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for len in [0, 4, 100, bytes.len() / 2, bytes.len() - 2] {
            fs::write(&path, &bytes[..len]).unwrap();
            let message = error_in(folder.path(), name);
            assert!(
                message.contains("cannot be read as PyTorch weights"),
                "{message}"
            );
        }
    }
}

#[test]
fn calls_are_named_and_not_made() {
    let message = error_with(DYNAMICS, b"ccollections\nOrderedDict\n", b"cos\nsystem\n");
    assert!(
        message.contains("it calls `os system`, which was not executed"),
        "{message}"
    );
}

#[test]
fn missing_and_foreign_tensors_are_named() {
    let message = error_with(
        TOKENIZER,
        b"encoder.mae.mask_token",
        b"encoder.mae.task_token",
    );
    assert!(
        message
            .contains("`encoder.mae.mask_token` is missing, expected the weights of the tokenizer"),
        "{message}"
    );
    let gone = "transformer.layers.1.time.attn.out.bias";
    let message = error_with_dynamics(|tensors| {
        tensors.remove(gone);
    });
    assert!(
        message.contains(&format!("`{gone}` is missing")),
        "{message}"
    );
    let message = error_with_dynamics(|tensors| {
        let more = tensors["action_encoder.base"].clone();
        tensors.insert("reward_head.bias".into(), more);
    });
    assert!(
        message.contains("also holds `reward_head.bias`"),
        "{message}"
    );
}

#[test]
fn other_widths_are_named() {
    let narrow = |name: &'static str| {
        move |tensors: &mut BTreeMap<String, PthTensor>| {
            let tensor = tensors.get_mut(name).unwrap();
            tensor.shape[0] /= 2;
            tensor.values.truncate(tensor.shape.iter().product());
        }
    };
    for (name, what) in [
        (
            "transformer.layers.0.space.attn.qkv.weight",
            "qkv.weight` is [48, 32], expected 96 outputs",
        ),
        (
            "transformer.layers.2.norm3.scale",
            "norm3.scale` is [16], expected [32]",
        ),
        (
            "signal_embed.weight",
            "is [4, 32], expected a power of two and one more rows of 32",
        ),
        (
            "step_embed.weight",
            "`step_embed.weight` is [2, 32], expected [4, 32]",
        ),
        ("flow_x_head.weight", "is [6, 32], expected 12 outputs"),
    ] {
        let message = error_with_dynamics(narrow(name));
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn networks_that_do_not_fit_each_other_are_named() {
    let shaped = |inputs: usize| {
        move |tensors: &mut BTreeMap<String, PthTensor>| {
            let tensor = tensors.get_mut("spatial_proj.weight").unwrap();
            *tensor = PthTensor {
                shape: vec![32, inputs],
                values: vec![0.1; 32 * inputs],
            };
        }
    };
    for inputs in [10, 18] {
        let message = error_with_dynamics(shaped(inputs));
        assert!(
            message.contains("expected whole tokens of 6 that divide the tokenizer's 4"),
            "{message}"
        );
    }
    let message = error_with_dynamics(|tensors| {
        let tensor = tensors.get_mut("action_encoder.fc1.weight").unwrap();
        *tensor = PthTensor {
            shape: vec![64, 21],
            values: vec![0.1; 64 * 21],
        };
    });
    assert!(message.contains("expected at most 16 inputs"), "{message}");
}

#[test]
fn options_that_do_not_fit_are_named() {
    // Small integers are K and a byte, after the place in the memo where the name is kept.
    for (name, from, to, what) in [
        (
            TOKENIZER,
            &b"n_headsr\x90\x03\0\0K\x02"[..],
            &b"n_headsr\x90\x03\0\0K\x03"[..],
            "is 32 wide, expected a multiple of its 3 heads",
        ),
        (
            DYNAMICS,
            b"n_headsr\x1f\x02\0\0K\x04",
            b"n_headsr\x1f\x02\0\0K\0",
            "option `n_heads` is 0, expected a whole number from 1 to 1024",
        ),
        (
            DYNAMICS,
            b"seq_lenr)\x02\0\0K ",
            b"seq_lenr)\x02\0\0K\x01",
            "option `seq_len` is 1, expected a whole number from 2 to 1024",
        ),
        (
            TOKENIZER,
            b"Wr\x8c\x03\0\0K\x18",
            b"Wr\x8c\x03\0\0K\x14",
            "are 24, expected as many as patches of 4×4 in 16×20",
        ),
        (
            DYNAMICS,
            b"wm_agent_isolated",
            b"wm_agent_separate",
            "option `space_mode` is `wm_agent_separate`, expected",
        ),
    ] {
        let message = error_with(name, from, to);
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let message = error_with_dynamics(|tensors| {
        tensors.get_mut("action_encoder.base").unwrap().values[3] = f32::NAN;
    });
    assert!(
        message.contains("`action_encoder.base` holds a number that is not finite"),
        "{message}"
    );
}

#[test]
fn pictures_of_another_size_are_refused() {
    let mut dreamer = common::dreamer(DYNAMICS).unwrap();
    let message = one_line(&dreamer.encode_all(&[&[0; 12]]).unwrap_err());
    assert!(
        message.contains("12 bytes, expected 1152: 16×24 in RGB"),
        "{message}"
    );
}
