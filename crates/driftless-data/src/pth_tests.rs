//! State dicts that PyTorch 2.15 wrote (`scripts/reference/lpips.py`), in both of its formats.

use std::path::PathBuf;

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/lpips")
        .join(name)
}

/// The script's pseudo-random numbers.
fn uniform(at: u64, seed: u64) -> f32 {
    let hash = (at + (seed << 24)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (hash >> 40) as f32 / (1 << 24) as f32
}

#[test]
fn both_formats_are_read() {
    for file in ["heads.pth", "heads_old.pth"] {
        let tensors = read(&fixture(file)).unwrap();
        assert_eq!(tensors.len(), 5, "{file}");
        for (i, channels) in [64, 192, 384, 256, 256].into_iter().enumerate() {
            let tensor = &tensors[&format!("lin{i}.model.1.weight")];
            assert_eq!(tensor.shape, [1, channels, 1, 1], "{file}");
            let expected: Vec<f32> = (0..channels as u64)
                .map(|at| uniform(at, 900 + i as u64))
                .collect();
            assert_eq!(tensor.values, expected, "{file}");
        }
    }
}

#[test]
fn names_are_read_alone() {
    for file in ["heads.pth", "heads_old.pth"] {
        let path = fixture(file);
        let mut found = names(&path).unwrap();
        found.sort();
        let tensors = read(&path).unwrap();
        assert!(found.iter().eq(tensors.keys()), "{file}: {found:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    std::fs::write(&path, &std::fs::read(fixture("heads.pth")).unwrap()[..100]).unwrap();
    let message = names(&path).unwrap_err().to_string();
    assert!(message.contains("weights.pth: cannot be read"), "{message}");
}

/// A checkpoint of the published tokenizer's trainer: weights in `model`, options in `args`, an optimizer's state.
fn checkpoint() -> PathBuf {
    fixture("../../../crates/driftless-dreamer/tests/data/tokenizer_ckpt.pt")
}

#[test]
fn state_dict_of_a_checkpoint_is_read() {
    let tensors = read(&checkpoint()).unwrap();
    assert_eq!(tensors["encoder.latents"].shape, [4, 32]);
    assert!(!tensors.keys().any(|name| name.contains("exp_avg")));
    let mut found = names(&checkpoint()).unwrap();
    found.sort();
    assert!(found.iter().eq(tensors.keys()), "{found:?}");
}

#[test]
fn options_of_a_checkpoint_are_read() {
    let arguments = arguments(&checkpoint()).unwrap();
    assert_eq!(arguments["n_heads"], Argument::Number(2.0));
    assert_eq!(arguments["lr"], Argument::Number(1e-4));
    assert_eq!(arguments["compile"], Argument::Flag(false));
    // Lists and nothing are left out.
    assert!(!arguments.contains_key("data_dirs") && !arguments.contains_key("resume"));
    assert_eq!(
        super::arguments(&fixture("heads.pth")).unwrap(),
        BTreeMap::new()
    );
    let old = super::arguments(&fixture("heads_old.pth")).unwrap_err();
    assert!(old.to_string().contains("PyTorch before 1.6"), "{old}");
}

#[test]
fn damaged_files_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    for file in ["heads.pth", "heads_old.pth"] {
        let bytes = std::fs::read(fixture(file)).unwrap();
        for len in [0, 3, 20, 300, bytes.len() / 2, bytes.len() - 9] {
            std::fs::write(&path, &bytes[..len]).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(
                message.contains("weights.pth: cannot be read as PyTorch weights"),
                "{file}, {len}: {message}"
            );
            assert_eq!(message.lines().count(), 1);
        }
    }
}

#[test]
fn sizes_that_the_file_does_not_hold_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    let bytes = std::fs::read(fixture("heads_old.pth")).unwrap();
    // The shape of the first head, (1, 64, 1, 1), with more channels than its storage has.
    let shape = b"(K\x01K\x40K\x01K\x01t";
    let at = bytes
        .windows(shape.len())
        .position(|window| window == shape);
    let mut damaged = bytes.clone();
    damaged[at.unwrap() + 4] = 0xff;
    std::fs::write(&path, damaged).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(
        message.contains("`lin0.model.1.weight` is stored in an unusual order")
            || message.contains("reaches beyond"),
        "{message}"
    );
}

#[test]
fn strides_tell_the_order() {
    let storage = || {
        Rc::new(values::Storage {
            kind: "FloatStorage".into(),
            key: "0".into(),
        })
    };
    let tensor = |shape: &[usize], stride: &[usize]| Tensor {
        storage: storage(),
        offset: 0,
        shape: shape.to_vec(),
        stride: stride.to_vec(),
    };
    assert!(is_row_major(&tensor(&[2, 3, 4], &[12, 4, 1])));
    assert!(is_row_major(&tensor(&[1, 3, 1], &[99, 1, 7])));
    assert!(!is_row_major(&tensor(&[2, 3], &[1, 2])));
    assert!(!is_row_major(&tensor(&[2, 3], &[3])));
}
